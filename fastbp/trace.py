"""One example's way through some layers and back: every number that one works out by hand.

A model tells the gradients by its weights and biases and the outputs of its own layers. Small
models of a part of the layers, or with more layers, tell the rest: their sums have the same terms
in the same order, so no bit differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .engine.model import Model
from .errors import ShapeError
from .gates import Gated, Maxout, Residual
from .layers import Dense, Layer, Weighted, build, weighted_layers
from .losses import Loss

__all__ = [
    "GatedTrace",
    "LayerTrace",
    "MaxoutTrace",
    "ResidualTrace",
    "Trace",
    "Tracer",
    "one_example",
]

Array = NDArray[Any]
Columns = dict[str, Any]

# The table of a wide layer shows its first units and inputs; the arrays have them all.
_UNITS, _LINES, _INPUTS = 10, 20, 4


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
        return _unit_table(columns, self.dW)


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
        return _piece_table(columns | {"delta": self.delta, "db": self.db}, self.dW)


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
        won: NDArray[np.intp] = self.u.argmax(axis=0)
        return won

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
            line for i, inner in enumerate(self.layers) for line in _titled(f"{place}.{i}", inner)
        ]
        if self.projection is not None:
            lines += [f"projection: {self.projection.layer}", *self.projection._lines(place, None)]
        columns = {"branch": self.branch, "shortcut": self.shortcut, "y": self.y}
        lines += ["sum", *_table("unit", columns | {"target": target, "dL/dy": self.dy})]
        return [f"  {line}" for line in lines]


@dataclass(frozen=True, eq=False)
class Trace:
    """The result of `Network.trace`; ``str`` gives it as a table.

    Attributes
    ----------
    loss_name : str
        Which loss.
    loss : float
        Its value for the example.
    x, target : ndarray
        The example [n_inputs] and what is wanted of it [n_outputs]; a class as its one-hot row.
    layers : tuple of LayerTrace and ResidualTrace
        First hidden layer first.
    dx : ndarray
        dL/dx [n_inputs].
    """

    loss_name: str
    loss: float
    x: Array
    target: Array
    layers: tuple[LayerTrace | ResidualTrace, ...]
    dx: Array

    def __str__(self) -> str:
        """Return the loss, the example, and for each layer a line per unit."""
        lines = [f"one example: {self.loss_name} = {self.loss:.6g}"]
        lines += _table("input", {"x": self.x, "dL/dx": self.dx})
        first = self.layers[0].x
        if not np.array_equal(first, self.x):
            lines += ["preprocessed", *_table("input", {"x'": first})]
        for i, layer in enumerate(self.layers):
            last = i == len(self.layers) - 1
            lines += _titled(f"{i}", layer, self.target if last else None)
        return "\n".join(lines)


class Tracer:
    """One example's numbers in a model.

    Parameters
    ----------
    model : Model
    layers : sequence of Layer
        Placed in the model.
    x : ndarray
        The example as the first layer takes it, [1, n_in].
    y : ndarray
        Its target, [1, n_outputs], or its class, [1].
    loss : Loss

    Attributes
    ----------
    loss : float
    dx : ndarray
        The gradient by `x`, [1, n_in].
    layers : tuple of LayerTrace and ResidualTrace
    """

    def __init__(
        self, model: Model, layers: Sequence[Layer], x: Array, y: Array, loss: Loss
    ) -> None:
        self.loss, held, dx = loss._gradients(model, x, y, None, 1, True)
        assert dx is not None  # asked for
        self.dx = dx
        self._dtype = model.dtype
        self._pairs = {layer: layer._views(held) for layer in weighted_layers(layers)}
        self._dys = _deltas_of_sums(layers, x, y, loss)
        self.layers = self._chain(layers, x[0])

    def _chain(self, layers: Sequence[Layer], x: Array) -> tuple[LayerTrace | ResidualTrace, ...]:
        traces: list[LayerTrace | ResidualTrace] = []
        for layer in layers:
            if isinstance(layer, Residual):
                traces.append(self._sum(layer, x))
            else:
                traces.append(self._weighted(cast(Weighted, layer), x))
            x = traces[-1].y
        return tuple(traces)

    def _sum(self, layer: Residual, x: Array) -> ResidualTrace:
        inner = self._chain(layer.layers, x)
        projection = None if layer.projection is None else self._weighted(layer.projection, x)
        y, dy = self._outputs(layer, x), self._dys[layer]
        return ResidualTrace(repr(layer), x, inner, projection, y, dy)

    def _weighted(self, layer: Weighted, x: Array) -> LayerTrace:
        kind = {Maxout: MaxoutTrace, Gated: GatedTrace}.get(type(layer), LayerTrace)
        u, (dw, db) = self._net_input(layer, x), self._pairs[layer]
        return kind(repr(layer), x, u, self._outputs(layer, x), db, dw, db)

    def _outputs(self, layer: Layer, x: Array) -> Array:
        return self._alone(layer, x, [(own.weight, own.bias) for own in layer._weighted()])

    def _net_input(self, layer: Weighted, x: Array) -> Array:
        """Return x W + b, of the shape of b: the outputs of the layer, were it linear."""
        weight, bias = layer.weight.reshape(len(x), -1), layer.bias.ravel()
        return self._alone(Dense(len(bias)), x, [(weight, bias)]).reshape(layer.bias.shape)

    def _alone(self, layer: Layer, x: Array, parameters: list[tuple[Array, Array]]) -> Array:
        """Return the outputs of a model of this layer alone."""
        model, twins = build(len(x), [layer], self._dtype)
        for own, (weight, bias) in zip(weighted_layers(twins), parameters, strict=True):
            own.weight, own.bias = weight, bias
        outputs: Array = model.activations(x[None], 1)[0][0]
        return outputs


class _Probe(Dense):
    """A linear layer that changes nothing: its delta is dL/dy of what is below it."""


def _deltas_of_sums(
    layers: Sequence[Layer], x: Array, y: Array, loss: Loss
) -> dict[Residual, Array]:
    """Return dL/dy of every Residual, had by a probe above it."""
    residuals = list(_residuals(layers))
    if not residuals:
        return {}
    model, twins = build(x.shape[1], _probed(layers), x.dtype)
    weighted = weighted_layers(twins)
    originals = iter(weighted_layers(layers))
    for layer in weighted:
        if isinstance(layer, _Probe):
            layer.weight = np.eye(layer.units)
        else:
            original = next(originals)
            layer.weight, layer.bias = original.weight, original.bias
    _, held, _ = loss._gradients(model, x, y, None, 1, False)
    found = (layer._views(held)[1] for layer in weighted if isinstance(layer, _Probe))
    return dict(zip(residuals, found, strict=True))


def _residuals(layers: Iterable[Layer]) -> Iterator[Residual]:
    """Iterate over the residual layers, nested ones first."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _residuals(layer.layers)
            yield layer


