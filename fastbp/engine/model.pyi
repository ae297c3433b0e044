from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rows import Rows

class Claim:
    def __enter__(self) -> Claim: ...
    def __exit__(self, *error: object) -> None: ...

class Model:
    n_inputs: int
    n_outputs: int
    dtype: np.dtype[Any]
    arena: NDArray[Any]
    revision: int
    claims_so_far: int

    def __init__(
        self,
        n_inputs: int,
        units: list[int],
        activations: list[str | tuple[str, float]],
        dtype: str,
        dropout: list[float] | None = None,
        wiring: tuple[list[tuple[Any, ...]], list[int]] | None = None,
    ) -> None: ...
    def revise(self) -> None: ...
    def set_group(
        self, l: int, trainable: bool, rate_factor: float, decay_factor: float
    ) -> None: ...
    def apart(self, array: NDArray[Any]) -> NDArray[Any]: ...
    def claim(self) -> Claim: ...
    def quiet(self, writes: bool = False) -> AbstractContextManager[Any]: ...
    def weight(self, i: int) -> NDArray[Any]: ...
    def bias(self, i: int) -> NDArray[Any]: ...
    def predict(self, x: NDArray[Any] | Rows, n_threads: int) -> NDArray[Any] | None: ...
    def activations(self, x: NDArray[Any] | Rows, n_threads: int) -> list[NDArray[Any]]: ...
    def evaluate(
        self,
        loss: str,
        x: NDArray[Any] | Rows,
        y: NDArray[Any],
        n_threads: int,
        parameter: float = 0,
        weights: NDArray[np.float64] | None = None,
        total: float = 0,
        outputs: NDArray[Any] | None = None,
    ) -> tuple[float, float] | None: ...
