"""The losses of rows on known numbers, with their slopes by the output, or by z where they take it.

As the rows of `fastbp.reference.LOSSES`. Slopes leap where a loss has a kink: where the engine may
be on the other side of it, the whole leap is error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fuzz.known import ULPS, Known
from fuzz.layers import activated, softmax

Of = tuple[Known, Known]  # the loss of each row, and its slope


def squares(y: Known, t: np.ndarray, of_value: float, of_slope: float) -> Of:
    d = y - Known(t, y.u)
    return (d * d).sum(1) * of_value, d * of_slope


def squared_error(y: Known, t: np.ndarray, _: float) -> Of:
    return squares(y, t, 0.5, 1)


def mse(y: Known, t: np.ndarray, _: float) -> Of:
    return squares(y, t, 1 / t.shape[1], 2 / t.shape[1])


def own(y: Known, t: np.ndarray, _: float) -> Of:
    """`recipes.own_loss`."""
    return squares(y, t, 1, 2)


def mae(y: Known, t: np.ndarray, _: float) -> Of:
    d, n = y - Known(t, y.u), t.shape[1]
    sign = Known(np.sign(d.value), y.u, 2 * d.may_be_either_side_of(0))
    return d.map(np.abs, rounding=0).sum(1) * (1 / n), sign * (1 / n)


def huber(y: Known, t: np.ndarray, delta: float) -> Of:
    d, n = y - Known(t, y.u), t.shape[1]
    c = d.map(lambda v: np.clip(v, -delta, delta))
    return (c * (d - c * 0.5)).sum(1) * (1 / n), c * (1 / n)


def quantile(y: Known, t: np.ndarray, q: float) -> Of:
    d, n = y - Known(t, y.u), t.shape[1]
    value = d.map(lambda v: np.maximum(-q * v, (1 - q) * v), max(q, 1 - q))
    slope = np.where(d.value < 0, -q, np.where(d.value > 0, 1 - q, 0))
    sure = Known(slope, y.u, 1.0 * d.may_be_either_side_of(0)).rounded()
    return value.sum(1) * (1 / n), sure * (1 / n)


def poisson(z: Known, t: np.ndarray, _: float) -> Of:
    rate = np.exp(z.value)
    known = Known(rate, z.u, rate * np.expm1(z.error)).rounded(ULPS)
    return (known - z * t).sum(1), known - Known(t, z.u)


def cross_entropy(z: Known, t: np.ndarray, _: float) -> Of:
    """log sum e^z - t z, for t with the sum 1: how far z is off comes in twice at most."""
    shifted = z.value - z.value.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    size = log_sum + np.sum(np.abs(t) * (np.abs(shifted) + 2 * z.reach), axis=1)
    error = 2 * z.error.max(axis=1) + z.gamma(t.shape[1] + 2 * ULPS) * (size + 1)
    value = np.sum(t * (log_sum[:, None] - shifted), axis=1)
    return Known(value, z.u, error), softmax(z) - Known(t, z.u).rounded(t.shape[1])


def binary_cross_entropy(z: Known, t: np.ndarray, _: float) -> Of:
    p, _ = activated(z, "sigmoid")
    terms = [np.maximum(z.value, 0), -z.value * t, np.log1p(np.exp(-np.abs(z.value)))]
    size = sum(np.abs(term) for term in terms)
    value = Known(sum(terms), z.u, z.error + ULPS * z.u * (size + z.error))
    return value.sum(1), p - Known(t, z.u)


def hinge(z: Known, t: np.ndarray, margin: float) -> Of:
    missing = Known(np.full(t.shape, margin), z.u) - z * t
    slope = np.where(missing.value > 0, -t, 0)
    sure = Known(slope, z.u, np.abs(t) * missing.may_be_either_side_of(0))
    return missing.map(lambda v: np.maximum(v, 0), rounding=0).sum(1), sure


def multiclass_hinge(z: Known, t: np.ndarray, margin: float) -> Of:
    """The term of the class itself is 0, and its slope minus the number of the others."""
    own_class = t == 1
    of_class = (z * t).sum(1).reshape(-1, 1)
    over = z - of_class + margin
    over = Known(np.where(own_class, 0, over.value), z.u, np.where(own_class, 0, over.error))
    wrong = Known(over.value > 0, z.u, 1.0 * over.may_be_either_side_of(0))
    count = wrong.value.sum(1, keepdims=True), wrong.error.sum(1, keepdims=True)
    slope = wrong.where(~own_class, Known(-t * count[0], z.u, t * count[1]))
    return over.map(lambda v: np.maximum(v, 0), rounding=0).sum(1), slope


def perceptron(z: Known, t: np.ndarray, p: float) -> Of:
    sign = (1 + p) * t - p
    right = z * sign
    slope = np.where(right.value > 0, 0, -sign)
    sure = Known(slope, z.u, np.abs(sign) * right.may_be_either_side_of(0))
    return (-right).map(lambda v: np.maximum(v, 0), rounding=0).sum(1), sure


LOSSES: dict[str, Any] = {
    f.__name__: f
    for f in (
        squared_error, mse, mae, huber, quantile, poisson, cross_entropy, binary_cross_entropy,
        hinge, multiclass_hinge, perceptron, own,
    )
}  # fmt: skip
