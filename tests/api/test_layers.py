"""Dense: what it accepts, and the door to the weights."""

from __future__ import annotations

import numpy as np
import pytest
from training import classifier, parameters

import fastbp as fb
from fastbp import errors, reference
from fastbp.engine import runtime


def test_activations_are_those_of_the_engine_and_the_reference():
    assert set(runtime.ACTIVATIONS) == set(reference.ACTIVATIONS)
    for name in runtime.ACTIVATIONS:
        assert fb.Dense(3, name).activation == name


@pytest.mark.parametrize("units", [0, -1, 2.0, "3", None, True])
def test_bad_units(units):
    with pytest.raises(errors.ConfigError, match="units: got"):
        fb.Dense(units)


@pytest.mark.parametrize("activation", ["Relu", "swish", "", None, 3, fb.activations.ELU])
def test_bad_activation(activation):
    with pytest.raises(errors.ConfigError, match=r"activation: got .* linear, sigmoid, tanh, relu"):
        fb.Dense(3, activation)


@pytest.mark.parametrize("option", ["weight_init", "bias_init"])
@pytest.mark.parametrize("value", ["he", 0.1, fb.initializers.HeNormal])
def test_bad_initializers(option, value):
    with pytest.raises(errors.ConfigError, match=f"{option}: got"):
        fb.Dense(3, **{option: value})


def test_numpy_integers_are_units():
    assert fb.Dense(np.int32(3)).units == 3


def test_weights_belong_to_the_networks_copy():
    layer = fb.Dense(3)
    first, second = fb.Network(2, [layer], seed=0), fb.Network(2, [layer], seed=1)
    assert not np.array_equal(first.layers[0].weight, second.layers[0].weight)
    with pytest.raises(errors.ConfigError, match=r"network\.layers"):
        _ = layer.weight


def test_views_write_through():
    network = classifier()
    x = np.ones((1, network.n_inputs))
    before = network.predict(x)
    network.layers[1].bias[0] += 1
    network.layers[0].weight[2, 1] = 5
    assert network.layers[0].weight[2, 1] == 5
    assert not np.array_equal(network.predict(x), before)


def test_assigning_copies_in_and_converts():
    layer = classifier().layers[0]
    wanted = np.arange(35.0).reshape(5, 7)
    layer.weight = wanted
    layer.bias = list(range(7))
    assert np.array_equal(layer.weight, wanted)
    assert np.array_equal(layer.bias, range(7))
    wanted[0, 0] = 99
    assert layer.weight[0, 0] == 0


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (np.zeros((7, 5)), errors.ShapeError, r"layers\[0\]\.weight: got shape \(7, 5\)"),
        (0.0, errors.ShapeError, r"wanted \(5, 7\)"),
        (np.full((5, 7), np.nan), errors.InputError, "got nan"),
        (np.full((5, 7), "a"), errors.DTypeError, "wanted real numbers"),
    ],
)
def test_bad_weights_change_nothing(value, error, match):
    network = classifier()
    before = parameters(network)
    with pytest.raises(error, match=match):
        network.layers[0].weight = value
    assert parameters(network) == before


def test_views_outlive_the_network():
    weight = classifier().layers[0].weight
    assert np.isfinite(weight).all()
    assert weight.shape == (5, 7)
