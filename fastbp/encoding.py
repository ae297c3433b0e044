"""Labels as integers and as one-hot rows, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check
from .errors import ShapeError

__all__ = ["labels", "one_hot"]


def one_hot(
    labels: ArrayLike, n_classes: int | None = None, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return a row for each label, 1 in the column of its class and 0 elsewhere.

    Parameters
    ----------
    labels : array_like
        Integers [n], 0 .. n_classes - 1.
    n_classes : int, optional
        Columns, at least 2. Default: the largest label and one more.
    dtype : {"float32", "float64"}
        Of the result.

    Returns
    -------
    ndarray
        [n, n_classes].

    Raises
    ------
    LabelError, ShapeError, DTypeError, ConfigError
        An argument cannot be used.
    """
    shape, dtype = np.shape(labels), _check.floating_dtype(dtype)
    if len(shape) != 1 or not shape[0]:
        raise ShapeError(f"labels: got shape {shape}, wanted (n,), one integer per row")
    if n_classes is None:
        n_classes = max(2, int(np.max(labels)) + 1)
    columns = max(2, _check.positive_int(n_classes, "n_classes"))
    classes = _check.targets(labels, shape[0], columns, dtype, "real", "labels")
    rows = np.zeros((shape[0], columns), dtype)
    rows[np.arange(shape[0]), classes] = 1
    return rows


def labels(rows: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each row: the column of its largest value, the first of several.

    Parameters
    ----------
    rows : array_like
        One-hot, or a network's outputs, [n, n_classes >= 2].

    Returns
    -------
    ndarray
        int64 [n].

    Raises
    ------
    ShapeError, InputError, DTypeError
        `rows` is not a finite array of this shape.
    """
    shape = np.shape(rows)
    if len(shape) != 2 or shape[1] < 2:
        raise ShapeError(f"rows: got shape {shape}, wanted (n, n_classes >= 2)")
    values = _check.inputs(rows, shape[1], _check.DTYPES["float64"], "rows")
    return values.argmax(axis=1).astype(np.int64)
