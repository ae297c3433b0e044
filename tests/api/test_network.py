"""Network: what it computes, and its copies, without training."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from training import classes, classifier, parameters

import fastbp as fb
from fastbp import errors

X, Y = classes()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def worked_example():
    """The 1-2-1 sigmoid network of the lectures: y = sigmoid(y1/2 + y2/2 + 1/4)."""
    network = fb.Network(1, [fb.Dense(2, "sigmoid"), fb.Dense(1, "sigmoid")], dtype="float64")
    hidden, output = network.layers
    hidden.weight, hidden.bias = [[0.5, 1.0]], [1.0, 0.5]
    output.weight, output.bias = [[0.5], [0.5]], [0.25]
    return network


@pytest.mark.parametrize("x", [-2.0, 0.0, 0.7, 3.0])
def test_worked_example_forward(x):
    y1, y2 = sigmoid(0.5 * x + 1), sigmoid(x + 0.5)
    hidden, output = worked_example().activations([[x]])
    assert hidden[0] == pytest.approx([y1, y2], rel=1e-14)
    assert output.item() == pytest.approx(sigmoid(0.5 * y1 + 0.5 * y2 + 0.25), rel=1e-14)


@pytest.mark.parametrize(("x", "t"), [(-2.0, 1.0), (0.7, 0.0), (3.0, 0.5)])
def test_worked_example_gradients(x, t):
    y1, y2 = sigmoid(0.5 * x + 1), sigmoid(x + 0.5)
    y = sigmoid(0.5 * y1 + 0.5 * y2 + 0.25)
    delta = (y - t) * y * (1 - y)
    delta1, delta2 = 0.5 * delta * y1 * (1 - y1), 0.5 * delta * y2 * (1 - y2)
    result = worked_example().gradients([[x]], [t], "squared_error", inputs=True)
    loss, [(dw_hidden, db_hidden), (dw_output, db_output)], dx = result
    assert loss == pytest.approx(0.5 * (y - t) ** 2, rel=1e-14)
    assert dw_output.ravel() == pytest.approx([delta * y1, delta * y2], rel=1e-13)
    assert db_output.item() == pytest.approx(delta, rel=1e-13)
    assert dw_hidden.ravel() == pytest.approx([delta1 * x, delta2 * x], rel=1e-13)
    assert db_hidden == pytest.approx([delta1, delta2], rel=1e-13)
    assert dx.item() == pytest.approx(0.5 * delta1 + 1.0 * delta2, rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32")])
def test_shapes_and_dtypes(dtype):
    network = fb.Network(5, [fb.Dense(7, "relu"), fb.Dense(3, "softmax")], dtype=dtype, seed=0)
    assert (network.n_inputs, network.n_outputs) == (5, 3)
    assert network.dtype == np.dtype(dtype)
    assert network.n_parameters == 5 * 7 + 7 + 7 * 3 + 3
    outputs = network.predict(X)
    assert outputs.shape == (len(X), 3)
    assert outputs.dtype == network.dtype
    assert [a.shape for a in network.activations(X)] == [(len(X), 7), (len(X), 3)]
    assert outputs.sum(axis=1) == pytest.approx(np.ones(len(X)), abs=1e-5)


def test_a_row_does_not_depend_on_its_neighbours():
    network = classifier()
    together = network.predict(X)
    assert all(network.predict(X[i : i + 1]).tobytes() == together[i].tobytes() for i in range(60))
    assert network.activations(X)[-1].tobytes() == together.tobytes()


def test_predictions_are_the_callers_own():
    network = classifier()
    first = network.predict(X)
    kept = first.copy()
    network.predict(-X)
    assert np.array_equal(first, kept)


def test_many_threads_may_predict():
    network = classifier()
    wanted = network.predict(X).tobytes()
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: network.predict(X).tobytes(), range(64))
    assert set(results) == {wanted}


def test_gradients_change_nothing_and_come_in_pairs():
    network = classifier()
    before = parameters(network)
    loss, pairs = network.gradients(X, Y, "cross_entropy")
    assert loss == pytest.approx(fb.Trainer(network, "cross_entropy").evaluate(X, Y)["loss"])
    for layer, (dw, db) in zip(network.layers, pairs, strict=True):
        assert dw.shape == layer.weight.shape
        assert db.shape == layer.bias.shape
        assert dw.any()
    assert parameters(network) == before


def test_input_gradient_by_central_differences():
    network = classifier(dtype="float64")
    x, y, eps = X[:4].astype(float), Y[:4], 1e-6
    _, _, dx = network.gradients(x, y, "cross_entropy", inputs=True)
    trainer = fb.Trainer(network, "cross_entropy")
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        upper, lower = (trainer.evaluate(x + s, y)["loss"] for s in (step, -step))
        assert dx[index] == pytest.approx((upper - lower) / (2 * eps), rel=1e-5, abs=1e-9)


def test_gradients_options_are_checked():
    with pytest.raises(errors.ConfigError, match="inputs"):
        classifier().gradients(X, Y, "cross_entropy", inputs=1)
    with pytest.raises(errors.ConfigError, match="loss"):
        classifier().gradients(X, Y, "binary_cross_entropy")


def twins():
    network = classifier()
    network.metadata["classes"] = "a,b,c"
    return {
        "copy": (network, network.copy()),
        "copy.copy": (network, copy.copy(network)),
        "copy.deepcopy": (network, copy.deepcopy(network)),
        "pickle": (network, pickle.loads(pickle.dumps(network))),
    }


@pytest.mark.parametrize("way", ["copy", "copy.copy", "copy.deepcopy", "pickle"])
def test_copies_are_equal_and_independent(way):
    network, twin = twins()[way]
    assert parameters(twin) == parameters(network)
    assert repr(twin) == repr(network)
    assert twin.metadata == network.metadata
    before = parameters(network)
    twin.layers[0].weight[...] = 0
    twin.metadata["classes"] = ""
    assert parameters(network) == before
    assert network.metadata["classes"] == "a,b,c"
    assert parameters(twin) != before


def test_copy_in_another_dtype():
    network = classifier()
    twin = network.copy("float64")
    assert twin.dtype == np.float64
    assert np.array_equal(twin.layers[0].weight, network.layers[0].weight)
    assert parameters(twin.copy("float32")) == parameters(network)
    with pytest.raises(errors.ConfigError, match="dtype"):
        network.copy("int8")


def test_summary_and_repr():
    network = fb.Network(784, [fb.Dense(128, "relu"), fb.Dense(10, "softmax")])
    lines = network.summary().splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["0", "784", "x", "128", "relu", "100,480"],
        ["1", "128", "x", "10", "softmax", "1,290"],
        ["float32", "101,770"],
    ]
    assert len({len(line) for line in lines}) == 1
    wanted = "Network(784, [Dense(128, 'relu'), Dense(10, 'softmax')], dtype='float32')"
    assert repr(network) == wanted


@pytest.mark.parametrize("width", [2**31 - 1, 2**25])
def test_a_network_beyond_memory(width):
    with pytest.raises(MemoryError, match="weights"):
        fb.Network(width, [fb.Dense(width)])
