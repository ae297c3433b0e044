"""Weights of rows and of classes: against the reference, and the gate."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pytest
from loss_cases import LOSSES, PARAMETERS, needed, targets
from networks import LOSSES_OF_PAIRS, Net, outputs_of
from training import assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp import errors, reference, testing
from fastbp.engine.run import Run, gradients

RTOL = {"float32": 2e-4, "float64": 1e-11}


def some_weights(n, seed=5):
    """Weights with zeros among them."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.2, 0, 3 * rng.random(n))


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS)
def test_gradients_and_evaluate_agree_with_reference(dtype, loss):
    parameter = PARAMETERS[loss]
    for activation, n in product(outputs_of(loss), (1, 8, 9, 300)):
        net = Net([9, 17, 5], ["tanh", activation], dtype)
        x, y = net.rows(n, loss)
        weights = some_weights(n) + (n == 1)
        rows = x.astype(np.float64), y.astype(np.float64)
        want, pairs, want_dx = reference.gradients(
            *net.reference(), *rows, loss, parameter, weights
        )
        value, gradient, dx = gradients(net.model, loss, x, y, 2, True, parameter, weights)
        total, n_correct = net.model.evaluate(loss, x, y, 2, parameter, weights)
        assert value == pytest.approx(want, rel=RTOL[dtype])
        assert total == pytest.approx(n * want, rel=RTOL[dtype])
        assert n_correct == net.model.evaluate(loss, x, y, 2, parameter)[1]
        for i, (dw, db) in enumerate(pairs):
            for got, wanted in ((gradient.weight(i), dw), (gradient.bias(i), db)):
                np.testing.assert_allclose(
                    got, wanted, rtol=0, atol=RTOL[dtype] * abs(wanted).max()
                )
        np.testing.assert_allclose(dx, want_dx, rtol=0, atol=RTOL[dtype] * abs(want_dx).max())


SHAPES = {  # sizes, rows, batch: one for each regime
    "streaming": ([20, 30, 3], 75, 4),
    "batch-split": ([20, 30, 3], 300, 96),
    "wide": ([70, 150, 3], 75, 20),
}


