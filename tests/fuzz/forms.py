"""Sparse matrices of the same rows, of every form that the engine reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

DENSE = "dense rows"
# With some zeros among the numbers, and two numbers of the same place to be added, or not; in order
# or not; indices of 32 or of 64 bits.
FORMS = ("CSR", "CSR of int64", "CSR with zeros", "loose CSR", "loose CSR of int64", "CSC", "COO")


def formed(x: np.ndarray, form: str) -> Any:
    """The rows `x` in a form."""
    if form == DENSE:
        return x
    rows, columns = np.nonzero(x)
    values = x[rows, columns]
    if form == "CSC":
        return scipy.sparse.csc_array((values, (rows, columns)), x.shape)
    if form == "COO":
        return scipy.sparse.coo_array((values, (rows, columns)), x.shape)
    rng = np.random.default_rng(x.size)
    if form == "CSR with zeros":
        rows, columns, values = _with_zeros(x, rng)
    elif form.startswith("loose"):
        rows, columns, values = _out_of_order(rows, columns, values, rng)
    return _csr(x.shape, rows, columns, values, "int64" if form.endswith("int64") else "int32")


def _with_zeros(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A zero for four other numbers."""
    stored = x != 0
    zeros = np.flatnonzero(~stored)
    stored.flat[rng.permutation(zeros)[: np.count_nonzero(stored) // 4]] = True
    rows, columns = np.nonzero(stored)
    return rows, columns, x[rows, columns]


def _out_of_order(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Numbers in any order within their row, some beside a zero in the same place."""
    twice = np.flatnonzero(rng.random(len(rows)) < 0.2)
    rows, columns = np.append(rows, rows[twice]), np.append(columns, columns[twice])
    values = np.append(values, np.zeros(len(twice), values.dtype))
    order = np.lexsort((rng.random(len(rows)), rows))
    return rows[order], columns[order], values[order]


def _csr(shape, rows, columns, values, index: str) -> Any:
    """CSR of arrays as they are: SciPy's own constructor picks another type of index."""
    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    matrix = scipy.sparse.csr_array(shape, dtype=values.dtype)
    matrix.data, matrix.indices, matrix.indptr = values, columns.astype(index), starts.astype(index)
    return matrix
