"""Maxout, Gated and Residual: values, gradients and steps."""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import STACKS, described, network, rows, twin
from networks import digest

import fastbp as fb
from fastbp import reference

TOLERANCE = 1e-6  # of gradient_check, float64
WEIGHTS = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5]


@pytest.mark.parametrize("name", list(STACKS))
def test_values_and_gradients_are_those_of_the_reference(name):
    for n in (1, 2, 8, 9, 70, 300):
        assert_reference(network(name), n)


def assert_reference(net, n):
    x, y = rows(net, n)
    want, want_pairs, want_dx = twin(net, x, y)
    np.testing.assert_allclose(net.predict(x), want, rtol=0, atol=1e-12)
    loss, pairs, dx = net.gradients(x, y, "mse", inputs=True)
    assert loss == pytest.approx(np.mean((want - y) ** 2), rel=1e-12)
    assert len(pairs) == len(want_pairs) == len(net.weighted_layers)
    for got, wanted, layer in zip(pairs, want_pairs, net.weighted_layers, strict=True):
        assert got[0].shape == layer.weight.shape
        assert got[1].shape == layer.bias.shape
        np.testing.assert_allclose(got[0], wanted[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(got[1], wanted[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(STACKS))
def test_gradient_check(name):
    net = network(name)
    check = fb.gradient_check(net, *rows(net), "mse", tolerance=TOLERANCE)
    assert check.passed, str(check)
    assert len(check.layers) == len(net.weighted_layers)


@pytest.mark.parametrize("name", list(STACKS))
def test_gradient_check_with_penalties_and_weights_of_rows(name):
    net = network(name)
    options = {"l1": 0.003, "l2": 0.01, "penalize_bias": True, "sample_weight": WEIGHTS}
    check = fb.gradient_check(net, *rows(net), "mse", tolerance=TOLERANCE, **options)
    assert check.passed, str(check)


def squares(outputs, targets):
    difference = outputs - targets
    return (difference**2).sum(axis=1), 2 * difference


@pytest.mark.parametrize("loss", ["huber", "hinge", squares])
def test_gates_as_outputs_take_any_loss_of_linear_outputs(loss):
    net = fb.Network(4, [fb.Residual([fb.Maxout(4), fb.Gated(1)])], dtype="float64", seed=1)
    x, y = rows(net)
    y = np.sign(y)
    assert fb.gradient_check(net, x, y, loss, tolerance=TOLERANCE).passed
    trainer = fb.Trainer(net, loss, fb.SGD(0.05), batch_size=3, seed=0)
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=40)
    assert trainer.evaluate(x, y)["loss"] < 0.8 * before


@pytest.mark.parametrize("name", list(STACKS))
def test_no_kink_is_near(name, monkeypatch):
    """Of all maxouts in the rows of the check: no two pieces closer than a step moves them."""
    gaps = []
    original = reference.maxout

    def noted(z):
        ordered = np.sort(z, axis=1)
        gaps.append((ordered[:, 1:] - ordered[:, :-1])[:, -1].min())
        return original(z)

    monkeypatch.setattr("fastbp.reference.gates.maxout", noted)
    net = network(name)
    twin(net, *rows(net))
    assert all(gap > 1e-4 for gap in gaps)
    assert gaps or "maxout" not in repr(STACKS[name]).lower()


def test_the_gates_of_the_lectures():
    """f = (x + y) z at (-2, 5, -4): f = -12, and the gradient is (-4, -4, 3)."""
    net = fb.Network(3, [fb.Gated(1, gate="linear")], dtype="float64", seed=0)
    net.layers[0].weight = np.array([[[1], [0]], [[1], [0]], [[0], [1]]])
    x, y = [[-2.0, 5.0, -4.0]], [[-13.0]]  # half of a squared error whose slope is 1
    assert net.predict(x).tolist() == [[-12]]
    _, _, dx = net.gradients(x, y, "squared_error", inputs=True)
    assert dx.tolist() == [[-4, -4, 3]]


@pytest.mark.parametrize("optimizer", [fb.SGD(0.05, momentum=0.5), fb.Adam(0.01)])
@pytest.mark.parametrize("batch_size", [1, 7, 32, None])
def test_training_lowers_the_loss(optimizer, batch_size):
    net = network("depth 3", "float32")
    x, _ = rows(net, 64)
    y = np.sin(x[:, :3])
    trainer = fb.Trainer(net, "mse", optimizer, batch_size=batch_size, seed=1)
    before = trainer.evaluate(x, y)["loss"]
    trainer.fit(x, y, epochs=30)
    assert trainer.evaluate(x, y)["loss"] < 0.6 * before


def test_padding_between_the_pieces_stays_zero():
    net = network("projection", "float32")
    x, y = rows(net, 40)
    fb.Trainer(net, "mse", fb.Adam(0.01), batch_size=8, l2=0.1).fit(x, y, epochs=3)
    used = sum(array.size for layer in net.weighted_layers for array in (layer.weight, layer.bias))
    assert np.count_nonzero(net._model.arena) == used == net.n_parameters


def test_a_row_depends_on_no_other_row():
    net = network("depth 4", "float32")
    x, _ = rows(net, 300)
    whole = net.predict(x)
    assert all(np.array_equal(net.predict(x[i : i + 1])[0], whole[i]) for i in (0, 1, 127, 299))


def test_activations_are_those_of_the_networks_layers():
    net = network("depth 2")
    x, _ = rows(net)
    outputs = net.activations(x)
    assert [out.shape[1] for out in outputs] == [layer.units for layer in net.layers]
    for i, out in enumerate(outputs):
        want, _ = reference.stack(x, [described(layer) for layer in net.layers[: i + 1]])
        np.testing.assert_allclose(out, want, rtol=0, atol=1e-12)


def test_dropout_inside_a_residual_drops_in_steps_alone():
    layers = [fb.Residual([fb.Dense(5, "tanh", dropout=0.5), fb.Dense(5)]), fb.Dense(3)]
    net = fb.Network(5, layers, seed=0)
    x, y = rows(net, 32)
    found = set()
    for seed in (0, 0, 1):
        one = net.copy()
        fb.Trainer(one, "mse", fb.SGD(0.1), batch_size=32, seed=seed).fit(x, y, epochs=1)
        found.add(digest(one._model.arena))
    assert len(found) == 2
    assert np.array_equal(net.predict(x), net.predict(x))
