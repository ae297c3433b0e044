"""dense_delta and dense_update, on every kernel set, against the reference and exact sums."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from arrays import Padded, blank, call, padded, same_bits
from exact import blocked_chain, chain
from layer_shapes import DEEP, HALF, SHAPES, shapes_of
from networks import FLAT

from fastbp import reference
from fastbp.engine import kernels

# In eps of the dtype, of the sum of absolute terms behind each element.
DELTA_TOLERANCE = 4
UPDATE_TOLERANCE = 4

BLOCK = 256  # rows of one chain of the weight gradient
FOLDED = 8  # up to this batch a delta is not a chain
RULES = ["gradient", "sgd", "momentum", "nesterov"]
STEP = {"learning_rate": 0.3, "momentum": 0.7, "l2": 0.2}
# Those whose slope comes from the output, and None: the slope itself is given.
ACTIVATIONS = [name for name, row in reference.ACTIVATIONS.items() if not row.from_z]
ACTIVATIONS += [("leaky_relu", 0.3), ("elu", 0.7), None]
STEEPEST = 1.76  # of all slopes, that of selu


def output_like(rng, shape, activation):
    """Values such as the activation gives: where f' is not negligible, and zeros for relu."""
    z = rng.standard_normal(shape)
    return np.tanh(z) if activation is None else reference.activation_of(activation).f(z)


def delta_reference(dy, weight, x, activation):
    if activation is None:
        return reference.dense_delta(dy, weight, x, "linear") * x
    return reference.dense_delta(dy, weight, x, activation)


@cache
def layer(shape, dtype, activation):
    """Random dy, weight, bias and x of a layer, x being the output of the layer below."""
    batch, n_in, n_out = shape
    rng = np.random.default_rng([batch, n_in, n_out, 1])
    dy = rng.standard_normal((batch, n_out)) / max(batch, 1)
    weight, bias = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out)
    x = output_like(rng, (batch, n_in), activation)
    return tuple(a.astype(dtype) for a in (dy, weight, bias, x))


def test_data_is_not_constant():
    for activation in set(ACTIVATIONS) - FLAT:
        dy, weight, bias, x = layer((31, 17, 9), "float32", activation)
        for a in (dy, weight, bias, x):
            assert len(np.unique(a)) > 0.4 * a.size


def delta(isa, shape, dtype, activation):
    dy, weight, _, x = layer(shape, dtype, activation)
    dx = blank((shape[0], shape[1]), dtype)
    inputs = [Padded(dy), Padded(weight), Padded(x)]
    call(kernels.dense_delta, [dx], inputs, *shape[1:], activation, isa)
    return dx


@cache
def scalar_delta(shape, dtype, activation):
    return delta("scalar", shape, dtype, activation).array


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_scalar_delta_agrees_with_float64_and_writes_only_its_rows(dtype, activation):
    for shape in shapes_of(activation):
        dy, weight, _, x = (a.astype(np.float64) for a in layer(shape, dtype, activation))
        want = delta_reference(dy, weight, x, activation)
        scale = STEEPEST * abs(dy) @ abs(weight.T)
        if activation == "softmax":
            scale = x * (scale + (scale * x).sum(axis=1, keepdims=True))
        bound = DELTA_TOLERANCE * np.finfo(dtype).eps * scale
        error = abs(scalar_delta(shape, dtype, activation)[:, : shape[1]] - want)
        assert (error <= bound).all(), f"{shape}: {(error / bound).max()} of the tolerance"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_delta_bits_are_those_of_the_scalar_kernels(isa, dtype, activation):
    for shape in shapes_of(activation):
        got = delta(isa, shape, dtype, activation).array
        assert same_bits(got, scalar_delta(shape, dtype, activation)), shape


def test_scalar_delta_of_larger_batches_is_one_fma_chain_over_outputs(dtype):
    larger = [shape for shape in [*HALF, *DEEP] if shape[0] > FOLDED]
    assert len(larger) > 10
    for shape in larger:
        dy, weight, _, _ = layer(shape, dtype, "linear")
        want = chain(dy, weight.T, np.zeros((), dtype))
        got = scalar_delta(shape, dtype, "linear")[:, : shape[1]]
        np.testing.assert_array_equal(got, want, err_msg=str(shape))


@pytest.mark.parametrize("batch", [1, 3, 8, 9, 31])
def test_delta_of_a_row_depends_on_no_other_row(isa, dtype, batch):
    n_in, n_out = 33, 49
    shape = batch, n_in, n_out
    dy, weight, _, x = layer(shape, dtype, "tanh")
    whole = delta(isa, shape, dtype, "tanh").values
    shuffled = np.roll(np.arange(batch), 1)
    dx = blank((batch, n_in), dtype)
    inputs = padded(dy[shuffled]), padded(weight), padded(x[shuffled])
    kernels.dense_delta(dx.array, *(a.array for a in inputs), n_in, n_out, "tanh", isa)
    assert same_bits(dx.values, whole[shuffled])


