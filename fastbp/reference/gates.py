"""Gates and networks with gates, for the NumPy twin of the engine.

Each function gives its value together with the way back: a function from dL/dy to dL/dx. That is
all there is to backpropagation through a graph: at a max gate the gradient goes to the piece that
was largest, at a product each factor has it times the other, at a sum both summands have it, and
where a value was used twice the two gradients are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .activations import activation_of

Array = NDArray[np.floating]
Back = Callable[[Array], Array]
# dL/dy to dL/dx and to the pairs (dW, db) of what has weights, in order.
BackAll = Callable[[Array], tuple[Array, list[tuple[Array, Array]]]]


def maxout(z: Array) -> tuple[Array, Back]:
    """Return the largest over the pieces of z [batch, pieces, units]; of equal ones the first's."""
    first = np.arange(z.shape[1])[:, None] == z.argmax(axis=1)[:, None]
    return z.max(axis=1), lambda dy: np.where(first, dy[:, None], 0)


def product(z: Array, activation: Any) -> tuple[Array, Back]:
    """Return a f(b) of z [batch, 2, units], a and b being the two pieces."""
    f = activation_of(activation)
    a, b = z[:, 0], z[:, 1]
    y = f.f(b)
    slope = f.delta(np.ones_like(b), b if f.from_z else y)
    return a * y, lambda dy: np.stack([dy * y, dy * a * slope], axis=1)


def layer(x: Array, kind: str, *parts: Any) -> tuple[Array, BackAll]:
    """Return a layer's output and the way back.

    ``"dense", W, b, f``; ``"maxout", W, b`` and ``"gated", W, b, f`` with W [n_in, pieces, units];
    ``"residual", layers, projection`` with a list of layers and another layer, or None.
    """
    if kind == "residual":
        return _residual(x, *parts)
    weight, bias, *options = parts
    z = np.tensordot(x, weight, axes=1) + bias
    if kind == "dense":
        f = activation_of(*options)
        y = f.f(z)
        gate: Back = lambda dy: f.delta(dy, z if f.from_z else y)  # noqa: E731
    else:
        y, gate = maxout(z) if kind == "maxout" else product(z, *options)

    def back(dy: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        dz = gate(dy)
        dx = np.tensordot(dz, weight, axes=(range(1, dz.ndim), range(1, dz.ndim)))
        return dx, [(np.tensordot(x, dz, axes=(0, 0)), dz.sum(axis=0))]

    return y, back


def stack(x: Array, layers: Sequence[tuple[Any, ...]]) -> tuple[Array, BackAll]:
    """Return the output of layers one above the other, and the way back."""
    ways = []
    for parts in layers:
        x, way = layer(x, *parts)
        ways.append(way)

    def back(dy: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        pairs: list[tuple[Array, Array]] = []
        for way in reversed(ways):
            dy, found = way(dy)
            pairs = found + pairs
        return dy, pairs

    return x, back


def _residual(x: Array, layers: Sequence[Any], projection: Any) -> tuple[Array, BackAll]:
    """Return x + F(x), or P(x) + F(x)."""
    inner, back_inner = stack(x, layers)
    skip, back_skip = stack(x, [] if projection is None else [projection])

    def back(dy: Array) -> tuple[Array, list[tuple[Array, Array]]]:
        (dx, pairs), (dx_skip, pairs_skip) = back_inner(dy), back_skip(dy)
        return dx + dx_skip, pairs + pairs_skip

    return skip + inner, back
