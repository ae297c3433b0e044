"""The standardizer and its folding into a network's first and last layer."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp.errors import ConfigError
from fastbp.preprocess import Standardizer


@pytest.fixture
def x(rng) -> np.ndarray:
    return (rng.standard_normal((200, 3)) * [0.01, 1, 1000] + [5, 0, -300]).astype(np.float32)


def test_columns_have_mean_0_and_deviation_1(x):
    z = Standardizer.fit(x).transform(x)
    assert z.dtype == np.float32
    assert z.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-4)
    assert z.std(axis=0) == pytest.approx([1, 1, 1], rel=1e-4)


def test_shared_scale_keeps_the_columns_in_proportion(x):
    standardizer = Standardizer.fit(x, shared=True)
    z = standardizer.transform(x)
    assert (standardizer.mean.shape, standardizer.scale.shape) == ((1,), (1,))
    assert (z.mean(), z.std()) == pytest.approx((0, 1), abs=1e-4)
    assert np.ptp(z[:, 2]) / np.ptp(z[:, 1]) == pytest.approx(np.ptp(x[:, 2]) / np.ptp(x[:, 1]))


@pytest.mark.parametrize("value", [0, 7, 0.1, -1e6, 1e-30])
def test_a_constant_column_keeps_its_unit(value):
    x = np.full((1000, 1), value, np.float32)
    standardizer = Standardizer.fit(x)
    assert standardizer.scale == 1
    assert not standardizer.transform(x).any()


def test_a_rare_value_is_not_far_away():
    x = np.zeros((10_000, 1), np.float32)
    x[0] = 1
    assert Standardizer.fit(x).transform(x).max() == pytest.approx(20)


@pytest.mark.parametrize("shared", [False, True])
def test_folded_into_inputs(x, shared):
    network = fb.Network(3, [fb.Dense(5, "tanh"), fb.Dense(2, "softmax")], "float64", seed=0)
    standardizer = Standardizer.fit(x.astype(np.float64), shared)
    wanted = network.predict(standardizer.transform(x.astype(np.float64)))
    assert np.ptp(wanted[:, 0]) > 0.05
    standardizer.fold_into_inputs(network)
    assert network.predict(x) == pytest.approx(wanted, rel=1e-9)


def test_folded_into_outputs(x):
    network = fb.Network(3, [fb.Dense(5, "tanh"), fb.Dense(2)], "float64", seed=0)
    targets = np.array([[1.0, 100], [3, 900], [8, 400]])
    standardizer = Standardizer.fit(targets)
    wanted = network.predict(x) * standardizer.scale + standardizer.mean
    standardizer.fold_into_outputs(network)
    assert network.predict(x) == pytest.approx(wanted, rel=1e-9)


def test_only_a_linear_output_can_be_scaled():
    network = fb.Network(3, [fb.Dense(1, "sigmoid")], seed=0)
    with pytest.raises(ConfigError, match="last layer: got sigmoid, wanted linear"):
        Standardizer.fit(np.arange(4.0)).fold_into_outputs(network)
