"""Labels of any kind: which classes they are, and that they come back as they went in."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from training import N_CLASSES, N_INPUTS, assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp.errors import BusyError, ConfigError, CorruptModelError, DTypeError, LabelError

X, Y = classes()
# Three labels of each kind, in the order of the classes.
LABELS = {
    "strings": ["007", "07", "7"],
    "words": ["cat", "dog", "é"],
    "integers": [1, 2, 3],
    "signs": [-1, 0, 1],
    "large": [-5, 2**40, 2**62],
    "beyond int64": [0, 2**64, 2**70],
    "floats": [1.0, 7.0, 8.0],
    "counted floats": [0.0, 1.0, 2.0],
}
# Ways to hold them.
HELD = {
    "array": np.array,
    "list": list,
    "objects": lambda labels: np.array(labels, object),
}


def taken(labels, codes=Y):
    return [labels[code] for code in codes]


def two(loss="binary_cross_entropy", last="sigmoid", **options):
    network = fb.Network(N_INPUTS, [fb.Dense(1, last)], seed=0)
    return trainer(network, loss, **options)


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_their_sorted_numbers_and_come_back(kind, held):
    labels = LABELS[kind]
    y = HELD[held](taken(labels))
    by_label, by_number = trainer(), trainer()
    by_label.fit(X, y, epochs=2)
    by_number.fit(X, Y, epochs=2)
    net = by_label.network
    assert parameters(net) == parameters(by_number.network)
    assert net.classes.tolist() == labels
    assert by_label.evaluate(X, y) == by_number.evaluate(X, Y)
    found, codes = net.predict_classes(X).tolist(), by_number.network.predict_classes(X)
    assert found == taken(labels, codes)
    assert {type(label) for label in found} == {type(label) for label in labels}
    assert codes.tolist() == by_number.network.predict(X).argmax(axis=1).tolist()
    assert by_number.network.classes is None


def test_strings_are_in_the_order_of_their_code_points():
    """As NumPy's unique and scikit-learn's LabelEncoder have them."""
    owner, y = trainer(), taken(["b", "B", "a"])
    owner.step(X, y)
    assert owner.network.classes.tolist() == np.unique(y).tolist() == ["B", "a", "b"]


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2], [-1, 1], [2.0, 5.0], [False, True]])
@pytest.mark.parametrize(
    ("loss", "last", "pair"),
    [
        ("binary_cross_entropy", "sigmoid", (0, 1)),
        ("hinge", "linear", (-1, 1)),
        ("perceptron", "sign", (-1, 1)),
        ("perceptron", "step", (0, 1)),
        ("cross_entropy", "softmax", (0, 1)),
    ],
)
def test_two_labels_are_the_two_classes_of_a_loss(labels, loss, last, pair):
    layers = [fb.Dense(2 if last == "softmax" else 1, last)]
    a, b = (trainer(fb.Network(N_INPUTS, layers, seed=0), loss) for _ in range(2))
    codes = (Y > 0).astype(int)
    a.fit(X, np.array(labels)[codes])
    b.fit(X, np.array(pair)[codes])
    assert parameters(a.network) == parameters(b.network)
    outputs = a.network.predict(X)
    threshold = 0.5 if last in ("sigmoid", "step") else 0
    above = outputs[:, -1] > (outputs[:, 0] if last == "softmax" else threshold)
    found = a.network.predict_classes(X).tolist()
    assert found == np.array(labels)[above.astype(int)].tolist()
    assert len(set(found)) == 2
    assert type(found[0]) is type(labels[0])


def test_one_sigmoid_output_takes_words_with_a_squared_loss_too():
    for last, pair in (("sigmoid", [0, 1]), ("tanh", [-1, 1])):
        a, b = two("mse", last), two("mse", last)
        a.fit(X, np.array(["a", "b"])[(Y > 0) * 1])
        b.fit(X, np.array(pair)[(Y > 0) * 1])
        assert parameters(a.network) == parameters(b.network)
    with pytest.raises(LabelError, match=r"got the label 'a' in row 0, wanted numbers"):
        two("mse", "linear").fit(X, ["a"] * len(X))


def test_soft_targets_of_one_output_are_no_labels():
    owner = two()
    owner.fit(X, (Y > 0) * 0.8 + 0.1)
    assert owner.network.classes is None
    assert set(owner.network.predict_classes(X).tolist()) <= {0, 1}


@pytest.mark.parametrize("door", ["fit", "step"])
def test_a_category_has_its_own_order(door):
    pandas = pytest.importorskip("pandas")
    order = ["small", "medium", "large"]
    y = pandas.Series(pandas.Categorical.from_codes(Y, order))
    a, b = trainer(), trainer()
    getattr(a, door)(X, y)
    getattr(b, door)(X, Y)
    assert a.network.classes.tolist() == order
    assert parameters(a.network) == parameters(b.network)
    # The labels alone do, once the classes are known; those that do not occur may be missing.
    assert a.evaluate(X, list(y)) == a.evaluate(X, y) == b.evaluate(X, Y)
    unused = trainer()
    unused.step(X, pandas.Categorical.from_codes(Y + 1, ["tiny", *order]))
    assert unused.network.classes.tolist() == order


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "string", "str", "object", "boolean"])
def test_nullable_series_are_labels_unless_one_is_missing(dtype):
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    labels = {"Int64": [3, 4, 5], "int64[pyarrow]": [3, 4, 5], "boolean": [False, True]}
    labels = labels.get(dtype, ["a", "b", "c"])
    codes = Y % len(labels)
    y = pandas.Series(taken(labels, codes), dtype=dtype)
    net = fb.Network(N_INPUTS, [fb.Dense(len(labels), "softmax")], seed=0)
    owner = trainer(net)
    owner.step(X, y)
    assert net.classes.tolist() == labels
    y[7] = None
    assert_refuses(owner, partial(owner.step, X, y), LabelError, "(?i)no label|label nan.*row 7")


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_series_of_other_libraries_are_labels(library):
    module = pytest.importorskip(library)
    series = module.Series if library == "polars" else module.array
    owner = trainer()
    owner.step(X, series(taken(["x", "y", "z"])))
    assert owner.network.classes.tolist() == ["x", "y", "z"]
    missing = series([None, *taken(["x", "y", "z"], Y[1:])])
    assert_refuses(owner, partial(owner.step, X, missing), LabelError, "no label .* in row 0")


def named(labels=("a", "b", "c")):
    owner = trainer()
    owner.network.classes = labels
    return owner


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (["a", "d", "b"], LabelError, r"got the label 'd' in row 1, wanted one of 'a', 'b', 'c'"),
        ([0, 1, 2], LabelError, r"got the label 0 in row 0, wanted one of 'a'"),
        (["a", 7, "b"], LabelError, r"got 'a' \(str\) in row 0 and 7 \(int\) in row 1"),
        ([True, "a", "b"], LabelError, r"got True \(bool\) in row 0 and 'a' \(str\) in row 1"),
        (["a", None, "b"], LabelError, r"got no label \(None\) in row 1"),
        (["a", "b", np.nan], LabelError, r"got no label \(nan\) in row 2"),
        ([b"a", b"b", b"c"], DTypeError, r"got bytes, wanted .* strings: astype\(str\)"),
        ([["a", "b"]] * 3, DTypeError, r"got strings of shape \(3, 2\), wanted one label a row"),
        ([1j, 2j, 3j], DTypeError, "got dtype complex128, wanted real numbers"),
        ([object()] * 3, DTypeError, r"got <object .* in row 0, wanted real numbers, or labels"),
    ],
)
def test_labels_that_are_no_classes_change_nothing(y, error, match):
    owner, x = named(), X[:3]
    net = owner.network
    for call in (
        owner.fit,
        owner.step,
        owner.evaluate,
        partial(net.gradients, loss="cross_entropy"),
        partial(fb.gradient_check, net, loss="cross_entropy"),
        lambda x, y: owner.fit(X, taken("abc"), validation_data=(x, y)),
    ):
        assert_refuses(owner, partial(call, x, y), error, f"y: {match}")


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (["a", "b", "a"], r"got 2 different labels, 'a', 'b', wanted 3, .* net\.classes = "),
        ([1, 3, 1], r"got class 3 in row 1, wanted integers 0\.\.2, .* net\.classes = "),
        ([0.5, 1.0, 1.5], r"got the label 0\.5 in row 0, wanted classes"),
    ],
)
def test_labels_that_do_not_name_all_classes_are_refused(y, match):
    owner = trainer()
    for call in (owner.fit, owner.step, owner.evaluate, lambda x, y: owner.fit([(x, y)])):
        assert_refuses(owner, partial(call, X[:3], y), LabelError, match)


def test_a_network_that_learnt_integers_takes_no_others_for_them():
    owner = trainer()
    owner.fit(X, Y)
    for y, shown in ((Y + 1, "3"), (taken("abc"), "'c'")):
        match = rf"got class {shown} in row \d+, wanted integers 0\.\.2"
        assert_refuses(owner, partial(owner.evaluate, X, y), LabelError, match)
    assert owner.evaluate(X, Y.astype(float)) == owner.evaluate(X, Y)
    again = pickle.loads(pickle.dumps(owner))
    assert_refuses(again, partial(again.evaluate, X, Y + 1), LabelError, "got class 3")


def test_part_of_the_classes_will_do_once_they_are_known():
    a, b = named(), trainer()
    b.network.classes = None
    for rows in (np.flatnonzero(Y == 2)[:4], np.arange(20)):
        a.step(X[rows], taken("abc", Y[rows]))
        b.step(X[rows], Y[rows])
    assert parameters(a.network) == parameters(b.network)


def test_classes_may_have_any_order():
    a, b = named(["c", "a", "b"]), trainer()
    a.fit(X, taken(["c", "a", "b"]))
    b.fit(X, Y)
    assert parameters(a.network) == parameters(b.network)


@pytest.mark.parametrize(
    "value",
    [["a", "b"], ["a", "b", "b"], [1, 2, 2.0], ["a", 1, 2], "abc", [1.5, 2, 3], [[1, 2, 3]]],
)
def test_classes_that_are_none_are_refused(value):
    owner = named()
    call = partial(setattr, owner.network, "classes", value)
    assert_refuses(owner, call, ConfigError, "classes: got")


def test_classes_are_not_assigned_in_training():
    class Renaming:
        def on_epoch_end(self, trainer, history):
            assert trainer.network.classes.tolist() == ["a", "b", "c"]
            trainer.network.classes = None

    with pytest.raises(BusyError):
        trainer().fit(X, taken("abc"), callbacks=[Renaming()])


def test_a_call_that_does_no_step_names_nothing():
    class Refusing:
        def on_fit_begin(self, trainer, x, y, validation_data):
            assert trainer.network.classes is not None
            raise ValueError

        def on_epoch_end(self, trainer, history):
            pass

    owner = trainer()
    with pytest.raises(ValueError):
        owner.fit(X, taken("abc"), callbacks=[Refusing()])
    with pytest.raises(fb.errors.InputError, match="sample_weight"):
        owner.step(X, taken("abc"), -np.ones(len(X)))
    with pytest.raises(LabelError, match="batch 1: y: got the label 'd'"):
        owner.fit([(X, taken("abc")), (X, taken("abd"))])
    network = fb.Network(N_INPUTS, [fb.Dense(3)], seed=0)
    wild = trainer(network, "mse", optimizer=fb.SGD(1e30))
    network.layers[0].weight[...] = 1e30
    for call in (wild.step, wild.fit):
        with pytest.raises(fb.errors.DivergenceError):
            call(X, taken("abc"))
    assert owner.network.classes is None
    assert network.classes is None


@pytest.mark.parametrize("labels", LABELS.values(), ids=list(LABELS))
def test_classes_go_where_the_network_goes(labels, tmp_path):
    owner = named(labels)
    net = owner.network
    net.columns = list("vwxyz")
    net.preprocessing = fb.preprocess.Standardize().fit(X)
    net.save(tmp_path / "net")
    owner.save(tmp_path / "run")
    for other in (
        fb.load(tmp_path / "net"),
        fb.load(tmp_path / "run"),
        fb.Trainer.load(tmp_path / "run").network,
        pickle.loads(pickle.dumps(net)),
        copy.deepcopy(owner).network,
        net.copy("float64"),
        net.fold(),
    ):
        assert other.classes.tolist() == labels
        assert {type(label) for label in other.classes.tolist()} == {type(labels[0])}
        assert other.columns == tuple("vwxyz")


def test_a_file_with_classes_that_are_none_is_corrupt(tmp_path):
    from fastbp.formats import modelfile

    net = classifier()
    for spoiled in ({"classes": ["a", "a", "b"]}, {"columns": "abcde"}, {"columns": ["a"]}):
        modelfile.write(tmp_path / "net", net._architecture() | spoiled, net._tensors())
        with pytest.raises(CorruptModelError, match="got"):
            fb.load(tmp_path / "net")


def test_weights_of_classes_go_by_label():
    a, b = (trainer(class_weight=option) for option in ({"c": 3.0, "a": 0.5}, {2: 3.0, 0: 0.5}))
    a.fit(X, taken("abc"))
    b.fit(X, Y)
    assert parameters(a.network) == parameters(b.network)
    balanced = [trainer(class_weight="balanced") for _ in range(2)]
    for owner, y in zip(balanced, (taken("abc"), Y), strict=True):
        owner.fit(X, y)
    assert parameters(balanced[0].network) == parameters(balanced[1].network)
    match = r"class_weight: got the class 0, wanted one of 'a', 'b', 'c'"
    owner = trainer(class_weight={0: 1.0})
    assert_refuses(owner, partial(owner.step, X, taken("abc")), ConfigError, match)


@pytest.mark.parametrize(
    ("loss", "last"), [("binary_cross_entropy", "sigmoid"), ("hinge", "linear")]
)
def test_weights_of_the_classes_of_one_output(loss, last):
    y = np.array(["no", "yes"])[(Y > 0) * 1]
    a, b = two(loss, last, class_weight={"yes": 3.0}), two(loss, last)
    a.fit(X, y)
    b.fit(X, y, sample_weight=np.where(Y > 0, 3.0, 1.0))
    assert parameters(a.network) == parameters(b.network)


def test_traces_and_losses_of_ones_own_take_labels():
    net = named().network
    assert np.array_equal(net.trace(X[0], "b", "mse").target, [0, 1, 0])
    assert net.trace(X[0], ["b"], "mse").loss == net.gradients(X[:1], ["b"], "mse")[0]
    seen = []

    def loss(outputs, targets):
        seen.append(targets)
        return np.zeros(len(outputs)), np.zeros_like(outputs)

    net.gradients(X, taken("abc"), loss)
    assert np.array_equal(seen[0], Y)


def test_a_perceptron_without_mistakes_may_have_labels():
    stop = [fb.models.NoMistakes()]
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    owner = fb.models.perceptron(2)
    assert owner.fit(x, ["no", "yes", "yes", "yes"], 100, callbacks=stop).stopped
    assert owner.network.predict_classes(x).tolist() == ["no", "yes", "yes", "yes"]


def test_one_output_that_is_no_class_has_no_classes():
    net = fb.Network(N_INPUTS, [fb.Dense(1)], seed=0)
    with pytest.raises(ConfigError, match="got one linear output without classes"):
        net.predict_classes(X)
    net.classes = ["low", "high"]
    assert np.array_equal(net.predict_classes(X) == "high", net.predict(X)[:, 0] > 0)


def test_as_many_outputs_as_classes():
    assert N_CLASSES == 3
    with pytest.raises(LabelError, match="got 4 different labels"):
        trainer().fit(X, ["d", *taken("abc", Y[1:])])
