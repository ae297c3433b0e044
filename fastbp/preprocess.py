"""Standardisation of inputs and targets, and its folding into a trained network.

A network learns best from numbers of mean 0 and deviation 1, and is used best when it takes and
gives the user's own numbers. So train on standardised data, then fold the map into the first or
the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import ConfigError

if TYPE_CHECKING:
    from .network import Network

# No value of the data lies further than this from the mean, in units of the scale: a column
# that is nearly always the same (a pixel at the border) would else get a tiny deviation and
# huge standardised values.
_FARTHEST = 20.0


@dataclass(frozen=True)
class Standardizer:
    """The map ``z = (x - mean) / scale``, and back.

    Attributes
    ----------
    mean, scale : np.ndarray
        [columns], or [1] for one pair shared by all columns, in the dtype of the data; every
        scale is above 0.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, shared: bool = False) -> Standardizer:
        """Return the standardizer of `x`.

        Parameters
        ----------
        x : np.ndarray
            Floating-point, [rows, columns], or [rows] for one column.
        shared : bool
            One mean and one scale for all columns, as for the pixels of an image.
        """
        x = np.asarray(x)
        axis = None if shared or x.ndim == 1 else 0
        mean = x.mean(axis, dtype=np.float64)
        scale = x.std(axis, dtype=np.float64)
        farthest = np.maximum(x.max(axis) - mean, mean - x.min(axis))
        scale = np.maximum(scale, farthest / _FARTHEST)
        # A constant column keeps its unit; rounding alone may leave it a deviation above zero.
        constant = scale <= np.abs(mean) * np.finfo(x.dtype).eps
        scale = np.where(constant, 1.0, scale)
        return cls(np.atleast_1d(mean).astype(x.dtype), np.atleast_1d(scale).astype(x.dtype))

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return a standardised copy of `x`."""
        z = x - self.mean
        z /= self.scale
        return z

    def fold_into_inputs(self, network: Network) -> None:
        """Change the first layer so that the network takes raw inputs instead of standardised ones.

        ``((x - mean) / scale) @ w + b`` is ``x @ (w / scale) + (b - (mean / scale) @ w)``.
        """
        layer = network.layers[0]
        weight = layer.weight.astype(np.float64)
        scale = np.broadcast_to(self.scale.astype(np.float64), weight.shape[:1])
        shift = self.mean / scale
        layer.bias = layer.bias - shift @ weight
        layer.weight = weight / scale[:, None]

    def fold_into_outputs(self, network: Network) -> None:
        """Change the last layer so that the network gives raw targets instead of standardised ones.

        Raises
        ------
        ConfigError
            The last layer is not linear.
        """
        layer = network.layers[-1]
        if layer.activation != "linear":
            raise ConfigError(f"last layer: got {layer.activation}, wanted linear")
        layer.weight = layer.weight * self.scale
        layer.bias = layer.bias * self.scale + self.mean
