"""The table of losses against the engine's, and what a loss asks of the network."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from loss_cases import needed, right_rows, targets
from training import assert_refuses

import fastbp as fb
from fastbp import errors, losses
from fastbp.engine import runtime


def test_table_has_the_losses_of_the_engine():
    # A given gradient is not a loss by itself: see test_custom_loss.py.
    assert list(losses.LOSSES) == [name for name in runtime.LOSSES if name != "custom"]
    assert all(name == loss.name for name, loss in losses.LOSSES.items())


@pytest.mark.parametrize("name", ["crossentropy", "MSE", "", None, 2])
def test_unknown_names_list_the_known(name):
    with pytest.raises(errors.ConfigError, match=r"loss: got .* squared_error, mse, mae, huber"):
        losses.resolve(name, "softmax", 3)


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_output_activation(name):
    needed = losses.LOSSES[name].outputs
    for activation in runtime.ACTIVATIONS:
        if not needed or activation in needed:
            assert losses.resolve(name, activation, 3).name == name
            continue
        wanted = rf"got '{name}' .* wanted a {' or '.join(needed)} one: Dense\(3, '{needed[0]}'\)"
        with pytest.raises(errors.ConfigError, match=wanted):
            losses.resolve(name, activation, 3)


def test_which_losses_want_which_output():
    wanted = {name: loss.outputs for name, loss in losses.LOSSES.items() if loss.outputs}
    assert wanted == {
        "poisson": ("linear",),
        "cross_entropy": ("softmax",),
        "binary_cross_entropy": ("sigmoid",),
        "hinge": ("linear",),
        "multiclass_hinge": ("linear",),
        "perceptron": ("linear", "sign", "step"),
    }


@pytest.mark.parametrize(
    ("name", "output"), [("cross_entropy", "softmax"), ("multiclass_hinge", "linear")]
)
def test_classes_want_more_than_one_output(name, output):
    with pytest.raises(
        errors.ConfigError, match=r"loss: got .* for one .*(binary_cross_entropy|hinge)"
    ):
        losses.resolve(name, output, 1)


def test_perceptron_takes_the_targets_that_its_output_gives():
    for output, domain, parameter in [
        ("linear", "sign", 0),
        ("sign", "sign", 0),
        ("step", "bit", 1),
    ]:
        loss = losses.resolve("perceptron", output, 2)
        assert (loss.name, loss.targets, loss.parameter) == ("perceptron", domain, parameter)


OPTIONS = [
    (losses.Huber, "delta", [0, -1, np.inf, np.nan, None, "1", True]),
    (losses.Quantile, "q", [0, 1, -0.1, 1.5, np.nan, None]),
    (losses.CrossEntropy, "label_smoothing", [-0.1, 1, 2, np.nan, "0.1"]),
    (losses.Hinge, "margin", [0, -1, np.inf, None]),
    (losses.MulticlassHinge, "margin", [0, -1, np.inf, None]),
]


@pytest.mark.parametrize(("kind", "option", "values"), OPTIONS)
def test_options_out_of_range_are_refused_at_construction(kind, option, values):
    for value in values:
        with pytest.raises(errors.ConfigError, match=f"{option}: got"):
            kind(**{option: value})


@pytest.mark.parametrize(("kind", "option", "values"), OPTIONS)
def test_options_reach_the_engine_by_every_door(kind, option, values):
    loss, name = kind(**{option: 0.3}), kind.name
    network, x, t = problem(name)
    assert loss.parameter == 0.3
    trainer = fb.Trainer(network, loss, fb.SGD(0.0), batch_size=4)
    value = trainer.evaluate(x, t)["loss"]
    want = np.mean(
        [by_hand(name, y, row, 0.3) for y, row in zip(network.predict(x), t, strict=True)]
    )
    assert value == pytest.approx(want, 1e-12)
    assert value != fb.Trainer(network, name).evaluate(x, t)["loss"]
    assert network.gradients(x, t, loss)[0] == pytest.approx(want, 1e-12)
    assert trainer.step(x, t) == pytest.approx(want, 1e-12)
    assert trainer.fit(x, t)["loss"][0] == pytest.approx(want, 1e-12)
    assert repr(trainer).startswith(f"Trainer({network!r}, {kind.__name__}({option}=0.3), ")
    assert fb.gradient_check(network, x, t, loss).passed


def test_repr_of_defaults_is_the_name():
    for name, loss in losses.LOSSES.items():
        assert loss.shown == repr(name)


def problem(name):
    network = fb.Network(4, [fb.Dense(3, needed(name, "tanh"))], dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    return network, rng.standard_normal((6, 4)), targets(name, (6, 3), rng)


def by_hand(name, y, t, p):
    """The loss of one row, from its definition."""
    d, smooth = np.abs(y - t), (1 - p) * t + p / len(t)
    return {
        "squared_error": lambda: 0.5 * np.sum(d**2),
        "mse": lambda: np.mean(d**2),
        "mae": lambda: np.mean(d),
        "huber": lambda: np.mean(np.where(d <= p, d**2 / 2, p * (d - p / 2))),
        "quantile": lambda: np.mean(np.where(t > y, p * d, (1 - p) * d)),
        "poisson": lambda: np.sum(np.exp(y) - t * y),
        "cross_entropy": lambda: -np.sum(smooth * np.log(y)),
        "binary_cross_entropy": lambda: -np.sum(t * np.log(y) + (1 - t) * np.log(1 - y)),
        "hinge": lambda: np.sum(np.maximum(0, p - t * y)),
        "multiclass_hinge": lambda: sum(
            max(0, y[j] - y[t.argmax()] + p) for j in range(len(y)) if j != t.argmax()
        ),
        "perceptron": lambda: np.sum(np.maximum(0, -t * y)),
    }[name]()


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_value_is_the_mean_over_rows(name):
    network, x, t = problem(name)
    p = losses.LOSSES[name].parameter
    rows = [by_hand(name, y, row, p) for y, row in zip(network.predict(x), t, strict=True)]
    assert fb.Trainer(network, name).evaluate(x, t)["loss"] == pytest.approx(np.mean(rows), 1e-12)


CLASSES_REFUSED = ("poisson", "hinge", "perceptron")


@pytest.mark.parametrize("name", [n for n in losses.LOSSES if n not in CLASSES_REFUSED])
def test_classes_are_one_hot_targets(name):
    last = needed(name, "linear")
    network = fb.Network(4, [fb.Dense(3, last)], seed=0)
    rng = np.random.default_rng(2)
    x, classes = rng.standard_normal((9, 4)), rng.integers(0, 3, 9)
    one_hot = np.eye(3)[classes]
    loss, pairs = network.gradients(x, classes, name)
    same_loss, same_pairs = network.gradients(x, one_hot, name)
    assert loss == same_loss
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(pairs, same_pairs, strict=True))
    assert "accuracy" in fb.Trainer(network, name).evaluate(x, classes)


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_accuracy_of_targets_only_in_classification(name):
    network, x, t = problem(name)
    measured = fb.Trainer(network, name).evaluate(x, t)
    signs = name in ("hinge", "perceptron")
    assert ("accuracy" in measured) == ("entropy" in name or "multiclass" in name or signs)
    if "accuracy" in measured:
        n_correct = right_rows(name, network.predict(x), t)
        assert measured["accuracy"] == n_correct.mean()


BAD_TARGETS = [
    ("hinge", 2, [0, 1, 1], "got one dimension, classes, wanted -1 and 1 of shape \\(3, 2\\)"),
    ("hinge", 1, [[0], [1], [1]], "got 0 at \\[0, 0\\], wanted -1 and 1"),
    ("hinge", 2, np.eye(3)[:, :2], "got 0 at \\[0, 1\\], wanted -1 and 1"),
    ("perceptron", 1, [-1, 1, 2], "got 2 at \\[2, 0\\], wanted -1 and 1"),
    ("multiclass_hinge", 2, [[1, 0], [0.5, 0.5], [0, 1]], "got 0.5 at \\[1, 0\\], wanted 0 and 1"),
    ("multiclass_hinge", 2, [[1, 0], [0, 1], [1, 1]], "got 2 ones in row 2, wanted one-hot"),
    ("multiclass_hinge", 2, [0, 1, 2], "got class 2 in row 2"),
    ("poisson", 2, [[1, 0], [2, -1], [0, 0]], "got values from -1 to 2, wanted numbers >= 0"),
    ("poisson", 2, [0, 1, 1], "got one dimension, classes, wanted numbers >= 0"),
    ("cross_entropy", 2, [[1, 0], [0.5, 0.4], [0, 1]], ".*probabilities that sum to 1"),
    ("binary_cross_entropy", 1, [0, 1, 2], ".*wanted \\[0, 1\\]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "n_outputs", "t", "match"), BAD_TARGETS)
def test_targets_of_the_wrong_kind_are_refused_before_a_step(name, n_outputs, t, match):
    network = fb.Network(4, [fb.Dense(n_outputs, needed(name, "linear"))], seed=0)
    owner = fb.Trainer(network, name)
    x = np.ones((3, 4))
    for call in (owner.fit, owner.step, owner.evaluate):
        assert_refuses(owner, partial(call, x, t), errors.LabelError, f"y: {match}")
    with pytest.raises(errors.LabelError, match=f"y: {match}"):
        network.gradients(x, t, name)
