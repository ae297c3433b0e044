"""Central differences over the whole matrix: activation or gate x loss x depth, penalties, weights.

The smooth activations, and gates made of them. Losses with kinks are kept away from them by the
choice of a seed; a max gate within EPS of a tie would show as an error.
"""

from __future__ import annotations

import numpy as np
import pytest
from loss_cases import LOSSES, needed, targets
from networks import SLOPED

import fastbp as fb

TOLERANCE, EPS, FAR = 1e-6, 1e-6, 1e-3
ROWS, INPUTS, OUTPUTS = 5, 3, 3
SMOOTH = [name for name in SLOPED if name not in ("relu", "leaky_relu", "selu", "softmax")]
GATES = {
    "maxout": lambda: fb.Maxout(4, 3),
    "gated": lambda: fb.Gated(4),
    "gated gelu": lambda: fb.Gated(4, "gelu"),
    "residual": lambda: fb.Residual([fb.Dense(4, "tanh"), fb.Dense(4)]),
    "nested": lambda: fb.Residual(
        [fb.Maxout(5, 2), fb.Residual([fb.Gated(5, "silu")]), fb.Dense(4)]
    ),
}
PENALTIES = {"l1": 0.01, "l2": 0.1, "penalize_bias": True}


def layer(name):
    return GATES[name]() if name in GATES else fb.Dense(4, name)


def kinks(net, x, y, loss):
    """How near the loss is to a kink."""
    out = net.predict(x)
    if loss in ("mae", "quantile"):
        near = abs(out - y)
    elif loss == "huber":
        near = abs(abs(out - y) - LOSSES[loss].delta)
    elif loss in ("hinge", "perceptron"):
        near = abs((LOSSES[loss].margin if loss == "hinge" else 0) - y * out)
    elif loss == "multiclass_hinge":
        wanted = (out * y).sum(axis=1, keepdims=True)
        near = abs(out - wanted + LOSSES[loss].margin)
    else:
        near = np.ones(1)
    return near.min()


def problem(name, loss, depth):
    """The first seed whose network and rows are far from every kink of the loss."""
    for seed in range(100):
        rng = np.random.default_rng([depth, seed])
        hidden = [layer(name) for _ in range(depth - 1)]
        output = fb.Dense(OUTPUTS, needed(loss, name if name in SMOOTH else "linear"))
        net = fb.Network(INPUTS, [*hidden, output], dtype="float64", seed=seed)
        for i, one in enumerate(net.weighted_layers):
            if (
                name == "sigmoid"
            ):  # else gradients vanish with depth, down to the rounding of a difference
                one.weight[...] *= 4
                one.bias[...] = -one.weight.sum(axis=0) / 2 if i else 0
            for values in (one.weight, one.bias):  # not near the kink of l1
                values[...] += np.where(values < 0, -0.1, 0.1)
        x = rng.standard_normal((ROWS, INPUTS))
        if (name, loss) == ("nested", "poisson"):  # e^z of four of them would be no number
            x *= 0.2
        y = targets(loss, (ROWS, OUTPUTS), rng)
        if kinks(net, x, y, loss) > FAR:
            return net, x, y
    raise AssertionError("every seed is near a kink")


def check(name, loss, depth, **options):
    net, x, y = problem(name, loss, depth)
    found = fb.gradient_check(net, x, y, LOSSES[loss], eps=EPS, tolerance=TOLERANCE, **options)
    assert found.passed, (loss, depth, found)
    _, gradients = net.gradients(x, y, LOSSES[loss])
    assert any(abs(dw).max() > 1e-3 for dw, _ in gradients)


@pytest.mark.parametrize("name", [*SMOOTH, *GATES])
def test_gradients(name):
    """Each loss at one depth, by turns: all four with each layer and each loss."""
    turn = [*SMOOTH, *GATES].index(name)
    for i, loss in enumerate(LOSSES):
        check(name, loss, 1 + (turn + i) % 4)


@pytest.mark.parametrize("name", ["tanh", "gelu", *GATES])
def test_with_penalties_and_weights_of_rows(name):
    turn = ["tanh", "gelu", *GATES].index(name)
    for loss in list(LOSSES)[turn % 3 :: 3]:  # each with a layer and with gates
        check(name, loss, 3, sample_weight=[0.5, 2.0, 1.0, 0.0, 3.0], **PENALTIES)
