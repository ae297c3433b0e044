"""A network's affine map ahead, (x - mean) M, taken into whatever of it takes raw rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ._affine import Affine, _product
from ._layer import Layer, Weighted
from .errors import ConfigError
from .gates import Residual

if TYPE_CHECKING:
    from .network import Network

__all__ = ["folded"]

Parameters = tuple[NDArray[Any], NDArray[Any]]


def folded(network: Network) -> Network:
    """Return a copy of `network` with the map ahead of it in its first layer.

    ``((x - mean) M) W + b`` is ``x (M W) + (b - mean (M W))``. Of a Residual both ways take raw
    rows: the first layer within, and the projection. Where there is none, x' itself is the other
    summand, as if W were 1 and b 0, and the folded sum needs a projection of its own.

    Raises
    ------
    ConfigError
        A raw row is as wide as the sum, which has no projection then.
    """
    ahead = network.preprocessing
    if ahead is None:
        return network.copy()
    twin = network._unset(ahead.n_inputs, network.layers, network.dtype)
    twin.metadata = dict(network.metadata)
    _fold_first(network.layers, twin.layers, ahead, "layers")
    return twin


def _fold_first(mine: Iterable[Layer], twin: Iterable[Layer], ahead: Affine, place: str) -> None:
    """Set the parameters of layers one above the other, the first of which takes raw rows."""
    (first, *rest), (first_twin, *rest_twin) = mine, twin
    if isinstance(first, Residual):
        _fold_sum(first, cast(Residual, first_twin), ahead, f"{place}[0]")
    else:
        own = cast(Weighted, first)
        _set(first_twin, [_through(ahead, own.weight, own.bias)])
    for layer, other in zip(rest, rest_twin, strict=True):
        _set(other, [(own.weight, own.bias) for own in layer._weighted()])


def _fold_sum(mine: Residual, twin: Residual, ahead: Affine, place: str) -> None:
    n, own = mine.units, mine.projection
    if twin.projection is None:
        raise ConfigError(
            f"{place}: got {mine!r}, as wide as a raw row ({n}), which it would add as it is, with "
            "no projection to take the map; wanted another width, a Dense, Maxout or Gated before "
            "it, or no fold: predict applies the map by itself"
        )
    parameters = (np.eye(n), np.zeros(n)) if own is None else (own.weight, own.bias)
    _set(twin.projection, [_through(ahead, *parameters)])
    _fold_first(mine.layers, twin.layers, ahead, f"{place}.layers")


def _through(ahead: Affine, weight: NDArray[Any], bias: NDArray[Any]) -> Parameters:
    """Return M W and b - mean M W, computed in float64."""
    flat, matrix = weight.astype(np.float64).reshape(len(weight), -1), ahead.matrix
    flat = matrix[:, None] * flat if matrix.ndim == 1 else _product(matrix, flat)
    shift = _product(ahead.mean[None, :], flat)[0]
    return flat.reshape(len(flat), *weight.shape[1:]), bias - shift.reshape(bias.shape)


def _set(layer: Layer, parameters: Iterable[Parameters]) -> None:
    for own, (weight, bias) in zip(layer._weighted(), parameters, strict=True):
        own.weight, own.bias = weight, bias
