from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

class Claim:
    def __enter__(self) -> Claim: ...
    def __exit__(self, *error: object) -> None: ...

class Cell(NamedTuple):
    regime: str
    one_layer: bool
    apart: bool
    kept: bool
    held: bool
    limited: bool

seen: set[Cell]

class StepCount:
    n: int

    def __init__(self, n: int = 0) -> None: ...

class Model:
    n_inputs: int
    n_outputs: int
    dtype: np.dtype[Any]
    arena: NDArray[Any]

    def __init__(
        self,
        n_inputs: int,
        units: list[int],
        activations: list[str | tuple[str, float]],
        dtype: str,
        dropout: list[float] | None = None,
        wiring: tuple[list[tuple[Any, ...]], list[int]] | None = None,
    ) -> None: ...
    def claim(self) -> Claim: ...
    def weight(self, i: int) -> NDArray[Any]: ...
    def bias(self, i: int) -> NDArray[Any]: ...
    def predict(self, x: NDArray[Any], n_threads: int) -> NDArray[Any] | None: ...
    def activations(self, x: NDArray[Any], n_threads: int) -> list[NDArray[Any]]: ...
    def evaluate(
        self,
        loss: str,
        x: NDArray[Any],
        y: NDArray[Any],
        n_threads: int,
        parameter: float = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[float, int] | None: ...
    def gradients(
        self,
        loss: str,
        x: NDArray[Any],
        y: NDArray[Any],
        n_threads: int,
        inputs: bool,
        parameter: float = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[float, Model, NDArray[Any] | None] | None: ...

class Run:
    state: NDArray[Any]
    age: int
    order: NDArray[np.int64]
    done: int
    seed: int
    step: int
    kept: NDArray[Any] | None
    spare: Any

    def __init__(
        self,
        model: Model,
        loss: str,
        rule: str,
        momentum: float = 0,
        l2: float = 0,
        batch_size: int = 1,
        n_threads: int = 1,
        updated: Model | None = None,
        parameter: float = 0,
        count: StepCount | None = None,
        **numbers: float,
    ) -> None: ...
    @property
    def regime(self) -> str: ...
    @property
    def fault(self) -> str: ...
    def release(self) -> Any: ...
    def bind(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> None: ...
    def shuffle(self, bit_generator: np.random.BitGenerator) -> None: ...
    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, int, int]: ...
