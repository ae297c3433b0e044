"""The reference against numerical derivatives and values worked out by hand, in float64."""

from __future__ import annotations

from itertools import pairwise

import loss_cases
import numpy as np
import pytest
from loss_cases import PARAMETERS
from networks import LOSSES_OF_PAIRS, PAIRS, SLOPED, outputs_of

from fastbp import reference

EPS = 1e-6  # step of the central differences
RTOL = 1e-6  # of the largest derivative in the array


def targets(rng, shape, loss):
    if loss == "cross_entropy":
        return rng.dirichlet(np.ones(shape[1]), shape[0])
    return loss_cases.targets(loss, shape, rng)


def mean_loss(weights, biases, activations, x, target, loss, parameter=0.0):
    return reference.gradients(weights, biases, activations, x, target, loss, parameter)[0]


def central_differences(f, array):
    """Numerical df/darray, f reading the array in place."""
    slope = np.empty_like(array)
    for i in np.ndindex(array.shape):
        kept = array[i]
        array[i] = kept + EPS
        above = f()
        array[i] = kept - EPS
        below = f()
        array[i] = kept
        slope[i] = (above - below) / (2 * EPS)
    return slope


HIDDEN = [*SLOPED, ("leaky_relu", 0.3), ("elu", 1.7)]


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS)
def test_gradients_agree_with_central_differences(rng, loss):
    """Each output with two hidden activations: a layer knows nothing of its neighbours."""
    for i, output in enumerate(outputs_of(loss)):
        turn = 2 * i + LOSSES_OF_PAIRS.index(loss)
        for hidden in (HIDDEN[turn % len(HIDDEN)], HIDDEN[(turn + 1) % len(HIDDEN)]):
            assert_central_differences(rng, loss, output, hidden)


def assert_central_differences(rng, loss, output, hidden):
    sizes, activations = [3, 4, 5, 2], [hidden, "tanh", output]
    weights = [rng.standard_normal(pair) for pair in pairwise(sizes)]
    biases = [rng.standard_normal(n) + 1 for n in sizes[1:]]  # so that no relu layer is dead
    x, target = rng.standard_normal((6, 3)), targets(rng, (6, 2), loss)
    network = weights, biases, activations, x, target, loss, PARAMETERS[loss]

    value, pairs, dx = reference.gradients(*network)
    assert value == pytest.approx(mean_loss(*network))
    for parameter, analytic in [
        (x, dx),
        *zip(weights, (dw for dw, _ in pairs), strict=True),
        *zip(biases, (db for _, db in pairs), strict=True),
    ]:
        numerical = central_differences(lambda: mean_loss(*network), parameter)
        assert numerical.any()
        np.testing.assert_allclose(
            analytic,
            numerical,
            rtol=0,
            atol=RTOL * max(1, abs(numerical).max()),
            err_msg=f"{loss} of {output} above {hidden}",
        )


@pytest.mark.parametrize("name", list(reference.ACTIVATIONS))
def test_activation_delta_agrees_with_central_differences(rng, name):
    f, delta, from_z = reference.ACTIVATIONS[name]
    z, dy = rng.standard_normal((2, 7, 5))
    numerical = central_differences(lambda: (dy * f(z)).sum(), z)
    np.testing.assert_allclose(delta(dy, z if from_z else f(z)), numerical, rtol=0, atol=1e-8)


def test_activations_by_hand():
    z = np.array([-2.0, 0, 3])
    below = np.exp(-2) - 1
    normal = 0.0227501319481792  # P(Z <= -2)
    for name, want in [
        (("leaky_relu", 0.1), [-0.2, 0, 3]),
        (("elu", 0.5), [0.5 * below, 0, 3]),
        ("elu", [below, 0, 3]),
        ("selu", [1.0507009873554805 * 1.6732632423543772 * below, 0, 3 * 1.0507009873554805]),
        ("softplus", [np.log1p(np.exp(-2)), np.log(2), np.log(1 + np.exp(3))]),
        ("gelu", [-2 * normal, 0, 3 * 0.9986501019683699]),
        ("silu", [-2 / (1 + np.exp(2)), 0, 3 / (1 + np.exp(-3))]),
        ("sign", [-1, 0, 1]),
        ("step", [0, 0, 1]),
    ]:
        np.testing.assert_allclose(reference.activation_of(name).f(z), want, rtol=1e-14)


