"""Model: predict, activations, evaluate and gradients against the reference and by hand."""

from __future__ import annotations

import gc
import math
from itertools import product

import numpy as np
import pytest
from arrays import same_bits
from loss_cases import PARAMETERS, right_rows
from networks import LOSSES_OF_PAIRS, SLOPED, Net, all_threads, outputs_of

from fastbp import reference
from fastbp.engine import runtime
from fastbp.engine.model import Model
from fastbp.engine.run import gradients

RTOL = {"float32": 2e-5, "float64": 1e-12}
# Central differences in float64, as a part of the largest derivative in the array.
DIFFERENCE, DIFFERENCE_RTOL = 1e-6, 1e-6

NETWORKS = [
    ([1, 1], ["linear"]),
    ([3, 5, 2], ["sigmoid", "linear"]),
    ([7, 17, 9, 4], ["relu", "tanh", "softmax"]),
    ([64, 130, 3], ["tanh", "sigmoid"]),
    ([33, 65, 31, 49, 10], ["relu", "relu", "softmax", "linear"]),
]


def close(got, want, rtol):
    """Equal within rtol of the largest element."""
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * max(1.0, abs(want).max(initial=0)))


def test_worked_example_of_a_1_2_1_sigmoid_network():
    """Hidden s(0.5x + 1) and s(x + 0.5), output s(0.5 h1 + 0.5 h2 + 0.25), E = 1/2 (y - t)^2."""

    def s(z):
        return 1 / (1 + math.exp(-z))

    x, t = 0.7, 0.2
    h1, h2 = s(0.5 * x + 1), s(x + 0.5)
    y = s(0.5 * h1 + 0.5 * h2 + 0.25)
    # dE/dz = (y - t) y (1 - y) at the output; back through 0.5 and h (1 - h) at the hidden units
    d = (y - t) * y * (1 - y)
    d1, d2 = 0.5 * d * h1 * (1 - h1), 0.5 * d * h2 * (1 - h2)

    model = Model(1, [2, 1], ["sigmoid", "sigmoid"], "float64")
    model.weight(0)[...] = [[0.5, 1]]
    model.bias(0)[...] = [1, 0.5]
    model.weight(1)[...] = [[0.5], [0.5]]
    model.bias(1)[...] = 0.25
    rows = np.array([[x]]), np.array([[t]])
    hidden, output = model.activations(rows[0], 1)
    close(hidden, [[h1, h2]], 1e-15)
    close(output, [[y]], 1e-15)
    loss, gradient, dx = gradients(model, "squared_error", *rows, 1, True)
    assert loss == pytest.approx(0.5 * (y - t) ** 2, rel=1e-14)
    close(gradient.weight(1), [[d * h1], [d * h2]], 1e-15)
    close(gradient.bias(1), [d], 1e-15)
    close(gradient.weight(0), [[d1 * x, d2 * x]], 1e-15)
    close(gradient.bias(0), [d1, d2], 1e-15)
    close(dx, [[0.5 * d1 + 1 * d2]], 1e-15)


@pytest.mark.parametrize(("sizes", "activations"), NETWORKS)
def test_activations_and_predict_agree_with_reference(isa, use_isa, dtype, sizes, activations):
    use_isa(isa)
    net = Net(sizes, activations, dtype)
    for n in (1, 2, 31, 300):
        x, _ = net.rows(n)
        before = x.copy()
        want = reference.forward(*net.reference(), x.astype(np.float64))
        got = net.model.activations(x, 2)
        assert [a.shape for a in got] == [(n, units) for units in sizes[1:]]
        for g, w in zip(got, want, strict=True):
            assert g.dtype == dtype
            close(g, w, RTOL[dtype])
        assert same_bits(net.model.predict(x, 1), got[-1])
        assert same_bits(x, before)


def test_predict_of_no_rows_is_no_rows(dtype):
    net = Net([3, 5, 2], ["tanh", "linear"], dtype)
    x = np.empty((0, 3), dtype)
    assert net.model.predict(x, 2).shape == (0, 2)
    assert [a.shape for a in net.model.activations(x, 2)] == [(0, 5), (0, 2)]


