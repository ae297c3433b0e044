"""The plain model of a trainer: its state is the steps that made it, done one by one on one thread.

To go back is to forget the last of them and do the others again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fastbp as fb
from fastbp.errors import DivergenceError
from fuzz.cases import Rows


class Failure(NamedTuple):
    """Where a fit leaves the finite numbers, as `DivergenceError` counts.

    A fit notices an update that is not finite by a later loss, or else at the end of the epoch.
    """

    epoch: int
    step: int
    last: int


class Plain:
    """What a trainer should be.

    Parameters
    ----------
    begin : callable
        Returns a new trainer as it is at the beginning, on one thread.
    rows : Rows
        That `fit` is given.
    batch : int
        Rows of a step.
    seed : int or None
        Of the shuffling; None for the order of the rows.

    Attributes
    ----------
    epochs : int
        How many a history has: those undone by a divergence count.
    """

    def __init__(
        self, begin: Callable[[], fb.Trainer], rows: Rows, batch: int, seed: int | None
    ) -> None:
        self._begin, self._rows, self._batch, self._seed = begin, rows, batch, seed
        self._events: list[tuple[Callable, tuple]] = []
        self.epochs = 0
        self._start()

    @property
    def steps_of_an_epoch(self) -> int:
        return -(-len(self._rows.x) // self._batch)

    def do(self, event: Callable, *arguments: Any) -> Any:
        """Let something happen; if it raises, it has not happened."""
        result = event(self, *arguments)
        self._events.append((event, arguments))
        return result

    def epoch(self, n_steps: int, weighted: bool) -> float:
        """So many of an epoch's steps; the mean loss over their rows."""
        self.do(draw)
        total = count = 0.0
        for i in range(n_steps):
            rows = self._rows.part(self.order[i * self._batch : (i + 1) * self._batch])
            weight = rows.sample_weight.sum() if weighted else len(rows.x)
            total += weight * self.do(step, rows, weighted)
            count += weight
        return total / (count or 1)

    def fit(self, epochs: int) -> Failure | None:
        """Whole epochs, or what a divergence leaves of them, and where it is.

        That is the start of the last epoch whose first loss was finite, of this one or the one
        before; or of the first.
        """
        begins = [len(self._events)]
        for _ in range(epochs):
            first_step = self.trainer.n_steps
            try:
                self.epoch(self.steps_of_an_epoch, False)
            except DivergenceError as error:
                updated = error.what in ("weights", "optimizer state")
                first = self._events[-1][0] is draw and not updated
                end = first_step + self.steps_of_an_epoch - 1 if updated else error.step
                self._back_to(begins[-2 if first and len(begins) > 1 else -1])
                return Failure(self.epochs + 1, error.step, end)
            begins.append(len(self._events))
            self.epochs += 1
        return None

    def _start(self) -> None:
        self.trainer = self._begin()
        self.order = np.arange(len(self._rows.x))
        if self._seed is not None:
            bits = np.random.SFC64(np.random.SeedSequence(self._seed))
            self.random = np.random.Generator(bits)

    def _back_to(self, mark: int) -> None:
        self._events, events = [], self._events[:mark]
        self._start()
        for event, arguments in events:
            self.do(event, *arguments)

    def _shuffles(self) -> bool:
        return self._seed is not None and self.steps_of_an_epoch > 1

    def _drawn(self) -> np.ndarray:
        """Fisher and Yates, from the last place down."""
        order = np.arange(len(self._rows.x))
        for i in range(len(order) - 1, 0, -1):
            j = int(self.random.integers(0, i + 1, dtype=np.uint32))
            order[i], order[j] = order[j], order[i]
        return order


def draw(plain: Plain) -> None:
    """The order of an epoch."""
    if plain._shuffles():
        plain.order = plain._drawn()


def step(plain: Plain, rows: Rows, weighted: bool) -> float:
    x, y, weight = rows
    return plain.trainer.step(x, y, weight if weighted else None)


def assign(plain: Plain, layer: int, name: str, values: np.ndarray) -> None:
    setattr(plain.trainer.network.weighted_layers[layer], name, values)


def set_rate(plain: Plain, rate: Any) -> None:
    plain.trainer.optimizer.learning_rate = rate


def set_optimizer(plain: Plain, make: Callable[[], Any]) -> None:
    plain.trainer.optimizer = make()
