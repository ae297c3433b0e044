"""A user's own loss: a function that gives the losses of rows and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._loss import Loss
from .engine.model import Model
from .engine.run import Run
from .errors import ConfigError

__all__ = ["GivenLoss", "GivenRun", "LossFunction", "correct", "measured", "total"]

FLOAT64 = np.dtype(np.float64)

# (outputs, targets) to the loss of each row and its gradient by the outputs.
LossFunction = Callable[[NDArray[Any], NDArray[Any]], tuple[Any, Any]]
Measured = tuple[NDArray[np.float64], NDArray[Any]]


@dataclass(frozen=True)
class GivenLoss(Loss):
    """A function as a loss; see `fastbp.losses`."""

    name = "given"
    function: LossFunction

    @property
    def parameter(self) -> float:
        """None that the engine would take."""
        return 0.0

    @property
    def shown(self) -> str:
        """The function's name."""
        return getattr(self.function, "__qualname__", repr(self.function))


def measured(function: LossFunction, outputs: NDArray[Any], targets: NDArray[Any]) -> Measured:
    """Return what the function gives, float64 [n] and the outputs' dtype [n, n_outputs], checked.

    Numbers that are not finite pass: they are what a diverging network gives.

    Raises
    ------
    ConfigError, ShapeError, DTypeError
        It gives something else.
    """
    given = function(outputs, targets)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ConfigError(
            f"loss: got {type(given).__name__} from the function, wanted a pair: the loss of each "
            "row, and its gradient by the outputs"
        )
    values = _check.shaped(given[0], outputs.shape[:1], FLOAT64, "loss: losses of the rows")
    return values, _check.shaped(given[1], outputs.shape, outputs.dtype, "loss: gradient")


class GivenRun:
    """A `Run` whose steps ask a function for the gradient of the batch: forward, ask, step.

    Parameters
    ----------
    run : Run
        Of the engine, with the loss "given".
    model : Model
        Whose outputs the function sees.
    function : callable
    batch_size, n_threads : int
    """

    def __init__(
        self, run: Run, model: Model, function: LossFunction, batch_size: int, n_threads: int
    ) -> None:
        self._run, self._model, self._function = run, model, function
        self._batch_size, self._n_threads = batch_size, n_threads
        self._fault = ""
        self._sums = 0.0, 0  # of the epoch so far

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
    def snapshot(self) -> NDArray[Any] | None:
        """As of `Run`."""
        return self._run.snapshot

    @snapshot.setter
    def snapshot(self, value: NDArray[Any] | None) -> None:
        self._run.snapshot = value

    def bind(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> None:
        """As of `Run`; the engine's targets are an array of gradients, which each step fills."""
        self._x, self._y, self._weights = x, y, weights
        self._gradients = np.zeros((len(x), self._model.n_outputs), self._model.dtype)
        self._run.bind(x, self._gradients, weights)

    def release(self) -> Any:
        """As of `Run`."""
        return self._run.release()

    def shuffle(self, bit_generator: np.random.BitGenerator) -> None:
        """As of `Run`."""
        self._run.shuffle(bit_generator)

    def steps(
        self, first: int, count: int, learning_rates: NDArray[np.float64]
    ) -> tuple[float, int, int]:
        """As of `Run`."""
        self._fault = ""
        if first == 0:
            self._sums = 0.0, 0
        done = 0
        while done < count and not self._fault:
            self._step(first + done, learning_rates[done : done + 1])
            done += not self._fault
        return *self._sums, done

    def _step(self, step: int, learning_rate: NDArray[np.float64]) -> None:
        rows = self.order[step * self._batch_size : (step + 1) * self._batch_size]
        outputs = self._model.predict(self._x[rows], self._n_threads)
        if outputs is None:  # a row that is not finite any more
            self._fault = "loss"
            return
        targets = self._y[rows]
        if targets.ndim == 1 and not 0 <= targets.min() <= targets.max() < outputs.shape[1]:
            self._fault = "label"
            return
        right = correct(outputs, targets)
        values, gradient = measured(self._function, outputs, targets)
        value = total(values, None if self._weights is None else self._weights[rows])
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            self._fault = "loss"
            return
        self._gradients[rows] = gradient
        self._run.steps(step, 1, learning_rate)
        self._sums = self._sums[0] + value, self._sums[1] + right


def total(values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
    """Return the weighted sum of the rows' losses."""
    return float(np.sum(values if weights is None else values * weights))


def correct(outputs: NDArray[Any], targets: NDArray[Any]) -> int:
    """Return how many rows have their largest output at the class; 0 if targets are no classes."""
    return int(np.sum(outputs.argmax(axis=1) == targets)) if targets.ndim == 1 else 0
