"""Weights of rows and of classes: against the reference, and the gate."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import product

import numpy as np
import pytest
from loss_cases import LOSSES, PARAMETERS, needed, right_rows, targets
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
        assert total == pytest.approx(weights.sum() * want, rel=RTOL[dtype])
        right = right_rows(loss, net.model.predict(x, 1), y)
        assert n_correct == pytest.approx(weights @ right, rel=1e-12)
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
            want += value * weights[rows].sum()
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


@pytest.mark.parametrize("average", ["weights", "rows"])
def test_reported_values_are_weighted_means(average):
    network, (x, y) = classifier(dtype="float64"), classes(40, dtype="float64")
    options = {"optimizer": fb.SGD(0.0), "batch_size": 7, "average": average}
    owner, weights = trainer(network, **options), some_weights(40)
    rows = np.array([owner.evaluate(x[i : i + 1], y[i : i + 1])["loss"] for i in range(40)])
    right = network.predict(x).argmax(axis=1) == y
    want = [np.average(rows, weights=weights), np.average(right, weights=weights)]
    assert want[1] != right.mean()
    found = owner.evaluate(x, y, sample_weight=weights)
    assert list(found.values()) == pytest.approx(want, 1e-12)
    assert network.gradients(x, y, "cross_entropy", sample_weight=weights)[0] == pytest.approx(
        want[0], 1e-12
    )
    assert owner.step(x, y, sample_weight=weights) == pytest.approx(want[0], 1e-12)
    history = owner.fit(x, y, sample_weight=weights, validation_data=(x, y, weights))
    for name in ("loss", "val_loss"):
        assert history[name][-1] == pytest.approx(want[0], 1e-12)
        accuracy = history[name.replace("loss", "accuracy")][-1]
        assert accuracy == pytest.approx(want[1], 1e-12)
    batches = [(x[i : i + 7], y[i : i + 7], weights[i : i + 7]) for i in range(0, 40, 7)]
    assert owner.fit(batches)["loss"][-1] == pytest.approx(want[0], 1e-12)


def test_a_step_divides_by_the_weights_or_by_the_rows():
    x, y = classes(8, dtype="float64")
    weights = some_weights(8)
    _, pairs = classifier(dtype="float64").gradients(x, y, "cross_entropy", sample_weight=weights)
    for average, factor in [("weights", 1.0), ("rows", weights.sum() / 8)]:
        network = classifier(dtype="float64")
        before = network.layers[0].weight.copy()
        owner = trainer(network, optimizer=fb.SGD(0.5))
        owner.average = average
        owner.step(x, y, sample_weight=weights)
        step = (before - network.layers[0].weight) / 0.5
        np.testing.assert_allclose(step, factor * pairs[0][0], rtol=1e-9, atol=1e-14)
    with pytest.raises(errors.ConfigError, match="average: got 'sum', wanted one of weights, rows"):
        trainer(average="sum")


@pytest.mark.parametrize("output", [1, 3])
def test_weights_are_those_of_torch(output):
    torch = pytest.importorskip("torch")
    x, y = classes(40, dtype="float64")
    weights = some_weights(40)
    layers = [fb.Dense(7, "tanh"), fb.Dense(output, "softmax" if output > 1 else "sigmoid")]
    network = fb.Network(5, layers, dtype="float64", seed=0)
    if output == 1:
        loss, target = torch.nn.functional.binary_cross_entropy_with_logits, torch.tensor(y > 0.0)
        arguments, y = (target.double()[:, None],), (y > 0).astype(int)
    else:
        loss, arguments = torch.nn.functional.cross_entropy, (torch.tensor(y),)
    tensors = [
        torch.tensor(a.copy(), requires_grad=True)
        for layer in network.layers
        for a in (layer.weight, layer.bias)
    ]
    rows, w = torch.tensor(x), torch.tensor(weights)
    for _ in range(3):
        hidden = torch.tanh(rows @ tensors[0] + tensors[1])
        each = loss(hidden @ tensors[2] + tensors[3], *arguments, reduction="none").ravel()
        ((w * each).sum() / w.sum()).backward()
        with torch.no_grad():
            for t in tensors:
                t -= 0.3 * t.grad
                t.grad = None
    name = "cross_entropy" if output > 1 else "binary_cross_entropy"
    owner = trainer(network, name, optimizer=fb.SGD(0.3), batch_size=None)
    owner.fit(x, y, epochs=3, sample_weight=weights)
    got = [a for layer in network.layers for a in (layer.weight, layer.bias)]
    for a, t in zip(got, tensors, strict=True):
        np.testing.assert_allclose(a, t.detach().numpy(), rtol=1e-11, atol=1e-14)


def test_weights_of_classes_are_those_of_torch():
    torch = pytest.importorskip("torch")
    x, y = classes(30, dtype="float64")
    network = classifier(dtype="float64")
    outputs = torch.tensor(np.log(network.predict(x)))
    want = torch.nn.functional.cross_entropy(
        outputs, torch.tensor(y), weight=torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    )
    owner = trainer(network, class_weight={0: 0.5, 2: 4.0})
    assert owner.step(x, y) == pytest.approx(want.item(), 1e-12)


def test_weights_are_those_of_scikit_learn():
    neural = pytest.importorskip("sklearn.neural_network")
    x, y = classes(40, dtype="float64")
    weights = some_weights(40)
    model = neural.MLPClassifier(
        (7,), "tanh", solver="sgd", alpha=0, batch_size=40, learning_rate_init=0.3, momentum=0,
        shuffle=False, max_iter=1, random_state=0, tol=0,
    )  # fmt: skip
    network = classifier(dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(x, y, classes=[0, 1, 2])
        for layer, coefs, bias in zip(network.layers, model.coefs_, model.intercepts_, strict=True):
            layer.weight[...], layer.bias[...] = coefs, bias
        model.partial_fit(x, y, sample_weight=weights)
    owner = trainer(network, optimizer=fb.SGD(0.3), batch_size=None)
    loss = owner.step(x, y, sample_weight=weights)
    assert loss == pytest.approx(model.loss_, 1e-9)
    for layer, coefs in zip(network.layers, model.coefs_, strict=True):
        np.testing.assert_allclose(layer.weight, coefs, rtol=1e-9, atol=1e-12)


def masked(loss, n=12):
    """Rows [n, 4], targets of which every third is NaN (or -1 for classes), and the weights."""
    rng = np.random.default_rng(3)
    x, kept = rng.standard_normal((n, 4)), np.arange(n) % 3 > 0
    y = rng.integers(0, 3, n) if loss == "classes" else targets(loss, (n, 3), rng)
    y[~kept] = -1 if loss == "classes" else np.nan
    return x, y, kept, np.where(kept, 1 + rng.random(n), 0)


def half_square(outputs, targets):
    return 0.5 * ((outputs - targets) ** 2).sum(axis=1), outputs - targets


@pytest.mark.parametrize("loss", [*LOSSES, "classes", "custom"])
def test_rows_of_weight_zero_have_no_influence(loss):
    x, y, kept, weights = masked({"custom": "squared_error"}.get(loss, loss))
    name = {"classes": "cross_entropy", "custom": half_square}.get(loss) or LOSSES[loss]
    output = {"classes": "softmax", "custom": "tanh"}.get(loss) or needed(loss, "tanh")

    def made():
        network = fb.Network(4, [fb.Dense(6, "gelu"), fb.Dense(3, output)], "float64", seed=1)
        return fb.Trainer(network, name, fb.SGD(0.1), batch_size=4, shuffle=False, metrics=["mae"])

    all_rows, some = made(), made()
    want = some.network.gradients(x[kept], y[kept], name, True, weights[kept])
    got = all_rows.network.gradients(x, y, name, True, weights)
    assert got[0] == pytest.approx(want[0], 1e-12)
    for pair, wanted in zip(got[1], want[1], strict=True):
        for a, b in zip(pair, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(got[2][kept], want[2], rtol=1e-11, atol=1e-15)
    assert not got[2][~kept].any()
    assert all_rows.evaluate(x, y, weights) == pytest.approx(
        some.evaluate(x[kept], y[kept], weights[kept]), rel=1e-12
    )
    loss_of_step = some.step(x[kept], y[kept], weights[kept])
    assert all_rows.step(x, y, weights) == pytest.approx(loss_of_step, rel=1e-12)
    history = all_rows.fit(x, y, 2, (x, y, weights), sample_weight=weights)
    assert np.isfinite(list(history.values())).all()
    assert fb.gradient_check(all_rows.network, x, y, name, sample_weight=weights).passed


@pytest.mark.parametrize("batch", [2, 16, 64])
def test_outputs_that_overflow_do_not_reach_the_gradient_of_other_rows(batch):
    """A delta of 0 times an infinite output is NaN; the rows are of every regime."""
    network = fb.Network(2, [fb.Dense(16), fb.Dense(16), fb.Dense(1)], seed=0)
    network.layers[1].weight[...] *= 100
    x = np.ones((batch, 2))
    x[::2] = 1e38
    t, weights = np.ones(batch), np.arange(batch) % 2
    owner = fb.Trainer(network, "mse", fb.SGD(1e-6), batch_size=batch)
    assert not np.isfinite(network.predict(x[::2])).all()
    want = network.gradients(x[1::2], t[1::2], "mse")
    got = network.gradients(x, t, "mse", sample_weight=weights)
    assert got[0] == pytest.approx(want[0], rel=1e-6)
    np.testing.assert_allclose(got[1][0][0], want[1][0][0], rtol=1e-5, atol=1e-7)
    for _ in range(3):
        assert np.isfinite(owner.step(x, t, weights))
    assert np.isfinite(network.parameters).all()
    assert np.isfinite(owner.evaluate(x, t, weights)["loss"])


def test_a_batch_without_weight_changes_nothing():
    x, y = classes(32)
    y[:16] = -1
    owner, weights = trainer(shuffle=False, optimizer=fb.SGD(0.1)), np.repeat([0, 1], 16)
    before = parameters(owner.network)
    assert np.isnan(owner.step(x[:16], y[:16], weights[:16]))
    assert parameters(owner.network) == before
    other = trainer(shuffle=False, optimizer=fb.SGD(0.1))
    loss = owner.fit(x, y, sample_weight=weights)["loss"][-1]
    assert loss == other.fit(x[16:], y[16:])["loss"][-1]
    assert parameters(owner.network) == parameters(other.network)
    assert owner.n_steps == 3


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_only_the_proportions_of_weights_count(scale):
    x, y = classes(32)
    weights = some_weights(32)
    a, b = trainer(), trainer()
    a.fit(x, y, sample_weight=weights)
    b.fit(x, y, sample_weight=weights * scale)
    np.testing.assert_allclose(a.network.parameters, b.network.parameters, rtol=1e-5, atol=1e-7)
    assert a.history["loss"] == pytest.approx(b.history["loss"], rel=1e-6)


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
    extra = some_weights(60)
    for option in (by_class, "balanced"):
        for more in (None, extra):
            # The shares are those of the rows that have a weight.
            counts = np.bincount(y if more is None else y[extra > 0])
            rows = weights if option == by_class else (counts.sum() / (3 * counts))[y]
            wanted = rows if more is None else rows * more
            a, b = trainer(class_weight=option), trainer()
            a.fit(x, y, epochs=2, sample_weight=more)
            b.fit(x, y, epochs=2, sample_weight=wanted)
            assert a.step(x, y, sample_weight=more) == b.step(x, y, sample_weight=wanted)
            assert parameters(a.network) == parameters(b.network)
            assert a.evaluate(x, y) == b.evaluate(x, y)
            rows = weights if option == by_class else (60 / (3 * np.bincount(y)))[y]
            measured = b.evaluate(x, y, rows)
            a.optimizer = b.optimizer = fb.SGD(0.0)
            history = a.fit(x, y, validation_data=(x, y))
            for name, value in measured.items():
                assert history[f"val_{name}"][-1] == pytest.approx(value, 1e-6)


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
        (np.zeros(10), errors.InputError, "got only zeros, wanted a weight > 0"),
        (["a"] * 10, errors.DTypeError, "got dtype"),
    ]
    for weights, error, match in cases:
        for call in (owner.fit, owner.evaluate, *([] if "zeros" in match else [owner.step])):
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


@pytest.mark.parametrize(
    ("loss", "known"),
    [("binary_cross_entropy", "0 and 1"), ("hinge", "-1 and 1"), ("perceptron", "-1 and 1")],
)
def test_class_weights_of_one_output_are_of_its_two_classes(loss, known):
    x, y = classes(20)
    y = np.where(y == 0, int(known.split()[0]), 1)
    network = fb.Network(5, [fb.Dense(1, needed(loss, "tanh"))], seed=0)
    owner = trainer(network, loss, class_weight={1: 2, 7: 1})
    for call in (owner.fit, owner.step):
        refused = partial(call, x, y)
        match = rf"got the class 7, wanted (one of )?{known.split()[0]}(,| and) 1"
        assert_refuses(owner, refused, errors.ConfigError, match)
    owner.class_weight = {1: 2, int(known.split()[0]): 1}
    owner.fit(x, y)


@pytest.mark.parametrize("loss", ["mse", half_square])
def test_class_weights_of_one_output_are_of_classes_that_occur(loss):
    x, y = classes(20)
    owner = trainer(fb.Network(5, [fb.Dense(1)], seed=0), loss, class_weight={1: 2, 7: 1})
    refused = partial(owner.fit, x, y)
    assert_refuses(owner, refused, errors.ConfigError, "got the class 7, wanted values of y: 0, 1")
    owner.class_weight = {1: 2}
    owner.fit(x, y)


def test_class_weights_of_zero_for_all_rows_are_refused():
    x, y = classes(20)
    owner = trainer(class_weight={0: 0, 1: 0, 2: 0})
    assert_refuses(owner, partial(owner.fit, x, y), errors.InputError, "class_weight: got .*0 to 0")


def test_class_weights_need_classes():
    x, y = classes(10)
    for loss, rows in [("cross_entropy", np.eye(3)[y]), ("mse", np.full((10, 1), 0.5))]:
        layer = fb.Dense(rows.shape[1], needed(loss, "tanh"))
        owner = trainer(fb.Network(5, [layer], seed=0), loss, class_weight="balanced")
        assert_refuses(owner, partial(owner.step, x, rows), errors.LabelError, "y: got targets of")


def test_targets_of_rows_that_do_not_count_still_have_their_shape():
    x, y = classes(20)
    owner, before = trainer(), parameters(trainer().network)
    for wrong in (y[:19], np.zeros((20, 2)), np.zeros((20, 3, 1))):
        refused = partial(owner.step, x, wrong, np.zeros(20))
        assert_refuses(owner, refused, errors.ShapeError, "y: got")
    for anything in (y, np.full(20, -1), np.full((20, 3), np.nan)):
        assert np.isnan(owner.step(x, anything, np.zeros(20)))
    assert parameters(owner.network) == before
