"""Any number of threads may be asked for: what the machine has no use for costs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from training import classes, parameters, trainer

import fastbp as fb
from fastbp.engine import runtime
from fastbp.engine.model import Model
from fastbp.engine.run import Run

HUGE = 2**31 - 1


def held_by_a_run(n_threads):
    model = Model(8, [16, 3], ["tanh", "linear"], "float32")
    x, y = np.zeros((40, 8), np.float32), np.zeros((40, 3), np.float32)
    before = runtime.live_bytes()
    run = Run(model, "mse", "sgd", 0.0, 0.0, 20, n_threads)
    run.bind(x, y)
    return runtime.live_bytes() - before


def test_memory_does_not_grow_with_threads_that_are_not_used():
    assert held_by_a_run(1) == held_by_a_run(256) == held_by_a_run(HUGE)


def test_any_number_of_threads_trains_to_the_same_bits():
    x, y = classes()
    found = set()
    for n_threads in (1, 256, HUGE):
        owner = trainer(n_threads=n_threads)
        owner.fit(x, y)
        found.add(parameters(owner.network))
    assert len(found) == 1


def test_the_number_set_for_the_process_is_bounded():
    before = fb.get_num_threads()
    try:
        fb.set_num_threads(3)
        three = fb.get_num_threads()
        fb.set_num_threads(10**6)
        many = fb.get_num_threads()
        x, y = classes()
        net = trainer().network
        assert np.isfinite(net.predict(np.repeat(x, 1000, axis=0))).all()
        net.gradients(x, y, "cross_entropy")
    finally:
        fb.set_num_threads(before)
    assert three == (3 if runtime.has_threads() else 1)
    assert many <= max(64, 4 * os.cpu_count())


LIMITED = """
import resource, sys, warnings
import numpy as np
import fastbp as fb
net = fb.Network(400, [fb.Dense(300, "relu"), fb.Dense(10, "softmax")], seed=0)
x = np.random.default_rng(0).standard_normal((4000, 400)).astype(np.float32)
wanted = net.predict(x[:1])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (150 << 20), resource.RLIM_INFINITY))
warnings.simplefilter("ignore")
fb.set_num_threads(2000)
found = net.predict(np.repeat(x, 10, axis=0))
assert (found[0] == wanted[0]).all()
fb.Trainer(net, "cross_entropy", batch_size=1000, n_threads=2000).fit(x, np.arange(4000) % 10)
print("trained")
"""


@pytest.mark.memory
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
def test_a_process_that_may_start_few_threads_goes_on_with_these():
    result = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=100
    )
    assert result.stdout == "trained\n", result.stderr


NO_MORE_THREADS = """
import os, resource, threading, warnings
import numpy as np
import fastbp as fb
net = fb.Network(400, [fb.Dense(300, "relu"), fb.Dense(10, "softmax")], seed=0)
x = np.random.default_rng(0).standard_normal((4000, 400)).astype(np.float32)
fb.set_num_threads(4)
wanted = net.predict(x) if {before} else None
go, found = threading.Event(), []
def predict():
    go.wait()
    found.append(net.predict(x))
waiting = threading.Thread(target=predict)
waiting.start()
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
if os.getuid() == 0:  # to whom the limit does not apply
    os.setuid(65534)
warnings.simplefilter("ignore")
go.set()
waiting.join()  # this thread has no team yet, and gets none
found.append(net.predict(x) if not {before} else wanted)
assert (found[0] == found[1]).all()
print("predicted", fb.get_num_threads())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux has them")
@pytest.mark.parametrize("before", [False, True])
def test_a_thread_without_a_team_gets_none_once_no_thread_may_be_started(before):
    """Though the process could start threads before: a library of OpenMP would end it."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", NO_MORE_THREADS.format(before=before)],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
    )
    assert result.stdout == f"predicted {4 if runtime.has_threads() else 1}\n", result.stderr


@pytest.mark.skipif(not runtime.has_threads(), reason="one thread in any case")
def test_threadpoolctl_limits_the_threads_of_its_block():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before, (x, y) = fb.get_num_threads(), classes()
    try:
        fb.set_num_threads(3)
        with threadpoolctl.threadpool_limits(1):
            assert fb.get_num_threads() == 1
            owner = trainer(n_threads=2)
            owner.fit(x, y)
            with ThreadPoolExecutor(1) as other:  # a limit is that of a thread
                assert other.submit(fb.get_num_threads).result() == 3
        assert fb.get_num_threads() == 3
        with threadpoolctl.threadpool_limits(64):  # no wish for more
            assert fb.get_num_threads() == 3
    finally:
        fb.set_num_threads(before)
    twin = trainer(n_threads=2)
    twin.fit(x, y)
    assert parameters(owner.network) == parameters(twin.network)
