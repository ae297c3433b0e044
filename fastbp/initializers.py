"""Initial values of weights and biases.

An initializer is any callable ``(rng, shape) -> array`` with a `numpy.random.Generator` and
the shape ``(n_in, n_out)`` of a weight or ``(n_out,)`` of a bias. Values are drawn in float64
and rounded to the network's dtype, so one seed gives both dtypes the same network.

`Glorot*` after Glorot and Bengio, "Understanding the difficulty of training deep feedforward
neural networks", 2010; `He*` after He et al., "Delving deep into rectifiers", 2015; `LeCun*` after
LeCun et al., "Efficient BackProp", 1998; `Orthogonal` after Saxe et al., "Exact solutions to the
nonlinear dynamics of learning in deep linear neural networks", 2014.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError, brief

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Orthogonal",
    "Uniform",
    "Zeros",
    "default_weight",
    "fill",
]

# Entries that are drawn in float64 at a time: 1 MiB of them beside the weights.
BLOCK = 2**17

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

    def __post_init__(self) -> None:
        """Refuse a value that is no finite number."""
        object.__setattr__(self, "value", _check.real(self.value, "value"))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return an array of `shape` filled with the value."""
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Normal:
    """Normal with mean 0 and standard deviation `scale`."""

    scale: float

    def __post_init__(self) -> None:
        """Refuse a scale that is no finite number >= 0."""
        object.__setattr__(self, "scale", _check.number(self.scale, "scale"))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw an array of `shape`."""
        return rng.normal(0.0, self.scale, shape)


@dataclass(frozen=True)
class Uniform:
    """Uniform between -`scale` and `scale`."""

    scale: float

    def __post_init__(self) -> None:
        """Refuse a scale that is no finite number >= 0, or whose range is not finite."""
        scale = _check.number(self.scale, "scale")
        if not np.isfinite(2 * scale):
            raise ConfigError(f"scale: got {scale!r}, wanted a number below 8.9e307")
        object.__setattr__(self, "scale", scale)

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw an array of `shape`."""
        return rng.uniform(-self.scale, self.scale, shape)


class _Scaled:
    """A distribution whose scale depends on the shape of the weight."""

    def of(self, shape: tuple[int, ...]) -> Normal | Uniform:
        """Return the distribution for a weight of `shape`."""
        raise NotImplementedError

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        return self.of(shape)(rng, shape)


@dataclass(frozen=True)
class GlorotUniform(_Scaled):
    """Uniform, limit ``sqrt(6 / (n_in + n_out))``."""

    def of(self, shape: tuple[int, ...]) -> Uniform:
        """Return the distribution for a weight of `shape`."""
        return Uniform(np.sqrt(6 / sum(_weight_shape(self, shape))))


@dataclass(frozen=True)
class GlorotNormal(_Scaled):
    """Normal, standard deviation ``sqrt(2 / (n_in + n_out))``."""

    def of(self, shape: tuple[int, ...]) -> Normal:
        """Return the distribution for a weight of `shape`."""
        return Normal(np.sqrt(2 / sum(_weight_shape(self, shape))))


@dataclass(frozen=True)
class HeUniform(_Scaled):
    """Uniform, limit ``sqrt(6 / n_in)``."""

    def of(self, shape: tuple[int, ...]) -> Uniform:
        """Return the distribution for a weight of `shape`."""
        return Uniform(np.sqrt(6 / _weight_shape(self, shape)[0]))


@dataclass(frozen=True)
class HeNormal(_Scaled):
    """Normal, standard deviation ``sqrt(2 / n_in)``."""

    def of(self, shape: tuple[int, ...]) -> Normal:
        """Return the distribution for a weight of `shape`."""
        return Normal(np.sqrt(2 / _weight_shape(self, shape)[0]))


@dataclass(frozen=True)
class LeCunUniform(_Scaled):
    """Uniform, limit ``sqrt(3 / n_in)``."""

    def of(self, shape: tuple[int, ...]) -> Uniform:
        """Return the distribution for a weight of `shape`."""
        return Uniform(np.sqrt(3 / _weight_shape(self, shape)[0]))


@dataclass(frozen=True)
class LeCunNormal(_Scaled):
    """Normal, standard deviation ``sqrt(1 / n_in)``."""

    def of(self, shape: tuple[int, ...]) -> Normal:
        """Return the distribution for a weight of `shape`."""
        return Normal(np.sqrt(1 / _weight_shape(self, shape)[0]))


@dataclass(frozen=True)
class Orthogonal:
    """A random matrix whose columns (rows, if they are fewer) are orthogonal, of length `gain`.

    Uniform over all such matrices: Q of the QR decomposition of a normal matrix, R's diagonal
    made positive. NumPy's linear algebra computes it, so its last bits depend on that library.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a gain that is no finite number > 0."""
        object.__setattr__(self, "gain", _check.positive(self.gain, "gain"))

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
        """Draw a weight of `shape`."""
        n_in, n_out = _weight_shape(self, shape)
        q, r = np.linalg.qr(rng.standard_normal((max(n_in, n_out), min(n_in, n_out))))
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return q if n_in >= n_out else q.T


def fill(initializer: Initializer, rng: np.random.Generator, out: NDArray[Any], name: str) -> None:
    """Set `out`, called `name` in errors, to what the initializer makes of its shape.

    Independent draws are made some rows at a time, with the same result.
    """
    rows = len(out)
    if isinstance(initializer, _Scaled):
        initializer = initializer.of(out.shape)
    if isinstance(initializer, Normal | Uniform):
        rows = max(1, BLOCK // (out.size // rows))
    for first in range(0, len(out), rows):
        part = out[first : first + rows]
        part[...] = _check.parameter(initializer(rng, part.shape), part.shape, out.dtype, name)


# The activations that train badly with Glorot: those that halve the variance, and SELU, which
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
            f"bias_init: got {brief(initializer)} for shape {shape}, wanted Zeros, Constant, "
            "Normal or Uniform: a bias has no (n_in, n_out)"
        )
    return shape
