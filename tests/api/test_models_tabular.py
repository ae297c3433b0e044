"""The network for tables: its defaults, what options change, what means nothing, the same bits."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import errors
from fastbp.models import tabular, tabular_epochs


def curves(n_rows=150, seed=0):
    """Three columns, and a target with a product, of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_rows, 3)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.1 * rng.standard_normal(n_rows)
    return x, (y - y.mean()) / y.std()


def spread(y):
    """Three classes of a target."""
    return np.searchsorted([-0.5, 0.5], y)


def test_regression_beats_the_linear_model():
    x, y = curves(300)
    trainer = tabular(3, 1, "regression", n_rows=200, seed=0, n_threads=1)
    stop = fb.EarlyStopping(10**6)
    trainer.fit(x[:200], y[:200], tabular_epochs(200), (x[200:250], y[200:250]), [stop])
    left = x[:200].astype(np.float64)
    weights = np.linalg.lstsq(np.column_stack([left, np.ones(200)]), y[:200], rcond=None)[0]
    linear = np.column_stack([x[250:], np.ones(50)]) @ weights
    error = np.mean((trainer.network.predict(x[250:])[:, 0] - y[250:]) ** 2)
    assert error < 0.5 * np.mean((linear - y[250:]) ** 2)


def test_classification_beats_the_majority():
    x, y = curves(300)
    labels = spread(y)
    trainer = tabular(3, 3, "classification", n_rows=250, epochs=60, seed=0)
    trainer.fit(x[:250], labels[:250], epochs=60)
    right = np.mean(trainer.network.predict(x[250:]).argmax(axis=1) == labels[250:])
    assert right > 0.75 > np.bincount(labels).max() / 300 + 0.2


def test_the_rate_ends_with_the_last_step():
    x, y = curves(100)
    trainer = tabular(3, 1, "regression", n_rows=100, epochs=7, batch_size=30, seed=0)
    trainer.fit(x, y, epochs=7)
    assert trainer.n_steps == 28
    schedule = trainer.optimizer.learning_rate
    assert (schedule.total, schedule(28)) == (28, 0)
    assert 0 < schedule(27) < schedule.rate / 10


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, "AdamW(LogCosine("),
        ({"optimizer": "adam", "learning_rate": 0.5}, "Adam(LogCosine(rate=0.5,"),
        ({"optimizer": "rmsprop"}, "RMSprop(LogCosine("),
        ({"optimizer": "adagrad"}, "Adagrad(LogCosine("),
        ({"optimizer": "sgd"}, "momentum=0.9)"),
        ({"optimizer": "sgd", "momentum": 0.5, "learning_rate": 1}, "momentum=0.5)"),
        ({"optimizer": fb.SGD(0.25)}, "SGD(0.25)"),
        ({"optimizer": fb.SGD(0.25), "rate_factor": 0.5}, "SGD(0.125)"),
        ({"learning_rate": 0.5, "rate_factor": 0.5}, "LogCosine(rate=0.25,"),
        ({"learning_rate": fb.Cosine(0.5, 9)}, "AdamW(Cosine(rate=0.5,"),
    ],
    ids=str,
)
def test_optimizers(options, seen):
    given = options.get("optimizer")
    before = repr(given)
    assert seen in repr(tabular(3, 1, "regression", n_rows=40, **options).optimizer)
    assert repr(given) == before


def test_the_factor_multiplies_the_tuned_rate():
    whole, tenth = (
        tabular(3, 1, "regression", n_rows=40, rate_factor=factor).optimizer.learning_rate
        for factor in (1, 0.1)
    )
    assert tenth.rate == pytest.approx(whole.rate / 10, rel=1e-15)


