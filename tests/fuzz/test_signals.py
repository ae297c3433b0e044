"""Interrupts at any moment, in any call: nothing is busy afterwards, and every step is counted."""

from __future__ import annotations

import signal
from collections.abc import Callable

import numpy as np
import pytest
from training import parameters

import fastbp as fb
from fastbp import testing
from fuzz.machine import N_CLASSES, N_INPUTS, ROWS
from fuzz.recipes import own_loss

TIMES, MANY_TIMES = 150, 5000
LONGEST = 1e-3  # seconds until the interrupt: a call takes from 10 microseconds on

X, Y, _ = ROWS
CALLS = {
    "step": lambda trainer: trainer.step(X, Y),
    "fit": lambda trainer: trainer.fit(X, Y, epochs=3),
    "predict": lambda trainer: trainer.network.predict(X),
    "evaluate": lambda trainer: trainer.evaluate(X, Y),
    "gradients": lambda trainer: trainer.network.gradients(X, Y, "mse"),
}
LOSSES = {"the engine's": "mse", "own": own_loss}

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="this system has no such timer"
)


def new_trainer(loss, n_threads: int) -> fb.Trainer:
    """All rows are a step, so that steps are all there is to count."""
    network = fb.Network(N_INPUTS, [fb.Dense(7, "tanh"), fb.Dense(N_CLASSES)], seed=0)
    optimizer = fb.SGD(0.01, momentum=0.5)
    return fb.Trainer(network, loss, optimizer, batch_size=None, n_threads=n_threads, seed=0)


def interrupted(call: Callable[[], object], seconds: float) -> None:
    """Call again and again, until a signal ends it wherever it then is."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            call()
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def attack(call: str, loss, times: int) -> None:
    rng = np.random.default_rng(0)
    owner, plain = new_trainer(loss, 2), new_trainer(loss, 1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(times):
            with testing.forced():
                interrupted(lambda: CALLS[call](owner), rng.uniform(1e-5, LONGEST))
            owner.step(X, Y)
            while plain.n_steps < owner.n_steps:
                plain.step(X, Y)
            assert parameters(plain.network) == parameters(owner.network)
            assert owner.history.epochs <= owner.n_steps
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("call", list(CALLS))
def test_some(call, loss):
    attack(call, LOSSES[loss], TIMES)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("call", list(CALLS))
def test_many(call, loss):
    attack(call, LOSSES[loss], MANY_TIMES)
