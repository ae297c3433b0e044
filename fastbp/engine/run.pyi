from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    ) -> tuple[float, int]: ...
    def gradients(
        self,
        loss: str,
        x: NDArray[Any],
        y: NDArray[Any],
        n_threads: int,
        inputs: bool,
        parameter: float = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[float, Model, NDArray[Any] | None]: ...

class Run:
    state: NDArray[Any]
    age: int
    order: NDArray[np.int64]
    done: int
    seed: int
    step: int
    kept: NDArray[Any] | None
    spare: Any
    always_share: bool

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
        **numbers: float,
    ) -> None: ...
    @property
    def regime(self) -> str: ...
    def release(self) -> Any: ...
    def bind(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> None: ...
    def shuffle(self, bit_generator: np.random.BitGenerator) -> None: ...
    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, int, int]: ...
