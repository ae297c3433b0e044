"""The loop of one call of `Trainer.fit`, after the checks: epochs of compiled regions of steps.

With what it calls on the way: the callbacks of the user and the progress bar, one tqdm bar on
stderr over all steps of all epochs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._check import AnyRows
from ..engine.costmodel import region_steps
from ..errors import ConfigError, DivergenceError, LabelError
from ..history import History
from ..losses import Loss
from .accumulated import AnySteps
from .divergence import diverged
from .state import LastGood, TrainingState

__all__ = [
    "HOOKS",
    "Callback",
    "Callbacks",
    "Epochs",
    "Fit",
    "NoBar",
    "ProgressBar",
    "StopRequest",
    "networks_bar",
    "progress_bar",
]

# Compiled code returns this often, so that signals, the progress bar and callbacks get a turn.
REGION_SECONDS = 0.05
# One short region says little about a long one: its length grows by at most this factor.
REGION_GROWTH = 64


# All public methods that a callback may have.
HOOKS = (
    "on_epoch_end",
    "on_epoch_recorded",
    "on_fit_begin",
    "on_region_end",
    "on_restore",
    "on_fit_end",
    "on_checkpoint",
)


class Hooked(Protocol):
    """An object with a method of those that `fastbp.callbacks` names, such as this one."""

    def on_epoch_end(self, trainer: Any, history: History) -> Any:
        """Look at the epoch just recorded; return true to stop training."""


Callback = Hooked | Callable[[Any, History], Any]


class _Function:
    """A plain function as a callback."""

    def __init__(self, function: Callable[[Any, History], Any]) -> None:
        self.on_epoch_end = function
        self.name = getattr(function, "__name__", type(function).__name__)


class StopRequest:
    """Asks one call of `fit` to end: the last of its callbacks, and long steps look at it too.

    Attributes
    ----------
    reason : str or None
        Set by any thread, once; None while training goes on.
    """

    def __init__(self) -> None:
        self.reason: str | None = None

    def on_region_end(self, trainer: object) -> str | None:
        """Stop within an epoch."""
        return self.reason

    def on_epoch_recorded(self, trainer: object, history: History) -> str | None:
        """Stop after the validation."""
        return self.reason


class Callbacks:
    """The callbacks of one call of `fit`, called together: each method where it is there.

    Parameters
    ----------
    trainer : object
        Their first argument.
    callbacks : sequence of Callback
        Checked.
    stop_request : StopRequest, optional

    Attributes
    ----------
    own : bool
        Whether any of them may record columns of its own, as those may that are not of fastbp.
    stop_request : StopRequest
    """

    def __init__(
        self,
        trainer: object,
        callbacks: Sequence[Any],
        stop_request: StopRequest | None = None,
    ) -> None:
        self._trainer, self.stop_request = trainer, stop_request or StopRequest()
        self._callbacks = [
            callback if any(hasattr(callback, hook) for hook in HOOKS) else _Function(callback)
            for callback in (*callbacks, self.stop_request)
        ]
        package = __name__.split(".")[0]
        self.own = any(
            type(callback).__module__.split(".")[0] != package or hasattr(callback, "_records")
            for callback in callbacks
        )

    def call(self, name: str, *arguments: Any) -> str | None:
        """Call the method `name` of all that have it; return the first reason to stop, if any."""
        reason = None
        for callback in self._callbacks:
            method = getattr(callback, name, None)
            answer = method(self._trainer, *arguments) if method is not None else None
            if answer and reason is None:
                of_function = isinstance(callback, _Function)
                name_of_it = callback.name if of_function else type(callback).__name__
                reason = answer if isinstance(answer, str) else name_of_it
        return reason

    def end_epoch(self, state: TrainingState) -> str | None:
        """Let all look at the epoch just recorded; return the first reason to stop, if any.

        First those that record and measure, then the schedule and the rules, which decide by what
        was recorded. These see the epoch even if one of the first fails, so that no best epoch is
        missed.
        """
        history = state.history
        try:
            reason = self.call("on_epoch_end", history)
        except BaseException:
            with suppress(ConfigError):  # a column that was to be recorded is missing
                self._decide(state)
            raise
        decided = self._decide(state)
        return reason or decided

    def _decide(self, state: TrainingState) -> str | None:
        state.watch()
        reason = self.call("on_epoch_recorded", state.history)
        state.unfinished = self.resume_states
        return reason

    def end(self, state: TrainingState) -> None:
        """Let all see the end of training: the best weights are put back before anyone is told."""
        history = state.history
        self.call("_before_restore", history)
        self.call("_undo_last_step", history)
        self.call("on_restore", history)
        self.call("on_fit_end", history)
        state.unfinished = {}
        self.call("on_checkpoint", history)

    @property
    def resume_states(self) -> dict[str, dict[str, Any]]:
        """What each of those with a `resume_state` has found, by class and number; may be assigned.

        Of what is assigned each takes its own; one for which there is nothing begins afresh.
        """
        return {key: callback.resume_state for key, callback in self._resumable()}

    @resume_states.setter
    def resume_states(self, value: dict[str, dict[str, Any]]) -> None:
        for key, callback in self._resumable():
            if key in value:
                callback.resume_state = value[key]

    def _resumable(self) -> Iterator[tuple[str, Any]]:
        """Iterate over names and callbacks: of two of a class the second is ``<class>.1``."""
        seen: dict[str, int] = {}
        for callback in self._callbacks:
            if hasattr(callback, "resume_state"):
                name = type(callback).__name__
                number = seen.get(name, 0)
                yield f"{name}.{number}", callback
                seen[name] = number + 1


class NoBar:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""

    def advance(self, steps: int, **values: float) -> None:
        """Move by `steps` inside an epoch; `values` are the epoch's so far."""

    def epoch_done(self, **values: float) -> None:
        """Close an epoch; `values` are its record."""

    def show(self, epochs: int, done: int, failed: int) -> None:
        """Show how far many networks are."""


