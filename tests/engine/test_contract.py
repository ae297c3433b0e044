"""The promise of the arithmetic contract: same data, shapes, batch and seed, same bits.

On every kernel set, on any number of threads, in every process.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from loss_cases import PARAMETERS
from networks import Net, train

from fastbp.engine import runtime
from fastbp.engine.run import gradients

STEPS = 200
# name: sizes, activations, loss, rule, rows, batch. From "mid" on a step is worth several threads;
# the last batch of an epoch is short, in "split" short enough for the other order of the delta sum.
NETWORKS = {
    "narrow": ([2, 8, 1], ["tanh", "sigmoid"], "binary_cross_entropy", "momentum", 50, 4),
    "batch 1": ([12, 40, 17, 3], ["relu", "tanh", "linear"], "mse", "momentum", 70, 1),
    "hidden softmax": ([9, 33, 4], ["softmax", "tanh"], "mse", "nesterov", 90, 8),
    "mid": ([20, 48, 33, 5], ["relu", "sigmoid", "softmax"], "cross_entropy", "nesterov", 250, 64),
    "split": ([30, 72, 47, 5], ["tanh", "relu", "softmax"], "cross_entropy", "sgd", 197, 96),
    "odd batch": ([70, 97, 65, 3], ["relu", "tanh", "linear"], "mse", "momentum", 100, 31),
    "wide": ([400, 150, 40, 5], ["relu", "tanh", "softmax"], "cross_entropy", "momentum", 75, 20),
    "margins": ([30, 72, 5], ["tanh", "linear"], "multiclass_hinge", "momentum", 100, 40),
    "two blocks": ([9, 65, 4], ["sigmoid", "softmax"], "squared_error", "sgd", 700, 300),
}


def trained_digest(name, dtype, n_threads):
    """SHA-256 of the weights, the biases and the optimizer state after 200 steps."""
    sizes, activations, loss, rule, n, batch = NETWORKS[name]
    net = Net(sizes, activations, dtype)
    x, y = net.rows(n, loss)
    start = net.model.arena.copy()
    run = train(net, x, y, loss, STEPS, rule, 0.02, batch, n_threads, momentum=0.9, l2=1e-3)
    assert np.isfinite(net.model.arena).all()
    assert np.abs(net.model.arena - start).max() > 0.01
    outputs = net.model.predict(x, n_threads)
    parameter = PARAMETERS[loss]
    value, gradient, dx = gradients(net.model, loss, x, y, n_threads, True, parameter)
    total, n_correct = net.model.evaluate(loss, x, y, n_threads, parameter)
    parts = [net.model.arena, run.state, outputs, gradient.arena, dx]
    bits = b"".join([a.tobytes() for a in parts] + [np.array([value, total, n_correct]).tobytes()])
    return hashlib.sha256(bits).hexdigest()


@cache
def expected(name, dtype):
    """Of the best kernel set on one thread."""
    before = runtime.isa()
    runtime.use_isa(runtime.isas()[0])
    try:
        return trained_digest(name, dtype, 1)
    finally:
        runtime.use_isa(before)


def test_digests_differ_between_networks_dtypes_and_seeds():
    digests = [expected(name, dtype) for name in NETWORKS for dtype in ("float32", "float64")]
    assert len(set(digests)) == 2 * len(NETWORKS)
    nets = [Net([2, 8, 1], ["tanh", "linear"]) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        train(net, *net.rows(50), "mse", 20, batch=4, seed=seed)
    assert nets[0].digest() == nets[1].digest() != nets[2].digest()


def test_denormal_values_do_not_break_the_equality_of_isas(use_isa, dtype):
    digests = set()
    for isa in runtime.isas():
        use_isa(isa)
        net = Net([20, 48, 33, 5], ["tanh", "sigmoid", "softmax"], dtype)
        x, y = net.rows(250, "cross_entropy")
        x *= np.finfo(dtype).tiny * 4  # x, and x times anything below one, at the edge of zero
        for i in net.layers:
            net.model.bias(i)[...] *= np.finfo(dtype).tiny
        for n_threads in (1, 2):
            train(net, x, y, "cross_entropy", 20, batch=64, n_threads=n_threads)
        net.model.predict(x, 2)
        digests.add((net.digest(), net.model.predict(x, 2).tobytes()))
    assert len(digests) == 1


def test_the_callers_denormals_are_left_alone():
    net = Net([30, 72, 47, 5], ["tanh", "relu", "softmax"], "float32")
    x, y = net.rows(250, "cross_entropy")
    train(net, x, y, "cross_entropy", 5, batch=96, n_threads=2)
    net.model.predict(x, 2)
    tiny = np.full(100, np.finfo(np.float64).tiny)
    assert (tiny / 4 != 0).all()
    assert (tiny / 4 * 4 == tiny).all()


IN_A_PROCESS = """
import json, sys
import test_contract
from fastbp.engine import runtime
names, n_threads = json.loads(sys.argv[1]), int(sys.argv[2]) or runtime.get_num_threads()
digests = {n: test_contract.trained_digest(n, "float32", n_threads) for n in names}
print(json.dumps([runtime.isa(), n_threads, digests]))
"""


def process(code, *arguments, **variables):
    """Run code in a fresh process that can import these tests and the same fastbp."""
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    environment.pop("FASTBP_ISA", None)
    environment.pop("FASTBP_NUM_THREADS", None)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, **variables}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("n_threads", [1, 2])
def test_processes_with_another_isa_or_thread_count_give_the_same_digest(isa, n_threads):
    names = ["narrow", "split", "batch 1"]
    result = process(
        IN_A_PROCESS, json.dumps(names), "0", FASTBP_ISA=isa, FASTBP_NUM_THREADS=str(n_threads)
    )
    assert result.returncode == 0, result.stderr
    used_isa, used_threads, digests = json.loads(result.stdout)
    assert used_isa == isa
    assert used_threads == (n_threads if runtime.has_threads() else 1)
    assert digests == {name: expected(name, "float32") for name in names}


@pytest.mark.parametrize("limit", [{"OMP_THREAD_LIMIT": "2"}, {"OMP_DYNAMIC": "true"}])
def test_fewer_threads_granted_than_asked_for_give_the_same_digest(limit):
    result = process(IN_A_PROCESS, '["split", "odd batch"]', "7", **limit)
    assert result.returncode == 0, result.stderr
    digests = json.loads(result.stdout)[2]
    assert digests == {name: expected(name, "float32") for name in ("split", "odd batch")}


FORKED = """
import os, sys, warnings
import test_contract
before = test_contract.trained_digest("split", "float32", 2)
child = os.fork()
if child == 0:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same = test_contract.trained_digest("split", "float32", 2) == before
    told = sum("fork" in str(w.message) for w in caught)
    os._exit(0 if same and told == (test_contract.runtime.TEAM == "openmp") else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_trains_to_the_same_bits_and_is_told_once_if_it_has_no_team():
    result = process(FORKED)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 ", "none"])
def test_an_unknown_isa_in_the_environment_is_an_error_at_import(name):
    result = process("import fastbp", FASTBP_ISA=name)
    assert result.returncode != 0
    assert "ConfigError" in result.stderr
    assert repr(name) in result.stderr
    assert all(isa in result.stderr for isa in runtime.isas())


def test_an_unknown_isa_is_refused_and_the_old_one_stays():
    before = runtime.isa()
    with pytest.raises(ValueError, match="sse9"):
        runtime.use_isa("sse9")
    assert runtime.isa() == before
    assert runtime.isas()[-1] == "scalar"


def test_the_environments_isa_is_the_one_in_use():
    forced = os.environ.get("FASTBP_ISA")
    assert runtime.isa() == (forced or runtime.isas()[0])