@pytest.mark.parametrize("name", list(reference.ACTIVATIONS))
def test_activations_survive_huge_arguments_without_a_warning(name):
    z = np.array([[-1e4, -1e4, 1e4, 0.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        f, delta, from_z = reference.ACTIVATIONS[name]
        y = f(z)
        assert np.isfinite(y).all()
        assert np.isfinite(delta(np.ones_like(z), z if from_z else y)).all()


def test_losses_by_hand():
    y, t = np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]])
    # 1/2 (1 + 4) and slope y - t; the mean of 1 and 4 and slope 2 (y - t) / 2
    delta, row, _ = reference.loss_delta(y, t, "squared_error", "linear")
    assert row[0] == 2.5
    assert delta.tolist() == [[1, 2]]
    delta, row, _ = reference.loss_delta(y, t, "mse", "linear", scale=0.5)
    assert row[0] == 2.5
    assert delta.tolist() == [[0.5, 1]]
    # logits log 1 and log 3: p = 1/4 and 3/4, the loss -log 3/4
    z = np.log([[1.0, 3.0]])
    delta, row, correct = reference.loss_delta(z, t, "cross_entropy", "softmax")
    assert row[0] == pytest.approx(np.log(4 / 3))
    assert delta[0] == pytest.approx([0.25, -0.25])
    assert correct.all()
    # logit log 3: p = 3/4, the loss of t = 1/2 is -1/2 log 3/4 - 1/2 log 1/4
    z, t = np.log([[3.0]]), np.array([[0.5]])
    delta, row, correct = reference.loss_delta(z, t, "binary_cross_entropy", "sigmoid")
    assert row[0] == pytest.approx(-0.5 * np.log(3 / 16))
    assert delta[0, 0] == pytest.approx(0.25)
    assert not correct.any()


def test_fused_losses_equal_the_plain_formula_of_probabilities(rng):
    z = rng.standard_normal((9, 4))
    t = targets(rng, (9, 4), "cross_entropy")
    p = reference.ACTIVATIONS["softmax"].f(z)
    row = reference.loss_delta(z, t, "cross_entropy", "softmax")[1]
    np.testing.assert_allclose(row, -(t * np.log(p)).sum(axis=1), rtol=1e-12)
    p = reference.ACTIVATIONS["sigmoid"].f(z)
    row = reference.loss_delta(z, t, "binary_cross_entropy", "sigmoid")[1]
    np.testing.assert_allclose(
        row, -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=1), rtol=1e-12
    )


def test_fused_losses_refuse_another_output():
    with pytest.raises(ValueError, match="softmax"):
        reference.loss_delta(np.ones((1, 2)), np.ones((1, 2)), "cross_entropy", "tanh")


def test_update_rules_by_hand():
    # x = 3, dy = 1/2, w = 2, v = 1: g = 3/2 (+ 2 * 1/4 * 2 = 5/2 with l2); db = 1/2
    one = np.ones((1, 1))
    layer = 2 * one, 4 * one[0], (one, 2 * one[0]), 3 * one, 0.5 * one

    def values(rule, *scalars):
        w, b, (vw, vb) = reference.dense_update(*layer, rule, *scalars)
        return w.item(), b.item(), vw.item(), vb.item()

    assert values("gradient") == (1.5, 0.5, 1, 2)
    assert values("sgd", 0.1) == pytest.approx((1.85, 3.95, 1, 2))
    assert values("sgd", 0.1, 0, 0.25) == pytest.approx((1.75, 3.95, 1, 2))
    # v = 0.5 * 1 + 1.5 = 2, v_b = 0.5 * 2 + 0.5 = 1.5
    assert values("momentum", 0.1, 0.5) == pytest.approx((1.8, 3.85, 2, 1.5))
    # steps 1.5 + 0.5 * 2 = 2.5 and 0.5 + 0.5 * 1.5 = 1.25
    assert values("nesterov", 0.1, 0.5) == pytest.approx((1.75, 3.875, 2, 1.5))


def test_step_moves_down_the_penalised_loss(rng):
    weights, biases = [rng.standard_normal((3, 2))], [rng.standard_normal(2)]
    x, target = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    zeros = [(np.zeros((3, 2)), np.zeros(2))]
    l2 = 0.3

    def objective(w, b):
        return mean_loss([w], [b], ["tanh"], x, target, "mse") + l2 * (w**2).sum()

    loss, new_weights, new_biases, _ = reference.sgd_step(
        weights, biases, zeros, ["tanh"], x, target, "mse", learning_rate=1e-3, l2=l2
    )
    assert loss == mean_loss(weights, biases, ["tanh"], x, target, "mse")
    slope = central_differences(lambda: objective(weights[0], biases[0]), weights[0])
    np.testing.assert_allclose(weights[0] - 1e-3 * slope, new_weights[0], rtol=1e-7)
    assert objective(new_weights[0], new_biases[0]) < objective(weights[0], biases[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_stays_in_the_dtype_of_its_input(rng, dtype):
    weights, biases = [rng.standard_normal((3, 2)).astype(dtype)], [np.ones(2, dtype)]
    x, target = rng.random((4, 3)).astype(dtype), np.eye(2, dtype=dtype)[[0, 1, 0, 0]]
    zeros = [(np.zeros((3, 2), dtype), np.zeros(2, dtype))]
    for loss, activation in PAIRS:
        options = "nesterov", 0.1, 0.9, 1e-3, PARAMETERS[loss]
        step = reference.sgd_step(weights, biases, zeros, [activation], x, target, loss, *options)
        arrays = [*step[1], *step[2], *step[3][0]]
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}
