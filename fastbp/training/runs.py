"""The engine's runs of a trainer, and the optimizer's state, which outlives them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._given import GivenLoss, GivenRun
from .._loss import Loss
from ..engine.run import Run
from ..errors import ConfigError
from ..network import Network
from ..optimizers import Optimizer
from .objective import Objective

__all__ = ["Runs", "State"]

AnyRun = Run | GivenRun


class State:
    """What an optimizer remembers of each parameter, from one run of the engine to the next.

    Attributes
    ----------
    values : ndarray
        Of the run that trained last, in the layout of the engine.
    memory : str
        What they are: `Optimizer.memory`. An optimizer with another one begins at zero.
    begins : int
        The step before which they were zero.
    """

    def __init__(self) -> None:
        self.values: NDArray[Any] = np.empty(0)
        self.memory = ""
        self.begins = 0

    def attach(self, run: Run, optimizer: Optimizer, n_steps: int) -> None:
        """Let a new run, whose first step is `n_steps`, go on where the last one ended."""
        if optimizer.memory == self.memory:
            run.state[...] = self.values
        else:
            self.memory, self.begins = optimizer.memory, n_steps
        run.age = n_steps - self.begins
        self.values = run.state


class Runs:
    """Makes the runs of one trainer: one for each call of `fit`, one for many of `step`.

    Parameters
    ----------
    network : Network
    loss : Loss
    objective : Objective
    seed : int
        Of dropout.
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
        self._spare: Any = None  # workspace of the last fit: the next one need not ask for memory
        self._step_run: AnyRun | None = None
        self._step_options: tuple[Any, ...] = ()
        self._step_rows = 0

    def new(self, optimizer: Optimizer, rows: int, n_threads: int, n_steps: int) -> AnyRun:
        """Return a run for batches of `rows` rows, after `n_steps` steps."""
        numbers = optimizer.numbers | self.objective.numbers
        model, loss = self._network._model, self._loss
        run = Run(
            model,
            loss.name,
            optimizer.rule,
            batch_size=rows,
            n_threads=n_threads,
            parameter=loss.parameter,
            **numbers,
        )
        run.seed, run.step = self._seed, n_steps
        self.state.attach(run, optimizer, n_steps)
        run.spare, self._spare = self._spare, None
        self._step_run = None
        if isinstance(loss, GivenLoss):
            return GivenRun(run, model, loss.function, rows, n_threads)
        return run

    def ended(self, run: AnyRun) -> None:
        """Keep the workspace of a run that is over."""
        self._spare = run.release()

    def of_step(self, optimizer: Optimizer, rows: int, n_threads: int, n_steps: int) -> AnyRun:
        """Return the run of the last step if it can take this one, else a new one."""
        options = (optimizer.rule, optimizer.numbers, n_threads)
        if self._step_run is None or options != self._step_options or rows > self._step_rows:
            self._step_run = self.new(optimizer, rows, n_threads, n_steps)
            self._step_options, self._step_rows = options, rows
        return self._step_run
