"""What training changes, the state it goes back to when it diverges, and the error of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.arrays import all_finite
from ..engine.run import Run, StepCount
from ..errors import DivergenceError
from ..history import History
from ..layers import Weighted
from ..network import Network
from ..optimizers import Optimizer
from .custom import AnyRun

__all__ = ["LastGood", "OptimizerMemory", "TrainingState", "diverged"]

# Where an epoch starts besides the arrays: steps done, state of the random generator if the epoch
# draws from it, what a schedule has learnt.
_Start = tuple[int, Any, dict[str, float]]


class OptimizerMemory:
    """What an optimizer remembers of each parameter, from one run of the engine to the next."""

    def __init__(self) -> None:
        # One tuple, so that an interrupt leaves the old one or the new one: what is remembered,
        # `Optimizer.memory`; the step before which it was zero; the values of the last run; its
        # first step; the steps that each layer had been frozen for by then; which are frozen in it.
        self._last: tuple[str, int, NDArray[Any], int, tuple[int, ...], tuple[bool, ...]]
        self._last = ("", 0, np.empty(0), 0, (), ())

    @property
    def values(self) -> NDArray[Any]:
        """Of the run that trained last, in the layout of the engine."""
        return self._last[2]

    def missed(self, n_steps: int) -> tuple[int, ...]:
        """Return the steps before `n_steps` that each layer was frozen in, since all was zero."""
        _, _, _, first, missed, frozen = self._last
        return tuple(m + f * (n_steps - first) for m, f in zip(missed, frozen, strict=True))

    def attach(
        self, run: Run, optimizer: Optimizer, n_steps: int, layers: Sequence[Weighted]
    ) -> None:
        """Let a new run, whose first step is `n_steps`, go on where the last one ended.

        An optimizer with another memory begins at zero. What Adam remembers of a layer has the age
        of the steps that the layer was trained in, as in PyTorch.
        """
        memory, begins, values = self._last[:3]
        if optimizer.memory == memory:
            run.state[...] = values
            missed = self.missed(n_steps) or (0,) * len(layers)
        else:
            begins, missed = n_steps, (0,) * len(layers)
        run.age = n_steps - begins
        for layer, steps in zip(layers, missed, strict=True):
            run.set_missed(layer._node, steps)
        frozen = tuple(not layer.trainable for layer in layers)
        self._last = (optimizer.memory, begins, run.state, n_steps, missed, frozen)


class TrainingState:
    """What training changes: all that a call of `fit` or `step` goes on from.

    Parameters
    ----------
    network : Network
    optimizer : Optimizer
    generator : numpy.random.BitGenerator

    Attributes
    ----------
    network : Network
        Holds the parameters.
    optimizer : Optimizer
        Holds the schedule of the learning rate.
    generator : numpy.random.BitGenerator
        Shuffles.
    memory : OptimizerMemory
    steps : StepCount
        Of all runs of the engine.
    history : History
    region : int
        Steps between two returns from compiled code; no result depends on it.
    """

    def __init__(
        self, network: Network, optimizer: Optimizer, generator: np.random.BitGenerator
    ) -> None:
        self.network, self.optimizer, self.generator = network, optimizer, generator
        self.memory, self.steps, self.history = OptimizerMemory(), StepCount(), History()
        self.region = 1


class LastGood:
    """The state that training goes back to: where the last epoch began whose first loss was finite.

    One copy of the parameters and the optimizer's state, which the engine makes in that first
    step, when its loss is known and before its update: until then the copy is of the epoch
    before, and a step whose loss is not finite changes nothing.
    """

    def __init__(self, training: TrainingState, run: AnyRun) -> None:
        self._training = training
        arena, state = self._live = (training.network._model.arena, run.state)
        self._snapshot = run.snapshot = np.zeros(arena.size + state.size, arena.dtype)
        self._start: _Start
        self._good_start: _Start | None = None

    def begin(self, shuffles: bool) -> None:
        """Note that an epoch begins, one that draws from the random generator if it `shuffles`."""
        training = self._training
        random = training.generator.state if shuffles else None
        self._start = (training.steps.n, random, training.optimizer.progress)

    def confirm(self) -> None:
        """Note that the first loss of the epoch was finite: the engine has copied its start."""
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
            arena[...] = self._snapshot[: arena.size]
            state[...] = self._snapshot[arena.size :]
        training = self._training
        training.steps.n, random, training.optimizer.progress = start
        if random is not None:
            training.generator.state = random


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
    culprit = "the loss" if layer is None else f"layers[{layer}], {network.layers[layer]},"
    return DivergenceError(
        f"training diverged in {where} at learning rate {learning_rate:g}: {culprit} is not "
        "finite; try a smaller learning rate, or scale the inputs",
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
