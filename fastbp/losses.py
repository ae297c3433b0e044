"""What each loss asks of the network and the targets. The arithmetic is the engine's.

=====================  ================================================  ======================
name                   value                                             output activation
=====================  ================================================  ======================
squared_error          1/2 sum over outputs, mean over rows, (y - t)^2   any
mse                    mean over outputs and rows, (y - t)^2             any
cross_entropy          -sum over outputs, mean over rows, t log y        softmax
binary_cross_entropy   -sum over outputs, mean over rows,                sigmoid
                       t log y + (1 - t) log(1 - y)
=====================  ================================================  ======================
"""

from dataclasses import dataclass
from typing import Literal

from . import _check
from .errors import ConfigError

__all__ = ["LOSSES", "Loss", "resolve"]

TargetDomain = Literal["real", "unit", "distribution"]


@dataclass(frozen=True)
class Loss:
    """One loss: its name in the engine and what it needs.

    Parameters
    ----------
    name : str
        The name, as in the engine's table.
    output_activation : str or None
        The activation the output layer must have; None when any will do.
    targets : {"real", "unit", "distribution"}
        Where target rows must lie: anywhere, in [0, 1], or non-negative with sum 1.
    classification : bool
        Whether accuracy is reported whatever the form of the targets.
    """

    name: str
    output_activation: str | None
    targets: TargetDomain
    classification: bool


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("squared_error", None, "real", False),
        Loss("mse", None, "real", False),
        Loss("cross_entropy", "softmax", "distribution", True),
        Loss("binary_cross_entropy", "sigmoid", "unit", True),
    )
}


def resolve(name: str, output_activation: str, n_outputs: int) -> Loss:
    """Return the named loss, checked against the output layer.

    Raises
    ------
    ConfigError
        The name is unknown, or the output layer does not suit the loss.
    """
    loss = LOSSES[_check.choice(name, LOSSES, "loss")]
    wanted = loss.output_activation
    if wanted not in (None, output_activation):
        raise ConfigError(
            f"loss: got {name!r} for a {output_activation} output layer, wanted a {wanted} one: "
            f"Dense({n_outputs}, {wanted!r})"
        )
    if wanted == "softmax" and n_outputs == 1:
        raise ConfigError(
            f"loss: got {name!r} for one softmax output, which is always 1, wanted "
            "'binary_cross_entropy' with Dense(1, 'sigmoid'), or Dense(2, 'softmax')"
        )
    return loss
