"""examples/process_pool.py: pools of each kind have the bits of this process."""

from __future__ import annotations

import multiprocessing
from functools import partial

import numpy as np
import process_pool
import pytest

import fastbp as fb

TASK = partial(process_pool.trained, epochs=1)
METHODS = [pytest.param("spawn", marks=pytest.mark.slow), "fork"]


@pytest.mark.parametrize("method", METHODS)
# Of Python 3.12 and later, where a process has threads, as this one may have: nothing hangs.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_the_bits_are_those_of_one_process(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} here")
    net = fb.Network(500, [fb.Dense(500)], seed=0)
    net.predict(np.ones((1000, 500)))  # by a team of threads
    alone = [TASK(seed) for seed in process_pool.SEEDS]
    in_pool = process_pool.in_pool(method, task=TASK)
    assert [accuracy for accuracy, _ in alone] == [accuracy for accuracy, _ in in_pool]
    for (_, mine), (_, other) in zip(alone, in_pool, strict=True):
        assert mine.tobytes() == other.tobytes()
    assert len({mine.tobytes() for _, mine in alone}) == len(alone)


def threads(seed):
    return fb.get_num_threads()


def test_each_process_has_one_thread():
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no fork here")
    assert set(process_pool.in_pool("fork", task=threads)) == {1}
