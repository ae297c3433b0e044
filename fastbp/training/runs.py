"""The engine's runs of a trainer, and the optimizer's state, which outlives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._given import GivenLoss, GivenRun
from .._loss import Loss
from ..engine.run import Run, StepCount
from ..errors import ConfigError
from ..network import Network
from ..optimizers import Optimizer
from .objective import Objective

__all__ = ["Runs", "State"]

AnyRun = Run | GivenRun


class State:
    """What an optimizer remembers of each parameter, from one run of the engine to the next."""

    def __init__(self) -> None:
        # One tuple, so that an interrupt leaves the old one or the new one: what is remembered,
        # `Optimizer.memory`; the step before which it was zero; the values of the last run.
        self._last: tuple[str, int, NDArray[Any]] = ("", 0, np.empty(0))

    @property
    def values(self) -> NDArray[Any]:
        """Of the run that trained last, in the layout of the engine."""
        return self._last[2]

    def attach(self, run: Run, optimizer: Optimizer, n_steps: int) -> None:
        """Let a new run, whose first step is `n_steps`, go on where the last one ended.

        An optimizer with another memory begins at zero.
        """
        memory, begins, values = self._last
        if optimizer.memory == memory:
            run.state[...] = values
        else:
            begins = n_steps
        run.age = n_steps - begins
        self._last = (optimizer.memory, begins, run.state)


class Runs:
    """Makes the runs of one trainer: one for each call of `fit`, one for many of `step`.

    Parameters
    ----------
    network : Network
    loss : Loss
    objective : Objective
    seed : int
        Of dropout.

    Attributes
    ----------
    steps : StepCount
        Counts the steps of all runs.
    """

    def __init__(self, network: Network, loss: Loss, objective: Objective, seed: int) -> None:
        self._network, self._loss, self.objective = network, loss, objective
        self._seed = seed
        if isinstance(loss, GivenLoss) and any(layer.dropout for layer in network.weighted_layers):
            raise ConfigError(
                f"loss: got the function {loss.shown} for a network with dropout, wanted one of "
                "fastbp.losses: the function would see other outputs than the step has"
            )
        self.state = State()
        self.steps = StepCount()
        self._spare: Any = None  # workspace of the last fit: the next one need not ask for memory
        # The run of the last `Trainer.step`, with the options and the most rows that it takes.
        self._of_step: tuple[AnyRun, tuple[Any, ...], int] | None = None

    def new(self, optimizer: Optimizer, rows: int, n_threads: int) -> AnyRun:
        """Return a run for batches of `rows` rows that goes on where the last one ended."""
        self._of_step = None
        numbers: dict[str, Any] = optimizer.numbers | self.objective.numbers
        model, loss = self._network._model, self._loss
        run = Run(
            model,
            loss.name,
            optimizer.rule,
            batch_size=rows,
            n_threads=n_threads,
            parameter=loss.parameter,
            count=self.steps,
            **numbers,
        )
        run.seed, run.step = self._seed, self.steps.n
        self.state.attach(run, optimizer, self.steps.n)
        run.reuse_workspace, self._spare = self._spare, None
        if isinstance(loss, GivenLoss):
            return GivenRun(run, model, loss.function, rows, n_threads)
        return run

    def ended(self, run: AnyRun) -> None:
        """Keep the workspace of a run that is over."""
        self._spare = run.release()

    def of_step(self, optimizer: Optimizer, rows: int, n_threads: int) -> AnyRun:
        """Return the run of the last step if it can take this one, else a new one."""
        options, last = (optimizer.rule, optimizer.numbers, n_threads), self._of_step
        if last is None or options != last[1] or rows > last[2]:
            last = (self.new(optimizer, rows, n_threads), options, rows)
            self._of_step = last
        return last[0]
