"""What all layers have in common, and those with a weight and a bias of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError
from .initializers import Initializer, Zeros, fill

if TYPE_CHECKING:
    from .engine.builder import Wiring
    from .engine.model import Model

__all__ = ["Layer", "Weighted", "initializer", "layers_of"]


class Layer:
    """A layer of a network: `units` outputs for each row.

    Attributes
    ----------
    activation : str
        The last thing that happens to the outputs, which a loss may have to know.
    dropout : float
        Chance of an output to be left out of a training step.
    """

    activation: str = "linear"
    dropout: float = 0.0

    @property
    def units(self) -> int:
        """Number of outputs."""
        raise NotImplementedError

    def _place(self, wiring: Wiring, below: int) -> tuple[Self, int]:
        """Return a copy that is wired above a step, and the step with its outputs."""
        raise NotImplementedError

    def _weighted(self) -> Iterator[Weighted]:
        """Iterate over this layer, or those within, that have a weight and a bias."""
        raise NotImplementedError

    def _call(self, place: str) -> None:
        """Note where in the network this layer is, for errors."""
        raise NotImplementedError


class Weighted(Layer):
    """A layer with a weight and a bias.

    `Network` copies the layers it is given, so one list may describe several networks; the
    weights are in ``network.layers[i]``.
    """

    def __init__(
        self, units: int, weight_init: Initializer | None, bias_init: Initializer | None
    ) -> None:
        self._units = _check.positive_int(units, "units")
        self._weight_init = initializer(weight_init, "weight_init")
        self._bias_init = initializer(bias_init, "bias_init")
        self._model: Model | None = None
        self._step = -1  # of the engine
        self._where = "layer"

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self._units

    @property
    def weight(self) -> NDArray[Any]:
        """The weights, a writable view; assigning copies the values in."""
        return self._views(self._bound())[0]

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign(self.weight, value, "weight")

    @property
    def bias(self) -> NDArray[Any]:
        """The biases, a writable view; assigning copies the values in."""
        return self._views(self._bound())[1]

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign(self.bias, value, "bias")

    def _views(self, model: Model) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return weight and bias of this layer in a model, its own or one like it."""
        return model.weight(self._step), model.bias(self._step)

    def _default_weight(self) -> Initializer:
        """Return the initializer of the weight where none is given."""
        raise NotImplementedError

    def _parts(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Iterate over pairs of weight [n_in, n] and bias [n], as initializers fill them."""
        yield self.weight, self.bias

    def _what(self) -> str:
        """Return the word for this layer in a table."""
        return self.activation

    def _place(self, wiring: Wiring, below: int) -> tuple[Self, int]:
        twin = copy.copy(self)
        twin._model = None
        return twin, twin._wire(wiring, below)

    def _wire(self, wiring: Wiring, below: int) -> int:
        """Set `_step`, where the weight is, and return the step with the outputs."""
        raise NotImplementedError

    def _weighted(self) -> Iterator[Weighted]:
        yield self

    def _call(self, place: str) -> None:
        self._where = place

    def _initialize(self, rng: np.random.Generator) -> None:
        """Draw the weights, then the biases."""
        weight_init = self._weight_init or self._default_weight()
        bias_init = self._bias_init or Zeros()
        for weight, bias in self._parts():
            fill(weight_init, rng, weight, f"{self._where}.weight")
            fill(bias_init, rng, bias, f"{self._where}.bias")

    def _bound(self) -> Model:
        if self._model is None:
            raise ConfigError(
                f"layer: got {self!r} outside a network, wanted one of network.layers: Network "
                "copies the layers it is given"
            )
        return self._model

    def _assign(self, view: NDArray[Any], value: ArrayLike, name: str) -> None:
        view[...] = _check.parameter(value, view.shape, view.dtype, f"{self._where}.{name}")


def layers_of(layers: Any) -> list[Layer]:
    """Return `layers` as a list of at least one layer."""
    found = list(layers) if isinstance(layers, list | tuple) else []
    if not found or not all(isinstance(layer, Layer) for layer in found):
        raise ConfigError(
            f"layers: got {layers!r}, wanted a list of at least one Dense, Maxout, Gated or "
            "Residual"
        )
    return found


def initializer(value: Initializer | None, name: str) -> Initializer | None:
    """Return `value`, which may be None, if it can be called as an initializer."""
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    raise ConfigError(
        f"{name}: got {value!r}, wanted an initializer such as fastbp.initializers.Normal(0.1), "
        "or a callable (rng, shape) -> array"
    )
