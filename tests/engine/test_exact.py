"""The exactly rounded FMA that the contract tests trust, against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from exact import blocked_chain, chain, fma


def rounded_once(value: Fraction, dtype) -> float:
    """The float of `dtype` nearest to `value`, ties to even, away from overflow and denormals."""
    if value == 0:
        return 0.0
    bits = np.finfo(dtype).nmant + 1
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - bits + 1)
    return float(round(value / unit) * unit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fma_is_rounded_once(dtype, rng):
    a = rng.standard_normal(2000).astype(dtype)
    b = rng.standard_normal(2000).astype(dtype)
    c = rng.standard_normal(2000).astype(dtype)
    c[:500] = -(a * b)[:500]  # cancellation leaves only the product's own rounding error
    c[500:1000] *= np.asarray(2.0 ** rng.integers(-60, 60, 500), dtype)
    c[1000] = 0
    want = [
        rounded_once(Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r)), dtype)
        for p, q, r in zip(a, b, c, strict=True)
    ]
    assert fma(a, b, c).dtype == dtype
    np.testing.assert_array_equal(fma(a, b, c), np.array(want, dtype))


def test_fma_breaks_ties_like_one_rounding_of_the_exact_value():
    # 1 + 2^-24 is a tie for float32; the product's 2^-60 must break it upwards, though it is lost
    # when a * b + c is first rounded to float64.
    a, b, c = np.float32(1 + 2**-12), np.float32(2**-24 * (1 - 2**-12 + 2**-24)), np.float32(1)
    exact = Fraction(float(a)) * Fraction(float(b)) + 1
    assert exact > 1 + Fraction(2) ** -24
    assert fma(a, b, c) == np.float32(1 + 2**-23) == rounded_once(exact, "float32")


def test_chains_differ_from_other_orders():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 20, 600)).astype("float32")
    b = np.ascontiguousarray(b.T)
    forward = chain(a, b, np.float32(0))
    assert not np.array_equal(forward, chain(a[:, ::-1], b[::-1], np.float32(0)))
    assert not np.array_equal(forward, blocked_chain(a, b, 256))
    np.testing.assert_allclose(forward, a @ b, rtol=0, atol=1e-4)
