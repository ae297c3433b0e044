"""Run: which rows a step takes, in which order, from what kind of array."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import same_bits
from networks import Net, train

from fastbp.engine.run import Run


def test_a_batch_larger_than_the_data_is_all_of_it(dtype):
    nets = [Net([6, 33, 3], ["tanh", "linear"], dtype) for _ in range(2)]
    x, y = nets[0].rows(20)
    for net, batch in zip(nets, (20, 10**9), strict=True):
        run = Run(net.model, "mse", "sgd", 0.0, 0.0, batch, 1)
        run.bind(x, y)
        assert run.steps(0, 1, np.array([0.1]))[2] == 1
    assert nets[0].digest() == nets[1].digest()


def test_steps_take_their_rows_in_the_given_order(dtype):
    nets = [Net([6, 33, 3], ["tanh", "linear"], dtype) for _ in range(3)]
    x, y = nets[0].rows(50)
    order = np.random.default_rng(8).permutation(50)
    runs = [Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1) for net in nets]
    runs[0].bind(x[order].copy(), y[order].copy())
    runs[1].bind(x, y)
    runs[1].order.base[...] = order  # the view that callers see is read-only
    runs[2].bind(x, y)
    for run in runs:
        run.steps(0, 7, np.full(7, 0.1))
    assert nets[0].digest() == nets[1].digest() != nets[2].digest()


@pytest.mark.parametrize("n", [1, 2, 3, 100, 1000])
def test_shuffle_is_a_reproducible_permutation(n):
    net = Net([2, 1], ["linear"])
    x, y = net.rows(n)

    def orders(seed):
        run = Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1)
        run.bind(x, y)
        assert run.order.dtype == np.int64
        assert run.order.tolist() == list(range(n))
        bits, found = np.random.SFC64(seed), []
        for _ in range(3):
            run.shuffle(bits)
            assert sorted(run.order) == list(range(n))
            found.append(run.order.tolist())
        run.bind(x, y)
        assert run.order.tolist() == list(range(n))
        return found

    first = orders(1)
    assert orders(1) == first
    if n >= 100:
        assert orders(2) != first
        assert first[0] != first[1]
        assert first[0] != list(range(n))


def test_shuffle_reaches_every_permutation_equally_often():
    net = Net([2, 1], ["linear"])
    run = Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1)
    run.bind(*net.rows(4))
    bits, counts = np.random.SFC64(5), {}
    for _ in range(24 * 400):
        run.shuffle(bits)
        counts[tuple(run.order)] = counts.get(tuple(run.order), 0) + 1
    assert len(counts) == 24
    # 23 degrees of freedom: above 49.7 once in a thousand seeds, and this seed is fixed
    assert sum((c - 400) ** 2 / 400 for c in counts.values()) < 49.7


@pytest.mark.parametrize("loss", ["squared_error", "mse", "cross_entropy"])
def test_integer_labels_train_like_their_one_hot_rows(dtype, loss):
    nets = [Net([6, 33, 5], ["relu", "softmax"], dtype) for _ in range(2)]
    x, one_hot = nets[0].rows(100, "cross_entropy")
    labels = one_hot.argmax(axis=1).astype(np.int64)
    for net, y in zip(nets, (one_hot, labels), strict=True):
        train(net, x, y, loss, 20, "momentum", momentum=0.9)
    assert nets[0].digest() == nets[1].digest()


def test_binding_other_data_goes_on_with_the_velocity(dtype):
    nets = [Net([6, 17, 3], ["tanh", "linear"], dtype) for _ in range(2)]
    x, y = nets[0].rows(40)
    runs = [Run(net.model, "mse", "momentum", 0.9, 0.0, 8, 1) for net in nets]
    rates = np.full(5, 0.1)
    runs[0].bind(x, y)
    runs[0].steps(0, 5, rates)
    runs[1].bind(x[:16].copy(), y[:16].copy())
    runs[1].steps(0, 2, rates[:2].copy())
    runs[1].bind(x[16:].copy(), y[16:].copy())
    runs[1].steps(0, 3, rates[2:].copy())
    assert nets[0].digest() == nets[1].digest()
    assert same_bits(runs[0].state, runs[1].state)


def test_the_run_keeps_its_data_alive_and_may_read_mapped_files(dtype, tmp_path):
    nets = [Net([6, 17, 3], ["tanh", "linear"], dtype) for _ in range(2)]
    x, y = nets[0].rows(40)
    np.save(tmp_path / "x.npy", x)
    runs = [Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1) for net in nets]
    runs[0].bind(x, y)
    runs[1].bind(np.load(tmp_path / "x.npy", mmap_mode="r"), y.copy())
    junk = [np.full_like(x, np.nan) for _ in range(5)]
    for run in runs:
        run.steps(0, 5, np.full(5, 0.1))
    assert nets[0].digest() == nets[1].digest()
    del junk
