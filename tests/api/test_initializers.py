"""Initial weights: their distribution, the defaults, seeds."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from training import classes

import fastbp as fb
from fastbp import errors
from fastbp import initializers as init

SHAPE = (300, 200)
NORMALS = {
    init.Normal(0.3): 0.3,
    init.GlorotNormal(): np.sqrt(2 / 500),
    init.HeNormal(): np.sqrt(2 / 300),
    init.LeCunNormal(): np.sqrt(1 / 300),
}
UNIFORMS = {
    init.Uniform(0.3): 0.3,
    init.GlorotUniform(): np.sqrt(6 / 500),
    init.HeUniform(): np.sqrt(6 / 300),
    init.LeCunUniform(): np.sqrt(3 / 300),
}


def draw(initializer, shape=SHAPE):
    return initializer(np.random.default_rng(0), shape)


@pytest.mark.parametrize(("initializer", "deviation"), NORMALS.items(), ids=repr)
def test_normal(initializer, deviation):
    values = draw(initializer)
    assert values.shape == SHAPE
    # 60,000 draws: mean and deviation are within 5 of their standard errors.
    assert abs(values.mean()) < 5 * deviation / np.sqrt(values.size)
    assert values.std() == pytest.approx(deviation, rel=5 / np.sqrt(2 * values.size))
    assert np.abs(values).max() > 3 * deviation


@pytest.mark.parametrize(("initializer", "limit"), UNIFORMS.items(), ids=repr)
def test_uniform(initializer, limit):
    values = draw(initializer)
    assert np.abs(values).max() <= limit
    assert values.min() < -0.999 * limit
    assert values.max() > 0.999 * limit
    assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (7, 7), (1, 5), (5, 1)])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_orthogonal(shape, gain):
    w = draw(init.Orthogonal(gain), shape)
    assert w.shape == shape
    products = w.T @ w if shape[0] >= shape[1] else w @ w.T
    assert products == pytest.approx(gain**2 * np.eye(min(shape)), abs=1e-13)
    assert fb.Network(shape[0], [fb.Dense(shape[1], weight_init=init.Orthogonal(gain))], seed=0)


def test_orthogonal_is_uniform():
    # Householder's signs are those of the draw: without R's diagonal the first would have one sign.
    rng = np.random.default_rng(0)
    first = [init.Orthogonal()(rng, (3, 3))[0, 0] for _ in range(2000)]
    assert abs(np.mean(first)) < 5 * np.sqrt(1 / 3 / 2000)
    assert np.var(first) == pytest.approx(1 / 3, rel=0.1)


@pytest.mark.parametrize("gain", [0, -1, np.inf, "1"])
def test_bad_gain(gain):
    with pytest.raises(errors.ConfigError, match="gain: got"):
        init.Orthogonal(gain)


@pytest.mark.parametrize("initializer", [*NORMALS, *UNIFORMS], ids=repr)
@pytest.mark.parametrize("shape", [(97, 31), (1000, 301), (2, 140000)])  # one block, three, rows
def test_drawn_in_blocks_or_at_once(initializer, shape):
    network = fb.Network(shape[0], [fb.Dense(shape[1], weight_init=initializer)], "float64", seed=4)
    whole = initializer(np.random.Generator(np.random.PCG64(4)), shape)
    assert np.array_equal(network.layers[0].weight, whole)


def test_large_weights_are_drawn_without_a_second_copy():
    tracemalloc.start()
    try:
        fb.Network(2048, [fb.Dense(2048)], seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20  # the weights in float64: 32 MiB


def test_zeros_keep_hidden_units_equal_for_ever():
    zeros = fb.Dense(4, "sigmoid", weight_init=init.Zeros())
    drawn = fb.Dense(4, "sigmoid")
    last = fb.Dense(3, "softmax", weight_init=init.Zeros())
    x, y = classes()
    for hidden, equal in ((zeros, True), (drawn, False)):
        network = fb.Network(5, [hidden, last], "float64", seed=0)
        fb.Trainer(network, "cross_entropy", fb.SGD(0.5), seed=0).fit(x, y, epochs=50)
        weight, bias = network.layers[0].weight, network.layers[0].bias
        assert weight.any()
        assert bool((weight == weight[:, :1]).all() and (bias == bias[0]).all()) is equal
        rows = network.layers[1].weight
        assert bool((rows == rows[:1]).all()) is equal


@pytest.mark.parametrize(("scale", "low", "high"), [(None, 0.2, 0.25), (10, 0, 0.02)])
def test_too_large_saturates(scale, low, high):
    x, _ = classes()
    initializer = None if scale is None else init.Normal(scale)
    layers = [fb.Dense(50, "sigmoid", weight_init=initializer) for _ in range(2)]
    y = fb.Network(5, layers, seed=0).activations(x)[-1]
    # The slope y (1 - y) is a factor of all gradients below; 1/4 at most.
    assert low <= (y * (1 - y)).mean() <= high


def test_constants():
    assert not draw(init.Zeros(), (3,)).any()
    assert (draw(init.Constant(0.5), (3, 2)) == 0.5).all()


@pytest.mark.parametrize("kind", [init.Normal, init.Uniform])
@pytest.mark.parametrize("scale", [-1, np.nan, "1"])
def test_bad_scale(kind, scale):
    with pytest.raises(errors.ConfigError, match="scale: got"):
        kind(scale)


FANS = [init.GlorotUniform, init.GlorotNormal, init.HeUniform, init.HeNormal]
FANS += [init.LeCunUniform, init.LeCunNormal, init.Orthogonal]


@pytest.mark.parametrize("kind", FANS)
def test_fans_need_a_weight(kind):
    with pytest.raises(errors.ConfigError, match="bias_init: got"):
        fb.Network(3, [fb.Dense(2, bias_init=kind())])


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu", "softmax"])
def test_defaults(activation):
    network = fb.Network(300, [fb.Dense(200, activation)], dtype="float64", seed=4)
    expected = init.HeNormal() if activation == "relu" else init.GlorotUniform()
    drawn = expected(np.random.Generator(np.random.PCG64(4)), SHAPE)
    assert np.array_equal(network.layers[0].weight, drawn)
    assert not network.layers[0].bias.any()


def test_seeds():
    def weights(seed, dtype="float32"):
        layers = [fb.Dense(3, "tanh", bias_init=init.Normal(1.0)), fb.Dense(2)]
        network = fb.Network(4, layers, dtype=dtype, seed=seed)
        return np.concatenate(
            [a.ravel() for layer in network.layers for a in (layer.weight, layer.bias)]
        )

    assert np.array_equal(weights(7), weights(7))
    assert not np.array_equal(weights(7), weights(8))
    assert not np.array_equal(weights(None), weights(None))
    assert np.array_equal(weights(7), weights(7, "float64").astype(np.float32))


def test_a_callable_is_an_initializer():
    layer = fb.Dense(
        2, weight_init=lambda rng, shape: np.ones(shape), bias_init=lambda rng, n: [1, 2]
    )
    network = fb.Network(3, [layer])
    assert (network.layers[0].weight == 1).all()
    assert network.layers[0].bias.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (np.ones((2, 3)), errors.ShapeError),
        (np.full((3, 2), np.inf), errors.InputError),
        ("ones", errors.DTypeError),
    ],
)
def test_what_a_callable_makes_is_checked(made, error):
    with pytest.raises(error, match=r"layers\[0\]\.weight: got"):
        fb.Network(3, [fb.Dense(2, weight_init=lambda rng, shape: made)])
