"""Labels to one-hot rows and back."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier

import fastbp as fb
from fastbp import errors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [list, np.array, lambda y: np.array(y, np.uint8)])
def test_both_ways(make, dtype):
    y = [2, 0, 3, 3, 1]
    rows = fb.one_hot(make(y), 5, dtype)
    assert rows.dtype == dtype
    assert np.array_equal(rows, np.eye(5)[y])
    assert fb.labels(rows).dtype == np.int64
    assert fb.labels(rows).tolist() == y


@pytest.mark.parametrize(("y", "columns"), [([0, 3], 4), ([0, 0], 2)])
def test_number_of_classes_from_the_labels(y, columns):
    assert fb.one_hot(y).shape == (2, columns)


def test_labels_and_one_hot_targets_have_the_same_gradients():
    x, y = classes()
    a, b = (
        classifier(dtype="float64").gradients(x, t, "cross_entropy") for t in (y, fb.one_hot(y))
    )
    assert a[0] == pytest.approx(b[0], rel=1e-14)
    for one, other in zip(a[1], b[1], strict=True):
        assert one[0] == pytest.approx(other[0], abs=1e-14)


def test_of_outputs():
    assert fb.labels([[0.1, 0.7, 0.2], [-1, -3, -2], [1, 1, 0]]).tolist() == [1, 0, 0]


def test_one_sigmoid_output_is_two_classes():
    network = fb.Network(3, [fb.Dense(1, "sigmoid")], seed=0)
    x = np.random.default_rng(0).standard_normal((20, 3))
    outputs = network.predict(x)
    wanted = (outputs[:, 0] > 0.5).astype(int).tolist()
    assert fb.labels(outputs).tolist() == fb.labels(outputs[:, 0]).tolist() == wanted
    assert sum(wanted) not in (0, 20)
    assert fb.labels([0.5, 0.50001, 0, 1]).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: fb.one_hot([[1]]), errors.ShapeError, "labels: got shape"),
        (lambda: fb.one_hot([0, 4], 3), errors.LabelError, "labels: got class 4 in row 1"),
        (lambda: fb.one_hot([0, -1]), errors.LabelError, "labels: got class -1"),
        (lambda: fb.one_hot([0.5, 1.0], 2), errors.LabelError, "labels: got one-dim"),
        (lambda: fb.one_hot(["a", "b"]), errors.DTypeError, "labels: got dtype <U1"),
        (lambda: fb.one_hot([0.0, np.nan]), errors.LabelError, "labels: got float64 up to nan"),
        (lambda: fb.one_hot([0, 1], 0), errors.ConfigError, "n_classes: got 0"),
        (lambda: fb.labels(1), errors.ShapeError, "rows: got shape"),
        (lambda: fb.labels([[-1.0], [2.0]]), errors.InputError, "rows: got values from -1 to 2"),
        (lambda: fb.labels([[np.nan, 1]]), errors.InputError, "rows: got nan"),
    ],
)
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()
