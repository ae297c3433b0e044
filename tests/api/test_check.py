"""The gate: what it refuses, with which error, and that a refusal changes nothing."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from training import N_CLASSES, N_INPUTS, assert_refuses, classes, classifier, trainer

import fastbp as fb
from fastbp import _check, errors

X, Y = classes()
N = len(X)


def spoiled(value, row=3, column=2):
    x = X.copy()
    x[row, column] = value
    return x


def relabelled(value, row=5):
    y = Y.copy()
    y[row] = value
    return y


BAD_X = {
    "too few features": (X[:, :-1], errors.ShapeError, r"got shape \(60, 4\), wanted \(n, 5\)"),
    "too many features": (np.c_[X, X], errors.ShapeError, r"wanted \(n, 5\)"),
    "one row flat": (X[0], errors.ShapeError, r"reshape\(1, -1\)"),
    "three axes": (X[None], errors.ShapeError, r"wanted \(n, 5\)"),
    "a number": (3.0, errors.ShapeError, r"got shape \(\)"),
    "ragged": ([[1.0, 2.0], [3.0]], errors.ShapeError, "different lengths"),
    "empty": (X[:0], errors.InputError, r"x: got no rows"),
    "empty list": ([], errors.ShapeError, r"wanted \(n, 5\)"),
    "nan": (spoiled(np.nan), errors.InputError, r"got nan at \[3, 2\]"),
    "inf": (spoiled(np.inf), errors.InputError, r"got inf at \[3, 2\]"),
    "minus inf": (spoiled(-np.inf), errors.InputError, r"got -inf at \[3, 2\]"),
    "too large for float32": (
        np.full((N, N_INPUTS), 1e300),
        errors.InputError,
        r"got inf at \[0, 0\] \(as float32\)",
    ),
    "masked": (np.ma.masked_greater(X, 0), errors.InputError, "masked"),
    "strings": (X.astype(str), errors.DTypeError, "wanted real numbers"),
    "objects": (np.full(X.shape, "a", object), errors.DTypeError, r"got 'a' at \[0, 0\]"),
    "nothing": (np.full(X.shape, None), errors.InputError, r"got nothing \(None\) at \[0, 0\]"),
    "complex": (X.astype(complex), errors.DTypeError, "wanted real numbers"),
    "dates": (np.zeros((N, N_INPUTS), "M8[s]"), errors.DTypeError, "wanted real numbers"),
    "None": (None, errors.DTypeError, "got None, wanted an array of real numbers"),
}
BAD_Y = {
    "fewer rows": (Y[:-1], errors.ShapeError, "got 59 rows, wanted 60"),
    "more rows": (np.r_[Y, 0], errors.ShapeError, "got 61 rows, wanted 60"),
    "a number": (1, errors.ShapeError, r"wanted \(60, 3\)"),
    "column of classes": (Y[:, None], errors.ShapeError, "one-dimensional integer classes"),
    "too many columns": (np.eye(4)[Y], errors.ShapeError, r"wanted \(60, 3\)"),
    "class too large": (relabelled(N_CLASSES), errors.LabelError, r"class 3 in row 5, .* 0\.\.2"),
    "class negative": (relabelled(-1), errors.LabelError, r"class -1 in row 5, .* 0\.\.2"),
    "class huge": (Y.astype(np.uint64) + 2**63, errors.LabelError, r"0\.\.2"),
    "float classes": (
        Y + 0.5,
        errors.LabelError,
        r"got class 2\.5 in row 0, wanted integers 0\.\.2",
    ),
    "strings": (
        Y.astype(str),
        errors.LabelError,
        r"got class '2' in row 0, wanted integers 0\.\.2",
    ),
    "dates": (Y.astype("M8[D]"), errors.DTypeError, "wanted real numbers"),
    "bytes": ([b"a"] * N, errors.DTypeError, "wanted real numbers"),
    "nan target": (np.where(np.eye(3)[Y] > 0, np.nan, 0), errors.LabelError, "got nan"),
    "rows sum to 2": (2 * np.eye(3)[Y], errors.LabelError, "got the sum 2"),
    "rows sum to 0": (np.zeros((N, 3)), errors.LabelError, "got the sum 0"),
    "negative shares": (np.eye(3)[Y] * 2 - 1 / 3, errors.LabelError, "least value -0.33"),
}


def calls(owner):
    """Every public door for x and y, by name."""
    return {
        "fit": owner.fit,
        "step": owner.step,
        "evaluate": owner.evaluate,
        "gradients": lambda x, y: owner.network.gradients(x, y, "cross_entropy"),
        "gradient_check": lambda x, y: fb.gradient_check(owner.network, x, y, "cross_entropy"),
        "validation": lambda x, y: owner.fit(X, Y, validation_data=(x, y)),
    }


@pytest.fixture(scope="module")
def trained():
    """A trainer with a history: a velocity that is not zero and a random state that has moved."""
    owner = trainer()
    owner.fit(X, Y, epochs=2)
    assert owner._state.memory.values.any()
    return owner


@pytest.mark.parametrize("case", BAD_X)
def test_bad_x_is_named_and_changes_nothing(trained, case):
    for door, call in calls(trained).items():
        x, error, match = BAD_X[case]
        # gradient_check works in float64, where this number fits.
        if (door, case) == ("gradient_check", "too large for float32"):
            x = np.full((N, N_INPUTS), np.inf)
            match = "got inf"
        assert_refuses(trained, partial(call, x, Y), error, match)
    x, error, match = BAD_X[case]
    for method in (trained.network.predict, trained.network.activations):
        assert_refuses(trained, partial(method, x), error, match)


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_y_is_named_and_changes_nothing(trained, case):
    y, error, match = BAD_Y[case]
    for call in calls(trained).values():
        assert_refuses(trained, partial(call, X, y), error, match)


@pytest.mark.parametrize("rows", [1, 3, 40])  # both sides of the list shortcut
@pytest.mark.parametrize(("low", "high"), [(-0.1, 1), (0, 1.1), (np.nan, 1)])
def test_binary_targets_lie_in_the_unit_interval(rows, low, high):
    network = fb.Network(N_INPUTS, [fb.Dense(2, "sigmoid")], seed=0)
    y = np.tile([low, high], (rows, 1))
    owner = trainer(network, "binary_cross_entropy")
    assert_refuses(owner, lambda: owner.step(X[:rows], y), errors.LabelError, "wanted")
    owner.step(X[:rows], np.tile([0, 1], (rows, 1)))


@pytest.mark.parametrize("rows", [1, 40])
def test_soft_rows_may_be_off_by_a_thousandth(rows):
    y = np.tile([0.2, 0.3, 0.5005], (rows, 1))
    trainer().step(X[:rows], y)
    with pytest.raises(errors.LabelError, match=r"sum 1\.002"):
        trainer().step(X[:rows], y + np.array([0, 0, 0.0015]))


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(np.float64),
        X.astype(">f4"),
        X.tolist(),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=1)[:, ::2],
        np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape),
    ],
    ids=["as is", "float64", "big endian", "list", "Fortran", "strided", "unaligned"],
)
def test_every_layout_gives_the_same_bits(x):
    network = classifier()
    assert network.predict(x).tobytes() == network.predict(X).tobytes()


def test_arrays_in_the_engines_form_are_not_copied():
    frozen = X.copy()
    frozen.flags.writeable = False
    assert np.shares_memory(_check.inputs(frozen, N_INPUTS, X.dtype), frozen)
    assert np.shares_memory(_check.rows(frozen, N_INPUTS, X.dtype), frozen)
    labels = Y.astype(np.int64)
    checked = classifier()._targets(labels, N, fb.losses.CrossEntropy(), None)
    assert np.shares_memory(checked, labels)


def test_memory_mapped_rows_are_used_in_place(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[...] = X
    checked = _check.inputs(mapped, N_INPUTS, X.dtype)
    assert np.shares_memory(checked, mapped)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float16])
def test_other_number_types_become_the_networks(dtype):
    x = (X > 0).astype(dtype)
    assert _check.inputs(x, N_INPUTS, np.dtype(np.float32)).dtype == np.float32
    assert np.array_equal(_check.inputs(x, N_INPUTS, np.dtype(np.float32)), x)


@pytest.mark.parametrize("y", [Y, Y.astype(float), Y > 0, Y[:, None], Y.tolist()])
def test_one_output_takes_a_flat_column(y):
    checked = _check.targets(y, N, 1, X.dtype, "real")
    assert checked.shape == (N, 1)
    assert checked.dtype == np.float32
    assert np.array_equal(checked.ravel(), np.ravel(y))
