"""The numbers of scikit-learn's own estimators, where the order of the rows cannot differ.

Without shuffling, or with one step an epoch, both do the same steps from the same weights.
"""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as theirs
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

import fastbp.sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
TWO = np.array(["no", "yes"], object)[(X[:, 0] + X[:, 1] > 0).astype(int)]
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0) + 5
SEVERAL = make_multilabel_classification(60, 4, n_classes=3, random_state=0)[1]
TARGETS = np.column_stack([Y, X[:, 2] ** 2])
W = RNG.random(60) + 0.5
COMMON = {"hidden_layer_sizes": (7, 5), "max_iter": 12, "random_state": 3, "shuffle": False}
SGD = {"solver": "sgd", "learning_rate_init": 0.05, "batch_size": 20}
EPS = {"epsilon": 1e-14}  # that it is added before or after the correction does not show
ATTRIBUTES = (
    "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "loss_",
    "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_",
)  # fmt: skip

CASES = {
    "adam": (Y, EPS),
    "adam, whole batches": (Y, {**EPS, "batch_size": 20}),
    "adam, logistic": (THREE, {**EPS, "activation": "logistic"}),
    "sgd": (TWO, SGD),
    "sgd, three classes": (THREE, {**SGD, "activation": "tanh"}),
    "sgd, several questions": (SEVERAL, SGD),
    "sgd, no nesterov": (Y, {**SGD, "nesterovs_momentum": False}),
    "sgd, no momentum": (Y, {**SGD, "momentum": 0.0, "activation": "identity"}),
    "sgd, two targets": (TARGETS, SGD),
    "sgd, strong alpha": (Y, {**SGD, "alpha": 2.0, "learning_rate_init": 0.003}),
    "invscaling": (Y, {**SGD, "learning_rate": "invscaling", "power_t": 0.3, "momentum": 0.0}),
    "adaptive": (
        THREE,
        {**SGD, "learning_rate": "adaptive", "momentum": 0.0, "tol": 1.0, "n_iter_no_change": 2,
         "max_iter": 40},
    ),
    "stops": (Y, {**SGD, "tol": 0.05, "n_iter_no_change": 2, "max_iter": 99}),
    "early stopping": (
        TWO,
        {**SGD, "early_stopping": True, "batch_size": 18, "n_iter_no_change": 3, "max_iter": 60},
    ),
    "early stopping, numbers": (
        Y,
        {**SGD, "early_stopping": True, "validation_fraction": 0.25, "batch_size": 15,
         "n_iter_no_change": 3, "tol": 0.03, "max_iter": 60},
    ),
    "early stopping, three": (
        THREE, {**SGD, "early_stopping": True, "batch_size": 54, "n_iter_no_change": 5}
    ),
    "lbfgs": (Y, {"solver": "lbfgs", "activation": "tanh"}),
    "lbfgs, three classes": (THREE, {"solver": "lbfgs", "alpha": 1.0}),
}  # fmt: skip
POISSON = getattr(theirs.MLPRegressor, "_parameter_constraints", {}).get("loss")
WEIGHED = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters


def pair(y, **options):
    kind = "MLPRegressor" if np.asarray(y).dtype.kind == "f" else "MLPClassifier"
    options = {**COMMON, **options}
    return getattr(ours, kind)(**options), getattr(theirs, kind)(**options)


def same(a, b, tolerance=1e-8, attributes=ATTRIBUTES):
    found = {name: getattr(a, name, None) for name in attributes}
    wanted = {name: getattr(b, name, found[name]) for name in attributes}
    for name in attributes:
        want, got = wanted[name], found[name]
        if want is None or isinstance(want, str):
            assert got == want, name
        else:
            np.testing.assert_allclose(got, want, rtol=tolerance, err_msg=name)
    for mine, other in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, atol=tolerance, rtol=0)


@pytest.fixture
def stops_by_strings():
    """Skip where scikit-learn itself cannot stop early by the accuracy of labels that are text."""
    if sklearn.__version__.startswith(("1.7.", "1.8.")):
        pytest.skip("scikit-learn 1.7 and 1.8 look for NaN in the labels, which fails for text")


