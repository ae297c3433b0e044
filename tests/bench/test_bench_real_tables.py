"""bench/real_tables.py on two small files: the list, the splits, what is counted and printed."""

from __future__ import annotations

import numpy as np
import pytest
from benches import report, tables

pandas = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

import real_tables  # noqa: E402
import table_files  # noqa: E402


def test_the_list_names_each_file_once_with_a_task():
    entries = table_files.entries()
    assert len(entries) > 350
    assert len({entry.file for entry in entries}) == len(entries)
    assert {entry.task for entry in entries} == {"classification", "regression", "either"}
    for entry in entries:
        assert entry.file.endswith(".csv")
        assert entry.target
        assert entry.target not in entry.drop


def test_every_class_has_its_share_of_the_test():
    target = pandas.Series(["a"] * 40 + ["b"] * 8 + ["c"] + [None] * 3)
    train, test = real_tables.split(target, "classification", 0)
    assert target[test].value_counts().to_dict() == {"a": 10, "b": 2}
    assert target[train].value_counts().to_dict() == {"a": 30, "b": 6, "c": 1}
    again = real_tables.split(target, "classification", 0)
    assert (train.tolist(), test.tolist()) == (again[0].tolist(), again[1].tolist())
    assert test.tolist() != real_tables.split(target, "classification", 1)[1].tolist()
    numbers = real_tables.split(target.notna().astype(float), "regression", 0)
    assert [len(part) for part in numbers] == [39, 13]


def test_scores_by_hand():
    probabilities = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
    found = real_tables._score(["x", "x", "z"], probabilities, ("x", "y"))
    wanted = -(np.log(0.75) + np.log(0.25) + np.log(1e-6)) / 3
    assert found == pytest.approx({"accuracy": 1 / 3, "log loss": wanted})
    assert real_tables._score([1.0, 2, 3], np.array([1.0, 2, 4]), None) == {"R2": 0.5}
    assert real_tables._score([1.0, 2, 3], np.array([1.0, 2, 40]), None) == {"R2": -1}


@pytest.fixture
def folder(tmp_path):
    """Two files under names of the list: classes, and words where the list has a quantity."""
    x = np.random.default_rng(0).standard_normal((60, 2)).round(3)
    kinds = np.where(x[:, 0] > 0, "up", "down")
    frame = pandas.DataFrame(x, columns=["xs", "ys"])
    frame.assign(pgstat=kinds).to_csv(tmp_path / "rpart.stagec.csv")
    frame.assign(skips=kinds).to_csv(tmp_path / "rpart.solder.csv")
    return tmp_path


@pytest.mark.slow
def test_what_is_counted_and_printed(folder):
    options = ["--folder", str(folder), "--only", "rpart.s", "--seeds", "2", "--rows", "50"]
    text, document = report("real_tables.py", folder, *options)
    solder, stagec = document["results"]
    assert (stagec["status"], stagec["task"], stagec["rows"]) == ("trained", "classification", 60)
    assert [set(scores) for scores in stagec["scores"]] == [{"fastbp", "linear", "boosting"}] * 2
    assert (solder["status"], solder["task"]) == ("wrong task", "classification")
    assert "2 files: 1 train (50.0%), 1 get another task (50.0%), 0 are refused" in text
    accuracy, _ = tables(text)
    means = {row[0]: float(row[1]) for row in accuracy[1:]}
    for name, value in means.items():
        wanted = np.mean([scores[name]["accuracy"] for scores in stagec["scores"]])
        assert value == pytest.approx(wanted, abs=1e-4)


@pytest.mark.slow
def test_choices(folder):
    options = ["--folder", str(folder), "--only", "rpart.stagec", "--seeds", "1", "--rows", "50"]
    text, document = report("real_tables.py", folder, *options, "--choices")
    (result,) = document["results"]
    ((_, *rows),) = tables(text)
    assert [row[0] for row in rows] == list(result["scores"]) == list(real_tables.CHOICES)
    assert sum(float(row[4]) for row in rows) == pytest.approx(np.arange(1, len(rows) + 1).sum())
