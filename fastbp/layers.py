"""Layers: what the user asks for and, inside a network, the access to its weights.

`build` makes the engine's model of some layers, and copies of them that are placed in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, Self, TypedDict, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .activations import Activation, parameter_of, resolve
from .engine.builder import Wiring
from .engine.model import Model
from .errors import ConfigError, brief
from .initializers import Initializer, Zeros, default_weight, fill

__all__ = [
    "Dense",
    "Group",
    "Layer",
    "Weighted",
    "build",
    "initializer",
    "layers_of",
    "network_layers",
    "parameter_shapes",
    "weighted_layers",
]

# Beyond any memory, and near where the engine's byte counts would wrap around.
MOST_WEIGHTS = 2**40

Shapes = list[tuple[tuple[int, ...], tuple[int, ...]]]


class Group(TypedDict, total=False):
    """How training treats the parameters of a layer, by the names of its attributes."""

    trainable: bool
    learning_rate_factor: float
    decay_factor: float


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

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign; a name that means nothing here is an AttributeError."""
        _check.attribute(self, name)
        super().__setattr__(name, value)

    @property
    def units(self) -> int:
        """Number of outputs."""
        raise NotImplementedError

    def _place(self, wiring: Wiring, below: int) -> tuple[Self, int]:
        """Return a copy that is wired above a node, and the node with its outputs."""
        raise NotImplementedError

    def _weighted(self) -> Iterator[Weighted]:
        """Iterate over this layer, or those within, that have a weight and a bias."""
        raise NotImplementedError

    def _keep(self, old: Self) -> None:
        """Take the weights of a layer of the same options, where that is in a network."""
        raise NotImplementedError

    def _set_path(self, path: str) -> None:
        """Note where in the network this layer is, for errors."""
        raise NotImplementedError


