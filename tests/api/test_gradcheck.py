"""gradient_check: every activation and loss passes it, and a wrong gradient does not."""

from __future__ import annotations

import numpy as np
import pytest
from loss_cases import LOSSES, needed, targets
from networks import SLOPED
from training import parameters

import fastbp as fb
from fastbp import errors, gradcheck, losses

# Relative to the larger gradient; of smooth functions the rounding of the loss is what remains.
TOLERANCE = 1e-6
# Two hidden softmax layers flatten the gradients to a thousandth of the loss, whose rounding shows.
HIDDEN_SOFTMAX_TOLERANCE = 1e-5
ROWS, SEED = 5, 3


def problem(loss, output, hidden="tanh", dtype="float64", n_outputs=3):
    """A network with biases that are not zero, rows, and targets in the loss's domain."""
    bias = fb.initializers.Normal(0.5)
    layers = [
        fb.Dense(4, hidden, bias_init=bias),
        fb.Dense(3, hidden, bias_init=bias),
        fb.Dense(n_outputs, output, bias_init=bias),
    ]
    network = fb.Network(3, layers, dtype=dtype, seed=SEED)
    rng = np.random.default_rng(SEED)
    x, y = rng.standard_normal((ROWS, 3)), rng.dirichlet([1] * n_outputs, ROWS)
    if LOSSES[loss].targets in ("sign", "count", "one_hot"):
        y = targets(loss, y.shape, np.random.default_rng(SEED))
    return network, x, y


def outputs_of(loss):
    """The output activations that it allows, or the one in whose z it is defined."""
    allowed = LOSSES[loss].outputs[:1] or SLOPED
    return [name for name in SLOPED if name in allowed]


@pytest.mark.parametrize("loss", list(LOSSES))
def test_every_loss_and_output(loss):
    for output in outputs_of(loss):
        check = fb.gradient_check(*problem(loss, output), LOSSES[loss])
        assert check.passed
        assert check.max_error < TOLERANCE, (output, check)


@pytest.mark.parametrize("hidden", ["relu", "leaky_relu", "selu", "softmax"])
def test_hidden_activations_that_are_not_in_the_gradient_matrix(hidden):
    for loss in LOSSES:
        network, x, y = problem(loss, needed(loss, "linear"), hidden)
        # Within eps of a kink there is no central difference.
        assert hidden == "softmax" or np.abs(pre_activations(network, x)).min() > 1e-3
        check = fb.gradient_check(network, x, y, LOSSES[loss])
        tolerance = HIDDEN_SOFTMAX_TOLERANCE if hidden == "softmax" else TOLERANCE
        assert check.max_error < tolerance, (loss, check)


def pre_activations(network, x):
    """Every z of the hidden layers."""
    below = [x, *network.activations(x)]
    pairs = zip(below, network.layers[:-1], strict=False)
    return np.concatenate([a @ layer.weight + layer.bias for a, layer in pairs], axis=1)


PENALTIES = [{"l2": 0.1}, {"l1": 0.1}, {"l1": 0.1, "l2": 0.2, "penalize_bias": True}]


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("penalties", PENALTIES, ids=str)
def test_penalties(loss, penalties):
    network, x, y = problem(loss, needed(loss, "tanh"))
    for layer in network.layers:  # away from the kink of l1
        layer.bias[...] = np.where(abs(layer.bias) < 0.01, 0.3, layer.bias)
        layer.weight[...] = np.where(abs(layer.weight) < 1e-4, 0.3, layer.weight)
    check = fb.gradient_check(network, x, y, loss, **penalties)
    assert check.max_error < TOLERANCE, check


def test_label_smoothing():
    loss = losses.CrossEntropy(label_smoothing=0.2)
    network, x, y = problem("cross_entropy", "softmax")
    check = fb.gradient_check(network, x, y, loss)
    assert check.max_error < TOLERANCE, check
    check = fb.gradient_check(network, x, [0, 1, 2, 1, 0], loss)
    assert check.max_error < TOLERANCE, check


def test_classes_and_one_output():
    network, x, _ = problem("cross_entropy", "softmax")
    check = fb.gradient_check(network, x, [0, 1, 2, 1, 0], "cross_entropy")
    assert check.max_error < TOLERANCE, check
    network, x, _ = problem("binary_cross_entropy", "sigmoid", n_outputs=1)
    check = fb.gradient_check(network, x, [0, 1, 1, 1, 0], "binary_cross_entropy")
    assert check.max_error < TOLERANCE, check


def test_float32_networks_are_checked_in_float64():
    network, x, y = problem("mse", "tanh", dtype="float32")
    before = parameters(network)
    assert fb.gradient_check(network, x, y, "mse").max_error < TOLERANCE
    assert parameters(network) == before


