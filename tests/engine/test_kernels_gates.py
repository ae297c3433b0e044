"""gate_forward, gate_delta and add_rows, on every kernel set, against the reference."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from arrays import Padded, blank, padded, same_bits

from fastbp import reference
from fastbp.engine import kernels, runtime

# In eps of the dtype, of the largest value that goes in: f is within 2 ulp, and a product rounds.
TOLERANCE = 8

# (rows, units): around every vector length, and odd sizes.
SHAPES = [(1, 1), (3, 2), (2, 7), (4, 8), (9, 15), (5, 16), (2, 17), (3, 33), (31, 97), (0, 5)]
GATES = [("maxout", 1, "linear"), ("maxout", 2, "linear"), ("maxout", 5, "linear")]
GATES += [("product", 2, name) for name in reference.ACTIVATIONS if name != "softmax"]
GATES += [("product", 2, ("leaky_relu", 0.3)), ("product", 2, ("elu", 0.7))]


@cache
def data(shape, pieces, dtype):
    """Random z [rows, pieces, units] and dy [rows, units]."""
    rng = np.random.default_rng([*shape, pieces])
    z = 2 * rng.standard_normal((shape[0], pieces, shape[1]))
    return z.astype(dtype), rng.standard_normal(shape).astype(dtype)


def laid_out(z):
    """The pieces side by side, each in whole lines, as the kernels take them."""
    rows, pieces, units = z.shape
    line = runtime.LINE_BYTES // z.itemsize
    wide = np.zeros((rows, pieces, -(-units // line) * line), z.dtype)
    wide[..., :units] = z
    return Padded(wide.reshape(rows, pieces * wide.shape[2]))


def taken_apart(z, pieces, units):
    """The pieces [rows, pieces, units], and whatever is between them."""
    wide = z.reshape(len(z), pieces, z.shape[1] // pieces)
    return wide[..., :units], wide[..., units:]


def run(isa, shape, gate, pieces, activation, dtype):
    """(y, dz, what is between the pieces of dz) of a kernel set."""
    z, dy = data(shape, pieces, dtype)
    inputs = laid_out(z), Padded(dy)
    y, dz = blank(shape, dtype), blank(inputs[0].values.shape, dtype)
    options = shape[1], pieces, gate, activation, isa
    kernels.gate_forward(y.array, inputs[0].array, *options)
    kernels.gate_delta(dz.array, inputs[1].array, inputs[0].array, *options)
    y.assert_written_inside()
    dz.assert_written_inside()
    for a in inputs:
        a.assert_unwritten()
    return y.values, *taken_apart(dz.values, pieces, shape[1])


def wanted(shape, gate, pieces, activation, dtype):
    z, dy = (a.astype(np.float64) for a in data(shape, pieces, dtype))
    y, back = reference.maxout(z) if gate == "maxout" else reference.product(z, activation)
    return y, back(dy)


def test_scalar_gates_agree_with_float64_and_keep_the_padding(dtype):
    for (gate, pieces, activation), shape in product(GATES, SHAPES):
        z, dy = data(shape, pieces, dtype)
        y, dz, between = run("scalar", shape, gate, pieces, activation, dtype)
        want_y, want_dz = wanted(shape, gate, pieces, activation, dtype)
        largest = 1 + abs(z).max(axis=(0, 1), initial=0)
        bound = TOLERANCE * np.finfo(dtype).eps * largest**2
        assert (abs(y - want_y) <= bound).all(), (gate, activation, shape)
        within = abs(dz - want_dz) <= bound * (1 + abs(dy[:, None]))
        assert within.all(), (gate, activation, shape)
        assert not between.any(), (gate, activation, shape)


def test_bits_are_those_of_the_scalar_kernels(isa, dtype):
    for (gate, pieces, activation), shape in product(GATES, SHAPES):
        got = run(isa, shape, gate, pieces, activation, dtype)
        want = run("scalar", shape, gate, pieces, activation, dtype)
        assert all(same_bits(a, b) for a, b in zip(got, want, strict=True)), (gate, activation)


def test_of_equal_pieces_the_first_has_the_gradient(isa, dtype):
    z = np.array([[[1], [3], [3]], [[2], [2], [1]], [[-1], [-2], [-1]]], dtype)
    dy = np.array([[5], [6], [7]], dtype)
    dz = blank(laid_out(z).values.shape, dtype)
    kernels.gate_delta(dz.array, padded(dy).array, laid_out(z).array, 1, 3, "maxout", isa=isa)
    found, _ = taken_apart(dz.values, 3, 1)
    assert found[..., 0].tolist() == [[0, 5, 0], [6, 0, 0], [7, 0, 0]]


def test_a_piece_that_is_not_finite_is_not_hidden(isa, dtype):
    for bad, piece in product((np.nan, np.inf, -np.inf), range(3)):
        z = np.array([[[1], [3], [2]]], dtype)
        z[0, piece] = bad
        y = blank((1, 1), dtype)
        kernels.gate_forward(y.array, laid_out(z).array, 1, 3, "maxout", isa=isa)
        assert not np.isfinite(y.values[0, 0]), (bad, piece)


def test_rows_are_added_exactly(isa, dtype):
    for (rows, n), offset in product(SHAPES, (0, 1)):
        rng = np.random.default_rng([rows, n])
        a, b = rng.standard_normal((2, rows, n)).astype(dtype)
        left, right = padded(a, ld=n, offset=offset), padded(b)
        out = Padded(np.zeros((rows, n), dtype))
        kernels.add_rows(out.array, left.array, right.array, n, isa)
        out.assert_written_inside()
        left.assert_unwritten()
        assert same_bits(np.ascontiguousarray(out.values), a + b)