class Weighted(Layer):
    """A layer with a weight and a bias.

    `Network` copies the layers it is given, so one list may describe several networks; the
    weights are in ``network.layers[i]``.
    """

    def __init__(
        self,
        units: int,
        weight_init: Initializer | None,
        bias_init: Initializer | None,
        trainable: bool,
        learning_rate_factor: float,
        decay_factor: float,
    ) -> None:
        self._units = _check.positive_int(units, "units")
        self._weight_init = initializer(weight_init, "weight_init")
        self._bias_init = initializer(bias_init, "bias_init")
        self._model: Model | None = None
        self._node = -1  # of the engine
        self._path = "layer"
        self._group: Group = {
            "trainable": _check.flag(trainable, "trainable"),
            "learning_rate_factor": _check.number(learning_rate_factor, "learning_rate_factor"),
            "decay_factor": _check.number(decay_factor, "decay_factor"),
        }

    @property
    def units(self) -> int:
        """Number of outputs."""
        return self._units

    @property
    def trainable(self) -> bool:
        """Whether training changes weight and bias; their optimizer state rests with them.

        Like the factors it may be assigned between two calls, in a network too; while a call
        trains the network that is a BusyError.
        """
        return self._group["trainable"]

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._regroup({"trainable": _check.flag(value, "trainable")})

    @property
    def learning_rate_factor(self) -> float:
        """Factor of the optimizer's learning rate for this layer."""
        return self._group["learning_rate_factor"]

    @learning_rate_factor.setter
    def learning_rate_factor(self, value: float) -> None:
        factor = _check.number(value, "learning_rate_factor")
        self._regroup({"learning_rate_factor": factor})

    @property
    def decay_factor(self) -> float:
        """Factor of l1, l2 and AdamW's weight decay for this layer."""
        return self._group["decay_factor"]

    @decay_factor.setter
    def decay_factor(self, value: float) -> None:
        self._regroup({"decay_factor": _check.number(value, "decay_factor")})

    def _regroup(self, changed: Group) -> None:
        """Change some of `_group`, in the network too if there is one."""
        with nullcontext() if self._model is None else self._model.claim():
            self._change_group(changed)

    def _change_group(self, changed: Group) -> None:
        """Do so for a caller that holds the claim of the network."""
        self._group = {**self._group, **changed}
        if self._model is not None:
            self._group_in(self._model)

    def _set_trainable(self, value: bool) -> None:
        self._change_group({"trainable": value})

    def _group_in(self, model: Model) -> None:
        """Tell the engine's model the group of this layer."""
        factors = self.learning_rate_factor, self.decay_factor
        model.set_group(self._node, self.trainable, *factors)

    def _own_group(self) -> Group:
        """Return those entries of the group that are not the default, which is 1 or True."""
        own = {name: value for name, value in self._group.items() if value != 1}
        return cast(Group, own)

    def _options(self) -> str:
        """Return them as they are given to the constructor, each after a comma."""
        return "".join(f", {name}={value!r}" for name, value in self._own_group().items())

    @property
    def weight(self) -> NDArray[Any]:
        """The weights, a writable view; assigning copies the values in.

        While a call of another thread trains the network, assigning is a BusyError; what is written
        into the view then may be lost.
        """
        return self._views(self._bound())[0]

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign(self.weight, value, "weight")

    @property
    def bias(self) -> NDArray[Any]:
        """The biases, a writable view; assigning copies the values in, as for `weight`."""
        return self._views(self._bound())[1]

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign(self.bias, value, "bias")

    def _views(self, model: Model) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return weight and bias of this layer in a model, its own or one like it."""
        return model.weight(self._node), model.bias(self._node)

    def _default_weight(self) -> Initializer:
        """Return the initializer of the weight where none is given."""
        raise NotImplementedError

    def _parts(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Iterate over pairs of weight [n_in, n] and bias [n], as initializers fill them."""
        yield self.weight, self.bias

    @property
    def kind(self) -> str:
        """The layer's name in a table: its activation, or its gate."""
        return self.activation

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle or a copy holds: of a layer in a network, its weights too."""
        own = vars(self) | {"_model": None, "_group": {**self._group}}
        return own if self._model is None else own | {"_saved": (self.weight, self.bias)}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Take what a pickle holds; weights come into an engine's model of this layer alone."""
        weight, bias = values.pop("_saved", (None, None))
        vars(self).update(values)
        if weight is not None:
            model, (twin,) = build(len(weight), [self], weight.dtype)
            self._model, self._node = model, cast(Self, twin)._node
            self.weight[...], self.bias[...] = weight, bias

    def _place(self, wiring: Wiring, below: int) -> tuple[Self, int]:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), _model=None, _group={**self._group})
        return twin, twin._wire(wiring, below)

    def _wire(self, wiring: Wiring, below: int) -> int:
        """Set `_node`, where the weight is, and return the node with the outputs."""
        raise NotImplementedError

    def _weighted(self) -> Iterator[Weighted]:
        yield self

    def _keep(self, old: Self) -> None:
        if old._model is not None:
            self.weight, self.bias = old.weight, old.bias

    def _set_path(self, path: str) -> None:
        self._path = path

    def _initialize(self, rng: np.random.Generator) -> None:
        """Draw the weights, then the biases."""
        weight_init = self._weight_init or self._default_weight()
        bias_init = self._bias_init or Zeros()
        for weight, bias in self._parts():
            fill(weight_init, rng, weight, f"{self._path}.weight")
            fill(bias_init, rng, bias, f"{self._path}.bias")

    def _bound(self) -> Model:
        if self._model is None:
            raise ConfigError(
                f"layer: got {self!r} outside a network, wanted one of network.layers: Network "
                "copies the layers it is given"
            )
        return self._model

    def _assign(self, view: NDArray[Any], value: ArrayLike, name: str) -> None:
        value = _check.parameter(value, view.shape, view.dtype, f"{self._path}.{name}")
        with self._bound().quiet(writes=True):
            view[...] = value


