"""One SHA-256 of the trained weights for all numbers of threads, kernel sets and neighbours.

Every step is shared out among the whole team here, also the small ones that the engine would leave
to one thread: who claims what, and who waits for whom, must not show in a single bit.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from networks import Net, train

from fastbp.engine import pace, runtime

# name: sizes, activations, loss, rule, batch. "streamed" has 1 MiB of weights in a batch of 4.
NETWORKS = {
    "narrow": ([4, 8, 3], ["tanh", "softmax"], "cross_entropy", "momentum", 16),
    "wide": ([200, 300, 10], ["relu", "softmax"], "cross_entropy", "sgd", 64),
    "slopes": ([200, 300, 10], ["gelu", "softmax"], "cross_entropy", "momentum", 64),
    "batch 1": ([12, 40, 17, 3], ["relu", "tanh", "linear"], "mse", "nesterov", 1),
    "streamed": ([512, 520, 10], ["relu", "linear"], "mse", "sgd", 4),
}
EPOCH_STEPS = 10  # each epoch is a call of its own, whose team may differ
THREADS = [1, 2, 3, 4, 7, 16] if runtime.has_openmp() else [1]
SHORT, LONG = 12, 1000


def digest_after(name, steps, n_threads):
    sizes, activations, loss, rule, batch = NETWORKS[name]
    net = Net(sizes, activations, "float32")
    x, y = net.rows(EPOCH_STEPS * batch - batch // 3, loss)
    start = net.model.arena.copy()
    train(net, x, y, loss, steps, rule, 0.01, batch, n_threads, momentum=0.5, share=True)
    assert np.isfinite(net.model.arena).all()
    assert np.abs(net.model.arena - start).max() > 1e-3
    return net.digest()


@cache
def expected(name, steps):
    """Of the best kernel set on one thread."""
    before = runtime.isa()
    runtime.use_isa(runtime.isas()[0])
    try:
        return digest_after(name, steps, 1)
    finally:
        runtime.use_isa(before)


@pytest.fixture
def whole_team(monkeypatch):
    """However long its threads wait for each other."""
    monkeypatch.setattr(pace, "DOUBT", np.inf)


@pytest.fixture
def busy_neighbour(monkeypatch):
    """Another process that never rests; the engine goes from the team to one thread and back."""
    for name in ("LEAST_SECONDS", "ALONE_SECONDS", "PATIENCE_SECONDS"):
        monkeypatch.setattr(pace, name, 1e-3)
    neighbour = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"],
                                 stdout=subprocess.PIPE)  # fmt: skip
    neighbour.stdout.readline()
    yield
    neighbour.kill()
    neighbour.communicate()


def assert_one_digest(name, steps):
    found = {n_threads: digest_after(name, steps, n_threads) for n_threads in THREADS}
    assert found == dict.fromkeys(THREADS, expected(name, steps))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_threads_and_kernel_sets(isa, use_isa, whole_team, name):
    use_isa(isa)
    assert_one_digest(name, SHORT)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_busy_neighbour(busy_neighbour, name):
    assert_one_digest(name, SHORT)


def test_the_digests_of_the_networks_differ():
    assert len({expected(name, SHORT) for name in NETWORKS}) == len(NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_thousand_steps(isa, use_isa, whole_team, name):
    use_isa(isa)
    assert_one_digest(name, LONG)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_thousand_steps_beside_a_busy_neighbour(isa, use_isa, busy_neighbour, name):
    use_isa(isa)
    assert_one_digest(name, LONG)
