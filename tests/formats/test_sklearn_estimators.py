"""scikit-learn's estimators as networks and back: they predict the same, and go on training."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from training import classes

import fastbp as fb
from fastbp import errors

pytest.importorskip("sklearn")
from sklearn import decomposition, linear_model, neural_network, preprocessing, svm
from sklearn.pipeline import make_pipeline

rng = np.random.default_rng(5)
X = rng.standard_normal((80, 4))
X[:, 0] = 1.7e9 + 1e5 * X[:, 0]  # Unix times
X[:, 3] *= 1e-3
Y = rng.integers(0, 3, 80)
NAMES = np.array(["a", "b", "c"])[Y]
T = np.column_stack([X[:, 1] - X[:, 2], X[:, 1] ** 2])
SCALER = preprocessing.StandardScaler
SHORT = {"max_iter": 20, "random_state": 0}


def mlp(sizes=(5,), activation="relu", **options):
    return neural_network.MLPClassifier(sizes, activation, **SHORT, **options)


def regressor(sizes=(5,), activation="relu", **options):
    kind = neural_network.MLPRegressor
    return kind(hidden_layer_sizes=sizes, activation=activation, **SHORT, **options)


def pca(**options):
    return make_pipeline(SCALER(), decomposition.PCA(2, **options))


# Each estimator and what it is fitted to; the rows are X.
ESTIMATORS = {
    "three classes": (make_pipeline(SCALER(), mlp()), NAMES),
    "two classes": (make_pipeline(SCALER(), mlp(activation="tanh")), Y > 0),
    "two questions": (make_pipeline(SCALER(), mlp()), np.column_stack([Y > 0, Y > 1]).astype(int)),
    "no hidden layer": (make_pipeline(SCALER(), mlp(())), NAMES),
    "two hidden layers": (make_pipeline(SCALER(), mlp((4, 3), "logistic")), Y),
    "regression": (make_pipeline(SCALER(with_std=False), SCALER(), regressor()), T[:, 0]),
    "two outputs": (make_pipeline(preprocessing.MinMaxScaler(), regressor((3,), "identity")), T),
    "robust": (make_pipeline(preprocessing.RobustScaler(), regressor()), T),
    "largest": (make_pipeline(SCALER(), "passthrough", preprocessing.MaxAbsScaler(), mlp()), Y),
    "components": (make_pipeline(pca(), regressor()), T),
    "whitened": (make_pipeline(pca(whiten=True), None, regressor()), T),
    "least squares": (linear_model.LinearRegression(), T),
    "ridge": (make_pipeline(SCALER(), linear_model.Ridge()), T[:, 0]),
    "lasso": (make_pipeline(SCALER(), linear_model.Lasso(0.1)), T[:, 0]),
    "elastic net": (make_pipeline(SCALER(), linear_model.ElasticNet(0.1)), T),
    "huber": (make_pipeline(SCALER(), linear_model.HuberRegressor(max_iter=10)), T[:, 0]),
    "SGD for numbers": (make_pipeline(SCALER(), linear_model.SGDRegressor()), T[:, 0]),
    "SVM for numbers": (make_pipeline(SCALER(), svm.LinearSVR()), T[:, 0]),
    "softmax regression": (make_pipeline(SCALER(), linear_model.LogisticRegression()), NAMES),
    "logistic regression": (make_pipeline(SCALER(), linear_model.LogisticRegression()), Y > 1),
    "SGD of logarithms": (
        make_pipeline(SCALER(), linear_model.SGDClassifier(loss="log_loss")), Y > 1),
    "SGD of margins": (make_pipeline(SCALER(), linear_model.SGDClassifier()), NAMES),
    "perceptron": (make_pipeline(SCALER(), linear_model.Perceptron()), NAMES),
    "SVM": (make_pipeline(SCALER(), svm.LinearSVC()), Y > 0),
}  # fmt: skip
# scikit-learn has no network of scores that name classes.
SCORES = {"SGD of margins", "perceptron", "SVM"}


def fitted(name):
    estimator, y = ESTIMATORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence
        return estimator.fit(X, y)


def predictions(estimator, x, n_outputs):
    """What the estimator gives in the form of a network's outputs."""
    for name in ("predict_proba", "decision_function", "predict"):
        if hasattr(estimator, name):
            found = np.asarray(getattr(estimator, name)(x)).reshape(len(x), -1)
            return found[:, 1:] if found.shape[1] == 2 and n_outputs == 1 else found
    raise AssertionError(estimator)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_there_and_back(name):
    estimator = fitted(name)
    net = fb.from_sklearn(estimator)
    wanted = predictions(estimator, X, net.n_outputs)
    assert np.ptp(wanted) > 0
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(net.predict(X), wanted, rtol=0, atol=1e-9 * scale)
    if net.classes is not None:
        assert net.predict_classes(X).tolist() == estimator.predict(X).tolist()
    if name in SCORES:
        with pytest.raises(errors.ConversionError, match=r"last layer: .* with classes"):
            net.to_sklearn()
        return
    back = net.to_sklearn()
    found = predictions(back, X, net.n_outputs)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * scale)
    if net.classes is not None:
        assert back.predict(X).tolist() == estimator.predict(X).tolist()


