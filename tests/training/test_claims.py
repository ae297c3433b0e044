"""Who may write a network: one call at a time, whatever interrupts it; a forked child anew."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from training import classes, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()


class Within:
    """Does something in the midst of a fit, and keeps the error that it gets."""

    def __init__(self, act):
        self._act, self.error = act, None

    def on_epoch_end(self, trainer, history):
        try:
            self._act(trainer)
        except Exception as error:
            self.error = error


ACTS = {
    "fit": lambda owner: owner.fit(X, Y),
    "step": lambda owner: owner.step(X, Y),
    "optimizer": lambda owner: setattr(owner, "optimizer", fb.Adam()),
    "preprocessing": lambda owner: setattr(owner.network, "preprocessing", None),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_would_change_a_run_is_refused_within_a_fit(act):
    owner, within = trainer(), Within(ACTS[act])
    optimizer = owner.optimizer
    owner.fit(X, Y, epochs=2, callbacks=[within])
    assert isinstance(within.error, errors.BusyError)
    assert owner.optimizer is optimizer
    ACTS[act](owner)  # free again


@pytest.mark.parametrize("name", ["network", "history", "n_steps"])
def test_a_trainer_keeps_its_network_and_its_records(name):
    owner = trainer()
    with pytest.raises(AttributeError):
        setattr(owner, name, getattr(trainer(), name))


def test_another_optimizer_takes_effect_between_calls():
    owner, twin = trainer(), trainer(optimizer=fb.Adam(0.01))
    owner.optimizer = fb.Adam(0.01)
    with pytest.raises(errors.ConfigError, match="optimizer"):
        owner.optimizer = "adam"
    owner.fit(X, Y)
    twin.fit(X, Y)
    assert dict(owner.history)["loss"] == dict(twin.history)["loss"]
    assert "Adam" in repr(owner)


def test_a_claim_is_given_back_by_its_end_and_by_its_deallocation():
    model = trainer().network._model
    with model.claim(), pytest.raises(errors.BusyError):
        model.claim()
    model.claim()  # nobody holds it
    gc.collect()
    with model.claim():
        pass


INTERRUPTED = """
import signal, sys
sys.path[:0] = sys.argv[1:]
from training import classes, trainer
import numpy as np
x, y = classes()
owner = trainer()
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupts = 0
for i in range(1500):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5 + 1e-7 * (i % 997))
        while True:
            owner.step(x, y)
    except KeyboardInterrupt:
        interrupts += 1
    owner.step(x, y)  # a BusyError if the interrupt has left the network claimed
assert interrupts == 1500
print("free", owner.n_steps > 1500)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_no_interrupt_leaves_the_network_claimed():
    folders = [str(folder) for folder in sys.path if folder]
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *folders], capture_output=True, text=True, timeout=120
    )
    assert result.stdout == "free True\n", result.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_within_a_fit_finds_the_network_free():
    codes = []

    class Forks:
        def on_epoch_end(self, trainer, history):
            child = os.fork()
            if child == 0:
                try:
                    trainer.step(X, Y)
                    os._exit(7 if np.isfinite(trainer.network.predict(X)).all() else 8)
                except BaseException:
                    os._exit(9)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    trainer(n_threads=1).fit(X, Y, epochs=2, callbacks=[Forks()])
    assert codes == [7, 7]
