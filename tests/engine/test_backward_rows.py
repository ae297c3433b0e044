"""The arithmetic contract of the rows of loss_delta, and hits: blocks of rows must not show.

Kernels take rows in blocks of one per lane of a vector, transposed where rows are short, and what
is left over in other ways: every row must have the bits that it has alone, and those of the folded
sums that the contract names, computed here in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
from arrays import Padded, blank, same_bits
from exact import fma
from test_backward_loss import PAIRS, last_layer, loss_delta

from fastbp.engine import kernels as _kernels

# Around the lanes of a vector (2 to 16) and half of them; outputs around a line (8 or 16); wide.
BATCHES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 25, 31, 40]
OUTPUTS = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 31, 33, 100]


def folded(terms, add):
    """Sum of each row: add(sum, term) along each lane of a line, then lane i + lane i + h."""
    line = 64 // terms[0].itemsize
    rows, n = terms[0].shape
    padded = [np.zeros((rows, -(-n // line), line), terms[0].dtype) for _ in terms]
    for p, t in zip(padded, terms, strict=True):
        p.reshape(rows, -1)[:, :n] = t
    total = np.zeros((rows, line), terms[0].dtype)
    for i in range(padded[0].shape[1]):
        total = add(total, *(p[:, i] for p in padded))
    while total.shape[1] > 1:
        half = total.shape[1] // 2
        total = total[:, :half] + total[:, half:]
    return total[:, 0]


def elementary(function, x):
    return _kernels.elementary(function, np.ascontiguousarray(x).ravel(), "scalar").reshape(x.shape)


def add(total, term):
    return total + term


def add_product(total, a, b):
    return fma(a, b, total)


@pytest.mark.parametrize("n_out", OUTPUTS)
def test_cross_entropy_is_made_of_folded_sums(isa, dtype, n_out):
    z, target = last_layer(25, n_out, dtype, "cross_entropy", "softmax")
    delta, rows, _ = loss_delta(isa, z, target, "cross_entropy", "softmax", 0.25)
    shifted = z - z.max(axis=1, keepdims=True)
    e = elementary("exp", shifted)
    total = folded([e], add)
    want = elementary("log", total) - folded([target, shifted], add_product)
    np.testing.assert_array_equal(rows, want.astype(np.float64))
    per_sum = (np.dtype(dtype).type(1) / total)[:, None]
    want = np.dtype(dtype).type(0.25) * fma(e, per_sum, -target)
    np.testing.assert_array_equal(delta.values, want)


@pytest.mark.parametrize("n_out", OUTPUTS)
def test_softmax_is_made_of_folded_sums(isa, dtype, n_out):
    z = last_layer(25, n_out, dtype, "cross_entropy", "softmax")[0]
    e = elementary("exp", z - z.max(axis=1, keepdims=True))
    want = e * (np.dtype(dtype).type(1) / folded([e], add))[:, None]
    y = blank(z.shape, dtype)
    arrays = y, Padded(z), Padded(np.eye(n_out, dtype=dtype)), Padded(np.zeros(n_out, dtype))
    _kernels.dense_forward(*(a.array for a in arrays), n_out, n_out, "softmax", isa)
    np.testing.assert_array_equal(y.values, want)


@pytest.mark.parametrize("n_out", OUTPUTS)
def test_squared_error_is_made_of_folded_sums(isa, dtype, n_out):
    y, target = last_layer(25, n_out, dtype, "squared_error", "linear")
    delta, rows, _ = loss_delta(isa, y, target, "squared_error", "linear", 0.25)
    d = y - target
    want = np.dtype(dtype).type(0.5) * folded([d, d], add_product)
    np.testing.assert_array_equal(rows, want.astype(np.float64))
    np.testing.assert_array_equal(delta.values, np.dtype(dtype).type(0.25) * d)


@pytest.mark.parametrize(("loss", "activation"), PAIRS)
def test_a_row_is_the_same_in_every_batch(isa, dtype, loss, activation):
    for n_out in (1, 2, 10, 16, 33):
        for spread in (2.0, 200.0):
            data = last_layer(max(BATCHES), n_out, dtype, loss, activation, spread)
            output, target = (a.copy() for a in data)
            target[3] = -target[3]  # sums that are negative zeros
            alone = [
                loss_delta(isa, output[b : b + 1], target[b : b + 1], loss, activation, 0.25)
                for b in range(len(output))
            ]
            for batch in BATCHES:
                got = loss_delta(isa, output[:batch], target[:batch], loss, activation, 0.25)
                for b in range(batch):
                    assert same_bits(got[0].array[b], alone[b][0].array[0]), (n_out, batch, b)
                    assert same_bits(got[1][b : b + 1], alone[b][1]), (n_out, batch, b)
                    assert got[2][b] == alone[b][2][0], (n_out, batch, b)


def first_largest(row):
    """Index of the first of the largest."""
    return int(np.argmax(row))


@pytest.mark.parametrize("n_out", [n for n in OUTPUTS if n > 1])
def test_hit_compares_first_largest_places_whatever_the_numbers(isa, dtype, n_out):
    rng = np.random.default_rng(n_out)
    values = np.array([-np.inf, np.inf, -1, 0, -0.0, 1, 2, 3, np.nan], dtype)
    few = np.array([np.nan, -np.inf, -1], dtype)
    for batch in BATCHES:
        output, target = rng.choice(values[:-1], (2, batch, n_out))
        output[rng.random(output.shape) < 0.1] = np.nan
        output[::3] = rng.choice(few, output[::3].shape)
        target[1::4] = np.nan_to_num(output[1::4], nan=9)
        hit = loss_delta(isa, output, target, "squared_error", "linear", 1.0)[2]
        pairs = zip(output, target, strict=True)
        assert hit.tolist() == [
            first_largest(y) == first_largest(t) and not np.isnan(y).any() for y, t in pairs
        ]


def test_hit_tells_every_class_of_a_wide_row(isa, dtype):
    n_out = 1000
    output = np.zeros((n_out, n_out), dtype)
    target = np.zeros((n_out, n_out), dtype)
    at = np.arange(n_out)
    output[at, at] = 1
    output[at, n_out - 1 - at // 2] = 1  # the first of two counts
    target[at, np.minimum(at, n_out - 1 - at // 2)] = 1
    target[::5] = np.roll(target[::5], 1, axis=1)
    hit = loss_delta(isa, output, target, "squared_error", "linear", 1.0)[2]
    assert hit.tolist() == [b % 5 != 0 for b in range(n_out)]
