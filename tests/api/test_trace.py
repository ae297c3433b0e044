"""net.trace: the numbers are those of gradients, activations and the NumPy twin, and the table."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors, reference

N_INPUTS, HIDDEN, N_OUTPUTS = 4, 5, 3


def network(hidden="tanh", output="linear", dtype="float64", n_outputs=N_OUTPUTS):
    bias = fb.initializers.Normal(0.5)
    layers = [
        fb.Dense(HIDDEN, hidden, bias_init=bias),
        fb.Dense(HIDDEN, "sigmoid", bias_init=bias),
        fb.Dense(n_outputs, output, bias_init=bias),
    ]
    return fb.Network(N_INPUTS, layers, dtype=dtype, seed=2)


X = np.array([0.5, -1.25, 2.0, 0.125])
Y = np.array([0.25, 0.5, 0.25])


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        ("squared_error", "linear"),
        ("mse", "tanh"),
        ("mse", "softmax"),
        ("cross_entropy", "softmax"),
        ("binary_cross_entropy", "sigmoid"),
    ],
)
def test_the_numbers_are_those_of_gradients_and_activations(loss, output, dtype):
    net = network(output=output, dtype=dtype)
    trace = net.trace(X, Y, loss)
    value, gradients, dx = net.gradients(X[None], Y[None], loss, inputs=True)
    outputs = net.activations(X[None])
    assert (trace.loss_name, trace.loss) == (loss, value)
    assert np.array_equal(trace.dx, dx[0])
    assert np.array_equal(trace.target, Y.astype(dtype))
    below = X.astype(dtype)
    for row, (dw, db), y in zip(trace.layers, gradients, outputs, strict=True):
        assert np.array_equal(row.x, below)
        assert np.array_equal(row.y, y[0])
        assert np.array_equal(row.dW, dw)
        assert np.array_equal(row.db, db)
        assert np.array_equal(row.delta, db)
        assert row.u.shape == row.y.shape
        below = row.y


@pytest.mark.parametrize("hidden", ["linear", "sigmoid", "tanh", "relu", "softmax"])
def test_u_and_delta_against_the_twin(hidden):
    net = network(hidden, "tanh")
    trace = net.trace(X, Y, "squared_error")
    weights, biases = [v.weight for v in net.layers], [v.bias for v in net.layers]
    functions = [layer.activation for layer in net.layers]
    rows, target = X[None], Y[None]
    _, inputs, deltas = reference.backward(
        weights, biases, functions, rows, target, "squared_error"
    )
    np.testing.assert_allclose(trace.dx, deltas[0][0], rtol=1e-12, atol=1e-14)
    for i, row in enumerate(trace.layers):
        u = inputs[i] @ weights[i] + biases[i]
        np.testing.assert_allclose(row.u, u[0], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(row.delta, deltas[i + 1][0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(row.dW, np.outer(row.x, row.delta), rtol=1e-15)


def test_u_is_the_output_where_the_layer_is_linear(dtype):
    row = network("linear", "linear", dtype).trace(X, Y, "mse").layers[0]
    assert np.array_equal(row.u, row.y)  # to the last bit: the engine's own order of summation


def test_softmax_with_cross_entropy_has_the_delta_p_minus_t():
    trace = network(output="softmax").trace(X, Y, "cross_entropy")
    np.testing.assert_allclose(trace.layers[-1].delta, trace.layers[-1].y - Y, atol=1e-15)
    assert trace.loss == pytest.approx(-sum(Y * np.log(trace.layers[-1].y)), rel=1e-13)


def test_a_class_is_its_one_hot_row():
    net = network(output="softmax")
    traces = [net.trace(X, y, "cross_entropy") for y in (2, [2], [0, 0, 1], [[0, 0, 1]])]
    for trace in traces:
        assert trace.target.tolist() == [0, 0, 1]
        assert trace.loss == traces[0].loss
        assert np.array_equal(trace.layers[0].dW, traces[0].layers[0].dW)


def test_one_input_and_one_output_may_be_plain_numbers():
    net = fb.Network(1, [fb.Dense(1, "sigmoid")], dtype="float64")
    net.layers[0].weight, net.layers[0].bias = [[2.0]], [0.5]
    trace = net.trace(0.25, 1, "squared_error")
    y = 1 / (1 + math.exp(-1))
    assert trace.layers[0].u.tolist() == [1.0]
    assert trace.layers[0].y[0] == pytest.approx(y, rel=1e-15)
    assert trace.layers[0].delta[0] == pytest.approx((y - 1) * y * (1 - y), rel=1e-14)
    assert trace.dx[0] == pytest.approx(2 * (y - 1) * y * (1 - y), rel=1e-14)


def test_the_network_stays_as_it_is_and_the_trace_as_it_was():
    net = network()
    before = [layer.weight.copy() for layer in net.layers]
    trace = net.trace(X, Y, "mse")
    kept = trace.layers[0].dW.copy()
    assert all(map(np.array_equal, before, [layer.weight for layer in net.layers]))
    net.layers[0].weight *= 2
    net.trace(X, Y, "mse")
    assert np.array_equal(trace.layers[0].dW, kept)


@pytest.mark.parametrize("ahead", [fb.preprocess.Standardize(), fb.preprocess.PCA(3)])
def test_a_map_ahead_comes_before_the_first_layer(ahead, dtype, rng):
    rows = rng.standard_normal((20, N_INPUTS)) * 3 + 1
    ahead.fit(rows)
    net = fb.Network(N_INPUTS, [fb.Dense(3, "linear")], dtype, seed=2, preprocessing=ahead)
    trace = net.trace(rows[0], Y, "mse")
    row = trace.layers[0]
    assert np.array_equal(trace.x, rows[0].astype(dtype))
    assert np.array_equal(row.x, ahead.transform(rows[:1])[0].astype(dtype))
    assert np.array_equal(row.u, row.y)
    assert np.array_equal(row.y, net.predict(rows[:1])[0])
    assert trace.dx.shape == (N_INPUTS,)
    lines = table(trace)
    assert lines[6] == ["preprocessed"]
    assert lines[7] == ["input", "x'"]
    assert lines[8] == ["0", f"{row.x[0]:.6f}"]
    assert lines[8 + ahead.n_outputs][:2] == ["layer", "0:"]


@pytest.mark.parametrize(
    ("x", "y", "error", "match"),
    [
        ([X, X], Y, errors.ShapeError, r"x: got shape \(2, 4\), wanted one example: \(4,\) or"),
        (X[:3], Y, errors.ShapeError, r"x: got shape \(3,\), wanted one example"),
        (1.0, Y, errors.ShapeError, r"x: got shape \(\), wanted one example"),
        ([X[None]], Y, errors.ShapeError, r"x: got shape \(1, 1, 4\), wanted one example"),
        (X, Y[:2], errors.ShapeError, r"y: got shape \(2,\), wanted one example: .* or its class"),
        (X, [Y, Y], errors.ShapeError, r"y: got shape \(2, 3\), wanted one example"),
        (X, [[1], [2, 3]], errors.ShapeError, "y: got rows of different lengths"),
        (X, 3, errors.LabelError, "y: got class 3"),
        (X, 0.5, errors.LabelError, "y: got the label 0.5 in row 0, wanted classes"),
        ([*X[:3], np.nan], Y, errors.InputError, "x: got nan"),
        (["a"] * 4, Y, errors.DTypeError, "x: got dtype"),
    ],
)
def test_what_is_not_one_example(x, y, error, match):
    with pytest.raises(error, match=match):
        network(output="softmax").trace(x, y, "cross_entropy")


def test_unknown_loss():
    with pytest.raises(errors.ConfigError, match="loss: got 'squared'"):
        network().trace(X, Y, "squared")


def table(trace):
    return [line.split() for line in str(trace).splitlines()]


def test_str_is_a_table():
    trace = network().trace(X, Y, "mse")
    lines = str(trace).splitlines()
    assert lines[0] == f"one example: mse = {trace.loss:.6g}"
    assert lines[1].split() == ["input", "x", "dL/dx"]
    assert lines[3].split() == ["1", "-1.250000", f"{trace.dx[1]:.6f}"]
    assert lines[6] == "layer 0: Dense(5, 'tanh')"
    gradients = [f"dW[{i}]" for i in range(4)]
    assert lines[7].split() == ["unit", "u", "y", "delta", "db", *gradients]
    assert lines[21] == "layer 2: Dense(3, 'linear')"
    assert lines[22].split() == ["unit", "u", "y", "target", "delta", "db", *gradients]
    # Titles, headers, a line per input and unit, and one for the dW[4] of layers 1 and 2.
    assert len(lines) == 1 + (1 + 4) + 2 * (2 + 5) + (2 + 3) + 2
    assert lines[23].split()[:4] == [
        "0", f"{trace.layers[2].u[0]:.6f}", f"{trace.layers[2].y[0]:.6f}", "0.250000"
    ]  # fmt: skip
    assert lines[20].strip() == lines[26].strip() == "(and dW[4])"


def test_wide_layers_show_their_first_units():
    net = fb.Network(100, [fb.Dense(30, "relu"), fb.Dense(2, "softmax")], seed=0)
    text = str(net.trace(np.ones(100), 1, "cross_entropy"))
    assert "(90 more inputs)" in text
    assert "(20 more units)" in text
    assert "(and dW[4] to dW[99])" in text
    assert len(text.splitlines()) < 40


def test_small_and_large_numbers_keep_their_digits():
    net = fb.Network(1, [fb.Dense(1)], dtype="float64")
    net.layers[0].weight, net.layers[0].bias = [[1e-6]], [0.0]
    lines = table(net.trace(2e7, 0, "squared_error"))
    assert lines[2][1] == "2.0000e+07"
    assert lines[2][2] == "2.0000e-05"
