"""Activations that have a parameter; the others are given by their names alone.

============  ==================================================  =====================
name          f(z)                                                derivative at 0
============  ==================================================  =====================
linear        z                                                   1
sigmoid       1 / (1 + e^-z)                                      1/4
tanh          tanh(z)                                             1
relu          max(0, z)                                           0
softmax       e^z / sum of e^z over the outputs                   -
leaky_relu    z above 0, else slope * z                           slope
elu           z above 0, else alpha * (e^z - 1)                   alpha
selu          scale * elu(z), see below                           scale * alpha
softplus      log(1 + e^z)                                        1/2
gelu          z * P(Z <= z), Z standard normal                    1/2
silu          z * sigmoid(z)                                      1/2
sign          -1, 0 or 1                                          0, as everywhere
step          1 above 0, else 0                                   0, as everywhere
============  ==================================================  =====================

ELU after Clevert et al., 2015; SELU (alpha 1.6733, scale 1.0507, which keep mean 0 and variance
1) after Klambauer et al., "Self-normalizing neural networks", 2017; GELU in its exact form and
SiLU after Hendrycks and Gimpel, "Gaussian error linear units", 2016.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from . import _check
from .engine.forward import PARAMETERS
from .engine.runtime import ACTIVATIONS

__all__ = ["ELU", "Activation", "LeakyReLU", "parameter_of", "resolve"]

# Beyond any use, and far from where float32 would overflow.
_MOST = 1e6


@dataclass(frozen=True)
class LeakyReLU:
    """z above 0, else ``slope * z``; 0 <= slope < 1."""

    slope: float = PARAMETERS["leaky_relu"]
    name: ClassVar[str] = "leaky_relu"

    def __post_init__(self) -> None:
        """Refuse a slope outside [0, 1)."""
        object.__setattr__(self, "slope", _check.number(self.slope, "slope", below=1))


@dataclass(frozen=True)
class ELU:
    """z above 0, else ``alpha * (e^z - 1)``; 0 <= alpha < 1e6."""

    alpha: float = PARAMETERS["elu"]
    name: ClassVar[str] = "elu"

    def __post_init__(self) -> None:
        """Refuse an alpha outside [0, 1e6)."""
        object.__setattr__(self, "alpha", _check.number(self.alpha, "alpha", below=_MOST))


Activation = str | LeakyReLU | ELU

_WITH_PARAMETER: dict[str, type[LeakyReLU] | type[ELU]] = {c.name: c for c in (LeakyReLU, ELU)}


def resolve(value: Any, parameter: float | None = None) -> Activation:
    """Return a name, or for the activations that have a parameter an object with it.

    Parameters
    ----------
    value : str, LeakyReLU or ELU
    parameter : float, optional
        Of the activation of that name, if it has one.

    Raises
    ------
    ConfigError
        There is no such activation, or its parameter is out of range.
    """
    if isinstance(value, LeakyReLU | ELU):
        return value
    name = _check.choice(value, ACTIVATIONS, "activation")
    if name not in _WITH_PARAMETER:
        return name
    kind = _WITH_PARAMETER[name]
    return kind() if parameter is None else kind(parameter)


def parameter_of(activation: Activation) -> float | None:
    """Return the parameter of what `resolve` gives, or None."""
    match activation:
        case LeakyReLU():
            return activation.slope
        case ELU():
            return activation.alpha
    return None
