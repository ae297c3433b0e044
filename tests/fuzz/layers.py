"""The layers of a network on known numbers: forward, and back, each with its error.

As `fastbp.reference.stack` computes them; what each adds is how far a wrong input carries. Of an
activation that is how steep f is (L), how fast f' changes (C), how f' leaps at 0 (J) and how large
it is (S); of a maximum, which piece may have won.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastbp import reference
from fastbp.reference.activations import SELU_ALPHA, SELU_SCALE, activation_of
from fuzz.known import ULPS, Known, joined

Pairs = list[tuple[Known, Known]]
Back = Callable[[Known], tuple[Known, Pairs]]


class Bends(NamedTuple):
    """Bounds of f', of f'', of the leap of f' at 0, of f' as it is rounded; the leap of f at 0."""

    L: float
    C: float
    J: float
    S: float
    leap: float = 0


FLOOR = SELU_SCALE * SELU_ALPHA
BENDS = {
    "linear": Bends(1, 0, 0, 0),
    "sigmoid": Bends(0.25, 0.1, 0, 0.25),
    "tanh": Bends(1, 0.77, 0, 1),
    "relu": Bends(1, 0, 1, 0),
    "selu": Bends(FLOOR, FLOOR, FLOOR - SELU_SCALE, FLOOR),
    "softplus": Bends(1, 0.25, 0, 1),
    "gelu": Bends(1.13, 0.8, 0, 1.13),
    "silu": Bends(1.1, 0.5, 0, 1.1),
    "sign": Bends(0, 0, 0, 0, leap=2),
    "step": Bends(0, 0, 0, 0, leap=1),
}


def bends(activation: Any) -> Bends:
    name, parameter = activation if isinstance(activation, tuple) else (activation, None)
    if name == "leaky_relu":
        slope = 0.01 if parameter is None else parameter
        return Bends(1, 0, 1 - slope, slope)
    if name == "elu":
        alpha = 1.0 if parameter is None else parameter
        return Bends(max(1, alpha), alpha, abs(1 - alpha), max(1, alpha))
    return BENDS[name]


def activated(z: Known, activation: Any) -> tuple[Known, Known]:
    """f(z) and f'(z) of what works element by element.

    The engine gets f' from y or from z: both are within 2 ulp and what they are off already. GELU
    and SiLU are z times a function that is rounded on its own, near 0 as near 1.
    """
    f, b = activation_of(activation), bends(activation)
    y = z.map(f.f, b.L, 0 if activation == "linear" else ULPS)
    y = y.off(b.leap * z.may_be_either_side_of(0))
    if activation in ("gelu", "silu"):
        y = y.off(ULPS * z.u * z.reach)
    slope = f.delta(np.ones_like(z.value), z.value if f.from_z else y.value)
    error = b.C * z.error + b.J * z.may_be_either_side_of(0)
    # what y itself is rounded goes into a slope from y: 2 of tanh is the most, for |y| <= 1
    return y, Known(slope, z.u, error + 4 * ULPS * z.u * b.S * np.maximum(1, np.abs(y.value)))


def softmax(z: Known) -> Known:
    """Every exponential is off by the same share at most, and so is their sum."""
    y = reference.ACTIVATIONS["softmax"].f(z.value)
    off = z.error.max(axis=-1, keepdims=True)
    spread = z.reach.max(axis=-1, keepdims=True) - z.value  # the difference is rounded, then e^
    share = np.expm1(2 * off) + z.u * (2 * spread + y.shape[-1] + 2 * ULPS)
    return Known(y, z.u, y * share)


def dense(x: Known, weight: Known, bias: Known, activation: Any) -> tuple[Known, Back]:
    z = _affine(x, weight, bias)
    if activation == "softmax":
        y = softmax(z)
    else:
        y, slope = activated(z, activation)

    def back(dy: Known) -> tuple[Known, Pairs]:
        if activation == "softmax":
            dot = (dy * y).sum(1).reshape(-1, 1)
            dz = y * (dy - dot)
        else:
            dz = dy if activation == "linear" else dy * slope
        return dz @ weight.transposed, [gradient(x, dz)]

    return y, back


def gated(x: Known, weight: Known, bias: Known, gate: Callable) -> tuple[Known, Back]:
    """Pieces of z [rows, pieces, units] that a gate makes one of."""
    n_in, pieces, units = weight.value.shape
    flat = weight.reshape(n_in, pieces * units)
    z = _affine(x, flat, bias.reshape(-1)).reshape(-1, pieces, units)
    y, back_gate = gate(z)

    def back(dy: Known) -> tuple[Known, Pairs]:
        dz = back_gate(dy).reshape(-1, pieces * units)
        dw, db = gradient(x, dz)
        return dz @ flat.transposed, [(dw.reshape(n_in, pieces, units), db.reshape(pieces, units))]

    return y, back


def maxout(z: Known) -> tuple[Known, Callable[[Known], Known]]:
    """Where another piece may have won, all of the delta may be elsewhere."""
    y, back = reference.maxout(z.value)
    largest = Known(y, z.u, z.error.max(axis=1))
    may_win = z.value + z.error >= (z.value - z.error).max(axis=1, keepdims=True)
    unsure = may_win & (may_win.sum(axis=1, keepdims=True) > 1) & (z.error > 0)

    def back_known(dy: Known) -> Known:
        won = back(np.ones_like(dy.value))
        error = np.where(unsure, dy.reach[:, None], won * dy.error[:, None])
        return Known(back(dy.value), z.u, error)

    return largest, back_known


def product(z: Known, activation: Any) -> tuple[Known, Callable[[Known], Known]]:
    a = z[:, 0]
    y, slope = activated(z[:, 1], activation)
    return a * y, lambda dy: joined([dy * y, dy * a * slope], axis=1)


def gradient(x: Known, dz: Known) -> tuple[Known, Known]:
    """dW and db: chains of at most 256 rows, and their sum; a chain of all rows is no shorter."""
    one = Known(np.ones((1, len(dz.value))), dz.u)
    return x.transposed @ dz, (one @ dz).reshape(-1)


def layer(x: Known, described: tuple) -> tuple[Known, Back]:
    """A layer as `gate_networks.described` gives it."""
    kind, *parts = described
    if kind == "residual":
        return _residual(x, *parts)
    weight, bias = Known(parts[0], x.u), Known(parts[1], x.u)
    if kind == "dense":
        return dense(x, weight, bias, parts[2])
    gate = maxout if kind == "maxout" else lambda z: product(z, parts[2])
    return gated(x, weight, bias, gate)


def stack(x: Known, layers: list[tuple]) -> tuple[Known, Back]:
    ways = []
    for described in layers:
        x, way = layer(x, described)
        ways.append(way)

    def back(dy: Known) -> tuple[Known, Pairs]:
        pairs: Pairs = []
        for way in reversed(ways):
            dy, found = way(dy)
            pairs = found + pairs
        return dy, pairs

    return x, back


def _affine(x: Known, weight: Known, bias: Known) -> Known:
    """The bias is the first term of each chain."""
    z = x @ weight
    return Known(z.value + bias.value, x.u, z.error + z.gamma(len(weight.value)) * bias.reach)


def _residual(x: Known, layers: list, projection: tuple | None) -> tuple[Known, Back]:
    inner, back_inner = stack(x, layers)
    skip, back_skip = stack(x, [] if projection is None else [projection])

    def back(dy: Known) -> tuple[Known, Pairs]:
        (dx, pairs), (dx_skip, more) = back_inner(dy), back_skip(dy)
        return dx + dx_skip, pairs + more

    return skip + inner, back
