"""Small batches in the engine's own form are checked in compiled code: as all others are."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp.engine.arrays import small_examples
from fastbp.errors import FastbpError

N = 4
TARGETS = {
    "numbers": [[0.5, -2.0, 3.0]] * N,
    "shares": [[0.25, 0.25, 0.5]] * N,
    "nearly shares": [[0.25, 0.25, 0.5009]] * N,
    "no shares": [[0.25, 0.25, 0.502]] * N,
    "one-hot": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]],
    "two ones": [[1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]],
    "no one": [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 1]],
    "signs": [[1, -1, -1]] * N,
    "bits": [[1, 1, 0]] * N,
    "above 1": [[1, 0, 0]] * (N - 1) + [[1.5, 0, 0]],
    "below 0": [[1, 0, 0]] * (N - 1) + [[1, 0.5, -0.5]],
    "nan": [[0.5, 0.5, 0]] * (N - 1) + [[np.nan, 0, 1]],
    "infinite": [[0.5, 0.5, 0]] * (N - 1) + [[np.inf, 0, 1]],
    "too narrow": [[1, 0]] * N,
    "too few rows": [[1, 0, 0]] * (N - 1),
    "labels": [0, 2, 1, 2],
    "label too large": [0, 2, 1, 3],
    "label below 0": [0, 2, -1, 2],
    "whole numbers": [0.0, 2.0, 1.0, 2.0],
    "too few labels": [0, 2, 1],
    "a number": 1.0,
}
LOSSES = [
    ("mse", "linear"),
    ("cross_entropy", "softmax"),
    ("binary_cross_entropy", "sigmoid"),
    ("poisson", "linear"),
    ("hinge", "linear"),
    ("multiclass_hinge", "linear"),
]


def outcome(loss, activation, x, y, known):
    """What a step and the gradients give; `known`: after a step by labels, if there are such."""
    net = fb.Network(2, [fb.Dense(3, activation)], dtype="float64", seed=0)
    owner = fb.Trainer(net, loss, fb.SGD(0.01), seed=0)
    found = []
    if known:
        try:
            owner.step(np.zeros((3, 2)), np.array([0, 1, 2]))
        except FastbpError as error:
            found.append(str(error))
    for call in (lambda: owner.step(x, y), lambda: net.gradients(x, y, loss)):
        try:
            value = call()
        except FastbpError as error:
            value = type(error), str(error)
        found.append(repr(value))
    return found, net.parameters.tobytes(), repr(net.classes), owner.n_steps


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(("loss", "activation"), LOSSES)
@pytest.mark.parametrize("kind", TARGETS)
def test_arrays_and_lists_are_taken_alike(loss, activation, kind, known):
    x = np.random.default_rng(0).standard_normal((N, 2))
    values = TARGETS[kind]
    whole = np.ndim(values) == 1 and all(type(v) is int for v in values)
    y = np.array(values, np.int64 if whole else np.float64)
    assert outcome(loss, activation, x, y, known) == outcome(
        loss, activation, x.tolist(), values, known
    )


@pytest.mark.parametrize("at", [0, 7])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_named(at, value):
    x, y = np.zeros((N, 2)), np.zeros((N, 3))
    x.flat[at] = value
    net = fb.Network(2, [fb.Dense(3)], dtype="float64", seed=0)
    with pytest.raises(fb.errors.InputError, match=rf"x: got {value} at \[{at // 2}, {at % 2}\]"):
        net.gradients(x, y, "mse")


@pytest.mark.parametrize("classes", [["a", "b", "c"], [1, 2, 3], [0, 1, 2]])
def test_labels_are_translated_where_they_have_names(classes):
    net = fb.Network(2, [fb.Dense(3, "softmax")], dtype="float64", seed=0)
    net.classes = classes
    x, codes = np.eye(2)[[0, 1, 1]], np.array([0, 2, 1])
    y = np.array(classes)[codes]
    wanted, _ = net.gradients(x, np.eye(3)[codes], "cross_entropy")
    assert net.gradients(x, y, "cross_entropy")[0] == wanted
    if classes == [1, 2, 3]:
        with pytest.raises(fb.errors.LabelError, match="0"):
            net.gradients(x, codes, "cross_entropy")


def test_what_is_small_and_in_form():
    """The rest is for the checks with the errors."""
    f8 = np.dtype(np.float64)
    x, y, labels = np.zeros((N, 2)), np.zeros((N, 3)), np.zeros(N, np.int64)

    def taken(x, y, labels=True):
        return small_examples(x, y, f8, 2, 3, "real", labels) is not None

    assert taken(x, y)
    assert taken(x, labels)
    assert not taken(x, labels, labels=False)
    assert not taken(x, labels.astype(np.int32))
    assert not taken(x.astype(np.float32), y)
    assert not taken(np.asfortranarray(x), y)
    assert not taken(x[::2], y[::2])
    assert not taken(x.tolist(), y)
    assert not taken(np.ma.masked_array(x), y)
    assert not taken(np.zeros((3000, 2)), np.zeros((3000, 3)))
    assert not taken(np.zeros((0, 2)), np.zeros((0, 3)))
    assert not taken(x, np.array(0.0))
