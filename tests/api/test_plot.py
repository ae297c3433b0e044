"""Figures: what is drawn, and what happens without matplotlib."""

from __future__ import annotations

import pytest

from fastbp import History, errors
from fastbp.plot import plot_histories


@pytest.fixture
def pyplot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def history(epochs=3, **columns):
    record = History()
    for epoch in range(epochs):
        record.append(**{name: value / (1 + epoch) for name, value in columns.items()})
    return record


def lines(ax):
    return {line.get_label(): list(line.get_ydata()) for line in ax.lines}


def test_loss_and_accuracy_have_a_panel_each(pyplot):
    record = history(loss=1.0, val_loss=2.0, accuracy=0.5, val_accuracy=0.25, seconds=1.0)
    loss, accuracy = record.plot().axes
    assert lines(loss) == {"training": record["loss"], "validation": record["val_loss"]}
    assert lines(accuracy) == {"training": record["accuracy"], "validation": record["val_accuracy"]}
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")
    assert list(loss.lines[0].get_xdata()) == [1, 2, 3]


def test_regression_has_one_panel(pyplot):
    (loss,) = history(loss=1.0, learning_rate=0.1).plot().axes
    assert list(lines(loss)) == ["training"]


def test_metrics_and_own_columns_have_panels_too(pyplot):
    record = history(loss=1.0, accuracy=0.5, learning_rate=0.1, val_loss=2.0, val_f1=0.5, own=3.0)
    panels = {ax.get_ylabel(): lines(ax) for ax in record.plot().axes}
    assert list(panels) == ["loss", "accuracy", "f1", "own"]
    assert panels["f1"] == {"validation": record["val_f1"]}
    assert panels["own"] == {"training": record["own"]}


def test_one_epoch_is_a_visible_point(pyplot):
    (loss,) = history(epochs=1, loss=1.0).plot().axes
    assert loss.lines[0].get_marker() == "o"


@pytest.mark.parametrize("epochs", [1, 2, 5, 20, 137])
def test_ticks_are_whole_epochs(pyplot, epochs):
    (loss,) = history(epochs, loss=1.0).plot().axes
    assert all(tick.is_integer() for tick in loss.get_xticks())


def test_several_networks_share_a_panel_and_their_best_epochs_are_marked(pyplot):
    first = history(4, loss=1.0, val_loss=2.0, accuracy=0.5)
    second = history(3, loss=3.0, val_loss=4.0, accuracy=0.5)
    loss, accuracy = plot_histories([first, second], best_epochs=[3, 2]).axes
    assert [list(line.get_ydata()) for line in loss.lines[:4]] == [
        first["loss"], second["loss"], first["val_loss"], second["val_loss"],
    ]  # fmt: skip
    marks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in loss.lines[4:]]
    assert marks == [(3, first["val_loss"][2]), (2, second["val_loss"][1])]
    named = [text.get_text() for text in loss.get_legend().get_texts()]
    assert named == ["training", "validation", "chosen epoch"]
    # Without validation rows it is on the line of the training rows.
    assert accuracy.lines[2].get_ydata()[0] == first["accuracy"][2]


def test_figure_can_be_saved(pyplot, tmp_path):
    history(loss=1.0).plot().savefig(tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw():
    with pytest.raises(errors.ConfigError, match="call fit first"):
        History().plot()
