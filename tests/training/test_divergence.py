"""Divergence: what stops a run that leaves the finite numbers, and where it goes back to."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from training import N_INPUTS, classes, parameters, state, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()


def unstable(rate, **options):
    """Linear regression, which diverges as soon as the rate is too large."""
    network = fb.Network(N_INPUTS, [fb.Dense(4), fb.Dense(1)], seed=0)
    return trainer(network, "squared_error", optimizer=fb.SGD(rate, momentum=0.5), **options)


T = X[:, :1] - X[:, 1:2]


@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_divergence_restores_a_good_state(batch_size):
    owner = unstable(50.0, batch_size=batch_size)
    with pytest.raises(errors.DivergenceError, match="training diverged in epoch") as caught:
        owner.fit(X, T, epochs=1000)
    error = caught.value
    assert error.epoch == owner.history.epochs + 1
    assert error.step >= owner.n_steps
    assert error.learning_rate == 50.0
    assert error.layer in (0, 1)
    assert f"epoch {error.epoch}, step {error.step} at learning rate 50" in str(error)
    assert np.isfinite(owner._state.memory.values).all()
    assert np.isfinite(owner.evaluate(X, T)["loss"])
    owner.optimizer.learning_rate = 1e-12
    owner.fit(X, T)


def test_divergence_in_the_first_epoch_restores_everything():
    owner = unstable(1e6, batch_size=1)
    owner.step(X, T)
    owner.network.layers[0].weight[...] /= 1e6
    before = state(owner)
    with pytest.raises(errors.DivergenceError):
        owner.fit(X, T, epochs=3)
    assert state(owner) == before


def blown_up_by(step, batch_size):
    """A trainer one epoch old, the states at its next epochs, and the error of its long `step`."""
    owner = unstable(0.01, batch_size=batch_size)
    owner.fit(X, T)
    bad = owner.n_steps + step
    owner.optimizer.learning_rate = lambda step: 1e25 if step == bad else 0.01
    begins = [state(owner)]
    watcher = SimpleNamespace(on_epoch_end=lambda owner, _: begins.append(state(owner)))
    with pytest.raises(errors.DivergenceError) as caught:
        owner.fit(X, T, epochs=3, callbacks=[watcher])
    return owner, begins, caught.value


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 60), (16, 4), (None, 1)])
def test_a_first_step_that_fails_goes_back_to_the_start_of_the_epoch_before(batch_size, steps):
    owner, begins, error = blown_up_by(steps - 1, batch_size)
    assert (error.epoch, error.step) == (3, 2 * steps)
    assert owner.history.epochs == 2
    for column in owner.history.values():  # which keeps the epoch that was finished and undone
        del column[1:]
    assert state(owner) == begins[0]


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 60), (16, 4)])
def test_a_later_step_that_fails_goes_back_to_the_start_of_its_epoch(batch_size, steps):
    owner, begins, error = blown_up_by(steps, batch_size)
    assert (error.epoch, error.step) == (3, 2 * steps + 1)
    assert len(begins) == 2
    assert state(owner) == begins[1]


def test_divergence_in_the_last_step_of_an_epoch_is_noticed():
    owner = unstable(1e38, batch_size=None)
    before = parameters(owner.network)
    with pytest.raises(errors.DivergenceError) as caught:
        owner.fit(X, T * 100)
    assert (caught.value.epoch, caught.value.step) == (1, 0)
    assert parameters(owner.network) == before
    assert owner.n_steps == 0


def test_divergence_of_a_step_leaves_the_weights_of_before():
    owner = unstable(0.1)
    owner.step(X, T)
    owner.network.layers[1].weight[1, 0] = np.nan
    before = state(owner)
    with pytest.raises(errors.DivergenceError, match=r"in step 1 .* layers\[1\]") as caught:
        owner.step(X, T)
    assert (caught.value.epoch, caught.value.step, caught.value.layer) == (None, 1, 1)
    assert state(owner) == before


@pytest.mark.parametrize("layer", [0, 1])
def test_divergence_names_the_first_bad_layer(layer):
    owner = unstable(0.1)
    owner.network.layers[layer].bias[...] = np.inf
    with pytest.raises(errors.DivergenceError, match=rf"layers\[{layer}\], Dense") as caught:
        owner.fit(X, T)
    assert caught.value.layer == layer


def test_divergence_of_the_loss_alone():
    owner = unstable(0.1)
    owner.network.layers[1].bias[...] = 1e30
    with pytest.raises(errors.DivergenceError, match="the loss is not finite") as caught:
        owner.fit(X, T)
    assert caught.value.layer == 1


def test_divergence_error_survives_pickling():
    error = errors.DivergenceError("text", 3, 17, 0.5, 1)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), vars(twin)) == ("text", vars(error))


@pytest.mark.parametrize("call", ["fit", "step"])
def test_an_optimizer_that_does_no_step_leaves_the_memory_of_the_last(call):
    owner, twin = trainer(), trainer()
    for one in (owner, twin):
        one.fit(X, Y)
    before, bias = state(owner), owner.network.layers[0].bias
    owner.optimizer = fb.Adam(0.01)
    kept, bias[0] = bias[0], np.nan
    with pytest.raises(errors.DivergenceError):
        getattr(owner, call)(X, Y)
    bias[0], owner.optimizer = kept, fb.SGD(0.1, momentum=0.9)
    assert state(owner) == before
    for one in (owner, twin):
        one.fit(X, Y)
    assert parameters(owner.network) == parameters(twin.network)
    assert owner.n_steps == twin.n_steps
