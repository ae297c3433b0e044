"""Initial values of weights and biases.

An initializer is any callable ``(rng, shape) -> array`` with a `numpy.random.Generator` and
the shape ``(n_in, n_out)`` of a weight or ``(n_out,)`` of a bias. Values are drawn in float64
and rounded to the network's dtype, so one seed gives both dtypes the same network.

`Glorot*` after Glorot and Bengio, "Understanding the difficulty of training deep feedforward
neural networks", 2010; `He*` after He et al., "Delving deep into rectifiers", 2015; `LeCun*`
after LeCun et al., "Efficient backprop", 1998.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "Normal",
    "Uniform",
    "Zeros",
    "default_weight",
]

Initializer = Callable[[np.random.Generator, tuple[int, ...]], ArrayLike]


@dataclass(frozen=True)
class Zeros:
    """All zero; the default of biases."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return zeros of `shape`."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Constant:
    """Every entry is `value`."""

    value: float

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of `shape` filled with the value."""
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and standard deviation `scale`."""

    scale: float

    def __post_init__(self) -> None:
        """Refuse a scale that is no finite number >= 0."""
        _check.number(self.scale, "scale")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw an array of `shape`."""
        return rng.normal(0.0, self.scale, shape)


@dataclass(frozen=True)
class Uniform:
    """Uniform between -`scale` and `scale`."""

    scale: float

    def __post_init__(self) -> None:
        """Refuse a scale that is no finite number >= 0."""
        _check.number(self.scale, "scale")

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw an array of `shape`."""
        return rng.uniform(-self.scale, self.scale, shape)


@dataclass(frozen=True)
class GlorotUniform:
    """Uniform, limit ``sqrt(6 / (n_in + n_out))``."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return Uniform(np.sqrt(6 / sum(_weight_shape(self, shape))))(rng, shape)


@dataclass(frozen=True)
class GlorotNormal:
    """Normal, standard deviation ``sqrt(2 / (n_in + n_out))``."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return Normal(np.sqrt(2 / sum(_weight_shape(self, shape))))(rng, shape)


@dataclass(frozen=True)
class HeUniform:
    """Uniform, limit ``sqrt(6 / n_in)``."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return Uniform(np.sqrt(6 / _weight_shape(self, shape)[0]))(rng, shape)


@dataclass(frozen=True)
class HeNormal:
    """Normal, standard deviation ``sqrt(2 / n_in)``."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return Normal(np.sqrt(2 / _weight_shape(self, shape)[0]))(rng, shape)


@dataclass(frozen=True)
class LeCunNormal:
    """Normal, standard deviation ``sqrt(1 / n_in)``."""

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return Normal(np.sqrt(1 / _weight_shape(self, shape)[0]))(rng, shape)


# Of the activations that are no good with Glorot: those that halve the variance, and SELU, which
# was made for this one.
_DEFAULTS: dict[str, Initializer] = {
    **dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu"), HeNormal()),
    "selu": LeCunNormal(),
}


def default_weight(activation: str) -> Initializer:
    """Return the initializer of a layer that names none."""
    return _DEFAULTS.get(activation, GlorotUniform())


def _weight_shape(initializer: object, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 2:
        raise ConfigError(
            f"bias_init: got {initializer!r} for shape {shape}, wanted Zeros, Constant, Normal or "
            "Uniform: a bias has no (n_in, n_out)"
        )
    return shape
