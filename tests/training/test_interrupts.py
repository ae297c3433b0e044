"""Interrupts: they end a fit soon, and leave a network and a trainer that agree and go on."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from training import classes, parameters, trainer

import fastbp as fb

X, Y = classes()


@pytest.fixture(autouse=True)
def _heard():
    """A shell may have started the tests with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@contextmanager
def interrupted_after(seconds):
    """A real signal, raised as KeyboardInterrupt wherever the main thread then is."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize("batch_size", [1, 20])
@pytest.mark.parametrize("milliseconds", [3, 7, 12, 20])
def test_steps_are_counted_whenever_the_interrupt_comes(batch_size, milliseconds):
    x, y = classes(4000)
    owner, twin = (trainer(shuffle=False, batch_size=batch_size) for _ in range(2))
    with interrupted_after(milliseconds * 1e-3):
        owner.fit(x, y, epochs=10**8)
    assert owner.n_steps > 0
    epochs, steps = divmod(owner.n_steps, len(x) // batch_size)
    if epochs:
        twin.fit(x, y, epochs=epochs)
    for i in range(0, steps * batch_size, batch_size):
        twin.step(x[i : i + batch_size], y[i : i + batch_size])
    assert twin.n_steps == owner.n_steps
    assert parameters(twin.network) == parameters(owner.network)
    assert owner.history.epochs in (epochs, epochs - (steps == 0))


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
