"""A network in PyTorch: the same parameters as tensors, the same layers, losses by their names.

Whoever imports this is skipped where torch is absent.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb

torch = pytest.importorskip("torch")

TOLERANCE = 1e-10  # absolute and relative to the largest entry of a gradient

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


def tensors(net):
    """The parameters as tensors: pairs of weight and bias, as `weighted_layers` has them."""
    return [
        tuple(torch.tensor(np.array(p), requires_grad=True) for p in (layer.weight, layer.bias))
        for layer in net.weighted_layers
    ]


def layer_of(layer, x, pairs):
    """What a loss may see of a layer, z and y, the same but for a `Dense`.

    `pairs` iterates over what `tensors` gives.
    """
    if isinstance(layer, fb.Residual):
        _, y = stack(layer.layers, x, pairs)
        y = y + (x if layer.projection is None else layer_of(layer.projection, x, pairs)[1])
        return y, y
    weight, bias = next(pairs)
    if isinstance(layer, fb.Dense):
        z = x @ weight + bias
        return z, TORCH_ACTIVATIONS[layer.activation](z)
    pieces = torch.einsum("ni,ipu->npu", x, weight) + bias
    if isinstance(layer, fb.Maxout):
        y = pieces.max(dim=1).values
    else:
        y = pieces[:, 0] * TORCH_ACTIVATIONS[layer.gate](pieces[:, 1])
    return y, y


def stack(layers, x, pairs):
    """z and y of the last of some layers, one above the other."""
    for layer in layers:
        z, x = layer_of(layer, x, pairs)
    return z, x


def mean_loss(net, pairs, x, y, loss, l2=0.0):
    """The loss of rows and the penalty on the weights, as a tensor."""
    value = TORCH_LOSSES[loss][0](*stack(net.layers, x, iter(pairs)), y)
    return value + l2 * sum((weight**2).sum() for weight, _ in pairs)


def autograd(net, x, y, loss):
    """Loss, gradients and dx as torch has them."""
    pairs, rows = tensors(net), torch.tensor(x, requires_grad=True)
    value = mean_loss(net, pairs, rows, torch.tensor(y), loss)
    value.backward()
    return value.item(), [p.grad.numpy() for pair in pairs for p in pair], rows.grad.numpy()


def assert_same(net, x, y, loss, given=None):
    value, pairs, dx = net.gradients(x, y if given is None else given, loss, inputs=True)
    wanted, gradients, wanted_dx = autograd(net, x, y, loss)
    assert abs(value - wanted) <= TOLERANCE * max(1, abs(wanted))
    assert np.abs(wanted_dx).max() > 1e-6  # something came back all the way
    ours = [gradient for pair in pairs for gradient in pair]
    for got, true in zip([*ours, dx], [*gradients, wanted_dx], strict=True):
        assert got.shape == true.shape
        np.testing.assert_allclose(got, true, rtol=0, atol=TOLERANCE * max(1, np.abs(true).max()))
