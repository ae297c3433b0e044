"""What the estimators have that scikit-learn's do not, against the engine and by hand."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors
from fastbp.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
Y = np.sin(X[:, 0]) + X[:, 1]
TWO = np.array(["no", "yes"])[(X[:, 0] + X[:, 1] > 0).astype(int)]
THREE = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0) + 5
SEVERAL = (X[:, :3] > 0).astype(int)
XV, YV, TWO_V = X[:20] * 0.9, Y[:20], TWO[:20]
OPTIONS = {"hidden_layer_sizes": (6, 5), "max_iter": 10, "random_state": 0, "n_threads": 1}


def classifier(**options):
    return MLPClassifier(**{**OPTIONS, **options})


def regressor(**options):
    return MLPRegressor(**{**OPTIONS, **options})


def flat(model):
    return model.network_.parameters


def test_an_activation_for_each_layer():
    model = regressor(activation=["tanh", fb.activations.LeakyReLU(0.2)]).fit(X, Y)
    w, b = model.coefs_, model.intercepts_
    z = np.tanh(X @ w[0] + b[0]) @ w[1] + b[1]
    hidden = np.where(z > 0, z, 0.2 * z)
    np.testing.assert_allclose(model.predict(X), (hidden @ w[2] + b[2])[:, 0])
    np.testing.assert_allclose(model.transform(X), hidden)
    first = model.set_params(transform_layer=0).transform(X)
    np.testing.assert_allclose(first, np.tanh(X @ w[0] + b[0]))


def test_dropout_is_that_of_the_layers():
    model = regressor(dropout=[0.0, 0.4]).fit(X, Y)
    assert [layer.dropout for layer in model.network_.layers] == [0.0, 0.4, 0.0]
    assert not np.array_equal(flat(model), flat(regressor().fit(X, Y)))
    assert regressor(dropout=0.4).fit(X, Y).network_.layers[0].dropout == 0.4


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_weights_of_classes_are_weights_of_rows(y):
    first = y[0]
    by_class = classifier(class_weight={first: 3.0}, batch_size=20).fit(X, y)
    by_row = classifier(batch_size=20).fit(X, y, np.where(y == first, 3.0, 1.0))
    assert np.array_equal(flat(by_class), flat(by_row))
    balanced = classifier(class_weight="balanced").fit(X, y)
    labels, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    weights = (len(y) / (len(labels) * counts))[codes]
    assert np.array_equal(flat(balanced), flat(classifier().fit(X, y, weights)))


def test_weights_of_questions():
    model = classifier(class_weight=[{0: 1, 1: 2}, {0: 1, 1: 1}, {0: 3, 1: 1}]).fit(X, SEVERAL)
    weights = np.where(SEVERAL[:, 0], 2, 1) * np.where(SEVERAL[:, 2], 1, 3)
    np.testing.assert_allclose(flat(model), flat(classifier().fit(X, SEVERAL, weights)))


@pytest.mark.parametrize(
    ("name", "loss"),
    [("absolute_error", fb.losses.MAE()), ("huber", fb.losses.Huber()),
     ("quantile", fb.losses.Quantile()), ("squared_error", fb.losses.SquaredError()),
     (fb.losses.Quantile(0.9), lambda y, t: (
         np.maximum(0.9 * (t - y), -0.1 * (t - y))[:, 0], np.where(t > y, -0.9, 0.1)))],
)  # fmt: skip
def test_losses_of_numbers(name, loss):
    a, b = (regressor(loss=one).fit(X, Y) for one in (name, loss))
    np.testing.assert_allclose(flat(a), flat(b), atol=1e-12)


def test_a_quantile_has_its_share_of_the_rows_below():
    for q in (0.2, 0.8):
        model = regressor(loss=fb.losses.Quantile(q), hidden_layer_sizes=(), alpha=0.0,
                          solver=fb.SGD(fb.InverseTime(0.3, 0.02)), max_iter=200,
                          n_iter_no_change=200)  # fmt: skip
        assert np.mean(model.fit(X, Y).predict(X) > Y) == pytest.approx(q, abs=0.08)


@pytest.mark.parametrize("y", [TWO, THREE, SEVERAL], ids=["two", "three", "questions"])
def test_hinge(y):
    model = classifier(loss="hinge", max_iter=80, solver="sgd", learning_rate_init=0.1).fit(X, y)
    assert model.score(X, y) > 0.65
    assert not hasattr(model, "predict_proba")
    scores = model.decision_function(X)
    if y is TWO:
        assert np.array_equal(model.predict(X) == "yes", scores > 0)
    elif y is THREE:
        assert np.array_equal(model.predict(X), scores.argmax(axis=1) + 5)
    else:
        assert np.array_equal(model.predict(X), scores > 0)
    margins = model.network_.predict(X)
    if y is TWO:
        wanted = np.maximum(0, 1 - margins[:, 0] * np.where(TWO == "yes", 1, -1)).mean()
        assert model._trainer.evaluate(X, np.where(TWO == "yes", 1, -1))["loss"] == (
            pytest.approx(wanted)
        )


def test_losses_of_classes_with_options():
    smooth = classifier(loss=fb.losses.CrossEntropy(label_smoothing=0.2)).fit(X, THREE)
    assert not np.array_equal(flat(smooth), flat(classifier().fit(X, THREE)))
    with pytest.raises(errors.ConfigError, match="wanted BinaryCrossEntropy"):
        classifier(loss=fb.losses.CrossEntropy()).fit(X, TWO)


def test_an_optimizer_as_solver():
    own = regressor(solver=fb.Adam(0.001), batch_size=20).fit(X, Y)
    assert np.array_equal(flat(own), flat(regressor(batch_size=20).fit(X, Y)))
    for solver in (fb.AdamW(fb.Cosine(0.01, 30)), fb.RMSprop(0.01), fb.Adagrad(0.1)):
        assert regressor(solver=solver, max_iter=40).fit(X, Y).loss_ < own.loss_
    plateau = fb.SGD(fb.ReduceOnPlateau(0.1, patience=0, threshold=0.5))
    model = regressor(solver=plateau)
    rates = [model.fit(X, Y).history_["learning_rate"] for _ in range(2)]
    assert rates[0] == rates[1] != [0.1] * 10  # the parameter learns nothing
    assert not hasattr(regressor(solver=fb.LBFGS()), "partial_fit")
    assert np.array_equal(
        flat(regressor(solver=fb.LBFGS(1e-4)).fit(X, Y)), flat(regressor(solver="lbfgs").fit(X, Y))
    )


def test_validation_rows_of_ones_own():
    model = classifier(metrics=["f1"]).fit(X, TWO, X_val=XV, y_val=TWO_V)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.validation_scores_[-1] == model.score(XV, TWO_V)
    p = model.predict_proba(XV)[np.arange(20), (TWO_V == "yes").astype(int)]
    assert model.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean())
    assert len(model.history_["val_f1"]) == model.n_iter_
    assert np.array_equal(flat(model), flat(classifier().fit(X, TWO)))  # they only look on
    model = regressor().fit(X, Y, X_val=XV, y_val=YV)
    assert model.validation_scores_[-1] == pytest.approx(model.score(XV, YV))


def test_early_stopping_on_rows_of_ones_own():
    model = regressor(early_stopping=True, max_iter=60, solver="sgd", learning_rate_init=0.2)
    noise = YV + RNG.normal(size=20)
    model.fit(X, Y, X_val=XV, y_val=noise)
    assert model.score(XV, noise) == pytest.approx(max(model.validation_scores_))
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_counts_stop_by_r2_of_rates():
    counts = RNG.poisson(np.exp(Y)).astype(float)
    model = regressor(loss="poisson", max_iter=5).fit(X, counts, X_val=XV, y_val=counts[:20])
    assert model.validation_scores_[-1] == pytest.approx(model.score(XV, counts[:20]))
    with pytest.raises(ValueError, match="y: got"):
        regressor(loss="poisson").fit(X, Y)


def test_partial_fit_with_early_stopping():
    """As one call of fit, with a call for each epoch until it says why to stop."""
    options = {"early_stopping": True, "solver": "sgd", "learning_rate_init": 0.3, "tol": 0.02,
               "n_iter_no_change": 3, "max_iter": 60}  # fmt: skip
    noise = YV + RNG.normal(size=20)
    whole, parts = (regressor(**options) for _ in range(2))
    whole.fit(X, Y, X_val=XV, y_val=noise)
    calls = 0
    while not calls or parts.history_.stopped is None:
        parts.partial_fit(X, Y, X_val=XV, y_val=noise)
        calls += 1
    assert calls == whole.n_iter_ < 60
    assert np.array_equal(flat(whole), flat(parts))
    assert whole.validation_scores_ == parts.validation_scores_


def test_partial_fit_of_several_questions_with_validation():
    model = classifier(early_stopping=True, solver="sgd")
    for _ in range(3):
        model.partial_fit(X, SEVERAL, classes=[0, 1, 2], X_val=X[:20], y_val=SEVERAL[:20])
    assert len(model.validation_scores_) == 3
    assert model.predict(X).shape == SEVERAL.shape


def test_callbacks_and_metrics():
    seen = []
    model = classifier(
        metrics=["recall"], callbacks=[lambda trainer, history: seen.append(history.epochs) or
                                       history.epochs == 4]
    ).fit(X, TWO)  # fmt: skip
    assert seen == [1, 2, 3, 4]
    assert (model.n_iter_, len(model.history_["recall"])) == (4, 4)


def test_layers_of_fastbp():
    pretrained = regressor().fit(X, Y)
    frozen = pretrained.network_.layers[0]
    frozen.trainable = False
    before = frozen.weight.copy()
    model = regressor(layers=[frozen, fb.Residual([fb.Gated(6)]), fb.Maxout(4)]).fit(X, Y)
    assert [type(layer).__name__ for layer in model.network_.layers] == [
        "Dense", "Residual", "Maxout", "Dense"
    ]  # fmt: skip
    assert np.array_equal(model.coefs_[0], before)
    again = regressor(layers=[frozen, fb.Residual([fb.Gated(6)]), fb.Maxout(4)]).fit(X, Y)
    assert np.array_equal(flat(model), flat(again))


@pytest.mark.parametrize(
    ("model", "y", "output", "predict"),
    [
        (regressor(activation="tanh"), Y, None, lambda m, x: m.predict(x)),
        (regressor(activation="tanh"), np.column_stack([Y, -Y]), 1,
         lambda m, x: m.predict(x)[:, 1]),
        (regressor(activation="tanh", loss="poisson"), Y - Y.min(), None,
         lambda m, x: m.predict(x)),
        (classifier(activation="tanh"), TWO, None, lambda m, x: m.predict_proba(x)[:, 1]),
        (classifier(activation="tanh"), TWO, 0, lambda m, x: m.predict_proba(x)[:, 0]),
        (classifier(activation="tanh"), THREE, 2, lambda m, x: m.predict_proba(x)[:, 2]),
        (classifier(activation="tanh", loss="hinge"), TWO, None,
         lambda m, x: m.decision_function(x)),
    ],
    ids=["number", "second number", "rate", "yes", "no", "class", "score"],
)  # fmt: skip
def test_gradients_by_inputs_are_central_differences(model, y, output, predict):
    model.fit(X, y)
    step, found = 1e-6, model.gradient(X, output)
    for column in range(4):
        by = np.zeros(4)
        by[column] = step
        wanted = (predict(model, X + by) - predict(model, X - by)) / (2 * step)
        np.testing.assert_allclose(found[:, column], wanted, atol=1e-8)


def test_assigned_weights_are_those_of_the_network():
    model = regressor().fit(X, Y)
    model.coefs_[0] = np.ones((4, 6))
    model.intercepts_ = [np.zeros(6), np.zeros(5), np.full(1, 2.0)]
    assert (model.network_.layers[0].weight == 1).all()
    assert model.network_.layers[2].bias == 2
    with pytest.raises(ValueError, match="weight: got shape"):
        model.coefs_[0] = np.ones(3)
    with pytest.raises(ValueError, match="got 1 arrays, wanted 3"):
        model.coefs_ = [1]


@pytest.mark.parametrize(
    ("make", "y"),
    [(classifier, TWO), (classifier, THREE), (classifier, SEVERAL), (regressor, Y)],
)
@pytest.mark.parametrize(
    "options", [{}, {"solver": fb.AdamW(fb.Step(0.01, 5)), "dropout": [0.1, 0]}]
)
def test_files_go_on_to_the_same_bits(make, y, options, tmp_path):
    model = make(batch_size=20, metrics=["mse"], **options).fit(X, y)
    model.save(tmp_path / "model")
    twin = type(model).load(tmp_path / "model")
    assert np.array_equal(twin.predict(X), model.predict(X))
    assert repr(twin) == repr(model)
    for one in (model, twin):
        one.partial_fit(X, y)
    assert np.array_equal(flat(twin), flat(model))
    assert twin.loss_curve_ == model.loss_curve_
    assert np.array_equal(fb.load(tmp_path / "model").predict(X).shape[:1], (60,))


def test_files_that_cannot_be(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(errors.ConfigError, match=r"callbacks: got .* pickle the estimator"):
        regressor(callbacks=[fb.TimeLimit(9)]).fit(X, Y).save(path)
    regressor().fit(X, Y).save(path)
    with pytest.raises(errors.CorruptModelError, match="holds no MLPClassifier"):
        MLPClassifier.load(path)
    net = fb.Network(4, [fb.Dense(1)])
    fb.Trainer(net, "mse").save(path)
    with pytest.raises(errors.CorruptModelError, match="holds no MLPRegressor"):
        MLPRegressor.load(path)


def test_a_divergence_is_an_error_or_ends_training():
    hot = {"solver": "sgd", "learning_rate_init": 1e4, "activation": "identity", "max_iter": 60}
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        regressor(**hot).fit(X, Y)
    with pytest.warns(UserWarning, match="the best weights are kept"):
        model = regressor(**hot, early_stopping=True).fit(X, Y)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.predict(X)).all()


def test_an_interrupt_keeps_what_was_found():
    def interrupts(trainer, history):
        if history.epochs == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        model = regressor(callbacks=[interrupts]).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: regressor(activation=["tanh"]).fit(X, Y), "activation: got .* 2 hidden layers"),
        (lambda: regressor(dropout=[0.1]).fit(X, Y), "dropout: got .* 2 hidden layers"),
        (lambda: regressor().fit(X, Y, X_val=XV), "X_val: got one"),
        (lambda: regressor().fit(X, Y, X_val=XV, y_val=Y), "y_val: got 60 rows"),
        (lambda: classifier().fit(X, TWO, X_val=XV, y_val=["maybe"] * 20), "y_val: got"),
        (lambda: classifier(class_weight="balanced").partial_fit(X, TWO, classes=["no", "yes"]),
         "class_weight: got 'balanced'"),
        (lambda: classifier().fit(X, Y), "Unknown label type"),
        (lambda: classifier().fit(X, np.column_stack([THREE, THREE])), "Multioutput"),
        (lambda: classifier().fit(X, THREE).gradient(X), "output: got None"),
        (lambda: classifier().fit(X, THREE).gradient(X, 3), "output: got 3"),
        (lambda: regressor(hidden_layer_sizes=()).fit(X, Y).transform(X), "transform_layer: got"),
        (lambda: regressor(early_stopping=True, validation_fraction=0.01).fit(X, Y), "too small"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, match):
    with pytest.raises(ValueError, match=match):
        call()
