"""What happens when training diverges: the state to go back to, and the error that says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._given import GivenRun
from ..engine.arrays import all_finite
from ..engine.run import Run
from ..errors import DivergenceError
from ..network import Network

if TYPE_CHECKING:
    from ..trainer import Trainer

__all__ = ["LastGood", "diverged"]

# Where an epoch starts besides the arrays: steps done, state of the random generator if the epoch
# draws from it, what a schedule has learnt.
_Start = tuple[int, Any, dict[str, float]]


class LastGood:
    """The state that training goes back to: where the last epoch began whose first loss was finite.

    One copy of the parameters and the optimizer's state, which the engine makes in that first
    step, when its loss is known and before its update: until then the copy is of the epoch
    before, and a step whose loss is not finite changes nothing.
    """

    def __init__(self, trainer: Trainer, run: Run | GivenRun) -> None:
        self._trainer = trainer
        arena, state = self._live = (trainer.network._model.arena, run.state)
        self._kept = run.snapshot = np.zeros(arena.size + state.size, arena.dtype)
        self._start: _Start
        self._good_start: _Start | None = None

    def begin(self, shuffles: bool) -> None:
        """Note that an epoch begins, one that draws from the random generator if it `shuffles`."""
        trainer = self._trainer
        random = trainer._generator.state if shuffles else None
        self._start = (trainer.n_steps, random, trainer.optimizer.progress)

    def confirm(self) -> None:
        """Note that the first loss of the epoch was finite: the engine has kept its start."""
        self._good_start = self._start

    def live_is_finite(self) -> bool:
        """Return whether the parameters and the optimizer's state, as they are now, are finite."""
        arena, state = self._live
        return all_finite(arena) and all_finite(state)

    def restore(self) -> None:
        """Put everything back to the good start; without one only the random state has changed."""
        self._go_to(self._good_start or self._start)

    def undo_epoch(self) -> None:
        """Put everything back to the start of this epoch, whose losses were all finite."""
        self._go_to(self._start)

    def _go_to(self, start: _Start) -> None:
        arena, state = self._live
        if start is self._good_start:  # else no step has been done since
            arena[...] = self._kept[: arena.size]
            state[...] = self._kept[arena.size :]
        trainer = self._trainer
        trainer._runs.steps.n, random, trainer.optimizer.progress = start
        if random is not None:
            trainer._generator.state = random


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
        arrays = [array for inner in layer._weighted() for array in (inner.weight, inner.bias)]
        if not all(np.isfinite(array).all() for array in (*arrays, output)):
            return i
    return None
