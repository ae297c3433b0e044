"""Initial weights: their distribution, the defaults, seeds."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors
from fastbp import initializers as init

SHAPE = (300, 200)
NORMALS = {
    init.Normal(0.3): 0.3,
    init.GlorotNormal(): np.sqrt(2 / 500),
    init.HeNormal(): np.sqrt(2 / 300),
}
UNIFORMS = {
    init.Uniform(0.3): 0.3,
    init.GlorotUniform(): np.sqrt(6 / 500),
    init.HeUniform(): np.sqrt(6 / 300),
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


def test_constants():
    assert not draw(init.Zeros(), (3,)).any()
    assert (draw(init.Constant(0.5), (3, 2)) == 0.5).all()


@pytest.mark.parametrize("kind", [init.Normal, init.Uniform])
@pytest.mark.parametrize("scale", [-1, np.nan, "1"])
def test_bad_scale(kind, scale):
    with pytest.raises(errors.ConfigError, match="scale: got"):
        kind(scale)


@pytest.mark.parametrize(
    "kind", [init.GlorotUniform, init.GlorotNormal, init.HeUniform, init.HeNormal]
)
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
