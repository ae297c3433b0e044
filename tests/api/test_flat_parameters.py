"""`Network.flat_parameters`: names, places and views of the engine's memory."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from gate_networks import STACKS, network

import fastbp as fb


@pytest.mark.parametrize("name", STACKS)
def test_names_places_and_views_agree(name):
    net = network(name, "float32")
    flat, theta = net.flat_parameters, net.parameters
    assert len(flat) == len(flat.names) == 2 * len(net.weighted_layers)
    for i, layer in enumerate(net.weighted_layers):
        for part in ("weight", "bias"):
            key, view = f"layers.{i}.{part}", getattr(layer, part)
            assert np.shares_memory(flat[key], view)
            assert np.shares_memory(flat[key], flat.array)
            np.testing.assert_array_equal(flat[key], view)
            np.testing.assert_array_equal(theta[flat.slices[key]], view.ravel())
            places = sum(
                np.arange(n).reshape([-1 if a == axis else 1 for a in range(view.ndim)]) * step
                for axis, (n, step) in enumerate(zip(view.shape, flat.strides[key], strict=True))
            )
            np.testing.assert_array_equal(flat.array[flat.offsets[key] + places], view)
    assert np.abs(flat.array).sum() == pytest.approx(np.abs(theta).sum(), rel=1e-5)


def test_writes_are_seen_and_the_padding_cannot_be_written():
    net = fb.Network(3, [fb.Dense(5, "tanh"), fb.Dense(2)], seed=0)
    flat, x = net.flat_parameters, np.ones((1, 3))
    before = net.predict(x)
    flat["layers.1.bias"][:] = [1, 2]
    np.testing.assert_allclose(net.predict(x), before + np.array([1, 2]), rtol=1e-6)
    flat["layers.1.weight"] = np.zeros((5, 2))
    np.testing.assert_array_equal(net.predict(x), [[1, 2]])
    whole = np.asarray(flat)
    assert np.shares_memory(whole, net.layers[0].weight)
    assert whole.size > net.n_parameters
    for array in (flat.array, whole, whole[:]):
        with pytest.raises(ValueError, match="read-only"):
            array += 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    assert np.array(flat).flags.writeable
    assert np.asarray(flat, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(flat), whole)


def test_views_outlive_the_network():
    net = fb.Network(3, [fb.Dense(5)], seed=0)
    weight, array, copy = (
        net.flat_parameters["layers.0.weight"],
        net.flat_parameters.array,
        net.parameters,
    )
    del net
    gc.collect()
    filler = [fb.Network(3, [fb.Dense(5)], seed=i) for i in range(20)]
    np.testing.assert_array_equal(weight.ravel(), copy[:15])
    assert np.abs(array).sum() == pytest.approx(np.abs(copy).sum())
    del filler


def test_gradients_flatten_in_the_order_of_the_parameters():
    net = network("projection")
    x = np.random.default_rng(0).normal(size=(4, net.n_inputs))
    pairs = net.gradients_from(x, np.ones((4, net.n_outputs)))
    vector = net.flat_parameters.flatten(pairs)
    eps, theta = 1e-6, net.parameters
    direction = np.cos(np.arange(theta.size))
    sides = []
    for step in (eps, -eps):
        net.parameters = theta + step * direction
        sides.append(net.predict(x).sum())
    assert vector @ direction == pytest.approx((sides[0] - sides[1]) / (2 * eps), rel=1e-7)


def test_scipy_minimises_over_the_vector():
    optimize = pytest.importorskip("scipy.optimize")
    net = fb.Network(2, [fb.Dense(4, "tanh"), fb.Dense(1)], "float64", seed=0)
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = np.sin(x.sum(axis=1, keepdims=True))

    def value_and_slope(theta):
        net.parameters = theta
        loss, pairs = net.gradients(x, y, "mse")
        return loss, net.flat_parameters.flatten(pairs)

    found = optimize.minimize(value_and_slope, net.parameters, jac=True)
    assert found.fun < 1e-3


def test_what_is_wrong_is_named():
    net = fb.Network(3, [fb.Dense(5)], seed=0)
    flat = net.flat_parameters
    for bad in ("layers.1.weight", "layers.0.Weight", "layers.00.bias", "weight", 3, None):
        with pytest.raises(KeyError, match="name: got"):
            flat[bad]
    with pytest.raises(fb.errors.ShapeError, match="weight: got shape"):
        flat["layers.0.weight"] = np.zeros((2, 5))
    with pytest.raises(fb.errors.ConfigError, match="gradients: got a list of 0"):
        flat.flatten([])
    with pytest.raises(fb.errors.ShapeError, match=r"gradients\[0\]\[1\]: got shape"):
        flat.flatten([(np.zeros((3, 5)), np.zeros(4))])


def test_assigning_while_another_thread_trains_is_busy():
    net = fb.Network(3, [fb.Dense(5)], seed=0)
    inside, done = threading.Event(), threading.Event()

    def train():
        def wait(trainer, history):
            inside.set()
            done.wait(10)

        fb.Trainer(net, "mse").fit(np.ones((4, 3)), np.ones((4, 5)), callbacks=[wait])

    thread = threading.Thread(target=train)
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(fb.errors.BusyError):
            net.flat_parameters["layers.0.bias"] = np.zeros(5)
    finally:
        done.set()
        thread.join()
