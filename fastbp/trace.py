"""One example's way through a network and back: every number that one works out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._trace_layers import GatedTrace, LayerTrace, MaxoutTrace, ResidualTrace, titled
from ._trace_table import table
from ._tracing import Tracer
from .errors import ShapeError

if TYPE_CHECKING:
    from .network import Network

__all__ = ["GatedTrace", "LayerTrace", "MaxoutTrace", "ResidualTrace", "Trace", "trace_example"]

Array = NDArray[Any]


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
        lines += table("input", {"x": self.x, "dL/dx": self.dx})
        first = self.layers[0].x
        if not np.array_equal(first, self.x):
            lines += ["preprocessed", *table("input", {"x'": first})]
        for i, layer in enumerate(self.layers):
            last = i == len(self.layers) - 1
            lines += titled(f"{i}", layer, self.target if last else None)
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
    x = _one_row(x, network.n_inputs, "x")
    y = _one_row(y, network.n_outputs, "y")
    tracer, dtype = Tracer(network, x, y, loss), network.dtype
    target = (y[0] if y.ndim == 2 else np.eye(network.n_outputs)[y[0]]).astype(dtype)
    given = str(loss), tracer.loss, x[0].astype(dtype), target
    return Trace(*given, tracer.layers, tracer.dx)


def _one_row(value: ArrayLike, width: int, name: str) -> Array:
    """Return one example as [1, width]; of `y`, a class as [1]."""
    array = _check._numeric(value, name)
    if array.shape in ((width,), (1, width)) or (width == 1 and not array.shape):
        return array.reshape(1, width)
    if name == "y" and array.shape in ((), (1,)):
        return array.reshape(1)
    forms = f"({width},) or (1, {width})" + (", or its class" if name == "y" and width > 1 else "")
    raise ShapeError(f"{name}: got shape {array.shape}, wanted one example: {forms}")
