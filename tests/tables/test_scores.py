"""Scores: their numbers by scikit-learn, and what is said where rows do not define them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fastbp import errors
from fastbp.tables.scores import Scores, classification_scores, regression_scores

NAMES = [f"class {i}" for i in range(60)]


def answers(n_rows, n_classes, seed=0, pull=1.5):
    """True classes and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    z = rng.normal(size=(n_rows, n_classes))
    z[np.arange(n_rows), y] += pull
    p = np.exp(z)
    return y, p / p.sum(axis=1, keepdims=True)


def scored(n_rows=200, n_classes=3, **options):
    y, p = answers(n_rows, n_classes, **options)
    return classification_scores(y, p, NAMES[:n_classes], np.full(n_classes, 1 / n_classes))


def of_regression(seed=0, n_rows=100, noise=0.3):
    rng = np.random.default_rng(seed)
    y = rng.normal(50, 10, n_rows)
    return y, y + rng.normal(0, 10 * noise, n_rows)


@pytest.mark.parametrize(("n_rows", "n_classes"), [(50, 2), (200, 3), (900, 25)])
def test_classification_is_that_of_scikit_learn(n_rows, n_classes):
    truth = pytest.importorskip("sklearn.metrics")
    y, p = answers(n_rows, n_classes)
    shares = np.bincount(y, minlength=n_classes) / n_rows
    scores = classification_scores(y, p, NAMES[:n_classes], shares)
    found, always = p.argmax(axis=1), np.full(n_rows, shares.argmax())
    area = truth.roc_auc_score(y, p[:, 1] if n_classes == 2 else p, multi_class="ovr")
    assert dict(scores.items()) == pytest.approx(
        {
            "accuracy": truth.accuracy_score(y, found),
            "balanced_accuracy": truth.balanced_accuracy_score(y, found),
            "log_loss": truth.log_loss(y, p),
            "auc": area,
            "baseline_accuracy": truth.accuracy_score(y, always),
            "baseline_balanced_accuracy": truth.balanced_accuracy_score(y, always),
            "baseline_log_loss": truth.log_loss(y, np.tile(shares, (n_rows, 1))),
            "baseline_auc": 0.5,
        },
        rel=1e-12,
    )
    assert (scores.confusion == truth.confusion_matrix(y, found)).all()
    precision, recall, _, count = truth.precision_recall_fscore_support(y, found)
    lines = scores.by_class(n_classes)[1:]
    assert [line[0] for line in lines] == NAMES[:n_classes]
    assert [line[1] for line in lines] == [str(n) for n in count]
    assert [line[3] for line in lines] == [f"{share:.1%}" for share in precision]
    assert [line[4] for line in lines] == [f"{share:.1%}" for share in recall]


def test_regression_is_that_of_scikit_learn():
    truth = pytest.importorskip("sklearn.metrics")
    y, found = of_regression()
    always = np.full(100, 48.0)
    wanted = {
        f"{before}{name}": score(y, values)
        for before, values in (("", found), ("baseline_", always))
        for name, score in (
            ("rmse", truth.root_mean_squared_error),
            ("mae", truth.mean_absolute_error),
            ("r2", truth.r2_score),
        )
    }
    assert dict(regression_scores(y, found, 48).items()) == pytest.approx(wanted, rel=1e-12)


def test_scores_by_hand():
    p = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]
    scores = classification_scores([0, 1, 1, 2], p, ["a", "b", "c"], [0.5, 0.25, 0.25])
    assert scores.values["accuracy"] == 0.75
    assert scores.values["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert scores.values["log_loss"] == pytest.approx((3 * math.log(2) + math.log(4)) / 4)
    # Of a, of b and of c: pairs of a yes and a no in that order, equal ones counting half.
    assert scores.values["auc"] == pytest.approx((2.5 / 3 + 3 / 4 + 3 / 3) / 3)
    assert scores.baseline["accuracy"] == 0.25
    assert scores.baseline["log_loss"] == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)
    assert scores.cells == ((0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 2, 1))
    scores = regression_scores([1.0, 2.0, 6.0], [2.0, 2.0, 4.0], 4.0)
    assert scores.values == pytest.approx({"rmse": math.sqrt(5 / 3), "mae": 1, "r2": 1 - 5 / 14})
    assert scores.baseline["rmse"] == pytest.approx(math.sqrt(17 / 3))


