"""Penalties of a trainer: their slopes, and what they do."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier, trainer

import fastbp as fb

X, Y = classes()


def test_reported_losses_leave_the_penalty_out():
    plain, penalised = (trainer(optimizer=fb.SGD(0.0), l2=l2) for l2 in (0.0, 10.0))
    assert plain.fit(X, Y)["loss"] == penalised.fit(X, Y)["loss"]
    assert plain.evaluate(X, Y) == penalised.evaluate(X, Y)


@pytest.mark.parametrize("rows", [4, 60])
@pytest.mark.parametrize("penalize_bias", [False, True])
def test_a_step_takes_the_slope_of_the_penalties(rows, penalize_bias):
    network = classifier(dtype="float64")
    network.layers[0].bias[...] = 1
    network.layers[0].weight[2, 3] = network.layers[1].bias[1] = 0
    before = [(layer.weight.copy(), layer.bias.copy()) for layer in network.layers]
    _, pairs = network.gradients(X[:rows], Y[:rows], "cross_entropy")
    options = {"l1": 0.03, "l2": 0.05, "penalize_bias": penalize_bias}
    trainer(network, optimizer=fb.SGD(0.1), **options).step(X[:rows], Y[:rows])
    for layer, (weight, bias), (dw, db) in zip(network.layers, before, pairs, strict=True):
        slope = dw + 0.1 * weight + 0.03 * np.sign(weight)
        np.testing.assert_allclose(layer.weight, weight - 0.1 * slope, rtol=0, atol=1e-12)
        slope = db + penalize_bias * (0.1 * bias + 0.03 * np.sign(bias))
        np.testing.assert_allclose(layer.bias, bias - 0.1 * slope, rtol=0, atol=1e-12)


def test_l1_makes_weights_small_that_nothing_needs():
    x = np.random.default_rng(0).standard_normal((200, 4))
    network = fb.Network(4, [fb.Dense(1)], dtype="float64", seed=0)
    owner = trainer(network, "mse", optimizer=fb.SGD(0.01), l1=0.2, batch_size=None)
    owner.fit(x, 3 * x[:, :1], epochs=1000)
    weight = abs(network.layers[0].weight.ravel())
    assert weight[0] == pytest.approx(2.9, abs=0.03)  # d/dw ((w - 3)^2 + 0.2 w) = 0
    assert (weight[1:] < 0.01).all()


@pytest.mark.parametrize("penalty", [{"l1": 0.1}, {"l2": 0.1}])
def test_weights_of_inputs_that_are_always_zero_shrink_too(penalty):
    """Streaming leaves such weights out, unless something else than the gradient moves them."""
    network = fb.Network(64, [fb.Dense(40, "relu"), fb.Dense(3, "softmax")], seed=0)
    before = network.layers[0].weight.copy()
    x = np.zeros((64, 64), np.float32)
    x[:, :5] = 1
    trainer(network, optimizer=fb.SGD(0.01), batch_size=2, **penalty).fit(x, np.arange(64) % 3)
    before, after = before[5:], network.layers[0].weight[5:]
    large = abs(before) > 0.1  # small weights go to and fro over zero with l1
    assert large.sum() > 1000
    shrunk = abs(before) - 32 * 0.001 if "l1" in penalty else abs(before) * 0.998**32
    np.testing.assert_allclose(abs(after)[large], shrunk[large], rtol=1e-5)


def test_repr():
    assert repr(trainer(l1=0.5, penalize_bias=True)).endswith("l1=0.5, penalize_bias=True)")
