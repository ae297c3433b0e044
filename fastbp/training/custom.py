"""A run of the engine whose loss is a user's own function."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._check import AnyRows
from ..engine.model import Model
from ..engine.run import Run
from ..losses import CustomLoss, count_correct, total_weight, weighted_sum

__all__ = ["AnyRun", "CustomRun"]


class CustomRun:
    """A `Run` whose steps ask a function for the gradient of the batch: forward, ask, step.

    Parameters
    ----------
    run : Run
        Of the engine, with the loss "custom".
    model : Model
        Whose outputs the function sees.
    loss : CustomLoss
    batch_size, n_threads : int
    """

    def __init__(
        self, run: Run, model: Model, loss: CustomLoss, batch_size: int, n_threads: int
    ) -> None:
        self._run, self._model, self._loss = run, model, loss
        self._batch_size, self._n_threads = batch_size, n_threads
        self._fault = ""
        # Of the epoch so far: the losses, the weight of the right rows, that of all rows; and for
        # each row the mean loss of its step.
        self._sums = 0.0, 0.0, 0.0
        self._loss_by_rows, self._n_rows = 0.0, 0

    @property
    def state(self) -> NDArray[Any]:
        """As of `Run`."""
        return self._run.state

    @property
    def order(self) -> NDArray[np.int64]:
        """As of `Run`."""
        return self._run.order

    @property
    def fault(self) -> str:
        """As of `Run`."""
        return self._fault

    @property
    def weight(self) -> float:
        """As of `Run`."""
        return self._sums[2]

    @property
    def objective(self) -> tuple[float, float] | None:
        """As of `Run`, which does not know the function's loss."""
        found = self._run.objective
        return None if found is None else (self._loss_by_rows / self._n_rows, found[1])

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
        return self._run.stop_request

    @stop_request.setter
    def stop_request(self, value: Any) -> None:
        self._run.stop_request = value

    @property
    def done(self) -> int:
        """As of `Run`."""
        return self._run.done

    @property
    def guards(self) -> bool:
        """As of `Run`."""
        return self._run.guards

    @guards.setter
    def guards(self, value: bool) -> None:
        self._run.guards = value

    @property
    def proved(self) -> bool:
        """As of `Run`."""
        return self._run.proved

    def bind(self, x: AnyRows, y: NDArray[Any], weights: NDArray[np.float64] | None = None) -> None:
        """As of `Run`; the engine's targets are an array of gradients, which each step fills."""
        self._x, self._y, self._weights = x, y, weights
        self._gradients = np.zeros((len(x), self._model.n_outputs), self._model.dtype)
        self._run.bind(x, self._gradients, weights)

    def apply(self, gradient: Model, learning_rates: NDArray[np.float64]) -> None:
        """As of `Run`."""
        self._run.apply(gradient, learning_rates)

    def release(self) -> Any:
        """As of `Run`."""
        return self._run.release()

    def shuffle(self, bit_generator: np.random.BitGenerator) -> None:
        """As of `Run`."""
        self._run.shuffle(bit_generator)

    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, float, int]:
        """As of `Run`."""
        self._fault = ""
        if first == 0:
            self._sums = 0.0, 0.0, 0.0
            self._loss_by_rows, self._n_rows = 0.0, 0
        done = 0
        while done < count and self._step(first + done, learning_rates[done : done + 1]):
            done += 1
        return *self._sums[:2], done

    def _step(self, step: int, learning_rate: NDArray[np.float64]) -> bool:
        """Do a step; return whether it was done."""
        rows = self.order[step * self._batch_size : (step + 1) * self._batch_size]
        outputs = self._model.predict(self._x[rows], self._n_threads)
        if outputs is None:  # a row that is not finite any more
            self._fault = "loss"
            return False
        targets = self._y[rows]
        weights = None if self._weights is None else self._weights[rows]
        labels = targets if weights is None else targets[weights != 0]
        if labels.ndim == 1 and ((labels < 0) | (labels >= outputs.shape[1])).any():
            self._fault = "label"
            return False
        right = count_correct(outputs, targets, weights)
        values, gradient = self._loss.measure(outputs, targets)
        value = weighted_sum(values, weights)
        if weights is not None:
            gradient = np.where(weights[:, None] == 0, 0, gradient)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            self._fault = "loss"
            return False
        self._gradients[rows] = gradient
        if not self._run.steps(step, 1, learning_rate)[2]:
            self._fault = self._run.fault
            return False
        losses, rights, weight = self._sums
        of_step = total_weight(weights, len(rows))
        self._sums = losses + value, rights + right, weight + of_step
        self._loss_by_rows += len(rows) * (value / of_step if of_step else 0.0)
        self._n_rows += len(rows)
        return True


AnyRun = Run | CustomRun
