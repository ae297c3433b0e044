"""The losses of the NumPy twin.

Part of `fastbp.reference`, which is the door to it.

.. [1] Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors",
       Nature 323, 1986.
.. [2] Nielsen, "Neural Networks and Deep Learning", 2015, chapters 2 and 3.
.. [3] Goodfellow, Bengio & Courville, "Deep Learning", 2016, chapter 6.
.. [4] Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics, 1964.
.. [5] Koenker & Bassett, "Regression quantiles", Econometrica, 1978.
.. [6] Weston & Watkins, "Support vector machines for multi-class pattern recognition", ESANN 1999.
.. [7] Rosenblatt, "The perceptron", Psychological Review, 1958.
.. [8] Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .activations import sigmoid, softmax

Array = NDArray[np.floating]


class Loss(NamedTuple):
    """``rows(output, target, p)``: the loss of each row; ``slope``, the same: its derivative.

    ``output`` is y and ``slope`` dL/dy; for a loss ``fused_with`` its one output activation,
    ``output`` is z (the logits) and ``slope`` dL/dz, so that nothing saturates [3]_ (6.2.2).
    ``p`` is the loss's parameter, of any value where it has none. ``correct(output, target, p)``
    tells which rows are right; it is None where the largest output is the class.
    """

    rows: Callable[[Array, Array, float], Array]
    slope: Callable[[Array, Array, float], Array]
    fused_with: str | None = None
    correct: Callable[[Array, Array, float], Any] | None = None


def smooth_rows(target: Array, smoothing: float) -> Array:
    """(1 - smoothing) t + smoothing / n_outputs [8]_."""
    smoothed: Array = (1 - smoothing) * target + smoothing / target.shape[-1]
    return smoothed


def weigh_rows(
    delta: Array, row_loss: Array, weights: Array, count: float, total: float
) -> tuple[Array, Array]:
    """Each row's loss times its weight, its delta times weight * count / total.

    With the number of rows and the sum of the weights, deltas of the mean loss become those of the
    weighted mean, sum_i w_i L_i / sum_i w_i. A row of weight 0 has neither, whatever its loss.
    """
    kept = weights != 0
    delta, row_loss = np.where(kept[:, None], delta, 0), np.where(kept, row_loss, 0)
    return delta * (weights * (count / total))[:, None], row_loss * weights


def _cross_entropy(z: Array, target: Array, _: float) -> Array:
    """-sum_j t_j log softmax(z)_j, with log softmax(z)_j = z_j - max - log sum_i exp(z_i - max)."""
    shifted = z - z.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    row_loss: Array = (target * (log_sum - shifted)).sum(axis=-1)
    return row_loss


def _binary_cross_entropy(z: Array, target: Array, _: float) -> Array:
    """-sum_j [t log p + (1 - t) log(1 - p)], p = sigmoid(z): max(z, 0) - z t + log(1 + e^-|z|)."""
    row_loss: Array = (np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z)))).sum(axis=-1)
    return row_loss


def _huber(y: Array, target: Array, delta: float) -> Array:
    """1/n sum_j d^2/2 while |d| <= delta, delta (|d| - delta/2) beyond; d = y - t [4]_."""
    d = np.abs(y - target)
    row_loss: Array = np.where(d <= delta, d * d / 2, delta * (d - delta / 2)).mean(axis=-1)
    return row_loss


def _quantile(y: Array, target: Array, q: float) -> Array:
    """1/n sum_j max(q (t - y), (q - 1) (t - y)) [5]_."""
    row_loss: Array = np.maximum(q * (target - y), (q - 1) * (target - y)).mean(axis=-1)
    return row_loss


def _quantile_slope(y: Array, target: Array, q: float) -> Array:
    slope = np.where(y < target, -q, np.where(y > target, 1 - q, 0))
    scaled: Array = slope.astype(y.dtype) / y.shape[-1]
    return scaled


def _others(z: Array, target: Array, margin: float) -> Array:
    """z_j - z_c + margin for all j but c, the class of the row, where it is 0."""
    of_class = (z * target).sum(axis=-1, keepdims=True)
    return np.where(target == 1, 0, z - of_class + margin)


def _multiclass_hinge_slope(z: Array, target: Array, margin: float) -> Array:
    """1 for each j that comes within the margin, minus their number for the class itself [6]_."""
    wrong = (_others(z, target, margin) > 0).astype(z.dtype)
    slope: Array = wrong - target * wrong.sum(axis=-1, keepdims=True)
    return slope


def _signs(target: Array, p: float) -> Array:
    """-1 and 1 from these, or with p = 1 from 0 and 1."""
    return (1 + p) * target - p


def _sides(z: Array, target: Array, _: float) -> Any:
    """Every output, a logit, is on its target's side of one half."""
    return np.where(target > 0.5, z > 0, z <= 0).all(axis=-1)


def _perceptron_correct(z: Array, target: Array, p: float) -> Any:
    return _sides(z, target, p) if p else (target * z > 0).all(axis=-1)


def _perceptron_slope(z: Array, target: Array, p: float) -> Array:
    """-t for a mistake; z = 0 counts as one [7]_."""
    sign = _signs(target, p)
    return np.where(sign * z > 0, 0, -sign)


LOSSES: dict[str, Loss] = {
    # 1/2 sum_j (y_j - t_j)^2: the loss of [1]_ (eq. 3) and [2]_ (eq. 6)
    "squared_error": Loss(lambda y, t, _: 0.5 * ((y - t) ** 2).sum(axis=-1), lambda y, t, _: y - t),
    # 1/n sum_j (y_j - t_j)^2
    "mse": Loss(
        lambda y, t, _: ((y - t) ** 2).mean(axis=-1), lambda y, t, _: 2 * (y - t) / y.shape[-1]
    ),
    # 1/n sum_j |y_j - t_j|
    "mae": Loss(
        lambda y, t, _: np.abs(y - t).mean(axis=-1), lambda y, t, _: np.sign(y - t) / y.shape[-1]
    ),
    "huber": Loss(_huber, lambda y, t, delta: np.clip(y - t, -delta, delta) / y.shape[-1]),
    "quantile": Loss(_quantile, _quantile_slope),
    # sum_j e^z - t z: -log of the likelihood of t at the rate e^z, without log t!
    "poisson": Loss(
        lambda z, t, _: (np.exp(z) - t * z).sum(axis=-1), lambda z, t, _: np.exp(z) - t, "linear"
    ),
    "cross_entropy": Loss(
        _cross_entropy, lambda z, t, _: softmax(z) * t.sum(axis=-1, keepdims=True) - t, "softmax"
    ),
    "binary_cross_entropy": Loss(
        _binary_cross_entropy, lambda z, t, _: sigmoid(z) - t, "sigmoid", _sides
    ),
    # sum_j max(0, margin - t z)
    "hinge": Loss(
        lambda z, t, margin: np.maximum(0, margin - t * z).sum(axis=-1),
        lambda z, t, margin: np.where(t * z < margin, -t, 0),
        "linear",
        lambda z, t, _: (t * z > 0).all(axis=-1),
    ),
    # sum_{j != c} max(0, z_j - z_c + margin) [6]_
    "multiclass_hinge": Loss(
        lambda z, t, margin: np.maximum(0, _others(z, t, margin)).sum(axis=-1),
        _multiclass_hinge_slope,
        "linear",
    ),
    # sum_j max(0, -t z) [7]_
    "perceptron": Loss(
        lambda z, t, p: np.maximum(0, -_signs(t, p) * z).sum(axis=-1),
        _perceptron_slope,
        "linear",
        _perceptron_correct,
    ),
}
