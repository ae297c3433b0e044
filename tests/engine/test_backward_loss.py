"""loss_delta, on every kernel set, against the reference: losses, deltas and correct rows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from arrays import Padded, blank, same_bits
from layer_shapes import BATCHES, SIZES
from loss_cases import PARAMETERS, targets
from networks import PAIRS as ALL_PAIRS

from fastbp import reference
from fastbp.engine import kernels

# In eps of the dtype, of the size of output and target (or e^output), and of the row's loss.
LOSS_TOLERANCE = 4

PAIRS = [pair for pair in ALL_PAIRS if not reference.ACTIVATIONS[pair[1]].from_z]
LOSS_SHAPES = [(BATCHES[i % len(BATCHES)], n) for i, n in enumerate([*SIZES, *SIZES])]


@cache
def last_layer(batch, n_out, dtype, loss, activation, spread=2.0):
    """Random output (logits for a fused loss) and a fitting target; half the rows are right."""
    rng = np.random.default_rng([batch, n_out, 3])
    shape = batch, n_out
    fused = reference.LOSSES[loss].fused_with
    z = spread * rng.standard_normal(shape)
    output = z if fused else reference.ACTIVATIONS[activation].f(z)
    right = rng.random(batch) < 0.5
    classes = np.where(right, output.argmax(axis=1), rng.integers(0, n_out, batch))
    target = np.eye(n_out)[classes]
    if loss == "cross_entropy" and batch % 2:  # soft rows
        target = 0.8 * target + 0.2 * rng.dirichlet(np.ones(n_out), batch)
    if loss == "binary_cross_entropy":
        target = np.where(rng.random(shape) < 0.5, target, rng.random(shape))
    if fused == "linear" and loss != "multiclass_hinge":
        target = targets(loss, shape, rng)
        if loss != "poisson":
            target = np.where(right[:, None] & (output != 0), np.sign(output), target)
    if fused is None:
        target = np.where(rng.random((batch, 1)) < 0.5, target, rng.standard_normal(shape))
    return output.astype(dtype), target.astype(dtype)


def loss_delta(isa, output, target, loss, activation, scale):
    output, target = Padded(output), Padded(target)
    batch, n_out = output.values.shape
    delta = blank((batch, n_out), output.array.dtype)
    rows = Padded(np.full(batch, np.nan), ld=batch)
    correct = Padded(np.full(batch, 7, np.uint8), ld=batch)
    kernels.loss_delta(
        delta.array, rows.array, correct.array, output.array, target.array,
        n_out, loss, activation, scale, isa, parameter=PARAMETERS[loss],
    )  # fmt: skip
    for a in (delta, rows, correct):
        a.assert_written_inside(zero_padding=np.isfinite(output.values).all())
    for a in (output, target):
        a.assert_unwritten()
    return delta, rows.values, correct.values


def assert_close_to_reference(got, output, target, loss, activation, scale):
    eps = np.finfo(output.dtype).eps
    output, target = output.astype(np.float64), target.astype(np.float64)
    delta, rows, correct = reference.loss_delta(
        output, target, loss, activation, scale, PARAMETERS[loss]
    )
    rate = np.exp(output) if loss == "poisson" else 0
    terms = (abs(output) + abs(target) + 1 + rate).max(axis=1, initial=0)
    bound = LOSS_TOLERANCE * eps * scale * terms[:, None]
    assert (abs(got[0].values - delta) <= bound).all()
    terms = (rows if reference.LOSSES[loss].fused_with is None else terms) + rows
    assert (abs(got[1] - rows) <= LOSS_TOLERANCE * eps * terms).all()
    np.testing.assert_array_equal(got[2], correct)


LOSSES = list(dict.fromkeys(loss for loss, _ in PAIRS))


def activations_of(loss):
    return [activation for name, activation in PAIRS if name == loss]


def data_of(loss):
    """(activation, batch, n_out): all shapes once, every size once where another slope follows."""
    for i, activation in enumerate(activations_of(loss)):
        shapes = LOSS_SHAPES if i == 0 else LOSS_SHAPES[: len(SIZES)]
        yield from ((activation, *shape) for shape in shapes)


@pytest.mark.parametrize("loss", LOSSES)
def test_scalar_loss_agrees_with_float64_and_writes_only_its_rows(dtype, loss):
    for activation, batch, n_out in data_of(loss):
        data = last_layer(batch, n_out, dtype, loss, activation)
        got = scalar_loss_delta(batch, n_out, dtype, loss, activation)
        assert_close_to_reference(got, *data, loss, activation, 0.25)


@cache
def scalar_loss_delta(batch, n_out, dtype, loss, activation):
    data = last_layer(batch, n_out, dtype, loss, activation)
    return loss_delta("scalar", *data, loss, activation, 0.25)


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_bits_are_those_of_the_scalar_kernels(isa, dtype, loss):
    for activation, batch, n_out in data_of(loss):
        data = last_layer(batch, n_out, dtype, loss, activation)
        got = loss_delta(isa, *data, loss, activation, 0.25)
        want = scalar_loss_delta(batch, n_out, dtype, loss, activation)
        assert same_bits(got[0].array, want[0].array), (activation, batch, n_out)
        assert same_bits(got[1], want[1]), (activation, batch, n_out)
        assert same_bits(got[2], want[2]), (activation, batch, n_out)


def test_losses_are_stable_at_huge_logits(isa, dtype):
    for loss, activation in PAIRS:
        fused = reference.LOSSES[loss].fused_with
        if loss == "poisson" or not (activation == "linear" or fused):
            continue  # infinite there: see test_poisson_at_huge_logits
        for n_out in (1, 2, 5, 17):
            data = last_layer(31, n_out, dtype, loss, activation, spread=1e4)
            assert abs(data[0]).max() > 1e4
            got = loss_delta(isa, *data, loss, activation, 1.0)
            assert np.isfinite(got[0].array).all(), loss
            assert np.isfinite(got[1]).all(), loss
            assert (got[1] >= 0).all(), loss
            assert_close_to_reference(got, *data, loss, activation, 1.0)


def test_poisson_at_huge_logits(isa, dtype):
    """A rate of e^-1e4 is zero, one of e^1e4 infinite, and nothing is NaN."""
    z, t = np.array([[-1e4], [-1e4], [1e4], [1e4]], dtype), np.array([[0], [3], [0], [3]], dtype)
    delta, rows, _ = loss_delta(isa, z, t, "poisson", "linear", 0.5)
    assert rows.tolist() == [0, 3e4, np.inf, np.inf]
    assert delta.values.ravel().tolist() == [0, -1.5, np.inf, np.inf]


def test_losses_by_hand(isa, dtype):
    cases = {  # output, target: loss, dL/dz, correct, at the parameters of loss_cases
        "mae": ([1, -2, 3], [3, -2, 0], 5 / 3, [-1 / 3, 0, 1 / 3], 0),
        "huber": ([1, 2, 0.5], [3, 2, 0], (0.8 * 1.6 + 0.125) / 3, [-0.8 / 3, 0, 0.5 / 3], 0),
        "quantile": ([1, 2, 3], [3, 2, 0], (1.4 + 0.9) / 3, [-0.7 / 3, 0, 0.1], 0),
        "poisson": ([0, 1, 0], [2, 0, 1], 2 + np.e, [-1, np.e, 0], 0),
        "hinge": ([0.5, -2, 0.5], [1, -1, -1], 0.4 + 1.4, [-1, 0, 1], 0),
        "multiclass_hinge": ([1, 2, 0.5], [1, 0, 0], 2.25 + 0.75, [-2, 1, 1], 0),
        "perceptron": ([0, -2, 3], [1, -1, -1], 3, [-1, 0, 1], 0),
    }
    for loss, (z, t, value, slope, right) in cases.items():
        arrays = [np.array([row], dtype) for row in (z, t)]
        delta, rows, correct = loss_delta(isa, *arrays, loss, "linear", 1.0)
        eps = 4 * float(np.finfo(dtype).eps)
        assert rows == pytest.approx(value, rel=eps), loss
        np.testing.assert_allclose(delta.values[0], slope, rtol=eps, err_msg=loss)
        assert correct == right


def test_perceptron_of_bits_is_that_of_signs(isa, dtype):
    z, signs = last_layer(31, 5, dtype, "perceptron", "linear")
    z = z.copy()
    z[::4, 2] = 0
    want = loss_delta(isa, z, signs, "perceptron", "linear", 0.25)
    got = blank(z.shape, dtype)
    rows, correct = np.empty(31), np.empty(31, np.uint8)
    bits = Padded((signs + 1) / 2).array
    arrays = got.array, rows, correct, Padded(z).array, bits
    kernels.loss_delta(*arrays, 5, "perceptron", "linear", 0.25, isa, parameter=1)
    assert same_bits(got.array, want[0].array)
    assert same_bits(rows, want[1])
    # The step of 0 is 0, which is right for a 0; zero has no sign.
    np.testing.assert_array_equal(correct, ((z > 0) == (signs > 0)).all(axis=1))
    assert (correct != want[2]).any()


@pytest.mark.parametrize("loss", ["hinge", "perceptron"])
def test_correct_of_signs_wants_every_output_on_its_side(isa, dtype, loss):
    z = np.array([[2, -1], [2, 1], [0, -1], [-0.0, -1], [np.nan, -1], [1e-30, -1e4]], dtype)
    t = np.array([[1, -1]] * len(z), dtype)
    assert loss_delta(isa, z, t, loss, "linear", 1.0)[2].tolist() == [1, 0, 0, 0, 0, 1]


def test_smoothed_rows(isa, dtype):
    for n_out in SIZES:
        rows = Padded(np.eye(n_out, dtype=dtype)[[0, n_out - 1, n_out // 2]])
        want = reference.smooth_rows(rows.values.astype(float), 0.1)
        kernels.smooth_rows(rows.array, n_out, 0.1, isa)
        np.testing.assert_allclose(rows.values, want, rtol=2 * np.finfo(dtype).eps)
        assert not rows.array[:, n_out:][:, : -n_out % (64 // rows.array.itemsize)].any(), n_out
        scalar = Padded(np.eye(n_out, dtype=dtype)[[0, n_out - 1, n_out // 2]])
        kernels.smooth_rows(scalar.array, n_out, 0.1, "scalar")
        assert same_bits(rows.array, scalar.array), n_out


def test_loss_of_a_certain_and_a_certainly_wrong_output(isa, dtype):
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    target = np.array([[1, 0], [1, 0]], dtype)
    for loss, activation in [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid")]:
        delta, rows, correct = loss_delta(isa, logits, target, loss, activation, 1.0)
        assert rows.tolist() == [0, 2e4]
        assert delta.values.tolist() == [[0, 0], [-1, 1]]
        assert correct.tolist() == [1, 0]


def test_loss_of_nan_output_is_nan(isa, dtype):
    for loss, activation in PAIRS:
        output, target = last_layer(9, 17, dtype, loss, activation)
        output = output.copy()
        output[[0, 4], [0, 16]] = np.nan
        rows = loss_delta(isa, output, target, loss, activation, 1.0)[1]
        assert list(np.flatnonzero(np.isnan(rows))) == [0, 4], (loss, activation)


def test_correct_is_the_first_of_equal_largest_outputs(isa, dtype):
    n_out = 40
    cases = [  # places of the largest output, the target's class, correct
        ([3, 35], 3, 1),
        ([3, 35], 35, 0),
        ([17, 20], 17, 1),
        ([17, 20], 20, 0),
        ([0], 0, 1),
        ([39], 39, 1),
        ([39], 38, 0),
        (range(40), 0, 1),
        (range(40), 1, 0),
    ]
    output, target = np.full((2, len(cases), n_out), -1.0).astype(dtype)
    target[...] = 0
    for b, (places, wanted, _) in enumerate(cases):
        output[b, list(places)] = 2
        target[b, wanted] = 1
    for loss, activation in [("squared_error", "linear"), ("cross_entropy", "softmax")]:
        correct = loss_delta(isa, output, target, loss, activation, 1.0)[2]
        assert correct.tolist() == [h for *_, h in cases]


def test_correct_of_negative_outputs_and_of_soft_targets(isa, dtype):
    output = np.array([[-3, -1, -2], [-3, -1, -2]], dtype)
    target = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], dtype)
    correct = loss_delta(isa, output, target, "cross_entropy", "softmax", 1.0)[2]
    assert correct.tolist() == [1, 0]


def test_correct_of_a_single_output_is_the_side_of_one_half(isa, dtype):
    above = np.nextafter(np.array(0.5, dtype), np.array(1, dtype))
    output = np.array([[0.5], [above], [0.2], [0.9], [0.9]], dtype)
    target = np.array([[0], [1], [1], [1], [0]], dtype)
    correct = loss_delta(isa, output, target, "squared_error", "linear", 1.0)[2]
    assert correct.tolist() == [1, 1, 0, 1, 0]
    logits = np.array([[0], [0.1], [-0.1], [5], [5]], dtype)
    correct = loss_delta(isa, logits, target, "binary_cross_entropy", "sigmoid", 1.0)[2]
    assert correct.tolist() == [1, 1, 0, 1, 0]


def test_correct_of_several_questions_wants_every_output_on_its_side(isa, dtype):
    """Three rows are right, though the largest output of two is at no largest target."""
    p = np.array([[0.8, 0.9, 0.1], [0.1, 0.2, 0.3], [0.2, 0.6, 0.9], [0.8, 0.9, 0.9]])
    t = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 1, 0]])
    logits = np.log(p / (1 - p)).astype(dtype)
    loss = "binary_cross_entropy"
    assert loss_delta(isa, logits, t.astype(dtype), loss, "sigmoid", 1.0)[2].tolist() == [
        1,
        1,
        1,
        0,
    ]
    output, one_hot = Padded(logits), Padded(np.eye(3, dtype=dtype)[[1, 2, 0, 0]])
    delta, rows, correct = blank(p.shape, dtype), np.empty(4), np.empty(4, np.uint8)
    arrays = delta.array, rows, correct, output.array, one_hot.array
    kernels.loss_delta(*arrays, 3, loss, "sigmoid", 1.0, isa, classes=True)
    assert correct.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge", "squared_error"])
@pytest.mark.parametrize("n_out", [1, 3, 17])
def test_correct_of_a_nan_is_never_right(isa, dtype, loss, n_out):
    for target in (0, 1):
        output = np.full((20, n_out), 2 * target - 1, dtype)
        output[::2, n_out // 2] = np.nan
        t = np.full((20, n_out), (-1 if loss == "hinge" else 0) if target == 0 else 1, dtype)
        if loss == "squared_error" and n_out > 1:
            t[:, 1:] = 0
        activation = "sigmoid" if "entropy" in loss else "linear"
        correct = loss_delta(isa, output, t, loss, activation, 1.0)[2]
        assert correct.tolist() == [0, 1] * 10, target


def test_weighed_rows(isa, dtype):
    weights = np.array([0, 2, 0, 0.5, 3.0])
    for n_out in (1, 7, 17):
        delta = Padded(np.arange(5 * n_out).reshape(5, n_out).astype(dtype))
        want = delta.values * weights[:, None] * 5 / 5.5
        delta.values[[0, 2], 0] = np.inf, np.nan
        rows = np.array([np.inf, 1, np.nan, 2, 3])
        kernels.weigh_rows(delta.array, rows, weights, n_out, 5, 5.5, isa)
        np.testing.assert_allclose(delta.values, want, rtol=4 * np.finfo(dtype).eps)
        assert rows.tolist() == [0, 2, 0, 1, 9]
