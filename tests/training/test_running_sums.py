"""Losses do not depend on how the clock cuts the steps of an epoch in regions."""

from __future__ import annotations

import time

import numpy as np
import pytest
from training import classes, classifier, trainer

import fastbp as fb


class Dawdler:
    """Sleeps now and then, so that regions have other lengths in each run."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)
        self.regions = []

    def on_region_end(self, trainer):
        self.regions.append(trainer.n_steps)
        time.sleep(self._rng.choice([0, 0.002, 0.05]))

    def on_epoch_end(self, trainer, history):
        pass


def own_loss(outputs, targets):
    difference = outputs - targets
    return (difference**2).sum(axis=1), 2 * difference


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", own_loss], ids=["ce", "mse", "own"])
def test_the_same_seed_gives_the_same_losses_to_the_last_bit(loss):
    x, y = classes(3000, dtype="float64")  # sums of float32 losses would be exact in any order
    if loss != "cross_entropy":
        y = np.random.default_rng(0).standard_normal((3000, 3))
    found, regions = [], set()
    for seed in range(4):
        dawdler = Dawdler(seed)
        owner = trainer(classifier(dtype="float64"), loss, batch_size=7)
        history = owner.fit(x, y, epochs=2, callbacks=[dawdler])
        found.append((history["loss"], dict(history).get("accuracy")))
        regions.add(tuple(dawdler.regions))
    assert len(regions) > 1
    assert all(one == found[0] for one in found)


def test_rules_that_compare_losses_stop_at_the_same_epoch():
    x, y = classes(4000, dtype="float64")
    stops = set()
    for seed in range(4):
        plateau = fb.ReduceOnPlateau(0.0, patience=1, threshold=0.0)
        network = classifier(dtype="float64")
        owner = trainer(network, optimizer=fb.SGD(plateau), shuffle=False, batch_size=3)
        rules = [Dawdler(seed), fb.EarlyStopping(2, monitor="loss")]
        history = owner.fit(x, y, epochs=9, callbacks=rules)
        stops.add((history.epochs, tuple(history["loss"])))
    assert len(stops) == 1
    (epochs, losses), *_ = stops
    assert epochs == 3
    assert len(set(losses)) == 1