class Dense(Weighted):
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
    trainable : bool
        Whether training changes weight and bias.
    learning_rate_factor, decay_factor : float
        Of this layer, >= 0: the optimizer's learning rate times the one; l1, l2 and AdamW's weight
        decay times the other.

    Raises
    ------
    ConfigError
        `units` is not a positive integer, the activation is unknown, an initializer is not
        callable, `dropout` is not in [0, 1) or has a softmax, whose outputs sum to 1, or a factor
        is negative.
    """

    def __init__(
        self,
        units: int,
        activation: Activation = "linear",
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        dropout: float = 0.0,
        *,
        trainable: bool = True,
        learning_rate_factor: float = 1.0,
        decay_factor: float = 1.0,
    ) -> None:
        group = trainable, learning_rate_factor, decay_factor
        super().__init__(units, weight_init, bias_init, *group)
        self._activation = resolve(activation)
        self._dropout = _check.number(dropout, "dropout", below=1)
        if self._dropout and self.activation == "softmax":
            raise ConfigError(
                f"dropout: got {brief(dropout)} for softmax, wanted an activation that is "
                "element-wise"
            )

    @property
    def activation(self) -> str:  # type: ignore[override]
        """Name of the activation."""
        f = self._activation
        return f if isinstance(f, str) else f.name

    @property
    def activation_parameter(self) -> float | None:
        """The slope of leaky_relu or the alpha of elu; None for the others."""
        return parameter_of(self._activation)

    @property
    def dropout(self) -> float:  # type: ignore[override]
        """Chance of an output to be left out of a training step."""
        return self._dropout

    def __repr__(self) -> str:
        """Return units and activation, and the other options that are not the default."""
        dropout = f", dropout={self._dropout!r}" if self._dropout else ""
        return f"Dense({self.units}, {self._activation!r}{dropout}{self._options()})"

    def _engine_activation(self) -> str | tuple[str, float]:
        """Return the activation as the engine takes it."""
        parameter = self.activation_parameter
        return self.activation if parameter is None else (self.activation, parameter)

    def _default_weight(self) -> Initializer:
        return default_weight(self.activation)

    def _wire(self, wiring: Wiring, below: int) -> int:
        self._node = wiring.dense(below, self.units, self._engine_activation(), self.dropout)
        return self._node


def layers_of(layers: Any) -> list[Layer]:
    """Return `layers` as a list of at least one layer."""
    found = list(layers) if isinstance(layers, list | tuple) else []
    if not found or not all(isinstance(layer, Layer) for layer in found):
        raise ConfigError(
            f"layers: got {brief(layers)}, wanted a list of at least one Dense, Maxout, Gated or "
            "Residual"
        )
    return found


def initializer(value: Initializer | None, name: str) -> Initializer | None:
    """Return `value`, which may be None, if it can be called as an initializer."""
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    raise ConfigError(
        f"{name}: got {brief(value)}, wanted an initializer such as "
        "fastbp.initializers.Normal(0.1), or a callable (rng, shape) -> array"
    )


def network_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers` as a list of at least one layer, the last without dropout."""
    found = layers_of(layers)
    if found[-1].dropout:
        raise ConfigError(
            f"dropout: got {found[-1].dropout!r} for the output layer, wanted 0: it is for hidden "
            "layers"
        )
    return found


def weighted_layers(layers: Iterable[Layer]) -> tuple[Weighted, ...]:
    """Return those of the layers, and of the layers within, that have a weight and a bias."""
    return tuple(inner for layer in layers for inner in layer._weighted())


def parameter_shapes(n_inputs: int, layers: Iterable[Layer], dtype: np.dtype[Any]) -> Shapes:
    """Return the shapes of weight and bias of all weighted layers; nothing is allocated."""
    return _wired(n_inputs, layers, dtype)[0].shapes


def build(
    n_inputs: int, layers: Iterable[Layer], dtype: np.dtype[Any]
) -> tuple[Model, tuple[Layer, ...]]:
    """Return the engine's model, all parameters zero, and copies of the layers placed in it.

    Raises
    ------
    MemoryError
        The parameters do not fit.
    """
    wiring, placed = _wired(n_inputs, layers, dtype)
    weights = wiring.n_weights()
    if weights >= MOST_WEIGHTS:
        raise MemoryError(f"network: got {weights} weights, wanted fewer than {MOST_WEIGHTS}")
    model = wiring.model()
    for layer in weighted_layers(placed):
        layer._model = model
        layer._group_in(model)
    return model, placed


def _wired(
    n_inputs: int, layers: Iterable[Layer], dtype: np.dtype[Any]
) -> tuple[Wiring, tuple[Layer, ...]]:
    wiring, top = Wiring(n_inputs, dtype), -1
    placed: list[Layer] = []
    for layer in layers:
        twin, top = layer._place(wiring, top)
        twin._set_path(f"layers[{len(placed)}]")
        placed.append(twin)
        wiring.tops.append(top)
    return wiring, tuple(placed)