@pytest.mark.parametrize("case", CASES)
def test_the_same_steps(case, request):
    y, options = CASES[case]
    if y.dtype == object and options.get("early_stopping"):
        request.getfixturevalue("stops_by_strings")
    a, b = (one.fit(X, y) for one in pair(y, **options))
    same(a, b, 1e-6 if "lbfgs" in case else 1e-7)
    assert np.array_equal(a.predict(X), b.predict(X)) or a.predict(X).dtype.kind == "f"
    assert a.score(X, y) == pytest.approx(b.score(X, y), abs=1e-6)
    if hasattr(b, "predict_proba"):
        assert np.array_equal(a.classes_, b.classes_)
        for name in ("predict_proba", "predict_log_proba"):
            np.testing.assert_allclose(getattr(a, name)(X), getattr(b, name)(X), atol=1e-5)


@pytest.mark.parametrize("weights", [None, 3 * W**2 * (W > 0.6)], ids=["", "weights"])
@pytest.mark.parametrize("batch_size", [1, 7, 25, 60])
def test_alpha_of_each_batch(batch_size, weights):
    """alpha / 2 over its rows, or over the sum of their weights, also if it is the last one.

    Dividing by the rows of a whole batch, or by the mean weight of all, is 1e-2 away.
    """
    if weights is not None and (not WEIGHED or batch_size == 1):  # theirs divides by a weight of 0
        pytest.skip("not to be compared")
    given = {} if weights is None else {"sample_weight": weights}
    for y, options in (
        (Y, {"solver": "sgd", "learning_rate_init": 0.02}),
        (THREE, {**EPS, "learning_rate_init": 0.01, "activation": "tanh"}),
        (TWO, {"solver": "sgd", "learning_rate_init": 0.02, "momentum": 0.0}),
    ):
        options = {**options, "alpha": 3.0, "batch_size": batch_size, "max_iter": 5}
        a, b = (one.fit(X, y, **given) for one in pair(y, **options))
        same(a, b, 1e-9)
        np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-9)


def test_a_batch_without_weight_has_no_penalty():
    weights = np.ones(60)
    weights[20:40] = 0
    given = [
        ours.MLPRegressor(**{**COMMON, **SGD, "alpha": 2.0, "momentum": 0.0}) for _ in range(2)
    ]
    kept = np.flatnonzero(weights)
    a, b = given[0].fit(X, Y, weights), given[1].fit(X[kept], Y[kept])
    assert all(np.array_equal(p, q) for p, q in zip(a.coefs_, b.coefs_, strict=True))
    np.testing.assert_allclose(np.array(a.loss_curve_) * 60, np.array(b.loss_curve_) * 40)


def test_alpha_with_a_loss_of_ones_own():
    def squares(outputs, targets):
        return np.sum((outputs - targets) ** 2, axis=1) / 2, outputs - targets

    a, b = (
        ours.MLPRegressor(loss, **{**COMMON, **SGD, "alpha": 2.0, "batch_size": 25}).fit(X, Y, W)
        for loss in (squares, "squared_error")
    )
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], atol=1e-9)


@pytest.mark.skipif(not POISSON, reason="this scikit-learn has no other loss")
@pytest.mark.parametrize("options", [{"solver": "lbfgs", "max_iter": 20}, SGD, EPS])
def test_poisson(options):
    counts = RNG.poisson(np.exp(Y / 2)).astype(float)
    a, b = (one.fit(X, counts) for one in pair(counts, loss="poisson", **options))
    same(a, b, 1e-6)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-5)


@pytest.mark.skipif(not WEIGHED, reason="this scikit-learn has no sample_weight")
@pytest.mark.parametrize("options", [EPS, {"solver": "sgd"}, {"solver": "lbfgs", "alpha": 1.0}])
@pytest.mark.parametrize("y", [Y, THREE], ids=["numbers", "classes"])
def test_weights_of_rows(y, options):
    """And what alpha means with them: alpha / 2 over the sum of the weights."""
    a, b = (one.fit(X, y, sample_weight=W) for one in pair(y, **options))
    same(a, b, 1e-6)


@pytest.mark.parametrize("y", [Y, TWO], ids=["numbers", "classes"])
def test_float32(y):
    rows = X.astype(np.float32)
    a, b = (one.fit(rows, y) for one in pair(y, **SGD))
    same(a, b, 1e-4)
    assert a.network_.dtype == np.float32
    assert a.predict(rows).dtype == b.predict(rows).dtype


