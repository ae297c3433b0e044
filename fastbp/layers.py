"""The dense layer: what the user asks for and, inside a network, the door to its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _check
from ._layer import Layer, Weighted, layers_of
from .activations import Activation, parameter_of, resolve
from .errors import ConfigError
from .initializers import Initializer, default_weight

if TYPE_CHECKING:
    from .engine.builder import Wiring

__all__ = ["Dense", "network_layers"]


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
        super().__init__(units, weight_init, bias_init)
        self._activation = resolve(activation)
        self._dropout = _check.number(dropout, "dropout", below=1)
        if self._dropout and self.activation == "softmax":
            raise ConfigError(
                f"dropout: got {dropout!r} for softmax, wanted an activation that is element-wise"
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
        """Return units, activation and, if there is one, dropout, as given."""
        dropout = f", dropout={self._dropout!r}" if self._dropout else ""
        return f"Dense({self.units}, {self._activation!r}{dropout})"

    def _engine_activation(self) -> str | tuple[str, float]:
        """Return the activation as the engine takes it."""
        parameter = self.activation_parameter
        return self.activation if parameter is None else (self.activation, parameter)

    def _default_weight(self) -> Initializer:
        return default_weight(self.activation)

    def _wire(self, wiring: Wiring, below: int) -> int:
        self._step = wiring.dense(below, self.units, self._engine_activation(), self.dropout)
        return self._step


def network_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers` as a list of at least one layer, the last without dropout."""
    found = layers_of(layers)
    if found[-1].dropout:
        raise ConfigError(
            f"dropout: got {found[-1].dropout!r} for the output layer, wanted 0: it is for hidden "
            "layers"
        )
    return found
