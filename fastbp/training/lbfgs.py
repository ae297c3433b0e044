"""A call of `Trainer.fit` with `LBFGS`: SciPy's minimiser on the engine's gradient."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._check import AnyRows
from ..engine import threadpool
from ..errors import ConfigError, MissingDependencyError
from ..losses import Loss, total_weight
from ..optimizers import LBFGS
from .divergence import diverged
from .fit import Callbacks, NoBar
from .objective import Objective
from .state import Remembered, TrainingState

__all__ = ["Minimization"]


class _Ended(Exception):  # noqa: N818 (no error)
    """Leaves SciPy's loop: training was stopped."""


class Minimization:
    """The iterations of L-BFGS on one set of rows, each an epoch.

    Parameters
    ----------
    state : TrainingState
        Its optimizer is an `LBFGS`.
    loss, objective
        What is minimised.
    x, y, weights
        Rows, targets and weights, as the engine takes them.
    n_threads : int
    measure, callbacks
        As for `Epochs`.

    Raises
    ------
    ConfigError
        The network drops units, or the objective has a penalty with a kink or limits.
    MissingDependencyError
        SciPy is not installed.
    """

    steps = 1

    def __init__(
        self,
        state: TrainingState,
        loss: Loss,
        objective: Objective,
        x: AnyRows,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        n_threads: int,
        measure: Callable[[], dict[str, float]],
        callbacks: Callbacks,
    ) -> None:
        self._minimize, self._one_blas_thread = _scipy()
        self._state, self._loss, self._objective = state, loss, objective
        self._rows = x, y, weights
        self._n_threads, self._measure, self._callbacks = n_threads, measure, callbacks
        self._layers = [layer for layer in state.network.weighted_layers if layer.trainable]
        self._require()

    def _require(self) -> None:
        if not self._layers:
            raise ConfigError(
                "network: got one without a trainable layer, wanted one at least: set "
                "layer.trainable = True for some of network.layers"
            )
        if any(layer.dropout for layer in self._state.network.weighted_layers):
            raise ConfigError(
                "optimizer: got LBFGS for a network with dropout, whose loss changes from step to "
                "step, wanted another optimizer, or dropout=0"
            )
        given = self._objective.hyperparameters
        for name in ("l1", "clip_value", "clip_norm", "max_norm"):
            if given.get(name):
                raise ConfigError(f"{name}: got {given[name]:g} with LBFGS, wanted none")
        factors = {layer.learning_rate_factor for layer in self._layers} - {1.0}
        if factors:
            raise ConfigError(
                f"learning_rate_factor: got {factors.pop():g} with LBFGS, which has no learning "
                "rate, wanted 1, or trainable=False"
            )

    @property
    def _point(self) -> NDArray[np.float64]:
        """All trained parameters in one vector; assigning rounds them to the network's dtype."""
        arrays = [a.ravel() for layer in self._layers for a in (layer.weight, layer.bias)]
        return np.concatenate(arrays).astype(np.float64)

    @_point.setter
    def _point(self, value: NDArray[np.float64]) -> None:
        begin = 0
        for layer in self._layers:
            for array in (layer.weight, layer.bias):
                array[...] = value[begin : begin + array.size].reshape(array.shape)
                begin += array.size

    def epochs(self, count: int, bar: NoBar) -> None:
        """Iterate `count` times, or until the minimum is reached or a callback stops it."""
        state, callbacks, history = self._state, self._callbacks, self._state.history
        optimizer = state.optimizer
        assert isinstance(optimizer, LBFGS)
        if state.in_loop:
            state.unfinished, state.in_loop = {}, False
        callbacks.resume_states = state.unfinished
        history.stopped, optimizer.converged = None, False
        dtype = state.network.dtype
        state.memory.last = Remembered("", state.steps.n, np.empty(0, dtype))
        first = state.steps.n
        self._last = self._point  # of the last iteration; where an error goes back to
        self._bar, self._left, self._begin = bar, count, perf_counter()
        options = {
            "maxiter": count,
            "maxfun": optimizer.max_evaluations,
            "maxcor": optimizer.history_size,
            "gtol": optimizer.tol,
        }
        try:
            callbacks.call("_take_up", history)
            self._last = self._point
            with self._one_blas_thread(1, "blas"):
                result = self._minimize(
                    self._value_and_slope,
                    self._last,
                    method="L-BFGS-B",
                    jac=True,
                    callback=self._iterated,
                    options=options,
                )
            optimizer.converged = bool(result.success)
            if result.success:
                history.stopped = "converged"
            elif self._left:
                history.stopped = _reason(result, optimizer)
        except _Ended:
            pass
        except BaseException:
            self._point = self._last
            if state.steps.n == first:
                callbacks.call("_call_off", history)
            raise
        self._point = self._last
        callbacks.end(state)

    def _value_and_slope(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return what is minimised, and its gradient, at a point; the network stays there."""
        stop = self._callbacks.stop_request.reason or self._callbacks.call("on_region_end")
        if stop:
            self._state.history.stopped = stop
            raise _Ended
        self._point = point
        network, objective = self._state.network, self._objective
        with np.errstate(over="ignore", invalid="ignore"):
            loss, held, _ = self._loss._gradients(
                network._model, *self._rows, self._n_threads, False
            )
            slopes = [
                (g + s).ravel()
                for layer in self._layers
                for g, s in zip(layer._views(held), objective.slopes(layer), strict=True)
            ]
            value = loss + objective.value(network)
        if not np.isfinite(value) and np.array_equal(point, self._last):
            x, y, _ = self._rows
            raise diverged(network, x, y, self._epoch, self._state.steps.n, 1.0)
        self._seen = point.copy(), loss
        return value, np.concatenate(slopes).astype(np.float64)

    @property
    def _epoch(self) -> int:
        return self._state.history.epochs + 1

    def _iterated(self, point: NDArray[np.float64]) -> None:
        """Record an iteration, measure it, and ask the callbacks."""
        state, (x, y, _) = self._state, self._rows
        self._point = point
        if not np.isfinite(self._point).all():
            raise diverged(state.network, x, y, self._epoch, state.steps.n, 1.0, True)
        self._last = point.copy()
        state.steps.n += 1
        self._left -= 1
        record = self._losses(point) | {"seconds": perf_counter() - self._begin}
        state.moment.measured, state.moment.before_step = record.keys() - {"seconds"}, None
        record |= self._measure()
        state.record(record)
        self._bar.advance(1)
        self._bar.epoch_done(**record)
        decided = self._callbacks.end_epoch(state)
        if decided:
            state.history.stopped = decided
            raise _Ended
        if self._left:
            self._callbacks.call("on_checkpoint", state.history)
        self._begin = perf_counter()

    def _losses(self, point: NDArray[np.float64]) -> dict[str, float]:
        """Return the loss of a point, and in classification the accuracy."""
        x, y, weights = self._rows
        seen, loss = self._seen
        if y.ndim == 2 and not self._loss.classification and np.array_equal(seen, point):
            return {"loss": loss}
        model = self._state.network._model
        sums = self._loss._evaluate(model, x, y, weights, self._n_threads)
        return self._loss._means(*sums, total_weight(weights, len(x)), y)


def _scipy() -> tuple[Any, Any]:
    """Return SciPy's minimiser, and what keeps the sums of its BLAS to one thread.

    More threads would add in another order, and wait for each other longer than they compute.
    """
    try:
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        return minimize, threadpool.limits()
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f'LBFGS needs {error.name}, which is not installed: pip install "fastbp[scipy]"'
        ) from error


def _reason(result: Any, optimizer: LBFGS) -> str:
    if result.nfev >= optimizer.max_evaluations:
        return f"{optimizer.max_evaluations} evaluations are over"
    return "the line search has found no smaller loss"
