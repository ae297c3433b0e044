"""Where the values of target rows must lie: what is wrong with them, if anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["WITHOUT_CLASSES", "extremes", "fault"]

PROBABILITY_SUM_TOLERANCE = 1e-3

# Domains that the one-hot rows of classes do not lie in, or make no sense in.
WITHOUT_CLASSES = {"sign": "-1 and 1", "count": "numbers >= 0"}

# Up to here Python's min and max over a list beat NumPy's reductions.
_SMALL = 64


def fault(y: NDArray[Any], domain: str) -> str | None:
    """Return what came and what was wanted if `y`, finite [n, n_outputs], is not in the domain.

    Parameters
    ----------
    y : ndarray
        Target rows.
    domain : str
        "real" (anything), "unit" ([0, 1]), "count" (>= 0), "distribution" (>= 0, with sum 1),
        "one_hot" (a 1, the rest 0), "sign" (-1 and 1) or "bit" (0 and 1).
    """
    if domain == "real":
        return None
    if domain == "distribution":
        return None if _are_distributions(y) else _worst_distribution(y)
    if domain in ("unit", "count"):
        low, high = extremes(y)
        if low < 0 or (domain == "unit" and high > 1):
            wanted = "[0, 1]" if domain == "unit" else "numbers >= 0"
            return f"got values from {low:g} to {high:g}, wanted {wanted}"
        return None
    if domain == "sign":
        return _other(y, np.abs(y) == 1, "-1 and 1")
    wrong = _other(y, (y == 0) | (y == 1), "0 and 1")
    if wrong or domain == "bit":
        return wrong
    ones = y.sum(axis=1)
    if (ones == 1).all():
        return None
    row = int(np.argmax(ones != 1))
    return f"got {ones[row]:g} ones in row {row}, wanted one-hot rows, or one-dimensional classes"


def _other(y: NDArray[Any], right: NDArray[np.bool_], wanted: str) -> str | None:
    if right.all():
        return None
    row, column = (int(i) for i in np.argwhere(~right)[0])
    return f"got {y[row, column]:g} at [{row}, {column}], wanted {wanted}"


def _worst_distribution(y: NDArray[Any]) -> str:
    sums, lows = y.sum(axis=1), y.min(axis=1)
    row = int(np.argmax(np.maximum(np.abs(sums - 1), -lows)))
    return (
        f"got the sum {sums[row]:g} and the least value {lows[row]:g} in row {row}, "
        "wanted probabilities that sum to 1 (one-hot or soft), or one-dimensional classes"
    )


def _are_distributions(y: NDArray[Any]) -> bool:
    if y.size <= _SMALL:
        for row in y.tolist():
            if min(row) < 0 or abs(sum(row) - 1) > PROBABILITY_SUM_TOLERANCE:
                return False
        return True
    sums_agree = np.abs(y.sum(axis=1) - 1) <= PROBABILITY_SUM_TOLERANCE
    return bool(y.min() >= 0 and sums_agree.all())


def extremes(array: NDArray[Any]) -> tuple[Any, Any]:
    """Return the least and the largest value."""
    if array.size <= _SMALL:
        values = (array if array.ndim == 1 else array.ravel()).tolist()
        return min(values), max(values)
    return array.min(), array.max()
