"""SGD: its options, its learning rates, and one step of each rule worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, "0.1", None, True, [0.1]])
def test_bad_learning_rate(rate):
    with pytest.raises(errors.ConfigError, match="learning_rate: got"):
        fb.SGD(rate)
    optimizer = fb.SGD(0.5)
    with pytest.raises(errors.ConfigError, match="learning_rate: got"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rates(0, 1).tolist() == [0.5]


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 2, np.nan, "0.9", None])
def test_bad_momentum(momentum):
    with pytest.raises(errors.ConfigError, match=r"momentum: got .* \[0, 1\)"):
        fb.SGD(0.1, momentum=momentum)


def test_nesterov_needs_momentum():
    with pytest.raises(errors.ConfigError, match="nesterov"):
        fb.SGD(0.1, nesterov=True)
    with pytest.raises(errors.ConfigError, match="nesterov"):
        fb.SGD(0.1, momentum=0.9, nesterov="yes")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, "sgd"),
        ({"momentum": 0.9}, "momentum"),
        ({"momentum": 0.9, "nesterov": True}, "nesterov"),
    ],
)
def test_rule(options, rule):
    assert fb.SGD(0.1, **options).rule == rule


@pytest.mark.parametrize("rate", [0.25, np.float32(0.25)])
def test_constant_rates(rate):
    optimizer = fb.SGD(rate)
    for first, count in ((0, 1), (5, 3), (2, 100), (0, 1)):
        rates = optimizer.learning_rates(first, count)
        assert rates.dtype == np.float64
        assert rates.tolist() == [0.25] * count


def test_setting_the_rate():
    optimizer = fb.SGD(0.25)
    optimizer.learning_rates(0, 10)
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rates(0, 3).tolist() == [0.5] * 3


def test_rates_of_a_callable():
    optimizer = fb.SGD(lambda step: 1 / (1 + step))
    assert optimizer.learning_rates(3, 2).tolist() == [1 / 4, 1 / 5]
    assert fb.SGD(lambda step: 0).learning_rates(0, 1).tolist() == [0]


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, None, "a"])
def test_bad_rates_of_a_callable_name_the_step(value):
    with pytest.raises(errors.ConfigError, match=r"learning_rate\(7\): got"):
        fb.SGD(lambda step: value).learning_rates(7, 1)


def test_repr_is_the_call():
    assert repr(fb.SGD(0.5, momentum=0.9, nesterov=True)) == "SGD(0.5, momentum=0.9, nesterov=True)"
    assert repr(fb.SGD(0.5)) == "SGD(0.5)"


def two_steps(optimizer, l2=0.0):
    """Weight and bias after two steps of y = w x + b from w = 2, b = 1 on x = 3, t = 4."""
    network = fb.Network(1, [fb.Dense(1)], dtype="float64", seed=0)
    network.layers[0].weight[...], network.layers[0].bias[...] = 2, 1
    owner = fb.Trainer(network, "squared_error", optimizer, l2=l2)
    owner.step([[3]], [4])
    owner.step([[3]], [4])
    return network.layers[0].weight.item(), network.layers[0].bias.item()


# First step: y = 7, dy = y - t = 3, so dw = 9, db = 3. With lr = 0.01:
def test_sgd_by_hand():
    # w = 2 - 0.09 = 1.91, b = 1 - 0.03 = 0.97; y = 6.7, dy = 2.7, dw = 8.1, db = 2.7.
    assert two_steps(fb.SGD(0.01)) == pytest.approx((1.91 - 0.081, 0.97 - 0.027), rel=1e-14)


def test_momentum_by_hand():
    # v = 9, 3 and so the same w, b; then v = 0.5 * 9 + 8.1 = 12.6 and 0.5 * 3 + 2.7 = 4.2.
    wanted = (1.91 - 0.126, 0.97 - 0.042)
    assert two_steps(fb.SGD(0.01, momentum=0.5)) == pytest.approx(wanted, rel=1e-14)


def test_nesterov_by_hand():
    # v = 9, 3; w = 2 - 0.01 * (9 + 4.5) = 1.865, b = 1 - 0.01 * 4.5 = 0.955.
    # y = 6.55, dy = 2.55, dw = 7.65; v = 12.15, 4.05; steps 7.65 + 6.075 and 2.55 + 2.025.
    wanted = (1.865 - 0.13725, 0.955 - 0.04575)
    optimizer = fb.SGD(0.01, momentum=0.5, nesterov=True)
    assert two_steps(optimizer) == pytest.approx(wanted, rel=1e-14)


def test_l2_by_hand():
    # dw = 9 + 2 * 0.1 * 2 = 9.4, db = 3: w = 1.906, b = 0.97.
    # y = 6.688, dy = 2.688, dw = 8.064 + 0.2 * 1.906 = 8.4452, db = 2.688.
    wanted = (1.906 - 0.084452, 0.97 - 0.02688)
    assert two_steps(fb.SGD(0.01), l2=0.1) == pytest.approx(wanted, rel=1e-14)


def test_the_constants_stay():
    """A trainer that has done a step would not see a change of them."""
    for optimizer in (fb.SGD(0.1, momentum=0.9), fb.AdamW(0.1), fb.RMSprop(), fb.Adagrad()):
        name = next(iter(optimizer.hyperparameters))
        with pytest.raises(TypeError):
            optimizer.hyperparameters[name] = 0.5
        with pytest.raises(AttributeError):
            optimizer.hyperparameters = {name: 0.5}
