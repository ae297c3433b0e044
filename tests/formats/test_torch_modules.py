"""Networks as PyTorch's modules and back: they give the same, and go on training on either side."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from gate_networks import STACKS
from training import classes

import fastbp as fb
from fastbp import errors

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")  # of the helpers below
from interchange import (  # noqa: E402
    EVERY_ACTIVATION,
    TOLERANCE,
    difference,
    every_map,
    layers_with,
    network,
    rows,
)

nn = torch.nn


def outputs(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x)).numpy()


def assert_same(net):
    module = net.to_torch()
    x = rows(net) if net.preprocessing is not None else rows(net).astype(net.dtype)
    assert difference(outputs(module, x), net.predict(x)) <= TOLERANCE[net.dtype.name], net
    back = fb.from_torch(module)
    assert repr(back) == repr(net)
    np.testing.assert_array_equal(back.predict(x), net.predict(x))


def test_every_activation_layer_and_map_there_and_back(dtype):
    for activation in EVERY_ACTIVATION.values():
        assert_same(network(layers_with(activation), dtype))
    for affine in every_map().values():
        assert_same(network(layers_with("silu"), dtype, affine))
    for layers in STACKS.values():
        assert_same(network(layers, dtype))


def test_gradients_are_those_of_autograd():
    net = network(layers_with("gelu"), "float64", every_map()["whiten"])
    x, y = rows(net), np.random.default_rng(0).standard_normal((30, 3))
    module = net.to_torch()
    loss = ((module(torch.from_numpy(x)) - torch.from_numpy(y)) ** 2).mean()
    loss.backward()
    value, gradients = net.gradients(x, y, "mse")
    assert value == pytest.approx(loss.item(), rel=1e-12)
    first = next(module.parameters())
    np.testing.assert_allclose(gradients[0][0].T, first.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_modules_of_pytorch_as_a_user_writes_them():
    torch.manual_seed(0)
    activations = [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.SELU(), nn.Softplus(), nn.GELU()]
    activations += [nn.SiLU(), nn.Sigmoid(), nn.Tanh(), nn.Identity()]
    hidden = [nn.Sequential(nn.Linear(6, 6), f) for f in activations]
    head = nn.Sequential(nn.Dropout(0.25), nn.Linear(6, 3, bias=False), nn.Softmax(dim=-1))
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 6), nn.Dropout(0.5), nn.ReLU(), *hidden, head)
    for made in (module.eval(), copy.deepcopy(module).double().eval()):
        x = torch.randn(20, 2, 3, dtype=next(made.parameters()).dtype)
        net = fb.from_torch(made)
        found = net.predict(x.reshape(20, 6).numpy())
        assert difference(found, made(x).detach().numpy()) < 1e-6
        assert net.dtype == x.numpy().dtype
    assert [layer.dropout for layer in net.layers[:2]] == [0.5, 0.0]
    assert [layer.dropout for layer in net.layers[-2:]] == [0.25, 0.0]


def test_a_log_softmax_is_a_softmax_with_a_warning():
    module = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(1))
    with pytest.warns(UserWarning, match=r"module\[1\] \(LogSoftmax\) gives logarithms"):
        net = fb.from_torch(module)
    x = torch.randn(10, 3)
    np.testing.assert_allclose(net.predict(x.numpy()), module(x).exp().detach(), atol=1e-6)


def test_frozen_layers_stay_frozen():
    net = network([fb.Dense(4, "tanh", trainable=False), fb.Residual([fb.Dense(2)]), fb.Dense(1)])
    net.layers[1].projection.trainable = False
    module = net.to_torch()
    assert [p.requires_grad for p in module.parameters()] == [False] * 2 + [True] * 2 + [
        False
    ] * 2 + [True] * 2
    assert repr(fb.from_torch(module)) == repr(net)
    assert not fb.from_torch(module).layers[1].projection.trainable


def test_dropout_drops_in_training_alone():
    net = network([fb.Dense(50, "relu", dropout=0.5), fb.Dense(1)])
    module, x = net.to_torch(), torch.from_numpy(rows(net).astype(np.float32))
    assert torch.equal(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


def test_training_goes_on_on_the_other_side_and_back():
    x, y = classes(60)
    net = fb.Network(x.shape[1], [fb.Dense(8, "tanh"), fb.Dense(3)], dtype="float64", seed=0)
    rule = {"optimizer": fb.SGD(0.05), "batch_size": None, "seed": 0}
    targets = fb.one_hot(y, 3, "float64")
    module = net.to_torch()
    for _ in range(5):
        module.zero_grad()
        loss = ((module(torch.from_numpy(x.astype(float))) - torch.from_numpy(targets)) ** 2).mean()
        loss.backward()
        with torch.no_grad():  # not torch.optim, whose import takes seconds
            for parameter in module.parameters():
                parameter -= 0.05 * parameter.grad
    there = fb.from_torch(module)
    here = net.copy()
    fb.Trainer(here, "mse", **rule).fit(x, targets, epochs=5)
    np.testing.assert_allclose(there.parameters, here.parameters, rtol=1e-9, atol=1e-12)
    fb.Trainer(there, "mse", **rule).fit(x, targets, epochs=5)
    back = there.to_torch()
    assert difference(outputs(back, x.astype(float)), there.predict(x)) < 1e-12
    assert not np.allclose(back[0].weight.detach(), module[0].weight.detach())


def test_weights_are_copies_and_the_generator_rests():
    net = network([fb.Dense(2)])
    state = torch.get_rng_state()
    module = net.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        module[0].weight.zero_()
    assert np.all(net.layers[0].weight != 0)
    assert np.all(fb.from_torch(net.to_torch()).layers[0].weight != 0)


def test_a_map_stays_in_float64_until_the_network_is():
    affine = every_map()["standardize"]
    module = network([fb.Dense(2, "tanh")], "float32", affine).to_torch()
    x = rows(network([fb.Dense(2)], affine=affine))
    before = outputs(module, x)
    assert before.dtype == np.float32
    after = outputs(module.double(), x)
    assert after.dtype == np.float64
    np.testing.assert_allclose(before, after, atol=1e-6)


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def with_hook():
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, given, found: 2 * found)
    return module


LINEAR = nn.Linear(2, 2)
REFUSED = {
    "nothing": (None, r"module: got NoneType, wanted an nn.Sequential"),
    "a class": (nn.Linear, r"module: got type"),
    "an array": (np.ones(3), r"module: got ndarray"),
    "empty": (nn.Sequential(), r"module: got no linear layer"),
    "a convolution": (
        nn.Sequential(nn.Conv2d(1, 1, 1)),
        r"module\[0\] \(Conv2d\): has no counterpart in fastbp, wanted an nn.Sequential",
    ),
    "nested": (
        nn.Sequential(LINEAR, nn.Sequential(nn.Tanh(), nn.BatchNorm1d(2))),
        r"module\[1\]\[1\] \(BatchNorm1d\): has no counterpart",
    ),
    "a class of one's own": (
        nn.Sequential(Doubled(2, 2)), r"module\[0\] \(Doubled\): has no counterpart"),
    "hooks": (nn.Sequential(with_hook()), r"module\[0\]: got Linear with forward hooks"),
    "half precision": (nn.Linear(2, 2).half(), r"module \(Linear\): got torch.float16"),
    "no numbers": (nn.Linear(2, 2, device="meta"), r"its weights cannot be read"),
    "infinite": (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), r"\[1\] \(Linear\), weight: got"),
    "another axis": (nn.Sequential(LINEAR, nn.Softmax(0)), r"\(Softmax\): got dim 0"),
    "another gelu": (nn.Sequential(LINEAR, nn.GELU("tanh")), r"\(GELU\): got GELU\(approx"),
    "a steep slope": (nn.Sequential(LINEAR, nn.LeakyReLU(1.5)), r"\(LeakyReLU\): slope: got 1.5"),
    "a sharp softplus": (nn.Sequential(LINEAR, nn.Softplus(2)), r"\(Softplus\): got Softplus"),
    "a flatten of all": (nn.Sequential(nn.Flatten(0), LINEAR), r"\(Flatten\): got Flatten"),
    "dropout of inputs": (
        nn.Sequential(nn.Dropout(0.1), LINEAR), r"\(Dropout\): got dropout of the inputs"),
    "dropout of outputs": (nn.Sequential(LINEAR, nn.Dropout(0.1)), r"got dropout of the outputs"),
    "dropout before tanh": (
        nn.Sequential(LINEAR, nn.Dropout(0.1), nn.Tanh(), LINEAR), r"\(Tanh\): got it after"),
    "layers that do not fit": (
        nn.Sequential(LINEAR, nn.Linear(3, 1)), r"module\[1\] \(Linear\): got 3 columns after 2"),
}  # fmt: skip
with torch.no_grad():
    REFUSED["infinite"][0][1].weight.fill_(np.inf)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named(name):
    module, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message):
        fb.from_torch(module)
