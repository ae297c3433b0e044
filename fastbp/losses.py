"""The losses: what each is, and what it asks of the network and the targets.

A loss is named by a string, or made with options: ``"huber"`` or ``fb.losses.Huber(delta=0.5)``.
All are means over rows; z is what the output layer's activation is applied to, y what it gives.

====================  ==========================================  =======  ======================
name                  value of a row                              output   targets
====================  ==========================================  =======  ======================
squared_error         1/2 sum of (y - t)^2                        any      any, or classes
mse                   mean of (y - t)^2                           any      any, or classes
mae                   mean of abs(y - t)                          any      any, or classes
huber                 mean of d^2/2 to abs(d) = delta, a line     any      any, or classes
                      beyond; d = y - t
quantile              mean of max(q (t - y), (q - 1) (t - y))     any      any, or classes
poisson               sum of e^z - t z                            linear   >= 0
cross_entropy         -sum of t log y                             softmax  distributions, classes
binary_cross_entropy  -sum of t log y + (1 - t) log(1 - y)        sigmoid  in [0, 1], or classes
hinge                 sum of max(0, margin - t z)                 linear   -1 and 1
multiclass_hinge      sum over j != c of                          linear   one-hot, or classes
                      max(0, z_j - z_c + margin), c the class
perceptron            sum of max(0, -t z)                         linear   -1 and 1
====================  ==========================================  =======  ======================

Sums and means are over the outputs. Accuracy is reported for targets that are classes and for the
losses from cross_entropy on: a row is right when its largest output is the class's, for hinge and
perceptron when every output has the sign of its target.

A loss of your own is a function ``f(outputs, targets)`` that returns the loss of each row, [n], and
the gradient of each row's loss by its outputs, [n, n_outputs]; the engine takes the mean over rows,
times `sample_weight` if there is one. It sees y [n, n_outputs] in the network's dtype, and the
targets as [n, n_outputs] of that dtype, or as int64 classes [n] if they were given so::

    def cubic(y, t):
        d = np.abs(y - t)
        return np.sum(d**3, axis=1), 3 * d * (y - t)

    fb.check_loss(cubic, outputs, targets)  # its gradient against central differences
    fb.Trainer(net, cubic).fit(x, t)

Each step then runs the forward pass, calls the function, and runs the step: at least 30
microseconds more than a compiled loss takes, and twice the time at 784-128-10, batch 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _check
from ._classifying import BinaryCrossEntropy, CrossEntropy, Hinge, MulticlassHinge, Perceptron
from ._given import GivenLoss
from ._loss import Loss
from .errors import ConfigError

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Hinge",
    "Huber",
    "Loss",
    "MulticlassHinge",
    "Perceptron",
    "Poisson",
    "Quantile",
    "SquaredError",
    "resolve",
]


class SquaredError(Loss):
    """Half the sum over outputs of (y - t)^2 (Rumelhart, Hinton & Williams, 1986, eq. 3)."""

    name = "squared_error"


class MSE(Loss):
    """The mean over outputs of (y - t)^2."""

    name = "mse"


class MAE(Loss):
    """The mean over outputs of |y - t|, with slope 0 where y = t."""

    name = "mae"


@dataclass(frozen=True)
class Huber(Loss):
    """The mean over outputs of d^2/2 while abs(d) <= delta, and delta (abs(d) - delta/2) beyond.

    d = y - t (Huber, "Robust estimation of a location parameter", 1964).

    Parameters
    ----------
    delta : float
        In the unit of the targets, > 0.
    """

    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        """Check the option."""
        self._set("delta", _check.positive(self.delta, "delta"))


@dataclass(frozen=True)
class Quantile(Loss):
    """The mean over outputs of max(q (t - y), (q - 1) (t - y)), least at the q-quantile.

    The pinball loss (Koenker & Bassett, "Regression quantiles", 1978); slope 0 where y = t.

    Parameters
    ----------
    q : float
        In (0, 1): the share of targets to lie below the output. 0.5 is half of `MAE`.
    """

    name = "quantile"
    q: float = 0.5

    def __post_init__(self) -> None:
        """Check the option."""
        self._set("q", _check.positive(_check.number(self.q, "q", below=1), "q"))


class Poisson(Loss):
    """The sum over outputs of e^z - t z: -log likelihood of counts t at the rate e^z.

    The linear output is the logarithm of the rate; log t! is left out. Beyond z = 88 in float32
    (709 in float64) the loss is infinite, and training stops before an update.
    """

    name = "poisson"
    outputs = ("linear",)
    targets = "count"


KINDS: tuple[type[Loss], ...] = (
    SquaredError, MSE, MAE, Huber, Quantile, Poisson,
    CrossEntropy, BinaryCrossEntropy, Hinge, MulticlassHinge, Perceptron,
)  # fmt: skip
LOSSES: dict[str, Loss] = {kind.name: kind() for kind in KINDS}


def resolve(loss: Any, output_activation: str, n_outputs: int) -> Loss:
    """Return the loss, given or named, checked against the output layer.

    Raises
    ------
    ConfigError
        The name is unknown, or the output layer does not suit the loss.
    """
    if callable(loss) and not isinstance(loss, type):
        return GivenLoss(loss)
    if not isinstance(loss, Loss):
        loss = LOSSES[_check.choice(loss, LOSSES, "loss")]
    wanted = loss.outputs
    if wanted and output_activation not in wanted:
        raise ConfigError(
            f"loss: got {loss.shown} for a {output_activation} output layer, wanted a "
            f"{' or '.join(wanted)} one: Dense({n_outputs}, {wanted[0]!r})"
        )
    if n_outputs == 1 and loss.name == "cross_entropy":
        raise ConfigError(
            f"loss: got {loss.shown} for one softmax output, which is always 1, wanted "
            "'binary_cross_entropy' with Dense(1, 'sigmoid'), or Dense(2, 'softmax')"
        )
    if n_outputs == 1 and loss.name == "multiclass_hinge":
        raise ConfigError(
            f"loss: got {loss.shown} for one output, wanted one for each class, or 'hinge'"
        )
    return loss.on(output_activation)