def _probed(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with a probe above each Residual."""
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual):
            found += [Residual(_probed(layer.layers)), _Probe(layer.units)]
        else:
            found.append(layer)
    return found


def one_example(value: ArrayLike, width: int, name: str) -> Array:
    """Return one example as [1, width]; of `y`, a label or the target of one output as [1]."""
    array = _check.numeric(value, name) if name == "x" else _check.array_of(value, name)
    if name == "y" and array.shape in ((), (1,)):
        return np.array(array.reshape(1))  # that nobody writes to
    if array.shape in ((width,), (1, width)) or (width == 1 and not array.shape):
        return np.array(array.reshape(1, width))
    forms = f"({width},) or (1, {width})" + (", or its class" if name == "y" and width > 1 else "")
    raise ShapeError(f"{name}: got shape {array.shape}, wanted one example: {forms}")


def _titled(
    place: str, layer: LayerTrace | ResidualTrace, target: Array | None = None
) -> list[str]:
    """Return the lines of a layer below its title; `place` is its number."""
    return [f"layer {place}: {layer.layer}", *layer._lines(place, target)]


def _table(kind: str, columns: Columns, group: int = 1) -> list[str]:
    """Return a header and the lines of the first entries of the columns, `group` for each entry.

    A column is a sequence of numbers and words, one a line, or None: it is left out.
    """
    columns = {name: column for name, column in columns.items() if column is not None}
    lines = [f"{kind:>5}" + "".join(f"{name:>12}" for name in columns)]
    rows = list(zip(*columns.values(), strict=True))
    shown = min(_UNITS, max(1, _LINES // group))
    for i, row in enumerate(rows[: shown * group]):
        label = "" if i % group else i // group
        lines.append(f"{label:>5}" + "".join(_cells(row)))
    more = len(rows) // group - shown
    return lines + ([f"      ({more:,} more {kind}s)"] if more > 0 else [])


def _unit_table(columns: Columns, dw: Array) -> list[str]:
    """Return `columns` and the first of dW[i], the rows of dW [n_in, units]."""
    gradients = {f"dW[{i}]": row for i, row in enumerate(dw[:_INPUTS])}
    return _table("unit", columns | gradients) + _rest(dw)


def _piece_table(columns: Columns, dw: Array) -> list[str]:
    """Return `columns`, of all pieces of the first unit, then of the next, and the first dW[i].

    Those that are arrays, and dW [n_in, pieces, units], have the pieces before the units.
    """
    gradients = {f"dW[{i}]": rows for i, rows in enumerate(dw[:_INPUTS])}
    flat = {
        name: column if isinstance(column, list) or column is None else column.T.ravel()
        for name, column in (columns | gradients).items()
    }
    return _table("unit", flat, dw.shape[1]) + _rest(dw)


def _rest(dw: Sequence[Any] | Array) -> list[str]:
    """Say which rows of dW are not shown."""
    last = len(dw) - 1
    rest = f"dW[{_INPUTS}]" + (f" to dW[{last}]" if last > _INPUTS else "")
    return [f"      (and {rest})"] if last >= _INPUTS else []


def _cells(row: Iterable[Any]) -> Iterator[str]:
    """Iterate over the cells of a row as text; numbers get as many decimals as they need."""
    for value in row:
        if isinstance(value, str):
            yield f"{value:>12}"
        elif value == 0 or 1e-3 <= abs(value) < 1e5:
            yield f"{value:>12.6f}"
        else:
            yield f"{value:>12.4e}"