def test_names_of_features_and_classes_come_along():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("pqrs"))
    for estimator in (make_pipeline(SCALER(), mlp()), mlp()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(frame, NAMES)
        net = fb.from_sklearn(estimator)
        assert net.columns == ("p", "q", "r", "s")
        assert net.classes.tolist() == ["a", "b", "c"]
        back = net.to_sklearn()
        assert list(back.feature_names_in_) == ["p", "q", "r", "s"]
        assert back.predict(frame).tolist() == net.predict_classes(frame).tolist()


def test_classes_in_another_order_and_softmax_of_two():
    x, _ = classes(40)
    for outputs, activation in ((3, "softmax"), (2, "softmax"), (1, "sigmoid")):
        layers = [fb.Dense(4, "tanh"), fb.Dense(outputs, activation)]
        net = fb.Network(x.shape[1], layers, dtype="float64", seed=3)
        net.classes = ["m", "z", "a"][: max(outputs, 2)] if outputs == 3 else ["z", "a"]
        model = net.to_sklearn()
        assert model.classes_.tolist() == sorted(net.classes)
        assert model.predict(x).tolist() == net.predict_classes(x).tolist()
        assert len(set(model.predict(x))) > 1
        chances = net.predict(x)
        chances = np.hstack([1 - chances, chances]) if outputs == 1 else chances
        order = np.argsort(net.classes)
        np.testing.assert_allclose(model.predict_proba(x), chances[:, order], atol=1e-12)


def test_training_goes_on_on_the_other_side_and_back():
    x, y = classes(60)
    model = neural_network.MLPClassifier((6,), "tanh", solver="sgd", alpha=0, momentum=0,
                                         batch_size=60, shuffle=False, learning_rate_init=0.1,
                                         random_state=0)  # fmt: skip
    model.partial_fit(x.astype(float), y, classes=[0, 1, 2])
    net = fb.from_sklearn(model)
    trainer = fb.Trainer(net, "cross_entropy", fb.SGD(0.1), batch_size=None, shuffle=False)
    trainer.fit(x.astype(float), y, epochs=3)
    back = net.to_sklearn()
    np.testing.assert_allclose(back.predict_proba(x), net.predict(x.astype(float)), atol=1e-12)
    options = {k: v for k, v in model.get_params().items() if k != "hidden_layer_sizes"}
    back.set_params(**options)
    for _ in range(3):
        model.partial_fit(x.astype(float), y)
        back.partial_fit(x.astype(float), y)
        trainer.fit(x.astype(float), y)
    assert back.n_iter_ == 1 and len(back.loss_curve_) == 3
    assert back.t_ == 180
    np.testing.assert_allclose(back.coefs_[0], net.layers[0].weight, rtol=1e-9, atol=1e-12)
    for _ in range(3):
        model.partial_fit(x.astype(float), y)
    np.testing.assert_allclose(back.coefs_[1], model.coefs_[1], rtol=1e-9, atol=1e-12)


def test_estimators_of_fastbp_come_with_their_gates():
    from fastbp.sklearn import MLPClassifier

    layers = [fb.Gated(4), fb.Residual([fb.Dense(4, "gelu", dropout=0.1)])]
    own = MLPClassifier(layers=layers, max_iter=2, random_state=0)
    estimator = make_pipeline(SCALER(), own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, NAMES)
    net = fb.from_sklearn(estimator)
    np.testing.assert_allclose(net.predict(X), estimator.predict_proba(X), atol=1e-6)
    assert net.predict_classes(X).tolist() == estimator.predict(X).tolist()
    assert "dropout=0.1" in repr(net)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_float32_stays_float32():
    estimator = mlp().fit(X.astype(np.float32)[:, 1:], Y)
    net = fb.from_sklearn(estimator)
    assert net.dtype == np.float32
    x = X.astype(np.float32)[:, 1:]
    np.testing.assert_allclose(net.predict(x), estimator.predict_proba(x), atol=1e-6)
    assert net.to_sklearn().coefs_[0].dtype == np.float32


REFUSED = {
    "nothing": (None, "estimator: got a Pipeline that does nothing|estimator: got NoneType"),
    "a number": (3, "estimator: got int, wanted a fitted MLPClassifier"),
    "a class": (linear_model.Ridge, "estimator: got ABCMeta, wanted a fitted"),
    "without a fit": (mlp(), "estimator: got MLPClassifier without a fit"),
    "a step without a fit": (make_pipeline(SCALER(), mlp()), "step 'standardscaler': got Standard"),
    "another model": (
        linear_model.PoissonRegressor().fit(X[:, 1:], Y), r"\(PoissonRegressor\): has no counterp"),
    "no model": (SCALER().fit(X), r"estimator \(StandardScaler\): has no counterpart"),
    "clipping": (
        make_pipeline(preprocessing.MinMaxScaler(clip=True), linear_model.Ridge()).fit(X[:, 1:], Y),
        r"step 'minmaxscaler' \(MinMaxScaler\): got clip=True"),
    "another map": (
        make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()).fit(X[:, 1:], Y),
        r"step 'polynomialfeatures' \(PolynomialFeatures\): has no counterpart in fastbp as a map"),
    "sigmoids by their sum": (
        linear_model.SGDClassifier(loss="log_loss").fit(X[:, 1:], Y),
        "got loss='log_loss' for 3 classes"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named(name):
    estimator, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message):
        fb.from_sklearn(estimator)


@pytest.mark.parametrize(
    "layers, message",
    [
        ([fb.Maxout(3), fb.Dense(1)], r"layers\[0\]: got Maxout\(3, 2\), wanted Dense"),
        ([fb.Residual([fb.Dense(4)]), fb.Dense(1)], r"layers\[0\]: got Residual"),
        ([fb.Dense(3, "gelu"), fb.Dense(1)], r"got the hidden activations gelu"),
        ([fb.Dense(3, "tanh"), fb.Dense(3, "relu"), fb.Dense(1)], r"activations relu, tanh"),
        ([fb.Dense(1, "relu")], r"last layer: got Dense\(1, 'relu'\), wanted linear"),
    ],
)
def test_networks_that_scikit_learn_does_not_have(layers, message):
    with pytest.raises(errors.ConversionError, match=message):
        fb.Network(4, layers, seed=0).to_sklearn()


def test_a_column_that_the_map_leaves_out_is_named():
    affine = fb.preprocess.Affine([0.0, 0.0], [1.0, 0.0])
    with pytest.raises(errors.ConversionError, match="preprocessing: got a column that it mult"):
        fb.Network(2, [fb.Dense(1)], preprocessing=affine).to_sklearn()
