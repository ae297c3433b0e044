"""Gates as layers: the largest of several units, a product of two, and a sum with the input.

What backpropagation does at each: a max gate routes the gradient to the piece that was largest,
a multiply gate gives each factor the gradient times the other, an add gate hands it to both
summands, and where a value goes two ways the gradients that come back are added.

Maxout after Goodfellow et al., "Maxout networks", 2013; the gated linear unit after Dauphin et
al., "Language modeling with gated convolutional networks", 2017; residual blocks after He et
al., "Deep residual learning for image recognition", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

from numpy.typing import NDArray

from . import _check
from .activations import ELU, Activation, LeakyReLU, parameter_of, resolve
from .engine.builder import Wiring
from .engine.model import Model
from .engine.runtime import ACTIVATIONS
from .initializers import Initializer, LeCunNormal, default_weight
from .layers import Dense, Group, Layer, Weighted, initializer, layers_of

__all__ = ["Gated", "Maxout", "Residual"]

# Softmax is of whole rows.
_FUNCTIONS = {name: code for name, code in ACTIVATIONS.items() if name != "softmax"}


class _Pieces(Weighted):
    """Several units for each output: weight [n_in, pieces, units], bias [pieces, units]."""

    def _views(self, model: Model) -> tuple[NDArray[Any], NDArray[Any]]:
        # In the engine the pieces are side by side, each in whole lines.
        weight, bias = super()._views(model)
        n_in = len(weight)
        pieces = weight.reshape(n_in, self.pieces, -1), bias.reshape(self.pieces, -1)
        return pieces[0][..., : self.units], pieces[1][..., : self.units]

    @property
    def pieces(self) -> int:
        """Number of units behind each output."""
        raise NotImplementedError

    def _parts(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        weight, bias = self.weight, self.bias
        for i in range(self.pieces):
            yield weight[:, i], bias[i]


class Maxout(_Pieces):
    """The max gate: ``y = max over i of (x @ weight[:, i] + bias[i])``.

    Of equal pieces the first has the gradient. With two pieces or more it learns its own convex
    activation.

    Parameters
    ----------
    units : int
        Number of outputs.
    pieces : int
        Linear units that each output is the largest of.
    weight_init, bias_init : initializer, optional
        Called for one piece after the other, shapes ``(n_in, units)`` and ``(units,)``.
        Default: `LeCunNormal`, which two pieces hand on with their mean square; `Zeros`.
    trainable, learning_rate_factor, decay_factor
        As of `Dense`.

    Raises
    ------
    ConfigError
        `units` or `pieces` is not a positive integer, or an initializer is not callable.
    """

    def __init__(
        self,
        units: int,
        pieces: int = 2,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        *,
        trainable: bool = True,
        learning_rate_factor: float = 1.0,
        decay_factor: float = 1.0,
    ) -> None:
        group = trainable, learning_rate_factor, decay_factor
        super().__init__(units, weight_init, bias_init, *group)
        self._pieces = _check.positive_int(pieces, "pieces")

    @property
    def pieces(self) -> int:
        """Linear units that each output is the largest of."""
        return self._pieces

    def __repr__(self) -> str:
        """Return units and pieces, and the other options that are not the default."""
        return f"Maxout({self.units}, {self.pieces}{self._options()})"

    def _default_weight(self) -> Initializer:
        return LeCunNormal()

    @property
    def kind(self) -> str:
        """The layer's name in a table."""
        return "maxout"

    def _wire(self, wiring: Wiring, below: int) -> int:
        top = wiring.gate(below, self.units, self.pieces, "maxout", "linear")
        self._node = top - 1
        return top


