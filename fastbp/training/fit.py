"""The loop of one call of `Trainer.fit`: epochs of compiled regions of steps, after the checks."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from .. import _check
from .._given import GivenRun
from .._measure import means
from .._progress import NoBar
from ..callbacks import Callbacks
from ..engine.run import Run
from ..errors import DivergenceError, LabelError
from .state import LastGood, diverged

if TYPE_CHECKING:
    from ..trainer import Trainer

__all__ = ["Fit"]

Arrays = tuple[NDArray[Any], NDArray[Any]]

# Compiled code returns this often, so that signals, the progress bar and callbacks get a turn.
REGION_SECONDS = 0.05
# One short region says little about a long one: its length grows by at most this factor.
REGION_GROWTH = 64


class Fit:
    """Some epochs of one trainer on one set of rows.

    Parameters
    ----------
    trainer : Trainer
        Holds the state that outlives the call.
    run : Run or GivenRun
        Of the engine; bound to the rows here.
    x, y : ndarray
        The rows and targets, as the engine takes them.
    batch_size : int
        At most the number of rows.
    validation : (ndarray, ndarray) or None
        In the same form.
    weights : ndarray or None
        Of the rows' losses.
    callbacks : Callbacks
        Their ``on_fit_begin`` has been called.
    """

    def __init__(
        self,
        trainer: Trainer,
        run: Run | GivenRun,
        x: NDArray[Any],
        y: NDArray[Any],
        batch_size: int,
        validation: Arrays | None,
        weights: NDArray[Any] | None,
        callbacks: Callbacks,
    ) -> None:
        self._trainer, self._run, self._callbacks = trainer, run, callbacks
        self._x, self._y, self._validation = x, y, validation
        self._batch_size = batch_size
        self.steps = -(-len(x) // batch_size)
        self._shuffles = trainer._shuffle and self.steps > 1
        self._good = LastGood(trainer, run)
        run.bind(x, y, weights)

    def epochs(self, count: int, bar: NoBar) -> None:
        """Train for `count` epochs, or until a callback stops it."""
        history, call = self._trainer.history, self._callbacks.call
        history.stopped = None
        for _ in range(count):
            cut = self._epoch(bar)
            history.stopped = call("on_epoch_end", self._trainer, history) or cut
            if history.stopped:
                break
        call("on_fit_end", self._trainer, history)

    def _epoch(self, bar: NoBar) -> str | None:
        """Train for one epoch, evaluate and record it; return why it was cut short, if it was."""
        trainer = self._trainer
        self._good.begin(self._shuffles)
        if self._shuffles:
            self._run.shuffle(trainer._generator)
        record, done, cut = self._train(bar)
        if not self._good.live_is_finite():
            raise self._failure(done - 1, trainer.n_steps - 1, record["learning_rate"])
        if self._validation is not None:
            measured = trainer._measure(*self._validation)
            record |= {f"val_{name}": value for name, value in measured.items()}
        trainer.optimizer.watch(record)
        trainer.history.append(**record)
        bar.epoch_done(**record)
        return cut

    def _train(self, bar: NoBar) -> tuple[dict[str, float], int, str | None]:
        """Run the steps of one epoch, or those until a callback stops it.

        Returns means, the last rate and seconds; the steps done; why they are not all, if so.
        """
        trainer, done, cut = self._trainer, 0, None
        epoch = trainer.history.epochs
        begin = now = perf_counter()
        while done < self.steps and not cut:
            count = min(trainer._region, self.steps - done)
            rates = trainer.optimizer.learning_rates(trainer.n_steps, count, epoch)
            loss, hits, part_done = self._run.steps(done, count, rates)
            done += part_done
            if done:
                self._good.confirm()
            if part_done < count:
                raise self._failure(done, trainer.n_steps, float(rates[part_done]))
            before, now = now, perf_counter()
            trainer._region = _next_region(trainer._region, count, now - before)
            rows = min(done * self._batch_size, len(self._x))
            found = means(trainer._loss, loss, hits, rows, self._y)
            bar.advance(count, **found)
            cut = self._callbacks.call("on_region_end", trainer)
        return {**found, "learning_rate": float(rates[-1]), "seconds": now - begin}, done, cut

    def _failure(self, index: int, step: int, rate: float) -> DivergenceError | LabelError:
        """Return the error of a step, `index` of this epoch, the state to go on from restored."""
        trainer = self._trainer
        if self._run.fault == "label":
            self._good.undo_epoch()
            return _check.changed_labels(self._y, trainer.network.n_outputs)
        rows = self._run.order[index * self._batch_size : (index + 1) * self._batch_size]
        epoch = trainer.history.epochs + 1
        error = diverged(trainer.network, self._x[rows], epoch, step, rate)
        self._good.restore()
        return error


def _next_region(region: int, count: int, seconds: float) -> int:
    """Return how many steps fill a region, `count` of them having taken `seconds`."""
    wanted = int(count * REGION_SECONDS / (seconds or 1e-9))
    return max(1, min(wanted, REGION_GROWTH * region))
