from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

def usable(x: object) -> bool: ...

class Rows:
    data: NDArray[Any]
    mean: NDArray[np.float64] | None
    scale: NDArray[np.float64] | None
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __init__(
        self,
        data: NDArray[Any],
        mean: NDArray[np.float64] | None = None,
        scale: NDArray[np.float64] | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Rows: ...
    def of(self, data: NDArray[Any]) -> Rows: ...
    def unmapped(self) -> NDArray[Any]: ...
    def converted(self, dtype: DTypeLike) -> NDArray[Any]: ...
    def all_finite(self, dtype: DTypeLike) -> bool: ...
    def first_not_finite(self, dtype: DTypeLike) -> slice | None: ...
    def largest(self, dtype: DTypeLike) -> float: ...

class SparseRows(Rows):
    columns: NDArray[Any]
    starts: NDArray[Any]
    leaves_out_zeros: bool

    def __init__(
        self,
        data: NDArray[Any],
        columns: NDArray[Any],
        starts: NDArray[Any],
        n_columns: int,
        mean: NDArray[np.float64] | None = None,
        scale: NDArray[np.float64] | None = None,
    ) -> None: ...
    def __getitem__(self, index: Any) -> SparseRows: ...
    def numbers_of(self, index: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
    def most(self, rows: int) -> int: ...

def structure(
    starts: NDArray[Any], columns: NDArray[Any], n_values: int, n_columns: int
) -> tuple[str, int]: ...
