"""A user's own loss: the same losses as functions, what they see, and what is refused."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import errors
from fastbp.engine import kernels
from fastbp.training.custom import CustomRun


def half_square(outputs, targets):
    """squared_error, in the function's own hand."""
    if targets.ndim == 1:
        targets = np.eye(outputs.shape[1], dtype=outputs.dtype)[targets]
    d = outputs - targets
    return 0.5 * (d * d).sum(axis=1), d


def cubic(outputs, targets):
    d = np.abs(outputs - targets)
    return (d**3).sum(axis=1), 3 * d * (outputs - targets)


def regression(dtype="float32", output="softmax"):
    rng = np.random.default_rng(1)
    layers = [fb.Dense(7, "tanh"), fb.Dense(3, output)]
    network = fb.Network(5, layers, dtype=dtype, seed=0)
    return network, rng.standard_normal((60, 5)).astype(dtype), rng.random((60, 3)).astype(dtype)


@pytest.mark.parametrize("output", ["linear", "sigmoid", "tanh", "softmax"])
@pytest.mark.parametrize("batch", [1, 8, 16, None])
def test_training_has_the_bits_of_the_compiled_loss(dtype, output, batch):
    done = []
    weights = np.random.default_rng(2).random(60)
    for loss in ("squared_error", half_square):
        network, x, t = regression(dtype, output)
        owner = trainer(network, loss, batch_size=batch, l2=1e-3)
        first = owner.fit(x, t, epochs=2, validation_data=(x, t), sample_weight=weights)
        values = [*first["loss"], *first["val_loss"]]
        values += [owner.step(x[:9], t[:9]), owner.step(x[:4], t[:4]), owner.step(x[:9], t[:9])]
        values += [owner.evaluate(x, t, sample_weight=weights)["loss"]]
        done.append((parameters(network), owner.n_steps, values, set(first)))
    assert done[0][:2] == done[1][:2]
    assert done[0][2] == pytest.approx(done[1][2], rel=1e-5 if dtype == "float32" else 1e-12)
    assert done[0][3] == done[1][3]


def test_classes_come_as_they_are_and_accuracy_is_counted():
    x, y = classes(60)
    seen = []

    def watching(outputs, targets):
        seen.append((outputs.dtype, outputs.shape, targets.dtype, targets.shape))
        return half_square(outputs, targets)

    a, b = trainer(classifier(), watching), trainer(classifier(), "squared_error")
    for owner in (a, b):
        owner.fit(x, y, epochs=3, validation_data=(x, y))
    assert parameters(a.network) == parameters(b.network)
    assert a.history["accuracy"] == b.history["accuracy"]
    assert a.history["val_accuracy"] == b.history["val_accuracy"]
    f, i = np.dtype(np.float32), np.dtype(np.int64)
    assert set(seen) == {(f, (n, 3), i, (n,)) for n in (16, 12, 60)}


def test_the_function_sees_the_outputs_of_its_rows():
    network, x, t = regression()
    rows = {row.tobytes(): network.predict(x[i : i + 1])[0] for i, row in enumerate(t)}

    def watching(outputs, targets):
        for output, target in zip(outputs, targets, strict=True):
            assert np.array_equal(output, rows[target.tobytes()])
        return half_square(outputs, targets)

    trainer(network, watching, optimizer=fb.SGD(0.0)).fit(x, t, epochs=2)


