"""The traces of single layers, each with the lines that it is printed as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._trace_table import piece_table, table, unit_table

__all__ = ["GatedTrace", "LayerTrace", "MaxoutTrace", "ResidualTrace", "titled"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer's numbers for one example; a `Dense` layer's, and see the classes below.

    Attributes
    ----------
    layer : str
        The layer, as given to the network.
    x : ndarray
        Its input [n_in]: the example, behind a preprocessing what that makes of it, or the output
        of the layer below.
    u : ndarray
        Its net input x W + b [n_out].
    y : ndarray
        Its output f(u) [n_out].
    delta : ndarray
        dL/du [n_out].
    dW, db : ndarray
        dL/dW = x delta [n_in, n_out] and dL/db = delta [n_out].
    """

    layer: str
    x: Array
    u: Array
    y: Array
    delta: Array
    dW: Array  # noqa: N815
    db: Array

    def _lines(self, _: str, target: Array | None) -> list[str]:
        """Return a line per unit; `target` is a column of the last layer."""
        columns = {"u": self.u, "y": self.y, "target": target, "delta": self.delta, "db": self.db}
        return unit_table(columns, self.dW)


class _PiecesTrace(LayerTrace):
    """Of a layer with several net inputs for each output."""

    def _piece_lines(self, names: list[str], at: Array, target: Array | None) -> list[str]:
        """Return a line per unit and piece, whose name is one of `names`, y in that of `at`."""
        places = [(unit, piece) for unit in range(len(at)) for piece in range(len(self.u))]

        def once(values: Array | None) -> list[Any] | None:
            if values is None:
                return None
            return [values[unit] if piece == at[unit] else "" for unit, piece in places]

        columns = {"piece": names, "u": self.u, "y": once(self.y), "target": once(target)}
        return piece_table(columns | {"delta": self.delta, "db": self.db}, self.dW)


class MaxoutTrace(_PiecesTrace):
    """A `Maxout` layer's numbers for one example.

    Attributes
    ----------
    layer, x, y
        As of a `LayerTrace`; y is the largest u over the pieces.
    u, delta, db : ndarray
        Net input of each piece, and dL/du = dL/db, 0 but for the piece that won, [pieces, n_out].
    dW : ndarray
        dL/dW = x delta [n_in, pieces, n_out].
    won : ndarray
        The piece that each output is [n_out]; of equal ones the first.
    """

    @property
    def won(self) -> NDArray[np.intp]:
        """The piece that each output is [n_out]; of equal ones the first."""
        return self.u.argmax(axis=0)

    def _lines(self, _: str, target: Array | None) -> list[str]:
        names = [f"{i} (won)" if i == k else f"{i}" for k in self.won for i in range(len(self.u))]
        return self._piece_lines(names, self.won, target)


class GatedTrace(_PiecesTrace):
    """A `Gated` layer's numbers for one example.

    Attributes
    ----------
    layer, x, y
        As of a `LayerTrace`; y is a f(b).
    u, delta, db : ndarray
        Net inputs a and b, and dL/du = dL/db, [2, n_out].
    dW : ndarray
        dL/dW = x delta [n_in, 2, n_out].
    """

    def _lines(self, _: str, target: Array | None) -> list[str]:
        return self._piece_lines(["a", "b"] * len(self.y), np.zeros(len(self.y)), target)


@dataclass(frozen=True, eq=False)
class ResidualTrace:
    """The numbers of a `Residual` for one example, and of all within.

    Attributes
    ----------
    layer, x
        As of a `LayerTrace`.
    layers : tuple of LayerTrace and ResidualTrace
        The layers F.
    projection : LayerTrace or None
        The layer P, where the widths differ.
    y : ndarray
        Its output x + F(x), or P(x) + F(x), [n_out].
    dy : ndarray
        dL/dy [n_out]: what comes back to F as well as to x or P.
    """

    layer: str
    x: Array
    layers: tuple[LayerTrace | ResidualTrace, ...]
    projection: LayerTrace | None
    y: Array
    dy: Array

    @property
    def branch(self) -> Array:
        """F(x) [n_out]."""
        return self.layers[-1].y

    @property
    def shortcut(self) -> Array:
        """The other summand [n_out], x or P(x)."""
        return self.x if self.projection is None else self.projection.y

    def _lines(self, place: str, target: Array | None) -> list[str]:
        """Return the tables of all within and that of the sum, a step to the right."""
        lines = [
            line for i, inner in enumerate(self.layers) for line in titled(f"{place}.{i}", inner)
        ]
        if self.projection is not None:
            lines += [f"projection: {self.projection.layer}", *self.projection._lines(place, None)]
        columns = {"branch": self.branch, "shortcut": self.shortcut, "y": self.y}
        lines += ["sum", *table("unit", columns | {"target": target, "dL/dy": self.dy})]
        return [f"  {line}" for line in lines]


def titled(place: str, layer: LayerTrace | ResidualTrace, target: Array | None = None) -> list[str]:
    """Return the lines of a layer below its title; `place` is its number."""
    return [f"layer {place}: {layer.layer}", *layer._lines(place, target)]
