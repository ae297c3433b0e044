"""`Trainer.stop` ends a fit at a whole step, wherever it is called, and without an exception."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
from training import classes, parameters, state, trainer

import fastbp as fb
from fastbp import errors, testing

X, Y = classes()
FOREVER = 10**8  # epochs: hours, unless training is stopped


class Calls:
    """Calls a function with the trainer when a method has been called for the n-th time."""

    def __init__(self, hook, act, n=1):
        def called(trainer, *arguments):
            self._left -= 1
            if self._left == 0:
                act(trainer)

        self._left = n
        setattr(self, hook, called)


def stop(owner):
    owner.stop("enough")


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


@pytest.mark.parametrize("loss", ["cross_entropy", own_loss], ids=["named", "custom"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_another_thread_stops_a_long_fit(loss, n_threads):
    owner = trainer(loss=loss, n_threads=n_threads)
    begun = threading.Event()

    def act():
        begun.wait()
        owner.stop()

    thread = threading.Thread(target=act)
    thread.start()
    begins = Calls("on_region_end", lambda owner: begun.set())
    history = owner.fit(X, Y, epochs=FOREVER, callbacks=[begins])
    thread.join()
    assert history is owner.history
    assert history.stopped == "stop"
    assert history.epochs == -(-owner.n_steps // 4)  # of 60 rows in batches of 16
    assert owner.fit(X, Y).epochs == history.epochs
    assert history.stopped is None


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_epoch_recorded", "on_checkpoint"])
def test_a_callback_stops_after_its_epoch(hook):
    owner, twin = trainer(), trainer()
    history = owner.fit(X, Y, epochs=9, callbacks=[Calls(hook, stop, 2)])
    twin.fit(X, Y, epochs=2)
    assert (history.epochs, history.stopped) == (2, "enough")
    assert parameters(owner.network) == parameters(twin.network)
    owner.fit(X, Y, epochs=2)
    twin.fit(X, Y, epochs=2)
    assert parameters(owner.network) == parameters(twin.network)


@testing.forced(region_steps=1)
def test_the_epoch_that_is_cut_short_is_recorded_and_validated():
    owner, twin = trainer(shuffle=False), trainer(shuffle=False)
    callbacks = [Calls("on_region_end", stop, 6)]
    history = owner.fit(X, Y, epochs=9, validation_data=(X, Y), callbacks=callbacks)
    twin.fit(X, Y)
    losses = [twin.step(X[:16], Y[:16]), twin.step(X[16:32], Y[16:32])]
    assert owner.n_steps == 6
    assert parameters(owner.network) == parameters(twin.network)
    assert history["loss"][1] == pytest.approx(np.mean(losses), rel=1e-12)
    assert history["val_loss"][1] == twin.evaluate(X, Y)["loss"]


@testing.forced(region_steps=1)
def test_batches_are_stopped_too():
    owner = trainer()
    history = owner.fit([(X, Y)] * 7, epochs=9, callbacks=[Calls("on_region_end", stop, 9)])
    assert (owner.n_steps, history.epochs, history.stopped) == (9, 2, "enough")


def test_a_stop_while_a_batch_is_made_leaves_it_out():
    owner = trainer()

    def batches():
        yield X, Y
        stop(owner)
        yield X, Y

    history = owner.fit(batches)
    assert (owner.n_steps, history.epochs) == (1, 1)

    def none():
        stop(owner)
        yield X, Y

    before = state(owner)
    assert owner.fit(none, epochs=3).stopped == "enough"
    assert state(owner) == before


@testing.forced(region_steps=1)
def test_early_stopping_puts_the_best_weights_back():
    owner, best = trainer(), fb.EarlyStopping(10**6)
    seen = {}

    class Sees:
        def on_epoch_end(self, trainer, history):
            seen[history.epochs] = parameters(trainer.network)

    owner.optimizer = fb.SGD(fb.schedules.Step(0.1, every=12, factor=1000.0))  # soon too large
    owner.fit(X, Y, epochs=9, callbacks=[Sees(), best, Calls("on_region_end", stop, 18)])
    assert best.best_epoch < owner.history.epochs == 5
    assert parameters(owner.network) == seen[best.best_epoch]


def test_without_a_step_nothing_changes():
    owner = trainer()
    owner.fit(X, Y)
    before = state(owner)
    history = owner.fit(X, Y, epochs=FOREVER, callbacks=[Calls("on_fit_begin", stop)])
    assert (history.epochs, history.stopped) == (1, "enough")
    history.stopped = None
    assert state(owner) == before


def test_without_a_running_fit_nothing_happens():
    owner = trainer()
    owner.stop()
    owner.step(X, Y)
    owner.end_epoch(callbacks=[Calls("on_epoch_end", stop)])
    with pytest.raises(errors.ConfigError):
        owner.fit(X, Y, epochs=0)
    owner.stop()
    assert owner.fit(X, Y, epochs=2).epochs == 3
    assert owner.history.stopped is None


def test_the_first_reason_holds():
    owner = trainer()

    def act(owner):
        owner.stop("first")
        owner.stop("second")

    assert owner.fit(X, Y, callbacks=[Calls("on_epoch_end", act)]).stopped == "first"


@pytest.mark.parametrize("reason", ["", None, 3, b"stop"])
def test_the_reason_is_a_text(reason):
    with pytest.raises(errors.ConfigError, match="reason"):
        trainer().stop(reason)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copy_is_not_stopped_with_its_original(copied):
    made = []
    owner = trainer()

    def act(owner):
        made.append(copied(owner))
        stop(made[0])

    assert owner.fit(X, Y, epochs=2, callbacks=[Calls("on_checkpoint", act)]).epochs == 2
    assert made[0].fit(X, Y).stopped is None


@pytest.mark.parametrize(
    ("kind", "n_threads"), [("rows", 1), ("rows", 2), ("batches", 2), ("custom", 1)]
)
def test_a_long_step_is_dropped(kind, n_threads):
    """Steps of 4 GFLOP, of which the second is stopped when it begins."""

    def rate(step):
        if step == 2:
            owner.stop()
        return 0.01

    rng = np.random.default_rng(0)
    layers = [fb.Dense(400, "tanh"), fb.Dense(400, "tanh"), fb.Dense(3, "softmax")]
    x, y = rng.standard_normal((4200, 400)).astype(np.float32), np.arange(4200) % 3
    loss = own_loss if kind == "custom" else "cross_entropy"
    networks = fb.Network(400, layers, seed=0), fb.Network(400, layers, seed=0)
    options = {"n_threads": n_threads, "seed": 0, "shuffle": False, "batch_size": 2100}
    owner = fb.Trainer(networks[0], loss, fb.Adam(rate), **options)
    owner.step(x[:100], y[:100])
    batches = [(x[:2100], y[:2100]), (x[2100:], y[2100:])]
    history = owner.fit(*((batches,) if kind == "batches" else (x, y)), epochs=2)
    assert (owner.n_steps, history.epochs, history.stopped) == (2, 1, "stop")
    twin = fb.Trainer(networks[1], loss, fb.Adam(0.01), **options)
    twin.step(x[:100], y[:100])
    mean_loss = twin.step(*batches[0])
    assert parameters(networks[0]) == parameters(networks[1])
    assert history["loss"] == [pytest.approx(mean_loss, rel=1e-12)]  # not of the dropped step
    assert owner.fit(x[:100], y[:100]).epochs == 2
