from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .averaging import Averaging
from .model import Model
from .rows import Rows

class Cell(NamedTuple):
    regime: str
    one_layer: bool
    first_layer_packed: bool
    snapshot_taken: bool
    held: bool
    limited: bool

seen: set[Cell]

class StepCount:
    n: int

    def __init__(self, n: int = 0) -> None: ...

def gradient_of_form(model: Model) -> Model: ...

class OpenEpoch:
    def __init__(
        self,
        steps: int = 0,
        sums: tuple[float, float, float] = (0.0, 0.0, 0.0),
        seconds: float = 0.0,
        rate: float = 0.0,
        labels: bool = False,
    ) -> None: ...
    @property
    def steps(self) -> int: ...
    @property
    def sums(self) -> tuple[float, float, float]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def labels(self) -> bool: ...
    def add(
        self,
        sums: tuple[float, float, float],
        labels: bool,
        rate: float,
        seconds: float,
        steps: int = 1,
    ) -> None: ...
    def values(self) -> dict[str, Any]: ...

def gradients(
    model: Model,
    loss: str,
    x: NDArray[Any] | Rows,
    y: NDArray[Any],
    n_threads: int,
    inputs: bool,
    parameter: float = 0,
    weights: NDArray[np.float64] | None = None,
    average: str = "weights",
) -> tuple[float, Model, NDArray[Any] | None] | None: ...

class Run:
    state: NDArray[Any]
    age: int
    order: NDArray[np.int64]
    done: int
    seed: int
    step: int
    snapshot: NDArray[Any] | None
    guards: bool
    reuse_workspace: Any
    stop_request: Any
    averagings: tuple[Averaging, ...]

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
        **hyperparameters: float | str,
    ) -> None: ...
    @property
    def trains(self) -> bool: ...
    @property
    def proved(self) -> bool: ...
    def set_missed(self, l: int, steps: int) -> None: ...
    @property
    def objective(self) -> tuple[float, float] | None: ...
    @property
    def regime(self) -> str: ...
    @property
    def fault(self) -> str: ...
    @property
    def weight(self) -> float: ...
    def release(self) -> Any: ...
    def bind(
        self, x: NDArray[Any] | Rows, y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> None: ...
    def shuffle(self, bit_generator: np.random.BitGenerator) -> None: ...
    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, float, int]: ...
    def part_of(self, whole: int, weight: float, first_row: int, begin: int, end: int) -> None: ...
    def apply(
        self,
        gradient: Model,
        learning_rates: NDArray[np.float64],
        snapshot: bool = True,
        batch: int = 1,
        scale: float = 1,
    ) -> None: ...
