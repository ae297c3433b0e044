"""Penalties, clipping and norm limits of a trainer: checked, and by the names of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..network import Network

__all__ = ["Objective"]


class Objective:
    """Penalties on the weights, and limits on gradients and weights.

    Parameters
    ----------
    l1, l2, penalize_bias, clip_value, clip_norm, max_norm
        As for `Trainer`.

    Attributes
    ----------
    hyperparameters : dict
        By the names of the engine.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(
        self,
        l1: float,
        l2: float,
        penalize_bias: bool,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        max_norm: float | None = None,
    ) -> None:
        self.hyperparameters: dict[str, float] = {
            "l1": _check.number(l1, "l1"),
            "l2": _check.number(l2, "l2"),
            "penalize_bias": _check.flag(penalize_bias, "penalize_bias"),
        }
        limits = {"clip_value": clip_value, "clip_norm": clip_norm, "max_norm": max_norm}
        for name, limit in limits.items():
            if limit is not None:
                self.hyperparameters[name] = _check.positive(limit, name)

    def value(self, network: Network) -> float:
        """Return the penalties of a network, in double precision."""
        arrays = [layer.weight for layer in network.weighted_layers]
        if self.hyperparameters["penalize_bias"]:
            arrays += [layer.bias for layer in network.weighted_layers]
        l1, l2 = self.hyperparameters["l1"], self.hyperparameters["l2"]
        return sum(
            l1 * float(np.abs(a).sum(dtype=float)) + l2 * float(np.square(a, dtype=float).sum())
            for a in arrays
        )

    def slope(self, values: NDArray[Any], bias: bool = False) -> NDArray[Any]:
        """Return the derivative of the penalties by a weight or a bias."""
        if bias and not self.hyperparameters["penalize_bias"]:
            return np.zeros_like(values)
        l1, l2 = self.hyperparameters["l1"], self.hyperparameters["l2"]
        slope: NDArray[Any] = l1 * np.sign(values) + 2 * l2 * values
        return slope

    def __str__(self) -> str:
        """Return the options that do something, each after a comma, as `Trainer` takes them."""
        return "".join(f", {name}={value}" for name, value in self.hyperparameters.items() if value)
