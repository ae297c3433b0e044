"""Penalties, clipping and norm limits of a trainer: checked, and by the names of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..layers import Weighted
from ..network import Network

__all__ = ["Objective"]

AVERAGES = ("weights", "rows")
CHECKS: dict[str, Callable[[Any, str], float]] = {
    "l1": _check.number,
    "l2": _check.number,
    "penalize_bias": _check.flag,
}
LIMITS = ("clip_value", "clip_norm", "max_norm")  # None: there is none


class Objective:
    """Penalties on the weights, and limits on gradients and weights.

    Parameters
    ----------
    l1, l2, penalize_bias, clip_value, clip_norm, max_norm, average
        As for `Trainer`.

    Attributes
    ----------
    hyperparameters : dict
        By the names of the engine.
    l2_weight : float
        If it is not 0, `l2` is the penalty of a step whose rows have this weight, and another step
        has l2 * l2_weight / weight. The runs of the engine then know their `objective`.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    l2_weight = 0.0

    def __init__(
        self,
        l1: float,
        l2: float,
        penalize_bias: bool,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
        average: str = AVERAGES[0],
    ) -> None:
        self.hyperparameters: dict[str, float] = {}
        self.average = average
        self.change(l1=l1, l2=l2, penalize_bias=penalize_bias)
        self.change(clip_value=clip_value, clip_norm=clip_norm, max_norm=max_norm)

    @property
    def average(self) -> str:
        """What the weighted sum of a step's gradients is divided by."""
        return self._average

    @average.setter
    def average(self, value: str) -> None:
        self._average = _check.choice(value, AVERAGES, "average")

    def change(self, **options: Any) -> None:
        """Set some of the options; all are checked first."""
        changed = dict(self.hyperparameters)
        for name, value in options.items():
            if name not in LIMITS:
                changed[name] = CHECKS[name](value, name)
            elif value is not None:
                changed[name] = _check.positive(value, name)
            else:
                changed.pop(name, None)
        self.hyperparameters = changed

    def value(self, network: Network) -> float:
        """Return the penalties of a network's trainable layers, in double precision."""
        return sum(self._of(layer) for layer in network.weighted_layers if layer.trainable)

    def _of(self, layer: Weighted) -> float:
        arrays = [layer.weight]
        if self.hyperparameters["penalize_bias"]:
            arrays.append(layer.bias)
        l1, l2 = self.hyperparameters["l1"], self.hyperparameters["l2"]
        total = 0.0
        for array in arrays:  # an estimator asks after each epoch: no pass in vain
            if l1:
                total += l1 * float(np.abs(array).sum(dtype=float))
            if l2:
                total += l2 * float(np.square(array, dtype=float).sum())
        return layer.decay_factor * total

    def slopes(self, layer: Weighted) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the derivative of the penalties by a layer's weight and by its bias."""
        l1, l2 = self.hyperparameters["l1"], self.hyperparameters["l2"]
        factor = layer.decay_factor if layer.trainable else 0.0
        weight, bias = (
            factor * (l1 * np.sign(values) + 2 * l2 * values)
            for values in (layer.weight, layer.bias)
        )
        return weight, bias if self.hyperparameters["penalize_bias"] else np.zeros_like(bias)

    def __str__(self) -> str:
        """Return the options that do something, each after a comma, as `Trainer` takes them."""
        options: dict[str, Any] = {k: v for k, v in self.hyperparameters.items() if v}
        if self.average != AVERAGES[0]:
            options["average"] = self.average
        return "".join(f", {name}={value!r}" for name, value in options.items())
