"""The numbers of a trace, from the engine: net inputs, outputs, deltas and gradients.

A network tells the gradients by its weights and biases and the outputs of its own layers. The rest
it has as well, and twins of a part of it or with more layers tell it: their sums have the same
terms in the same order, so no bit differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ._layer import Layer, Weighted
from ._trace_layers import GatedTrace, LayerTrace, MaxoutTrace, ResidualTrace
from .gates import Gated, Maxout, Residual
from .layers import Dense

if TYPE_CHECKING:
    from ._given import LossFunction
    from ._loss import Loss
    from .network import Network

__all__ = ["Tracer"]

Array = NDArray[Any]


class Tracer:
    """One example's numbers in a network.

    Attributes
    ----------
    loss : float
    dx : ndarray
        dL/dx [n_inputs].
    layers : tuple of LayerTrace and ResidualTrace
    """

    def __init__(
        self, network: Network, x: Array, y: Array, loss: str | Loss | LossFunction
    ) -> None:
        self._network = network
        self.loss, pairs, dx = network.gradients(x, y, loss, inputs=True)
        self.dx = dx[0]
        self._pairs = dict(zip(network.weighted_layers, pairs, strict=True))
        self._dys = _deltas_of_sums(network, x, y, loss)
        inputs, _ = network._examples(x, y, network._loss(loss))
        self.layers = self._chain(network.layers, inputs[0])

    def _chain(self, layers: Sequence[Layer], x: Array) -> tuple[LayerTrace | ResidualTrace, ...]:
        traces: list[LayerTrace | ResidualTrace] = []
        for layer in layers:
            if isinstance(layer, Residual):
                traces.append(self._sum(layer, x))
            else:
                traces.append(self._weighted(cast(Weighted, layer), x))
            x = traces[-1].y
        return tuple(traces)

    def _sum(self, layer: Residual, x: Array) -> ResidualTrace:
        inner = self._chain(layer.layers, x)
        projection = None if layer.projection is None else self._weighted(layer.projection, x)
        y, dy = self._outputs(layer, x), self._dys[layer]
        return ResidualTrace(repr(layer), x, inner, projection, y, dy)

    def _weighted(self, layer: Weighted, x: Array) -> LayerTrace:
        kind = {Maxout: MaxoutTrace, Gated: GatedTrace}.get(type(layer), LayerTrace)
        u, (dw, db) = self._net_input(layer, x), self._pairs[layer]
        return kind(repr(layer), x, u, self._outputs(layer, x), db, dw, db)

    def _outputs(self, layer: Layer, x: Array) -> Array:
        return self._alone(layer, x, [(own.weight, own.bias) for own in layer._weighted()])

    def _net_input(self, layer: Weighted, x: Array) -> Array:
        """Return x W + b, of the shape of b: the outputs of the layer, were it linear."""
        weight, bias = layer.weight.reshape(len(x), -1), layer.bias.ravel()
        return self._alone(Dense(len(bias)), x, [(weight, bias)]).reshape(layer.bias.shape)

    def _alone(self, layer: Layer, x: Array, parameters: list[tuple[Array, Array]]) -> Array:
        """Return the outputs of a network of this layer alone."""
        twin = self._network._unset(len(x), [layer], self._network.dtype)
        for own, (weight, bias) in zip(twin.weighted_layers, parameters, strict=True):
            own.weight, own.bias = weight, bias
        return twin._model.activations(x[None], 1)[0][0]


class _Probe(Dense):
    """A linear layer that changes nothing: its delta is dL/dy of what is below it."""


def _deltas_of_sums(
    network: Network, x: Array, y: Array, loss: str | Loss | LossFunction
) -> dict[Residual, Array]:
    """Return dL/dy of every Residual, had by a probe above it."""
    residuals = list(_residuals(network.layers))
    if not residuals:
        return {}
    twin = network._unset(network._n_inputs, _probed(network.layers), network.dtype)
    twin.preprocessing = network.preprocessing
    mine = iter(network.weighted_layers)
    for layer in twin.weighted_layers:
        if isinstance(layer, _Probe):
            layer.weight = np.eye(layer.units)
        else:
            own = next(mine)
            layer.weight, layer.bias = own.weight, own.bias
    _, pairs = twin.gradients(x, y, loss)
    weighted = zip(twin.weighted_layers, pairs, strict=True)
    found = (db for layer, (_, db) in weighted if isinstance(layer, _Probe))
    return dict(zip(residuals, found, strict=True))


def _residuals(layers: Iterable[Layer]) -> Iterator[Residual]:
    """Iterate over those among the layers and within, from the inside out."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _residuals(layer.layers)
            yield layer


def _probed(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with a probe above each Residual."""
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual):
            found += [Residual(_probed(layer.layers)), _Probe(layer.units)]
        else:
            found.append(layer)
    return found
