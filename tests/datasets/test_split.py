"""Splits by class: whole shares, the same rows for a seed, the kind of container that came."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fastbp.datasets import train_test_split
from fastbp.errors import ConfigError, InputError, LabelError, ShapeError


def labels(**counts):
    """Some labels, each as often as it says, shuffled."""
    y = np.repeat(list(counts), list(counts.values()))
    return np.random.default_rng(0).permutation(y)


def split(y, fraction, seed=3):
    """The rows of the test part, counted by label, and the parts."""
    parts = train_test_split(np.arange(len(y)), y, fraction, seed, stratify=y)
    return Counter(parts[3].tolist()), parts


@pytest.mark.parametrize(
    ("counts", "fraction", "wanted"),
    [
        ({"a": 50, "b": 30, "c": 20}, 0.2, {"a": 10, "b": 6, "c": 4}),
        # 12 rows of 8.4, 1.6 and 2 halves: the largest remainders are those of b and a.
        ({"a": 42, "b": 8, "c": 10}, 0.2, {"a": 8, "b": 2, "c": 2}),
        ({"a": 7, "b": 7, "c": 7}, 1 / 3, {"a": 3, "b": 2, "c": 2}),
        ({"a": 99, "b": 1}, 0.5, {"a": 50}),
        ({"a": 1, "b": 1, "c": 1}, 0.34, {"a": 1}),
        ({"a": 3, "b": 97}, 0.01, {"b": 1}),
    ],
)
def test_every_label_has_its_share(counts, fraction, wanted):
    y = labels(**counts)
    found, (x_train, x_test, y_train, y_test) = split(y, fraction)
    assert found == wanted
    assert sorted([*x_train, *x_test]) == list(range(len(y)))
    assert np.array_equal(y[x_train], y_train)
    assert np.array_equal(y[x_test], y_test)
    assert len(set(x_test.tolist()) - set(split(y, fraction, 4)[1][1].tolist())) > 0 or len(y) < 9
    assert np.array_equal(split(y, fraction)[1][1], x_test)


def test_no_share_is_off_by_a_row():
    rng = np.random.default_rng(5)
    for fraction in (0.1, 0.25, 0.5):
        y = rng.choice(4, 200, p=[0.4, 0.3, 0.2, 0.1])
        found = np.bincount(split(y, fraction)[1][3], minlength=4)
        assert abs(found - fraction * np.bincount(y)).max() < 1
        assert found.sum() == fraction * 200


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_and_series_stay_what_they_are(library):
    module = pytest.importorskip(library)
    columns = {"a": np.arange(20.0), "b": [f"r{i}" for i in range(20)]}
    x = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    y = list("uv" * 10) if library == "pyarrow" else module.Series(list("uv" * 10))
    parts = train_test_split(x, y, 0.25, 0, stratify=y)
    rows = train_test_split(np.arange(20), np.arange(20), 0.25, 0, stratify=list("uv" * 10))
    assert all(type(part) is type(x) for part in parts[:2])
    for part, taken, labels in zip(parts, rows[:2], parts[2:], strict=False):
        assert np.asarray(part["a"]).tolist() == taken.tolist()
        assert list(labels) == ["uv"[row % 2] for row in taken]


def test_a_list_is_not_turned_into_strings():
    _, _, y_train, y_test = train_test_split([[1], [2]], ["7", 7], 0.5, 0)
    assert {*map(type, [*y_train, *y_test])} == {str, int}


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (([[1]], [1]), InputError, "x: got 1 rows, wanted 2"),
        (([1, 2], [1]), ShapeError, "y: got 1 rows, wanted 2"),
        (([1, 2], [1, 2], 0.5, 0, [1]), ShapeError, "stratify: got 1 rows, wanted 2"),
        (([1, 2], [1, 2], 0.5, 0, ["a", None]), LabelError, r"stratify: got no label .* row 1"),
        (([1, 2], [1, 2], 0.5, 0, [[1, 0], [0, 1]]), ShapeError, r"stratify: got shape \(2, 2\)"),
        (([1, 2], [1, 2], 1), ConfigError, "test_fraction: got 1, wanted a number between"),
        (([1, 2], [1, 2], "half"), ConfigError, "test_fraction: got 'half'"),
    ],
)
def test_what_cannot_be_split(arguments, error, match):
    with pytest.raises(error, match=match):
        train_test_split(*arguments)
