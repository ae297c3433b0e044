"""`train_many` ends as a whole: after an interrupt, and after an error of the user's own code."""

from __future__ import annotations

import _thread
import itertools
import signal
import threading
import time

import numpy as np
import pytest
from test_train_many import X, Y

import fastbp as fb
from fastbp.many import TrainedNetworks

ENDLESS = 10**9
CONFIGS = [{"hidden": [7], "seed": seed} for seed in range(5)]


@pytest.fixture(autouse=True)
def interruptible():
    """A process that a shell has started in the background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Notes:
    """What it is told, by all networks; a copy notes it in the same list."""

    def __init__(self, said):
        self.said = said

    def __deepcopy__(self, memo):
        return Notes(self.said)

    def on_epoch_recorded(self, trainer, history):
        self.said.append("epoch")

    def on_restore(self, trainer, history):
        self.said.append("restore")

    def on_checkpoint(self, trainer, history):
        self.said.append("checkpoint")

    def on_fit_end(self, trainer, history):
        self.said.append("end")


def ended(kind, configs=CONFIGS, **options):
    """What an endless training that raises `kind` leaves; no thread of it is left."""
    before = threading.active_count()
    with pytest.raises(kind) as caught:
        fb.train_many(configs, X, Y, epochs=ENDLESS, n_jobs=2, **options)
    assert threading.active_count() == before
    assert isinstance(caught.value.results, TrainedNetworks)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": fb.LBFGS(1e-300), "batch_size": None},
     {"loss": lambda y, t: (y.sum(axis=1), y * 0)}, {"validation_data": (X, Y)}],
    ids=["steps", "L-BFGS", "a loss of one's own", "validation"],
)  # fmt: skip
def test_an_interrupt_ends_all(options):
    if isinstance(options.get("optimizer"), fb.LBFGS):
        pytest.importorskip("scipy")
    said, epochs = [], itertools.count()

    def second(trainer, history):
        n = next(epochs)  # in one step, as two threads come here
        if n == 2:
            _thread.interrupt_main()  # a signal
        elif n > 2:
            time.sleep(0.01)  # or L-BFGS may be at a minimum before the signal is seen

    configs = CONFIGS
    if "loss" in options:
        layers = [fb.Dense(3, "softmax")]
        configs = [{"layers": layers, "seed": seed} for seed in range(5)]
    error = ended(KeyboardInterrupt, configs, callbacks=[Notes(said), second], **options)
    assert "end" not in said
    assert "restore" not in said
    assert [entry.history.epochs > 0 for entry in error.results][2:] == [False] * 3
    assert all(entry.error is None for entry in error.results)


@pytest.mark.slow
def test_an_interrupt_drops_a_long_step():
    x = np.ones((4096, 1024), np.float32)
    training = threading.Event()

    class Begin:
        def __deepcopy__(self, memo):
            return self

        def on_fit_begin(self, trainer, x, y, validation_data):
            training.set()

    def interrupt():
        training.wait(60)
        time.sleep(0.1)
        _thread.interrupt_main()  # a signal

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        fb.train_many([{"hidden": [1024, 1024], "seed": 0}], x, np.arange(4096) % 3, ENDLESS,
                      callbacks=[Begin()], batch_size=None, n_jobs=1)  # fmt: skip
    thread.join()
    (entry,) = caught.value.results
    assert entry.trainer.n_steps == 0
    assert entry.seconds < 60


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_error_of_a_callback_ends_all_and_says_where(kind):
    said = []

    def fail(trainer, history):
        if history.epochs == 3:
            raise kind("mine")

    configs = [*CONFIGS[:1], {**CONFIGS[1], "callbacks": [fail]}, *CONFIGS[2:]]
    error = ended(kind, configs, callbacks=[Notes(said)])
    assert error.args == ("mine",)
    assert error.__notes__[0].startswith("in configs[1], {'hidden': [7], 'seed': 1")
    assert "end" not in said


def test_a_stopped_trainer_is_done_and_the_others_go_on():
    def stop(trainer, history):
        if history.epochs == 2:
            trainer.stop("enough")

    found = fb.train_many(CONFIGS, X, Y, epochs=4, callbacks=[stop])
    assert [entry.history.stopped for entry in found] == ["enough"] * 5


def test_it_runs_in_a_thread_of_ones_own():
    found = []
    thread = threading.Thread(target=lambda: found.append(fb.train_many(CONFIGS, X, Y)))
    thread.start()
    thread.join()
    assert len(found[0]) == 5


def test_what_was_trained_can_be_trained_on():
    (found,) = fb.train_many(CONFIGS[:1], X, Y, epochs=2)
    (whole,) = fb.train_many(CONFIGS[:1], X, Y, epochs=4)
    found.trainer.fit(X, Y, 2)
    assert found.network.parameters.tobytes() == whole.network.parameters.tobytes()
