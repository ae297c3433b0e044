"""A child that is forked beside threads, whoever started them, trains and never hangs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fastbp.engine import runtime

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(not runtime.has_threads(), reason="built without threads"),
]

CHILD = """
import os, sys, threading, warnings
import numpy as np
import fastbp as fb

def work():
    net = fb.Network(400, [fb.Dense(300, "relu"), fb.Dense(10, "softmax")], seed=0)
    x = np.random.default_rng(0).standard_normal((4000, 400)).astype(np.float32)
    y = np.arange(4000) % 10
    trainer = fb.Trainer(net, "cross_entropy", fb.SGD(0.1), batch_size=200, seed=0, n_threads=2)
    trainer.fit(x, y, epochs=2)
    return float(net.predict(x).sum(dtype=float)), trainer.history["loss"]

fb.set_num_threads(2)
{before}
child = os.fork()
if child == 0:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = work()
    told = sum("forked" in str(w.message) for w in caught)
    assert told or not os.path.exists("/proc/self/task") or len(os.listdir("/proc/self/task")) > 1
    print(*found, told, flush=True)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(*work(), "parent", flush=True)
"""
# As another library does it; where fastbp's team is of OpenMP, it is the same one.
OPENMP = (
    "import ctypes; gomp = ctypes.CDLL('libgomp.so.1')\n"
    "work_of_a_thread = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)\n"
    "gomp.GOMP_parallel(work_of_a_thread, None, 2, 0)"
)
IDLE = "lambda: threading.Event().wait(9)"
BEFORE = {
    "own team": ("work()", 1),
    "OpenMP of another library": (OPENMP, 1),
    "a Python thread": (f"threading.Thread(target={IDLE}, daemon=True).start()", 1),
    "nothing": ("", 0),
}


@pytest.mark.parametrize("before", BEFORE)
def test_a_forked_child_trains_to_the_same_bits(before):
    """On one thread, which a warning tells, where a team of OpenMP would hang; else on a team."""
    code, told = BEFORE[before]
    if runtime.TEAM == "pthread":
        told = 0
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD.format(before=code)],
        capture_output=True,
        text=True,
        timeout=300,  # under a sanitizer the portable kernels take long
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    child, parent = (line.rsplit(" ", 1) for line in result.stdout.splitlines())
    assert child[0] == parent[0]
    assert (child[1], parent[1]) == (str(told), "parent")
