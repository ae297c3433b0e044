"""The arithmetic contract of the rows of loss_delta: blocks of rows must not show.

Kernels take rows in blocks of one per lane of a vector, transposed where rows are short, and what
is left over in other ways: every row must have the bits that it has alone, and those of the folded
sums that the contract names, computed here in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
from arrays import Padded, blank, same_bits
from exact import fma
from test_backward_loss import LOSSES, activations_of, last_layer, loss_delta

from fastbp.engine import kernels

# Around the lanes of a vector (2 to 16) and half of them; outputs around a line (8 or 16); wide.
BATCHES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 25]
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
    return kernels.elementary(function, np.ascontiguousarray(x).ravel(), "scalar").reshape(x.shape)


def add(total, term):
    return total + term


def add_product(total, a, b):
    return fma(a, b, total)


def test_cross_entropy_is_made_of_folded_sums(isa, dtype):
    for n_out in OUTPUTS:
        z, target = last_layer(25, n_out, dtype, "cross_entropy", "softmax")
        delta, rows, _ = loss_delta(isa, z, target, "cross_entropy", "softmax", 0.25)
        shifted = z - z.max(axis=1, keepdims=True)
        e = elementary("exp", shifted)
        total = folded([e], add)
        want = elementary("log", total) - folded([target, shifted], add_product)
        np.testing.assert_array_equal(rows, want.astype(np.float64), err_msg=str(n_out))
        per_sum = (np.dtype(dtype).type(1) / total)[:, None]
        want = np.dtype(dtype).type(0.25) * fma(e, per_sum, -target)
        np.testing.assert_array_equal(delta.values, want, err_msg=str(n_out))


def test_softmax_is_made_of_folded_sums(isa, dtype):
    for n_out in OUTPUTS:
        z = last_layer(25, n_out, dtype, "cross_entropy", "softmax")[0]
        e = elementary("exp", z - z.max(axis=1, keepdims=True))
        want = e * (np.dtype(dtype).type(1) / folded([e], add))[:, None]
        y = blank(z.shape, dtype)
        arrays = y, Padded(z), Padded(np.eye(n_out, dtype=dtype)), Padded(np.zeros(n_out, dtype))
        kernels.dense_forward(*(a.array for a in arrays), n_out, n_out, "softmax", isa)
        np.testing.assert_array_equal(y.values, want, err_msg=str(n_out))


def test_squared_error_is_made_of_folded_sums(isa, dtype):
    for n_out in OUTPUTS:
        y, target = last_layer(25, n_out, dtype, "squared_error", "linear")
        delta, rows, _ = loss_delta(isa, y, target, "squared_error", "linear", 0.25)
        d = y - target
        want = np.dtype(dtype).type(0.5) * folded([d, d], add_product)
        np.testing.assert_array_equal(rows, want.astype(np.float64), err_msg=str(n_out))
        np.testing.assert_array_equal(
            delta.values, np.dtype(dtype).type(0.25) * d, err_msg=str(n_out)
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_is_the_same_in_every_batch(isa, dtype, loss):
    for activation, n_out, spread in rows_of(loss):
        data = last_layer(max(BATCHES), n_out, dtype, loss, activation, spread)
        output, target = (a.copy() for a in data)
        target[3] = -target[3]  # sums that are negative zeros
        alone = [
            loss_delta(isa, output[b : b + 1], target[b : b + 1], loss, activation, 0.25)
            for b in range(len(output))
        ]
        deltas, losses, correct = (
            np.concatenate(parts)
            for parts in zip(*((d.array, row, right) for d, row, right in alone), strict=True)
        )
        for batch in BATCHES:
            got = loss_delta(isa, output[:batch], target[:batch], loss, activation, 0.25)
            where = activation, n_out, batch
            assert same_bits(got[0].array, deltas[:batch]), where
            assert same_bits(got[1], losses[:batch]), where
            assert same_bits(got[2], correct[:batch]), where


def rows_of(loss):
    """Output activation, outputs and spread: every output with the loss's plainest activation."""
    first, *others = activations_of(loss)
    spreads = [(1, 200.0), (2, 2.0), (10, 2.0), (10, 200.0), (16, 200.0), (33, 2.0)]
    yield from ((first, *spread) for spread in spreads)
    for i, activation in enumerate(others):
        yield activation, *spreads[i % len(spreads)]


def first_largest(row):
    """Index of the first of the largest."""
    return int(np.argmax(row))


def test_correct_compares_first_largest_places_whatever_the_numbers(isa, dtype):
    for n_out in OUTPUTS[1:]:
        rng = np.random.default_rng(n_out)
        values = np.array([-np.inf, np.inf, -1, 0, -0.0, 1, 2, 3, np.nan], dtype)
        few = np.array([np.nan, -np.inf, -1], dtype)
        for batch in BATCHES:
            output, target = rng.choice(values[:-1], (2, batch, n_out))
            output[rng.random(output.shape) < 0.1] = np.nan
            output[::3] = rng.choice(few, output[::3].shape)
            target[1::4] = np.nan_to_num(output[1::4], nan=9)
            correct = loss_delta(isa, output, target, "squared_error", "linear", 1.0)[2]
            pairs = zip(output, target, strict=True)
            assert correct.tolist() == [
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
    correct = loss_delta(isa, output, target, "squared_error", "linear", 1.0)[2]
    assert correct.tolist() == [b % 5 != 0 for b in range(n_out)]
