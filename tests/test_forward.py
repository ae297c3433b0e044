"""dense_forward and the activations, on every kernel set, against reference.py and exact sums."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from arrays import Padded, blank, padded, same_bits
from exact import chain
from layer_shapes import SHAPES

from fastbp import _forward, _runtime, reference

# In eps of the dtype: of the sum of absolute terms behind each z, and of the value of y itself.
SUM_TOLERANCE = 2
VALUE_TOLERANCE = 4
# In units in the last place of the true value, of f at one exactly given z.
ULPS = {"linear": 0, "relu": 0, "sigmoid": 3, "tanh": 2}
ACTIVATIONS = list(reference.ACTIVATIONS)


@cache
def layer(shape, dtype):
    """Random x (a fifth of it zero), weight and bias of a layer, z of order one."""
    batch, n_in, n_out = shape
    rng = np.random.default_rng([batch, n_in, n_out])
    x = rng.standard_normal((batch, n_in)) * (rng.random((batch, n_in)) < 0.8)
    weight = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
    return tuple(a.astype(dtype) for a in (x, weight, rng.standard_normal(n_out)))


def forward(isa, shape, dtype, activation):
    """Padded y from the kernel; nothing but y may have been written, and its padding is zero."""
    x, weight, bias = layer(shape, dtype)
    y = blank((shape[0], shape[2]), dtype)
    inputs = Padded(x), Padded(weight), Padded(bias)
    _forward.dense_forward(y.array, *(a.array for a in inputs), *shape[1:], activation, isa)
    y.assert_written_inside()
    for a in inputs:
        a.assert_unwritten()
    return y


@cache
def scalar_forward(shape, dtype, activation):
    return forward("scalar", shape, dtype, activation).array


def test_data_is_not_constant():
    x, weight, bias = layer(SHAPES[-1], "float32")
    assert len(np.unique(x)) > x.size // 2
    assert len(np.unique(weight)) > weight.size // 2
    assert len(np.unique(bias)) == bias.size


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_agrees_with_float64_and_writes_only_its_rows(isa, dtype, activation):
    eps = np.finfo(dtype).eps
    for shape in SHAPES:
        x, weight, bias = (a.astype(np.float64) for a in layer(shape, dtype))
        want = reference.dense_forward(x, weight, bias, activation)
        scale = reference.dense_forward(abs(x), abs(weight), abs(bias), "linear")
        if activation == "softmax":  # dy_j = y_j (dz_j - sum_i y_i dz_i)
            scale = 2 * want * scale.max(axis=1, keepdims=True)
        bound = eps * (SUM_TOLERANCE * scale + VALUE_TOLERANCE * abs(want))
        error = abs(forward(isa, shape, dtype, activation).values - want)
        assert (error <= bound).all(), f"{shape}: {(error / bound).max()} of the tolerance"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_bits_are_those_of_the_scalar_kernels(isa, dtype, activation):
    for shape in SHAPES:
        got = forward(isa, shape, dtype, activation).array
        assert same_bits(got, scalar_forward(shape, dtype, activation)), shape


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_forward_is_one_fma_chain_over_inputs_that_starts_at_the_bias(isa, dtype, activation):
    for shape in SHAPES:
        x, weight, bias = layer(shape, dtype)
        want = reference.ACTIVATIONS[activation].f(chain(x, weight, bias))
        got = forward(isa, shape, dtype, activation).values
        np.testing.assert_array_equal(got, want, err_msg=str(shape))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_of_one_row_is_that_row_of_the_batch(isa, dtype, activation):
    for n_in, n_out in [(17, 1), (33, 10), (5, 49), (300, 130)]:
        x, weight, bias = layer((31, n_in, n_out), dtype)
        whole = forward(isa, (31, n_in, n_out), dtype, activation).values
        for b in range(31):
            y = blank((1, n_out), dtype)
            arrays = (y, padded(x[b : b + 1]), padded(weight), padded(bias))
            _forward.dense_forward(*(a.array for a in arrays), n_in, n_out, activation, isa)
            assert same_bits(y.values, whole[b : b + 1]), (n_in, n_out, b)


def test_forward_takes_x_of_any_width_and_alignment(isa, dtype):
    shape = batch, n_in, n_out = (31, 17, 33)
    x, weight, bias = layer(shape, dtype)
    want = forward(isa, shape, dtype, "tanh").array
    for width in (n_in, n_in + 1, n_in + 7):
        for offset in (0, 1, 3):
            y = blank((batch, n_out), dtype)
            # NaN beside the columns in use: reading them into a result would show
            loose = padded(x, ld=width, offset=offset, padding=np.nan)
            arrays = (y, loose, padded(weight), padded(bias))
            _forward.dense_forward(*(a.array for a in arrays), n_in, n_out, "tanh", isa)
            assert same_bits(y.array, want), (width, offset)
            loose.assert_unwritten()


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
    magnitudes = 10 ** rng.uniform(-8, 2, 1000) * rng.choice([-1, 1], 1000)
    return np.concatenate([special_values(dtype), rng.normal(0, 4, 2000), magnitudes]).astype(dtype)


def exact_sigmoid(z: Decimal) -> Decimal:
    return 1 / (1 + (-z).exp())


def exact_tanh(z: Decimal) -> Decimal:
    e = (-2 * abs(z)).exp()
    return ((1 - e) / (1 + e)).copy_sign(z)


EXACT = {
    "linear": lambda z: z,
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
def test_activation_is_accurate_to_a_few_ulp(isa, dtype, activation):
    z = sample(dtype)
    y = _forward.apply_activation(activation, z, isa)
    assert y.dtype == dtype
    assert np.isfinite(y).all()
    tiny = float(np.finfo(dtype).tiny)  # results below it may be flushed to zero
    for got, true, at in zip(y, exact_values(activation, dtype), z, strict=True):
        error = float(abs(Decimal(float(got)) - true))
        ulp = float(np.spacing(np.dtype(dtype).type(abs(float(true)))))
        assert error <= ULPS[activation] * ulp or (abs(true) < tiny and error <= tiny), (
            f"{activation}({at!r}) = {got!r} is off by {error / ulp:.1f} ulp"
        )


@pytest.mark.parametrize("activation", list(EXACT))
def test_activation_bits_are_those_of_the_scalar_kernels(isa, dtype, activation):
    z = sample(dtype)
    want = _forward.apply_activation(activation, z, "scalar")
    assert same_bits(_forward.apply_activation(activation, z, isa), want)


def test_activation_leaves_its_argument_and_takes_any_length(isa, dtype):
    z = sample(dtype)
    before = z.copy()
    whole = _forward.apply_activation("sigmoid", z, isa)
    assert same_bits(z, before)
    for n in (0, 1, 3, 7, 8, 9, 15, 16, 17, 33):
        assert same_bits(_forward.apply_activation("sigmoid", z[:n].copy(), isa), whole[:n])


def test_activation_is_monotone_and_bounded_where_it_saturates(isa, dtype):
    z = np.sort(sample(dtype))
    for activation, low in [("sigmoid", 0), ("tanh", -1)]:
        y = _forward.apply_activation(activation, z, isa)
        assert y.min() == low
        assert y.max() == 1
    odd = _forward.apply_activation("tanh", z, isa) + _forward.apply_activation("tanh", -z, isa)
    assert not odd.any()


@pytest.mark.parametrize("activation", list(EXACT))
def test_activation_of_nan_is_nan_so_that_divergence_is_seen(isa, dtype, activation):
    z = np.linspace(-1, 1, 40).astype(dtype)
    z[[0, 17, 39]] = np.nan
    y = _forward.apply_activation(activation, z, isa)
    assert list(np.flatnonzero(np.isnan(y))) == [0, 17, 39]


def test_softmax_rows_sum_to_one_and_survive_huge_logits(isa, dtype):
    x = np.array([[1e4], [-1e4], [0.5]], dtype)
    weight = np.array([[1, -1, 0.5, 0, 1]], dtype)
    y = blank((3, 5), dtype)
    arrays = (y, padded(x), padded(weight), Padded(np.zeros(5, dtype)))
    _forward.dense_forward(*(a.array for a in arrays), 1, 5, "softmax", isa)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.values.sum(axis=1), 1, rtol=4 * eps)
    np.testing.assert_allclose(y.values[0], [0.5, 0, 0, 0, 0.5], rtol=4 * eps)
    np.testing.assert_allclose(y.values[1], [0, 1, 0, 0, 0], rtol=4 * eps)


def test_unknown_names_are_errors(dtype):
    arrays = [blank((1, 1), dtype), *(Padded(a) for a in layer((1, 1, 1), dtype))]
    arrays = [a.array for a in arrays]
    best = _runtime.isas()[0]
    for activation, isa in [("swish", best), ("relu", "sse9")]:
        with pytest.raises(ValueError, match=activation if isa == best else isa):
            _forward.dense_forward(*arrays, 1, 1, activation, isa)
