"""Rules on any column, of any sign; functions as callbacks; columns of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from training import assert_refuses, classes, state, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()
NAN = np.nan


def recorded(values, name="score"):
    """A function that records these values, one for each epoch."""
    return lambda trainer, history: history.record(name, values[history.epochs - 1])


def epochs_of(rule, values, name="score"):
    history = trainer(optimizer=fb.SGD(0.0)).fit(
        X, Y, len(values), callbacks=[rule, recorded(values, name)]
    )
    return history.epochs, history.stopped


CASES = [
    # by hand: the rule, the values of the epochs, the epoch after which it stops, the best epoch
    (fb.EarlyStopping(2, "score", mode="min"), [-1, -3, -2, -2.5, -9], 4, 2),
    (fb.EarlyStopping(2, "score"), [0.1, 0.5, 0.4, 0.5, 0.9], 4, 2),
    (fb.EarlyStopping(2, "score", mode="min"), [0.9, 0.5, 0.6, 0.5, 0.1], 4, 2),
    (fb.EarlyStopping(0, "score"), [0.1, 0.5, 0.4, 0.9], 3, 2),
    (fb.EarlyStopping(1, "score"), [0.1, 0.5, 0.4, 0.9], 3, 2),
    (fb.EarlyStopping(2, "score", min_delta=0.2), [-5.0, -4.9, -4.85, 1.0], 3, 1),
    (fb.EarlyStopping(2, "score", min_delta=0.2), [-5.0, -4.9, -4.75, -4.7, -4.6, 0], 5, 3),
    (fb.EarlyStopping(2, "score"), [NAN, 0.5, NAN, 0.4, 0.9], 4, 2),
    (fb.EarlyStopping(2, "score", baseline=1.0), [0.1, 0.5, 2.0, 3.0], 2, 2),
    (fb.EarlyStopping(2, "score", baseline=1.0), [0.1, 2.0, 1.5, 1.9, 9.0], 4, 2),
    (fb.EarlyStopping(2, "score", mode="min", baseline=-1.0), [-2.0, 0, 0, 0], 3, 1),
]


@pytest.mark.parametrize(("rule", "values", "last", "best"), CASES)
def test_early_stopping_by_hand(rule, values, last, best):
    assert epochs_of(rule, values)[0] == last < len(values)
    assert (rule.best_epoch, rule.best) == (best, values[best - 1])


@pytest.mark.parametrize(
    ("rule", "values", "last", "text"),
    [
        (fb.TargetLoss(-39.0, "my_loss"), [-10, -38.9, -39.0, 0], 3, "my_loss -39 <= -39"),
        (fb.TargetLoss(0.9, "my_score"), [0.1, NAN, 0.95, 0], 3, "my_score 0.95 >= 0.9"),
        (fb.TargetLoss(-1, "my_loss", mode="max"), [-3, -2, -1, 0], 3, "my_loss -1 >= -1"),
    ],
)
def test_a_target_by_hand(rule, values, last, text):
    assert epochs_of(rule, values, text.split()[0]) == (last, text)


def test_poisson_below_zero():
    """Counts of 20 by a rate of 20: the loss is 20 - 20 log 20 = -39.9 at its least."""
    x, y = np.zeros((8, 1)), np.full((8, 1), 20.0)
    network = fb.Network(1, [fb.Dense(1)], "float64", seed=0)
    plateau = fb.ReduceOnPlateau(0.01, patience=0, threshold=1e-9)
    owner = fb.Trainer(network, "poisson", fb.SGD(plateau), batch_size=None)
    history = owner.fit(x, y, 300, callbacks=[fb.TargetLoss(-39.9)])
    assert history.stopped == f"loss {history['loss'][-1]:.4g} <= -39.9"
    assert history["loss"][-2] > -39.9 > 20 - 20 * np.log(20)
    assert plateau.current == 0.01  # it has improved in each epoch
    assert owner.evaluate(x, y)["loss"] == pytest.approx(history["loss"][-1], rel=1e-12)
    stop = fb.EarlyStopping(3)
    owner.fit(x, y, 5, callbacks=[stop])
    assert stop.best == min(history["loss"][-5:])


def test_accuracy_is_to_rise():
    owner, stop = trainer(), fb.EarlyStopping(3, monitor="val_accuracy")
    history = owner.fit(X, Y, 60, classes(30, seed=1), [stop])
    assert stop.best == max(history["val_accuracy"])
    assert stop.best_epoch == 1 + int(np.argmax(history["val_accuracy"])) == history.epochs - 3


def test_validation_and_training_loss_share_no_best():
    owner, stop = trainer(optimizer=fb.SGD(0.0)), fb.EarlyStopping(2)
    owner.fit(X, Y, 1, (X[:2], Y[:2]), [stop])
    owner.fit(X, Y, 1, callbacks=[stop])
    assert (stop.best, stop.best_epoch) == (owner.history["loss"][-1], 2)


RULES = {
    "early stopping": lambda name: {"callbacks": [fb.EarlyStopping(1, name, mode="min")]},
    "target": lambda name: {"callbacks": [fb.TargetLoss(1.0, name, mode="min")]},
    "checkpoint": lambda name: {"callbacks": [fb.Checkpoint("unwritten", best=name, mode="min")]},
    "plateau": lambda name: {"optimizer": fb.ReduceOnPlateau(0.1, monitor=name, mode="min")},
}


def fit_with(owner, options, more=()):
    if "optimizer" in options:
        owner.optimizer = fb.SGD(options["optimizer"])
    return owner.fit(X, Y, callbacks=[*options.get("callbacks", []), *more])


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize("name", ["los", "val_loss"])
def test_an_unknown_column_is_refused_before_training(make, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "accuracy, learning_rate, loss, seconds" if name == "los" else "without validation_data"
    refused = errors.ConfigError, f"(monitor|best): got '{name}'.*{text}"
    owner = trainer(optimizer=fb.SGD(0.1))
    assert_refuses(owner, lambda: fit_with(owner, make(name)), *refused)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_column_that_no_callback_has_recorded_is_refused(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    owner = trainer(optimizer=fb.SGD(0.1))
    with pytest.raises(errors.ConfigError, match="got 'score', wanted a column that the epochs"):
        fit_with(owner, make("score"), [lambda trainer, history: None])
    owner.optimizer = fb.SGD(0.1)
    assert owner.fit(X, Y).epochs == 2


def test_a_function_is_a_callback():
    calls = []

    def enough(owner, history):
        calls.append((owner, history.epochs))
        return history.epochs == 2

    owner = trainer()
    assert owner.fit(X, Y, 9, callbacks=enough).stopped == "enough"
    assert calls == [(owner, 1), (owner, 2)]


def test_a_column_of_ones_own():
    owner = trainer()
    owner.fit(X, Y)
    values = [NAN, 0.5, 0.25]
    owner.fit(X, Y, 2, callbacks=[recorded(values)])
    np.testing.assert_array_equal(owner.history["score"], values)
    owner.history.record("score", 0.75)  # a second one replaces the first
    owner.fit(X, Y)
    np.testing.assert_array_equal(owner.history["score"], [NAN, 0.5, 0.75, NAN])


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [("loss", 1.0, "got 'loss', which"), ("", 1.0, "name: got ''"), ("a", "1", "value: got '1'")],
)
def test_what_is_no_column_of_ones_own(name, value, match):
    owner = trainer()
    with pytest.raises(errors.ConfigError, match="before the first epoch"):
        owner.history.record("a", 1.0)
    owner.fit(X, Y)
    before = state(owner)
    with pytest.raises(errors.ConfigError, match=match):
        owner.history.record(name, value)
    with pytest.raises(TypeError, match=r"history.record\(name, value\)"):
        owner.history["score"] = [1.0]
    assert state(owner) == before
