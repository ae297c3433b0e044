"""History: a mapping of columns, and its CSV file."""

from __future__ import annotations

import copy
import csv
import math
import pickle
import time

import pytest

from fastbp import History


def recorded():
    history = History()
    history.append(loss=1.5, accuracy=0.5)
    history.append(loss=0.75, accuracy=0.8)
    return history


def test_columns():
    history = recorded()
    assert history["loss"] == [1.5, 0.75]
    assert history.epochs == 2
    assert list(history) == ["loss", "accuracy"]
    assert dict(history) == {"loss": [1.5, 0.75], "accuracy": [0.5, 0.8]}
    assert "val_loss" not in history


def test_a_data_frame_of_it_is_a_table():
    pandas = pytest.importorskip("pandas")
    history = recorded()
    history.record("score", 3)
    table = pandas.DataFrame(history)
    assert table.shape == (2, 3)
    assert table["loss"].tolist() == [1.5, 0.75]
    assert math.isnan(table["score"][0])


@pytest.mark.parametrize("way", [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
def test_a_copy_has_all(way):
    history = recorded()
    history.record("score", 3)
    history.stopped = "enough"
    twin = way(history)
    assert repr(twin) == repr(history)
    assert (twin.epochs, twin.stopped, twin["loss"]) == (2, "enough", [1.5, 0.75])
    twin.append(loss=0.5)
    twin.record("score", 4)
    assert (history.epochs, history["score"][1:]) == (2, [3])


def test_unknown_column_lists_the_known():
    with pytest.raises(KeyError, match="'val_loss'; recorded: loss, accuracy"):
        _ = recorded()["val_loss"]
    with pytest.raises(KeyError, match="nothing yet"):
        _ = History()["loss"]


def test_columns_that_come_and_go_are_nan_in_between():
    history = recorded()
    history.append(loss=0.5, val_loss=0.6)
    assert history["loss"] == [1.5, 0.75, 0.5]
    assert [math.isnan(v) for v in history["val_loss"]] == [True, True, False]
    assert [math.isnan(v) for v in history["accuracy"]] == [False, False, True]


def test_recording_costs_the_same_after_many_epochs():
    def seconds(history):
        start = time.perf_counter()
        for _ in range(300):
            history.append(loss=1.0, accuracy=0.5)
        return time.perf_counter() - start

    long = History()
    for _ in range(100_000):
        long.append(loss=1.0, accuracy=0.5)
    assert min(seconds(long) for _ in range(5)) < 20 * seconds(History())


def test_an_interrupt_while_recording_leaves_whole_epochs():
    class Interrupting(list):
        def append(self, value):
            super().append(value)
            raise KeyboardInterrupt

    history = recorded()
    accuracy = history["accuracy"]
    dict.__setitem__(history, "accuracy", Interrupting(accuracy))
    with pytest.raises(KeyboardInterrupt):
        history.append(loss=0.5, accuracy=0.5, val_loss=0.5)
    assert history.epochs == 2
    assert {len(column) for column in history.values()} == {2}
    dict.__setitem__(history, "accuracy", accuracy)
    history.append(loss=0.25, accuracy=0.9)
    assert history["loss"] == [1.5, 0.75, 0.25]


def test_csv(tmp_path):
    path = tmp_path / "run.csv"
    history = recorded()
    history.append(loss=1 / 3, accuracy=0.9)
    history.to_csv(path)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "loss", "accuracy"]
    assert rows[1] == ["1", "1.5", "0.5"]
    assert float(rows[3][1]) == 1 / 3
    assert len(rows) == 4


def test_csv_of_nothing(tmp_path):
    History().to_csv(tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text().split() == ["epoch"]


def test_repr():
    assert repr(recorded()) == "<History of 2 epochs: loss 0.75, accuracy 0.8>"
    assert repr(History()) == "<History of 0 epochs>"
