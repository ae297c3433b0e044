"""What ends or watches a fit: callbacks, interrupts, divergence, other calls, the progress bar."""

from __future__ import annotations

import _thread
import pickle
import threading
import time

import numpy as np
import pytest
from training import N_INPUTS, classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import _fit, _progress, errors

X, Y = classes()


class Watcher:
    """Does something at the end of each epoch; stops after `stop` of them."""

    def __init__(self, action=lambda trainer, history: None, stop=None):
        self.action, self.stop, self.seen = action, stop, []

    def on_epoch_end(self, trainer, history):
        self.seen.append(history.epochs)
        self.action(trainer, history)
        return history.epochs == self.stop


def test_callbacks_see_every_epoch():
    first, second = Watcher(), Watcher()
    trainer().fit(X, Y, epochs=3, callbacks=[first, second])
    assert first.seen == second.seen == [1, 2, 3]


def test_callbacks_stop_training_after_all_have_run():
    first, second = Watcher(stop=2), Watcher()
    history = trainer().fit(X, Y, epochs=9, callbacks=(first, second))
    assert history.epochs == 2
    assert first.seen == second.seen == [1, 2]


def test_an_error_in_a_callback_leaves_a_trainer_that_goes_on():
    def fail(trainer, history):
        raise ZeroDivisionError

    owner, other = trainer(), trainer()
    with pytest.raises(ZeroDivisionError):
        owner.fit(X, Y, callbacks=[Watcher(fail)])
    owner.fit(X, Y)
    other.fit(X, Y, epochs=2)
    assert parameters(owner.network) == parameters(other.network)


def test_a_second_call_that_trains_is_refused():
    owner = trainer()
    refused = []

    def intrude(_, history):
        for call in (owner.step, owner.fit, trainer(owner.network).step):
            with pytest.raises(errors.BusyError, match="one at a time"):
                call(X, Y)
            refused.append(call)
        owner.evaluate(X, Y)
        owner.network.predict(X)

    owner.fit(X, Y, callbacks=[Watcher(intrude)])
    assert len(refused) == 3
    owner.step(X, Y)


def test_interrupt_ends_a_long_fit_and_leaves_a_valid_network():
    owner = trainer()
    started = time.perf_counter()
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        owner.fit(X, Y, epochs=10**8)
    assert time.perf_counter() - started < 2
    timer.join()
    assert np.isfinite(owner.network.predict(X)).all()
    epochs = owner.history.epochs
    assert owner.fit(X, Y).epochs == epochs + 1


def test_interrupt_within_an_epoch():
    def rate(step):
        if step == 2:
            raise KeyboardInterrupt
        return 0.1

    owner = trainer(optimizer=fb.SGD(rate))
    with pytest.raises(KeyboardInterrupt):
        owner.fit(X, Y)
    assert owner.history.epochs == 0
    assert np.isfinite(owner.network.predict(X)).all()
    owner.optimizer = fb.SGD(0.1)
    owner.fit(X, Y)


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
    assert np.isfinite(owner._velocity).all()
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


def test_no_progress_by_default(capfd):
    trainer().fit(X, Y, epochs=2)
    assert capfd.readouterr() == ("", "")


def test_progress_shows_epoch_loss_and_accuracy_on_stderr(capfd):
    history = trainer().fit(X, Y, epochs=2, validation_data=(X, Y), progress=True)
    out, shown = capfd.readouterr()
    assert out == ""
    last = shown.rstrip().split("\r")[-1]
    assert "epoch 2/2: 100%" in last
    assert "8/8" in last
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert f"{name}={history[name][-1]:.4g}" in last
    assert "learning_rate" not in shown


def test_progress_moves_within_an_epoch(monkeypatch):
    moves = []

    class Recorder(_progress.NoBar):
        def advance(self, steps, **values):
            moves.append((steps, sorted(values)))

        def epoch_done(self, **values):
            moves.append("done")

    monkeypatch.setattr(_fit, "REGION_GROWTH", 1)
    monkeypatch.setattr("fastbp.trainer.progress_bar", lambda *_: Recorder())
    trainer().fit(X, Y, epochs=2, progress=True)
    assert moves == ([(1, ["accuracy", "loss"])] * 4 + ["done"]) * 2


def test_progress_bar_is_closed_after_an_error(capfd):
    owner = trainer(classifier(), optimizer=fb.SGD(lambda step: 0.1 if step < 5 else -1.0))
    with pytest.raises(errors.ConfigError):
        owner.fit(X, Y, epochs=2, progress=True)
    assert capfd.readouterr().err.endswith("\n")


@pytest.mark.parametrize("nth", range(1, 8))
def test_out_of_memory_changes_nothing(nth):
    owner = trainer(batch_size=40)
    owner.step(X[:8], Y[:8])
    before = state(owner)
    fb._runtime.fail_allocation(nth)
    try:
        owner.fit(X, Y)
    except MemoryError:
        assert state(owner) == before
    finally:
        fb._runtime.fail_allocation(0)
    owner.fit(X, Y)


def test_errors_release_the_network():
    owner = trainer(optimizer=fb.SGD(lambda step: -1.0))
    for call in (owner.fit, owner.step):
        with pytest.raises(errors.ConfigError, match=r"learning_rate\(0\)"):
            call(X, Y)
    owner.optimizer = fb.SGD(0.1)
    owner.fit(X, Y)
