"""One example's way through a network and back: every number that one works out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError, ShapeError
from .layers import Dense

if TYPE_CHECKING:
    from .network import Network

__all__ = ["LayerTrace", "Trace", "trace_example"]

Array = NDArray[Any]

# The table of a wide layer shows its first units and inputs; the arrays have them all.
_UNITS, _INPUTS = 10, 4


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer's numbers for one example.

    Attributes
    ----------
    layer : str
        The layer, as given to the network.
    x : ndarray
        Its input [n_in]: the example, or the output of the layer below.
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

    def _lines(self, target: Array | None) -> list[str]:
        """Return a line per unit; `target` is a column of the last layer."""
        columns = {"u": self.u, "y": self.y, "target": target, "delta": self.delta, "db": self.db}
        columns |= {f"dW[{i}]": row for i, row in enumerate(self.dW[:_INPUTS])}
        lines = _table("unit", {k: v for k, v in columns.items() if v is not None}, _UNITS)
        last = len(self.dW) - 1
        rest = f"dW[{_INPUTS}]" + (f" to dW[{last}]" if last > _INPUTS else "")
        return lines + ([f"      (and {rest})"] if last >= _INPUTS else [])


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
    layers : tuple of LayerTrace
        First hidden layer first.
    dx : ndarray
        dL/dx [n_inputs].
    """

    loss_name: str
    loss: float
    x: Array
    target: Array
    layers: tuple[LayerTrace, ...]
    dx: Array

    def __str__(self) -> str:
        """Return the loss, the example, and for each layer a line per unit."""
        lines = [f"one example: {self.loss_name} = {self.loss:.6g}"]
        lines += _table("input", {"x": self.x, "dL/dx": self.dx}, _UNITS)
        for i, layer in enumerate(self.layers):
            last = i == len(self.layers) - 1
            lines += [f"layer {i}: {layer.layer}", *layer._lines(self.target if last else None)]
        return "\n".join(lines)


def trace_example(network: Network, x: ArrayLike, y: ArrayLike, loss: str) -> Trace:
    """Return one example's way forward and back: every u, y, delta, dW and db.

    The numbers are those of `gradients` and `activations` to the last bit; for one example
    dL/db is the delta itself.

    Parameters
    ----------
    x : array_like
        The example, [n_inputs] or [1, n_inputs].
    y : array_like
        Its target, [n_outputs] or [1, n_outputs], or its class.
    loss : str
        As for `gradients`.

    Returns
    -------
    Trace
        ``print`` shows it as a table, ``trace.layers[i].delta`` and so on are arrays.

    Raises
    ------
    ShapeError
        `x` or `y` is not one example.
    InputError, LabelError, DTypeError, ConfigError
        `x`, `y` or `loss` cannot be used.
    """
    dense = [layer for layer in network.layers if isinstance(layer, Dense)]
    if len(dense) < len(network.layers):
        raise ConfigError(f"layers: got {network!r}, wanted Dense alone: a trace is of x W + b")
    x = _one_row(x, network.n_inputs, "x")
    y = _one_row(y, network.n_outputs, "y")
    value, gradients, dx = network.gradients(x, y, loss, inputs=True)
    outputs = network.activations(x)
    inputs = [x.astype(network.dtype), *outputs[:-1]]
    layers = []
    for layer, below, above, (dW, db) in zip(dense, inputs, outputs, gradients, strict=True):
        u = _net_input(network, layer, below)
        layers.append(LayerTrace(repr(layer), below[0], u[0], above[0], db, dW, db))
    target = y[0] if y.ndim == 2 else np.eye(network.n_outputs)[y[0]]
    return Trace(str(loss), value, inputs[0][0], target.astype(network.dtype), tuple(layers), dx[0])


def _one_row(value: ArrayLike, width: int, name: str) -> Array:
    """Return one example as [1, width]; of `y`, a class as [1]."""
    array = _check._numeric(value, name)
    if array.shape in ((width,), (1, width)) or (width == 1 and not array.shape):
        return array.reshape(1, width)
    if name == "y" and array.shape in ((), (1,)):
        return array.reshape(1)
    forms = f"({width},) or (1, {width})" + (", or its class" if name == "y" and width > 1 else "")
    raise ShapeError(f"{name}: got shape {array.shape}, wanted one example: {forms}")


def _net_input(network: Network, layer: Dense, x: Array) -> Array:
    """Return x W + b to the engine's last bit: the outputs of the layer, were it linear."""
    twin = network._unset(x.shape[1], [Dense(layer.units)], network.dtype)
    twin.weighted_layers[0].weight, twin.weighted_layers[0].bias = layer.weight, layer.bias
    return twin._model.activations(x, 1)[0]


def _table(what: str, columns: dict[str, Array], most: int) -> list[str]:
    """Return a header and a line for each of the first `most` entries of the columns."""
    lines = [f"{what:>5}" + "".join(f"{name:>12}" for name in columns)]
    rows = list(zip(*columns.values(), strict=True))
    lines += [f"{i:>5}" + _numbers(row) for i, row in enumerate(rows[:most])]
    more = len(rows) - most
    return lines + ([f"      ({more:,} more {what}s)"] if more > 0 else [])


def _numbers(row: Iterable[float]) -> str:
    """Return numbers in columns, with decimals as long as these say enough."""
    plain = [value == 0 or 1e-3 <= abs(value) < 1e5 for value in row]
    cells = (f"{v:>12.6f}" if p else f"{v:>12.4e}" for v, p in zip(row, plain, strict=True))
    return "".join(cells)
