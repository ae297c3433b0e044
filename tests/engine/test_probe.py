"""The probes behind bench/: each calls the kernel that it names, on its own arrays, so often."""

from __future__ import annotations

import time

import numpy as np
import pytest
from arrays import same_bits

from fastbp import reference
from fastbp.engine import kernels, probe, runtime

BATCH, N_IN, N_OUT = 5, 19, 21
RATE = 0.25


@pytest.fixture
def calls(isa, dtype, rng):
    """Random numbers everywhere but in the padding; the third and the last input are zero."""
    calls = probe.KernelCalls(dtype, BATCH, N_IN, N_OUT, isa)
    for array, n in [(calls.x, N_IN), (calls.y, N_OUT), (calls.dy, N_OUT), (calls.weight, N_OUT)]:
        array[:, :n] = rng.standard_normal((len(array), n))
    calls.bias[:, :N_OUT] = rng.standard_normal(N_OUT)
    calls.x[:, [2, N_IN - 1]] = 0
    calls.list_inputs()
    calls.set_learning_rate(RATE)
    return calls


def activated(name, array):
    return reference.ACTIVATIONS[name].f(array.astype(np.float64))


def test_arrays_are_the_engines(calls, dtype):
    assert calls.x.shape == (BATCH, runtime.leading_dimension(N_IN, dtype))
    assert calls.weight.shape == (N_IN, runtime.leading_dimension(N_OUT, dtype))
    for array in (calls.x, calls.dx, calls.y, calls.dy, calls.target, calls.weight, calls.bias):
        assert array.dtype == dtype
        assert array.ctypes.data % 64 == 0


def test_dense_forward(calls, isa):
    want, last = np.zeros_like(calls.y), calls.y[-1].copy()
    arrays = want, calls.x, calls.weight, calls.bias[0]
    kernels.dense_forward(*arrays, N_IN, N_OUT, "tanh", isa)
    calls.dense_forward(2, BATCH - 1, "tanh")
    assert same_bits(calls.y[:-1], want[:-1])
    assert same_bits(calls.y[-1], last)


def test_dense_delta(calls, isa):
    want = np.zeros_like(calls.dx)
    kernels.dense_delta(want, calls.dy, calls.weight, calls.x, N_IN, N_OUT, "tanh", isa)
    calls.dense_delta(2, BATCH - 1, "tanh")
    assert same_bits(calls.dx[:-1], want[:-1])
    assert not calls.dx[-1].any()


def test_dense_update_counts_its_calls_and_its_rows(calls, isa):
    want, bias = calls.weight.copy(), calls.bias[0].copy()
    for _ in range(3):
        arrays = want[:7], bias, None, None, calls.x, calls.dy
        kernels.dense_update(*arrays, 7, N_OUT, "sgd", RATE, 0.0, 0.0, isa)
    calls.dense_update(3, 7)
    assert same_bits(calls.weight, want)


def test_streaming_visits_the_inputs_that_are_not_zero(calls, isa):
    index = [k for k in range(N_IN) if k not in (2, N_IN - 1)]
    np.testing.assert_array_equal(calls.index[: len(index)], index)
    want = np.zeros_like(calls.y)
    arrays = want, calls.x, calls.weight, calls.bias[0]
    kernels.dense_forward(*arrays, N_IN, N_OUT, "tanh", isa)
    calls.stream_forward(2, "tanh")
    assert same_bits(calls.y, want)
    dx, updated = np.zeros_like(calls.dx), calls.weight.copy()
    kernels.dense_delta(dx, calls.dy, calls.weight, calls.x, N_IN, N_OUT, "linear", isa)
    arrays = updated, calls.bias[0].copy(), None, None, calls.x, calls.dy
    kernels.dense_update(*arrays, N_IN, N_OUT, "sgd", RATE, 0.0, 0.0, isa)
    calls.stream_backward(1)
    assert same_bits(calls.dx[:, index], dx[:, index])
    assert not calls.dx[:, [2, N_IN - 1]].any()
    assert same_bits(calls.weight, updated)


def test_gather_rows(calls, dtype, rng):
    source, last = rng.standard_normal((40, N_IN)).astype(dtype), calls.x[-1].copy()
    order = rng.permutation(40)
    calls.gather_rows(2, BATCH - 1, source, order)
    np.testing.assert_array_equal(calls.x[:-1, :N_IN], source[order[: BATCH - 1]])
    assert same_bits(calls.x[-1], last)


def test_loss_delta(calls, isa):
    calls.target[:, 3] = 1
    delta, loss, correct = np.zeros_like(calls.dy), np.zeros(BATCH), np.zeros(BATCH, np.uint8)
    names = "cross_entropy", "softmax"
    arrays = delta, loss, correct, calls.y, calls.target
    kernels.loss_delta(*arrays, N_OUT, *names, 1 / BATCH, isa)
    calls.loss_delta(2, BATCH - 1, *names)
    assert same_bits(calls.dy[:-1], delta[:-1])
    np.testing.assert_array_equal(calls.row_loss, [*loss[:-1], 0])
    np.testing.assert_array_equal(calls.correct, [*correct[:-1], 0])


def test_activate(calls):
    want = activated("sigmoid", activated("sigmoid", calls.y))
    calls.activate(2, "sigmoid")
    np.testing.assert_allclose(calls.y, want, rtol=1e-6)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_barrier(n_threads):
    started = time.perf_counter()
    seconds = probe.barrier_seconds(n_threads, 50)
    assert 0 < seconds * 50 <= time.perf_counter() - started


def test_the_peak_is_probed_for_no_longer_than_asked(isa):
    seconds = []
    for _ in range(3):
        started = time.process_time()  # a busy neighbour does not count
        probe.fma_peak(isa, 1, 50)
        seconds.append(time.process_time() - started)
    # As many rounds as on vectors take six times as long on the portable kernels.
    assert min(seconds) < 0.1
