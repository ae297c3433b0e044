"""The losses: what each is, and what it asks of the network and the targets.

A loss is named by a string, or made with options: ``"huber"`` or ``fb.losses.Huber(delta=0.5)``.
All are means over rows, with `sample_weight` weighted means, ``sum(w * loss) / sum(w)``; z is what
the output layer's activation is applied to, y what it gives. Rows of weight 0 have no influence,
whatever their loss, and may have any targets, NaN or the label -1 among them.

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
hinge                 sum of max(0, margin - t z)                 linear   -1 and 1, two classes
multiclass_hinge      sum over j != c of                          linear   one-hot, or classes
                      max(0, z_j - z_c + margin), c the class
perceptron            sum of max(0, -t z)                         linear   -1 and 1, two classes
====================  ==========================================  =======  ======================

Sums and means are over the outputs. Accuracy is reported for targets that are classes and for the
losses from cross_entropy on, as by `fastbp.metrics.accuracy`: a row is right when its largest
output is the class's; for hinge and perceptron when every output has the sign of its target; for
binary_cross_entropy, unless the targets are classes, when every output is on the right side of 0.5.

A loss of your own is a function ``f(outputs, targets)`` that returns the loss of each row, [n], and
the gradient of each row's loss by its outputs, [n, n_outputs]; the engine takes the mean over rows,
weighted by `sample_weight` if there is one. It sees y [n, n_outputs] in the network's dtype, and
the targets as [n, n_outputs] of that dtype, or as int64 classes [n] if they were given so, both as
copies that it may write to. It sees rows of weight 0 too; what it returns for them is not used::

    def cubic(y, t):
        d = np.abs(y - t)
        return np.sum(d**3, axis=1), 3 * d * (y - t)

    fb.check_loss(cubic, outputs, targets)  # its gradient against central differences
    fb.Trainer(net, cubic).fit(x, t)

Each step then runs the forward pass, calls the function, and runs the step: at least 30
microseconds more than a compiled loss takes, and twice the time at 784-128-10, batch 64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._check import AnyRows, Blocks, Weights
from .engine.model import Model
from .engine.rows import Rows
from .engine.run import gradients
from .errors import ConfigError, InputError, brief
from .metrics import right_rows

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "CustomLoss",
    "Hinge",
    "Huber",
    "Loss",
    "LossFunction",
    "MulticlassHinge",
    "Perceptron",
    "Poisson",
    "Quantile",
    "SquaredError",
    "TargetDomain",
    "count_correct",
    "mean",
    "resolve",
    "total_weight",
    "weighted_sum",
]

TargetDomain = Literal["real", "unit", "distribution", "one_hot", "sign", "bit", "count"]
# (outputs, targets) to the loss of each row and its gradient by the outputs.
LossFunction = Callable[[NDArray[Any], NDArray[Any]], tuple[Any, Any]]
# A tuple: `isinstance` with `a | b` makes the union anew in every call.
ROWS = (np.ndarray, Rows)


@dataclass(frozen=True)
class Loss:
    """One loss: its name in the engine and what it needs.

    Attributes
    ----------
    name : str
        The name, as in the engine's table.
    outputs : tuple of str
        The activations that the output layer may have; empty when any will do.
    targets : str
        Where target rows must lie; see `fastbp._check.domain_fault`.
    classification : bool
        Whether accuracy is reported whatever the form of the targets.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[TargetDomain] = "real"
    classification: ClassVar[bool] = False

    @cached_property
    def parameter(self) -> float:
        """The number that the engine's loss takes; 0 if it takes none."""
        return float(next((getattr(self, field.name) for field in fields(self)), 0.0))

    @property
    def shown(self) -> str:
        """The name if all options have their defaults, else the call that makes the loss."""
        if all(getattr(self, field.name) == field.default for field in fields(self)):
            return repr(self.name)
        return repr(self)

    def on(self, output_activation: str) -> Loss:
        """Return the loss as it is on an output layer that `resolve` has accepted."""
        return self

    @property
    def threshold(self) -> float:
        """The output above which a yes-or-no output says yes."""
        return 0.0 if self.targets == "sign" else 0.5

    @property
    def exclusive(self) -> bool:
        """Whether a row of targets is one class, not several questions."""
        return self.targets in ("distribution", "one_hot")

    def _evaluate(
        self,
        model: Model,
        x: AnyRows | Blocks,
        y: NDArray[Any],
        weights: Weights,
        n_threads: int,
        outputs: NDArray[Any] | None = None,
    ) -> tuple[float, float]:
        """Return the weighted sum of the rows' losses, and the weight of those that are right.

        `outputs` takes what the network gives.
        """
        if isinstance(x, ROWS):
            return self._evaluate_rows(model, x, y, weights, n_threads, 0.0, outputs)
        total, correct = 0.0, 0.0
        for part, rows in x.blocks():
            some = None if weights is None else weights[part]
            out = None if outputs is None else outputs[part]
            total, right = self._evaluate_rows(model, rows, y[part], some, n_threads, total, out)
            correct += right
        return total, correct

    def _evaluate_rows(
        self,
        model: Model,
        x: AnyRows,
        y: NDArray[Any],
        weights: Weights,
        n_threads: int,
        total: float,
        outputs: NDArray[Any] | None,
    ) -> tuple[float, float]:
        """Return `total` and the weighted losses summed, and the weight of the right rows."""
        sums = model.evaluate(self.name, x, y, n_threads, self.parameter, weights, total, outputs)
        if sums is None:
            raise _check.changed_labels(y, model.n_outputs, weights)
        return sums

    def _gradients(
        self,
        model: Model,
        x: AnyRows,
        y: NDArray[Any],
        weights: Weights,
        n_threads: int,
        inputs: bool,
    ) -> tuple[float, Model, NDArray[Any] | None]:
        """Return the mean loss, a model that holds its gradients, and dX if `inputs`."""
        found = gradients(model, self.name, x, y, n_threads, inputs, self.parameter, weights)
        if found is None:
            raise _check.changed_labels(y, model.n_outputs, weights)
        return found

    def _means(
        self, total: float, correct: float, weight: float, y: NDArray[Any]
    ) -> dict[str, float]:
        """Return the mean "loss" and, in classification, the "accuracy", of rows of some weight.

        Both are NaN if the weight is 0.
        """
        found = {"loss": mean(total, weight)}
        # Of targets, only classes are one-dimensional behind the gate.
        if self.classification or y.ndim == 1:
            found["accuracy"] = mean(correct, weight)
        return found

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)


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
        self._set("q", _check.share(self.q, "q"))


