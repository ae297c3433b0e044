"""dense_forward and the activations, on every kernel set, against the reference and exact sums."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from arrays import Padded, blank, call, padded, same_bits
from exact import chain
from layer_shapes import DEEP, HALF, SHAPES, shapes_of
from networks import FLAT

from fastbp import reference
from fastbp.engine import kernels, runtime

# In eps of the dtype: of the sum of absolute terms behind each z, and of the value of y itself.
SUM_TOLERANCE = 2
VALUE_TOLERANCE = 4
SLOPE_TOLERANCE = 8  # in eps, besides what z carries; no second derivative is above 2
ACTIVATIONS = [*reference.ACTIVATIONS, ("leaky_relu", 0.3), ("elu", 1.7)]
ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]


@cache
def layer(shape, dtype):
    """Random x (a fifth of it zero), weight and bias of a layer, z of order one."""
    batch, n_in, n_out = shape
    rng = np.random.default_rng([batch, n_in, n_out])
    x = rng.standard_normal((batch, n_in)) * (rng.random((batch, n_in)) < 0.8)
    weight = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
    return tuple(a.astype(dtype) for a in (x, weight, rng.standard_normal(n_out)))


def forward(isa, shape, dtype, activation, slope=None):
    """Padded y from the kernel; nothing but y may have been written, and its padding is zero."""
    x, weight, bias = layer(shape, dtype)
    y = blank((shape[0], shape[2]), dtype)
    options = *shape[1:], activation, isa, None if slope is None else slope.array
    call(kernels.dense_forward, [y], [Padded(x), Padded(weight), Padded(bias)], *options)
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
def test_scalar_forward_agrees_with_float64_and_writes_only_its_rows(dtype, activation):
    eps = np.finfo(dtype).eps
    for shape in shapes_of(activation):
        x, weight, bias = (a.astype(np.float64) for a in layer(shape, dtype))
        want = reference.dense_forward(x, weight, bias, activation)
        scale = reference.dense_forward(abs(x), abs(weight), abs(bias), "linear")
        if activation == "softmax":  # dy_j = y_j (dz_j - sum_i y_i dz_i)
            scale = 2 * want * scale.max(axis=1, keepdims=True)
        bound = eps * (SUM_TOLERANCE * scale + VALUE_TOLERANCE * abs(want))
        error = abs(scalar_forward(shape, dtype, activation)[:, : shape[2]] - want)
        if activation in FLAT:  # where z may have the other sign
            z = reference.dense_forward(x, weight, bias, "linear")
            bound = np.where(abs(z) < bound, 2, bound)
        assert (error <= bound).all(), f"{shape}: {(error / bound).max()} of the tolerance"


@pytest.mark.parametrize("activation", ELEMENTWISE)
def test_scalar_slopes_agree_with_float64(dtype, activation):
    f = reference.activation_of(activation)
    eps = np.finfo(dtype).eps
    for shape in HALF:
        x, weight, bias = (a.astype(np.float64) for a in layer(shape, dtype))
        z = reference.dense_forward(x, weight, bias, "linear")
        want = f.delta(np.ones_like(z), z if f.from_z else f.f(z))
        scale = reference.dense_forward(abs(x), abs(weight), abs(bias), "linear")
        bound = eps * (2 * SUM_TOLERANCE * scale + SLOPE_TOLERANCE)
        slope = scalar_slope(shape, dtype, activation)[:, : shape[2]]
        error = np.where(abs(z) < bound, 0, abs(slope - want))  # apart from kinks
        assert (error <= bound).all(), f"{shape}: {(error / bound).max()} of the tolerance"


@cache
def scalar_slope(shape, dtype, activation):
    slope = blank((shape[0], shape[2]), dtype)
    forward("scalar", shape, dtype, activation, slope)
    return slope.array


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bits_are_those_of_the_scalar_kernels(isa, dtype, activation):
    for shape in shapes_of(activation):
        want = scalar_forward(shape, dtype, activation)
        assert same_bits(forward(isa, shape, dtype, activation).array, want), shape
        if activation == "softmax":
            continue
        slope = blank((shape[0], shape[2]), dtype)
        y = forward(isa, shape, dtype, activation, slope)
        slope.assert_written_inside(zero_padding=False)
        assert same_bits(y.array, want), f"{shape}: the output beside the slope"
        assert same_bits(slope.array, scalar_slope(shape, dtype, activation)), f"{shape}: slope"


def test_scalar_forward_is_one_fma_chain_over_inputs_that_starts_at_the_bias(dtype):
    for shape in [*HALF, *DEEP]:
        want = chain(*layer(shape, dtype))
        got = scalar_forward(shape, dtype, "linear")[:, : shape[2]]
        np.testing.assert_array_equal(got, want, err_msg=str(shape))


@pytest.mark.parametrize("activation", ["linear", "tanh", "softmax"])
def test_forward_of_one_row_is_that_row_of_the_batch(isa, dtype, activation):
    for n_in, n_out in [(17, 1), (33, 10), (5, 49), (300, 130)]:
        x, weight, bias = layer((31, n_in, n_out), dtype)
        whole = forward(isa, (31, n_in, n_out), dtype, activation).values
        for b in (0, 1, 8, 30):
            y = blank((1, n_out), dtype)
            arrays = (y, padded(x[b : b + 1]), padded(weight), padded(bias))
            kernels.dense_forward(*(a.array for a in arrays), n_in, n_out, activation, isa)
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
            kernels.dense_forward(*(a.array for a in arrays), n_in, n_out, "tanh", isa)
            assert same_bits(y.array, want), (width, offset)
            loose.assert_unwritten()


def test_softmax_rows_sum_to_one_and_survive_huge_logits(isa, dtype):
    x = np.array([[1e4], [-1e4], [0.5]], dtype)
    weight = np.array([[1, -1, 0.5, 0, 1]], dtype)
    y = blank((3, 5), dtype)
    arrays = (y, padded(x), padded(weight), Padded(np.zeros(5, dtype)))
    kernels.dense_forward(*(a.array for a in arrays), 1, 5, "softmax", isa)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.values.sum(axis=1), 1, rtol=4 * eps)
    np.testing.assert_allclose(y.values[0], [0.5, 0, 0, 0, 0.5], rtol=4 * eps)
    np.testing.assert_allclose(y.values[1], [0, 1, 0, 0, 0], rtol=4 * eps)


def test_unknown_names_are_errors(dtype):
    arrays = [blank((1, 1), dtype), *(Padded(a) for a in layer((1, 1, 1), dtype))]
    arrays = [a.array for a in arrays]
    best = runtime.isas()[0]
    for activation, isa in [("swish", best), ("relu", "sse9")]:
        with pytest.raises(ValueError, match=activation if isa == best else isa):
            kernels.dense_forward(*arrays, 1, 1, activation, isa)
