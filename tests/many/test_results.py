"""What `train_many` returns: entries, a table, the best."""

from __future__ import annotations

import io

import pytest
from test_train_many import X, Y

import fastbp as fb
from fastbp import errors

CONFIGS = [{"seed": 0}, {"seed": 1, "optimizer": fb.SGD(1e30)}, {"seed": 2, "batch_size": 8}]


@pytest.fixture(scope="module")
def found():
    return fb.train_many(CONFIGS, X, Y, epochs=2, hidden=[7])


def test_a_table_has_a_row_for_each_network(found):
    rows = found.table()
    assert [row["param_seed"] for row in rows] == [0, 1, 2]
    assert [row["param_batch_size"] for row in rows] == [None, None, 8]
    assert [row["epochs"] for row in rows] == [2, 0, 2]
    assert rows[0]["loss"] == found[0].history["loss"][-1]
    assert rows[1]["loss"] is None
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert len({tuple(row) for row in rows}) == 1


def test_a_frame_is_that_table(found):
    pytest.importorskip("pandas")
    frame = found.to_frame()
    assert list(frame.columns) == list(found.table()[0])
    assert frame["accuracy"][2] == found[2].history["accuracy"][-1]


def test_it_is_a_sequence(found):
    assert len(found) == len(list(found)) == 3
    assert [entry.index for entry in found[1:]] == [1, 2]
    assert type(found[1:]) is type(found)
    assert repr(found) == "<TrainedNetworks: 3, 1 failed>"
    assert "DivergenceError" in repr(found[1])
    assert "2 epochs, loss" in repr(found[0])


def test_configurations_that_are_no_dicts_have_a_column():
    def build(seed):
        net = fb.Network(5, [fb.Dense(3, "softmax")], seed=seed)
        return fb.Trainer(net, "cross_entropy", seed=seed)

    found = fb.train_many([3, 4], X, Y, build=build)
    assert [row["config"] for row in found.table()] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [(("val_loss",), "monitor: got 'val_loss'"), (("mine",), "mode: got None"),
     (("loss", "most"), "mode: got 'most'")],
)  # fmt: skip
def test_there_is_no_best_of_what_was_not_measured(found, arguments, match):
    for best in (found.best, found.best_config):
        with pytest.raises(errors.ConfigError, match=match):
            best(*arguments)
    with pytest.raises(errors.ConfigError, match="all of them have failed"):
        found[1:2].best()


def test_progress_is_one_bar_over_all_epochs(monkeypatch):
    pytest.importorskip("tqdm")
    drawn = io.StringIO()
    monkeypatch.setattr("sys.stderr", drawn)
    stop = [fb.TargetLoss(1e9)]  # after the first epoch
    configs = [{"seed": s} for s in range(3)] + [{"seed": 4, "callbacks": stop, "epochs": 50}]
    fb.train_many(configs, X, Y, epochs=5, hidden=[7], progress=True)
    assert "networks 4/4: 100%" in drawn.getvalue()
    assert "65/65" in drawn.getvalue()
    drawn.truncate(0)
    fb.train_many(CONFIGS, X, Y, epochs=5, hidden=[7], progress=True)
    assert "networks 3/3, 1 failed" in drawn.getvalue()
    drawn.truncate(0)
    fb.train_many(CONFIGS, X, Y, epochs=5, hidden=[7])
    assert not drawn.getvalue().strip("\0")
