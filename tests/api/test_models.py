"""The classical models beside their closed forms, SciPy's minimiser and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes

import fastbp as fb
from fastbp import errors, models
from fastbp.datasets import load_digits
from fastbp.preprocess import Standardize, polynomial_features

minimize = pytest.importorskip("scipy.optimize").minimize
FAST = {"dtype": "float64", "optimizer": fb.SGD(0.3, momentum=0.97, nesterov=True)}
SLOW = {"dtype": "float64", "optimizer": fb.SGD(0.05)}


def fitted(trainer, x, y, bound=1e-8, epochs=20_000):
    """The weight and bias where the gradient has vanished."""
    history = trainer.fit(x, y, epochs, callbacks=[fb.GradientNorm(bound)])
    assert history.stopped, f"after {epochs} epochs"
    return trainer.network.layers[0].weight, trainer.network.layers[0].bias


def minimum(objective, shape):
    """Weight and bias at the minimum of objective(weight, bias) -> value, their gradients."""
    split = shape[0] * shape[1]

    def flat(w):
        value, dw, db = objective(w[:split].reshape(shape), w[split:])
        return value, np.concatenate([dw.ravel(), db])

    options = {"maxiter": 5000, "maxfun": 10_000, "gtol": 1e-9, "ftol": 0}
    start = np.zeros(split + shape[1])
    w = minimize(flat, start, jac=True, method="L-BFGS-B", options=options).x
    return w[:split].reshape(shape), w[split:]


def digits(*wanted):
    """Standardised images of these digits, and their classes 0, 1, ..."""
    x, y = load_digits()
    kept = np.isin(y, wanted)
    x = Standardize().fit(x[kept]).transform(x[kept].astype(np.float64))
    return x, np.searchsorted(wanted, y[kept])


class TestLinearRegression:
    @pytest.fixture
    def data(self, rng):
        x = rng.standard_normal((60, 4)) @ (np.eye(4) + 0.3 * rng.standard_normal((4, 4))) + 1
        return x, x @ rng.standard_normal((4, 2)) + 3 + rng.standard_normal((60, 2))

    def test_reaches_the_least_squares_solution(self, data):
        x, y = data
        trainer = models.linear_regression(4, 2, **SLOW)
        weight, bias = fitted(trainer, x, y, 1e-10)
        wanted = np.linalg.lstsq(np.column_stack([x, np.ones(60)]), y, rcond=None)[0]
        assert np.vstack([weight, bias]) == pytest.approx(wanted, abs=1e-7)
        assert trainer.n_steps == trainer.history.epochs  # full batches

    def test_ridge(self, data):
        x, y = data
        weight, bias = fitted(models.linear_regression(4, 2, l2=0.5, **SLOW), x, y)
        centred = x - x.mean(axis=0)
        # d/dw of 1/(2n) sum (y - t)^2 + l2 w^2
        left = centred.T @ centred / 60 + 2 * 0.5 * np.eye(4)
        assert weight == pytest.approx(np.linalg.solve(left, centred.T @ y / 60), abs=1e-7)
        assert bias == pytest.approx(y.mean(axis=0) - x.mean(axis=0) @ weight, abs=1e-7)


def binary_objective(x, t, l2):
    def objective(w, b):
        z = (x @ w + b)[:, 0]
        value = np.mean(np.logaddexp(0, z) - t * z) + l2 * np.sum(w**2)
        dz = (1 / (1 + np.exp(-z)) - t) / len(x)
        return value, x.T @ dz[:, None] + 2 * l2 * w, dz.sum(keepdims=True)

    return objective


class TestLogisticRegression:
    def test_is_the_minimum(self):
        x, y = digits(3, 8)
        weight, bias = fitted(models.logistic_regression(64, l2=1e-3, **FAST), x, y, 1e-9)
        wanted = minimum(binary_objective(x, y, 1e-3), (64, 1))
        assert np.abs(wanted[0]).max() > 0.1
        assert weight == pytest.approx(wanted[0], abs=1e-5)
        assert bias == pytest.approx(wanted[1], abs=1e-5)

    def test_equals_scikit_learns_on_breast_cancer(self):
        datasets = pytest.importorskip("sklearn.datasets")
        linear_model = pytest.importorskip("sklearn.linear_model")
        x, y = datasets.load_breast_cancer(return_X_y=True)
        ahead = Standardize().fit(x)
        z = ahead.transform(x)
        theirs = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(z, y)
        l2 = 1 / (2 * len(x))
        trainer = models.logistic_regression(30, l2=l2, preprocessing=ahead, **FAST)
        weight, bias = fitted(trainer, x, y, 1e-7)
        assert weight.ravel() == pytest.approx(theirs.coef_.ravel(), abs=1e-4)
        assert bias == pytest.approx(theirs.intercept_, abs=1e-4)
        probabilities = trainer.network.predict(x).ravel()
        assert probabilities == pytest.approx(theirs.predict_proba(z)[:, 1], abs=1e-4)

    def test_circle_by_polynomial_features(self):
        rng = np.random.default_rng(0)
        x = rng.uniform(-2, 2, (1000, 2))
        inside = (x**2).sum(axis=1) < 1
        trainer = models.logistic_regression(5, **FAST)
        trainer.fit(polynomial_features(x, 2), inside, 5000)
        grid = rng.uniform(-2, 2, (5000, 2))
        radius = np.sqrt((grid**2).sum(axis=1))
        outputs = trainer.network.predict(polynomial_features(grid, 2)).ravel()
        away = np.abs(radius - 1) > 0.05
        assert np.array_equal(outputs[away] > 0.5, radius[away] < 1)
        # w (x1^2 + x2^2 - 1): of a, b, a^2, ab, b^2 only the squares count.
        weight, bias = trainer.network.layers[0].weight.ravel(), trainer.network.layers[0].bias
        assert weight[[2, 4]] / -bias == pytest.approx([1, 1], abs=0.05)
        assert weight[[0, 1, 3]] / bias == pytest.approx([0, 0, 0], abs=0.05)
        straight = models.logistic_regression(2, **FAST)
        straight.fit(x, inside, 500)
        assert straight.evaluate(x, inside)["accuracy"] == np.mean(~inside)


class TestSoftmaxRegression:
    def test_is_the_minimum(self):
        x, y = digits(1, 2, 7, 8)
        target = fb.one_hot(y, 4, "float64")

        def objective(w, b):
            z = x @ w + b
            z -= z.max(axis=1, keepdims=True)
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            dz = (np.exp(log_p) - target) / len(x)
            value = -np.mean((target * log_p).sum(axis=1)) + 0.01 * np.sum(w**2)
            return value, x.T @ dz + 0.02 * w, dz.sum(axis=0)

        weight, bias = fitted(models.softmax_regression(64, 4, l2=0.01, **FAST), x, y, 1e-7)
        wanted = minimum(objective, (64, 4))
        assert np.abs(wanted[0]).max() > 0.1
        assert weight == pytest.approx(wanted[0], abs=1e-5)
        assert bias - bias.mean() == pytest.approx(wanted[1] - wanted[1].mean(), abs=1e-5)

    def test_equals_scikit_learns(self):
        linear_model = pytest.importorskip("sklearn.linear_model")
        x, y = digits(0, 1, 2)
        theirs = linear_model.LogisticRegression(C=0.05, tol=1e-8, max_iter=10_000).fit(x, y)
        trainer = models.softmax_regression(64, 3, l2=1 / (2 * 0.05 * len(x)), **FAST)
        weight, _ = fitted(trainer, x, y, 1e-6)
        assert weight == pytest.approx(theirs.coef_.T, abs=1e-4)
        assert trainer.network.predict(x) == pytest.approx(theirs.predict_proba(x), abs=1e-4)


class TestPolynomialFeatures:
    def test_by_hand(self):
        found = polynomial_features([[2, 3], [1, -1]], 2)
        assert found.tolist() == [[2, 3, 4, 6, 9], [1, -1, 1, -1, 1]]
        assert polynomial_features(np.float32([[2]]), 3).dtype == np.float32

    @pytest.mark.parametrize("degree", [1, 2, 4])
    def test_as_scikit_learns(self, degree):
        sklearn = pytest.importorskip("sklearn.preprocessing")
        x, _ = classes(dtype="float64")
        wanted = sklearn.PolynomialFeatures(degree, include_bias=False).fit_transform(x)
        assert polynomial_features(x, degree) == pytest.approx(wanted, rel=1e-12)

    def test_errors(self):
        for x, degree, error, match in (
            ([1, 2], 2, errors.ShapeError, "x: got shape"),
            ([[1, 2]], 0, errors.ConfigError, "degree: got 0"),
            ([[np.nan]], 2, errors.InputError, "x: got nan"),
            ([[1e200]], 2, errors.InputError, "products of x: got inf"),
        ):
            with pytest.raises(error, match=match):
                polynomial_features(x, degree)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: models.linear_regression(0), "n_inputs: got 0"),
        (lambda: models.logistic_regression(2, 0), "n_outputs: got 0"),
        (lambda: models.softmax_regression(2, 1), "one softmax output"),
        (lambda: models.linear_regression(2, l2=-1), "l2: got -1"),
        (lambda: models.linear_regression(2, penalty="l2"), r"options: got \['penalty'\]"),
    ],
)
def test_bad_options(make, match):
    with pytest.raises(errors.ConfigError, match=match):
        make()
