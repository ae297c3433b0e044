"""What ends or watches a fit: callbacks, errors, other calls, the progress bar."""

from __future__ import annotations

import pytest
from training import classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import errors, testing
from fastbp.training import fit

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


@testing.forced(region_steps=1)
def test_progress_moves_within_an_epoch(monkeypatch):
    moves = []

    class Recorder(fit.NoBar):
        def advance(self, steps, **values):
            moves.append((steps, sorted(values)))

        def epoch_done(self, **values):
            moves.append("done")

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
    fb.engine.runtime.fail_allocation(nth)
    try:
        owner.fit(X, Y)
    except MemoryError:
        assert state(owner) == before
    finally:
        fb.engine.runtime.fail_allocation(0)
    owner.fit(X, Y)


def test_errors_release_the_network():
    owner = trainer(optimizer=fb.SGD(lambda step: -1.0))
    for call in (owner.fit, owner.step):
        with pytest.raises(errors.ConfigError, match=r"learning_rate\(0\)"):
            call(X, Y)
    owner.optimizer = fb.SGD(0.1)
    owner.fit(X, Y)
