"""Sparse matrices of SciPy as the arrays of compressed sparse rows, checked before they are read.

SciPy's own conversions trust the arrays of a matrix, which may hold anything: they are not used.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .engine.arrays import held
from .engine.rows import SparseRows, structure
from .errors import DTypeError, InputError, ShapeError

__all__ = ["Compressed", "compressed", "is_sparse", "shape_of", "taken"]

FORMATS = ("csr", "csc", "coo")
# What is wrong with the arrays of a matrix, by the word of `structure`.
FAULTS = {
    "begin": "an indptr that does not begin with 0",
    "fall": "an indptr that falls at index {}",
    "end": "an indptr that points beyond the numbers at index {}",
    "column": "an index out of range at index {} of the indices",
}


class Compressed(NamedTuple):
    """Row i has the numbers values[k] in columns[k], k from starts[i] to starts[i + 1] - 1."""

    values: NDArray[Any]
    columns: NDArray[Any]
    starts: NDArray[Any]


def is_sparse(x: object) -> bool:
    """Return whether `x` is a sparse matrix or array of SciPy."""
    return hasattr(x, "tocsr") and hasattr(x, "format")


def shape_of(x: Any, name: str) -> tuple[int, int]:
    """Return the shape of a sparse matrix of a format that is read here.

    Raises
    ------
    DTypeError
        It is of another format.
    ShapeError
        It has not two dimensions.
    """
    if x.format not in FORMATS:
        raise DTypeError(
            f"{name}: got a sparse {type(x).__name__}, wanted CSR, CSC or COO: {name}.tocsr()"
        )
    if len(x.shape) != 2:
        raise ShapeError(f"{name}: got a sparse array of shape {x.shape}, wanted two dimensions")
    n_rows, n_columns = x.shape
    return int(n_rows), int(n_columns)


def compressed(x: Any, values: NDArray[Any], name: str) -> Compressed:
    """Return the rows of a sparse matrix, in each of which the columns ascend.

    Parameters
    ----------
    x : sparse matrix
        Of CSR whose columns ascend the arrays are used in place. Otherwise they are copied: the
        columns are sorted, and numbers of the same place added up.
    values : ndarray
        ``x.data`` as numbers.
    name : str
        Of the matrix in errors.

    Raises
    ------
    InputError, DTypeError
        Its arrays are not those of a matrix.
    """
    n_rows, n_columns = shape_of(x, name)
    if values.ndim != 1:
        raise InputError(f"{name}: got data of shape {values.shape}, wanted one dimension")
    if x.format == "coo":
        rows, columns = (a.copy() for a in _indices(name, (x.row, x.col), "row", "col"))
        for part, places, end in (("row", rows, n_rows), ("col", columns, n_columns)):
            if len(places) != len(values):
                raise _broken(name, f"{len(values)} numbers and a {part} of {len(places)}")
            if len(places) and not (places.min() >= 0 and places.max() < end):
                raise _broken(name, f"a {part} out of range")
        return _ordered(values, rows, columns, n_rows)
    starts, places = _indices(name, (x.indptr, x.indices), "indptr", "indices")
    lines, ends = (n_rows, n_columns) if x.format == "csr" else (n_columns, n_rows)
    if len(starts) != lines + 1:
        raise _broken(name, f"an indptr of {len(starts)} for {lines}")
    fault, where = structure(starts, places, len(values), ends)
    if not fault and x.format == "csr":
        return Compressed(values, places, starts)
    if fault in ("", "order"):  # of a copy, which nobody changes
        starts, places, values = starts.copy(), places.copy(), values.copy()
        fault, where = structure(starts, places, len(values), ends)
    if fault not in ("", "order"):
        raise _broken(name, FAULTS[fault].format(where))
    along = np.repeat(np.arange(lines, dtype=starts.dtype), np.diff(starts))
    places, values = places[: starts[-1]], values[: starts[-1]]
    rows, columns = (along, places) if x.format == "csr" else (places, along)
    return _ordered(values, rows, columns, n_rows)


def taken(x: Any, rows: NDArray[np.int64]) -> Any:
    """Return some rows of a sparse matrix as CSR, a matrix of a matrix and an array of an array."""
    parts = compressed(x, held(x.data), "x")
    n_columns = x.shape[1]
    found = SparseRows(*parts, n_columns)[rows]
    scipy = sys.modules["scipy.sparse"]
    kind = scipy.csr_array if "array" in type(x).__name__ else scipy.csr_matrix
    return kind((found.data, found.columns, found.starts), shape=(len(rows), n_columns))


def _indices(name: str, arrays: Any, *parts: str) -> list[NDArray[Any]]:
    """Return arrays of indices as the engine reads them: both int32, or both int64."""
    found = [held(np.asarray(array)) for array in arrays]
    for array, part in zip(found, parts, strict=True):
        if array.ndim != 1:
            raise _broken(name, f"a {part} of shape {array.shape}")
        if array.dtype.kind not in "iu":
            raise DTypeError(f"{name}: got a {part} of {array.dtype}, wanted int32 or int64")
    small = all(array.dtype == np.int32 for array in found)
    return [np.require(array, np.int32 if small else np.int64, ("C", "A")) for array in found]


def _ordered(
    values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], n_rows: int
) -> Compressed:
    """Return numbers in any order as rows; those of the same place are added in their order."""
    order = np.lexsort((columns, rows))
    values, rows, columns = values[order], rows[order], columns[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    if not first.all():
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.add.reduceat(values, np.flatnonzero(first), dtype=values.dtype)
        rows, columns = rows[first], columns[first]
    starts = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=starts[1:])
    return Compressed(values, columns.astype(np.int64), starts)


def _broken(name: str, got: str) -> InputError:
    return InputError(
        f"{name}: got a sparse matrix with {got}, wanted one that {name}.check_format() accepts"
    )
