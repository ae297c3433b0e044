"""Fixtures of the whole suite: the kernel sets of this machine, dtypes, seeded random numbers."""

from __future__ import annotations

import gc
import inspect

import numpy as np
import pytest

from fastbp.engine import runtime


def pytest_collection_finish():
    """What is imported and collected by now stays: looking it through for garbage takes 0.3 s."""
    gc.collect()
    gc.freeze()


# Words of tests that pytest-run-parallel is not to run in several threads at once, because what
# they do is seen, or done, by the whole process.
PROCESS_WIDE = {
    "forced(": "forces how every step is done",
    "set_num_threads": "the number of threads is one for all",
    "use_isa": "so is the kernel set",
    "live_bytes": "counts the memory of all threads",
    "fail_allocation": "the allocation that fails may be another thread's",
    "monkeypatch": "patches what all see",
    "signal": "signals come to the main thread alone",
    "_heard": "the same",
    "one_thread": "sets the number of threads",
    "fork": "a child of several threads is in an unknown state",
    "capsys": "there is one stdout",
    "chdir": "and one folder",
    "environ": "and one environment",
    "switchinterval": "and one interval of the GIL",
    "tracemalloc": "counts the memory of all threads",
    "getrusage": "so does this",
    "reader": "hides a library from all",
    "catch_warnings": "the filters are one list for all before Python 3.14",
    "pytest.warns": "the same",
    "threadpool_limits": "limits the teams of all threads",
    "threadpool_info": "the same",
    "saved": "the threads of a test share its fixtures, here a file that they write to",
    "machine": "and a pretended clock",
    "test_ends": "interrupts the main thread, and counts threads",
    "test_packing": "its helpers force how every step is done",
    "test_regime": "the same",
    "test_average": "the same",
    "test_same_bits": "its scenarios set the number of threads",
    "test_a_wrong_shape": "the threads share its trainers",
    "test_probe": "counts the calls of kernels of all threads",
    "trained": "the threads share its fixture, a trainer",
    "test_early_stopping_by_hand": "the same, of a rule among its parameters",
    "test_gradients_by_inputs": "of an estimator",
    "test_checks_of_estimators": "the same",
    "test_a_map_ahead": "of a map",
    "test_thread_bounds": "counts the memory of all threads",
}


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    if not item.config.getoption("parallel_threads", None):
        return
    source = inspect.getsource(item.function) + " ".join([item.nodeid, *item.fixturenames])
    for word, reason in PROCESS_WIDE.items():
        if word in source:
            item.add_marker(pytest.mark.thread_unsafe(reason=f"{word}: {reason}"))


@pytest.fixture(params=runtime.isas())
def isa(request) -> str:
    """Name of each kernel set this machine runs; the test hands it to the kernels by name."""
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)


@pytest.fixture
def use_isa():
    """Switch the whole engine to another kernel set for one test."""
    before = runtime.isa()
    yield runtime.use_isa
    runtime.use_isa(before)
