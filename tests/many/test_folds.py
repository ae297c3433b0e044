"""The folds of `train_many`: every row held out once, each network as it is alone on its rows."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from test_train_many import WORDS, W, X, Y, alone, values

import fastbp as fb
from fastbp.engine import runtime

CONFIGS = [{"hidden": [7], "seed": 0}, {"hidden": [7], "seed": 1, "optimizer": fb.Adam(0.01)}]


def held_out(found):
    return [entry.held_out for entry in found if entry.index == 0]


@pytest.mark.parametrize("y", [Y, WORDS, X[:, 0]], ids=["integers", "strings", "numbers"])
def test_every_row_is_held_out_once_and_every_class_has_its_share(y):
    found = fb.train_many({"hidden": [3]}, X, y, folds=7)
    held = held_out(found)
    assert sorted(np.concatenate(held)) == list(range(len(X)))
    assert {len(rows) for rows in held} == {8, 9}
    if y is not X[:, 0]:
        for label in np.unique(y):
            assert np.ptp([(y[rows] == label).sum() for rows in held]) <= 1
    again = held_out(fb.train_many({"hidden": [3]}, X, y, folds=7))
    assert all(np.array_equal(a, b) for a, b in zip(held, again, strict=True))
    assert not np.array_equal(np.sort(held[0]), np.arange(len(held[0])))


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_network_has_the_bits_that_it_has_alone(n_jobs, weights):
    found = fb.train_many(CONFIGS, X, WORDS, epochs=3, folds=3, n_jobs=n_jobs,
                          sample_weight=weights)  # fmt: skip
    assert [(e.index, e.fold) for e in found] == [(i, f) for i in (0, 1) for f in (0, 1, 2)]
    for entry in found:
        held, rest = entry.held_out, np.setdiff1d(np.arange(len(X)), entry.held_out)
        data = (X[held], WORDS[held], *(() if weights is None else (weights[held],)))
        train_weights = None if weights is None else weights[rest]
        twin = alone(CONFIGS[entry.index], X[rest], WORDS[rest], validation_data=data,
                     sample_weight=train_weights)  # fmt: skip
        assert values(entry.trainer) == values(twin)


def test_splitters_of_scikit_learn_and_pairs_of_rows():
    selection = pytest.importorskip("sklearn.model_selection")
    for splitter in (
        selection.KFold(4),
        selection.StratifiedKFold(3, shuffle=True, random_state=0),
        selection.ShuffleSplit(2, test_size=0.3, random_state=0),
    ):
        wanted = list(splitter.split(X, Y))
        masks = [tuple(np.isin(np.arange(len(X)), rows) for rows in pair) for pair in wanted]
        for folds in (splitter, wanted, masks):
            found = held_out(fb.train_many({"hidden": [3]}, X, Y, folds=folds))
            for rows, (_, held) in zip(found, wanted, strict=True):
                assert np.array_equal(np.sort(rows), np.sort(held))


def test_a_fold_without_a_class_keeps_it():
    rest = np.flatnonzero(WORDS != "b")
    found = fb.train_many([{"hidden": [7], "seed": 0}], X, WORDS, folds=[(rest, [0, 1])])
    assert found[0].error is None
    assert found[0].network.classes.tolist() == ["a", "b", "c"]


def test_a_map_is_fitted_to_the_rows_that_are_trained_on():
    given = fb.preprocess.Standardize()
    config = {"hidden": [7], "seed": 0, "preprocessing": given}
    found = fb.train_many([config] * 2, X, Y, epochs=2, folds=3)
    assert given._mean is None
    for entry in found:
        rest = np.setdiff1d(np.arange(len(X)), entry.held_out)
        fitted = fb.preprocess.Standardize().fit(X[rest])
        twin = alone({**config, "preprocessing": fitted}, X[rest], Y[rest], 2,
                     validation_data=(X[entry.held_out], Y[entry.held_out]))  # fmt: skip
        assert values(entry.trainer) == values(twin)
    assert not np.array_equal(found[0].network.preprocessing.mean, X.mean(axis=0))


def test_the_best_configuration_is_that_of_the_best_mean():
    configs = [{"hidden": [7], "seed": s, "optimizer": fb.SGD(r)}
               for s, r in enumerate((1e-4, 0.3, 0.1))]  # fmt: skip
    found = fb.train_many(configs, X, Y, epochs=5, folds=3)
    by_hand = [np.mean([e.history["val_loss"][-1] for e in found if e.index == i])
               for i in range(3)]  # fmt: skip
    assert found.best_config() == found[3 * int(np.argmin(by_hand))].config
    values = [entry.history["val_accuracy"][-1] for entry in found]
    assert found.best("val_accuracy") is found[int(np.argmax(values))]


def test_the_rows_of_a_fold_are_dropped_after_its_last_network():
    rows = []

    class Note:
        def __deepcopy__(self, memo):
            return self

        def on_fit_begin(self, trainer, x, y, validation_data):
            rows.append(weakref.ref(x))

    configs = [{"optimizer": fb.SGD(1e30)}, {}]  # one fails
    found = fb.train_many(configs, X, Y, 5, hidden=[7], seed=0, folds=2, callbacks=[Note()])
    assert len(found.errors) == 2
    gc.collect()
    assert [reference() for reference in rows] == [None] * 4


def test_no_network_keeps_its_workspace():
    before = live_bytes()
    found = fb.train_many([{"hidden": [64]}] * 3, X, Y, batch_size=None)
    held = live_bytes()
    found[0].trainer.fit(X, Y)
    assert live_bytes() - held > 60 * 64 * 4  # the outputs of a layer
    del found
    gc.collect()
    assert live_bytes() == before


def live_bytes():
    gc.collect()
    return runtime.live_bytes()


@pytest.mark.parametrize("options", [{}, {"folds": 3}, {"validation_split": 0.2}], ids=repr)
def test_sparse_rows_are_taken_as_they_are(options):
    sparse = pytest.importorskip("scipy.sparse")
    x = sparse.random(60, 40, 0.05, format="csr", random_state=0)
    y = np.arange(60) % 3
    configs = [{"hidden": [4], "seed": seed} for seed in (0, 1)]
    found = fb.train_many(configs, x, y, epochs=2, **options)
    wanted = fb.train_many(configs, x.toarray(), y, epochs=2, **options)
    assert [entry.history["loss"] for entry in found] == [e.history["loss"] for e in wanted]
