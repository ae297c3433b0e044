"""The losses of classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from . import _check
from ._loss import Loss, TargetDomain

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Hinge", "MulticlassHinge", "Perceptron"]


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
    parameter = 1.0  # type: ignore[assignment]
