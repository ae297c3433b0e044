"""The engine's runs of a trainer: each goes on where the last one ended."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..engine.run import Run, gradient_of_form
from ..errors import ConfigError
from ..losses import CustomLoss, Loss
from .accumulated import PART_ROWS, AccumulatedRun, AnySteps, OpenStep
from .custom import AnyRun, CustomRun
from .objective import Objective
from .state import LastGood, TrainingState

__all__ = ["Runs"]


class Runs:
    """Makes the runs of one trainer: one for each call of `fit`, one for many of `step`.

    Parameters
    ----------
    state : TrainingState
        What the runs go on from and change.
    loss : Loss
    objective : Objective

    Attributes
    ----------
    accumulate : int
        Batches of a step.

    Raises
    ------
    ConfigError
        The network has dropout and the loss is a custom loss.
    """

    def __init__(self, state: TrainingState, loss: Loss, objective: Objective) -> None:
        self._state, self._loss, self._objective = state, loss, objective
        self.accumulate = 1
        if isinstance(loss, CustomLoss) and any(
            layer.dropout for layer in state.network.weighted_layers
        ):
            raise ConfigError(
                f"loss: got the function {loss.shown} for a network with dropout, wanted one of "
                "fastbp.losses: the function would see other outputs than the step has"
            )
        # The workspace of the last fit: the next one need not ask for memory.
        self._reuse_workspace: Any = None
        # The run of the last `Trainer.step` with its snapshot, the options and the most rows.
        self._of_step: tuple[AnySteps, LastGood, tuple[Any, ...], int] | None = None
        self._claims = -1  # of the network, when it was asked for

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: no run, and no workspace."""
        return vars(self) | {"_reuse_workspace": None, "_of_step": None, "_claims": -1}

    def new(
        self, rows: int, n_threads: int, batch: int | None = None, open_step: OpenStep | None = None
    ) -> AnySteps:
        """Return a run for steps of `rows` rows that goes on where the last one ended.

        With `accumulate` it takes the parts of an `open_step` one by one; or it knows that a step
        is made of batches of `batch` rows each.
        """
        self._of_step = None
        state, loss = self._state, self._loss
        model, optimizer = state.network._model, state.optimizer
        hyperparameters: dict[str, Any] = {
            **optimizer.hyperparameters,
            **self._objective.hyperparameters,
        }
        run = Run(
            model,
            loss.name,
            optimizer.rule,
            batch_size=rows,
            n_threads=n_threads,
            parameter=loss.parameter,
            count=state.steps,
            average=self._objective.average,
            l2_weight=self._objective.l2_weight,
            **hyperparameters,
        )
        if not run.trains:
            raise ConfigError(
                "network: got one without a trainable layer, wanted one at least: set "
                "layer.trainable = True for some of network.layers"
            )
        run.seed, run.step = state.dropout_seed, state.steps.n
        state.memory.attach(run, optimizer, state.steps.n, state.network.weighted_layers)
        run.averagings = tuple(state.averagings.values())
        run.reuse_workspace, self._reuse_workspace = self._reuse_workspace, None
        part = rows if open_step else batch if isinstance(loss, CustomLoss) else PART_ROWS
        if self.accumulate > 1 and part is not None and (open_step or rows > part):
            return self._accumulated(run, rows, part, n_threads, open_step)
        return self._asking(run, rows, n_threads)

    def _asking(self, run: Run, rows: int, n_threads: int) -> AnyRun:
        """Return the run, which asks the user's function for the loss if there is one."""
        if isinstance(self._loss, CustomLoss):
            return CustomRun(run, self._state.network._model, self._loss, rows, n_threads)
        return run

    def _accumulated(
        self, run: Run, rows: int, part: int, n_threads: int, open_step: OpenStep | None
    ) -> AccumulatedRun:
        loss, model, average = self._loss, self._state.network._model, self._objective.average
        total = gradient_of_form(model)
        adding = Run(
            model,
            loss.name,
            "sgd",
            batch_size=part,
            n_threads=n_threads,
            updated=total,
            parameter=loss.parameter,
            average="sum" if open_step else average,
            adds=True,
        )
        adding.seed = run.seed
        adding.reuse_workspace, run.reuse_workspace = run.reuse_workspace, None
        parts = self._asking(adding, part, n_threads)
        by_rows, step = average == "rows", open_step or OpenStep()
        return AccumulatedRun(run, parts, adding, total, rows, part, by_rows, step)

    def of_door(self, rows: int) -> tuple[Run, LastGood]:
        """Return a new run on one thread for steps that a C program makes, and its snapshot.

        `of_step` never takes it: it would make a workspace of another size.
        """
        run = self.new(rows, 1)
        if not isinstance(run, Run):
            raise ConfigError(f"loss: got {self._loss.shown}, wanted one of fastbp.losses")
        good = LastGood(self._state, run)
        self._of_step = run, good, (), 0
        return run, good

    def ended(self, run: AnySteps) -> None:
        """Keep the workspace of a run that is over, but not its rows."""
        self._state.memory.settle()
        self._reuse_workspace = run.release()

    def drop_workspace(self) -> None:
        """Let go of the workspace of the last fit: there are many trainers."""
        self._reuse_workspace = None

    def undo_step(self) -> None:
        """Put everything back to before the last step of the run of `of_step`, and end that run."""
        if self._of_step is not None:
            self._of_step[1].undo_step()
            self._of_step = None

    def before_step(self) -> NDArray[Any] | None:
        """Return the parameters from before the last step of `of_step`, while its run is there."""
        return None if self._of_step is None else self._of_step[1].before_step

    def of_step(self, rows: int, n_threads: int) -> tuple[AnySteps, LastGood]:
        """Return the run of the last step if it can take this one, else a new one.

        With it, what each step goes back to if its update is not finite.
        """
        state, last = self._state, self._of_step
        model, optimizer = state.network._model, state.optimizer
        claims = model.claims_so_far
        # Between two calls options change in a claim alone, but for the threads.
        same, self._claims = claims == self._claims + 1, claims
        if last is not None and same and n_threads == last[2][0] and rows <= last[3]:
            return last[:2]
        objective, averagings = self._objective, tuple(state.averagings.values())
        goal = objective.hyperparameters, objective.average, objective.l2_weight
        made_for = n_threads, optimizer, goal, self.accumulate, averagings, model.revision
        if last is None or made_for != last[2] or rows > last[3]:
            run = self.new(rows, n_threads, None, state.open_step)
            last = (run, LastGood(state, run), made_for, rows)
            self._of_step = last
        return last[:2]
