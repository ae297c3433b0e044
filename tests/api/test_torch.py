"""Loss and gradients against PyTorch's autograd: the same float64 weights and rows, 1e-10.

Of chains of `Dense` and of networks with gates; and of the latter 100 steps of training, 1e-9.
"""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import SEED, STACKS, dense, gated, maxout
from torch_twin import (
    NO_GRADIENT,
    TOLERANCE,
    TORCH_ACTIVATIONS,
    TORCH_LOSSES,
    assert_same,
    mean_loss,
    tensors,
    torch,
)

import fastbp as fb
from fastbp import losses
from fastbp.engine.runtime import ACTIVATIONS, LOSSES

pytestmark = pytest.mark.slow

N_INPUTS, HIDDEN, N_OUTPUTS, ROWS = 5, 6, 4, 37


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
    activations = [name for name in ACTIVATIONS if name not in NO_GRADIENT]
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


OF_LINEAR_OUTPUTS = [name for name, row in TORCH_LOSSES.items() if row[1] in (None, ["linear"])]
# The last layer of each with gates, and what it may be of.
ENDS = {
    "maxout": lambda: maxout(N_OUTPUTS),
    "gated": lambda: gated(N_OUTPUTS, "tanh"),
    "residual": lambda: fb.Residual([dense(N_OUTPUTS, "gelu")]),
}


def with_gates(layers):
    net = fb.Network(N_INPUTS, layers, dtype="float64", seed=SEED)
    for layer in net.weighted_layers:
        assert layer.weight.any()
        if not layer.bias.any():  # a projection's begins at 0
            layer.bias = np.linspace(-0.5, 0.5, layer.units)
    return net


@pytest.mark.parametrize("loss", list(TORCH_LOSSES))
@pytest.mark.parametrize("name", list(STACKS))
def test_gates_below_every_loss(name, loss, rng):
    _, outputs, domain = TORCH_LOSSES[loss]
    head = fb.Dense(N_OUTPUTS, "linear" if outputs is None else outputs[0])
    x = rng.standard_normal((ROWS, N_INPUTS))
    assert_same(with_gates([*STACKS[name], head]), x, targets(domain, rng), loss)


@pytest.mark.parametrize("loss", OF_LINEAR_OUTPUTS)
@pytest.mark.parametrize("end", list(ENDS))
def test_gates_as_outputs(end, loss, rng):
    net = with_gates([dense(6, "silu"), ENDS[end]()])
    x = rng.standard_normal((ROWS, N_INPUTS))
    assert_same(net, x, targets(TORCH_LOSSES[loss][2], rng), loss)


@pytest.mark.parametrize("gate", sorted({*TORCH_ACTIVATIONS} - {"softmax", *NO_GRADIENT}))
def test_every_gate_function(gate, rng):
    net = with_gates([gated(6, gate), fb.Residual([gated(6, gate)]), dense(N_OUTPUTS)])
    x = rng.standard_normal((ROWS, N_INPUTS))
    assert_same(net, x, targets("real", rng), "mse")


@pytest.mark.parametrize("rows", [1, 8, 9, 300])
def test_gates_for_any_number_of_rows(rows, rng):
    net = with_gates([*STACKS["depth 4"], fb.Dense(N_OUTPUTS, "softmax")])
    x, y = rng.standard_normal((rows, N_INPUTS)), rng.dirichlet([1.0] * N_OUTPUTS, rows)
    assert_same(net, x, y, "cross_entropy")


@pytest.mark.parametrize("name", list(STACKS))
def test_gates_with_l2(name, rng):
    """One step at rate 1 takes the gradient of loss and penalty off the parameters."""
    net = with_gates([*STACKS[name], dense(N_OUTPUTS)])
    x, y = rng.standard_normal((ROWS, N_INPUTS)), rng.standard_normal((ROWS, N_OUTPUTS))
    pairs = tensors(net)
    mean_loss(net, pairs, torch.tensor(x), torch.tensor(y), "mse", l2=0.1).backward()
    fb.Trainer(net, "mse", fb.SGD(1.0), batch_size=None, l2=0.1).step(x, y)
    assert_parameters(net, [[p - p.grad for p in pair] for pair in pairs], TOLERANCE)


