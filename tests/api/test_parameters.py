"""Parameters as one array, networks that follow others, and layers that keep their weights."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier, parameters

import fastbp as fb
from fastbp.errors import ConfigError, DTypeError, InputError, ShapeError


def gates(seed=0, dtype="float32", units=3):
    layers = [fb.Maxout(5), fb.Residual([fb.Gated(5), fb.Dense(7)]), fb.Dense(units, "softmax")]
    net = fb.Network(5, layers, dtype, seed)
    for layer in net.weighted_layers:
        layer.bias += 0.25
    return net


def test_parameters_are_weights_and_biases_in_order(dtype):
    net = gates(dtype=dtype)
    flat = net.parameters
    assert (flat.shape, flat.dtype) == ((net.n_parameters,), np.dtype(dtype))
    arrays = [a for layer in net.weighted_layers for a in (layer.weight, layer.bias)]
    assert (flat == np.concatenate([a.ravel() for a in arrays])).all()
    assert flat[1] == net.layers[0].weight[0, 0, 1]
    flat[...] = 0  # a copy
    assert net.layers[0].weight.any()


def test_parameters_can_be_assigned(dtype):
    net, other = gates(0, dtype), gates(1, dtype)
    assert (net.parameters != other.parameters).any()
    padding = net._model.arena.copy()
    net.parameters = other.parameters
    assert parameters(net) == parameters(other)
    assert (net._model.arena == other._model.arena).all()  # padding is zero
    assert padding.shape == net._model.arena.shape
    net.parameters = list(range(net.n_parameters))
    assert (net.parameters == np.arange(net.n_parameters)).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda flat: flat[1:], ShapeError),
        (lambda flat: flat[None], ShapeError),
        (lambda flat: np.where(np.arange(len(flat)) == 9, np.nan, flat), InputError),
        (lambda flat: flat.astype(str), DTypeError),
    ],
)
def test_unusable_parameters_change_nothing(change, error):
    net = gates()
    before = parameters(net)
    with pytest.raises(error, match="parameters"):
        net.parameters = change(net.parameters)
    assert parameters(net) == before


def test_a_target_network_follows(dtype):
    net, target = gates(0, dtype), gates(1, dtype)
    target.layers[0].trainable = False
    own, other = target.parameters.astype(float), net.parameters.astype(float)
    target.lerp(net, 0.25)
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        target.parameters, 0.75 * own + 0.25 * other, rtol=tolerance, atol=tolerance
    )
    assert (net.parameters == other).all()
    before = parameters(target)
    target.lerp(net, 0)
    assert parameters(target) == before
    target.lerp(net, 1)
    assert parameters(target) == parameters(net)
    assert not target.layers[0].trainable
    x, _ = classes(dtype=dtype)
    assert (target.predict(x) == net.predict(x)).all()


@pytest.mark.parametrize(
    ("other", "tau"),
    [
        (gates(dtype="float64"), 0.5),
        (gates(units=4), 0.5),
        (classifier(), 0.5),
        (None, 0.5),
        (gates(1), -0.1),
        (gates(1), 1.5),
        (gates(1), np.nan),
        (gates(1), "half"),
    ],
)
def test_networks_that_cannot_be_followed(other, tau):
    net = gates()
    before = parameters(net)
    with pytest.raises(ConfigError, match=r"^(other|tau):"):
        net.lerp(other, tau)
    assert parameters(net) == before


def test_networks_of_other_activations_cannot_be_followed():
    with pytest.raises(ConfigError, match="other"):
        classifier(hidden="tanh").lerp(classifier(hidden="relu"), 0.5)


def test_layers_keep_their_weights_when_asked():
    old = gates(1)
    old.layers[0].trainable = False
    new = fb.Dense(4, "softmax")
    kept = fb.Network(5, [*old.layers[:2], new], seed=2, keep_weights=True)
    fresh = fb.Network(5, [*old.layers[:2], new], seed=2)
    n = sum(layer.weight.size + layer.bias.size for layer in old.weighted_layers[:-1])
    assert (kept.parameters[:n] == old.parameters[:n]).all()
    assert (kept.parameters[n:] == fresh.parameters[n:]).all()
    assert (fresh.parameters[:n] != old.parameters[:n]).any()
    assert not kept.layers[0].trainable
    kept.layers[1].projection.weight[...] = 0  # copies
    assert old.layers[1].projection.weight.any()


def test_weights_are_kept_in_another_dtype_and_within_a_new_residual():
    old = fb.Network(5, [fb.Dense(5), fb.Dense(3)], seed=1)
    layers = [fb.Residual([old.layers[0]]), fb.Dense(2), fb.Maxout(2)]
    new = fb.Network(5, layers, "float64", seed=2, keep_weights=True)
    assert (new.layers[0].layers[0].weight == old.layers[0].weight).all()


@pytest.mark.parametrize("which", [(1,), (0, 2), (2, 0)])
def test_weights_that_do_not_fit_are_refused_by_name(which):
    old = gates()
    with pytest.raises(ShapeError, match=r"^layers\[\d\]"):
        fb.Network(6, [old.layers[i] for i in which], keep_weights=True)


def test_keep_weights_is_a_flag():
    with pytest.raises(ConfigError, match="keep_weights"):
        fb.Network(2, [fb.Dense(2)], keep_weights=1)
