"""Epochs on batches that come one by one: from a file too large for memory, or made as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._check import AnyRows
from ..errors import (
    ConfigError,
    DivergenceError,
    DTypeError,
    InputError,
    LabelError,
    ShapeError,
    brief,
)
from ..losses import Loss
from .accumulated import AccumulatedRun, AnySteps
from .fit import Callbacks, Epochs, NoBar
from .state import TrainingState

__all__ = ["MOST_ROWS", "BatchFit", "Batches", "Checked"]

# Of a batch: a run for this many rows takes batches of any size.
MOST_ROWS = 2**31 - 1

Checked = tuple[AnyRows, NDArray[Any], NDArray[np.float64] | None]
_END = object()


class Batches:
    """Where the batches of each epoch come from.

    Parameters
    ----------
    source : iterable or callable
        An iterable of ``(x, y)`` or ``(x, y, sample_weight)``, or a function that returns one for
        each epoch.
    epochs : int
        That are wanted of it.
    check : callable
        Returns x, y and the weights of a batch as the engine takes them.

    Attributes
    ----------
    steps : int or None
        Batches of an epoch, if the source tells.

    Raises
    ------
    ConfigError
        The source is neither, or an iterator, which has nothing left after the first epoch.
    """

    def __init__(self, source: Any, epochs: int, check: Callable[..., Checked]) -> None:
        if hasattr(source, "__array__") or not (
            isinstance(source, Iterable) or (callable(source) and not isinstance(source, type))
        ):
            raise ConfigError(
                f"y: got None with an x of {type(source).__name__}, wanted targets, or as x an "
                "iterable of (x, y) batches, or a function that returns one"
            )
        if epochs > 1 and isinstance(source, Iterator):
            raise ConfigError(
                f"x: got an iterator ({type(source).__name__}) for {epochs} epochs, wanted an "
                "iterable that begins anew in each, such as a list, or a function that returns one"
            )
        self._source, self._check = source, check
        self.steps = len(source) if isinstance(source, Sized) else None

    def epoch(self) -> Iterator[Any]:
        """Begin anew."""
        source = self._source
        if isinstance(source, Iterable):
            return iter(source)
        found = source()
        if not isinstance(found, Iterable):
            raise ConfigError(
                f"x: got {brief(found)} from the function, wanted an iterable of (x, y) batches"
            )
        return iter(found)

    def checked(self, batch: Any) -> Checked:
        """Return a batch as the engine takes it."""
        if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
            raise ConfigError(f"got {type(batch).__name__}, wanted (x, y) or (x, y, sample_weight)")
        return self._check(*batch)


class BatchFit(Epochs):
    """Some epochs on batches of any sizes, a step for each.

    Parameters
    ----------
    state, loss, run, measure, callbacks
        As for `Fit`; the run is one for `MOST_ROWS`.
    batches : Batches
    accumulate : int
        Batches of a step; the last one of an epoch may have fewer.
    """

    def __init__(
        self,
        state: TrainingState,
        loss: Loss,
        run: AnySteps,
        batches: Batches,
        measure: Callable[[], dict[str, float]],
        callbacks: Callbacks,
        accumulate: int,
    ) -> None:
        super().__init__(state, loss, run, measure, callbacks)
        self.steps, self._batches, self._accumulate = batches.steps, batches, accumulate
        self._snapshot = run.snapshot

    def _train(self, bar: NoBar) -> tuple[dict[str, float], int, str | None]:
        self.run.snapshot = self._snapshot  # the first step of an epoch copies its start
        self._loss_sum, self._correct_sum, self._weight_sum, self._n_rows = 0.0, 0.0, 0.0, 0
        begin, stop_reason, rate = perf_counter(), None, 0.0
        batches = self._batches.epoch()
        found: dict[str, float] = {}
        index, first = 0, self._state.steps.n
        while True:
            with _named(index):
                batch = next(batches, _END)
                if batch is _END:
                    break
                step_rate = None if self._stop_request.reason else self._step(batch)
            if step_rate is None:
                stop_reason = self._stop_request.reason
                break
            index, rate = index + 1, step_rate
            sums = self._loss_sum, self._correct_sum, self._weight_sum
            found = self._loss._means(*sums, self._y)
            bar.advance(1, **found)
            stop_reason = self._callbacks.call("on_region_end")
            if stop_reason:
                break
        if not (index or stop_reason):
            raise InputError("x: got no batch, wanted at least one for each epoch")
        if isinstance(self.run, AccumulatedRun) and self.run.open.parts:
            rate = self._close(self.run)
        done = self._state.steps.n - first
        record = {**found, "learning_rate": rate, "seconds": perf_counter() - begin}
        return record, done, stop_reason

    def _step(self, batch: Any) -> float | None:
        """Do the step of a batch, or its part of one, add its losses to those of the epoch.

        Return the rate; None if training was to stop in the midst of the step, which is not done
        then.
        """
        run, rates = self.run, self._rates()
        self._x, self._y, self._weights = self._batches.checked(batch)
        if isinstance(run, AccumulatedRun):
            loss, correct, done = run.add(self._x, self._y, self._weights)
        else:
            run.bind(self._x, self._y, self._weights)
            loss, correct, done = run.steps(0, 1, rates)
        if run.fault:
            raise self._failure(0, self._state.steps.n, float(rates[0]))
        if not done:
            return None
        self._loss_sum += loss
        self._correct_sum += correct
        self._weight_sum += run.weight
        self._n_rows += len(self._x)
        if not isinstance(run, AccumulatedRun):
            self._good.confirm()
            run.snapshot = None
        elif run.open.parts >= self._accumulate:
            self._close(run)
        return float(rates[0])

    def _rates(self) -> NDArray[np.float64]:
        state = self._state
        return state.optimizer.learning_rates(state.steps.n, 1, state.history.epochs)

    def _close(self, run: AccumulatedRun) -> float:
        """Do the update of the batches so far; return its rate."""
        rates = self._rates()
        run.close(rates, run.snapshot is not None)
        self._good.confirm()
        run.snapshot = None
        return float(rates[0])

    def _failure(
        self, index: int, step: int, rate: float, updated: bool = False
    ) -> DivergenceError | LabelError:
        state = self._state
        if self.run.fault == "label":
            return _check.changed_labels(self._y, state.network.n_outputs, self._weights)
        return self._diverged(self._x, self._y, step, rate, updated)


@contextmanager
def _named(index: int) -> Iterator[None]:
    """Put the index of a batch before the message of an error that it is at fault for."""
    try:
        yield
    except (InputError, LabelError, ShapeError, DTypeError, ConfigError) as error:
        raise type(error)(f"batch {index}: {error}") from error
