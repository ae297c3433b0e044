"""The elementary functions of activations.h, on every kernel set: float64 against decimal numbers.

What they give in float32 is in test_numerics.py.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from arrays import same_bits

from fastbp.engine import kernels, runtime

FUNCTIONS = list(runtime.FUNCTIONS)
# In float64, in units in the last place of the true value.
ULPS = {"log": 1.3, "log1p": 1.3, "exp": 1.1, "erf": 1.1, "softplus": 1.5, "expm1": 2.0}
ULPS |= {"tanh": 1.6, "sigmoid": 2.0}
DIGITS = 60
SMALL = Decimal("1e-12")  # below it, so many terms of a series are exact to DIGITS
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")

INF, NAN = np.inf, np.nan
ENDS = {  # x, f(x): to be met exactly, NaN and the sign of zero included
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (1e4, INF), (-1e4, 0)],
    "log": [(0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-INF, NAN), (-1, NAN), (-1e-30, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e4, 1), (-1e4, -1)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (1e4, 1), (-1e4, 0)],
    "softplus": [(INF, INF), (-INF, 0), (1e4, 1e4), (-1e4, 0), (1e30, 1e30)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (1e4, INF), (-1e4, -1), (-50, -1)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (7, 1), (-7, -1), (1e4, 1)],
}


def exact_log1p(x: Decimal) -> Decimal:
    if abs(x) < SMALL:
        return sum((-((-x) ** n) / n for n in range(1, 7)), Decimal(0))
    return (1 + x).ln()


def exact_expm1(x: Decimal) -> Decimal:
    if abs(x) < SMALL:
        return sum((x**n / math.factorial(n) for n in range(1, 7)), Decimal(0))
    return x.exp() - 1


def exact_tanh(x: Decimal) -> Decimal:
    if abs(x) < SMALL:
        return x - x**3 / 3 + 2 * x**5 / 15
    e = (-2 * abs(x)).exp()
    return ((1 - e) / (1 + e)).copy_sign(x)


def exact_softplus(x: Decimal) -> Decimal:
    return max(x, Decimal(0)) + exact_log1p((-abs(x)).exp())


def exact_erf(x: Decimal) -> Decimal:
    """2 / sqrt(pi) e^-x^2 sum of 2^n x^(2n+1) / (2n+1)!!, whose terms are all of one sign."""
    if abs(x) > 12:
        return Decimal(1).copy_sign(x)
    term = total = x
    n = 1
    while abs(term) > abs(total) * Decimal(10) ** -DIGITS:
        term *= 2 * x * x / (2 * n + 1)
        total += term
        n += 1
    return 2 / PI.sqrt() * (-x * x).exp() * total


EXACT = {
    "exp": Decimal.exp,
    "log": Decimal.ln,
    "log1p": exact_log1p,
    "tanh": exact_tanh,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": exact_softplus,
    "erf": exact_erf,
    "expm1": exact_expm1,
}


@cache
def inputs(function):
    """Numbers of every size where the function is finite, the joints of the formulas included."""
    rng = np.random.default_rng(8)
    joints = np.array([0.5**0.5, 2**0.5, 0.55, 0.875, 1, 2, 5.9, 17, 18.7, 36.7, 37.4, 700])
    joints = np.concatenate([joints, np.nextafter(joints, 0), np.nextafter(joints, 99)])
    near_one = 1 + rng.choice([-1, 1], 100) * 10 ** rng.uniform(-16, -1, 100)
    positive = [joints, near_one, 10 ** rng.uniform(-300, 2.85, 150), rng.uniform(0, 40, 250)]
    positive = np.concatenate(positive)
    if function == "log":
        return np.concatenate([positive, 1 / positive, [5e-324, 1e-310, 1.7e308]])
    negative = -positive
    return np.concatenate([positive, negative[negative > -1] if function == "log1p" else negative])


@cache
def truth(function):
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = DIGITS + 20, -(10**6), 10**6
        return [EXACT[function](Decimal(float(x))) for x in inputs(function)]


def test_data_reaches_both_sides_of_every_joint():
    assert set(FUNCTIONS) == set(EXACT) == set(ENDS) == set(ULPS)
    for function in FUNCTIONS:
        x = abs(inputs(function))
        assert len(np.unique(x)) > 300
        assert x.min() < 1e-200
        assert x.max() > 300 or function == "log1p"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_scalar_float64_is_accurate_to_an_ulp_or_two(function):
    y = kernels.elementary(function, inputs(function), "scalar")
    assert y.dtype == np.float64
    for got, true, x in zip(y, truth(function), inputs(function), strict=True):
        ulp = Decimal(float(np.spacing(abs(float(true)))))
        error = float(abs(Decimal(float(got)) - true) / ulp)
        assert error <= ULPS[function], f"{function}({x!r}) = {got!r} is off by {error:.2f} ulp"


def test_ends_of_the_range(isa, dtype):
    for function in FUNCTIONS:
        x, want = np.array(ENDS[function], dtype).T
        got = kernels.elementary(function, x, isa)
        np.testing.assert_array_equal(got, want, err_msg=function)
        number = ~np.isnan(want)
        np.testing.assert_array_equal(
            np.signbit(got[number]), np.signbit(want[number]), err_msg=function
        )


def test_nan_gives_nan(isa, dtype):
    for function in FUNCTIONS:
        x = np.full(40, 0.25, dtype)
        x[[0, 17, 39]] = np.nan, -np.nan, np.nan
        y = kernels.elementary(function, x, isa)
        assert list(np.flatnonzero(np.isnan(y))) == [0, 17, 39], function


def test_denormals_are_numbers_like_any_other(isa, dtype):
    for function in FUNCTIONS:
        multiples = np.array([1, 3, 1000, 123456])
        tiny = np.finfo(dtype).smallest_subnormal
        x = (multiples * tiny).astype(dtype)
        want = {
            "log": np.log(tiny.astype(np.longdouble)) + np.log(multiples),
            "log1p": x,
            "expm1": x,
            "tanh": x,
            "erf": np.rint(multiples * 1.1283791670955126) * tiny,
            "softplus": np.log(2),
        }.get(function, {"exp": 1, "sigmoid": 0.5}.get(function))
        y = kernels.elementary(function, x, isa)
        np.testing.assert_allclose(
            y, np.broadcast_to(want, 4), rtol=2 * np.finfo(dtype).eps, err_msg=function
        )
        if function in ("log1p", "expm1", "tanh", "erf"):
            assert same_bits(kernels.elementary(function, -x, isa), -y), function


def test_bits_are_those_of_the_scalar_kernels(isa, dtype):
    for function in FUNCTIONS:
        with np.errstate(over="ignore", under="ignore"):
            x = inputs(function).astype(dtype)
        want = kernels.elementary(function, x, "scalar")
        assert same_bits(kernels.elementary(function, x, isa), want), function


def test_any_length_and_the_argument_stays(isa, dtype):
    x = np.linspace(-3, 3, 40).astype(dtype)
    before = x.copy()
    whole = kernels.elementary("erf", x, isa)
    assert same_bits(x, before)
    for n in (0, 1, 3, 7, 8, 9, 15, 16, 17, 33):
        assert same_bits(kernels.elementary("erf", x[:n].copy(), isa), whole[:n])


def test_sigmoid_and_tanh_are_the_activations(isa, dtype):
    x = np.linspace(-30, 30, 1001).astype(dtype)
    for name in ("sigmoid", "tanh"):
        want = kernels.apply_activation(name, x, isa)
        assert same_bits(kernels.elementary(name, x, isa), want)


def test_unknown_function():
    with pytest.raises(ValueError, match="cosh"):
        kernels.elementary("cosh", np.zeros(3), "scalar")
