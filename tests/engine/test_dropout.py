"""Dropout: its random numbers, and training with it in every regime, against the reference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from arrays import blank, same_bits

import fastbp as fb
from fastbp import errors, reference, testing
from fastbp.engine import kernels, runtime
from fastbp.engine.model import Model
from fastbp.engine.run import Run

SEED = 12345678901234567890  # above 2^63
RATE = 0.3
# name: widths, hidden activations, rows of a step, the regime that a team is forced into
NETWORKS = {
    "split": ((7, 130, 33, 3), ("relu", "gelu"), 64, "batch-split"),
    "wide": ((400, 150, 40, 5), ("tanh", "relu"), 20, "wide"),
    "streamed": ((30, 165, 20, 3), ("relu", "silu"), 5, "streaming"),
    "single": ((12, 40, 17, 3), ("relu", "elu"), 1, "streaming"),
}
N_STEPS = 20  # above what makes streaming look at the weights and skip zeros


def factors(isa, dtype, rows, units, row=0, unit=0, step=7, layer=1, rate=RATE, seed=SEED):
    y = np.zeros((rows, runtime.leading_dimension(units, dtype)), dtype)
    y[:, :units] = 1
    slope = 2 * y
    kernels.drop_units(y, slope, units, seed, step, layer, row, unit, rate, isa)
    assert same_bits(slope, 2 * y)
    assert not y[:, units:].any()
    return y[:, :units]


@pytest.mark.parametrize("units", [1, 3, 8, 15, 16, 17, 33, 130])
def test_factors_are_those_of_the_reference(isa, dtype, units):
    want = reference.dropout_factors(SEED, 7, 1, 9, units, RATE).astype(dtype)
    assert same_bits(factors(isa, dtype, 9, units), want)


def test_a_factor_depends_on_row_and_unit_not_on_where_a_part_begins(isa, dtype):
    whole = factors(isa, dtype, 31, 80)
    assert np.array_equal(factors(isa, dtype, 12, 80, row=19), whole[19:])
    assert np.array_equal(factors(isa, dtype, 31, 32, unit=48), whole[:, 48:])


def test_only_the_rows_given_are_touched(isa, dtype):
    y, slope = blank((5, 19), dtype), blank((5, 19), dtype)
    y.array[...], slope.array[...] = 1, 1
    kernels.drop_units(y.array, slope.array, 19, 1, 2, 3, 0, 0, 0.5, isa)
    for a in (y, slope):
        a.assert_written_inside(zero_padding=False)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_rate_and_mean(rate):
    n = 400 * 1000
    found = factors("scalar", "float64", 400, 1000, rate=rate)
    deviation = np.sqrt(rate * (1 - rate) / n)
    assert abs((found == 0).mean() - rate) < 4 * deviation
    assert set(np.unique(found)) == {0, 1 / (1 - rate)}
    rows, units = (found == 0).mean(axis=1), (found == 0).mean(axis=0)
    # binomial in every direction: neither rows nor units are more alike than chance has them
    assert np.var(rows) == pytest.approx(rate * (1 - rate) / 1000, rel=0.4)
    assert np.var(units) == pytest.approx(rate * (1 - rate) / 400, rel=0.4)


def assert_uncorrelated(a, b):
    """Within 4.5 standard deviations of what independent numbers have."""
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / np.sqrt(a.size)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_neighbours_are_not_correlated(rate):
    def draw(**options):
        return factors(runtime.isas()[0], "float32", 300, 1000, rate=rate, **options)

    base = draw()
    for lag in (1, 2, 3, 8, 16, 64, 256):
        assert_uncorrelated(base[:, lag:], base[:, :-lag])
        assert_uncorrelated(base[lag:], base[:-lag])
    for other in (draw(step=8), draw(step=6), draw(layer=2), draw(layer=0), draw(seed=SEED + 1)):
        assert_uncorrelated(base, other)
        assert_uncorrelated(base[1:], other[:-1])
    pairs = (base[:, 0::2] > 0) ^ (base[:, 1::2] > 0)  # and not in pairs either
    assert_uncorrelated(pairs[1:], pairs[:-1])


def trained(name, n_threads, dtype="float32", rate=RATE):
    """The model after N_STEPS steps, its run, and what the reference needs to follow."""
    widths, hidden, batch, _ = NETWORKS[name]
    activations = [*hidden, "linear"]
    rates = [rate, rate / 2, 0.0]
    model = Model(widths[0], list(widths[1:]), activations, dtype, rates)
    rng = np.random.default_rng(3)
    for i, n_in in enumerate(widths[:-1]):
        model.weight(i)[...] = rng.standard_normal(model.weight(i).shape) / np.sqrt(n_in)
        model.bias(i)[...] = 0.1
    x = rng.standard_normal((N_STEPS * batch - batch // 2, widths[0])).astype(dtype)
    y = rng.standard_normal((len(x), widths[-1])).astype(dtype)
    start = [(model.weight(i).copy(), model.bias(i).copy()) for i in range(3)]
    run = Run(model, "mse", "sgd", 0.0, 0.0, batch, n_threads)
    run.seed, run.step = SEED, 100
    with testing.forced(NETWORKS[name][3] if n_threads > 1 else None):
        run.bind(x, y)
        assert run.steps(0, N_STEPS, np.full(N_STEPS, 0.05))[2] == N_STEPS
    assert run.step == 100 + N_STEPS
    return model, run, (start, activations, rates, x, y, batch)


def reference_step(layers, activations, rates, x, y, step):
    """One step of plain SGD on mse with dropout, by hand; new layers."""
    inputs, kept = [x], []
    for i, (w, b) in enumerate(layers):
        f = reference.activation_of(activations[i])
        z = inputs[-1] @ w + b
        factor = reference.dropout_factors(SEED, step, i, *z.shape, rates[i])
        slope = f.delta(np.ones_like(z), z if f.from_z else f.f(z))
        inputs.append(f.f(z) * factor)
        kept.append(slope * factor)
    delta = 2 * (inputs[-1] - y) / y.size
    new = []
    for i in (2, 1, 0):
        w, b = layers[i]
        new.insert(0, (w - 0.05 * inputs[i].T @ delta, b - 0.05 * delta.sum(axis=0)))
        delta = (delta @ w.T) * kept[i - 1] if i else None
    return new


@pytest.mark.parametrize(("name", "n_threads"), list(product(NETWORKS, [1, 3])))
def test_training_agrees_with_reference(name, n_threads):
    model, _, (layers, *network, x, y, batch) = trained(name, n_threads, "float64")
    for step in range(N_STEPS):
        rows = slice(step * batch, (step + 1) * batch)
        layers = reference_step(layers, *network, x[rows], y[rows], 100 + step)
    for i, (w, b) in enumerate(layers):
        np.testing.assert_allclose(model.weight(i), w, rtol=0, atol=1e-11)
        np.testing.assert_allclose(model.bias(i), b, rtol=0, atol=1e-11)


def network(rate=0.5, activation="relu"):
    layers = [fb.Dense(40, activation, dropout=rate), fb.Dense(3, "softmax")]
    return fb.Network(6, layers, dtype="float64", seed=0)


def rows(n=96):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, 6)), rng.integers(0, 3, n)


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, np.nan, "0.5", None, True])
def test_bad_rates(rate):
    with pytest.raises(errors.ConfigError, match=r"dropout: got .* wanted a number in \[0, 1\)"):
        fb.Dense(3, "relu", dropout=rate)


def test_dropout_where_it_cannot_be():
    with pytest.raises(errors.ConfigError, match=r"dropout: got 0\.5 for the output layer"):
        fb.Network(2, [fb.Dense(3, "relu", dropout=0.5)])
    with pytest.raises(errors.ConfigError, match=r"dropout: got 0\.5 for softmax"):
        fb.Dense(3, "softmax", dropout=0.5)


def test_nothing_but_a_training_step_drops():
    net, plain = network(), network(0)
    x, y = rows()
    assert np.array_equal(net.predict(x), plain.predict(x))
    assert np.array_equal(net.activations(x)[0], plain.activations(x)[0])
    for a, b in zip(net.gradients(x, y, "cross_entropy")[1],
                    plain.gradients(x, y, "cross_entropy")[1], strict=True):  # fmt: skip
        assert np.array_equal(a[0], b[0])
    trainers = [fb.Trainer(n, "cross_entropy", seed=0) for n in (net, plain)]
    losses = [t.evaluate(x, y)["loss"] for t in trainers]
    assert losses[0] == losses[1]
    assert trainers[0].step(x, y) != trainers[1].step(x, y)
    assert fb.gradient_check(net, x[:5], y[:5], "cross_entropy").max_error < 1e-6


def test_the_seed_decides_and_the_steps_go_on():
    x, y = rows()

    def fit(seed, *epochs):
        trainer = fb.Trainer(network(), "cross_entropy", batch_size=None, seed=seed)
        for n in epochs:
            trainer.fit(x, y, n)
        return trainer.network.layers[0].weight.copy()

    once = fit(0, 4)
    assert np.array_equal(once, fit(0, 1, 3))
    assert not np.array_equal(once, fit(1, 4))
    stepped = fb.Trainer(network(), "cross_entropy", batch_size=None, seed=0)
    for _ in range(4):
        stepped.step(x, y)
    assert np.array_equal(once, stepped.network.layers[0].weight)


def test_save_and_load_keep_the_rate(tmp_path):
    net = network(0.25)
    assert repr(net.layers[0]) == "Dense(40, 'relu', dropout=0.25)"
    net.save(tmp_path / "net")
    loaded = fb.load(tmp_path / "net")
    assert repr(loaded) == repr(net)
    assert loaded.layers[0].dropout == net.copy("float32").layers[0].dropout == 0.25
    assert network(0)._architecture() == {
        **net._architecture(),
        "layers": [{"units": 40, "activation": "relu"}, {"units": 3, "activation": "softmax"}],
    }
