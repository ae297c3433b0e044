"""Optimizers that divide each weight's step by the root of its squared gradients."""

from typing import Any

from . import _check
from .errors import ConfigError
from .optimizers import LearningRate, Optimizer

__all__ = ["Adagrad", "Adam", "AdamW", "RMSprop"]

# In float32 the engine takes denormal numbers for zero, and 0 / 0 is not a number.
_LEAST_EPS = 1e-30


class Adagrad(Optimizer):
    """Adagrad: each weight's rate falls with the root of all its squared gradients.

    With the gradient g, the weights w and the sum of squares v, zero at first::

        v += g ** 2;  w -= lr * g / (sqrt(v) + eps)

    Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011; the formula and the defaults are those of torch.optim.Adagrad.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        As for `SGD`.
    eps : float
        At least 1e-30.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    rule, memory = "adagrad", "sum of squares"

    def __init__(self, learning_rate: LearningRate = 0.01, eps: float = 1e-10) -> None:
        super().__init__(learning_rate, eps=_eps(eps))

    def _options(self) -> dict[str, Any]:
        return {"eps": self.numbers["eps"]}


class RMSprop(Optimizer):
    """RMSprop: each weight's rate is divided by the root of the mean of its squared gradients.

    With the gradient g, the weights w and the mean of squares v, zero at first::

        v = alpha * v + (1 - alpha) * g ** 2;  w -= lr * g / (sqrt(v) + eps)

    Tieleman & Hinton, "Lecture 6.5: RMSprop", 2012; the formula and the defaults are those of
    torch.optim.RMSprop.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        As for `SGD`.
    alpha : float
        The share of the mean that each step keeps, in [0, 1).
    eps : float
        At least 1e-30.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    rule, memory = "rmsprop", "mean of squares"

    def __init__(
        self, learning_rate: LearningRate = 0.01, alpha: float = 0.99, eps: float = 1e-8
    ) -> None:
        alpha = _check.number(alpha, "alpha", below=1)
        super().__init__(learning_rate, square_decay=alpha, eps=_eps(eps))

    def _options(self) -> dict[str, Any]:
        return {"alpha": self.numbers["square_decay"], "eps": self.numbers["eps"]}


class Adam(Optimizer):
    """Adam: a mean of gradients divided by the root of the mean of their squares.

    With the gradient g, the weights w, the means m and v, zero at first, and the number t of the
    step, from 1 on since they were::

        m = b1 * m + (1 - b1) * g;  v = b2 * v + (1 - b2) * g ** 2
        w -= lr / (1 - b1 ** t) * m / (sqrt(v) / sqrt(1 - b2 ** t) + eps)

    Kingma & Ba, "Adam: a method for stochastic optimization", 2015; the formula and the defaults
    are those of torch.optim.Adam.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        As for `SGD`.
    betas : (float, float)
        b1 and b2, each in [0, 1).
    eps : float
        At least 1e-30.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    rule, memory = "adam", "means"

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        b1, b2 = _betas(betas)
        super().__init__(learning_rate, momentum=b1, square_decay=b2, eps=_eps(eps))

    def _options(self) -> dict[str, Any]:
        betas = self.numbers["momentum"], self.numbers["square_decay"]
        return {"betas": betas, "eps": self.numbers["eps"]}


class AdamW(Adam):
    """Adam with a weight decay of its own, which the means do not see.

    Before the step of `Adam`, with the learning rate lr::

        w *= 1 - lr * weight_decay

    Loshchilov & Hutter, "Decoupled weight decay regularization", 2019; the formula and the
    defaults are those of torch.optim.AdamW, but for biases, which torch decays as well.

    Parameters
    ----------
    learning_rate, betas, eps
        As for `Adam`.
    weight_decay : float
        At least 0.
    decay_bias : bool
        Whether biases decay too.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decay_bias: bool = False,
    ) -> None:
        super().__init__(learning_rate, betas, eps)
        self.numbers["weight_decay"] = _check.number(weight_decay, "weight_decay")
        self.numbers["decay_bias"] = _check.flag(decay_bias, "decay_bias")

    def _options(self) -> dict[str, Any]:
        options = super()._options() | {"weight_decay": self.numbers["weight_decay"]}
        return options | ({"decay_bias": True} if self.numbers["decay_bias"] else {})


def _betas(value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"betas: got {value!r}, wanted a pair of numbers in [0, 1)")
    first, second = (_check.number(b, f"betas[{i}]", below=1) for i, b in enumerate(value))
    return first, second


def _eps(value: Any) -> float:
    eps = _check.number(value, "eps")
    if eps < _LEAST_EPS:
        raise ConfigError(f"eps: got {value!r}, wanted a number >= {_LEAST_EPS:g}")
    return eps