@pytest.mark.parametrize(("sizes", "activations"), NETWORKS)
def test_predict_row_by_row_equals_predict_of_all_to_the_bit(
    isa, use_isa, dtype, sizes, activations
):
    use_isa(isa)
    net = Net(sizes, activations, dtype)
    x, _ = net.rows(300)
    whole = net.model.predict(x, 2)
    assert len(np.unique(whole)) > 200
    rows = [net.model.predict(x[i : i + 1], 1) for i in range(len(x))]
    assert same_bits(np.concatenate(rows), whole)
    halves = [net.model.predict(x[:137], 2), net.model.predict(x[137:], 2)]
    assert same_bits(np.concatenate(halves), whole)


@pytest.mark.parametrize("n", [1, 40, 700])
def test_predict_of_anything_not_finite_is_none(isa, use_isa, dtype, n):
    use_isa(isa)
    net = Net([37, 40, 10], ["relu", "softmax"], dtype)
    x, _ = net.rows(n)
    want = net.model.predict(x, 1)
    for bad in (np.nan, np.inf, -np.inf):
        for row, column in [(0, 0), (n // 2, 17), (n - 1, 36)]:
            kept, x[row, column] = x[row, column], bad
            assert [net.model.predict(x, n_threads) for n_threads in (1, 3)] == [None, None]
            x[row, column] = kept
    assert same_bits(net.model.predict(x, 1), want)


def test_predict_and_evaluate_have_the_same_bits_on_any_number_of_threads(dtype):
    net = Net([64, 130, 40, 10], ["relu", "tanh", "softmax"], dtype)
    x, y = net.rows(1500, "cross_entropy")
    want = net.model.predict(x, 1), net.model.evaluate("cross_entropy", x, y, 1)
    for n_threads in all_threads():
        assert same_bits(net.model.predict(x, n_threads), want[0])
        assert net.model.evaluate("cross_entropy", x, y, n_threads) == want[1]


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS)
def test_gradients_and_evaluate_agree_with_reference(isa, use_isa, dtype, loss):
    use_isa(isa)
    parameter = PARAMETERS[loss]
    for activation, n in product(outputs_of(loss), (1, 8, 9, 300)):
        net = Net([9, 17, 12, 5], ["relu", "tanh", activation], dtype)
        x, y = net.rows(n, loss)
        before = net.digest()
        value, gradient, dx = gradients(net.model, loss, x, y, 2, True, parameter)
        assert net.digest() == before
        rows = x.astype(np.float64), y.astype(np.float64)
        want, pairs, want_dx = reference.gradients(*net.reference(), *rows, loss, parameter)
        assert value == pytest.approx(want, rel=RTOL[dtype])
        for i, (dw, db) in enumerate(pairs):
            close(gradient.weight(i), dw, RTOL[dtype])
            close(gradient.bias(i), db, RTOL[dtype])
        close(n * dx, n * want_dx, RTOL[dtype])
        assert gradients(net.model, loss, x, y, 2, False, parameter)[2] is None

        total, n_correct = net.model.evaluate(loss, x, y, 2, parameter)
        assert total == pytest.approx(n * want, rel=RTOL[dtype])
        assert n_correct == right_rows(loss, net.model.predict(x, 1), y).sum()


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS)
def test_gradients_agree_with_central_differences_of_the_loss(loss):
    """Of each output once; the reference's test has more, and the engine agrees with it."""
    for i, activation in enumerate(outputs_of(loss)):
        hidden = SLOPED[(i + LOSSES_OF_PAIRS.index(loss)) % len(SLOPED)]
        assert_central_differences(loss, activation, hidden)


