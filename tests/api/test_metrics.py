"""Metrics by name and by function: scikit-learn's values, weights, and where a trainer has them."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from loss_cases import needed, targets
from training import assert_refuses, classes, classifier, trainer

import fastbp as fb
from fastbp import errors, metrics

truth = pytest.importorskip("sklearn.metrics")
RNG = np.random.default_rng(5)
N = 60
SCORES = RNG.standard_normal((N, 4))
PROBABILITIES = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
CLASSES = np.where(RNG.random(N) < 0.6, SCORES.argmax(axis=1), RNG.integers(0, 4, N))
QUESTIONS = (RNG.random((N, 3)) < 0.4).astype(float)
ANSWERS = np.clip(0.3 * QUESTIONS + 0.7 * RNG.random((N, 3)), 0, 1)
TIED = np.round(ANSWERS, 1)
VALUES, GUESSES = RNG.standard_normal((2, N, 3))
WEIGHTS = {"none": None, "weights": np.where(RNG.random(N) < 0.2, 0, 3 * RNG.random(N))}
YES, P = QUESTIONS[:, 0], ANSWERS[:, 0]
MACRO = {"average": "macro", "zero_division": 0}


def signs(questions):
    return 2 * questions - 1


def of_classes(function, **options):
    return lambda y, z, **w: function(y, z.argmax(axis=1), **options, **w)


def of_answers(function, **options):
    return lambda y, p, **w: function(y, p > 0.5, **options, **w)


def roc(y, scores, **w):
    return truth.roc_auc_score(y, scores, multi_class="ovr", **w)


CASES = {  # y, outputs, scikit-learn's function
    "accuracy, classes": (metrics.accuracy, CLASSES, SCORES, of_classes(truth.accuracy_score)),
    "accuracy, questions": (metrics.accuracy, QUESTIONS, ANSWERS, of_answers(truth.accuracy_score)),
    "accuracy, one": (metrics.accuracy, YES, P, of_answers(truth.accuracy_score)),
    "top 2": (metrics.top_k, CLASSES, SCORES, partial(truth.top_k_accuracy_score, k=2)),
    "top 3": (
        partial(metrics.top_k, k=3), CLASSES, SCORES, partial(truth.top_k_accuracy_score, k=3)
    ),
    "auc, classes": (metrics.auc, CLASSES, PROBABILITIES, roc),
    "auc, questions": (metrics.auc, QUESTIONS, TIED, truth.roc_auc_score),
    "auc, one": (metrics.auc, YES, TIED[:, 0], truth.roc_auc_score),
    "log_loss, classes": (metrics.log_loss, CLASSES, PROBABILITIES, truth.log_loss),
    "log_loss, one": (metrics.log_loss, YES, P, truth.log_loss),
    "log_loss, certain": (metrics.log_loss, YES, np.round(P), truth.log_loss),
    "mse": (metrics.mse, VALUES, GUESSES, truth.mean_squared_error),
    "rmse": (metrics.rmse, VALUES, GUESSES, truth.root_mean_squared_error),
    "mae": (metrics.mae, VALUES, GUESSES, truth.mean_absolute_error),
    "r2": (metrics.r2, VALUES, GUESSES, truth.r2_score),
    "r2, one": (metrics.r2, VALUES[:, 0], GUESSES[:, 0], truth.r2_score),
    "r2, constant": (metrics.r2, np.ones(N), GUESSES[:, 0], truth.r2_score),
    "r2, exact": (metrics.r2, np.ones(N), np.ones(N), truth.r2_score),
    "confusion": (metrics.confusion, CLASSES, SCORES, of_classes(truth.confusion_matrix)),
    "confusion, one": (metrics.confusion, YES, P, of_answers(truth.confusion_matrix)),
}  # fmt: skip
for name in ("precision", "recall", "f1"):
    score = getattr(truth, f"{name}_score")
    for average in ("macro", None):
        ours = partial(getattr(metrics, name), average=average)
        options = {"average": average, "zero_division": 0}
        CASES |= {
            f"{name}, classes, {average}": (ours, CLASSES, SCORES, of_classes(score, **options)),
            f"{name}, questions, {average}": (
                ours, QUESTIONS, ANSWERS, of_answers(score, **options)
            ),
            f"{name}, one, {average}": (ours, YES, P, of_answers(score, **options)),
            f"{name}, rare, {average}": (
                ours, CLASSES % 2, SCORES[:, :2], of_classes(score, **options)
            ),
        }  # fmt: skip


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_scikit_learn(case, weights):
    function, y, outputs, wanted = CASES[case]
    w = WEIGHTS[weights]
    kept = slice(None) if w is None else w > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {} if w is None else {"sample_weight": w[kept]}
        want = wanted(y[kept], outputs[kept], **options)
    found = function(y, outputs, w)
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-14)
    if w is not None:  # rows of weight 0 may hold anything
        outputs = outputs.copy()
        outputs[~kept] = np.nan
        y = y.copy()
        y[~kept] = np.nan if y.dtype == float else -1
        np.testing.assert_array_equal(function(y, outputs, w), found)
        assert np.any(function(*CASES[case][1:3]) != found) or "exact" in case or "const" in case


def test_values_by_hand():
    """Several yes-or-no outputs, all on their side; and one row of three that is not."""
    outputs = [[0.8, 0.9, 0.1], [0.1, 0.2, 0.3], [0.2, 0.6, 0.9]]
    y = [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    assert metrics.accuracy(y, outputs) == metrics.binary_accuracy(y, outputs) == 1
    y[1][1] = 1
    assert metrics.accuracy(y, outputs) == 2 / 3
    assert metrics.binary_accuracy(y, outputs) == 8 / 9
    assert metrics.accuracy(y, outputs, [1, 6, 1]) == 0.25
    assert metrics.accuracy(np.array(y), outputs, exclusive=True) == 0
    assert metrics.accuracy([[-1], [1], [1]], [[-0.1], [0.3], [0]]) == 2 / 3  # 0 has no sign
    assert metrics.accuracy([[1], [1]], [[0.3], [-0.3]], threshold=0) == 0.5
    assert metrics.log_loss(y, outputs) == pytest.approx(
        -np.mean(np.log(np.where(y, outputs, 1 - np.array(outputs)))), 1e-12
    )
    soft = [[0.9, 0.1], [0.3, 0.7]]
    want = -np.mean([0.9 * np.log(0.5) + 0.1 * np.log(0.5), 0.3 * np.log(0.2) + 0.7 * np.log(0.8)])
    found = metrics.log_loss(soft, [[0.5, 0.5], [0.2, 0.8]], exclusive=True)
    assert found == pytest.approx(want, 1e-12)
    assert metrics.top_k([1, 1], [[2, 2, 2], [3, 2, 2]], k=1) == 0  # the first of equal ones
    assert metrics.top_k([1, 1], [[2, 2, 2], [3, 2, 2]]) == 1
    assert np.isnan(metrics.auc([1, 1], [[0.1], [0.2]]))
    assert np.isnan(metrics.r2([1], [[0.1]]))


@pytest.mark.parametrize(
    "y", [np.zeros(4, int), np.ones(4, int), np.eye(3)[[0, 0, 0, 0]], np.zeros((4, 3)), np.ones(4)]
)
def test_a_nan_among_the_outputs_is_never_right(y):
    outputs = np.full((4, 1 if y.dtype == float and y.ndim == 1 else 3), 0.1)
    outputs[::2, 0] = np.nan
    assert metrics.accuracy(y, outputs) <= 0.5
    right = metrics.accuracy(y[1::2], outputs[1::2])
    assert metrics.accuracy(y, outputs) == right / 2
    if y.ndim == 1:
        assert metrics.confusion(y, outputs).sum() == 2
        assert metrics.recall(y, outputs) <= right / 2
    if y.ndim == 1 and outputs.shape[1] > 1:
        assert metrics.top_k(y, outputs, k=3) == 0.5
    assert np.isnan([f(y, outputs) for f in (metrics.auc, metrics.log_loss, metrics.mse)]).all()


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_a_class_that_is_predicted_and_never_right_is_in_the_mean(name):
    y, outputs = np.array([0, 0, 1]), np.eye(3)[[0, 2, 1]]
    wanted = getattr(truth, f"{name}_score")(y, outputs.argmax(axis=1), **MACRO)
    assert getattr(metrics, name)(y, outputs) == pytest.approx(wanted)


def test_outputs_of_a_hinge_are_cut_at_zero_whatever_the_targets():
    """Targets that are all 1 do not tell by themselves that the other class is -1."""
    layer = fb.Dense(1, "linear", weight_init=fb.initializers.Zeros())
    owner = fb.Trainer(fb.Network(2, [layer], seed=0), "hinge", metrics=["recall"])
    owner.network.layers[0].bias[...] = 0.25
    assert owner.evaluate(np.ones((3, 2)), np.ones((3, 1)))["recall"] == 1


def test_directions():
    for name in ("accuracy", "val_accuracy", "f1", "val_auc", "r2", "top_k", "val_top_5"):
        assert metrics.direction(name) == "max", name
    for name in ("loss", "val_loss", "log_loss", "val_rmse", "mse", "mae"):
        assert metrics.direction(name) == "min", name
    for name in ("seconds", "my_own", "top_", "top_x", "top_0", "confusion"):
        assert metrics.direction(name) is None, name


BAD = [
    ((CLASSES[:3], SCORES), errors.ShapeError, r"y: got shape \(3,\), wanted \(60, 4\), or"),
    ((QUESTIONS, SCORES), errors.ShapeError, r"y: got shape \(60, 3\), wanted \(60, 4\)"),
    ((CLASSES, SCORES[0, 0]), errors.ShapeError, r"outputs: got shape \(\)"),
    ((CLASSES + 1, SCORES), errors.LabelError, "y: got class 4"),
    ((SCORES[:, 0], SCORES), errors.LabelError, "y: got one-dimensional float64, wanted integer"),
    ((np.nan * QUESTIONS, ANSWERS), errors.LabelError, "y: got nan"),
    ((CLASSES, SCORES, np.zeros(N)), errors.InputError, "sample_weight: got only zeros"),
    ((CLASSES, SCORES, -np.ones(N)), errors.InputError, "sample_weight: got values from -1"),
    ((CLASSES, SCORES, np.ones(3)), errors.ShapeError, "sample_weight: got shape"),
    ((["a"] * N, SCORES), errors.DTypeError, "y: got dtype"),
]


@pytest.mark.parametrize(("arguments", "error", "match"), BAD)
def test_what_is_no_metric_s_argument_is_refused(arguments, error, match):
    for function in (metrics.accuracy, metrics.f1, metrics.auc, metrics.mse, metrics.confusion):
        with pytest.raises(error, match=match):
            function(*arguments)


def test_questions_are_no_classes():
    for function in (metrics.confusion, metrics.top_k):
        with pytest.raises(errors.LabelError, match=r"y: got targets of shape .* exclusive=True"):
            function(QUESTIONS, ANSWERS)
    with pytest.raises(errors.ConfigError, match="average: got 'micro'"):
        metrics.f1(CLASSES, SCORES, average="micro")


LOSSES = [
    *((loss, 3) for loss in ("cross_entropy", "multiclass_hinge")),
    *((loss, n) for loss in ("binary_cross_entropy", "hinge", "perceptron") for n in (1, 3)),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "n_outputs"), LOSSES)
def test_the_accuracy_of_the_engine_is_the_metric_s(loss, n_outputs, weighted):
    rng = np.random.default_rng(3)
    network = fb.Network(4, [fb.Dense(n_outputs, needed(loss, "tanh"))], seed=2)
    x, t = rng.standard_normal((300, 4)), targets(loss, (300, n_outputs), rng)
    if loss == "binary_cross_entropy":
        t = np.round(t)
    w = rng.integers(0, 3, 300) if weighted else None
    names = ["binary_accuracy", "f1", "precision", "recall", "auc"]
    owner = trainer(network, loss, optimizer=fb.SGD(0.0), metrics=names)
    found = owner.evaluate(x, t, w)
    outputs, threshold = network.predict(x), 0.0 if loss in ("hinge", "perceptron") else 0.5
    options = {"threshold": threshold, "exclusive": loss in ("cross_entropy", "multiclass_hinge")}
    want = metrics.accuracy(t, outputs, w, **options)
    assert 0 < want < 1
    assert found["accuracy"] == pytest.approx(want, 1e-12)
    history = owner.fit(x, t, sample_weight=w, validation_data=(x, t) if w is None else (x, t, w))
    assert history["accuracy"][-1] == pytest.approx(want, 1e-12)
    assert found["f1"] == metrics.f1(t, outputs, w, **options)
    for name in ("accuracy", *names):
        assert history[f"val_{name}"] == [pytest.approx(found[name], 1e-12)]


def error_of_first(y, outputs):
    return np.abs(y[:, 0] - outputs[:, 0]).mean() if y.ndim == 2 else (y != 0).mean()


def weighted_share(y, outputs, sample_weight=None):
    return np.average(y == 0, weights=sample_weight)


def test_where_a_trainer_reports_metrics(capfd):
    x, y = classes(40)
    weights = np.arange(40) % 4
    seen = []

    class Watcher:
        def on_epoch_end(self, trainer, history):
            seen.append(history["val_f1"][-1])

    names = ["f1", "top_2", error_of_first, weighted_share]
    owner = trainer(metrics=names)
    owner.fit(x, y, 2, (x, y, weights), callbacks=[Watcher()], progress=True)
    columns = ["loss", "accuracy", "learning_rate", "seconds"]
    measured = ["loss", "accuracy", "f1", "top_2", "error_of_first", "weighted_share"]
    assert list(owner.history) == columns + [f"val_{name}" for name in measured]
    found = owner.evaluate(x, y, weights)
    assert list(found) == measured
    assert found == {name: owner.history[f"val_{name}"][-1] for name in measured}
    assert found["error_of_first"] == (y != 0)[weights > 0].mean()
    assert found["weighted_share"] == np.average(y == 0, weights=weights)
    assert found["f1"] == metrics.f1(y, owner.network.predict(x), weights)
    assert seen == owner.history["val_f1"]
    assert "val_f1=" in capfd.readouterr().err
    owner.fit(x, y)
    assert owner.history["f1"][-1] == owner.evaluate(x, y)["f1"]
    assert np.isnan(owner.history["f1"][:2]).all()
    assert "val_f1" in owner.history
    owner.metrics = []
    assert list(owner.evaluate(x, y)) == ["loss", "accuracy"]


def test_outputs_are_those_of_predict_and_losses_keep_their_bits():
    x, y = classes(300)
    seen = []

    def watching(y, outputs):
        seen.append(outputs)
        return 0

    center = fb.preprocess.Whiten().fit(x)
    for loss, last in [("cross_entropy", "softmax"), ("hinge", "linear"), ("mse", "tanh")]:
        t = 2 * np.eye(3)[y] - 1 if loss == "hinge" else y
        for preprocessing in (None, center):
            layers = [fb.Dense(7, "relu"), fb.Dense(3, last)]
            network = fb.Network(5, layers, seed=0, preprocessing=preprocessing)
            found = trainer(network, loss, metrics=[watching]).evaluate(x, t)
            plain = trainer(network, loss).evaluate(x, t)
            assert {k: found[k] for k in plain} == plain
            np.testing.assert_array_equal(seen.pop(), network.predict(x))


def test_targets_are_not_rounded_to_the_network_s_dtype():
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((20, 5)), rng.standard_normal(20)
    network = fb.Network(5, [fb.Dense(1)], seed=0)
    owner = trainer(network, "mse", metrics=["rmse", "r2"], optimizer=fb.SGD(0.0))
    want = truth.r2_score(t, network.predict(x))
    assert owner.evaluate(x, t)["r2"] == pytest.approx(want, 1e-13)
    assert owner.fit(x, t)["r2"] == [pytest.approx(want, 1e-13)]
    assert owner.fit(x, t, 1, (x, t))["val_r2"][-1] == pytest.approx(want, 1e-13)


def test_metrics_of_a_custom_loss():
    x, y = classes(40)

    def half_square(outputs, t):
        d = outputs - np.eye(3)[t]
        return 0.5 * (d * d).sum(axis=1), d

    owner = trainer(classifier(), half_square, metrics=["f1"])
    assert owner.evaluate(x, y)["f1"] == metrics.f1(y, owner.network.predict(x))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("f1", "got 'f1', wanted a list"),
        (3, "got 3, wanted a list"),
        (["f2"], "got 'f2', wanted one of accuracy, binary_accuracy"),
        (["top_0"], "got 'top_0'"),
        ([fb.Trainer], "got <class .*wanted a name or a function"),
        ([2], "got 2, wanted a name or a function"),
        (["f1", "f1"], "got two of the name 'f1'"),
        ([weighted_share, weighted_share], "got two of the name 'weighted_share'"),
    ],
)
def test_bad_metrics_are_refused(given, match):
    with pytest.raises(errors.ConfigError, match=f"metrics: {match}"):
        trainer(metrics=given)
    owner = trainer()
    with pytest.raises(errors.ConfigError, match=f"metrics: {match}"):
        owner.metrics = given


def test_metrics_that_do_not_fit_are_refused_before_a_step():
    x, y = classes(20)
    t = np.eye(3)[y]
    linear = fb.Network(5, [fb.Dense(3)], seed=0)
    sigmoid = fb.Network(5, [fb.Dense(3, "sigmoid")], seed=0)
    cases = [
        (trainer(linear, "mse", metrics=["log_loss"]), y, "'log_loss' for a linear output layer"),
        (trainer(linear, "mse", metrics=["top_2"]), t, r"'top_2' for targets of shape \(20, 3\)"),
        (trainer(sigmoid, "binary_cross_entropy", metrics=["top_k"]), t, "'top_k' for targets of"),
    ]
    for owner, rows, match in cases:
        for call in (owner.fit, owner.evaluate, partial(owner.fit, validation_data=(x, rows))):
            assert_refuses(
                owner, partial(call, x, rows), errors.ConfigError, f"metrics: got {match}"
            )
    with pytest.raises(errors.InputError, match=r"outputs: got values from -1 to 0\.5, wanted"):
        metrics.log_loss([1, 0], [[-1], [0.5]])


@pytest.mark.parametrize("name", ["loss", "seconds", "f1", "val_f2", "top_7"])
def test_a_function_takes_no_other_column(name):
    def function(y, outputs):
        return 0

    function.__name__ = name
    with pytest.raises(errors.ConfigError, match=f"metrics: got a function of the name '{name}'"):
        trainer(metrics=[function])


def test_a_metric_that_is_no_number_is_named():
    def pair(y, outputs):
        return [1, 2]

    x, y = classes(20)
    owner = trainer(metrics=[pair])
    assert_refuses(owner, partial(owner.evaluate, x, y), errors.ConfigError, "list from pair")


def test_a_checkpoint_keeps_metrics(tmp_path):
    x, y = classes(20)
    path = tmp_path / "a.ckpt"
    owner = trainer(metrics=["f1", weighted_share, metrics.auc, "top_3"], average="rows")
    assert owner.metrics == ["f1", weighted_share, "auc", "top_3"]
    owner.save(path)
    again = fb.Trainer.load(path, metrics=[weighted_share])
    assert again.metrics == owner.metrics
    assert again.average == "rows"
    assert again.evaluate(x, y) == owner.evaluate(x, y)
    wanted = "wanted weighted_share, the functions of the trainer in .*metrics="
    for given in (None, [error_of_first], [weighted_share, error_of_first]):
        with pytest.raises(errors.ConfigError, match=wanted):
            fb.Trainer.load(path, metrics=given)
    assert repr(again).endswith("metrics=['f1', weighted_share, 'auc', 'top_3'])")
    assert "average='rows'" in repr(again)
    trainer().save(path)
    with pytest.raises(errors.ConfigError, match="metrics: got weighted_share, wanted none"):
        fb.Trainer.load(path, metrics=[weighted_share])
