"""The error of a run that leaves the finite numbers: it says which do, and what helps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._check import AnyRows
from ..engine.arrays import largest
from ..engine.rows import Rows
from ..errors import DivergenceError
from ..layers import Layer
from ..network import Network

__all__ = ["diverged"]

# Numbers from here on are far from what initial weights and the usual learning rates are made for.
LARGE = 100.0


def diverged(
    network: Network,
    x: AnyRows | None,
    y: NDArray[Any] | None,
    epoch: int | None,
    step: int,
    learning_rate: float,
    updated: bool = False,
) -> DivergenceError:
    """Return the error, while everything still is as the failing step left it.

    Parameters
    ----------
    network : Network
        With the parameters that gave the loss, or that the step has made.
    x, y : ndarray or None
        The rows and targets of the step; None if its gradient was given.
    epoch, step, learning_rate
        As in `DivergenceError`.
    updated : bool
        Whether the loss was finite, and what the update has made is not.
    """
    most = 0.0
    if x is not None:
        most = x.largest(network.dtype) if isinstance(x, Rows) else largest(x)
    if updated or x is None or y is None:
        what, layer = _made(network)
    else:
        what, layer = _culprit(network, x, most, y)
    where = f"step {step}" if epoch is None else f"epoch {epoch}, step {step}"
    last = len(network.layers) - 1
    named = {
        "weights": f"a weight of layers[{layer}], {network.layers[layer]},",
        "outputs": f"an output of layers[{layer}], {network.layers[layer]},",
    }.get(what, f"the {what}" if what in ("loss", "optimizer state") else f"one of the {what}")
    return DivergenceError(
        f"training diverged in {where} at learning rate {learning_rate:g}: {named} is not finite; "
        f"{_advice(what, most, y)}",
        epoch,
        step,
        learning_rate,
        layer if what in ("weights", "outputs") else last,
        what,
    )


def _made(network: Network) -> tuple[str, int]:
    """Return what an update has made that is not finite, and of weights the layer."""
    for i, layer in enumerate(network.layers):
        if not _is_finite(layer):
            return "weights", i
    return "optimizer state", 0


def _is_finite(layer: Layer) -> bool:
    arrays = [array for inner in layer._weighted() for array in (inner.weight, inner.bias)]
    return all(np.isfinite(array).all() for array in arrays)


def _culprit(network: Network, x: AnyRows, most: float, y: NDArray[Any]) -> tuple[str, int]:
    """Return the first of what is not finite in a loss, and of weights and outputs the layer.

    `most` is the largest absolute value of `x`.
    """
    if not np.isfinite(most):
        return "inputs", 0
    outputs = network._model.activations(x, 1)
    for i, (layer, output) in enumerate(zip(network.layers, outputs, strict=True)):
        if not _is_finite(layer):
            return "weights", i
        if not np.isfinite(output).all():
            return "outputs", i
    return ("loss" if np.isfinite(y).all() else "targets"), 0


def _advice(what: str, of_x: float, y: NDArray[Any] | None) -> str:
    """Return what helps: numbers that are too large are scaled, else the steps are made smaller."""
    if what in ("inputs", "targets"):
        return "they were when the call began: do not write to them while it trains"
    of_y = float(np.abs(y).max()) if y is not None and y.dtype.kind == "f" else 0.0
    large = []
    for name, most, how in (
        ("inputs", of_x, "fastbp.preprocess"),
        ("targets", of_y, "and the predictions back"),
    ):
        if most >= LARGE:
            large.append(f"scale the {name}, which reach {most:.3g} ({how})")
    smaller = "try a smaller learning rate or clip_norm"
    return f"{' and '.join(large)}, or {smaller}" if large else smaller
