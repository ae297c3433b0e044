"""Run: the steps of training against a step by hand, the reference, and each other."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from arrays import same_bits
from loss_cases import PARAMETERS
from networks import LOSSES_OF_PAIRS, Net, all_threads, outputs_of, train

from fastbp import reference
from fastbp.engine.model import Model
from fastbp.engine.run import Run, gradients

# Of the largest parameter, after the steps of a trajectory.
RTOL = {"float32": 1e-4, "float64": 1e-11}
RULES = {"sgd": 0.0, "momentum": 0.8, "nesterov": 0.8}


def test_a_step_by_hand(isa, use_isa, dtype):
    """A 2-3-1 network, relu then linear, one row, learning rate 1/2; exact in binary."""
    use_isa(isa)
    model = Model(2, [3, 1], ["relu", "linear"], dtype)
    model.weight(0)[...] = [[0.5, -1, -1], [0.25, 1, -1]]
    model.bias(0)[...] = [0, 0.5, 0]
    model.weight(1)[...] = [[1], [-0.5], [2]]
    model.bias(1)[...] = 0.25
    x, t = np.array([[1, 2]], dtype), np.array([[1.5]], dtype)
    # z = (0.5 + 0.5, -1 + 2 + 0.5, -1 - 2) = (1, 1.5, -3), h = (1, 1.5, 0)
    # y = 1 * 1 - 0.5 * 1.5 + 2 * 0 + 0.25 = 0.5, E = 1/2 (0.5 - 1.5)^2 = 0.5, dE/dy = -1
    # output: dW = -h = (-1, -1.5, 0), db = -1
    # hidden: dE/dh = -1 * (1, -0.5, 2); the third unit is dead, so d = (-1, 0.5, 0)
    # dW = x d = [[-1, 0.5, 0], [-2, 1, 0]], db = d
    run = Run(model, "squared_error", "sgd", 0.0, 0.0, 1, 1)
    run.bind(x, t)
    assert run.steps(0, 1, np.array([0.5])) == (0.5, 0, 1)
    assert model.weight(1).tolist() == [[1.5], [0.25], [2]]
    assert model.bias(1).tolist() == [0.75]
    assert model.weight(0).tolist() == [[1, -1.25, -1], [1.25, 0.5, -1]]
    assert model.bias(0).tolist() == [0.5, 0.25, 0]


def reference_trajectory(net, x, y, loss, rule, batch, rates, momentum, l2):
    """Losses, weights and biases of one epoch in the order of the rows."""
    weights, biases = net.weights, net.biases
    velocities = [(0 * w, 0 * b) for w, b in zip(weights, biases, strict=True)]
    x, y = x.astype(np.float64), y.astype(np.float64)
    losses = []
    for step, rate in enumerate(rates):
        rows = slice(step * batch, (step + 1) * batch)
        mean, weights, biases, velocities = reference.sgd_step(
            weights, biases, velocities, net.activations, x[rows], y[rows], loss, rule, rate,
            momentum, l2, PARAMETERS[loss],
        )  # fmt: skip
        losses.append(mean * len(x[rows]))
    return losses, weights, biases


def assert_parameters_close(net, weights, biases):
    for i in net.layers:
        for got, want in [(net.model.weight(i), weights[i]), (net.model.bias(i), biases[i])]:
            np.testing.assert_allclose(got, want, rtol=0, atol=RTOL[net.dtype] * abs(want).max())


@pytest.mark.parametrize("rule", list(RULES))
def test_trajectory_agrees_with_reference(dtype, rule):
    for batch in (1, 7, 8, 9, 31, 64):
        assert_trajectory(dtype, rule, batch)


def assert_trajectory(dtype, rule, batch):
    net = Net([6, 33, 17, 3], ["relu", "tanh", "softmax"], dtype)
    x, y = net.rows(20 * batch + max(batch // 3, 1), "cross_entropy")  # the last batch is short
    rates = np.linspace(0.1, 0.05, 21)
    momentum, l2 = RULES[rule], 0.01
    losses, weights, biases = reference_trajectory(
        net, x, y, "cross_entropy", rule, batch, rates, momentum, l2
    )
    start = net.weights[0]
    run = Run(net.model, "cross_entropy", rule, momentum, l2, batch, 2)
    run.bind(x, y)
    got = [run.steps(step, 1, rates[step : step + 1]) for step in range(len(rates))]
    assert [done for *_, done in got] == [1] * len(rates)
    sums = [loss for loss, *_ in got]  # of the epoch so far
    np.testing.assert_allclose(sums, np.cumsum(losses), rtol=10 * RTOL[dtype])
    assert abs(net.weights[0] - start).max() > 100 * RTOL[dtype]
    assert_parameters_close(net, weights, biases)


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS)
def test_every_loss_and_output_trains_like_reference(isa, use_isa, loss):
    use_isa(isa)
    for activation, batch in product(outputs_of(loss), (3, 300)):
        assert_trains_like_reference(loss, activation, batch)


def assert_trains_like_reference(loss, activation, batch):
    net = Net([5, 9, 4], ["sigmoid", activation], "float64")
    x, y = net.rows(300, loss)
    rates = np.full(min(20, -(-len(x) // batch)), 0.3)
    losses, weights, biases = reference_trajectory(
        net, x, y, loss, "momentum", batch, rates, 0.5, 0.001
    )
    options = {"parameter": PARAMETERS[loss]}
    run = Run(net.model, loss, "momentum", 0.5, 0.001, batch, 2, **options)
    run.bind(x, y)
    total, _, done = run.steps(0, len(rates), rates)
    assert done == len(rates)
    assert total == pytest.approx(sum(losses), rel=1e-11)
    assert_parameters_close(net, weights, biases)


def test_hits_are_counted_before_each_update():
    net = Net([5, 9, 4], ["tanh", "softmax"])
    x, y = net.rows(40, "cross_entropy")
    run = Run(net.model, "cross_entropy", "sgd", 0.0, 0.0, 8, 1)
    run.bind(x, y)
    n_correct = 0
    for step in range(5):
        rows = slice(8 * step, 8 * step + 8)
        predicted = net.model.predict(x[rows], 1).argmax(axis=1)
        n_correct += (predicted == y[rows].argmax(axis=1)).sum()
        assert run.steps(step, 1, np.array([2.0]))[1] == n_correct
    assert 0 < n_correct < 40


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_steps_in_one_call_equal_steps_one_by_one(dtype, batch):
    nets = [Net([6, 33, 3], ["tanh", "linear"], dtype) for _ in range(3)]
    x, y = nets[0].rows(150)
    n_steps = -(-len(x) // batch)
    rates = np.linspace(0.1, 0.01, n_steps)
    runs = [Run(net.model, "mse", "nesterov", 0.9, 0.01, batch, 2) for net in nets]
    for run in runs:
        run.bind(x, y)
    whole = runs[0].steps(0, n_steps, rates)
    ones = [runs[1].steps(s, 1, rates[s : s + 1]) for s in range(n_steps)]
    middle = n_steps // 3
    runs[2].steps(0, middle, rates[:middle].copy())
    rest = runs[2].steps(middle, n_steps - middle, rates[middle:].copy())
    assert whole[0] > 0  # and to the last bit the sum of the epoch, however it is cut in calls
    assert whole[:2] == ones[-1][:2] == rest[:2]
    assert whole[2] == n_steps
    for net, run in zip(nets, runs, strict=True):
        assert same_bits(net.model.arena, nets[0].model.arena)
        assert same_bits(run.state, runs[0].state)


def test_padding_of_parameters_and_state_stays_zero(isa, use_isa, dtype):
    use_isa(isa)
    net = Net([6, 17, 33, 3], ["sigmoid", "softmax", "sigmoid"], dtype)
    numbers = {"momentum": 0.9, "square_decay": 0.9, "eps": 1e-8, "l2": 0.01}
    for rule, limits in [("nesterov", {}), ("adam", {"clip_norm": 0.1, "max_norm": 0.7})]:
        run = train(net, *net.rows(100), "mse", 20, rule, **numbers, **limits)
        used = sum(v.size for i in net.layers for v in (net.model.weight(i), net.model.bias(i)))
        for array in (net.model.arena, *np.split(run.state, 1 + (rule == "adam"))):
            assert np.count_nonzero(array) == used < array.size, rule


def test_state_is_a_view_of_the_optimizers(dtype):
    net = Net([6, 17, 3], ["tanh", "linear"], dtype)
    x, y = net.rows(8)
    plain = Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1)
    assert plain.state.size == 0
    run = Run(net.model, "mse", "momentum", 0.5, 0.0, 8, 1)
    assert run.state.shape == net.model.arena.shape
    assert run.state.dtype == dtype
    assert not run.state.any()
    run.bind(x, y)
    _, gradient, _ = gradients(net.model, "mse", x, y, 1, False)
    run.state[...] = 2 * gradient.arena
    before = net.model.arena.copy()
    run.steps(0, 1, np.array([0.25]))  # v = 0.5 * 2 g + g = 2 g
    np.testing.assert_allclose(run.state, 2 * gradient.arena, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(net.model.arena, before - 0.5 * gradient.arena, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
@pytest.mark.parametrize("batch", [4, 96])
def test_the_state_of_the_start_is_kept_once_the_first_loss_is_finite(dtype, batch, rule):
    net = Net([300, 600, 190, 5], ["relu", "tanh", "linear"], dtype)  # large enough for a team
    x, y = net.rows(4 * batch)
    for n_threads in all_threads():
        run = Run(net.model, "mse", rule, RULES[rule], 0.0, batch, n_threads)
        run.bind(x, y)
        run.steps(0, 1, np.array([0.01]))
        before = np.concatenate([net.model.arena, run.state])
        run.snapshot = np.zeros_like(before)
        run.steps(1, 1, np.array([0.01]))  # no start of an epoch
        assert not run.snapshot.any()
        before = np.concatenate([net.model.arena, run.state])
        run.steps(0, 2, np.full(2, 0.01))
        assert same_bits(run.snapshot, before)
        assert not same_bits(net.model.arena, before[: net.model.arena.size])
        x[0, 0], spoiled = np.nan, x[0, 0]
        assert run.steps(0, 2, np.full(2, 0.01))[2] == 0
        x[0, 0] = spoiled
        assert same_bits(run.snapshot, before)


def test_done_counts_the_steps_that_were_applied(dtype):
    net = Net([6, 17, 3], ["relu", "linear"], dtype)
    x, y = net.rows(80)
    x[43, 2] = np.nan
    run = Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 1)
    run.bind(x, y)
    assert run.done == 0
    for first, count, done in [(0, 3, 3), (3, 4, 5), (5, 1, 5), (6, 4, 9)]:
        run.steps(first, count, np.full(count, 0.01))
        assert run.done == done


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_divergence_stops_before_the_update_of_the_bad_step(dtype, batch):
    nets = [Net([6, 17, 3], ["relu", "linear"], dtype) for _ in range(2)]
    x, y = nets[0].rows(64 * 40)
    count = len(x) // batch
    rates = np.full(count, 1e9)
    runs = [Run(net.model, "mse", "momentum", 0.9, 0.0, batch, 2) for net in nets]
    for run in runs:
        run.bind(x, y)
    loss, _, done = runs[0].steps(0, count, rates)
    assert 0 < done < count
    assert np.isfinite(loss)
    assert runs[1].steps(0, done, rates[:done].copy())[2] == done
    assert same_bits(nets[0].model.arena, nets[1].model.arena)
    assert same_bits(runs[0].state, runs[1].state)
    assert runs[1].steps(done, 1, rates[:1].copy()) == (loss, 0, 0)
    assert runs[0].fault == runs[1].fault == "loss"


def test_nan_in_one_row_stops_its_step(dtype):
    net = Net([6, 17, 3], ["relu", "linear"], dtype)
    x, y = net.rows(80)
    x[43, 2] = np.nan
    run = Run(net.model, "mse", "sgd", 0.0, 0.0, 8, 2)
    run.bind(x, y)
    assert run.steps(0, 10, np.full(10, 0.01))[2] == 5
    assert np.isfinite(net.model.arena).all()
    assert run.steps(6, 4, np.full(4, 0.01))[2] == 4  # the run can go on past it
    assert np.isfinite(net.model.arena).all()
