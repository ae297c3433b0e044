"""Data frames: their columns by name, and what a column must hold."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
from training import N_INPUTS, assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp.errors import BusyError, ConfigError, DTypeError, InputError, ShapeError

X, Y = classes()
NAMES = ("height", "age", "smokes", "weight", "visits")
# A column of each type of number, and what an array has for them.
COLUMNS = {
    "height": X[:, 0].astype(np.float64),
    "age": np.rint(10 * X[:, 1]).astype(np.int64),
    "smokes": X[:, 2] > 0,
    "weight": X[:, 3],
    "visits": np.rint(abs(X[:, 4])).astype(np.uint8),
}
MIXED = np.column_stack([column.astype(np.float64) for column in COLUMNS.values()])
MAKE = {
    "pandas": lambda library, columns: library.DataFrame(columns),
    "polars": lambda library, columns: library.DataFrame(columns),
    "pyarrow": lambda library, columns: library.table(columns),
}


@pytest.fixture(params=MAKE)
def frame(request):
    """A function that makes a data frame of a dict of columns."""
    return partial(MAKE[request.param], pytest.importorskip(request.param))


def ordered(names):
    return {name: COLUMNS[name] for name in names}


def without(name):
    return {key: column for key, column in COLUMNS.items() if key != name}


def doors(owner):
    net = owner.network
    return {
        "fit": lambda x: owner.fit(x, Y),
        "step": lambda x: owner.step(x, Y),
        "evaluate": lambda x: owner.evaluate(x, Y),
        "predict": net.predict,
        "predict_classes": net.predict_classes,
        "activations": net.activations,
        "gradients": lambda x: net.gradients(x, Y, "cross_entropy"),
        "check": lambda x: fb.gradient_check(net, x, Y, "cross_entropy"),
        "validation": lambda x: owner.fit(MIXED, Y, validation_data=(x, Y)),
    }


def test_mixed_columns_are_their_numbers(frame):
    a, b = trainer(), trainer()
    a.fit(frame(COLUMNS), Y, epochs=2, validation_data=(frame(COLUMNS), Y))
    b.fit(MIXED, Y, epochs=2, validation_data=(MIXED, Y))
    assert parameters(a.network) == parameters(b.network)
    assert a.history["val_loss"] == b.history["val_loss"]
    assert a.network.columns == NAMES
    assert b.network.columns is None
    assert a.network.predict(frame(COLUMNS)).tobytes() == b.network.predict(MIXED).tobytes()
    assert a.network.predict(MIXED).tobytes() == b.network.predict(MIXED).tobytes()


def test_columns_are_matched_by_name_at_every_door(frame):
    turned = frame(ordered(reversed(NAMES)))
    a, b = trainer(), trainer()
    a.step(frame(COLUMNS), Y)
    b.step(MIXED, Y)
    for (name, call), other in zip(doors(a).items(), doors(b).values(), strict=True):
        assert str(call(turned)) == str(other(MIXED)) or name in ("fit", "validation")
    assert parameters(a.network) == parameters(b.network)
    one = frame({name: column[:1] for name, column in ordered(reversed(NAMES)).items()})
    trace = a.network.trace(one, 0, "cross_entropy")
    assert trace.loss == b.network.trace(MIXED[0], 0, "cross_entropy").loss


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (without("age"), r"got a frame without the columns 'age', wanted 'height', 'age'"),
        (COLUMNS | {"extra": X[:, 0]}, r"got the columns 'extra' beside those"),
        (
            without("age") | {"Age": X[:, 0]},
            "got a frame without the columns 'age', but with 'Age', wanted",
        ),
    ],
)
def test_other_columns_are_named(frame, columns, match):
    owner = trainer()
    owner.step(frame(COLUMNS), Y)
    for call in doors(owner).values():
        assert_refuses(owner, partial(call, frame(columns)), ShapeError, f"x: {match}")


@pytest.mark.parametrize(
    ("column", "error", "match"),
    [
        ([1, None, 3], InputError, r"got nothing in column 'age', row 1, 1 of 3 rows, .* fill"),
        ([0.5, 1.5, None], InputError, r"got nothing in column 'age', row 2"),
        ([True, None, False], (InputError, DTypeError), "got (nothing|Object) in column 'age'"),
        ([1.0, 2.0, np.inf], InputError, r"got inf in column 'age', row 2, wanted finite"),
        (
            ["a", "b", "c"],
            DTypeError,
            r"got (String|Object) in column 'age', .*: convert .* encode",
        ),
        (np.array(["2026-11-25"] * 3, "M8[ms]"), DTypeError, r"got Datetime.* in column 'age'"),
    ],
)
def test_a_column_that_is_no_number_in_each_row_is_named(frame, column, error, match):
    x = frame({name: column if name == "age" else values[:3] for name, values in COLUMNS.items()})
    owner = trainer()
    for call in (lambda: owner.fit(x, Y[:3]), lambda: owner.network.predict(x)):
        before = parameters(owner.network)
        with pytest.raises(error, match=f"x: {match}"):
            call()
        assert parameters(owner.network) == before
        assert owner.network.columns is None
    with pytest.raises(error, match=f"x: {match}"):
        fb.preprocess.Standardize().fit(x)


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("Int64", [3, -1, 2]), ("Float32", [0.5, 1, 2]), ("boolean", [True, False, True])],
)
def test_nullable_columns_of_pandas(dtype, values):
    pandas = pytest.importorskip("pandas")
    network = fb.Network(1, [fb.Dense(1)], seed=0)
    x = pandas.DataFrame({"a": pandas.array(values, dtype=dtype)}, index=[5, 6, 7])
    wanted = network.predict(np.array(values, float)[:, None])
    assert np.array_equal(network.predict(x), wanted)
    x.loc[6, "a"] = pandas.NA
    with pytest.raises(InputError, match=r"got nothing in column 'a', row 1, 1 of 3 rows"):
        network.predict(x)


def test_frames_of_one_type_keep_it(frame):
    scaled = fb.preprocess.Center().fit(X).transform(frame(dict(zip("abcde", X.T, strict=True))))
    assert scaled.dtype == np.float32


def test_names_that_are_no_strings_are_places():
    pandas = pytest.importorskip("pandas")
    owner = trainer()
    owner.step(pandas.DataFrame(X), Y)
    assert owner.network.columns is None
    twice = pandas.DataFrame(X, columns=list("aabcd"))
    assert_refuses(owner, partial(owner.step, twice, Y), InputError, "x: got two columns of one")


def test_the_object_array_of_a_mixed_frame_is_its_numbers():
    mixed = np.column_stack([column.astype(object) for column in COLUMNS.values()])
    assert mixed.dtype == object
    net = classifier()
    assert net.predict(mixed).tobytes() == net.predict(MIXED).tobytes()


def test_an_arrow_batch_is_an_array():
    pyarrow = pytest.importorskip("pyarrow")
    batch = pyarrow.record_batch({name: X[:, i] for i, name in enumerate(NAMES)})
    net = classifier()
    assert net.predict(batch).tobytes() == net.predict(X).tobytes()


def test_a_lazy_frame_is_to_be_collected():
    polars = pytest.importorskip("polars")
    with pytest.raises(DTypeError, match=r"x: got a LazyFrame, .* collect\(\)"):
        classifier().predict(polars.DataFrame(COLUMNS).lazy())


def test_preprocessing_goes_by_name_too(frame):
    turned = frame(ordered(reversed(NAMES)))
    for kind in (fb.preprocess.Standardize, fb.preprocess.PCA):
        ahead, plain = kind().fit(frame(COLUMNS)), kind().fit(MIXED)
        assert ahead.columns == NAMES
        assert np.array_equal(ahead.transform(turned), plain.transform(MIXED))
        nets = [
            fb.Network(N_INPUTS, [fb.Dense(2)], seed=0, preprocessing=m) for m in (ahead, plain)
        ]
        assert nets[0].columns == NAMES
        assert np.array_equal(nets[0].predict(turned), nets[1].predict(MIXED))
        assert np.array_equal(nets[0].fold().predict(turned), nets[1].fold().predict(MIXED))
        assert nets[0].preprocessing.columns == NAMES
        again = pickle.loads(pickle.dumps(nets[0]))
        assert np.array_equal(again.predict(turned), nets[1].predict(MIXED))
    with pytest.raises(ShapeError, match="x: got a frame without the columns 'age'"):
        ahead.transform(frame(without("age")))


def test_names_may_be_assigned():
    net = classifier()
    net.columns = list("abcde")
    assert net.columns == tuple("abcde")
    for bad in (list("abcd"), list("aabcd"), "abcde", [1, 2, 3, 4, 5], 5):
        with pytest.raises(ConfigError, match=r"columns: got .* 5 columns"):
            net.columns = bad
    assert net.columns == tuple("abcde")

    class Renaming:
        def on_epoch_end(self, trainer, history):
            trainer.network.columns = None

    with pytest.raises(BusyError):
        trainer(net).fit(X, Y, callbacks=[Renaming()])


def test_labels_and_targets_from_frames(frame):
    a, b = trainer(), trainer()
    a.fit(frame(COLUMNS), frame({"kind": np.array(["x", "y", "z"])[Y]}))
    b.fit(MIXED, Y)
    assert parameters(a.network) == parameters(b.network)
    assert a.network.classes.tolist() == ["x", "y", "z"]
    pairs = [trainer(fb.Network(N_INPUTS, [fb.Dense(2)], seed=0), "mse") for _ in range(2)]
    pairs[0].fit(X, frame({"u": X[:, 0], "v": Y}))
    pairs[1].fit(X, np.column_stack([X[:, 0], Y]))
    assert parameters(pairs[0].network) == parameters(pairs[1].network)
