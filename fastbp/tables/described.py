"""What a file says of fitted objects, as JSON: each part is checked as it is taken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptModelError, brief

__all__ = ["Reader"]

Floats = NDArray[np.float64]


class Reader:
    """A description of a file, taken key by key, each checked as it is taken.

    Parameters
    ----------
    described : dict
    parameters : ndarray
        float64 [rows, 4], which `row` gives in their order.
    """

    def __init__(self, described: Any, parameters: Any) -> None:
        if not isinstance(described, dict):
            raise CorruptModelError(f"described: got {brief(described)}, wanted a dict")
        self._described, self._parameters, self._next = described, parameters, 0

    def of(self, described: Any) -> Reader:
        """Return a reader of another description that takes rows of the same parameters."""
        return _Part(described, self)

    def row(self) -> Floats:
        """Return the next row of the parameters."""
        if self._next >= len(self._parameters):
            raise CorruptModelError("got fewer rows of parameters than columns need")
        self._next += 1
        found: Floats = self._parameters[self._next - 1]
        return found

    def finish(self) -> None:
        """Refuse rows of parameters that nothing has taken."""
        if self._next != len(self._parameters):
            raise CorruptModelError("got more rows of parameters than columns need")

    def raw(self, key: str) -> Any:
        """Return what is under a key."""
        if key not in self._described:
            raise CorruptModelError(f"got a description without {key!r}")
        return self._described[key]

    def flag(self, key: str) -> bool:
        """Return a bool."""
        value = self.raw(key)
        if not isinstance(value, bool):
            raise CorruptModelError(f"{key}: got {type(value).__name__}, wanted true or false")
        return value

    def text(self, key: str, among: Sequence[str] = ()) -> str:
        """Return a string, one of some if there are any."""
        value = self.raw(key)
        if not isinstance(value, str) or (among and value not in among):
            raise CorruptModelError(f"{key}: got another value than {among or 'a text'}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return distinct strings."""
        value = self.raw(key)
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise CorruptModelError(f"{key}: got something else than a list of texts")
        if len(set(value)) < len(value):
            raise CorruptModelError(f"{key}: got one text twice")
        return tuple(value)

    def whole(self, key: str, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        value = self.raw(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise CorruptModelError(f"{key}: got no integer from {low} to {high}")
        return value

    def number(self, key: str) -> float:
        """Return a finite number as a float."""
        return self._float(key, self.raw(key))

    def numbers(self, key: str, n: int) -> list[float]:
        """Return `n` finite numbers."""
        value = self.raw(key)
        if not isinstance(value, list) or len(value) != n:
            raise CorruptModelError(f"{key}: got no list of {n} numbers")
        return [self._float(key, part) for part in value]

    def _float(self, key: str, value: Any) -> float:
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not abs(value) <= sys.float_info.max:
            raise CorruptModelError(f"{key}: got something else than a finite number")
        return float(value)


class _Part(Reader):
    def __init__(self, described: Any, whole: Reader) -> None:
        super().__init__(described, ())
        self._whole = whole

    def row(self) -> Floats:
        return self._whole.row()
