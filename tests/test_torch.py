"""Loss and gradients against PyTorch's autograd: the same float64 weights and rows, 1e-10."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import losses
from fastbp._runtime import ACTIVATIONS, LOSSES

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

TOLERANCE = 1e-10  # absolute and relative to the largest entry of a gradient
N_INPUTS, HIDDEN, N_OUTPUTS, ROWS = 5, 6, 4, 37

F = torch.nn.functional

# By the names of the engine. What it has not yet is passed over.
TORCH_ACTIVATIONS = {
    "linear": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, dim=1),
    "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "gelu": F.gelu,  # by erf, not its tanh approximation
    "silu": F.silu,
}
NO_GRADIENT = {"sign", "step"}


def by_rows(rows):
    """A loss from the value of each row."""
    return lambda z, y, t: rows(z, y, t).sum(dim=1).mean()


def multiclass_hinge(z, y, t):
    """max(0, 1 + z_j - z_c) summed over all classes but the wanted one c."""
    wanted = (z * t).sum(dim=1, keepdim=True)
    return torch.relu(1 + z - wanted) * (1 - t)


# Of the logits z, the outputs y and the targets t; the second entry names the output activations
# that the loss takes (all if None), the third its targets.
TORCH_LOSSES = {
    "squared_error": (by_rows(lambda z, y, t: 0.5 * (y - t) ** 2), None, "real"),
    "mse": (lambda z, y, t: F.mse_loss(y, t), None, "real"),
    "mae": (lambda z, y, t: F.l1_loss(y, t), None, "real"),
    "huber": (lambda z, y, t: F.huber_loss(y, t), None, "real"),
    "quantile": (
        lambda z, y, t: torch.maximum(0.5 * (t - y), -0.5 * (t - y)).mean(), None, "real"
    ),
    "cross_entropy": (lambda z, y, t: F.cross_entropy(z, t), ["softmax"], "distribution"),
    "binary_cross_entropy": (
        by_rows(lambda z, y, t: F.binary_cross_entropy_with_logits(z, t, reduction="none")),
        ["sigmoid"],
        "unit",
    ),
    "poisson": (
        by_rows(lambda z, y, t: F.poisson_nll_loss(z, t, log_input=True, reduction="none")),
        ["linear"],
        "count",
    ),
    "hinge": (by_rows(lambda z, y, t: torch.relu(1 - t * z)), ["linear"], "sign"),
    "multiclass_hinge": (by_rows(multiclass_hinge), ["linear"], "one-hot"),
    "perceptron": (by_rows(lambda z, y, t: torch.relu(-t * z)), ["linear"], "sign"),
}  # fmt: skip


def targets(domain, rng):
    shape = (ROWS, N_OUTPUTS)
    return {
        "real": lambda: rng.standard_normal(shape),
        "distribution": lambda: rng.dirichlet([1.0] * N_OUTPUTS, ROWS),
        "unit": lambda: rng.random(shape),
        "count": lambda: rng.poisson(2.0, shape).astype(float),
        "sign": lambda: rng.choice([-1.0, 1.0], shape),
        "one-hot": lambda: np.eye(N_OUTPUTS)[rng.integers(0, N_OUTPUTS, ROWS)],
    }[domain]()


def cases():
    """(loss, hidden, output): every pair of loss and activation, hidden and at the output."""
    activations = [name for name in ACTIVATIONS if name in TORCH_ACTIVATIONS]
    for loss in (name for name in LOSSES if name in TORCH_LOSSES):
        outputs = TORCH_LOSSES[loss][1]
        first = "linear" if outputs is None else outputs[0]
        yield from ((loss, hidden, first) for hidden in activations)
        yield from ((loss, "tanh", output) for output in outputs or activations[1:])


def network(hidden, output):
    bias = fb.initializers.Normal(0.5)
    layers = [
        fb.Dense(HIDDEN, hidden, bias_init=bias),
        fb.Dense(HIDDEN + 1, hidden, bias_init=bias),
        fb.Dense(N_OUTPUTS, output, bias_init=bias),
    ]
    return fb.Network(N_INPUTS, layers, dtype="float64", seed=4)


def autograd(net, x, y, loss):
    """Loss, gradients and dx as torch has them."""
    parameters = [
        torch.tensor(np.array(p), requires_grad=True)
        for layer in net.layers
        for p in (layer.weight, layer.bias)
    ]
    rows = torch.tensor(x, requires_grad=True)
    output = rows
    for layer, weight, bias in zip(net.layers, parameters[::2], parameters[1::2], strict=True):
        z = output @ weight + bias
        output = TORCH_ACTIVATIONS[layer.activation](z)
    value = TORCH_LOSSES[loss][0](z, output, torch.tensor(y))
    value.backward()
    return value.item(), [p.grad.numpy() for p in parameters], rows.grad.numpy()


def assert_same(net, x, y, loss, given=None):
    value, pairs, dx = net.gradients(x, y if given is None else given, loss, inputs=True)
    wanted, gradients, wanted_dx = autograd(net, x, y, loss)
    assert abs(value - wanted) <= TOLERANCE * max(1, abs(wanted))
    assert np.abs(wanted_dx).max() > 1e-6  # something came back all the way
    ours = [gradient for pair in pairs for gradient in pair]
    for got, true in zip([*ours, dx], [*gradients, wanted_dx], strict=True):
        assert got.shape == true.shape
        np.testing.assert_allclose(got, true, rtol=0, atol=TOLERANCE * max(1, np.abs(true).max()))


@pytest.mark.parametrize(("loss", "hidden", "output"), list(cases()))
def test_loss_and_gradients(loss, hidden, output, rng):
    x = rng.standard_normal((ROWS, N_INPUTS))
    assert_same(network(hidden, output), x, targets(TORCH_LOSSES[loss][2], rng), loss)


@pytest.mark.parametrize("rows", [1, 8, 9, 300])
def test_every_way_to_share_out_the_rows(rows, rng):
    x, y = rng.standard_normal((rows, N_INPUTS)), rng.dirichlet([1.0] * N_OUTPUTS, rows)
    assert_same(network("relu", "softmax"), x, y, "cross_entropy")


@pytest.mark.parametrize(
    ("loss", "output"), [("cross_entropy", "softmax"), ("multiclass_hinge", "linear")]
)
def test_classes(loss, output, rng):
    if loss not in LOSSES:
        pytest.skip("the engine has no such loss")
    x, classes = rng.standard_normal((ROWS, N_INPUTS)), rng.integers(0, N_OUTPUTS, ROWS)
    assert_same(network("tanh", output), x, np.eye(N_OUTPUTS)[classes], loss, classes)


def test_nothing_that_the_engine_has_is_passed_over():
    assert set(ACTIVATIONS) - set(TORCH_ACTIVATIONS) <= NO_GRADIENT
    assert set(losses.LOSSES) <= set(TORCH_LOSSES)