class Gated(_Pieces):
    """The multiply gate: ``y = a * f(b)``, a and b two linear units ``x @ weight[:, i] + bias[i]``.

    Parameters
    ----------
    units : int
        Number of outputs.
    gate : str, LeakyReLU or ELU
        f, any activation of `Dense` but softmax: "sigmoid" is the gated linear unit (GLU), "linear"
        the plain product a * b.
    weight_init, bias_init : initializer, optional
        Called for a, then for b, shapes ``(n_in, units)`` and ``(units,)``.
        Default: `GlorotUniform`, `Zeros`.
    trainable, learning_rate_factor, decay_factor
        As of `Dense`.

    Raises
    ------
    ConfigError
        `units` is not a positive integer, the gate is unknown or softmax, or an initializer is
        not callable.
    """

    def __init__(
        self,
        units: int,
        gate: Activation = "sigmoid",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        *,
        trainable: bool = True,
        learning_rate_factor: float = 1.0,
        decay_factor: float = 1.0,
    ) -> None:
        group = trainable, learning_rate_factor, decay_factor
        super().__init__(units, weight_init, bias_init, *group)
        if not isinstance(gate, LeakyReLU | ELU):
            gate = _check.choice(gate, _FUNCTIONS, "gate")
        self._gate = resolve(gate)

    @property
    def pieces(self) -> int:
        """2: a and b."""
        return 2

    @property
    def gate(self) -> str:
        """Name of f."""
        return self._gate if isinstance(self._gate, str) else self._gate.name

    @property
    def gate_parameter(self) -> float | None:
        """The slope of leaky_relu or the alpha of elu; None for the others."""
        return parameter_of(self._gate)

    def __repr__(self) -> str:
        """Return units and gate, and the other options that are not the default."""
        return f"Gated({self.units}, {self._gate!r}{self._options()})"

    def _default_weight(self) -> Initializer:
        return default_weight("linear")

    @property
    def kind(self) -> str:
        """The layer's name in a table."""
        return "gated"

    def _wire(self, wiring: Wiring, below: int) -> int:
        parameter = self.gate_parameter
        f = self.gate if parameter is None else (self.gate, parameter)
        top = wiring.gate(below, self.units, 2, "product", f)
        self._node = top - 1
        return top


class Residual(Layer):
    """The add gate: ``y = x + F(x)``, F being some layers one above the other.

    Where F has another width than x it is ``y = P(x) + F(x)``, P a linear `Dense` layer of the
    width of F, whose bias begins at zero.

    Parameters
    ----------
    layers : sequence of layers
        F: any of `Dense`, `Maxout`, `Gated` and `Residual`; copied.
    projection_init : initializer, optional
        Of the weight of P. Default: `GlorotUniform`.

    Raises
    ------
    ConfigError
        There is no layer, one of them is none, or the initializer is not callable.
    """

    def __init__(self, layers: Sequence[Layer], projection_init: Initializer | None = None) -> None:
        self._layers = tuple(layers_of(layers))
        self._projection_init = initializer(projection_init, "projection_init")
        self._projection: Dense | None = None
        self._projection_group: Group = {}  # outside a network, where there is no projection yet

    @property
    def layers(self) -> tuple[Layer, ...]:
        """F; inside a network, with their weights."""
        return self._layers

    @property
    def projection(self) -> Dense | None:
        """P; None outside a network, and where the widths are equal."""
        return self._projection

    @property
    def trainable(self) -> bool:
        """Whether training changes all weights within; assigning sets each layer and P."""
        return all(layer.trainable for layer in self._within()) and self._group_of_projection().get(
            "trainable", True
        )

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = _check.flag(value, "trainable")
        with ExitStack() as claims:
            for model in {layer._model for layer in self._weighted()}:
                if model is not None:
                    claims.enter_context(model.claim())
            self._set_trainable(value)

    def _set_trainable(self, value: bool) -> None:
        for layer in self._within():
            layer._set_trainable(value)
        if self._projection is None:
            self._projection_group = {"trainable": value}

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self.layers[-1].units

    def __repr__(self) -> str:
        """Return the layers, as given."""
        return f"Residual({list(self.layers)})"

    def _place(self, wiring: Wiring, below: int) -> tuple[Self, int]:
        twin = type(self)(self.layers, self._projection_init)
        twin._projection_group = self._group_of_projection()
        placed, top = [], wiring.branch(below)
        for layer in self.layers:
            inner, top = layer._place(wiring, top)
            placed.append(inner)
        twin._layers = tuple(placed)
        if wiring.width(below) != self.units:
            group = twin._projection_group
            projection = Dense(self.units, "linear", self._projection_init, **group)
            twin._projection, below = projection._place(wiring, below)
        return twin, wiring.add(below, top)

    def _within(self) -> Iterator[Weighted | Residual]:
        """Iterate over F and, in a network that has it, P."""
        for layer in (*self.layers, self.projection):
            if isinstance(layer, Weighted | Residual):
                yield layer

    def _group_of_projection(self) -> Group:
        """Return how P is to be trained, as far as that is not the default."""
        return self._projection_group if self._projection is None else self._projection._own_group()

    def _keep(self, old: Self) -> None:
        for mine, other in zip(self.layers, old.layers, strict=True):
            mine._keep(other)
        if self.projection is not None and old.projection is not None:
            self.projection._keep(old.projection)

    def _set_path(self, path: str) -> None:
        for i, layer in enumerate(self.layers):
            layer._set_path(f"{path}.layers[{i}]")
        if self.projection is not None:
            self.projection._set_path(f"{path}.projection")

    def _weighted(self) -> Iterator[Weighted]:
        for layer in self.layers:
            yield from layer._weighted()
        if self.projection is not None:
            yield from self.projection._weighted()
