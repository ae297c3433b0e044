"""Numbers known up to an error: what rounding may have made of each of them, bounded.

The standard model of floating point, as test_error_bound.py has it: fl(a op b) = (a op b)(1 + d),
|d| <= u, and a chain of n operations changes a term by a factor within 1 +- gamma(n). Here it is
carried through an expression number by number: beside each value, in float64, stands a bound of
how far the engine may be from it. Errors that come in travel on through the absolute values of
what they are multiplied with; products of errors are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Of the engine, and of the float64 twin that it is compared with.
UNITS = {"float32": 2.0**-24 + 2.0**-53, "float64": 2.0**-53 + 2.0**-53}
# The engine takes denormal numbers for zero: so much may be missing anywhere.
FLUSHED = {"float32": 2.0**-126, "float64": 2.0**-1022}
ULPS = 8  # units in 2 ulp of a function and as much of the twin's, or a few operations


class Known:
    """Values [any shape] with errors of the same shape, in arithmetic of the unit u.

    Operators round once, as the engine does where it does not fuse; numbers on the right are
    exact in float64 and rounded to the engine's type.
    """

    def __init__(self, value, u: float, error=0.0):
        self.value = np.asarray(value, np.float64)
        self.u = u
        error = np.asarray(error, np.float64)
        same = error.shape == self.value.shape
        self.error = error if same else np.broadcast_to(error, self.value.shape)

    @property
    def reach(self) -> np.ndarray:
        """The largest that the magnitude can be."""
        return np.abs(self.value) + self.error

    def off(self, more) -> Known:
        """The same values with more error."""
        return Known(self.value, self.u, self.error + more)

    def rounded(self, times: float = 1) -> Known:
        return self.off(times * self.u * self.reach)

    def may_be_either_side_of(self, point: float) -> np.ndarray:
        """Where the engine may have decided otherwise about the order of value and point."""
        return (np.abs(self.value - point) <= self.error) & (self.error > 0)

    def _other(self, other) -> Known:
        return other if isinstance(other, Known) else Known(other, self.u).rounded()

    def __neg__(self) -> Known:
        return Known(-self.value, self.u, self.error)

    def __add__(self, other) -> Known:
        other = self._other(other)
        return Known(self.value + other.value, self.u, self.error + other.error).rounded()

    def __sub__(self, other) -> Known:
        return self + -self._other(other)

    def __mul__(self, other) -> Known:
        other = self._other(other)
        error = self.reach * other.error + self.error * np.abs(other.value)
        return Known(self.value * other.value, self.u, error).rounded()

    def __truediv__(self, other) -> Known:
        other = self._other(other)
        least = np.maximum(np.abs(other.value) - other.error, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = self.value / other.value
            error = np.where(
                least > 0, (self.error + np.abs(quotient) * other.error) / least, np.inf
            )
        return Known(quotient, self.u, error).rounded()

    def __getitem__(self, index) -> Known:
        return Known(self.value[index], self.u, self.error[index])

    def reshape(self, *shape: int) -> Known:
        return Known(self.value.reshape(shape), self.u, self.error.reshape(shape))

    @property
    def transposed(self) -> Known:
        return Known(self.value.T, self.u, self.error.T)

    def gamma(self, n: int) -> float:
        return n * self.u / (1 - n * self.u)

    def __matmul__(self, other: Known) -> Known:
        """Chains of products, not rounded by themselves."""
        reach = self.reach @ np.abs(other.value) + self.reach @ other.error
        error = self.error @ np.abs(other.value) + self.reach @ other.error
        return Known(self.value @ other.value, self.u, error + self.gamma(len(other.value)) * reach)

    def sum(self, axis: int) -> Known:
        chain = self.gamma(self.value.shape[axis])
        error = self.error.sum(axis) + chain * self.reach.sum(axis)
        return Known(self.value.sum(axis), self.u, error)

    def where(self, condition: np.ndarray, other: Known) -> Known:
        return Known(
            np.where(condition, self.value, other.value),
            self.u,
            np.where(condition, self.error, other.error),
        )

    def map(self, f: Callable, lipschitz: float = 1.0, rounding: float = ULPS) -> Known:
        """f of the values, |f(a) - f(b)| <= lipschitz |a - b|, in so many units of the result."""
        return Known(f(self.value), self.u, lipschitz * self.error).rounded(rounding)


def joined(parts: list[Known], axis: int) -> Known:
    """Several as one, along a new axis."""
    value, error = (np.stack([getattr(p, n) for p in parts], axis) for n in ("value", "error"))
    return Known(value, parts[0].u, error)