@pytest.mark.parametrize("options", [EPS, SGD, {**SGD, "early_stopping": True, "batch_size": 54}])
def test_warm_start(options):
    y = THREE
    a, b = (one.fit(X, y).fit(X, y) for one in pair(y, warm_start=True, **options))
    same(a, b)
    assert len(a.loss_curve_) == 24


@pytest.mark.parametrize("y", [Y, THREE, SEVERAL], ids=["numbers", "classes", "questions"])
def test_partial_fit(y):
    a, b = pair(y, **SGD)
    for one in (a, b):
        for rows in (slice(0, 20), slice(20, 60), slice(0, 60)):
            options = {} if y is Y else {"classes": np.unique(THREE)}
            if y is SEVERAL:
                options = {"classes": np.arange(3)}
            one.partial_fit(X[rows], y[rows], **options)
    same(a, b)


def test_partial_fit_goes_on_with_the_optimizer_of_fit():
    a, b = (one.fit(X, Y).partial_fit(X, Y).partial_fit(X, Y) for one in pair(Y, **EPS))
    same(a, b)


def test_the_order_of_rows_is_ours_and_follows_the_seed():
    fits = [
        ours.MLPRegressor(hidden_layer_sizes=5, max_iter=5, batch_size=8, random_state=seed).fit(
            X, Y
        )
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(fits[0].coefs_[0], fits[1].coefs_[0])
    assert not np.array_equal(fits[0].coefs_[0], fits[2].coefs_[0])
    generators = [np.random.RandomState(1) for _ in range(2)]
    for generator in generators:
        ours.MLPRegressor(hidden_layer_sizes=5, max_iter=2, random_state=generator).fit(X, Y)
    assert generators[0].randint(10**9) == generators[1].randint(10**9)


def test_verbose_prints_the_same_lines(capsys, stops_by_strings):
    printed = []
    for one in pair(TWO, **SGD, early_stopping=True, verbose=True, n_iter_no_change=2, tol=0.5):
        one.fit(X, TWO)
        printed.append(capsys.readouterr().out.splitlines())
    mine, other = printed
    assert [line.split("=")[0] for line in mine[:-1]] == [line.split("=")[0] for line in other[:-1]]
    assert mine[-1].endswith("Stopping.")


@pytest.mark.parametrize(
    ("options", "category", "match"),
    [
        ({"max_iter": 2}, ConvergenceWarning, r"Maximum iterations \(2\) reached"),
        ({"max_iter": 2, "solver": "lbfgs"}, ConvergenceWarning, "lbfgs failed to converge"),
        ({"batch_size": 99, "max_iter": 99, "tol": 9.0}, UserWarning, "going to be clipped"),
    ],
)
def test_warnings(options, category, match):
    for one in pair(Y, **options):
        with pytest.warns(category, match=match):
            one.fit(X, Y)


def test_no_warning_after_convergence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.MLPRegressor(hidden_layer_sizes=3, tol=9.0, max_iter=99).fit(X, Y)
        ours.MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", tol=0.1, max_iter=99).fit(X, Y)


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_names_and_defaults(kind):
    wanted = getattr(theirs, kind)().get_params()
    mine = getattr(ours, kind)().get_params()
    assert {name: mine[name] for name in wanted} == wanted
    assert mine.keys() - wanted.keys() <= {
        "loss", "class_weight", "dropout", "layers", "metrics", "callbacks", "n_threads",
        "transform_layer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "name"),
    [({"alpha": -1}, "alpha"), ({"solver": "newton"}, "solver"), ({"tol": "0"}, "tol"),
     ({"activation": "step-up"}, "activation"), ({"max_iter": 0}, "max_iter"),
     ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes"), ({"momentum": 1.5}, "momentum"),
     ({"n_iter_no_change": 0.5}, "n_iter_no_change"), ({"beta_1": 1.0}, "beta_1")],
)  # fmt: skip
def test_errors_name_the_parameter_as_theirs_do(options, name):
    for one in pair(Y, **options):
        with pytest.raises(ValueError, match=name):
            one.fit(X, Y)
