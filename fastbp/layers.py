"""The dense layer: what the user asks for and, inside a network, the door to its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._runtime import ACTIVATIONS
from .errors import ConfigError
from .initializers import Initializer, Zeros, default_weight, fill

if TYPE_CHECKING:
    from ._engine import Model

__all__ = ["Dense", "dense_layers"]


class Dense:
    """A fully connected layer: ``y = f(x @ weight + bias)``.

    `Network` copies the layers it is given, so one list may describe several networks; the
    weights are in ``network.layers[i]``.

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : {"linear", "sigmoid", "tanh", "relu", "softmax"}
        f, element-wise; softmax runs over the outputs of a row.
    weight_init : initializer, optional
        ``(rng, shape) -> array``, see `fastbp.initializers`. Default: `HeNormal` for relu,
        `GlorotUniform` for the others.
    bias_init : initializer, optional
        The same for the bias. Default: `Zeros`.

    Raises
    ------
    ConfigError
        `units` is not a positive integer, the activation is unknown, or an initializer is
        not callable.
    """

    def __init__(
        self,
        units: int,
        activation: str = "linear",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self._units = _check.positive_int(units, "units")
        self._activation = _check.choice(activation, ACTIVATIONS, "activation")
        self._weight_init = _initializer(weight_init, "weight_init")
        self._bias_init = _initializer(bias_init, "bias_init")
        self._model: Model | None = None
        self._index = -1

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self._units

    @property
    def activation(self) -> str:
        """Name of the activation."""
        return self._activation

    @property
    def weight(self) -> NDArray[Any]:
        """The weights [n_in, n_out], a writable view; assigning copies the values in."""
        return self._bound().weight(self._index)

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign(self.weight, value, "weight")

    @property
    def bias(self) -> NDArray[Any]:
        """The biases [n_out], a writable view; assigning copies the values in."""
        return self._bound().bias(self._index)

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign(self.bias, value, "bias")

    def __repr__(self) -> str:
        """Return units and activation, as given."""
        return f"Dense({self._units}, {self._activation!r})"

    def _bind(self, model: Model, index: int) -> Dense:
        """Return a copy of this layer whose weights are layer `index` of `model`."""
        layer = Dense(self._units, self._activation, self._weight_init, self._bias_init)
        layer._model, layer._index = model, index
        return layer

    def _initialize(self, rng: np.random.Generator) -> None:
        """Draw the weights, then the biases."""
        weight_init = self._weight_init or default_weight(self._activation)
        fill(weight_init, rng, self.weight, f"layers[{self._index}].weight")
        fill(self._bias_init or Zeros(), rng, self.bias, f"layers[{self._index}].bias")

    def _bound(self) -> Model:
        if self._model is None:
            raise ConfigError(
                f"layer: got {self!r} outside a network, wanted one of network.layers: Network "
                "copies the layers it is given"
            )
        return self._model

    def _assign(self, view: NDArray[Any], value: ArrayLike, name: str) -> None:
        name = f"layers[{self._index}].{name}"
        view[...] = _check.parameter(value, view.shape, view.dtype, name)


def dense_layers(layers: Sequence[Dense]) -> list[Dense]:
    """Return `layers` as a list of at least one `Dense`."""
    dense = list(layers) if isinstance(layers, list | tuple) else []
    if not dense or not all(isinstance(layer, Dense) for layer in dense):
        raise ConfigError(f"layers: got {layers!r}, wanted a list of at least one Dense")
    return dense


def _initializer(value: Initializer | None, name: str) -> Initializer | None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    raise ConfigError(
        f"{name}: got {value!r}, wanted an initializer such as fastbp.initializers.Normal(0.1), "
        "or a callable (rng, shape) -> array"
    )
