"""Gradient descent with all rows, some or one a step: each step beside the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier, parameters

import fastbp as fb
from fastbp import reference, testing
from fastbp.engine.run import Run

X, Y = classes(dtype="float64")
ROWS, EPOCHS, SEED = len(X), 3, 5
RATES = {None: 0.5, ROWS: 0.5, 16: 0.2, 1: 0.05}  # a step of fewer rows is less sure
ACTIVATIONS = ["tanh", "softmax"]


class Steps:
    """Notes weights and biases after each step."""

    def __init__(self):
        self.seen = []

    def on_region_end(self, trainer):
        layers = trainer.network.layers
        self.seen.append([(layer.weight.copy(), layer.bias.copy()) for layer in layers])

    def on_epoch_end(self, trainer, history):
        pass


def orders(batch_size, shuffle):
    """The order of the rows in each epoch: what the seed gives, without a trainer."""
    run = Run(classifier()._model, "cross_entropy", "sgd", 0.0, 0.0, 1, 1)
    run.bind(X.astype(np.float32), Y)
    bits = np.random.SFC64(SEED)
    for _ in range(EPOCHS):
        if shuffle and batch_size not in (None, ROWS):
            run.shuffle(bits)
        yield run.order.copy()


def reference_steps(network, batch_size, shuffle):
    """Losses, and weights and biases after each step, of the NumPy twin."""
    weights = [layer.weight.copy() for layer in network.layers]
    biases = [layer.bias.copy() for layer in network.layers]
    target, rate = np.eye(3)[Y], RATES[batch_size]
    none = [(np.empty(0), np.empty(0))] * 2
    for order in orders(batch_size, shuffle):
        for first in range(0, ROWS, batch_size or ROWS):
            rows = order[first : first + (batch_size or ROWS)]
            data = none, ACTIVATIONS, X[rows], target[rows], "cross_entropy", "sgd", rate
            loss, weights, biases, _ = reference.sgd_step(weights, biases, *data)
            yield loss * len(rows), list(zip(weights, biases, strict=True))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", list(RATES))
@testing.forced(region_steps=1)
def test_every_step_is_the_references(batch_size, shuffle):
    network, steps = classifier(dtype="float64"), Steps()
    wanted = list(reference_steps(network, batch_size, shuffle))
    owner = fb.Trainer(
        network, "cross_entropy", fb.SGD(RATES[batch_size]), batch_size, shuffle=shuffle, seed=SEED
    )
    history = owner.fit(X, Y, EPOCHS, callbacks=[steps])
    per_epoch = -(-ROWS // (batch_size or ROWS))
    assert owner.n_steps == len(steps.seen) == len(wanted) == EPOCHS * per_epoch
    losses = np.reshape([loss for loss, _ in wanted], (EPOCHS, per_epoch))
    assert history["loss"] == pytest.approx(losses.sum(axis=1) / ROWS, rel=1e-12)
    for found, (_, layers) in zip(steps.seen, wanted, strict=True):
        for one, other in zip(found, layers, strict=True):
            for got, want in zip(one, other, strict=True):
                np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


def test_the_order_matters_to_all_but_the_full_batch():
    def trained(batch_size, shuffle, seed):
        network = classifier()
        trainer = fb.Trainer(
            network, "cross_entropy", fb.SGD(0.1), batch_size, shuffle=shuffle, seed=seed
        )
        trainer.fit(X, Y, EPOCHS)
        return parameters(network)

    for batch_size in RATES:
        found = {trained(batch_size, *options) for options in ((False, 0), (True, 1), (True, 2))}
        assert len(found) == (1 if batch_size in (None, ROWS) else 3)


@pytest.mark.parametrize(("batch_size", "epochs"), [(None, 400), (16, 150), (1, 60)])
@pytest.mark.parametrize("shuffle", [False, True])
def test_each_form_learns(batch_size, epochs, shuffle):
    owner = fb.Trainer(
        classifier(),
        "cross_entropy",
        fb.SGD(RATES[batch_size]),
        batch_size,
        shuffle=shuffle,
        seed=0,
    )
    history = owner.fit(X, Y, epochs)
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] < history["loss"][0] / 2
