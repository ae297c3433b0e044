"""Optimizers: the rule the engine applies in its update, and the learning rate of each step."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from .errors import ConfigError, brief
from .schedules import Schedule

__all__ = ["LBFGS", "SGD", "Adagrad", "Adam", "AdamW", "LearningRate", "Optimizer", "RMSprop"]

LearningRate = float | Callable[[int], float]

# In float32 the engine takes denormal numbers for zero, and 0 / 0 is not a number.
_LEAST_EPS = 1e-30


class Optimizer:
    """What all optimizers have in common: the learning rate, and a rule of the engine.

    Attributes
    ----------
    rule : str
        The engine's name of the update.
    memory : str
        What the rule remembers of each parameter, "" for nothing; rules with the same memory
        may take each other's place in a trainer.
    hyperparameters : mapping
        The constants of the update, by their names in the engine. They stay: give a trainer another
        optimizer to change them.
    """

    rule = memory = ""

    def __init__(self, learning_rate: LearningRate, **hyperparameters: float) -> None:
        self._hyperparameters = hyperparameters
        self.learning_rate = learning_rate

    @property
    def hyperparameters(self) -> Mapping[str, float]:
        """The constants of the update, by their names in the engine."""
        return MappingProxyType(self._hyperparameters)

    @property
    def learning_rate(self) -> LearningRate:
        """The rate, or the function of the step that gives it."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        if not callable(value) or isinstance(value, type):
            value = _check.number(value, "learning_rate")
        self._learning_rate = value
        # The rate and an array of it, in one, because trainers in several threads may share this.
        self._constant: tuple[LearningRate, NDArray[np.float64]] = value, np.empty(0)

    def learning_rates(self, first_step: int, count: int, epoch: int = 0) -> NDArray[np.float64]:
        """Return the rates of steps `first_step` .. `first_step + count - 1`, float64 [count].

        All of them are after `epoch` finished epochs.
        """
        rate = self._learning_rate
        if not callable(rate):
            # A constant is kept and sliced: filling an array costs more than a small step.
            of, rates = self._constant
            if of != rate or rates.size < count:
                rates = np.full(count, rate)
                self._constant = rate, rates
            return rates if rates.size == count else rates[:count]
        if isinstance(rate, Schedule) and rate.per == "epoch":
            return np.full(count, _scheduled(rate, epoch))
        steps = range(first_step, first_step + count)
        return np.array([_scheduled(rate, step) for step in steps], dtype=np.float64)

    def require(self, columns: Collection[str] | None, validated: bool) -> None:
        """Refuse, before training, a column that a schedule would watch in vain."""
        if isinstance(self._learning_rate, Schedule):
            self._learning_rate.require(columns, validated)

    def watch(self, measured: Mapping[str, float]) -> None:
        """Let a schedule see what was measured in the epoch just finished."""
        if isinstance(self._learning_rate, Schedule):
            self._learning_rate.watch(measured)

    @property
    def progress(self) -> dict[str, Any]:
        """What a schedule has learnt by watching; assign it to go back there."""
        return self._learning_rate.progress if isinstance(self._learning_rate, Schedule) else {}

    @progress.setter
    def progress(self, value: Mapping[str, Any]) -> None:
        if value and isinstance(self._learning_rate, Schedule):
            self._learning_rate.progress = dict(value)

    def _options(self) -> dict[str, Any]:
        """Return the options besides the learning rate, as the constructor takes them."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the call that makes this optimizer."""
        options = "".join(f", {name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({self._learning_rate}{options})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    With the gradient g, the weights w, the velocity v, the learning rate lr and the momentum mu::

        plain       w -= lr * g
        momentum    v = mu * v + g;  w -= lr * v
        Nesterov    v = mu * v + g;  w -= lr * (g + mu * v)

    Parameters
    ----------
    learning_rate : float, schedule or callable
        The rate, >= 0; a schedule of `fastbp.schedules`; or a function of the step (0, 1, 2, ...
        over the life of the trainer) that returns the rate. May be set between calls of
        `Trainer.fit`.
    momentum : float
        mu, in [0, 1).
    nesterov : bool
        Look ahead (Sutskever et al., "On the importance of initialization and momentum in
        deep learning", 2013). Needs a momentum.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(
        self, learning_rate: LearningRate = 0.1, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        self._momentum = _check.number(momentum, "momentum", below=1)
        self._nesterov = _check.flag(nesterov, "nesterov")
        if self._nesterov and not self._momentum:
            raise ConfigError("nesterov: got True with momentum 0, wanted a momentum > 0")
        self.rule = "nesterov" if self._nesterov else "momentum" if self._momentum else "sgd"
        self.memory = "velocity" if self._momentum else ""
        super().__init__(learning_rate, momentum=self._momentum)

    @property
    def momentum(self) -> float:
        """The share of the velocity that each step keeps."""
        return self._momentum

    @property
    def nesterov(self) -> bool:
        """Whether the step looks ahead."""
        return self._nesterov

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"momentum": self._momentum} if self._momentum else {}
        return options | ({"nesterov": True} if self._nesterov else {})


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
        return {"eps": self.hyperparameters["eps"]}


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
        return {"alpha": self.hyperparameters["square_decay"], "eps": self.hyperparameters["eps"]}


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
        betas = self.hyperparameters["momentum"], self.hyperparameters["square_decay"]
        return {"betas": betas, "eps": self.hyperparameters["eps"]}


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
        self._hyperparameters["weight_decay"] = _check.number(weight_decay, "weight_decay")
        self._hyperparameters["decay_bias"] = _check.flag(decay_bias, "decay_bias")

    def _options(self) -> dict[str, Any]:
        options = super()._options() | {"weight_decay": self.hyperparameters["weight_decay"]}
        return options | ({"decay_bias": True} if self.hyperparameters["decay_bias"] else {})


class LBFGS(Optimizer):
    """Limited-memory BFGS on all rows: few rows, few weights, and a minimum to be reached exactly.

    SciPy's ``minimize(method="L-BFGS-B")`` with the engine's gradient of what is minimised, loss
    and l2, over all rows; it needs SciPy. An epoch of `Trainer.fit` is an iteration, each of one
    evaluation of the gradient or more; training stops when it has converged. It needs
    ``batch_size=None`` and knows no dropout, l1, limits, batches that come one by one, nor
    `Trainer.step`. Each call of `fit` begins without the curvature that the last one has seen. No
    number of threads changes the bits, neither fastbp's nor that of BLAS, which is kept to one; on
    another kind of machine SciPy and NumPy may round otherwise.

    Nocedal, "Updating quasi-Newton matrices with limited storage", 1980; Zhu et al., "Algorithm
    778: L-BFGS-B", 1997.

    Parameters
    ----------
    tol : float
        It has converged when no element of the gradient is larger; or when an iteration lowers
        what is minimised by less than 2.2e-9 of it.
    history_size : int
        Iterations whose steps and changes of the gradient are remembered.
    max_evaluations : int
        Of loss and gradient in one call of `fit`.

    Attributes
    ----------
    converged : bool
        Whether the last call of `fit` has.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    _learning_rate = 1.0

    def __init__(
        self, tol: float = 1e-5, history_size: int = 10, max_evaluations: int = 15000
    ) -> None:
        self._hyperparameters: dict[str, float] = {}
        self._constant = self._learning_rate, np.empty(0)
        self.tol = _check.number(tol, "tol")
        self.history_size = _check.positive_int(history_size, "history_size")
        self.max_evaluations = _check.positive_int(max_evaluations, "max_evaluations")
        self.converged = False

    @property  # type: ignore[misc]
    def learning_rate(self) -> float:
        """1: a line search finds how far each step goes."""
        return self._learning_rate

    def _options(self) -> dict[str, Any]:
        names = "tol", "history_size", "max_evaluations"
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        """Return the call that makes this optimizer."""
        options = (f"{name}={value!r}" for name, value in self._options().items())
        return f"LBFGS({', '.join(options)})"


def _scheduled(rate: Callable[[int], float], time: int) -> float:
    value = rate(time)
    # Nearly every rate passes here: making the name for the error costs more than the look.
    if isinstance(value, float) and 0 <= value < np.inf:
        return value
    return _check.number(value, f"learning_rate({time})")


def _betas(value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"betas: got {brief(value)}, wanted a pair of numbers in [0, 1)")
    first, second = (_check.number(b, f"betas[{i}]", below=1) for i, b in enumerate(value))
    return first, second


def _eps(value: Any) -> float:
    eps = _check.number(value, "eps")
    if eps < _LEAST_EPS:
        raise ConfigError(f"eps: got {brief(value)}, wanted a number >= {_LEAST_EPS:g}")
    return eps