def update(isa, shape, dtype, rule):
    """Padded weight, bias and their velocities after the kernel."""
    dy, weight, bias, x = layer(shape, dtype, "tanh")
    rng = np.random.default_rng([*shape, 2])
    velocities = [rng.standard_normal(a.shape).astype(dtype) for a in (weight, bias)]
    outputs = [Padded(a) for a in (weight, bias, *velocities)]
    written = [*outputs[:2], None, None] if rule in ("gradient", "sgd") else outputs
    scalars = (0.0, 0.0, 0.0) if rule == "gradient" else STEP.values()
    options = *shape[1:], rule, *scalars, isa
    call(kernels.dense_update, written, [Padded(x), Padded(dy)], *options)
    return outputs


@cache
def scalar_update(shape, dtype, rule):
    return [a.array for a in update("scalar", shape, dtype, rule)]


def reference_update(shape, dtype, rule, absolute=False):
    """Weight, bias and velocities; with `absolute` the sum of absolute terms behind each."""
    dy, weight, bias, x = layer(shape, dtype, "tanh")
    rng = np.random.default_rng([*shape, 2])
    velocities = [rng.standard_normal(a.shape).astype(dtype) for a in (weight, bias)]
    arrays = [a.astype(np.float64) for a in (weight, bias, *velocities, x, dy)]
    scalars = [0.0] * 3 if rule == "gradient" else list(STEP.values())
    if absolute:
        arrays, scalars[0] = [abs(a) for a in arrays], -scalars[0]
    w, b, vw, vb, x, dy = arrays
    w, b, velocity = reference.dense_update(w, b, (vw, vb), x, dy, rule, *scalars)
    return w, b, *velocity


@pytest.mark.parametrize("rule", RULES)
def test_scalar_update_agrees_with_float64_and_writes_only_its_rows(dtype, rule):
    for shape in SHAPES:
        got = scalar_update(shape, dtype, rule)
        want = reference_update(shape, dtype, rule)
        scale = reference_update(shape, dtype, rule, absolute=True)
        for g, w, s, name in zip(got, want, scale, ["w", "b", "vw", "vb"], strict=True):
            bound = UPDATE_TOLERANCE * np.finfo(dtype).eps * s
            error = abs(g[..., : shape[2]] - w)
            assert (error <= bound).all(), f"{shape} {name}: {(error / bound).max()}"


@pytest.mark.parametrize("rule", RULES)
def test_update_bits_are_those_of_the_scalar_kernels(isa, dtype, rule):
    for shape in SHAPES if rule == "gradient" else HALF:
        got = update(isa, shape, dtype, rule)
        for g, w in zip(got, scalar_update(shape, dtype, rule), strict=True):
            assert same_bits(g.array, w), shape


def test_scalar_weight_gradient_is_fma_chains_in_blocks_of_256_rows(dtype):
    for shape in [*HALF, (256, 9, 17), (512, 3, 25), (513, 17, 3), (1000, 5, 8)]:
        dy, _, _, x = layer(shape, dtype, "tanh")
        weight, bias = (a[..., : shape[2]] for a in scalar_update(shape, dtype, "gradient")[:2])
        if shape[0] == 0:
            assert not weight.any()
            assert not bias.any()
            continue
        rows = np.c_[x, np.ones(shape[0], dtype)]  # the bias is the weight of an input of ones
        want = blocked_chain(rows.T, dy, BLOCK)
        np.testing.assert_array_equal(weight, want[:-1], err_msg=str(shape))
        np.testing.assert_array_equal(bias, want[-1], err_msg=str(shape))


@pytest.mark.parametrize("parts", [[1, 30], [4, 4, 4, 19], [31, 0], [256, 57], [100, 100, 113]])
def test_update_does_not_show_the_parts_of_the_batch(isa, dtype, parts):
    shape = sum(parts), 17, 33
    dy, weight, bias, x = layer(shape, dtype, "tanh")
    want = update(isa, shape, dtype, "gradient")
    dw, db = padded(weight), padded(bias)
    arrays = dw.array, db.array, None, None, padded(x).array, padded(dy).array
    kernels.dense_update(*arrays, *shape[1:], "gradient", 0.0, 0.0, 0.0, isa, parts)
    assert same_bits(dw.array, want[0].array)
    assert same_bits(db.array, want[1].array)


def test_update_takes_x_of_any_width_and_alignment(isa, dtype):
    shape = _, n_in, n_out = (31, 17, 33)
    dy, weight, bias, x = layer(shape, dtype, "tanh")
    want = update(isa, shape, dtype, "gradient")
    for width in (n_in, n_in + 1, n_in + 7):
        for offset in (0, 1, 3):
            dw, db = padded(weight), padded(bias)
            loose = padded(x, ld=width, offset=offset, padding=np.nan)
            arrays = dw.array, db.array, None, None, loose.array, padded(dy).array
            kernels.dense_update(*arrays, n_in, n_out, "gradient", 0.0, 0.0, 0.0, isa)
            assert same_bits(dw.array, want[0].array), (width, offset)
