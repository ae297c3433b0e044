"""The gradient of a user's own loss checked against central differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from . import _check
from ._given import LossFunction, measured
from .errors import ConfigError, ShapeError
from .gradcheck import GradientCheck, central_differences, compare

__all__ = ["check_loss"]


def check_loss(
    function: LossFunction,
    outputs: ArrayLike,
    targets: ArrayLike,
    eps: float = 1e-6,
    tolerance: float = 1e-5,
) -> GradientCheck:
    """Compare the gradient that a loss of your own gives with central differences of its values.

    Parameters
    ----------
    function : callable
        ``f(outputs, targets)``, as in `fastbp.losses`.
    outputs : array_like
        [n, n_outputs], away from kinks; taken as float64.
    targets : array_like
        What the function takes for them.
    eps, tolerance : float
        As for `gradient_check`.

    Returns
    -------
    GradientCheck
        With one entry, for the outputs, and a table as its ``str``.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, InputError
        An argument cannot be used, or the function gives something else than a pair of arrays of
        these shapes.

    Examples
    --------
    >>> import fastbp as fb
    >>> half_square = lambda y, t: (((y - t) ** 2).sum(axis=1) / 2, y - t)
    >>> fb.check_loss(half_square, [[0.5, 2.0]], [[1.0, 0.0]]).passed
    True
    """
    eps, tolerance = _check.positive(eps, "eps"), _check.positive(tolerance, "tolerance")
    if not callable(function):
        raise ConfigError(f"function: got {function!r}, wanted f(outputs, targets)")
    y = np.array(_check.parameter(outputs, np.shape(outputs), np.dtype(np.float64), "outputs"))
    if y.ndim != 2 or not y.size:
        raise ShapeError(f"outputs: got shape {y.shape}, wanted (n, n_outputs)")
    t = np.asarray(targets)
    analytic = measured(function, y.copy(), t)[1]

    def objective() -> float:
        return float(measured(function, y.copy(), t)[0].sum())

    numerical = central_differences(objective, y, eps)
    check = compare("loss", ("outputs",), [analytic], [numerical], tolerance)
    return GradientCheck((check,), tolerance)