def test_a_wrong_gradient_is_found_and_named(monkeypatch):
    network, x, y = problem("mse", "tanh")
    honest = gradcheck._central_differences

    def off_at_one_weight(objective, values, eps):
        result = honest(objective, values, eps)
        if values.shape == (4, 3):
            result[2, 1] *= 1.01
        return result

    monkeypatch.setattr(gradcheck, "_central_differences", off_at_one_weight)
    check = fb.gradient_check(network, x, y, "mse")
    assert not check.passed
    assert check.layers[1].worst == "weight[2, 1]"
    assert check.layers[1].max_error == pytest.approx(0.01, rel=0.02)
    assert check.layers[0].max_error < TOLERANCE
    assert [(row.wrong, row.checked) for row in check.layers] == [(0, 16), (1, 15), (0, 12)]
    assert "FAILED" in str(check)
    assert "weight[2, 1]" in str(check)
    assert str(check).splitlines()[-1].startswith("start at 1 Dense(3, 'tanh'): few are wrong")


def test_a_lost_factor_is_named_where_it_was_lost(monkeypatch):
    network, x, y = problem("mse", "tanh")
    honest = gradcheck._central_differences

    def half_below_the_output(objective, values, eps):
        return honest(objective, values, eps) * (1 if values.shape in ((3, 3), (3,)) else 2)

    monkeypatch.setattr(gradcheck, "_central_differences", half_below_the_output)
    check = fb.gradient_check(network, x, y, "mse")
    assert [(row.wrong, row.checked) for row in check.layers] == [(16, 16), (12, 15), (0, 12)]
    last = str(check).splitlines()[-1]
    assert last.startswith("start at 1 Dense(3, 'tanh'): most are wrong")
    assert "by the factor 0.5:" in last


def test_a_relu_at_its_kink_is_told_from_a_wrong_formula():
    network = fb.Network(2, [fb.Dense(5, "relu"), fb.Dense(1)], dtype="float64", seed=0)
    network.layers[0].weight[:, 0] = network.layers[0].bias[0] = 0
    check = fb.gradient_check(network, [[1.0, 2.0]], [[3.0]], "mse")
    assert not check.passed
    assert check.layers[0].wrong == 3
    assert "few are wrong: a kink" in str(check)


def test_nan_is_no_pass():
    network, x, y = problem("mse", "linear", "linear")
    for layer in network.layers:
        layer.weight[...] = 1e200
    with np.errstate(all="ignore"):
        check = fb.gradient_check(network, x, y, "mse")
    assert not check.passed
    assert check.max_error == np.inf
    assert "not a number" in str(check)


def test_a_network_without_gradient_passes_and_says_so():
    network, x, _ = problem("mse", "linear")
    for layer in network.layers:
        layer.weight[...] = layer.bias[...] = 0
    check = fb.gradient_check(network, x, np.zeros((ROWS, 3)), "mse")
    assert (check.max_error, check.passed, check.all_zero) == (0, True, True)
    assert "but ALL GRADIENTS ARE ZERO" in str(check).splitlines()[0]
    check = fb.check_loss(lambda y, t: (np.zeros(len(y)), 0 * y), np.ones((2, 3)), np.ones((2, 3)))
    assert (check.passed, check.all_zero) == (True, True)


def test_a_layer_below_dead_units_is_named():
    network, x, y = problem("mse", "linear", hidden="relu")
    assert "zero" not in str(fb.gradient_check(network, x, y, "mse"))
    network.layers[1].bias = [-1e3] * 3  # dead for all rows
    check = fb.gradient_check(network, x, y, "mse")
    assert (check.passed, check.all_zero) == (True, False)
    assert [layer.nonzero for layer in check.layers] == [0, 0, 3]  # the biases of the outputs
    assert "all gradients of 1 Dense(3, 'relu'" in str(check).splitlines()[-1]


def test_str_is_a_table():
    lines = str(fb.gradient_check(*problem("mse", "tanh"), "mse")).splitlines()
    assert lines[0].startswith("gradient check passed: largest relative error")
    assert lines[1].split() == ["layer", "wrong", "error", "worst", "analytic", "numerical"]
    assert [line[:10] for line in lines[2:]] == ["0 Dense(4,", "1 Dense(3,", "2 Dense(3,"]
    assert [line[27:39].strip() for line in lines[2:]] == ["0 of 16", "0 of 15", "0 of 12"]


@pytest.mark.parametrize(
    "option", [{"eps": 0}, {"eps": -1}, {"tolerance": 0}, {"l2": -1}, {"l1": -1}]
)
def test_bad_options(option):
    with pytest.raises(errors.ConfigError, match=f"{next(iter(option))}: got"):
        fb.gradient_check(*problem("mse", "tanh"), "mse", **option)