class _TqdmBar(NoBar):
    """A bar on stderr."""

    def __init__(self, total: int | None, unit: str) -> None:
        from tqdm import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(total=total, unit=unit, dynamic_ncols=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it is and go to the next line."""
        self._bar.close()


class ProgressBar(_TqdmBar):
    """A tqdm bar that names the epoch and shows its loss and accuracy.

    Parameters
    ----------
    epochs : int
        Of this call of fit.
    steps : int or None
        Of one epoch, if that is known.
    """

    def __init__(self, epochs: int, steps: int | None) -> None:
        super().__init__(None if steps is None else epochs * steps, "step")
        self._epochs, self._epoch = epochs, 1
        self._shown: dict[str, float] = {}
        self._name_epoch()

    def advance(self, steps: int, **values: float) -> None:
        """Move by `steps` inside an epoch; the validation values are the last epoch's."""
        self._show(values)
        self._bar.update(steps)

    def epoch_done(self, **values: float) -> None:
        """Show the epoch's record."""
        self._show({k: v for k, v in values.items() if k not in ("learning_rate", "seconds")})
        if self._epoch < self._epochs:
            self._epoch += 1
            self._name_epoch()

    def _show(self, values: dict[str, float]) -> None:
        self._shown |= values
        text = {name: f"{value:.4g}" for name, value in self._shown.items()}
        # tqdm decides when to draw, so that thousands of short epochs cost no time.
        self._bar.set_postfix(text, refresh=False)

    def _name_epoch(self) -> None:
        self._bar.set_description(f"epoch {self._epoch}/{self._epochs}", refresh=False)


class NetworksBar(_TqdmBar):
    """A tqdm bar over the epochs of many networks that counts those that are done.

    Parameters
    ----------
    networks, epochs : int
        Of all of them.
    """

    def __init__(self, networks: int, epochs: int) -> None:
        super().__init__(epochs, "epoch")
        self._networks = networks
        self.show(0, 0, 0)

    def show(self, epochs: int, done: int, failed: int) -> None:
        """Show how many epochs and networks are done, and how many of these failed."""
        text = f"networks {done}/{self._networks}" + (f", {failed} failed" if failed else "")
        self._bar.set_description(text, refresh=False)
        self._bar.update(epochs - self._bar.n)


def progress_bar(wanted: bool, epochs: int, steps: int | None) -> NoBar:
    """Return a bar, or its silent twin, to be used in a ``with`` statement.

    A process without stderr, such as a service, has nowhere to draw.
    """
    return ProgressBar(epochs, steps) if wanted and sys.stderr is not None else NoBar()


def networks_bar(wanted: bool, networks: int, epochs: int) -> NoBar:
    """Return a bar over many networks, or its silent twin."""
    return NetworksBar(networks, epochs) if wanted and sys.stderr is not None else NoBar()


class Epochs:
    """Some epochs of training, whatever their steps are made of.

    Parameters
    ----------
    state : TrainingState
        Outlives the call.
    loss : Loss
    run : Run or CustomRun
        Of the engine.
    measure : callable
        Measures the network after each epoch: what the record of the epoch has besides.
    callbacks : Callbacks
        Their ``on_fit_begin`` has been called.

    Attributes
    ----------
    run : Run or CustomRun
    steps : int or None
        Of an epoch, if that is known.
    """

    steps: int | None
    _shuffles = False

    def __init__(
        self,
        state: TrainingState,
        loss: Loss,
        run: AnySteps,
        measure: Callable[[], dict[str, float]],
        callbacks: Callbacks,
    ) -> None:
        self._state, self._loss, self.run, self._callbacks = state, loss, run, callbacks
        self._measure = measure
        run.stop_request = self._stop_request = callbacks.stop_request
        self._good = LastGood(state, run)

    def epochs(self, count: int, bar: NoBar) -> None:
        """Train for `count` epochs, or until a callback stops it.

        After a fit that did not come to its end the callbacks go on from what they had found.
        """
        state, callbacks, history = self._state, self._callbacks, self._state.history
        if state.in_loop:
            state.unfinished, state.in_loop = {}, False
        callbacks.resume_states = state.unfinished
        history.stopped = None
        first = state.steps.n
        try:
            callbacks.call("_take_up", history)
            for left in reversed(range(count)):
                recorded, stop_reason = self._epoch(bar)
                decided = callbacks.end_epoch(state) if recorded else None
                history.stopped = decided or stop_reason
                if history.stopped or not left:
                    break
                callbacks.call("on_checkpoint", history)
        except BaseException:
            if state.steps.n == first:  # the weights are to be those before the call
                callbacks.call("_call_off", history)
            raise
        finally:
            if state.steps.n != first:  # gradients that `step` has accumulated are of old weights
                state.open_step.clear()
        callbacks.end(state)

    def _epoch(self, bar: NoBar) -> tuple[bool, str | None]:
        """Train for one epoch, evaluate and record it.

        Return whether it was recorded, as it is unless it was stopped before its first step, and
        why it was cut short, if it was. After an error but an interrupt everything is back at the
        start of the epoch, or further back after a divergence.
        """
        state = self._state
        if self._stop_request.reason:
            return False, self._stop_request.reason
        state.watch()
        self._good.begin(self._shuffles)
        try:
            if self._shuffles:
                self.run.shuffle(state.generator)
            record, done, stop_reason = self._train(bar)
            if not done:
                self._good.undo_epoch()
                return False, stop_reason
            state.moment.measured = record.keys() - {"learning_rate", "seconds"}
            if not self._good.live_is_finite():
                raise self._failure(done - 1, state.steps.n - 1, record["learning_rate"], True)
            record |= self._measure()
            state.moment.before_step = self._good.before_step if done == 1 else None
            state.record(record)
        except DivergenceError:  # everything is back at a good start
            raise
        except Exception:
            self._good.undo_epoch()
            raise
        bar.epoch_done(**record)
        return True, stop_reason

    def _train(self, bar: NoBar) -> tuple[dict[str, float], int, str | None]:
        """Run the steps of one epoch, or those until a callback or a request stops it.

        Returns means, the last rate and seconds; the steps done; why they are not all, if so. If
        none is done there are no means.
        """
        raise NotImplementedError

    def _failure(
        self, index: int, step: int, rate: float, updated: bool = False
    ) -> DivergenceError | LabelError:
        """Return the error of a step, `index` of this epoch, the state to go on from restored."""
        raise NotImplementedError

    def _diverged(
        self, x: AnyRows, y: NDArray[Any], step: int, rate: float, updated: bool
    ) -> DivergenceError:
        """Return the error of a step on these rows, everything put back to a good start."""
        state = self._state
        try:
            error = diverged(state.network, x, y, state.history.epochs + 1, step, rate, updated)
        except Exception:  # `_epoch` undoes the epoch
            raise
        except BaseException:
            self._good.restore()
            raise
        self._good.restore()
        return error


class Fit(Epochs):
    """Some epochs on one set of rows.

    Parameters
    ----------
    state, loss, run, measure, callbacks
        As for `Epochs`.
    x, y : ndarray
        The rows and targets, as the engine takes them.
    weights : ndarray or None
        Of the rows' losses.
    batch_size : int
        At most the number of rows.
    shuffle : bool
        Whether each epoch takes the rows in a new random order.
    """

    def __init__(
        self,
        state: TrainingState,
        loss: Loss,
        run: AnySteps,
        x: AnyRows,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        batch_size: int,
        shuffle: bool,
        measure: Callable[[], dict[str, float]],
        callbacks: Callbacks,
    ) -> None:
        super().__init__(state, loss, run, measure, callbacks)
        self._x, self._y, self._weights = x, y, weights
        self._batch_size = batch_size
        self.steps: int = -(-len(x) // batch_size)
        self._shuffles = shuffle and self.steps > 1
        run.bind(x, y, weights)

    def _train(self, bar: NoBar) -> tuple[dict[str, float], int, str | None]:
        state, done, stop_reason = self._state, 0, None
        found: dict[str, float] = {}
        epoch, rate = state.history.epochs, 0.0
        begin = now = perf_counter()
        while done < self.steps and not stop_reason:
            count = min(region_steps() or state.region, self.steps - done)
            rates = state.optimizer.learning_rates(state.steps.n, count, epoch)
            loss, correct, part_done = self.run.steps(done, count, rates)
            done += part_done
            if done:
                self._good.confirm()
            if self.run.fault:
                raise self._failure(done, state.steps.n, float(rates[part_done]))
            before, now = now, perf_counter()
            if part_done:
                state.region = _next_region(state.region, part_done, now - before)
                found = self._loss._means(loss, correct, self.run.weight, self._y)
                rate = float(rates[part_done - 1])
                bar.advance(part_done, **found)
            stop_reason = self._callbacks.call("on_region_end")
        state.moment.objective = self.run.objective
        return {**found, "learning_rate": rate, "seconds": now - begin}, done, stop_reason

    def _failure(
        self, index: int, step: int, rate: float, updated: bool = False
    ) -> DivergenceError | LabelError:
        state = self._state
        if self.run.fault == "label":
            return _check.changed_labels(self._y, state.network.n_outputs, self._weights)
        rows = self.run.order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._diverged(self._x[rows], self._y[rows], step, rate, updated)


def _next_region(region: int, count: int, seconds: float) -> int:
    """Return how many steps fill a region, `count` of them having taken `seconds`."""
    wanted = int(count * REGION_SECONDS / (seconds or 1e-9))
    return max(1, min(wanted, REGION_GROWTH * region))