@pytest.mark.parametrize(
    ("codes", "undefined", "reason"),
    [
        ([1] * 40, {"auc"}, "AUC: not defined: one class only."),
        ([-1] * 40, {"balanced_accuracy", "log_loss", "auc"}, "no row has a label"),
        ([0, -1] * 20, {"auc"}, "Training did not have the label of 20 rows"),
    ],
)
def test_what_rows_do_not_define_has_a_reason(codes, undefined, reason):
    p = answers(40, 3)[1]
    scores = classification_scores(codes, p, NAMES[:3], [0.5, 0.3, 0.2])
    assert set(scores.undefined) == undefined
    assert set(scores.values) == {"accuracy", "balanced_accuracy", "log_loss", "auc"} - undefined
    assert all(math.isfinite(value) for _, value in scores.items())
    assert reason in scores.text()
    assert "nan" not in scores.text()


def test_a_class_that_the_rows_lack_has_no_part_in_the_means():
    y, p = answers(60, 3)
    y, p = y[y < 2], p[y < 2]
    scores = classification_scores(y, p, NAMES[:3], [0.4, 0.3, 0.3])
    recalls = [(p[y == j].argmax(axis=1) == j).mean() for j in (0, 1)]
    assert scores.values["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert scores.by_class()[3][1:] == ["0", str((p.argmax(axis=1) == 2).sum()), "0.0%", "-"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_probability_of_zero_is_the_least_number_of_its_dtype(dtype):
    p = np.array([[0.0, 1.0], [1.0, 0.0]], dtype)
    scores = classification_scores([0, 0], p, ["a", "b"], [0.5, 0.5])
    eps = float(np.finfo(dtype).eps)
    assert scores.values["log_loss"] == pytest.approx(-(math.log(eps) + math.log1p(-eps)) / 2)


def test_probabilities_that_are_not_finite_are_no_answers():
    y, p = answers(40, 3)
    p[:5] = np.nan
    scores = classification_scores(y, p, NAMES[:3], [0.5, 0.3, 0.2])
    assert set(scores.undefined) == {"log_loss", "auc"}
    assert scores.confusion.sum() == 35
    assert scores.values["accuracy"] == (p[5:].argmax(axis=1) == y[5:]).sum() / 40
    assert "those of 5 rows are not" in scores.text()


@pytest.mark.parametrize(
    ("y", "predicted", "reason"),
    [
        ([1.0], [2.0], "R2: not defined: one row only"),
        ([3.0] * 40, np.arange(40.0), "the target is the same in all rows"),
        (np.arange(40.0), [np.inf] * 40, "not all predicted values are finite"),
        (np.arange(40.0), [np.nan] * 40, "Not compared with the baseline"),
        (np.arange(40.0) * 1e200, np.ones(40), "errors are too large"),
    ],
)
def test_a_regression_that_rows_do_not_define(y, predicted, reason):
    scores = regression_scores(y, predicted, 2.0)
    assert "r2" in scores.undefined
    assert reason in scores.text()
    assert not {"nan", "inf"} & set(scores.text().split())


def test_no_rows_is_an_error_that_says_so():
    for score in (
        lambda: classification_scores([], np.empty((0, 2)), ["a", "b"], [0.5, 0.5]),
        lambda: regression_scores([], [], 0),
    ):
        with pytest.raises(errors.InputError, match="none with a target"):
            score()


def test_the_sentence_of_classes():
    good = scored(pull=3)
    assert good.better_than_baseline
    assert good.sentence.startswith("Right for 9")
    y = np.arange(100) % 2
    little = np.eye(2)[np.where(np.arange(100) < 52, y, 1 - y)]
    little = classification_scores(y, little, ["a", "b"], [0.5, 0.5])
    assert little.better_than_baseline
    assert "Chance may explain that" in little.sentence
    y = np.arange(1000) % 100 == 0
    p = np.where(y, 0.4, 0.005)
    rare = classification_scores(y, np.stack([1 - p, p], axis=1), ["no", "yes"], [0.99, 0.01])
    assert rare.better_than_baseline
    assert rare.sentence.startswith("No more often right than the baseline, but its prob")
    useless = classification_scores(y, np.tile([1.0, 0], (1000, 1)), ["no", "yes"], [0.99, 0.01])
    assert not useless.better_than_baseline
    assert useless.sentence.startswith("No better than the baseline: right for 99.0% of 1,000 rows")
    sure = np.eye(2)[y.astype(int)]
    sure[:5] = sure[:5, ::-1]
    sure = classification_scores(y, sure, ["no", "yes"], [0.99, 0.01])
    assert "Its probabilities are no better than the class shares" in sure.sentence


def test_the_sentence_of_values():
    y, found = of_regression()
    assert regression_scores(y, found, 48).better_than_baseline
    worse = regression_scores(y, y[::-1], 48)
    assert not worse.better_than_baseline
    assert worse.sentence.startswith("No better than the baseline: RMSE")
    one_error = y.copy()
    one_error[0] += 500
    assert "Its MAE is better" in regression_scores(y, one_error, 48).sentence


def test_few_rows_are_told_with_their_interval():
    statistics = pytest.importorskip("scipy.stats")
    y, p = answers(20, 2)
    scores = classification_scores(y, p, ["a", "b"], [0.5, 0.5])
    right = int((p.argmax(axis=1) == y).sum())
    interval = statistics.binomtest(right, 20).proportion_ci(method="wilson")
    assert f"from {interval.low:.1%} to {interval.high:.1%} (95% interval)" in scores.sentence
    y, found = of_regression(n_rows=20)
    low, high = statistics.bootstrap(
        [(y - found) ** 2], lambda e, axis: np.sqrt(e.mean(axis=axis)), method="percentile",
        n_resamples=2000, random_state=1,
    ).confidence_interval  # fmt: skip
    told = regression_scores(y, found, 50).sentence.split(" may be from ")[1].split()
    assert [float(told[0]), float(told[2])] == pytest.approx([low, high], rel=0.05)
    assert "One row does not tell" in regression_scores([1.0], [2.0], 5.0).sentence


@pytest.mark.parametrize("n_classes", [2, 5, 12, 20, 21, 60])
@pytest.mark.parametrize("width", [80, 120])
def test_the_text_fits_a_terminal(n_classes, width):
    scores = scored(2000, n_classes)
    lines = scores.text(width, training=scores).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["training", "test", "baseline"]
    assert any(line.startswith("confusion") for line in lines) == (n_classes <= 20)
    assert ("and 40 more classes" in lines) == (n_classes == 60)


def test_labels_are_as_written_but_cannot_act_on_a_terminal():
    y, p = answers(50, 2)
    text = classification_scores(y, p, ["00210", "\x1b[31m\u202ered"], [0.5, 0.5]).text()
    assert "00210" in text
    assert "\\x1b[31m\\u202ered" in text
    assert "\x1b" not in text


def test_scores_travel_as_json():
    y, found = of_regression()
    for scores in (scored(), scored(300, 60), regression_scores(y, found, 50)):
        assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


def test_other_json_is_an_error_that_says_so():
    good = scored().to_json()
    for other in (
        {}, [], {"task": "x"}, good | {"cells": [[9, 0, 1]]}, good | {"more": 1},
    ):  # fmt: skip
        with pytest.raises(errors.CorruptModelError, match="scores"):
            Scores.from_json(other)