def test_a_function_that_writes_to_what_it_gets_harms_nothing(dtype):
    def greedy(outputs, targets):
        given = half_square(outputs, targets)
        outputs[...] = -outputs  # another class would be the largest
        targets[...] = 0
        return given

    rng = np.random.default_rng(0)
    for y in (rng.integers(0, 3, 60), rng.random((60, 3)).astype(dtype)):
        found = []
        for loss in (half_square, greedy):
            network, x, _ = regression(dtype)
            before, owner = y.copy(), trainer(network, loss, batch_size=16)
            history = owner.fit(x, y, epochs=2, validation_data=(x, y))
            owner.fit([(x[:8], y[:8])], epochs=1)
            owner.step(x, y)
            check = fb.gradient_check(network, x[:4], y[:4], loss)
            values = [owner.evaluate(x, y), network.gradients(x, y, loss)[0], check.max_error]
            targets = y if y.ndim == 2 else np.eye(3)[y]
            values += [fb.check_loss(loss, np.float64(targets) + 1, y).max_error, *history["loss"]]
            found.append((parameters(network), str(values), str(dict(history)["val_loss"])))
            assert np.array_equal(y, before)
        assert found[0] == found[1]


def test_gradients_are_those_of_the_function():
    network, x, t = regression("float64")
    weights = np.random.default_rng(2).random(60)
    want = network.gradients(x, t, "squared_error", True, weights)
    got = network.gradients(x, t, half_square, True, weights)
    assert got[0] == pytest.approx(want[0], 1e-14)
    for pair, wanted in zip(got[1], want[1], strict=True):
        for a, b in zip(pair, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(got[2], want[2])


@pytest.mark.parametrize("output", ["linear", "sigmoid", "tanh", "softmax"])
def test_gradient_check(output):
    network, x, t = regression("float64", output)
    check = fb.gradient_check(network, x[:5], t[:5], cubic, sample_weight=[1, 2, 0, 1, 0.5])
    assert check.max_error < 1e-6, check

    def wrong(outputs, targets):
        values, gradient = cubic(outputs, targets)
        return values, 1.01 * gradient

    assert not fb.gradient_check(network, x[:5], t[:5], wrong).passed


def test_check_loss():
    outputs, targets = np.random.default_rng(3).standard_normal((2, 6, 4))
    check = fb.check_loss(cubic, outputs, targets)
    assert check.passed
    assert check.max_error < 1e-6
    assert fb.check_loss(half_square, outputs, [0, 1, 2, 3, 0, 1]).passed

    def wrong(y, t):
        values, gradient = cubic(y, t)
        gradient[4, 2] *= 1.01
        return values, gradient

    check = fb.check_loss(wrong, outputs, targets)
    assert not check.passed
    assert check.layers[0].worst == "outputs[4, 2]"
    assert check.max_error == pytest.approx(0.01, rel=0.02)
    assert "FAILED" in str(check)


def test_check_loss_finds_rows_that_depend_on_each_other():
    def normalised(y, t):
        d = y - y.mean(axis=0) - t
        return 0.5 * (d * d).sum(axis=1), d

    assert not fb.check_loss(
        normalised, *np.random.default_rng(3).standard_normal((2, 6, 4))
    ).passed


def test_check_loss_refuses_what_it_cannot_use():
    with pytest.raises(errors.ConfigError, match="function: got 'mse'"):
        fb.check_loss("mse", np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(errors.ShapeError, match=r"outputs: got shape \(2,\)"):
        fb.check_loss(half_square, np.ones(2), np.ones(2))
    with pytest.raises(errors.InputError, match="outputs: got nan"):
        fb.check_loss(half_square, [[np.nan, 1]], [[1, 1]])
    with pytest.raises(errors.ConfigError, match="eps: got"):
        fb.check_loss(half_square, np.ones((2, 2)), np.ones((2, 2)), eps=0)


BAD = [
    (lambda y, t: 1.0, errors.ConfigError, "got float from the function, wanted a pair"),
    (lambda y, t: (1.0, y, t), errors.ConfigError, "got tuple from the function, wanted a pair"),
    (lambda y, t: (0.5, y), errors.ShapeError, r"losses of the rows: got shape \(\), wanted \(16,"),
    (lambda y, t: (y, y), errors.ShapeError, r"losses of the rows: got shape \(16, 3\), wanted"),
    (
        lambda y, t: (y[:, 0], y[0]),
        errors.ShapeError,
        r"gradient: got shape \(3,\), wanted \(16, 3",
    ),
    (lambda y, t: (y[:, 0], None), errors.DTypeError, "gradient: got None, wanted an array"),
    (lambda y, t: (y[:, 0], y * 1j), errors.DTypeError, "gradient: got dtype complex"),
]


@pytest.mark.parametrize(("function", "error", "match"), BAD)
def test_what_is_no_loss_is_refused_before_a_step(function, error, match):
    network, x, t = regression()
    owner, before = trainer(network, function), parameters(network)
    for call in (owner.fit, owner.step, owner.evaluate, partial(network.gradients, loss=function)):
        with pytest.raises(error, match=f"loss: {match}"):
            call(x[:16], t[:16])
    assert (parameters(network), owner.n_steps) == (before, 0)
    trainer(network, half_square).fit(x, t)  # nobody holds the network


@pytest.mark.parametrize("part", [0, 1])
def test_a_loss_that_is_not_finite_stops_before_an_update(part):
    network, x, t = regression()
    calls = []

    def failing(outputs, targets):
        calls.append(1)
        result = half_square(outputs, targets)
        if len(calls) > 6:  # the third step of the second epoch
            result[part][0] = np.nan
        return result

    owner = trainer(network, failing)
    with pytest.raises(errors.DivergenceError, match="epoch 2, step 6"):
        owner.fit(x, t, epochs=3)
    assert owner.n_steps == 4
    twin = trainer(regression()[0], "squared_error")
    twin.fit(x, t)
    assert parameters(network) == parameters(twin.network)
    assert_refuses(owner, partial(owner.step, x, t), errors.DivergenceError, "the loss")


def test_a_loss_of_a_row_without_weight_may_be_infinite():
    def loss(outputs, targets):
        rows = np.where(np.arange(len(outputs)) == 1, np.inf, 2.0)
        return rows, np.zeros_like(outputs)

    owner = fb.Trainer(fb.Network(2, [fb.Dense(1)], seed=0), loss)
    x, y = np.ones((3, 2)), np.zeros((3, 1))
    assert owner.evaluate(x, y, sample_weight=[1, 0, 3])["loss"] == 2
    assert owner.evaluate(x, y, sample_weight=[1, 1, 3])["loss"] == np.inf


def test_an_error_of_the_function_comes_through_and_undoes_the_epoch():
    network, x, t = regression()
    calls = []

    def failing(outputs, targets):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("mine")
        return half_square(outputs, targets)

    owner = trainer(network, failing)
    before = state(owner)
    with pytest.raises(RuntimeError, match="mine"):
        owner.fit(x, t)
    assert len(calls) == 3
    assert state(owner) == before
    owner.fit(x, t)


def test_given_gradients_of_the_kernel(isa, dtype):
    from arrays import Padded, blank

    rng = np.random.default_rng(4)
    for n_out in (1, 7, 16, 33):
        y, g = rng.random((2, 9, n_out)).astype(dtype)
        delta, rows, correct = blank(y.shape, dtype), np.full(9, 7.0), np.zeros(9, np.uint8)
        arrays = delta.array, rows, correct, Padded(y).array, Padded(g).array
        kernels.loss_delta(*arrays, n_out, "custom", "linear", 0.25, isa)
        np.testing.assert_array_equal(delta.values, np.dtype(dtype).type(0.25) * g)
        delta.assert_written_inside()
        assert not rows.any()


def test_names():
    network, _, _ = regression()
    assert ", half_square, SGD" in repr(trainer(network, half_square))
    owner = trainer(network, half_square)
    assert isinstance(owner._runs.new(4, 1), CustomRun)
    with pytest.raises(errors.ConfigError, match="loss: got <class"):
        trainer(network, fb.losses.Huber)


def test_a_function_is_refused_where_it_would_see_other_outputs_than_the_step_has():
    network = fb.Network(4, [fb.Dense(3, "relu", dropout=0.5), fb.Dense(2)], seed=0)
    with pytest.raises(errors.ConfigError, match="loss: got the function half_square"):
        fb.Trainer(network, half_square)
