"""Packing the first layer's weight into a piece for each thread does not show in the results."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import same_bits
from networks import Net, all_threads

from fastbp import testing
from fastbp.engine.run import Run

SIZES, BATCH, STEPS = [230, 150, 40, 5], 20, 18  # 150 columns: the last line of a part is not full
NUMBERS = {
    "sgd": {"l2": 1e-3},
    "adam": {"momentum": 0.9, "square_decay": 0.99, "eps": 1e-7, "weight_decay": 0.1},
}


def trained(dtype, rule, n_threads, steps=STEPS, snapshot=False, spoiled=None):
    """Parameters and state after one call, and how many steps it did; a team packs."""
    net = Net(SIZES, ["relu", "tanh", "linear"], dtype)
    x, y = net.rows(STEPS * BATCH)
    if spoiled is not None:
        x[spoiled * BATCH, 3] = np.nan
    run = Run(net.model, "mse", rule, batch_size=BATCH, n_threads=n_threads, **NUMBERS[rule])
    if snapshot:
        run.snapshot = np.zeros(len(net.model.arena) + len(run.state), dtype)
    start = np.concatenate([net.model.arena, run.state])
    with testing.forced("wide" if n_threads > 1 else None) as cells:
        run.bind(x, y)
        _, _, done = run.steps(0, steps, np.full(steps, 0.01))
    assert n_threads == 1 or all(cell.first_layer_packed for cell in cells) == (steps >= 16)
    assert not np.array_equal(start[: len(net.model.arena)], net.model.arena)
    assert not snapshot or same_bits(run.snapshot, start)
    return np.concatenate([net.model.arena, run.state]), done


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_the_state_of_the_start_is_taken_from_the_arena(dtype, rule):
    expected, _ = trained(dtype, rule, 1, snapshot=True)
    for n_threads in all_threads()[1:]:
        assert same_bits(trained(dtype, rule, n_threads, snapshot=True)[0], expected)


def test_a_step_that_fails_brings_back_the_weights_before_it(dtype):
    expected, done = trained(dtype, "adam", 1, steps=7)
    assert done == 7
    for n_threads in all_threads():
        found, done = trained(dtype, "adam", n_threads, spoiled=7)
        assert done == 7
        assert same_bits(found, expected)


def test_calls_of_few_steps_and_of_many_follow_each_other(dtype):
    net = Net(SIZES, ["relu", "tanh", "linear"], dtype)
    x, y = net.rows(STEPS * BATCH)
    run = Run(net.model, "mse", "momentum", 0.9, 0.0, BATCH, all_threads()[-1])
    run.bind(x, y)
    for first, count in [(0, 1), (1, STEPS - 1), (0, STEPS), (3, 2)]:
        assert run.steps(first, count, np.full(count, 0.01))[2] == count
    other = Net(SIZES, ["relu", "tanh", "linear"], dtype)
    alone = Run(other.model, "mse", "momentum", 0.9, 0.0, BATCH, 1)
    alone.bind(x, y)
    for first, count in [(0, STEPS), (0, STEPS), (3, 2)]:
        alone.steps(first, count, np.full(count, 0.01))
    assert same_bits(net.model.arena, other.model.arena)
    assert same_bits(run.state, alone.state)
