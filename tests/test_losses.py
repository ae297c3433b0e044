"""The table of losses against the engine's, and what a loss asks of the network."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import _runtime, errors, losses


def test_table_has_the_losses_of_the_engine():
    assert list(losses.LOSSES) == list(_runtime.LOSSES)
    assert all(name == loss.name for name, loss in losses.LOSSES.items())


@pytest.mark.parametrize("name", ["crossentropy", "MSE", "", None, 2])
def test_unknown_names_list_the_known(name):
    with pytest.raises(errors.ConfigError, match=r"loss: got .* squared_error, mse, cross_entropy"):
        losses.resolve(name, "softmax", 3)


@pytest.mark.parametrize("activation", list(_runtime.ACTIVATIONS))
@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_output_activation(name, activation):
    needed = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}.get(name)
    if needed in (None, activation):
        assert losses.resolve(name, activation, 3).name == name
        return
    with pytest.raises(errors.ConfigError, match=rf"wanted a {needed} one: Dense\(3, '{needed}'\)"):
        losses.resolve(name, activation, 3)


def test_softmax_of_one_output_is_refused():
    with pytest.raises(errors.ConfigError, match="binary_cross_entropy"):
        losses.resolve("cross_entropy", "softmax", 1)


def by_hand(name, y, t):
    """The loss of one row, from its definition."""
    return {
        "squared_error": lambda: 0.5 * np.sum((y - t) ** 2),
        "mse": lambda: np.mean((y - t) ** 2),
        "cross_entropy": lambda: -np.sum(t * np.log(y)),
        "binary_cross_entropy": lambda: -np.sum(t * np.log(y) + (1 - t) * np.log(1 - y)),
    }[name]()


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_value_is_the_mean_over_rows(name):
    last = losses.LOSSES[name].output_activation or "tanh"
    network = fb.Network(4, [fb.Dense(3, last)], dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((6, 4)), rng.dirichlet([1, 1, 1], 6)
    rows = [by_hand(name, y, row) for y, row in zip(network.predict(x), t, strict=True)]
    assert fb.Trainer(network, name).evaluate(x, t)["loss"] == pytest.approx(np.mean(rows), 1e-12)


@pytest.mark.parametrize("name", ["squared_error", "mse", "cross_entropy", "binary_cross_entropy"])
def test_classes_are_one_hot_targets(name):
    last = losses.LOSSES[name].output_activation or "linear"
    network = fb.Network(4, [fb.Dense(3, last)], seed=0)
    rng = np.random.default_rng(2)
    x, classes = rng.standard_normal((9, 4)), rng.integers(0, 3, 9)
    one_hot = np.eye(3)[classes]
    loss, pairs = network.gradients(x, classes, name)
    same_loss, same_pairs = network.gradients(x, one_hot, name)
    assert loss == same_loss
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(pairs, same_pairs, strict=True))
    assert "accuracy" in fb.Trainer(network, name).evaluate(x, classes)


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_accuracy_of_targets_only_in_classification(name):
    last = losses.LOSSES[name].output_activation or "linear"
    network = fb.Network(4, [fb.Dense(3, last)], seed=0)
    x = np.random.default_rng(3).standard_normal((9, 4))
    measured = fb.Trainer(network, name).evaluate(x, np.eye(3)[np.arange(9) % 3])
    assert ("accuracy" in measured) == ("entropy" in name)
    if "accuracy" in measured:
        hits = network.predict(x).argmax(axis=1) == np.arange(9) % 3
        assert measured["accuracy"] == hits.mean()
