"""The loop of one call of `Trainer.fit`: epochs of compiled regions of steps, after the checks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._divergence import Snapshot, diverged
from ._engine import Run
from ._progress import NoBar
from .errors import DivergenceError

if TYPE_CHECKING:
    from .trainer import Trainer

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
    run : Run
        Of the engine; bound to the rows here.
    x, y : ndarray
        The rows and targets, as the engine takes them.
    batch_size : int
        At most the number of rows.
    validation : (ndarray, ndarray) or None
        In the same form.
    """

    def __init__(
        self,
        trainer: Trainer,
        run: Run,
        x: NDArray[Any],
        y: NDArray[Any],
        batch_size: int,
        validation: Arrays | None,
    ) -> None:
        self._trainer, self._run = trainer, run
        self._x, self._y, self._validation = x, y, validation
        self._batch_size = batch_size
        self.steps = -(-len(x) // batch_size)
        self._good = Snapshot(trainer, run)
        run.bind(x, y)

    def epoch(self, bar: NoBar) -> None:
        """Train for one epoch, evaluate and record it."""
        start = Snapshot(self._trainer, self._run)
        self._order_rows()
        record = self._train(bar, start)
        if not start.live_is_finite():
            raise self._failure(start, self.steps - 1, record["learning_rate"])
        if self._validation is not None:
            measured = self._trainer._measure(*self._validation)
            record |= {f"val_{name}": value for name, value in measured.items()}
        self._trainer.history.append(**record)
        bar.epoch_done(**record)

    def _order_rows(self) -> None:
        if self._trainer._shuffle and self.steps > 1:
            # From the natural order each time: a call of fit goes on as if there were no break.
            self._run.order[...] = np.arange(len(self._x))
            self._run.shuffle(self._trainer._generator)

    def _train(self, bar: NoBar, start: Snapshot) -> dict[str, float]:
        """Run the steps of one epoch; return the means, the last rate and the seconds."""
        trainer, done, loss, hits = self._trainer, 0, 0.0, 0
        begin = now = time.perf_counter()
        while done < self.steps:
            count = min(trainer._region, self.steps - done)
            rates = trainer.optimizer.learning_rates(trainer.n_steps, count)
            part_loss, part_hits, part_done = self._run.steps(done, count, rates)
            if done + part_done:
                # The finite loss of the first step: the epoch started from a good state.
                self._good = start
            if part_done < count:
                raise self._failure(start, done + part_done, float(rates[part_done]))
            done, trainer.n_steps = done + count, trainer.n_steps + count
            loss, hits = loss + part_loss, hits + part_hits
            before, now = now, time.perf_counter()
            trainer._region = _next_region(trainer._region, count, now - before)
            rows = min(done * self._batch_size, len(self._x))
            means = trainer._means(loss, hits, rows, self._y)
            bar.advance(count, **means)
        return {**means, "learning_rate": float(rates[-1]), "seconds": now - begin}

    def _failure(self, start: Snapshot, step: int, rate: float) -> DivergenceError:
        """Return the error of `step` of this epoch, the last good state being restored."""
        trainer = self._trainer
        rows = self._run.order[step * self._batch_size : (step + 1) * self._batch_size]
        epoch = trainer.history.epochs + 1
        error = diverged(trainer.network, self._x[rows], epoch, start.n_steps + step, rate)
        self._good.restore(trainer)
        return error


def _next_region(region: int, count: int, seconds: float) -> int:
    """Return how many steps fill a region, `count` of them having taken `seconds`."""
    wanted = int(count * REGION_SECONDS / max(seconds, 1e-9))
    return max(1, min(wanted, REGION_GROWTH * region))
