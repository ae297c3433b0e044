"""What every loss has: its name, what it asks for, its options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar, Literal

__all__ = ["Loss", "TargetDomain"]

TargetDomain = Literal["real", "unit", "distribution", "one_hot", "sign", "bit", "count"]


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
        Where target rows must lie; see `_domains`.
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

    def _set(self, name: str, value: float) -> None:
        object.__setattr__(self, name, value)
