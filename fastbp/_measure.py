"""Losses and gradients of checked rows: what the engine is asked for, loss by loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._given import GivenLoss, correct, measured, total
from ._loss import Loss
from .engine.model import Model
from .engine.run import gradients as engine_gradients
from .errors import InputError

__all__ = ["evaluate", "gradients", "means"]

Weights = NDArray[np.float64] | None


def evaluate(
    model: Model, loss: Loss, x: NDArray[Any], y: NDArray[Any], weights: Weights, n_threads: int
) -> tuple[float, int]:
    """Return the weighted sum of the rows' losses, and how many rows are right."""
    if isinstance(loss, GivenLoss):
        outputs = _outputs(model, x, n_threads)
        values, _ = measured(loss.function, outputs, y)
        return total(values, weights), correct(outputs, y)
    sums = model.evaluate(loss.name, x, y, n_threads, loss.parameter, weights)
    if sums is None:
        raise _check.changed_labels(y, model.n_outputs)
    return sums


def gradients(
    model: Model,
    loss: Loss,
    x: NDArray[Any],
    y: NDArray[Any],
    weights: Weights,
    n_threads: int,
    inputs: bool,
) -> tuple[float, Model, NDArray[Any] | None]:
    """Return the mean loss, a model that holds its gradients, and dX if `inputs`."""
    if isinstance(loss, GivenLoss):
        values, y = measured(loss.function, _outputs(model, x, n_threads), y)
        found = engine_gradients(model, loss.name, x, y, n_threads, inputs, 0, weights)
        assert found is not None  # its targets are no labels
        return total(values, weights) / len(x), *found[1:]
    found = engine_gradients(model, loss.name, x, y, n_threads, inputs, loss.parameter, weights)
    if found is None:
        raise _check.changed_labels(y, model.n_outputs)
    return found


def _outputs(model: Model, x: NDArray[Any], n_threads: int) -> NDArray[Any]:
    outputs = model.predict(x, n_threads)
    if outputs is None:
        raise InputError(_check.not_finite(x, "x"))
    return outputs


def means(loss: Loss, total: float, hits: int, rows: int, y: NDArray[Any]) -> dict[str, float]:
    """Return the mean "loss" and, in classification, the "accuracy"."""
    found = {"loss": total / rows}
    # Of targets, only classes are one-dimensional behind the gate.
    if loss.classification or y.ndim == 1:
        found["accuracy"] = hits / rows
    return found
