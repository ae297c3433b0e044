"""The weights that the rules put back, keep or save are those that were measured."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()
VALIDATION = classes(30, seed=1)
ONE_STEP = {"full batch": {"batch_size": None}, "all rows in a batch": {"batch_size": 60}}


def loss_of(owner, weights=None):
    """The loss on the training rows, of other weights if so asked."""
    network = owner.network.copy()
    if weights is not None:
        network.parameters = weights
    return trainer(network).evaluate(X, Y)["loss"]


def jumping(**options):
    """Whose loss falls, then jumps up at step 6, with one step an epoch."""
    rate = fb.SGD(lambda step: 60.0 if step == 6 else 0.5)
    return trainer(optimizer=rate, **{"batch_size": None, **options})


@pytest.mark.parametrize("options", ONE_STEP.values(), ids=ONE_STEP)
def test_the_best_loss_of_a_full_batch_is_that_of_the_network(options):
    owner, stop = jumping(**options), fb.EarlyStopping(3)
    history = owner.fit(X, Y, 50, callbacks=[stop])
    assert stop.best == min(history["loss"]) == history["loss"][6]
    assert loss_of(owner) == pytest.approx(stop.best, rel=1e-6)
    assert history["loss"][7] > 3 * stop.best  # the loss of the weights at the end of that epoch


def test_the_target_that_a_full_batch_reaches_is_reached_by_the_network():
    owner = trainer(optimizer=fb.SGD(lambda step: 1.0 if step < 9 else 500.0), batch_size=None)
    twin = trainer(optimizer=fb.SGD(1.0), batch_size=None)
    twin.fit(X, Y, 9)
    target = loss_of(twin)
    history = owner.fit(X, Y, 50, callbacks=[fb.TargetLoss(target * (1 + 1e-5))])
    assert (history.epochs, history.stopped[:4]) == (10, "loss")
    assert loss_of(owner) == pytest.approx(history["loss"][-1], rel=1e-6)
    assert parameters(owner.network) == parameters(twin.network)


@pytest.mark.parametrize("first", [fb.EarlyStopping, fb.TargetLoss])
def test_early_stopping_decides_before_a_target_in_any_order(first):
    owner = jumping()
    stop, target = fb.EarlyStopping(9, monitor="val_loss"), fb.TargetLoss(0.85, monitor="loss")
    rules = [stop, target] if first is fb.EarlyStopping else [target, stop]
    owner.fit(X, Y, 50, VALIDATION, rules)
    assert owner.history.stopped.startswith("loss")
    assert owner.evaluate(*VALIDATION)["loss"] == stop.best == min(owner.history["val_loss"])


def test_several_steps_an_epoch_have_the_weights_at_its_end():
    rate = fb.SGD(lambda step: 0.1 if step < 24 else 9.0)
    owner, stop, ends = trainer(optimizer=rate), fb.EarlyStopping(99), []
    at_end = lambda owner, history: ends.append(owner.network.parameters)  # noqa: E731
    history = owner.fit(X, Y, 12, callbacks=[stop, at_end])
    best = int(np.argmin(history["loss"]))
    assert best < 11
    assert np.array_equal(stop.best_weights, ends[best])
    assert np.array_equal(owner.network.parameters, ends[best])


def test_a_checkpoint_of_the_best_loss_holds_the_weights_of_that_loss(tmp_path):
    owner = jumping()
    saved = fb.Checkpoint(tmp_path / "best", best="loss")
    history = owner.fit(X, Y, 12, callbacks=[saved])
    network = fb.load(tmp_path / "best")
    assert trainer(network).evaluate(X, Y)["loss"] == pytest.approx(min(history["loss"]), rel=1e-6)
    assert loss_of(owner) != pytest.approx(min(history["loss"]), rel=1e-2)


def test_a_checkpoint_of_the_best_is_not_what_another_rule_puts_back(tmp_path):
    owner = trainer()
    grows = lambda owner, history: history.record("epoch_score", history.epochs)  # noqa: E731
    ends = []
    at_end = lambda owner, history: ends.append(parameters(owner.network))  # noqa: E731
    stop = fb.EarlyStopping(9, monitor="epoch_score", mode="min")
    saved = fb.Checkpoint(tmp_path / "best", best="epoch_score")
    owner.fit(X, Y, 3, callbacks=[saved, stop, grows, at_end])
    assert parameters(fb.load(tmp_path / "best")) == ends[2]
    assert parameters(owner.network) == ends[0]


@pytest.mark.parametrize("batch_size", [16, None])
def test_a_loop_of_single_epochs_equals_one_call(batch_size):
    whole, loop = (
        trainer(optimizer=fb.SGD(0.9, momentum=0.9), batch_size=batch_size) for _ in range(2)
    )
    stop, again = fb.EarlyStopping(3), fb.EarlyStopping(3)
    whole.fit(X, Y, 60, VALIDATION, [stop])
    for _ in range(60):
        loop.fit(X, Y, 1, VALIDATION, [again])
        assert loop.evaluate(*VALIDATION)["loss"] == again.best  # it has the best between calls
        if loop.history.stopped:
            break
    assert 4 < loop.history.epochs < 60
    assert loop.history["val_loss"] == whole.history["val_loss"]
    assert loop.history.stopped == whole.history.stopped
    assert parameters(loop.network) == parameters(whole.network)


def test_a_loop_goes_on_from_weights_that_the_user_has_set():
    owner, stop = trainer(), fb.EarlyStopping(9)
    owner.fit(X, Y, 2, callbacks=[stop])
    owner.network.parameters = np.zeros(owner.network.n_parameters)
    twin = trainer()
    twin.fit(X, Y, 2)
    twin.network.parameters = owner.network.parameters
    for one, callbacks in ((owner, [stop]), (twin, [])):
        one.fit(X, Y, 1, callbacks=callbacks)
    assert owner.history["loss"] == twin.history["loss"]


def test_a_call_that_fails_before_its_first_step_leaves_the_best_weights():
    owner, stop = trainer(optimizer=fb.SGD(0.9, momentum=0.9)), fb.EarlyStopping(99)
    owner.fit(X, Y, 9, VALIDATION, [stop])
    assert stop.best_epoch < 9
    owner.optimizer.learning_rate = lambda step: -1.0
    call = partial(owner.fit, X, Y, 1, VALIDATION, [stop])
    assert_refuses(owner, call, errors.ConfigError, r"learning_rate\(36\): got -1.0")


def test_a_call_that_fails_after_an_interrupted_one_leaves_what_that_has_left():
    class Interrupting:
        def on_region_end(self, trainer):
            raise KeyboardInterrupt

    owner, stop = trainer(optimizer=fb.SGD(0.9, momentum=0.9)), fb.EarlyStopping(99)
    owner.fit(X, Y, 9, VALIDATION, [stop])
    with pytest.raises(KeyboardInterrupt):
        owner.fit(X, Y, 1, VALIDATION, [stop, Interrupting()])
    assert owner.n_steps > 36
    owner.optimizer.learning_rate = lambda step: -1.0
    call = partial(owner.fit, X, Y, 1, VALIDATION, [stop])
    assert_refuses(owner, call, errors.ConfigError, "got -1.0")


def test_reset_forgets():
    owner, stop = trainer(), fb.EarlyStopping(99)
    owner.fit(X, Y, 3, callbacks=[stop])
    stop.reset()
    assert (stop.best, stop.best_weights) == (np.inf, None)
    owner.fit(X, Y, 1, callbacks=[stop])
    assert stop.best_epoch == 4


def failing(error):
    def fail(owner, history):
        if history.epochs == 4:
            raise error

    return fail


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("place", [0, 1])
def test_the_best_weights_are_at_hand_after_an_error_in_a_callback(error, place):
    """Also those of the epoch in which it came, wherever the callback stands."""
    owner, stop = trainer(optimizer=fb.SGD(0.1)), fb.EarlyStopping(99)
    callbacks = [stop]
    callbacks.insert(place, failing(error))
    with pytest.raises(error):
        owner.fit(X, Y, 9, VALIDATION, callbacks)
    losses = owner.history["val_loss"]
    assert stop.best == min(losses) == losses[3]
    owner.network.parameters = stop.best_weights
    assert owner.evaluate(*VALIDATION)["loss"] == stop.best


def test_the_best_weights_are_at_hand_after_a_divergence():
    owner, stop = trainer(optimizer=fb.SGD(lambda s: 0.1 if s < 14 else 1e38)), fb.EarlyStopping(9)
    with pytest.raises(errors.DivergenceError):
        owner.fit(X, Y, 9, VALIDATION, [stop])
    owner.network.parameters = stop.best_weights
    assert owner.evaluate(*VALIDATION)["loss"] == stop.best == min(owner.history["val_loss"])


def test_all_see_the_same_network_at_the_end():
    seen = []

    class Last:
        def on_fit_end(self, owner, history):
            seen.append(parameters(owner.network))

    owner = trainer(classifier(), optimizer=fb.SGD(0.9, momentum=0.9))
    owner.fit(X, Y, 12, VALIDATION, [Last(), fb.EarlyStopping(99), Last()])
    assert seen == [parameters(owner.network)] * 2
    assert owner.evaluate(*VALIDATION)["loss"] == min(owner.history["val_loss"])
