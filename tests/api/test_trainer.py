"""Trainer: what fit, step and evaluate do to the network and report."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from training import N_CLASSES, N_INPUTS, classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp.training import fit

X, Y = classes()
N = len(X)


def regression(n=50):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 2))
    return x, np.sin(3 * x[:, :1]) * x[:, 1:]


def test_learns_classes():
    owner = trainer(batch_size=8)
    history = owner.fit(X, Y, epochs=60)
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] < history["loss"][0] / 2
    accuracy = np.mean(owner.network.predict(X).argmax(axis=1) == Y)
    assert owner.evaluate(X, Y)["accuracy"] == accuracy


def test_learns_a_function():
    network = fb.Network(2, [fb.Dense(16, "tanh"), fb.Dense(1)], seed=0)
    owner = trainer(network, "mse", batch_size=10)
    x, y = regression()
    before = owner.evaluate(x, y)["loss"]
    owner.fit(x, y, epochs=200)
    assert owner.evaluate(x, y)["loss"] < before / 20


def test_learns_xor_with_defaults_and_lists():
    network = fb.Network(2, [fb.Dense(8, "tanh"), fb.Dense(1, "sigmoid")], seed=0)
    owner = fb.Trainer(network, "binary_cross_entropy", fb.SGD(0.5, momentum=0.9), seed=0)
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    assert owner.fit(x, y, epochs=500)["accuracy"][-1] == 1
    assert np.array_equal(owner.network.predict(x).ravel() > 0.5, y)


def test_history_of_classification():
    owner = trainer()
    history = owner.fit(X, Y, epochs=3, validation_data=(X[:20], Y[:20]))
    keys = ["loss", "accuracy", "learning_rate", "seconds", "val_loss", "val_accuracy"]
    assert list(history) == keys
    assert all(len(history[key]) == 3 for key in keys)
    assert history is owner.history
    assert history["val_loss"][-1] == owner.evaluate(X[:20], Y[:20])["loss"]
    assert history["val_accuracy"][-1] == owner.evaluate(X[:20], Y[:20])["accuracy"]
    assert all(0 < s < 10 for s in history["seconds"])


def test_history_of_regression_has_no_accuracy():
    network = fb.Network(2, [fb.Dense(4, "tanh"), fb.Dense(1)], seed=0)
    history = trainer(network, "squared_error").fit(*regression())
    assert list(history) == ["loss", "learning_rate", "seconds"]


@pytest.mark.parametrize("batch_size", [1, 7, 16, 60, 1000, None])
def test_running_values_are_means_over_the_rows(batch_size):
    owner = trainer(optimizer=fb.SGD(0.0), batch_size=batch_size)
    before = owner.evaluate(X, Y)
    history = owner.fit(X, Y)
    assert history["loss"][0] == pytest.approx(before["loss"], rel=1e-6)
    assert history["accuracy"][0] == before["accuracy"]


@pytest.mark.parametrize("batch_size", [None, 60, 1000])
def test_full_batch_is_one_step(batch_size):
    stepped = trainer()
    loss = stepped.step(X, Y)
    owner = trainer(batch_size=batch_size)
    assert owner.fit(X, Y)["loss"] == [loss]
    assert owner.n_steps == 1
    assert parameters(owner.network) == parameters(stepped.network)


def test_batches_in_order_are_steps():
    stepped = trainer()
    losses = [stepped.step(X[i : i + 16], Y[i : i + 16]) for i in range(0, N, 16)]
    owner = trainer(shuffle=False)
    history = owner.fit(X, Y)
    assert parameters(owner.network) == parameters(stepped.network)
    assert owner.n_steps == stepped.n_steps == 4
    assert history["loss"][0] == pytest.approx(np.dot(losses, [16, 16, 16, 12]) / N, rel=1e-12)


@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_goes_on_where_it_ended(shuffle):
    whole, parts = trainer(shuffle=shuffle), trainer(shuffle=shuffle)
    whole.fit(X, Y, epochs=5)
    for epochs in (2, 1, 2):
        parts.fit(X, Y, epochs=epochs)
    assert parameters(parts.network) == parameters(whole.network)
    assert parts.history["loss"] == whole.history["loss"]
    assert parts.history.epochs == 5
    assert parts.n_steps == whole.n_steps == 20


def test_seeds():
    def trained(seed):
        owner = trainer(seed=seed)
        owner.fit(X, Y, epochs=2)
        return parameters(owner.network)

    assert trained(3) == trained(3)
    assert len({trained(3), trained(4), trained(None), trained(None)}) == 4


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(n_threads):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((512, 200)), rng.integers(0, 10, 512)
    layers = [fb.Dense(256, "relu"), fb.Dense(10, "softmax")]
    results = []
    for threads in (1, n_threads):
        network = fb.Network(200, layers, seed=0)
        owner = trainer(network, batch_size=128, n_threads=threads)
        owner.fit(x, y, epochs=2)
        results.append(parameters(network))
    assert results[0] == results[1]


def test_velocity_outlives_a_change_of_batch_size():
    owner = trainer(fb.Network(1, [fb.Dense(1)], dtype="float64", seed=0), "squared_error")
    layer = owner.network.layers[0]
    weight, velocity = layer.weight.item(), 0.0
    for rows in (1, 3, 2, 5, 1):
        x = np.linspace(1, 2, rows)[:, None]
        y = np.zeros((rows, 1))
        _, [(gradient, _)] = owner.network.gradients(x, y, "squared_error")
        owner.step(x, y)
        velocity = 0.9 * velocity + gradient.item()
        weight -= 0.1 * velocity
        assert layer.weight.item() == pytest.approx(weight, rel=1e-12)


def test_fit_and_step_share_velocity_and_steps():
    mixed, pure = trainer(batch_size=None), trainer(batch_size=None)
    mixed.fit(X, Y)
    mixed.step(X, Y)
    mixed.fit(X, Y)
    pure.fit(X, Y, epochs=3)
    assert parameters(mixed.network) == parameters(pure.network)
    assert mixed.n_steps == 3


def test_learning_rate_is_asked_for_every_step_once():
    asked = []

    def rate(step):
        asked.append(step)
        return 0.1 / (1 + step)

    owner = trainer(optimizer=fb.SGD(rate))
    owner.fit(X, Y, epochs=2)
    owner.step(X, Y)
    owner.fit(X, Y)
    assert asked == list(range(13))
    assert owner.history["learning_rate"] == [0.1 / 4, 0.1 / 8, 0.1 / 13]


def test_optimizer_may_change_between_calls():
    owner = trainer()
    owner.fit(X, Y)
    owner.optimizer.learning_rate = 0.0
    before = parameters(owner.network)
    owner.fit(X, Y)
    assert parameters(owner.network) == before
    owner.optimizer = fb.SGD(0.1)
    owner.fit(X, Y)
    assert parameters(owner.network) != before
    assert owner.history["learning_rate"] == [0.1, 0.0, 0.1]


def test_regions_grow_and_shrink_with_time():
    assert fit._next_region(1, 1, 1e-7) == fit.REGION_GROWTH
    assert fit._next_region(1000, 1000, 0.1) == 500
    assert fit._next_region(1, 1, 3.0) == 1
    assert fit._next_region(100, 3, 0.0) == 100 * fit.REGION_GROWTH


def test_the_rows_are_let_go():
    owner = trainer()
    x, y = X.copy(), Y.copy()
    owner.fit(x, y)
    alive = weakref.ref(x)
    del x, y
    gc.collect()
    assert alive() is None


def test_classes_for_a_regression_loss():
    layers = [fb.Dense(6, "sigmoid"), fb.Dense(N_CLASSES, "sigmoid")]
    network = fb.Network(N_INPUTS, layers, seed=0)
    assert "accuracy" in trainer(network, "squared_error").fit(X, Y)


def test_float64_networks():
    owner = trainer(classifier(dtype="float64"))
    owner.fit(X, Y, epochs=2)
    assert owner.network.layers[0].weight.dtype == np.float64


def test_evaluate_changes_nothing():
    owner = trainer()
    owner.fit(X, Y)
    before = state(owner)
    owner.evaluate(X, Y)
    assert state(owner) == before


def test_repr():
    assert repr(trainer(l2=1e-4)).endswith("SGD(0.1, momentum=0.9), batch_size=16, l2=0.0001)")