OPTIMIZERS = {
    "momentum": (fb.SGD(0.05, momentum=0.9), lambda p: torch.optim.SGD(p, 0.05, momentum=0.9)),
    "nesterov": (
        fb.SGD(0.05, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    ),
    "adam": (fb.Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
}


@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("l2", [0.0, 0.01])
@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_a_hundred_steps_with_gates(kind, l2, rng):
    net = with_gates([*STACKS["depth 3"], fb.Dense(N_OUTPUTS, "softmax")])
    x, classes = rng.standard_normal((64, N_INPUTS)), rng.integers(0, N_OUTPUTS, 64)
    ours, theirs = OPTIMIZERS[kind]
    start, pairs = [layer.weight.copy() for layer in net.weighted_layers], tensors(net)
    optimizer = theirs([p for pair in pairs for p in pair])
    trainer = fb.Trainer(net, "cross_entropy", ours, batch_size=16, l2=l2)
    for _ in range(100):
        rows = rng.integers(0, 64, 16)
        optimizer.zero_grad()
        one_hot = torch.tensor(np.eye(N_OUTPUTS)[classes[rows]])
        mean_loss(net, pairs, torch.tensor(x[rows]), one_hot, "cross_entropy", l2).backward()
        optimizer.step()
        trainer.step(x[rows], classes[rows])
    for layer, weight in zip(net.weighted_layers, start, strict=True):
        assert abs(layer.weight - weight).max() > 0.01
    assert_parameters(net, pairs, 1e-9)


def torch_groups(net, pairs, rate, decay, bias_decays):
    """A group for each parameter, with the factors of its layer."""
    return [
        {
            "params": [p],
            "lr": rate * layer.learning_rate_factor,
            "weight_decay": decay * layer.decay_factor if bias_decays or not is_bias else 0.0,
        }
        for layer, pair in zip(net.weighted_layers, pairs, strict=True)
        for is_bias, p in enumerate(pair)
    ]


# The optimizer, l2 of the trainer, and torch's with its rate and weight decay.
GROUPED = {
    "sgd": (fb.SGD(0.05), 0.01, torch.optim.SGD, 0.05, 0.02, {}),
    "momentum": (fb.SGD(0.05, momentum=0.9), 0.01, torch.optim.SGD, 0.05, 0.02, {"momentum": 0.9}),
    "adam": (fb.Adam(0.01), 0.01, torch.optim.Adam, 0.01, 0.02, {}),
    "adamw": (
        fb.AdamW(0.01, weight_decay=0.1, decay_bias=True), 0, torch.optim.AdamW, 0.01, 0.1, {}
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize("stack", ["chain", "gates"])
@pytest.mark.parametrize("kind", list(GROUPED))
def test_a_hundred_steps_with_parameter_groups(kind, stack, rows, rng):
    """Two layers are frozen for the first half, another one for the second."""
    ours, l2, theirs, rate, decay, options = GROUPED[kind]
    hidden = [dense(7, "tanh"), dense(6, "gelu")] if stack == "chain" else STACKS["depth 3"]
    net = with_gates([*hidden, fb.Dense(N_OUTPUTS, "softmax")])
    layers = net.weighted_layers
    for i, layer in enumerate(layers):
        layer.learning_rate_factor, layer.decay_factor = (
            (1.0, 0.1, 2.0)[i % 3],
            (0.0, 1.0, 3.0)[i % 3],
        )
    pairs = tensors(net)
    groups = torch_groups(net, pairs, rate, decay, bias_decays=kind == "adamw")
    optimizer = theirs(groups, **options)
    trainer = fb.Trainer(net, "cross_entropy", ours, l2=l2)
    x, classes = rng.standard_normal((64, N_INPUTS)), rng.integers(0, N_OUTPUTS, 64)
    for step in range(100):
        for i, (layer, pair) in enumerate(zip(layers, pairs, strict=True)):
            layer.trainable = i > 1 if step < 50 else i != len(layers) - 1
            for p in pair:
                p.requires_grad_(layer.trainable)
        taken = rng.integers(0, 64, rows)
        optimizer.zero_grad()
        one_hot = torch.tensor(np.eye(N_OUTPUTS)[classes[taken]])
        mean_loss(net, pairs, torch.tensor(x[taken]), one_hot, "cross_entropy").backward()
        optimizer.step()
        trainer.step(x[taken], classes[taken])
        if step == 49:
            first = layers[0].weight.copy()
    assert abs(layers[0].weight - first).max() > 0.01
    assert_parameters(net, pairs, 1e-9)


def assert_parameters(net, pairs, tolerance):
    for layer, wanted in zip(net.weighted_layers, pairs, strict=True):
        for got, true in zip((layer.weight, layer.bias), wanted, strict=True):
            true = true.detach().numpy()
            np.testing.assert_allclose(got, true, rtol=0, atol=tolerance * max(1, abs(true).max()))


def test_nothing_that_the_engine_has_is_passed_over():
    assert set(ACTIVATIONS) == set(TORCH_ACTIVATIONS)
    assert set(losses.LOSSES) <= set(TORCH_LOSSES)
