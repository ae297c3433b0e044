"""The dense layer: what the user asks for and, inside a network, the door to its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .activations import Activation, parameter_of, resolve
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
    activation : str, LeakyReLU or ELU
        f: "linear", "sigmoid", "tanh", "relu", "softmax", "leaky_relu", "elu", "selu",
        "softplus", "gelu", "silu", "sign" or "step"; softmax runs over the outputs of a row, the
        others are element-wise. `fastbp.activations` has their formulas, and the objects for a
        slope or an alpha of one's own: ``fb.activations.LeakyReLU(0.1)``.
    weight_init : initializer, optional
        ``(rng, shape) -> array``, see `fastbp.initializers`. Default: `HeNormal` for relu,
        leaky_relu, elu, gelu and silu, `LeCunNormal` for selu, `GlorotUniform` for the others.
    bias_init : initializer, optional
        The same for the bias. Default: `Zeros`.
    dropout : float
        Chance of each output of a hidden layer, in [0, 1), to be left out of a training step; the
        others are divided by ``1 - dropout`` (Srivastava et al., 2014, "inverted"). Only training
        steps drop: `predict`, `evaluate`, `activations` and `gradients` do not.

    Raises
    ------
    ConfigError
        `units` is not a positive integer, the activation is unknown, an initializer is not
        callable, or `dropout` is not in [0, 1) or has a softmax, whose outputs sum to 1.
    """

    def __init__(
        self,
        units: int,
        activation: Activation = "linear",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dropout: float = 0.0,
    ) -> None:
        self._units = _check.positive_int(units, "units")
        self._activation = resolve(activation)
        self._weight_init = _initializer(weight_init, "weight_init")
        self._bias_init = _initializer(bias_init, "bias_init")
        self._dropout = _check.number(dropout, "dropout", below=1)
        if self._dropout and self.activation == "softmax":
            raise ConfigError(
                f"dropout: got {dropout!r} for softmax, wanted an activation that is element-wise"
            )
        self._model: Model | None = None
        self._index = -1

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self._units

    @property
    def activation(self) -> str:
        """Name of the activation."""
        f = self._activation
        return f if isinstance(f, str) else f.name

    @property
    def activation_parameter(self) -> float | None:
        """The slope of leaky_relu or the alpha of elu; None for the others."""
        return parameter_of(self._activation)

    @property
    def dropout(self) -> float:
        """Chance of an output to be left out of a training step."""
        return self._dropout

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
        """Return units, activation and, if there is one, dropout, as given."""
        dropout = f", dropout={self._dropout!r}" if self._dropout else ""
        return f"Dense({self._units}, {self._activation!r}{dropout})"

    def _engine_activation(self) -> str | tuple[str, float]:
        """Return the activation as the engine takes it."""
        parameter = self.activation_parameter
        return self.activation if parameter is None else (self.activation, parameter)

    def _bind(self, model: Model, index: int) -> Dense:
        """Return a copy of this layer whose weights are layer `index` of `model`."""
        options = self._weight_init, self._bias_init, self._dropout
        layer = Dense(self._units, self._activation, *options)
        layer._model, layer._index = model, index
        return layer

    def _initialize(self, rng: np.random.Generator) -> None:
        """Draw the weights, then the biases."""
        weight_init = self._weight_init or default_weight(self.activation)
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
    if dense[-1].dropout:
        raise ConfigError(
            f"dropout: got {dense[-1].dropout!r} for the output layer, wanted 0: it is for hidden "
            "layers"
        )
    return dense


def _initializer(value: Initializer | None, name: str) -> Initializer | None:
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    raise ConfigError(
        f"{name}: got {value!r}, wanted an initializer such as fastbp.initializers.Normal(0.1), "
        "or a callable (rng, shape) -> array"
    )
