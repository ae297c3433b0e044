"""A centre and a width for any finite numbers of float64, the ends of its range included.

Values are first multiplied by a power of two, which is exact, so that neither a difference nor a
square of theirs leaves the range of float64; they are rounded to float32 once, at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptModelError

__all__ = ["REACH", "Scale", "smooth_clip"]

Floats = NDArray[np.float64]

# Exponents of float64, the subnormal numbers included; beyond it no number changes its size.
MOST_EXPONENT = 1100
# What is further from the centre than this many widths counts as so far.
FURTHEST = 1e150
# `smooth_clip` lets nothing further from 0.
REACH = 3.0


class Scale(NamedTuple):
    """The map of x to (x / 2^exponent - centre) / width.

    Attributes
    ----------
    centre, width : float
        In units of 2^exponent; the width is above 0.
    exponent : int
    """

    centre: float
    width: float
    exponent: int

    @classmethod
    def robust(cls, values: Floats) -> Scale:
        """Return the median and the interquartile range of finite values, at least one.

        Where that range is 0, as in a column that is mostly zeros, the width is the median distance
        from the median of the values that differ from it. Constant values have the width 1.
        """
        values, exponent = _in_unit(values)
        low, centre, high = np.quantile(values, (0.25, 0.5, 0.75))
        width = high - low
        if not width:
            distances = np.abs(values - centre)
            distances = distances[distances > 0]
            width = np.median(distances) if len(distances) else 1.0
        return cls(float(centre), float(width), exponent)

    @classmethod
    def standard(cls, values: Floats) -> Scale:
        """Return the mean and the standard deviation of finite values, at least one."""
        values, exponent = _in_unit(values)
        centre = values.mean()
        centre += (values - centre).mean()  # what the sum of many values has lost
        width = np.sqrt(np.mean((values - centre) ** 2))
        return cls(float(centre), float(width) or 1.0, exponent)

    @classmethod
    def between(cls, low: float, high: float) -> Scale:
        """Return the map of `low` to 0 and of `high`, another finite number, to 1."""
        (low, high), exponent = _in_unit(np.array([low, high]))
        return cls(float(low), float(high - low), exponent)

    @classmethod
    def stored(cls, values: Floats) -> Scale:
        """Return the scale of three numbers of a file."""
        centre, width, exponent = values.tolist()
        if not (abs(centre) <= 2 and 0 < width <= 4 and abs(exponent) <= MOST_EXPONENT):
            raise CorruptModelError(f"got the scale {values.tolist()}, which no training makes")
        return cls(centre, width, int(exponent))

    def apply(self, values: Floats) -> Floats:
        """Return values in widths from the centre; infinite ones as very large ones."""
        with np.errstate(over="ignore"):
            found = (np.ldexp(values, -self.exponent) - self.centre) / self.width
        return np.clip(found, -FURTHEST, FURTHEST)

    def formula(self, what: str) -> str:
        """Return what `apply` computes of `what`, with all digits."""
        power = f" / 2^{self.exponent}" if self.exponent > 0 else f" * 2^{-self.exponent}"
        value = f"{what}{power}" if self.exponent else what
        return f"({value} - {self.centre!r}) / {self.width!r}"

    def invert(self, scaled: Floats) -> Floats:
        """Return the values of which `apply` gives these, the largest finite number at most."""
        with np.errstate(over="ignore"):
            values = np.ldexp(scaled * self.width + self.centre, self.exponent)
        largest = np.finfo(np.float64).max
        return np.clip(values, -largest, largest)


def smooth_clip(scaled: Floats) -> Floats:
    """Return z / sqrt(1 + (z / 3)^2): nearly z around 0, and never further from it than 3.

    As in RealMLP: Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs
    and boosted trees on tabular data", 2024.
    """
    found: Floats = scaled / np.sqrt(1 + (scaled / REACH) ** 2)
    return found


def _in_unit(values: Floats) -> tuple[Floats, int]:
    """Return values of at most 1 in size, and the exponent of the power of two that was divided."""
    largest = float(np.abs(values).max())
    exponent = int(np.frexp(largest)[1]) if largest else 0
    return np.ldexp(values, -exponent), exponent
