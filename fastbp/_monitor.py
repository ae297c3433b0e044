"""Which of two measured values is the better one, for all rules that stop, schedule or save.

A rule watches one column of an epoch's record. What a smaller value of it means its name tells, or
else the user.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from . import _check, metrics
from .errors import ConfigError, brief

__all__ = ["Monitor", "better", "worst"]

MODES = ("min", "max")


def worst(mode: str) -> float:
    """Return what every number is better than."""
    return math.inf if mode == "min" else -math.inf


def better(
    value: float, best: float, mode: str, min_delta: float = 0.0, threshold: float = 0.0
) -> bool:
    """Return whether `value` is better than `best` by more than both margins; NaN never is.

    The margins are `min_delta` and ``threshold * abs(best)``, so that they mean the same for
    values of both signs.
    """
    margin = max(min_delta, threshold * abs(best)) if math.isfinite(best) else 0.0
    return value < best - margin if mode == "min" else value > best + margin


class Monitor:
    """The column that a rule watches.

    Parameters
    ----------
    name : str or None
        Of the column; None: "val_loss" if there is validation data, else "loss".
    mode : {"min", "max"} or None
        Which value is the best; None: as the name says.
    option : str
        What the rule calls the name.

    Attributes
    ----------
    mode : str

    Raises
    ------
    ConfigError
        The name is no string, or does not tell the mode, and none is given.
    """

    def __init__(self, name: Any, mode: Any, option: str = "monitor") -> None:
        plain = None if name is None else _check.text(name)
        if name is not None and not plain:
            raise ConfigError(
                f"{option}: got {brief(name)}, wanted the name of a column of History"
            )
        name = plain
        told = metrics.direction(name or "loss")
        found = told if mode is None else _check.choice(mode, MODES, "mode")
        if found is None:
            raise ConfigError(
                f"mode: got None with {option}={brief(name)}, whose name does not tell which "
                "value is the best, wanted 'min' or 'max'"
            )
        self.name: str | None = name
        self.mode, self._option = found, option

    def column(self, validated: bool) -> str:
        """Return the column's name in epochs that are `validated`, or not."""
        return self.name or ("val_loss" if validated else "loss")

    def require(self, columns: Collection[str] | None, validated: bool) -> None:
        """Refuse a column that no epoch will have; `columns` is None where that is not known.

        Raises
        ------
        ConfigError
            There will be no such column.
        """
        name = self.column(validated)
        if name.startswith("val_") and not validated and name not in (columns or ()):
            raise ConfigError(
                f"{self._option}: got {brief(name)} without validation_data, wanted both or neither"
            )
        if columns is not None and name not in columns:
            raise self._unknown(name, columns)

    def value(self, name: str, epoch: Mapping[str, float]) -> float:
        """Return the value of column `name` in an epoch.

        Raises
        ------
        ConfigError
            The epoch has no such column.
        """
        if name not in epoch:
            raise self._unknown(name, epoch)
        return epoch[name]

    def better(
        self, value: float, best: float, min_delta: float = 0.0, threshold: float = 0.0
    ) -> bool:
        """Return `better` for this column."""
        return better(value, best, self.mode, min_delta, threshold)

    def _unknown(self, name: str, columns: Collection[str]) -> ConfigError:
        return ConfigError(
            f"{self._option}: got {brief(name)}, wanted a column that the epochs have: "
            f"{', '.join(sorted(columns))}, or one that a callback records with history.record"
        )
