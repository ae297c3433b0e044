"""scikit-learn's own checks of estimators, and the rest of the library around ours."""

from __future__ import annotations

from functools import partial

import joblib
import numpy as np
import pytest
import scipy.sparse
import sklearn
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import estimator_checks

import fastbp.sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.05, "n_threads": 1}
# More than a tenth of a second each.
COSTLY = {
    "check_estimator_sparse_matrix", "check_estimator_sparse_array", "check_classifiers_train",
    "check_transformer_data_not_an_array", "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array", "check_estimators_dtypes", "check_pipeline_consistency",
    "check_classifiers_multilabel_representation_invariance", "check_transformer_general",
    "check_transformer_preserve_dtypes", "check_classifiers_classes", "check_regressors_train",
    "check_fit_score_takes_y", "check_class_weight_classifiers", "check_estimators_nan_inf",
    "check_sample_weight_equivalence_on_sparse_data", "check_estimator_sparse_data",
}  # fmt: skip


def checks(*estimators):
    """Return the checks as parameters of pytest, the costly ones marked slow."""
    found = []
    mark = estimator_checks.parametrize_with_checks(list(estimators)).mark
    for item in mark.args[1]:
        estimator, check = item.values if hasattr(item, "values") else item
        function = check.func if isinstance(check, partial) else check
        name = f"{type(estimator).__name__}-{function.__name__}"
        marks = [pytest.mark.slow] if function.__name__ in COSTLY else []
        found.append(pytest.param(estimator, check, id=name, marks=marks))
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "check"), checks(ours.MLPClassifier(**SMALL), ours.MLPRegressor(**SMALL))
)
def test_checks_of_estimators(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [ours.MLPClassifier, ours.MLPRegressor])
def test_all_checks_with_the_defaults(kind):
    estimator_checks.check_estimator(kind(max_iter=100))


RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
LABELS = np.array(["no", "yes"])[(X[:, 0] + X[:, 1] > 0).astype(int)]
OPTIONS = {"hidden_layer_sizes": (6,), "max_iter": 15, "learning_rate_init": 0.05,
           "random_state": 0, "n_threads": 1}  # fmt: skip


@pytest.fixture
def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=list("abcd"))


def classifier(**options):
    return ours.MLPClassifier(**{**OPTIONS, **options})


def regressor(**options):
    return ours.MLPRegressor(**{**OPTIONS, **options})


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_tags_are_theirs(kind):
    if not hasattr(sklearn.utils, "get_tags"):
        pytest.skip("this scikit-learn has other tags")
    mine, wanted = (sklearn.utils.get_tags(getattr(m, kind)()) for m in (ours, theirs))
    mine.transformer_tags = None  # theirs gives no hidden layers
    assert mine == wanted


def test_pipeline_and_column_transformer(frame):
    columns = ColumnTransformer([("scaled", StandardScaler(), ["a", "b"])], remainder="passthrough")
    model = make_pipeline(columns, classifier()).fit(frame, LABELS)
    assert model.score(frame, LABELS) > 0.8
    assert model[:-1].get_feature_names_out().tolist()[0] == "scaled__a"
    assert "MLPClassifier" in model._repr_html_()


def test_hidden_layers_in_a_pipeline_with_names(frame):
    model = make_pipeline(regressor(), regressor(hidden_layer_sizes=3))
    model.set_output(transform="pandas").fit(frame, Y)
    hidden = model[:1].transform(frame)
    assert hidden.columns.tolist() == [f"mlpregressor{i}" for i in range(6)]
    assert hidden.index.equals(frame.index)
    assert model[-1].feature_names_in_.tolist() == hidden.columns.tolist()


def test_names_of_columns(frame):
    model = classifier().fit(frame, LABELS)
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])


@pytest.mark.parametrize(
    "n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)], ids=["alone", "two workers"]
)
def test_grid_search(n_jobs):
    grid = {"alpha": [1e-4, 1.0], "activation": ["tanh", ["relu"]]}
    search = GridSearchCV(classifier(), grid, cv=2, n_jobs=n_jobs).fit(X, LABELS)
    again = GridSearchCV(classifier(), grid, cv=2).fit(X, LABELS)
    assert search.cv_results_["mean_test_score"].tolist() == (
        again.cv_results_["mean_test_score"].tolist()
    )


def test_cross_validation():
    assert cross_val_predict(classifier(), X, LABELS, cv=2).shape == (60,)
    proba = cross_val_predict(classifier(), X, LABELS, cv=2, method="predict_proba")
    assert proba.shape == (60, 2)
    assert cross_val_score(regressor(), X, Y, cv=2).shape == (2,)
    halving = HalvingGridSearchCV(regressor(), {"alpha": [0.1, 1]}, cv=2, random_state=0)
    assert halving.fit(X, Y).best_params_["alpha"] in (0.1, 1)


@pytest.mark.parametrize("options", [{}, {"loss": "hinge"}])
def test_calibration(options):
    model = CalibratedClassifierCV(classifier(**options), cv=2).fit(X, LABELS)
    assert model.predict_proba(X).sum(axis=1) == pytest.approx(1)


def test_ensembles():
    members = [("ours", classifier()), ("other", LogisticRegression())]
    vote = VotingClassifier(members, voting="soft").fit(X, LABELS)
    assert vote.score(X, LABELS) > 0.8
    assert BaggingRegressor(regressor(), 3, random_state=0).fit(X, Y).score(X, Y) > 0


def test_inspection():
    model = regressor(max_iter=60).fit(X, Y)
    found = permutation_importance(model, X, Y, n_repeats=2, random_state=0)
    assert set(np.argsort(found.importances_mean)[-2:]) == {0, 1}
    assert partial_dependence(model, X, [0])["average"].shape[0] == 1


@pytest.mark.parametrize("make", [classifier, regressor])
def test_copies_go_on_to_the_same_bits(make, tmp_path):
    y = LABELS if make is classifier else Y
    model = make(batch_size=16).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    twin = joblib.load(tmp_path / "model")
    for one in (model, twin):
        one.partial_fit(X, y)
    assert all(map(np.array_equal, model.coefs_, twin.coefs_))
    assert twin.history_ == {**model.history_, "seconds": twin.history_["seconds"]}
    assert not hasattr(clone(model), "coefs_")
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("form", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_rows_are_the_dense_ones(form):
    rows = np.where(X > 0.3, X, 0)
    dense, sparse = classifier().fit(rows, LABELS), classifier().fit(form(rows), LABELS)
    assert all(map(np.array_equal, dense.coefs_, sparse.coefs_))
    assert np.array_equal(dense.predict_proba(rows), sparse.predict_proba(form(rows)))


def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True)
        weights = (LABELS == "yes").astype(float)
        pipeline = make_pipeline(MinMaxScaler(), model).fit(X, LABELS, sample_weight=weights)
        assert set(pipeline.predict(X)) == {"yes"}
        refused = make_pipeline(MinMaxScaler(), classifier())
        with pytest.raises(ValueError, match="sample_weight"):
            refused.fit(X, LABELS, sample_weight=weights)