def assert_central_differences(loss, activation, hidden):
    net = Net([3, 4, 5, 3], [hidden, "sigmoid", activation], seed=9)
    net.model.bias(0)[...] += 1  # so that no relu unit is dead in every row
    net.model.bias(2)[...] += 1
    (x, y), parameter = net.rows(9, loss), PARAMETERS[loss]
    _, gradient, dx = gradients(net.model, loss, x, y, 1, True, parameter)

    def slopes(array):
        found = np.empty(array.shape)
        for i in np.ndindex(array.shape):
            kept = array[i]
            array[i] = kept + DIFFERENCE
            above = net.model.evaluate(loss, x, y, 1, parameter)[0]
            array[i] = kept - DIFFERENCE
            below = net.model.evaluate(loss, x, y, 1, parameter)[0]
            array[i] = kept
            found[i] = (above - below) / (2 * DIFFERENCE * len(x))
        assert found.any()
        return found

    for i in net.layers:
        close(gradient.weight(i), slopes(net.model.weight(i)), DIFFERENCE_RTOL)
        close(gradient.bias(i), slopes(net.model.bias(i)), DIFFERENCE_RTOL)
    close(dx, slopes(x), DIFFERENCE_RTOL)


@pytest.mark.parametrize("loss", ["squared_error", "mse", "cross_entropy"])
def test_integer_labels_are_their_one_hot_rows_to_the_bit(dtype, loss):
    net = Net([9, 17, 5], ["tanh", "softmax"], dtype)
    x, one_hot = net.rows(300, "cross_entropy")
    labels = one_hot.argmax(axis=1).astype(np.int64)
    assert net.model.evaluate(loss, x, labels, 2) == net.model.evaluate(loss, x, one_hot, 2)
    got = gradients(net.model, loss, x, labels, 2, True)
    want = gradients(net.model, loss, x, one_hot, 2, True)
    assert got[0] == want[0]
    assert same_bits(got[1].arena, want[1].arena)
    assert same_bits(got[2], want[2])


def test_gradients_of_an_overflowing_loss_are_not_reported_as_zero(dtype):
    net = Net([3, 2], ["linear"], dtype)
    x, y = net.rows(4)
    net.model.weight(0)[...] = np.finfo(dtype).max / 2
    value, gradient, _ = gradients(net.model, "squared_error", 100 * abs(x), y, 1, False)
    assert not np.isfinite(value)
    assert not np.isfinite(gradient.arena).all()


def test_x_may_be_read_only_or_memory_mapped(dtype, tmp_path):
    net = Net([9, 17, 5], ["tanh", "softmax"], dtype)
    x, y = net.rows(40, "cross_entropy")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    frozen = x.copy()
    frozen.flags.writeable = False
    y_frozen = y.copy()
    y_frozen.flags.writeable = False
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y_mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    for other, other_y in [(frozen, y_frozen), (mapped, y_mapped)]:
        assert same_bits(net.model.predict(other, 1), net.model.predict(x, 1))
        got = gradients(net.model, "cross_entropy", other, other_y, 1, True)
        want = gradients(net.model, "cross_entropy", x, y, 1, True)
        assert got[0] == want[0]
        assert same_bits(got[1].arena, want[1].arena)


def test_parameters_are_views_of_one_aligned_zeroed_arena(dtype):
    model = Model(9, [17, 5], ["tanh", "softmax"], dtype)
    assert (model.n_inputs, model.n_outputs, model.dtype) == (9, 5, np.dtype(dtype))
    assert model.arena.ndim == 1
    assert model.arena.ctypes.data % 64 == 0
    assert not model.arena.any()
    shapes = [(9, 17), (17,), (17, 5), (5,)]
    views = [model.weight(0), model.bias(0), model.weight(1), model.bias(1)]
    assert [v.shape for v in views] == shapes
    for i, view in enumerate(views):
        assert view.dtype == dtype
        assert view.flags.writeable
        assert np.shares_memory(view, model.arena)
        assert view.strides[-1] == view.itemsize
        if view.ndim == 2:
            row = runtime.leading_dimension(view.shape[1], dtype) * view.itemsize
            assert view.strides[0] == row
        view[...] = i + 1
    for i, view in enumerate(views):
        assert (view == i + 1).all()  # no two of them overlap
    assert (model.arena != 0).sum() == sum(math.prod(s) for s in shapes)


def test_a_view_outlives_its_model(dtype):
    net = Net([9, 17, 5], ["tanh", "softmax"], dtype)
    view, want = net.model.weight(0), net.model.weight(0).copy()
    del net
    gc.collect()
    junk = [Model(9, [17, 5], ["tanh", "softmax"], dtype) for _ in range(5)]
    assert same_bits(np.ascontiguousarray(view), want)
    del junk