def test_options_reach_network_and_trainer():
    centre = fb.preprocess.Center().fit(np.ones((4, 3)))
    trainer = tabular(
        3, 2, "classification", n_rows=40, hidden=[5, 4], activation="tanh", dropout=0.25,
        label_smoothing=0.125, batch_size=7, l2=0.5, clip_norm=None, dtype="float64",
        preprocessing=centre, n_threads=1, shuffle=False, metrics=["f1"],
    )  # fmt: skip
    layers = trainer.network.layers
    assert [layer.units for layer in layers] == [5, 4, 2]
    assert [layer.activation for layer in layers] == ["tanh", "tanh", "softmax"]
    assert [layer.dropout for layer in layers] == [0.25, 0.25, 0]
    assert trainer._loss.label_smoothing == 0.125
    assert (trainer.batch_size, trainer.l2, trainer.clip_norm) == (7, 0.5, None)
    assert (trainer.n_threads, trainer.shuffle, trainer.metrics) == (1, False, ["f1"])
    assert trainer.network.preprocessing is not None
    assert trainer.network.predict(np.ones((1, 3))).dtype == np.float64
    linear = tabular(3, 2, "regression", n_rows=40, hidden=(), loss=fb.losses.Huber(0.5))
    assert [layer.activation for layer in linear.network.layers] == ["linear"]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_same_bits_for_a_seed(task):
    x, y = curves(60)
    y = spread(y) if task == "classification" else y

    def bits(seed, n_threads):
        trainer = tabular(3, 3 if task == "classification" else 1, task, n_rows=60, epochs=3,
                          seed=seed, n_threads=n_threads)  # fmt: skip
        trainer.fit(x, y, epochs=3)
        return trainer.network.parameters.tobytes()

    assert bits(1, 1) == bits(1, 2) != bits(2, 1)


@pytest.mark.parametrize("n_rows", [1, 2, 5, 33])
def test_few_rows(n_rows):
    x, y = curves(n_rows + 2)
    trainer = tabular(3, 1, "regression", n_rows=n_rows, seed=0, n_threads=1)
    trainer.fit(x[:n_rows], y[:n_rows], epochs=tabular_epochs(n_rows))
    assert np.isfinite(trainer.network.predict(x)).all()


@pytest.mark.parametrize("seed", range(3))
def test_far_values_do_not_diverge(seed):
    """Lognormal columns as they are, up to 1e4 deviations away: the clipped norm holds."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(3, 1.5, (100, 6)))
    y = 3 * x[:, 0] + x[:, 1] + rng.standard_normal(100)
    trainer = tabular(6, 1, "regression", n_rows=100, epochs=20, seed=seed)
    trainer.fit(x, (y - y.mean()) / y.std(), epochs=20)
    assert np.isfinite(trainer.network.predict(x)).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "ranking"}, "task: got 'ranking', wanted one of classification, regression"),
        ({"task": "classification"}, "n_outputs: got 1, wanted the number of classes"),
        ({"n_rows": 0}, "n_rows: got 0"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"hidden": "64"}, "hidden: got '64', wanted a sequence"),
        ({"hidden": 64}, "hidden: got 64, wanted a sequence"),
        ({"hidden": (64, 0)}, r"hidden\[1\]: got 0"),
        ({"activation": "swish"}, "activation: got 'swish'"),
        ({"optimizer": "adan"}, "optimizer: got 'adan', wanted one of adamw, adam, "),
        ({"optimizer": fb.Adam(), "learning_rate": 0.1}, "learning_rate: got one beside"),
        ({"optimizer": fb.LBFGS(), "rate_factor": 0.1}, "rate_factor: got 0.1 with LBFGS"),
        ({"learning_rate": fb.Cosine(0.1, 9), "rate_factor": 0.1}, "rate_factor: got 0.1 with a"),
        ({"rate_factor": 0}, "rate_factor: got 0"),
        ({"momentum": 0.9}, "momentum: got 0.9 without optimizer 'sgd'"),
        ({"label_smoothing": 0.1}, "label_smoothing: got 0.1 where the loss is not"),
        ({"loss": "cross_entropy"}, "cross_entropy"),
        ({"n_thread": 1}, r"options: got \['n_thread'\], wanted those of Trainer"),
    ],
    ids=str,
)
def test_errors(options, match):
    given = {"task": "regression", "n_rows": 40, **options}
    with pytest.raises(errors.ConfigError, match=match):
        tabular(3, 1, given.pop("task"), **given)


def test_epochs_of_no_rows():
    with pytest.raises(errors.ConfigError, match="n_rows: got 0"):
        tabular_epochs(0)