class Poisson(Loss):
    """The sum over outputs of e^z - t z: -log likelihood of counts t at the rate e^z.

    The linear output is the logarithm of the rate; log t! is left out. Beyond z = 88 in float32
    (709 in float64) the loss is infinite, and training stops before an update.
    """

    name = "poisson"
    outputs = ("linear",)
    targets = "count"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the sum over outputs of t log y, y a softmax.

    Parameters
    ----------
    label_smoothing : float
        epsilon in [0, 1): t becomes (1 - epsilon) t + epsilon / n_outputs (Szegedy et al.,
        "Rethinking the Inception architecture", 2016, section 7), in `Trainer.evaluate` too.
    """

    name = "cross_entropy"
    outputs = ("softmax",)
    targets = "distribution"
    classification = True
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Check the option."""
        smoothing = _check.number(self.label_smoothing, "label_smoothing", below=1)
        self._set("label_smoothing", smoothing)


class BinaryCrossEntropy(Loss):
    """Minus the sum over sigmoid outputs of t log y + (1 - t) log(1 - y)."""

    name = "binary_cross_entropy"
    outputs = ("sigmoid",)
    targets = "unit"
    classification = True


@dataclass(frozen=True)
class Hinge(Loss):
    """The sum over linear outputs of max(0, margin - t z), t -1 or 1.

    A linear support vector machine, when there is no hidden layer (Cortes & Vapnik, 1995).

    Parameters
    ----------
    margin : float
        > 0.
    """

    name = "hinge"
    outputs = ("linear",)
    targets: ClassVar[TargetDomain] = "sign"
    classification = True
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Check the option."""
        self._set("margin", _check.positive(self.margin, "margin"))


class MulticlassHinge(Hinge):
    """The sum over j != c, the row's class, of max(0, z_j - z_c + margin).

    Weston & Watkins, "Support vector machines for multi-class pattern recognition", 1999.

    Parameters
    ----------
    margin : float
        > 0.
    """

    name = "multiclass_hinge"
    targets: ClassVar[TargetDomain] = "one_hot"


class Perceptron(Loss):
    """The sum over outputs of max(0, -t z), t -1 or 1: the perceptron rule (Rosenblatt, 1958).

    A wrong sign is a mistake, and so is z = 0: its dL/dz is -t; all others are 0.
    """

    name = "perceptron"
    outputs = ("linear", "sign", "step")
    targets: ClassVar[TargetDomain] = "sign"
    classification = True

    def on(self, output_activation: str) -> Loss:
        """Return the loss for targets 0 and 1 if the output is a step, which gives these."""
        return _StepPerceptron() if output_activation == "step" else self


class _StepPerceptron(Perceptron):
    targets: ClassVar[TargetDomain] = "bit"
    parameter = 1.0


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A function of the user's own as a loss; see `fastbp.losses`."""

    name = "custom"
    function: LossFunction

    def __post_init__(self) -> None:
        """Check the function."""
        if not callable(self.function) or isinstance(self.function, type):
            raise ConfigError(f"function: got {brief(self.function)}, wanted f(outputs, targets)")

    @property
    def parameter(self) -> float:
        """None that the engine would take."""
        return 0.0

    @property
    def shown(self) -> str:
        """The function's name."""
        return getattr(self.function, "__qualname__", repr(self.function))

    def measure(
        self, outputs: NDArray[Any], targets: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return the losses [n], float64, and the gradient [n, n_outputs], of the outputs' dtype.

        The function gets copies, so that it may write to them. Numbers that are not finite pass:
        they are what a diverging network gives.

        Raises
        ------
        ConfigError, ShapeError, DTypeError
            The function gives something else.
        """
        given = self.function(outputs.copy(), targets.copy())
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ConfigError(
                f"loss: got {type(given).__name__} from the function, wanted a pair: the loss of "
                "each row, and its gradient by the outputs"
            )
        rows, float64 = outputs.shape[:1], _check.DTYPES["float64"]
        values = _check.shaped(given[0], rows, float64, "loss: losses of the rows")
        return values, _check.shaped(given[1], outputs.shape, outputs.dtype, "loss: gradient")

    def _evaluate(
        self,
        model: Model,
        x: AnyRows | Blocks,
        y: NDArray[Any],
        weights: Weights,
        n_threads: int,
        outputs: NDArray[Any] | None = None,
    ) -> tuple[float, float]:
        if outputs is None:
            outputs = np.empty((len(x), model.n_outputs), model.dtype)
        _predict_into(outputs, model, x, n_threads)
        values, _ = self.measure(outputs, y)
        return weighted_sum(values, weights), count_correct(outputs, y, weights)

    def _gradients(
        self,
        model: Model,
        x: AnyRows,
        y: NDArray[Any],
        weights: Weights,
        n_threads: int,
        inputs: bool,
    ) -> tuple[float, Model, NDArray[Any] | None]:
        outputs = np.empty((len(x), model.n_outputs), model.dtype)
        _predict_into(outputs, model, x, n_threads)
        values, y = self.measure(outputs, y)
        found = gradients(model, self.name, x, y, n_threads, inputs, 0, weights)
        assert found is not None  # its targets are no labels
        return mean(weighted_sum(values, weights), total_weight(weights, len(x))), *found[1:]


KINDS: tuple[type[Loss], ...] = (
    SquaredError, MSE, MAE, Huber, Quantile, Poisson,
    CrossEntropy, BinaryCrossEntropy, Hinge, MulticlassHinge, Perceptron,
)  # fmt: skip
LOSSES: dict[str, Loss] = {kind.name: kind() for kind in KINDS}


def resolve(loss: Any, output_activation: str, n_outputs: int) -> Loss:
    """Return the loss, an object, a name or a function, checked against the output layer.

    Raises
    ------
    ConfigError
        The name is unknown, or the output layer does not suit the loss.
    """
    if callable(loss) and not isinstance(loss, type):
        return CustomLoss(loss)
    found = loss if isinstance(loss, Loss) else LOSSES[_check.choice(loss, LOSSES, "loss")]
    wanted = found.outputs
    if wanted and output_activation not in wanted:
        raise ConfigError(
            f"loss: got {found.shown} for a {output_activation} output layer, wanted a "
            f"{' or '.join(wanted)} one: Dense({n_outputs}, {wanted[0]!r})"
        )
    if n_outputs == 1 and found.name == "cross_entropy":
        raise ConfigError(
            f"loss: got {found.shown} for one softmax output, which is always 1, wanted "
            "'binary_cross_entropy' with Dense(1, 'sigmoid'), or Dense(2, 'softmax')"
        )
    if n_outputs == 1 and found.name == "multiclass_hinge":
        raise ConfigError(
            f"loss: got {found.shown} for one output, wanted one for each class, or 'hinge'"
        )
    return found.on(output_activation)


def mean(total: float, weight: float) -> float:
    """Return the mean of rows of some weight; NaN if that is 0."""
    return total / weight if weight else np.nan


def total_weight(weights: Weights, n_rows: int) -> float:
    """Return the sum of the rows' weights, added as the engine does; without, their number."""
    return float(n_rows) if weights is None else float(np.add.accumulate(weights)[-1])


def weighted_sum(values: NDArray[np.float64], weights: Weights) -> float:
    """Return the weighted sum of the rows' losses; of rows of weight 0 nothing counts."""
    if weights is None:
        return float(np.sum(values))
    return float(np.sum(np.where(weights == 0, 0, values) * weights))


def count_correct(outputs: NDArray[Any], targets: NDArray[Any], weights: Weights) -> float:
    """Return the weight of the rows whose largest output is the class's; 0 without classes."""
    if targets.ndim != 1:
        return 0.0
    right = right_rows(targets, outputs)
    return float(np.sum(right if weights is None else weights[right]))


def _parts(x: AnyRows | Blocks) -> Iterable[tuple[slice, AnyRows]]:
    return [(slice(None), x)] if isinstance(x, ROWS) else x.blocks()


def _predict_into(whole: NDArray[Any], model: Model, x: AnyRows | Blocks, n_threads: int) -> None:
    for part, rows in _parts(x):
        outputs = model.predict(rows, n_threads)
        if outputs is None:
            raise InputError(_check.not_finite_row(rows, model.dtype, "x"))
        whole[part] = outputs
