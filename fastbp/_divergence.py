"""What happens when training diverges: the state to go back to, and the error that says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._engine import Run
from ._runtime import all_finite
from .errors import DivergenceError
from .network import Network

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Snapshot", "diverged"]


class Snapshot:
    """A copy of all that training changes: parameters, velocity, random state, step count."""

    def __init__(self, trainer: Trainer, run: Run) -> None:
        self._live = (trainer.network._model.arena, run.velocity)
        self._kept = tuple(array.copy() for array in self._live)
        self._random_state = trainer._generator.state
        self.n_steps = trainer.n_steps

    def live_is_finite(self) -> bool:
        """Return whether the parameters and the velocity, as they are now, are finite."""
        return all(all_finite(array) for array in self._live)

    def restore(self, trainer: Trainer) -> None:
        """Put the copy back."""
        for live, kept in zip(self._live, self._kept, strict=True):
            live[...] = kept
        trainer._generator.state = self._random_state
        trainer.n_steps = self.n_steps


def diverged(
    network: Network, x: NDArray[Any], epoch: int | None, step: int, learning_rate: float
) -> DivergenceError:
    """Return the error, while `network` still is as the failing step left it.

    Parameters
    ----------
    network : Network
        With the parameters that gave the loss.
    x : ndarray
        The rows of the step.
    epoch, step, learning_rate
        As in `DivergenceError`.
    """
    layer = _first_bad_layer(network, x)
    where = f"step {step}" if epoch is None else f"epoch {epoch}, step {step}"
    what = "the loss" if layer is None else f"layers[{layer}], {network.layers[layer]},"
    return DivergenceError(
        f"training diverged in {where} at learning rate {learning_rate:g}: {what} is not finite; "
        "try a smaller learning rate, or scale the inputs",
        epoch,
        step,
        learning_rate,
        len(network.layers) - 1 if layer is None else layer,
    )


def _first_bad_layer(network: Network, x: NDArray[Any]) -> int | None:
    """Return the first layer with non-finite weights or outputs; None if only the loss is."""
    outputs = network._model.activations(x, 1)
    for i, (layer, output) in enumerate(zip(network.layers, outputs, strict=True)):
        if not all(np.isfinite(array).all() for array in (layer.weight, layer.bias, output)):
            return i
    return None
