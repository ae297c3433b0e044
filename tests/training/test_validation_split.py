"""Rows held out for validation by `fit(validation_split=...)`."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from training import assert_refuses, classes, parameters, trainer

import fastbp as fb
from fastbp.errors import ConfigError, LabelError, ShapeError

X, Y = classes(120)


class Seen:
    """What a callback of `fit` is given."""

    def on_fit_begin(self, trainer, x, y, validation_data):
        self.data = (x, y), validation_data

    def on_epoch_end(self, trainer, history):
        pass


def held_out(owner, x=X, y=Y, fraction=0.25, **options):
    seen = Seen()
    owner.fit(x, y, validation_split=fraction, callbacks=[seen], **options)
    return seen.data


def test_it_is_training_on_the_rest_and_validating_on_the_part():
    a, b = trainer(), trainer()
    (x, y), validation = held_out(a, epochs=3)
    b.fit(x, y, epochs=3, validation_data=validation)
    assert parameters(a.network) == parameters(b.network)
    assert a.history["val_loss"] == b.history["val_loss"]
    both = np.concatenate([x, validation[0]])
    assert len(x) == 90
    assert np.array_equal(np.unique(both, axis=0), np.unique(X, axis=0))


def test_each_class_has_its_share():
    _, (_, held) = held_out(trainer())
    exact = np.bincount(Y) / 4
    assert abs(np.bincount(held) - exact).max() < 1
    two = trainer(fb.Network(5, [fb.Dense(1, "sigmoid")], seed=0), "binary_cross_entropy")
    _, (_, held) = held_out(two, y=np.where(Y, "no", "yes"))
    assert abs((held == "yes").sum() - exact[0]) < 1
    assert two.network.classes.tolist() == ["no", "yes"]


def test_the_seed_chooses_and_the_rows_stay_out(tmp_path):
    owner = trainer()
    first = held_out(owner)[1][0]
    owner.save(tmp_path / "run")
    for other in (owner, trainer(), fb.Trainer.load(tmp_path / "run")):
        assert np.array_equal(held_out(other, epochs=2)[1][0], first)
    assert not np.array_equal(held_out(trainer(seed=2))[1][0], first)


def test_values_and_weights_are_split_with_their_rows():
    owner = trainer(fb.Network(5, [fb.Dense(2)], seed=0), "mse")
    weight = 1 + X[:, 0] ** 2
    (x, y), (xv, yv, wv) = held_out(owner, y=X[:, :2] * 2, sample_weight=weight)
    assert np.array_equal(y, x[:, :2] * 2)
    assert np.array_equal(yv, xv[:, :2] * 2)
    assert np.array_equal(wv, 1 + xv[:, 0] ** 2)
    weight = np.where(X[:, 0] > 0, 2.0, 0.0)
    a, b = trainer(), trainer()
    (x, y), _ = held_out(a, sample_weight=weight)
    b.fit(x, y, sample_weight=np.where(x[:, 0] > 0, 2.0, 0.0))
    assert parameters(a.network) == parameters(b.network)


def test_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    owner = trainer()
    (x, y), _ = held_out(owner, pandas.DataFrame(X, columns=list("abcde")), pandas.Series(Y))
    assert owner.network.columns == tuple("abcde")
    assert list(x.columns) == list("abcde")
    assert (x.index == y.index).all()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"validation_split": 1.0}, ConfigError, "validation_split: got 1.0, wanted a number betw"),
        ({"validation_split": "some"}, ConfigError, "validation_split: got 'some'"),
        (
            {"validation_split": 0.1, "validation_data": (X, Y)},
            ConfigError,
            "validation_split: got one beside validation_data",
        ),
        ({"validation_split": 0.1, "y": None, "x": [(X, Y)]}, ConfigError, "for batches, wanted"),
        ({"validation_split": 0.1, "y": Y[1:]}, ShapeError, "y: got 119 rows, wanted 120"),
        ({"validation_split": 0.1, "y": [None, *Y[1:]]}, LabelError, "y: got no label"),
        ({"validation_split": 0.1, "sample_weight": [1.0]}, ShapeError, "sample_weight: got"),
    ],
)
def test_what_cannot_be_held_out(options, error, match):
    owner = trainer()
    assert_refuses(owner, partial(owner.fit, **({"x": X, "y": Y} | options)), error, match)
