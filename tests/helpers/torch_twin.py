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

# By the names of the engine, of z and the parameter. What it has not yet is passed over.
TORCH_ACTIVATIONS = {
    "linear": lambda z, _: z,
    "sigmoid": lambda z, _: torch.sigmoid(z),
    "tanh": lambda z, _: torch.tanh(z),
    "relu": lambda z, _: torch.relu(z),
    "softmax": lambda z, _: torch.softmax(z, dim=1),
    "leaky_relu": lambda z, slope: F.leaky_relu(z, 0.01 if slope is None else slope),
    "elu": lambda z, alpha: F.elu(z, 1.0 if alpha is None else alpha),
    "selu": lambda z, _: F.selu(z),
    "softplus": lambda z, _: F.softplus(z),
    "gelu": lambda z, _: F.gelu(z),  # by erf, not its tanh approximation
    "silu": lambda z, _: F.silu(z),
    "sign": lambda z, _: torch.where(z < 0, -1.0, 1.0).to(z.dtype),
    "step": lambda z, _: torch.where(z < 0, 0.0, 1.0).to(z.dtype),
}
NO_GRADIENT = {"sign", "step"}


def by_rows(value):
    """The sum over the outputs of a row."""
    return lambda z, y, t, p: value(z, y, t, p).sum(dim=1)


def mean_by_rows(value):
    """The mean over the outputs of a row."""
    return lambda z, y, t, p: value(z, y, t, p).mean(dim=1)


def cross_entropy(z, _, t, smoothing):
    """With label smoothing as torch has it for classes."""
    t = t * (1 - smoothing) + smoothing / t.shape[1]
    return F.cross_entropy(z, t, reduction="none")


def multiclass_hinge(z, _, t, margin):
    """max(0, margin + z_j - z_c) summed over all classes but the wanted one c."""
    wanted = (z * t).sum(dim=1, keepdim=True)
    return torch.relu(margin + z - wanted) * (1 - t)


def perceptron(z, _, t, zero_one):
    """Targets are 0 and 1 where the output is a step, else -1 and 1; z = 0 is a mistake."""
    sign = 2 * t - 1 if zero_one else t
    return torch.where(sign * z > 0, torch.zeros_like(z), -sign * z)


# The loss of each row, of the logits z, the outputs y, the targets t and the loss's parameter. The
# second entry names the output activations that the loss takes (all if None), the third its
# targets.
TORCH_LOSSES = {
    "squared_error": (by_rows(lambda z, y, t, _: 0.5 * (y - t) ** 2), None, "real"),
    "mse": (mean_by_rows(lambda z, y, t, _: (y - t) ** 2), None, "real"),
    "mae": (mean_by_rows(lambda z, y, t, _: torch.abs(y - t)), None, "real"),
    "huber": (
        mean_by_rows(lambda z, y, t, d: F.huber_loss(y, t, reduction="none", delta=d)),
        None,
        "real",
    ),
    "quantile": (
        mean_by_rows(lambda z, y, t, q: torch.maximum(q * (t - y), (q - 1) * (t - y))),
        None,
        "real",
    ),
    "cross_entropy": (cross_entropy, ["softmax"], "distribution"),
    "binary_cross_entropy": (
        by_rows(lambda z, y, t, _: F.binary_cross_entropy_with_logits(z, t, reduction="none")),
        ["sigmoid"],
        "unit",
    ),
    "poisson": (
        by_rows(lambda z, y, t, _: F.poisson_nll_loss(z, t, log_input=True, reduction="none")),
        ["linear"],
        "count",
    ),
    "hinge": (by_rows(lambda z, y, t, margin: torch.relu(margin - t * z)), ["linear"], "sign"),
    "multiclass_hinge": (by_rows(multiclass_hinge), ["linear"], "one-hot"),
    "perceptron": (by_rows(perceptron), ["linear"], "sign"),
}


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
        return z, TORCH_ACTIVATIONS[layer.activation](z, layer.activation_parameter)
    pieces = torch.einsum("ni,ipu->npu", x, weight) + bias
    if isinstance(layer, fb.Maxout):
        y = pieces.max(dim=1).values
    else:
        y = pieces[:, 0] * TORCH_ACTIVATIONS[layer.gate](pieces[:, 1], layer.gate_parameter)
    return y, y


def stack(layers, x, pairs):
    """z and y of the last of some layers, one above the other."""
    for layer in layers:
        z, x = layer_of(layer, x, pairs)
    return z, x


def row_losses(net, pairs, x, y, loss):
    """The loss of each row, as a tensor."""
    loss = net._loss(loss)
    return TORCH_LOSSES[loss.name][0](*stack(net.layers, x, iter(pairs)), y, loss.parameter)


def mean_loss(net, pairs, x, y, loss, l2=0.0):
    """The loss of rows and the penalty on the weights, as a tensor."""
    value = row_losses(net, pairs, x, y, loss).mean()
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
