"""A run whose steps are made of parts: the gradients of several batches make one update."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._check import AnyRows
from ..engine.model import Model
from ..engine.run import Run
from ..losses import total_weight
from .custom import AnyRun, CustomRun

__all__ = ["PART_ROWS", "AccumulatedRun", "AnySteps", "OpenStep"]

# Of a part: as many as one chain of a gradient adds up, so that parts do not show in the bits.
PART_ROWS = 256
# The rule of the parts is SGD, which adds their gradients at this rate.
_ADDED = np.array([-1.0])


class OpenStep:
    """The batches so far of a step whose update is to come.

    Attributes
    ----------
    parts : int
        Batches.
    rows : int
    weight : float
        What the sum of their gradients is to be divided by.
    gradient : ndarray or None
        That sum, in the layout of the engine; None before the first.
    """

    def __init__(self) -> None:
        self.parts, self.rows, self.weight = 0, 0, 0.0
        self.gradient: NDArray[Any] | None = None

    def clear(self) -> None:
        """Begin a new step."""
        self.parts, self.rows, self.weight = 0, 0, 0.0


class AccumulatedRun:
    """An update for the sum of the gradients of several parts.

    Either the rows of a step are known: `bind` and `steps` are those of a `Run`, whose bits it
    has, dropout included, in the memory of one part. Or batches come one by one: `add` them, then
    `close` the step.

    Parameters
    ----------
    run : Run
        Of the updates.
    parts : Run or CustomRun
        Which adds their gradients to `total`.
    inner : Run
        The same, or the one within.
    total : Model
    rows : int
        Of a step.
    part : int
        Rows of a part.
    by_rows : bool
        Whether the sum of the gradients is divided by the rows, not by their weights.
    open_step : OpenStep
        Of batches that come one by one.
    """

    def __init__(
        self,
        run: Run,
        parts: AnyRun,
        inner: Run,
        total: Model,
        rows: int,
        part: int,
        by_rows: bool,
        open_step: OpenStep,
    ) -> None:
        self._run, self._parts, self._inner, self._total = run, parts, inner, total
        self._rows, self._part, self._by_rows = rows, part, by_rows
        self.open = open_step
        if open_step.gradient is not None:
            total.arena[...] = open_step.gradient
        open_step.gradient = total.arena
        self._marked, self._counts = np.empty_like(total.arena), (0, 0, 0.0)
        self.weight, self.fault = 0.0, ""

    @property
    def state(self) -> NDArray[Any]:
        """As of `Run`."""
        return self._run.state

    @property
    def order(self) -> NDArray[np.int64]:
        """As of `Run`."""
        return self._parts.order

    @property
    def objective(self) -> None:
        """Not known."""
        return None

    @property
    def snapshot(self) -> NDArray[Any] | None:
        """As of `Run`."""
        return self._run.snapshot

    @snapshot.setter
    def snapshot(self, value: NDArray[Any] | None) -> None:
        self._run.snapshot = value

    @property
    def stop_request(self) -> Any:
        """As of `Run`."""
        return self._parts.stop_request

    @stop_request.setter
    def stop_request(self, value: Any) -> None:
        self._parts.stop_request = value

    @property
    def done(self) -> int:
        """As of `Run`."""
        return self._run.done

    def bind(self, x: AnyRows, y: NDArray[Any], weights: NDArray[np.float64] | None = None) -> None:
        """As of `Run`."""
        self._weights, self._n = weights, len(x)
        self._parts.bind(x, y, weights)

    def release(self) -> Any:
        """As of `Run`."""
        return self._parts.release()

    def shuffle(self, bit_generator: np.random.BitGenerator) -> None:
        """As of `Run`."""
        self._parts.shuffle(bit_generator)

    def apply(self, gradient: Model, learning_rates: NDArray[np.float64]) -> None:
        """As of `Run`."""
        self._run.apply(gradient, learning_rates)

    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, float, int]:
        """As of `Run`."""
        if first == 0:
            self.weight, self._sums = 0.0, (0.0, 0.0)
        self.fault = ""
        done = 0
        while done < count and self._step(first + done, learning_rates[done : done + 1]):
            done += 1
        return *self._sums, done

    def _step(self, step: int, rate: NDArray[np.float64]) -> bool:
        """Do a step; return whether it was done."""
        begin = step * self._rows
        n = min(self._rows, self._n - begin)
        weight = float(n)
        if self._weights is not None:
            weight = total_weight(self._weights[self.order[begin : begin + n]], n)
        self._total.arena[...] = 0
        for i, first in enumerate(range(0, n, self._part)):
            self._inner.step = self._run.step
            if isinstance(self._parts, CustomRun):  # which knows the rows by their parts
                self._inner.part_of(n, weight, first, 0, self._n)
                i += begin // self._part
            else:
                self._inner.part_of(n, weight, first, begin, begin + n)
            loss, correct, done = self._parts.steps(i, 1, _ADDED)
            if not done:
                self.fault = self._parts.fault
                return False
        self._run.apply(self._total, rate, step == 0, n)
        self.weight += weight
        self._sums = loss, correct
        return True

    def mark(self) -> None:
        """Note the open step as it is."""
        step = self.open
        self._marked[...] = self._total.arena
        self._counts = step.parts, step.rows, step.weight

    def to_mark(self) -> None:
        """Put the open step back to what it was at the mark."""
        step = self.open
        self._total.arena[...] = self._marked
        step.parts, step.rows, step.weight = self._counts

    def add(
        self, x: AnyRows, y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> tuple[float, float, int]:
        """Add the gradient of a batch to the open step; return what `steps` does, of it alone."""
        self.bind(x, y, weights)
        self.fault, step = "", self.open
        if not step.parts:
            self._total.arena[...] = 0
        self._inner.step = self._run.step
        self._inner.part_of(0, 0.0, step.rows, 0, len(x))
        loss, correct, done = self._parts.steps(0, 1, _ADDED)
        self.fault, self.weight = self._parts.fault, total_weight(weights, len(x))
        if done:
            step.parts, step.rows = step.parts + 1, step.rows + len(x)
            step.weight += len(x) if self._by_rows else self.weight
        return loss, correct, done

    def close(self, learning_rates: NDArray[np.float64], snapshot: bool) -> None:
        """Do the update of the open step; with `snapshot`, that takes what was before."""
        step = self.open
        scale = 1 / step.weight if step.weight else 1.0  # without a weight the gradient is 0
        self._run.apply(self._total, learning_rates, snapshot, step.rows, scale)
        step.clear()


AnySteps = AnyRun | AccumulatedRun
