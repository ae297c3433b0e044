"""The weights of rows: given one by one, or by class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError, LabelError

__all__ = ["ClassWeight", "check_class_weight", "row_weights"]

ClassWeight = dict[int, float] | str | None


def check_class_weight(value: Any, n_outputs: int) -> ClassWeight:
    """Return `value` as None, "balanced" or a weight >= 0 for each of some classes."""
    if value is None or (isinstance(value, str) and value == "balanced"):
        return value
    if not isinstance(value, dict) or not value:
        raise ConfigError(
            f"class_weight: got {value!r}, wanted 'balanced' or a dict of weights by class"
        )
    checked = {}
    for key, weight in value.items():
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            raise ConfigError(f"class_weight: got the class {key!r}, wanted integers")
        if n_outputs > 1 and not 0 <= key < n_outputs:
            raise ConfigError(
                f"class_weight: got the class {key}, wanted 0..{n_outputs - 1}, as the network has "
                f"{n_outputs} outputs"
            )
        checked[int(key)] = _check.number(weight, f"class_weight[{key}]")
    return checked


def row_weights(
    sample_weight: ArrayLike | None, class_weight: ClassWeight, y: NDArray[Any], dtype: np.dtype
) -> NDArray[np.float64] | None:
    """Return the product of both, float64 [n], or None if there is neither.

    Parameters
    ----------
    sample_weight : array_like, optional
        [n], as the user gives it.
    class_weight : dict or "balanced", optional
        Checked. A class that is left out counts 1; "balanced" gives a class with m of the n
        rows n / (m * number of classes that occur), so that each has the same share.
    y : ndarray
        Classes or targets of the rows, as the engine takes them.
    dtype : dtype
        Of the network, in whose range the weights must be.
    """
    weights = None
    if sample_weight is not None:
        weights = _check.weights(sample_weight, len(y), dtype, "sample_weight")
    if class_weight is None:
        return weights
    values, which, counts = np.unique(_classes(y), return_inverse=True, return_counts=True)
    if isinstance(class_weight, dict):
        each = np.array([class_weight.get(int(value), 1.0) for value in values])
    else:
        each = len(y) / (len(values) * counts)
    by_class = each[which]
    return by_class if weights is None else weights * by_class


def _classes(y: NDArray[Any]) -> NDArray[Any]:
    """Return the class of each row: one-dimensional, or whole numbers for one output."""
    if y.ndim == 1:
        return y
    if y.shape[1] == 1 and (y == np.rint(y)).all():
        return y[:, 0]
    raise LabelError(
        f"y: got targets of shape {y.shape}, wanted one-dimensional integer classes, which "
        "class_weight needs"
    )
