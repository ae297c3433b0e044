"""The activations through the whole stack: names and parameters, training, gradients, files."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from networks import FLAT, Net, train

import fastbp as fb
from fastbp import errors, reference
from fastbp.activations import ELU, LeakyReLU
from fastbp.engine import runtime
from fastbp.formats import modelfile

TOLERANCE = 1e-6  # of gradient_check
EPS = 1e-5  # its step: with a smaller one, the rounding of the loss shows below four sigmoids
KINKED = ["relu", "leaky_relu", "selu", LeakyReLU(0.2), ELU(0.3)]
# regime or another name: sizes, activations, loss, rows of a step
SAVED_SLOPES = {
    "batch-split": ([7, 130, 33, 3], ["gelu", ("elu", 0.4), "silu"], "mse", 31),
    "wide": ([400, 150, 40, 5], ["silu", "gelu", "softmax"], "cross_entropy", 20),
    "streaming": ([30, 65, 20, 3], ["gelu", ("leaky_relu", 0.2), "gelu"], "mse", 5),
    "single": ([12, 40, 17, 3], ["relu", "silu", "selu"], "squared_error", 1),
}


def network(activations, n_inputs=3, dtype="float64", seed=2):
    """Biases that are not zero, so that no input of an activation is."""
    bias = fb.initializers.Normal(0.5)
    layers = [fb.Dense(4, f, bias_init=bias) for f in activations]
    return fb.Network(n_inputs, layers, dtype=dtype, seed=seed)


def test_a_name_and_an_object_with_its_default_are_the_same():
    for name, f in [("leaky_relu", LeakyReLU()), ("elu", ELU())]:
        by_name, by_object = network([name]), network([f])
        x = np.linspace(-3, 3, 12).reshape(4, 3)
        assert np.array_equal(by_name.predict(x), by_object.predict(x))
        assert by_object.layers[0].activation == name
        assert repr(by_name.layers[0]) == repr(by_object.layers[0]) == f"Dense(4, {f!r})"
    assert fb.Dense(4, "leaky_relu").activation_parameter == 0.01
    assert fb.Dense(4, "elu").activation_parameter == 1
    assert fb.Dense(4, "gelu").activation_parameter is None
    assert repr(fb.Dense(4, "gelu")) == "Dense(4, 'gelu')"


def test_the_parameter_reaches_the_engine_and_every_copy():
    net = network([LeakyReLU(0.25), ELU(0.5)])
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    z = x @ net.layers[0].weight + net.layers[0].bias
    first, second = net.activations(x)
    np.testing.assert_allclose(first, np.where(z > 0, z, 0.25 * z), rtol=1e-12)
    z = first @ net.layers[1].weight + net.layers[1].bias
    np.testing.assert_allclose(second, np.where(z > 0, z, 0.5 * np.expm1(z)), rtol=1e-9)
    assert np.array_equal(net.copy().predict(x), second)
    assert [layer.activation_parameter for layer in net.copy("float32").layers] == [0.25, 0.5]


@pytest.mark.parametrize("slope", [1, 1.5, -0.1, np.nan, np.inf, "0.1", None, True])
def test_bad_slopes(slope):
    with pytest.raises(errors.ConfigError, match=r"slope: got .* wanted a number in \[0, 1\)"):
        LeakyReLU(slope)


@pytest.mark.parametrize("alpha", [-1, np.nan, np.inf, 1e7, "1", None])
def test_bad_alphas(alpha):
    with pytest.raises(errors.ConfigError, match=r"alpha: got .* wanted a number in"):
        ELU(alpha)


def test_numpy_numbers_are_parameters():
    assert repr(LeakyReLU(np.float32(0.25))) == "LeakyReLU(slope=0.25)"
    assert ELU(np.int64(2)).alpha == 2.0


def test_save_and_load_keep_the_parameter(tmp_path):
    net = network([LeakyReLU(0.125), ELU(0.5), "elu", "gelu", "sign"])
    net.save(tmp_path / "net")
    loaded = fb.load(tmp_path / "net")
    assert repr(loaded) == repr(net)
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    assert np.array_equal(loaded.predict(x), net.predict(x))
    assert net._architecture()["layers"][3] == {"units": 4, "activation": "gelu"}


def test_files_without_parameters_still_load(tmp_path):
    net = network(["leaky_relu", "tanh"])
    description = net._architecture()
    del description["layers"][0]["activation_parameter"]
    modelfile.write(tmp_path / "net", description, net._tensors())
    assert repr(fb.load(tmp_path / "net")) == repr(net)
    description["layers"][0]["activation_parameter"] = 3
    modelfile.write(tmp_path / "net", description, net._tensors())
    with pytest.raises(errors.CorruptModelError, match="slope: got 3"):
        fb.load(tmp_path / "net")


def test_each_activation_has_the_initializer_that_suits_it():
    for name in runtime.ACTIVATIONS:
        weight = fb.Network(100, [fb.Dense(300, name)], seed=0).layers[0].weight
        gain = {"selu": 1, **dict.fromkeys(["relu", "leaky_relu", "elu", "gelu", "silu"], 2)}
        want = gain[name] / 100 if name in gain else 2 / 400
        assert np.var(weight) == pytest.approx(want, rel=0.05), name


@pytest.mark.parametrize("hidden", KINKED, ids=str)
def test_gradients_of_kinked_activations_at_every_depth(hidden):
    """The others are in test_gradient_matrix.py."""
    for depth, loss in product((1, 2, 3, 4), ("mse", "cross_entropy")):
        output = "softmax" if loss == "cross_entropy" else hidden
        net = network([*[hidden] * (depth - 1), output])
        rng = np.random.default_rng(4)
        x, y = rng.standard_normal((5, 3)), rng.dirichlet(np.ones(4), 5)
        below = [x, *net.activations(x)]  # within eps of a kink there is no central difference
        pairs = zip(below, net.layers, strict=False)
        assert min(np.abs(a @ layer.weight + layer.bias).min() for a, layer in pairs) > 1e-4
        check = fb.gradient_check(net, x, y, loss, eps=EPS)
        assert check.max_error < TOLERANCE, (depth, loss, check)


@pytest.mark.parametrize("name", sorted(FLAT))
def test_sign_and_step_give_their_values_and_no_gradient(name):
    net = network(["tanh", name])
    x = np.linspace(-3, 3, 12).reshape(4, 3)
    hidden, output = net.activations(x)
    z = hidden @ net.layers[1].weight + net.layers[1].bias
    assert np.array_equal(output, np.sign(z) if name == "sign" else z > 0)
    _, gradients = net.gradients(x, np.ones((4, 4)), "mse")
    assert not any(part.any() for pair in gradients for part in pair)


@pytest.mark.parametrize(("name", "n_threads"), list(product(SAVED_SLOPES, [1, 3])))
def test_training_agrees_with_reference(name, n_threads):
    sizes, activations, loss, batch = SAVED_SLOPES[name]
    net = Net(sizes, activations)
    x, y = net.rows(4 * batch, loss)
    weights, biases, _ = net.reference()
    none = [(0 * w, 0 * b) for w, b in zip(weights, biases, strict=True)]
    # the order that `train` shuffles into
    twin = train(Net(sizes, activations), x, y, loss, 1, "sgd", 0.0, batch)
    order = twin.order.copy()
    for step in range(4):
        rows = order[step * batch : (step + 1) * batch]
        _, weights, biases, none = reference.sgd_step(
            weights, biases, none, activations, x[rows], y[rows], loss, "sgd", 0.05
        )
    regime = {"single": "streaming"}.get(name, name) if n_threads > 1 else None
    train(net, x, y, loss, 4, "sgd", 0.05, batch, n_threads, regime=regime)
    for i in net.layers:
        np.testing.assert_allclose(net.model.weight(i), weights[i], rtol=0, atol=1e-12)
        np.testing.assert_allclose(net.model.bias(i), biases[i], rtol=0, atol=1e-12)
