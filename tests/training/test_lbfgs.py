"""L-BFGS: the minimum that SciPy finds on its own, and what holds for a `Trainer` with it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.optimize
from training import assert_refuses

import fastbp as fb
from fastbp import errors

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = (np.sin(X[:, 0]) + X[:, 1] ** 2)[:, None]
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
W = RNG.random(60) + 0.5
CASES = {
    "squared_error": (1, "linear", Y),
    "cross_entropy": (3, "softmax", LABELS),
    "huber": (1, "linear", Y),
}


def net(loss="squared_error", dtype="float64", **options):
    units, activation, _ = CASES[loss]
    return fb.Network(4, [fb.Dense(8, "tanh", **options), fb.Dense(units, activation)], dtype, 0)


def owner(loss="squared_error", network=None, **options):
    options = {"optimizer": fb.LBFGS(1e-8), "batch_size": None, "l2": 1e-3, **options}
    return fb.Trainer(network or net(loss), loss, **options)


@pytest.mark.parametrize("loss", CASES)
def test_it_finds_the_minimum_of_loss_and_penalty(loss):
    """Of a convex problem SciPy finds the same with the gradient of `Network.gradients`."""
    units, activation, y = CASES[loss]
    network = fb.Network(4, [fb.Dense(units, activation)], "float64", seed=0)
    twin = network.copy()

    def value(flat):
        twin.parameters = flat
        found, ((dw, db),) = twin.gradients(X, y, loss, sample_weight=W)
        w = twin.layers[0].weight
        return found + 1e-2 * (w**2).sum(), np.concatenate([(dw + 2e-2 * w).ravel(), db])

    wanted = scipy.optimize.minimize(value, network.parameters, jac=True, tol=1e-12)
    trainer = owner(loss, network, l2=1e-2)
    history = trainer.fit(X, y, 200, sample_weight=W)
    assert (history.stopped, trainer.optimizer.converged) == ("converged", True)
    penalty = 1e-2 * (network.layers[0].weight ** 2).sum()
    assert history["loss"][-1] + penalty == pytest.approx(wanted.fun, rel=1e-9)
    assert network.parameters == pytest.approx(wanted.x, abs=2e-4)


def test_what_is_reported_is_of_the_weights_it_ends_with():
    trainer = owner("cross_entropy", metrics=["f1"])
    history = trainer.fit(X, LABELS, 7, validation_data=(X, LABELS))
    found = trainer.evaluate(X, LABELS)
    assert history.epochs == trainer.n_steps == 7
    assert not trainer.optimizer.converged
    for name, value in found.items():
        assert history[f"val_{name}"][-1] == value
    assert (history["loss"][-1], history["accuracy"][-1]) == (found["loss"], found["accuracy"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads(dtype):
    found = set()
    for n in (1, 2, 3):
        network = net(dtype=dtype)
        owner(network=network, n_threads=n).fit(X, Y, 30)
        found.add(network.parameters.tobytes())
    assert len(found) == 1


def test_frozen_layers_stay():
    network = net(trainable=False)
    before, last = network.layers[0].weight.copy(), network.layers[1].weight.copy()
    owner(network=network).fit(X, Y, 5)
    assert np.array_equal(network.layers[0].weight, before)
    assert not np.array_equal(network.layers[1].weight, last)


@pytest.mark.parametrize(
    ("rule", "epochs"),
    [
        (lambda: fb.TargetLoss(0.2), None),
        (lambda: fb.EarlyStopping(2, "loss", 0.3), None),
        (lambda: lambda trainer, history: history.epochs == 3, 3),
    ],
)
def test_callbacks_stop_it(rule, epochs):
    history = owner().fit(X, Y, 100, callbacks=[rule()])
    assert 1 < history.epochs < 50
    assert history.stopped != "converged"
    assert epochs in (None, history.epochs)


def test_the_best_weights_are_restored():
    rng = np.random.default_rng(1)
    network = fb.Network(4, [fb.Dense(40, "tanh"), fb.Dense(1)], "float64", seed=0)
    trainer, held = owner(network=network, l2=0.0), (X[40:], Y[40:] + rng.normal(size=(20, 1)))
    history = trainer.fit(X[:40], Y[:40], 60, held, [fb.EarlyStopping(60, "val_loss")])
    assert min(history["val_loss"]) < history["val_loss"][-1]
    assert trainer.evaluate(*held)["loss"] == min(history["val_loss"])


def test_evaluations_are_limited():
    trainer = owner(optimizer=fb.LBFGS(0.0, max_evaluations=5))
    assert trainer.fit(X, Y, 100).stopped == "5 evaluations are over"


def test_an_error_leaves_the_weights_of_the_last_iteration():
    network, seen = net(), []

    def fails(trainer, history):
        seen.append(trainer.network.parameters)
        if history.epochs == 4:
            raise RuntimeError("mine")

    trainer = owner(network=network)
    with pytest.raises(RuntimeError, match="mine"):
        trainer.fit(X, Y, 9, callbacks=[fails])
    assert np.array_equal(network.parameters, seen[-1])
    assert trainer.fit(X, Y, 2).epochs == 6


class FailsInALineSearch:
    """Raises where the network has the weights of a trial, not of an iteration."""

    def __init__(self, network):
        self.last = network.parameters

    def on_epoch_recorded(self, trainer, history):
        self.last = trainer.network.parameters

    def on_region_end(self, trainer):
        if not np.array_equal(trainer.network.parameters, self.last):
            raise KeyboardInterrupt


def test_an_interrupt_in_a_line_search_leaves_no_trial():
    network = net()
    fails = FailsInALineSearch(network)
    with pytest.raises(KeyboardInterrupt):
        owner(network=network).fit(X, Y, 200, callbacks=[fails])
    assert np.array_equal(network.parameters, fails.last)


def test_a_loss_that_is_not_finite_changes_nothing():
    trainer = owner()
    before = trainer.network.parameters
    with pytest.raises(errors.DivergenceError, match="epoch 1"):
        trainer.fit(X, Y * 1e200, 3)
    assert np.array_equal(trainer.network.parameters, before)


@pytest.mark.parametrize(
    ("make", "call", "match"),
    [
        (lambda: owner(batch_size=8), None, "batch_size: got 8"),
        (lambda: owner(l1=0.1), None, "l1: got 0.1"),
        (lambda: owner(clip_norm=1.0), None, "clip_norm: got 1"),
        (lambda: owner(network=net(dropout=0.5)), None, "dropout"),
        (lambda: owner(network=net(learning_rate_factor=0.5)), None, "learning_rate_factor"),
        (owner, lambda t: t.step(X, Y), "LBFGS in step"),
        (owner, lambda t: t.fit([(X, Y)]), "batches with LBFGS"),
    ],
)
def test_what_it_cannot_do(make, call, match):
    trainer = make()
    call = call or (lambda t: t.fit(X, Y))
    assert_refuses(trainer, lambda: call(trainer), errors.ConfigError, match)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"tol": -1}, "tol: got"), ({"history_size": 0}, "history_size: got"),
     ({"max_evaluations": 0}, "max_evaluations: got")],
)  # fmt: skip
def test_bad_options(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        fb.LBFGS(**options)


@pytest.mark.parametrize("library", ["scipy.optimize", "threadpoolctl"])
def test_without_its_libraries(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    trainer = owner()
    call = lambda: trainer.fit(X, Y)  # noqa: E731
    assert_refuses(trainer, call, errors.MissingDependencyError, r'pip install "fastbp\[scipy\]"')


def test_a_file_has_it(tmp_path):
    trainer = owner()
    trainer.fit(X, Y, 3)
    trainer.save(tmp_path / "run.ckpt")
    twin = fb.Trainer.load(tmp_path / "run.ckpt")
    assert repr(twin) == repr(trainer)
    for one in (trainer, twin):
        one.fit(X, Y, 3)
    assert np.array_equal(twin.network.parameters, trainer.network.parameters)
