"""What a trainer minimises besides the loss: checked, and in the words of the engine."""

from __future__ import annotations

from . import _check

__all__ = ["Objective"]


class Objective:
    """Penalties on the weights.

    Parameters
    ----------
    l1, l2, penalize_bias
        As for `Trainer`.

    Attributes
    ----------
    numbers : dict
        By the names of the engine.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    def __init__(self, l1: float, l2: float, penalize_bias: bool) -> None:
        self.numbers: dict[str, float] = {
            "l1": _check.number(l1, "l1"),
            "l2": _check.number(l2, "l2"),
            "penalize_bias": _check.flag(penalize_bias, "penalize_bias"),
        }

    def __str__(self) -> str:
        """Return the options that do something, each after a comma, as `Trainer` takes them."""
        return "".join(f", {name}={value}" for name, value in self.numbers.items() if value)
