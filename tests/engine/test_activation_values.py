"""The activations on every kernel set: values to a few ulp, and the ends of the range."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from arrays import Padded, blank, padded, same_bits

from fastbp import reference
from fastbp.engine import kernels

# In units in the last place of the true value, of f at one exactly given z.
ULPS = {"linear": 0, "relu": 0, "sigmoid": 3, "tanh": 2, "sign": 0, "step": 0, "softplus": 2}
ULPS |= {"leaky_relu": 2, "elu": 3, "selu": 3, "silu": 3}
ELEMENTWISE = [name for name in reference.ACTIVATIONS if name != "softmax"]
ELEMENTWISE += [("leaky_relu", 0.3), ("elu", 1.7)]


def special_values(dtype):
    """Zeros, the smallest numbers, the joints of the formulas, and deep saturation."""
    info = np.finfo(dtype)
    positive = [0, info.smallest_subnormal, info.tiny, 1e-30, 1e-10, info.eps, 1e-3, 0.25, 0.5]
    positive += [np.nextafter(np.dtype(dtype).type(0.55), 0), 0.55, 0.625, 1, 2, 5, 8.5, 9.01, 17]
    positive += [19.06, 36.7, 44, 64, 87.3, 88.7, 89, 103.9, 104, 355, 708.3, 709.8, 745.1, 746]
    positive = np.array([*positive, 1e3, 1e4], dtype)
    return np.concatenate([positive, -positive])


def sample(dtype):
    rng = np.random.default_rng(5)
    magnitudes = 10 ** rng.uniform(-8, 2, 300) * rng.choice([-1, 1], 300)
    return np.concatenate([special_values(dtype), rng.normal(0, 4, 600), magnitudes]).astype(dtype)


def exact_sigmoid(z: Decimal) -> Decimal:
    return 1 / (1 + (-z).exp())


def exact_tanh(z: Decimal) -> Decimal:
    e = (-2 * abs(z)).exp()
    return ((1 - e) / (1 + e)).copy_sign(z)


def exact_expm1(z: Decimal) -> Decimal:
    return z.exp() - 1


def exact_log1p_exp(z: Decimal) -> Decimal:
    e = z.exp()
    return e - e * e / 2 if e < Decimal("1e-60") else (1 + e).ln()


SELU_ALPHA = Decimal("1.67326324235437728481704297107")
SELU_SCALE = Decimal("1.05070098735548049341934985294")
EXACT = {
    "linear": lambda z: z,
    "sign": lambda z: Decimal((z > 0) - (z < 0)),
    "step": lambda z: Decimal(z > 0),
    "leaky_relu": lambda z: max(z, Decimal("0.01") * z),
    "elu": lambda z: z if z > 0 else exact_expm1(z),
    "selu": lambda z: SELU_SCALE * (z if z > 0 else SELU_ALPHA * exact_expm1(z)),
    "softplus": lambda z: max(z, Decimal(0)) + exact_log1p_exp(-abs(z)),
    "silu": lambda z: z / (1 + (-z).exp()),
    "relu": lambda z: max(z, Decimal(0)),
    "sigmoid": exact_sigmoid,
    "tanh": exact_tanh,
}


@cache
def exact_values(activation, dtype):
    """The true f(z), to 60 digits more than the cancellation of tanh near zero costs."""
    with localcontext() as context:
        context.prec = 400
        context.Emin, context.Emax = -(10**6), 10**6
        points = [Decimal(float(z)) for z in special_values(dtype)]
        hard = [EXACT[activation](z) for z in points]
        context.prec = 60
        return hard + [EXACT[activation](Decimal(float(z))) for z in sample(dtype)[len(hard) :]]


@pytest.mark.parametrize("activation", list(EXACT))
def test_scalar_activation_is_accurate_to_a_few_ulp(dtype, activation):
    z = sample(dtype)
    y = kernels.apply_activation(activation, z, "scalar")
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    tiny = float(np.finfo(dtype).tiny)  # results below it may be flushed to zero
    for got, true, at in zip(y, exact_values(activation, dtype), z, strict=True):
        error = float(abs(Decimal(float(got)) - true))
        ulp = float(np.spacing(np.dtype(dtype).type(abs(float(true)))))
        assert error <= ULPS[activation] * ulp or (abs(true) < tiny and error <= tiny), (
            f"{activation}({at!r}) = {got!r} is off by {error / ulp:.1f} ulp"
        )


def test_gelu_is_accurate_to_an_ulp_of_its_argument(isa, dtype):
    z = sample(dtype)
    y = kernels.apply_activation("gelu", z, isa).astype(np.float64)
    exact = np.array([0.5 * v * math.erfc(-v / 2**0.5) for v in z.tolist()])
    error = abs(y - exact) / np.maximum(np.spacing(abs(z)), np.finfo(dtype).tiny)
    assert error.max() <= 1.5


def test_large_arguments_of_either_sign_have_finite_outputs_and_slopes(isa, dtype):
    z = np.array([[-np.finfo(dtype).max, -1e20, 1e20]], dtype)
    for activation in ELEMENTWISE:
        y, slope = blank(z.shape, dtype), blank(z.shape, dtype)
        arrays = y, padded(np.ones((1, 1), dtype)), padded(z), Padded(np.zeros(3, dtype))
        arrays = [a.array for a in arrays]
        kernels.dense_forward(*arrays, 1, 3, activation, isa, slope.array)
        assert np.isfinite(y.values).all(), activation
        assert np.isfinite(slope.values).all(), activation
        below = kernels.apply_activation(activation, np.full(1, -np.inf, dtype), isa)[0]
        assert not np.isnan(below), activation


def test_activation_bits_are_those_of_the_scalar_kernels(isa, dtype):
    z = sample(dtype)
    for activation in ELEMENTWISE:
        want = kernels.apply_activation(activation, z, "scalar")
        assert same_bits(kernels.apply_activation(activation, z, isa), want), activation


def test_activation_leaves_its_argument_and_takes_any_length(isa, dtype):
    z = sample(dtype)
    before = z.copy()
    whole = kernels.apply_activation("sigmoid", z, isa)
    assert same_bits(z, before)
    for n in (0, 1, 3, 7, 8, 9, 15, 16, 17, 33):
        assert same_bits(kernels.apply_activation("sigmoid", z[:n].copy(), isa), whole[:n])


def test_activation_is_monotone_and_bounded_where_it_saturates(isa, dtype):
    z = np.sort(sample(dtype))
    for activation, low in [("sigmoid", 0), ("tanh", -1)]:
        y = kernels.apply_activation(activation, z, isa)
        assert y.min() == low
        assert y.max() == 1
    odd = kernels.apply_activation("tanh", z, isa) + kernels.apply_activation("tanh", -z, isa)
    assert not odd.any()


def test_activation_of_nan_is_nan_so_that_divergence_is_seen(isa, dtype):
    z = np.linspace(-1, 1, 40).astype(dtype)
    z[[0, 17, 39]] = np.nan
    for activation in ELEMENTWISE:
        y = kernels.apply_activation(activation, z, isa)
        assert list(np.flatnonzero(np.isnan(y))) == [0, 17, 39], activation
