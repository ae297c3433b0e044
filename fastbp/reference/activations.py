"""The activations of the reference, the NumPy twin of the engine.

.. [1] Goodfellow, Bengio & Courville, "Deep Learning", 2016, chapters 4 and 6.
.. [2] Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning by exponential
       linear units (ELUs)", ICLR 2016.
.. [3] Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
.. [4] Hendrycks & Gimpel, "Gaussian error linear units (GELUs)", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # [3]_


class Activation(NamedTuple):
    """``f(z)``, and ``delta(dy, y)``: dL/dz from dL/dy and the output y = f(z).

    That is ``dy * f'(y)`` element by element; for softmax, the product with the row's Jacobian.
    With ``from_z`` f' is no function of y, and delta takes z in its place.
    """

    f: Callable[[Array], Array]
    delta: Callable[[Array, Array], Array]
    from_z: bool = False


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), from exp(-|z|) so that nothing overflows."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def softmax(z: Array) -> Array:
    """exp(z_j) / sum_i exp(z_i) of each row; the row's maximum is taken off first [1]_ (4.1)."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def _softmax_delta(dy: Array, y: Array) -> Array:
    """From dy_j/dz_i = y_j (1[i = j] - y_i): dz_i = y_i (dy_i - sum_j dy_j y_j)."""
    dz: Array = y * (dy - (dy * y).sum(axis=-1, keepdims=True))
    return dz


def _normal(z: Array) -> Array:
    """P(Z <= z) of the standard normal, (1 + erf(z / sqrt 2)) / 2."""
    erf = np.vectorize(math.erf, otypes=[z.dtype])
    slope: Array = (1 + erf(z / math.sqrt(2))) / 2
    return slope


def _gelu_slope(z: Array) -> Array:
    """P(Z <= z) + z times the density at z; beyond 100 the density is 0."""
    near = np.clip(z, -100, 100)
    return _normal(z) + near * np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi)


def _silu_slope(z: Array) -> Array:
    """With s = sigmoid(z): s + z s (1 - s)."""
    s = sigmoid(z)
    return s + z * s * (1 - s)


def _leaky_relu(slope: float) -> Activation:
    return Activation(
        lambda z: np.where(z > 0, z, slope * z), lambda dy, y: np.where(y > 0, dy, slope * dy)
    )


def _elu(alpha: float, scale: float = 1.0) -> Activation:
    """ELU [2]_ times a scale; below 0, f' is y + scale alpha."""
    return Activation(
        lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        lambda dy, y: dy * np.where(y > 0, scale, y + scale * alpha),
    )


WITH_PARAMETER: dict[str, Callable[[float], Activation]] = {
    "leaky_relu": _leaky_relu,
    "elu": _elu,
}

ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda z: z, lambda dy, y: dy),
    "sigmoid": Activation(sigmoid, lambda dy, y: dy * (y * (1 - y))),
    "tanh": Activation(np.tanh, lambda dy, y: dy * (1 - y * y)),
    "relu": Activation(lambda z: np.maximum(z, 0), lambda dy, y: np.where(y > 0, dy, 0)),
    "softmax": Activation(softmax, _softmax_delta),
    "leaky_relu": _leaky_relu(0.01),
    "elu": _elu(1.0),
    "selu": _elu(SELU_ALPHA, SELU_SCALE),
    "softplus": Activation(
        lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        lambda dy, y: dy * -np.expm1(-y),
    ),
    "gelu": Activation(  # [4]_
        lambda z: z * _normal(z), lambda dy, z: dy * _gelu_slope(z), from_z=True
    ),
    "silu": Activation(  # [4]_
        lambda z: z * sigmoid(z), lambda dy, z: dy * _silu_slope(z), from_z=True
    ),
    # f' is 0 wherever there is one: only a perceptron's loss trains these
    "sign": Activation(np.sign, lambda dy, y: 0 * dy),
    "step": Activation(lambda z: (z > 0).astype(z.dtype), lambda dy, y: 0 * dy),
}


def activation_of(activation: str | tuple[str, float]) -> Activation:
    """Return the activation of that name, or of that name and parameter."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]
    name, parameter = activation
    return WITH_PARAMETER[name](parameter)