def epochs(regime, isa_dtype, n_threads, weights):
    """Three shuffled epochs of one regime: the net, the run and the sum of the losses."""
    sizes, n, batch = SHAPES[regime]
    net = Net(sizes, ["tanh", "softmax"], isa_dtype)
    x, y = net.rows(n, "cross_entropy")
    run = Run(net.model, "cross_entropy", "sgd", 0.0, 0.0, batch, n_threads)
    bits, count, total, orders = np.random.SFC64(3), -(-n // batch), 0, []
    with testing.forced(regime):
        run.bind(x, y, weights)
        for _ in range(3):
            run.shuffle(bits)
            orders.append(run.order.copy())
            total += run.steps(0, count, np.full(count, 0.1))[0]
    return net, run, total, orders


@pytest.mark.parametrize("regime", list(SHAPES))
def test_training_agrees_with_reference(dtype, regime):
    sizes, n, batch = SHAPES[regime]
    weights = some_weights(n)
    net, run, total, orders = epochs(regime, dtype, 2, weights)
    assert run.regime == regime
    twin = Net(sizes, ["tanh", "softmax"], dtype)
    x, y = (a.astype(np.float64) for a in twin.rows(n, "cross_entropy"))
    w, b, want = twin.weights, twin.biases, 0
    for order in orders:
        for first in range(0, n, batch):
            rows = order[first : first + batch]
            args = w, b, ["tanh", "softmax"], x[rows], y[rows], "cross_entropy", 0.0, weights[rows]
            value, pairs, _ = reference.gradients(*args)
            want += value * len(rows)
            w = [a - 0.1 * dw for a, (dw, _) in zip(w, pairs, strict=True)]
            b = [a - 0.1 * db for a, (_, db) in zip(b, pairs, strict=True)]
    assert total == pytest.approx(want, rel=RTOL[dtype])
    for i in net.layers:
        np.testing.assert_allclose(net.model.weight(i), w[i], rtol=0, atol=10 * RTOL[dtype])
        np.testing.assert_allclose(net.model.bias(i), b[i], rtol=0, atol=10 * RTOL[dtype])


@pytest.mark.parametrize("regime", list(SHAPES))
def test_weights_of_one_change_no_bit(dtype, regime):
    want = epochs(regime, dtype, 2, None)
    got = epochs(regime, dtype, 2, np.ones(SHAPES[regime][1]))
    assert (got[0].digest(), got[2]) == (want[0].digest(), want[2])
    assert want[0].digest() != epochs(regime, dtype, 2, some_weights(SHAPES[regime][1]))[0].digest()


def test_the_loss_is_the_weighted_sum_over_the_number_of_rows():
    network, (x, y) = classifier(dtype="float64"), classes(40, dtype="float64")
    owner, weights = trainer(network, optimizer=fb.SGD(0.0), batch_size=7), some_weights(40)
    rows = np.array([owner.evaluate(x[i : i + 1], y[i : i + 1])["loss"] for i in range(40)])
    want = np.sum(weights * rows) / 40
    plain, weighted = owner.evaluate(x, y), owner.evaluate(x, y, sample_weight=weights)
    assert weighted["loss"] == pytest.approx(want, 1e-12)
    assert weighted["accuracy"] == plain["accuracy"]
    assert network.gradients(x, y, "cross_entropy", sample_weight=weights)[0] == pytest.approx(want)
    assert owner.step(x, y, sample_weight=weights) == pytest.approx(want, 1e-12)
    assert owner.fit(x, y, sample_weight=weights)["loss"][-1] == pytest.approx(want, 1e-12)
    assert owner.step(x, y) == pytest.approx(plain["loss"], 1e-12)


def test_rows_of_weight_zero_do_not_count():
    network, (x, y) = classifier(dtype="float64"), classes(40, dtype="float64")
    kept = np.arange(40) % 3 == 0
    got = network.gradients(x, y, "cross_entropy", sample_weight=kept)
    want = network.gradients(x[kept], y[kept], "cross_entropy")
    assert got[0] == pytest.approx(want[0] * kept.mean(), 1e-12)
    for pair, wanted in zip(got[1], want[1], strict=True):
        for a, b in zip(pair, wanted, strict=True):
            np.testing.assert_allclose(a, b * kept.mean(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("loss", list(LOSSES))
def test_gradient_check_with_weights(loss):
    bias = fb.initializers.Normal(0.5)
    layers = [fb.Dense(4, "tanh", bias_init=bias), fb.Dense(3, needed(loss, "tanh"))]
    network, rng = fb.Network(3, layers, seed=3), np.random.default_rng(3)
    x, y = rng.standard_normal((5, 3)), targets(loss, (5, 3), rng)
    options = {"sample_weight": [0, 2, 0.5, 1, 3]}
    check = fb.gradient_check(network, x, y, LOSSES[loss], **options)
    assert check.max_error < 1e-6, check


def test_class_weights_are_weights_of_rows():
    x, y = classes(60)
    by_class, weights = {0: 0.5, 2: 4.0}, np.array([0.5, 1, 4])[y]
    share = 60 / (3 * np.bincount(y))
    extra = some_weights(60)
    for option, rows in [(by_class, weights), ("balanced", share[y])]:
        for more in (None, extra):
            wanted = rows if more is None else rows * more
            a, b = trainer(class_weight=option), trainer()
            a.fit(x, y, epochs=2, sample_weight=more)
            b.fit(x, y, epochs=2, sample_weight=wanted)
            assert a.step(x, y, sample_weight=more) == b.step(x, y, sample_weight=wanted)
            assert parameters(a.network) == parameters(b.network)
            assert a.evaluate(x, y) == b.evaluate(x, y)


@pytest.mark.parametrize(("loss", "low"), [("binary_cross_entropy", 0), ("hinge", -1)])
def test_class_weights_of_one_output(loss, low):
    x, y = classes(60)
    y = np.where(y == 0, low, 1)
    a, b = (
        trainer(fb.Network(5, [fb.Dense(1, needed(loss, "tanh"))], seed=0), loss, **options)
        for options in ({"class_weight": {low: 3}}, {})
    )
    a.step(x, y)
    b.step(x, y, sample_weight=np.where(y == low, 3, 1))
    assert parameters(a.network) == parameters(b.network)


def test_bad_weights_are_refused_before_a_step():
    x, y = classes(10)
    owner = trainer()
    cases = [
        (np.ones(9), errors.ShapeError, r"got shape \(9,\), wanted \(10,\)"),
        (np.ones((10, 1)), errors.ShapeError, r"got shape \(10, 1\), wanted \(10,\)"),
        (1.0, errors.ShapeError, r"got shape \(\), wanted \(10,\)"),
        ([1] * 9 + [-1], errors.InputError, "got values from -1 to 1, wanted numbers >= 0"),
        ([1] * 9 + [np.nan], errors.InputError, r"got nan at \[9\]"),
        ([1] * 9 + [np.inf], errors.InputError, r"got inf at \[9\]"),
        ([1] * 9 + [1e39], errors.InputError, "got .* finite in float32"),
        (["a"] * 10, errors.DTypeError, "got dtype"),
    ]
    for weights, error, match in cases:
        for call in (owner.fit, owner.step, owner.evaluate):
            refused = partial(call, x, y, sample_weight=weights)
            assert_refuses(owner, refused, error, f"sample_weight: {match}")
        with pytest.raises(error, match=f"sample_weight: {match}"):
            owner.network.gradients(x, y, "cross_entropy", sample_weight=weights)
        if "float32" not in match:  # the check is made in float64
            with pytest.raises(error, match=f"sample_weight: {match}"):
                fb.gradient_check(owner.network, x, y, "cross_entropy", sample_weight=weights)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("even", "got 'even', wanted 'balanced' or a dict"),
        ({}, "got {}, wanted"),
        ([1, 2], r"got \[1, 2\], wanted"),
        ({0.5: 1.0}, r"got the class 0\.5, wanted a label"),
        ({None: 1.0}, "got the class None, wanted a label"),
    ],
)
def test_bad_class_weights_are_refused_at_construction(value, match):
    with pytest.raises(errors.ConfigError, match=f"class_weight: {match}"):
        trainer(class_weight=value)


@pytest.mark.parametrize("key", [3, -1, "a"])
def test_weights_of_what_is_no_class_are_refused_before_a_step(key):
    owner = trainer(class_weight={key: 1.0})
    match = rf"class_weight: got the class {key!r}, wanted 0\.\.2"
    for call in (owner.fit, owner.step):
        assert_refuses(owner, partial(call, *classes(10)), errors.ConfigError, match)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf, "1"])
def test_weights_of_classes_are_finite_and_not_negative(value):
    with pytest.raises(errors.ConfigError, match=r"class_weight\[1\]: got"):
        trainer(class_weight={1: value})


def test_class_weights_need_classes():
    x, y = classes(10)
    for loss, rows in [("cross_entropy", np.eye(3)[y]), ("mse", np.full((10, 1), 0.5))]:
        layer = fb.Dense(rows.shape[1], needed(loss, "tanh"))
        owner = trainer(fb.Network(5, [layer], seed=0), loss, class_weight="balanced")
        assert_refuses(owner, partial(owner.step, x, rows), errors.LabelError, "y: got targets of")
