"""Interrupts: they end a fit soon, and leave a network and a trainer that agree and go on."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from contextlib import contextmanager

import interrupts
import numpy as np
import pytest
from training import classes, parameters, state, trainer

import fastbp as fb
from fastbp import testing
from fastbp.engine import runtime

X, Y = classes()


@pytest.fixture(autouse=True)
def _heard():
    """A shell may have started the tests with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupt_ends_a_long_fit_and_leaves_a_valid_network():
    owner = trainer()
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        owner.fit(X, Y, epochs=10**8)  # minutes, unless it is interrupted
    timer.join()
    assert np.isfinite(owner.network.predict(X)).all()
    epochs = owner.history.epochs
    assert owner.fit(X, Y).epochs == epochs + 1


@contextmanager
def interrupted_after(seconds):
    """A real signal, raised as KeyboardInterrupt wherever the main thread then is."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Hurry:
    """Sets the timer once training has begun, however long a busy machine has taken until then."""

    def __init__(self, seconds):
        self._seconds = seconds

    def on_region_end(self, trainer):
        if self._seconds:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._seconds = 0

    def on_epoch_end(self, trainer, history):
        pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize(("batch_size", "milliseconds"), [(1, 3), (1, 20), (20, 7), (20, 12)])
def test_steps_are_counted_whenever_the_interrupt_comes(batch_size, milliseconds):
    x, y = classes(4000)
    owner, twin = (trainer(shuffle=False, batch_size=batch_size) for _ in range(2))
    with interrupted_after(60):
        owner.fit(x, y, epochs=10**8, callbacks=[Hurry(milliseconds * 1e-3)])
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


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_steps_with_a_loss_of_ones_own_are_counted_too():
    x, y = classes(400)
    owner = trainer(loss=own_loss, shuffle=False, batch_size=20)
    twin = trainer(loss=own_loss, shuffle=False, batch_size=20)
    for i in range(25):
        with interrupted_after(60):
            owner.fit(x, y, epochs=10**8, callbacks=[Hurry(1e-3 + 2e-4 * i)])
        # Each call begins at the first row: what it has done is done by the twin, step by step.
        for step in range(owner.n_steps - twin.n_steps):
            first = step % 20 * 20
            twin.step(x[first : first + 20], y[first : first + 20])
        assert twin.n_steps == owner.n_steps
        assert parameters(twin.network) == parameters(owner.network)
    assert owner.n_steps > 25


class Counts:
    """Counts how often the handler of a timer gets a turn."""

    def __init__(self):
        self.n = 0

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, self._count)
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
        return self

    def __exit__(self, *error):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _count(self, number, frame):
        self.n += 1


ROWS = 9000  # of 770,000 weights: 40 GFLOP a step, and a tenth of a second on two cores
LONG_CALLS = {
    "predict": lambda owner, x, y: owner.network.predict(x),
    "activations": lambda owner, x, y: owner.network.activations(x),
    "evaluate": lambda owner, x, y: owner.evaluate(x, y),
    "gradients": lambda owner, x, y: owner.network.gradients(x, y, "cross_entropy", inputs=True),
    "step": lambda owner, x, y: owner.step(x, y),
    "fit": lambda owner, x, y: owner.fit(x, y),
}


@pytest.fixture(scope="module")
def long_work():
    rng = np.random.default_rng(0)
    net = fb.Network(400, [fb.Dense(700, "tanh"), fb.Dense(700, "tanh"), fb.Dense(3, "softmax")])
    x = rng.standard_normal((ROWS, 400)).astype(np.float32)
    return net, x, np.arange(ROWS) % 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize("n_threads", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("name", LONG_CALLS)
def test_signals_are_handled_in_the_midst_of_a_long_call(long_work, name, n_threads):
    net, x, y = long_work
    owner = fb.Trainer(net, "cross_entropy", batch_size=None, n_threads=n_threads, seed=0)
    before = fb.get_num_threads()
    fb.set_num_threads(n_threads)
    try:
        with Counts() as counts:
            LONG_CALLS[name](owner, x, y)
    finally:
        fb.set_num_threads(before)
    assert counts.n >= 3  # one, at the end of the call, would be a call that does not look


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize(
    ("optimizer", "n_threads"),
    [
        pytest.param(fb.SGD(0.1), 1, marks=pytest.mark.slow),
        (fb.SGD(0.1, momentum=0.9), 2),
        pytest.param(fb.Adam(), 1, marks=pytest.mark.slow),
        pytest.param(fb.Adam(), 3, marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_an_interrupted_step_is_not_done(long_work, optimizer, n_threads):
    net, x, y = long_work
    owner = fb.Trainer(net, "cross_entropy", optimizer, None, n_threads=n_threads, seed=0)
    owner.step(x[:3000], y[:3000])
    before = state(owner)
    for milliseconds in (2, 12, 25):
        with interrupted_after(milliseconds * 1e-3):
            owner.step(x, y)
        assert owner.n_steps == 1
        assert state(owner) == before
    owner.step(x[:3000], y[:3000])
    assert owner.n_steps == 2


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_step_that_can_be_dropped_has_the_same_bits(n_threads):
    """Its gradients are held until all are known, as with a limit on their norm that is not met."""
    x, y = classes(20000)
    networks = []
    for clip_norm in (None, 1e9):
        layers = [fb.Dense(90, "tanh"), fb.Dense(90, "tanh"), fb.Dense(3, "softmax")]
        networks.append(fb.Network(5, layers, seed=0))
        options = {"clip_norm": clip_norm, "batch_size": None, "n_threads": n_threads, "seed": 0}
        owner = fb.Trainer(networks[-1], "cross_entropy", fb.Adam(0.01), l2=1e-4, **options)
        with testing.forced() as seen:
            owner.fit(x, y, epochs=2)
        assert {cell.held for cell in seen} == {True}
    assert parameters(networks[0]) == parameters(networks[1])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_signals_are_handled_while_memory_is_made():
    before = runtime.live_bytes()
    with Counts() as counts:
        made = runtime.Memory(1 << 27)
    assert counts.n >= 2
    assert not np.frombuffer(made, np.uint8)[:: 1 << 12].any()
    del made
    with interrupted_after(0.004):
        while True:
            runtime.Memory(1 << 27)
    assert runtime.live_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_a_pass_through_a_wide_network_looks_before_its_first_2048_rows():
    net = fb.Network(1000, [fb.Dense(1000, "tanh"), fb.Dense(1000, "tanh"), fb.Dense(3)], seed=0)
    owner = fb.Trainer(net, "mse", n_threads=1)
    x = np.ones((2048, 1000), np.float32)
    with Counts() as counts:
        owner.evaluate(x, np.zeros((2048, 3)))
    assert counts.n >= 2


@pytest.mark.skipif(sys.platform != "linux", reason="CPU times of other processes are Linux")
@pytest.mark.parametrize("name", ["fit, short steps", "fit, own loss", "import"])
def test_a_few_interrupts_from_outside(name, tmp_path):
    assert_interruptible(name, tmp_path, 2)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="CPU times of other processes are Linux")
@pytest.mark.parametrize("name", [*interrupts.CALLS, "import"])
def test_many_interrupts_from_outside(name, tmp_path):
    assert_interruptible(name, tmp_path, 200)


def assert_interruptible(name, folder, count):
    rng = np.random.default_rng(0)
    if name == "import":
        interrupts.interrupted_imports(count, rng)
    else:
        interrupts.interrupted(interrupts.CALLS[name](folder), count, rng)
