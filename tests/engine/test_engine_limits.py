"""The engine under strain: no memory, two writers at once, many readers, nothing leaked."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from arrays import same_bits
from networks import Net, train
from together import together

from fastbp.engine import runtime
from fastbp.engine.model import Model
from fastbp.engine.run import Run, gradients
from fastbp.errors import BusyError

SIZES, ACTIVATIONS = [20, 48, 33, 5], ["relu", "tanh", "softmax"]
MAX_ALLOCATIONS = 50  # of one operation; more would mean that it never succeeds


@pytest.fixture(autouse=True)
def allocations_succeed_again():
    yield
    runtime.fail_allocation(0)


def live_bytes():
    gc.collect()
    return runtime.live_bytes()


def assert_live(held):
    """So many bytes are held, but for garbage: collecting that takes longer than all the rest."""
    assert runtime.live_bytes() == held or live_bytes() == held


def make_model(net, x, y):
    return Model(SIZES[0], SIZES[1:], ACTIVATIONS, net.dtype)


def make_run(net, x, y):
    return Run(net.model, "cross_entropy", "momentum", 0.9, 0.0, 16, 2)


OPERATIONS = {
    "Model": make_model,
    "Run": make_run,
    "predict": lambda net, x, y: net.model.predict(x, 2),
    "activations": lambda net, x, y: net.model.activations(x, 2),
    "evaluate": lambda net, x, y: net.model.evaluate("cross_entropy", x, y, 2),
    "gradients": lambda net, x, y: gradients(net.model, "cross_entropy", x, y, 2, True),
    "train": lambda net, x, y: train(net, x, y, "cross_entropy", 9, "momentum", n_threads=2),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_every_failing_allocation_is_a_memory_error_that_changes_nothing(dtype, operation):
    net = Net(SIZES, ACTIVATIONS, dtype)
    x, y = net.rows(200, "cross_entropy")
    call = OPERATIONS[operation]
    before, held = net.digest(), live_bytes()
    for n in range(1, MAX_ALLOCATIONS):
        runtime.fail_allocation(n)
        result = None
        with contextlib.suppress(MemoryError):
            result = call(net, x, y)
        if result is not None:
            break
        assert net.digest() == before
        assert_live(held)
    else:
        pytest.fail(f"{operation} still fails at allocation {n}")
    assert n > 1, f"{operation} allocates nothing that can fail"
    runtime.fail_allocation(0)
    del result
    assert live_bytes() == held


def test_a_run_whose_bind_failed_can_bind_again(dtype):
    nets = [Net(SIZES, ACTIVATIONS, dtype) for _ in range(2)]
    x, y = nets[0].rows(200, "cross_entropy")
    runs = [make_run(net, x, y) for net in nets]
    runs[0].bind(x, y)
    runtime.fail_allocation(1)
    with pytest.raises(MemoryError):
        runs[1].bind(x, y)
    runtime.fail_allocation(0)
    runs[1].bind(x, y)
    for run in runs:
        assert run.steps(0, 12, np.full(12, 0.1))[2] == 12
    assert nets[0].digest() == nets[1].digest()


def test_nothing_stays_allocated_after_the_objects_are_gone(dtype):
    held = live_bytes()
    net = Net(SIZES, ACTIVATIONS, dtype)
    x, y = net.rows(200, "cross_entropy")
    assert live_bytes() >= held + net.model.arena.nbytes
    run = train(net, x, y, "cross_entropy", 9, "momentum")
    net.model.predict(x, 2)
    gradient = gradients(net.model, "cross_entropy", x, y, 2, True)[1]
    view = net.model.weight(0)
    del run, gradient, net
    assert live_bytes() > held  # the view keeps the arena
    del view
    assert live_bytes() == held


def test_steps_allocate_nothing(dtype):
    net = Net(SIZES, ACTIVATIONS, dtype)
    x, y = net.rows(200, "cross_entropy")
    run = make_run(net, x, y)
    run.bind(x, y)
    runtime.fail_allocation(1)
    run.shuffle(np.random.SFC64(1))
    assert run.steps(0, 13, np.full(13, 0.1))[2] == 13


class Marathon(threading.Thread):
    """Many steps in one call, on a thread of its own."""

    def __init__(self, run, count):
        super().__init__()
        self.run_of_steps, self.count = run, count
        self.result = self.error = None

    def run(self):
        try:
            self.result = self.run_of_steps.steps(0, self.count, np.full(self.count, 1e-3))
        except BaseException as error:
            self.error = error


def long_run(count):
    """A network, and a run of it bound to rows enough for `count` steps of batch 1."""
    net = Net([64, 64, 5], ["tanh", "softmax"], "float32")
    run = Run(net.model, "cross_entropy", "sgd", 0.0, 0.0, 1, 1)
    run.bind(*net.rows(count, "cross_entropy"))
    return net, run


@cache
def marathon_steps():
    """How many steps take about 0.1 s, on this machine and its kernel set."""
    _, run = long_run(500)
    start = time.perf_counter()
    run.steps(0, 500, np.full(500, 1e-3))
    return max(1000, int(500 * 0.1 / (time.perf_counter() - start)))


@cache
def undisturbed_digest(count):
    net, run = long_run(count)
    run.steps(0, count, np.full(count, 1e-3))
    return net.digest()


SECOND_CALLS = {
    "steps of another run": lambda run, other, rows: other.steps(0, 1, np.array([0.1])),
    "steps of the same run": lambda run, other, rows: run.steps(0, 1, np.array([0.1])),
    "bind of the same run": lambda run, other, rows: run.bind(*rows),
    "shuffle of the same run": lambda run, other, rows: run.shuffle(np.random.SFC64(1)),
}


@pytest.mark.parametrize("name", list(SECOND_CALLS))
def test_the_second_writer_gets_busy_error_and_the_first_is_undisturbed(name):
    count, refused = marathon_steps(), 0
    most = 32 * count
    # A busy machine may wake this thread when the marathon is over: a longer one.
    while not refused:
        assert count <= most, "no call was refused"
        net, run = long_run(count)
        rows = net.rows(64, "cross_entropy")
        other = Run(net.model, "cross_entropy", "sgd", 0.0, 0.0, 8, 1)
        other.bind(*rows)
        marathon = Marathon(run, count)
        before = net.digest()
        marathon.start()
        while net.digest() == before and marathon.is_alive():  # until it is inside
            time.sleep(0.001)
        while marathon.is_alive() and refused < 5:
            try:
                SECOND_CALLS[name](run, other, rows)
            except BusyError as error:
                refused += 1
                assert "network" in str(error) or "run" in str(error)
                time.sleep(0.001)
            else:  # the marathon ended in between, and this call has written the network
                refused = 0
                break
        marathon.join()
        assert marathon.error is None
        assert marathon.result[2] == count
        count *= 2
    assert net.digest() == undisturbed_digest(count // 2)
    assert run.steps(0, 1, np.array([0.1]))[2] == 1  # free again


def test_of_steps_at_once_each_is_done_or_refused():
    (net, run), (twin, alone) = long_run(4), long_run(4)
    rates = np.full(4, 1e-3)

    def steps():
        done = 0
        for _ in range(5000):
            with contextlib.suppress(BusyError):
                done += run.steps(0, 4, rates)[2]
        return done

    done = sum(together([steps] * 4))
    for _ in range(done // 4):
        alone.steps(0, 4, rates)
    assert run.done == alone.done == done
    assert net.digest() == twin.digest()


def test_many_threads_may_predict_with_one_network(dtype):
    net = Net([64, 130, 10], ["tanh", "softmax"], dtype)
    x, y = net.rows(700, "cross_entropy")
    want = net.model.predict(x, 1), net.model.evaluate("cross_entropy", x, y, 1)
    gradient = gradients(net.model, "cross_entropy", x, y, 1, True)

    def work(i):
        n_threads = 1 + i % 3
        assert same_bits(net.model.predict(x, n_threads), want[0])
        row = slice(i, i + 1)  # few enough for buffers on the thread's stack
        assert same_bits(net.model.predict(x[row], n_threads), want[0][row])
        assert net.model.evaluate("cross_entropy", x, y, n_threads) == want[1]
        got = gradients(net.model, "cross_entropy", x, y, n_threads, True)
        assert same_bits(got[1].arena, gradient[1].arena)
        assert same_bits(got[2], gradient[2])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_several_networks_train_at_once_with_the_bits_of_one(dtype):
    def trained(_):
        net = Net([30, 72, 47, 5], ["relu", "tanh", "softmax"], dtype)
        train(net, *net.rows(250, "cross_entropy"), "cross_entropy", 30, batch=96, n_threads=2)
        return net.digest()

    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(trained, range(8)))
    assert set(digests) == {trained(0)}
