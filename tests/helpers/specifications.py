"""What each public callable takes: the kind of every argument, and a call that uses it.

`SPECIFICATIONS` has each callable by its dotted name, `INNER` those that a user does not call. A
callable in neither, or a parameter that its specification does not name, fails a test.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastbp as fb
from fastbp import activations, datasets, initializers, losses, metrics, models, preprocess

# Multiples of 1/4, so that every type of float holds them.
X = np.array(
    [
        [0.25, -1.5, 2.0],
        [1.0, 0.5, -0.75],
        [-2.0, 1.75, 0.25],
        [0.5, -0.25, 1.25],
        [1.5, 2.0, -1.0],
        [-0.5, 0.75, -1.75],
    ]
)
Y = np.array([0, 2, 1, 2, 0, 1])
T = X[:, :2] * [1, -1] + 0.25
SIGNS = np.where(X[:, :2] > 0, 1.0, -1.0)
SHARES = np.array([[0.25, 0.5, 0.25], [1.0, 0, 0], [0, 0.5, 0.5]] * 2)
W = np.array([1.0, 0.5, 2.0, 0.25, 0.0, 1.5])
OUTPUTS = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.75, 0.125]] * 2)

ARRAYS = ("rows", "labels", "targets", "weights", "parameter", "any rows", "any labels")

# Forms that the rows of a network may have, and where x may not.
SPARSE = ("sparse matrix", "sparse array")
DENSE = dict.fromkeys(SPARSE, "error")


@dataclasses.dataclass
class Given:
    """An argument: its kind and a clean value.

    `named` is what errors call it, `optional` whether None will do. `expects` says by form or value
    where the outcome is another than that of the kind: "same", "error" or "either".
    """

    kind: str
    clean: Any
    named: str = ""
    optional: bool = False
    expects: dict[str, str] = dataclasses.field(default_factory=dict)


def nothing() -> None:
    """The owner of a function."""


@dataclasses.dataclass
class Specification:
    """`call(owner, **arguments)` on what `make` gives, a network or a trainer, or None."""

    arguments: dict[str, Given]
    call: Callable[..., Any]
    make: Callable[[], Any] = nothing
    within: str = ""  # what comes before the name of each argument in an error

    @property
    def owned(self) -> bool:
        """Whether it is a call of something that knows how many columns there are."""
        return self.make is not nothing


def rows(clean=X, **options):
    return Given("rows", clean, **options)


def labels(clean=Y, **options):
    return Given("labels", clean, **options)


def weights(clean=W, **options):
    return Given("weights", clean, optional=True, **options)


def option(kind, clean, **options):
    return Given(kind, clean, **options)


def flag(clean=False, **options):
    return Given("flag", clean, **options)


def loss(clean="cross_entropy", **expects):
    return Given("name", clean, named="loss", expects=expects)


def net(outputs=3, activation="softmax", **options) -> fb.Network:
    layers = [fb.Dense(4, "tanh"), fb.Dense(outputs, activation)]
    return fb.Network(3, layers, **{"seed": 0, **options})


def trained(network=None, loss="cross_entropy", y=Y, **options) -> fb.Trainer:
    """A trainer with a history, a velocity, an open epoch and a random state that has moved."""
    options = {"optimizer": fb.SGD(0.1, momentum=0.5), "batch_size": 2, "seed": 1, **options}
    owner = fb.Trainer(network or net(), loss, **options)
    owner.fit(X, y)
    owner.step(X[:3], y[:3])
    return owner


def construct(kind, **arguments) -> Specification:
    return Specification(arguments, lambda _, **k: kind(**k))


def function(f, **arguments) -> Specification:
    return Specification(arguments, lambda _, **k: f(**k))


def method(make, name, **arguments) -> Specification:
    return Specification(arguments, lambda owner, **k: getattr(owner, name)(**k), make)


def assignment(make, name, given, of=lambda owner: owner) -> Specification:
    def assign(owner, value):
        setattr(of(owner), name, value)
        return getattr(of(owner), name)

    given.named = given.named or name
    return Specification({"value": given}, assign, make)


def table():
    return fb.tables.Table({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def half_square(y, t):
    return ((y - t) ** 2).sum(axis=1) / 2, y - t


def half_square_alone(y, t):
    return (y**2).sum(axis=1) / 2, y


def mapped_net() -> fb.Network:
    return net(preprocessing=preprocess.Whiten().fit(X))


def scaled_net() -> fb.Network:
    return net(preprocessing=preprocess.Standardize().fit(X))


def first_layer(owner):
    return owner.layers[0]


def residual() -> fb.Network:
    return fb.Network(3, [fb.Residual([fb.Dense(3)]), fb.Dense(1)], seed=0)


def maxout() -> fb.Network:
    return fb.Network(3, [fb.Maxout(2), fb.Gated(2), fb.Dense(1)], seed=0)


GROUP = {
    "trainable": flag(True),
    "learning_rate_factor": option("number", 0.5),
    "decay_factor": option("number", 0.5),
}
INIT = {
    "weight_init": option(
        "object", initializers.Normal(0.5), optional=True, expects={"class": "error"}
    ),
    "bias_init": option("object", initializers.Constant(0.5), optional=True),
}
RATE = {"learning_rate": option("number", 0.5)}
MONITOR = {"mode": option("name", "min", optional=True)}
MONITORED = {"monitor": option("word", "loss", optional=True), **MONITOR}
PER = {"rate": option("number", 0.5), "per": option("name", "epoch")}
EPS = {"eps": option("positive", 2.0**-20)}
BETAS = {"betas": option("object", (0.5, 0.25))}
LIMITS = {
    "clip_value": option("positive", 0.5, optional=True),
    "clip_norm": option("positive", 0.5, optional=True),
    "max_norm": option("positive", 2.0, optional=True),
}
EXAMPLES = {"x": rows(), "y": labels(), "sample_weight": weights()}
METRIC = {"sample_weight": weights(), "threshold": option("real", 0.5), "exclusive": flag()}
# A metric may be measured of outputs that are not finite: what it gives is NaN or a wrong row.
SCORES = ("nan", "inf", "minus inf", "beyond float64", "pandas, a gap")

FINITE = dict.fromkeys(SCORES, "error")


# A configuration of `train_many`.
SMALL = [{"layers": [fb.Dense(3, "softmax")], "loss": "cross_entropy", "seed": 0}]


def metric(f, y=Y, outputs=OUTPUTS, **arguments) -> Specification:
    of = labels if y.dtype.kind == "i" else (lambda clean: Given("targets", clean))
    expects = dict.fromkeys(SCORES, "either")
    given = {"y": of(y), "outputs": Given("rows", outputs, expects=expects)}
    return function(f, **given, sample_weight=weights(), **arguments)


def constructors() -> dict[str, Specification]:
    """The classes whose objects are options of others."""
    units = option("count", 2)
    found = {
        "Dense": construct(
            fb.Dense,
            units=units,
            activation=option("name", "relu"),
            dropout=option("below one", 0.5),
            **INIT,
            **GROUP,
        ),
        "Maxout": construct(fb.Maxout, units=units, pieces=option("count", 2), **INIT, **GROUP),
        "Gated": construct(fb.Gated, units=units, gate=option("name", "tanh"), **INIT, **GROUP),
        "Residual": construct(
            fb.Residual,
            layers=option("object", [fb.Dense(2)]),
            projection_init=option("object", None, optional=True),
        ),
        "SGD": construct(fb.SGD, **RATE, momentum=option("below one", 0.5), nesterov=flag(True)),
        "Adagrad": construct(fb.Adagrad, **RATE, **EPS),
        "RMSprop": construct(fb.RMSprop, **RATE, **EPS, alpha=option("below one", 0.5)),
        "Adam": construct(fb.Adam, **RATE, **EPS, **BETAS),
        "AdamW": construct(
            fb.AdamW, **RATE, **EPS, **BETAS, weight_decay=option("number", 0.5), decay_bias=flag()
        ),
        "LBFGS": construct(
            fb.LBFGS,
            tol=option("number", 0.5),
            history_size=option("count", 2),
            max_evaluations=option("count", 2),
        ),
        "Step": construct(fb.Step, **PER, every=option("count", 2), factor=option("number", 0.5)),
        "Exponential": construct(fb.Exponential, **PER, factor=option("number", 0.5)),
        "InverseTime": construct(
            fb.InverseTime, **PER, decay=option("number", 0.5), power=option("positive", 0.5)
        ),
        "Polynomial": construct(
            fb.Polynomial,
            **PER,
            total=option("count", 2),
            power=option("positive", 0.5),
            end=option("number", 0.25),
        ),
        "LogCosine": construct(
            fb.LogCosine, **PER, total=option("count", 2), cycles=option("count", 2)
        ),
        "Cosine": construct(fb.Cosine, **PER, total=option("count", 2), end=option("number", 0.25)),
        "Warmup": construct(fb.Warmup, after=option("number", 0.5), total=option("count", 2)),
        "ReduceOnPlateau": construct(
            fb.ReduceOnPlateau,
            rate=option("number", 0.5),
            factor=option("below one", 0.5),
            patience=option("whole", 2),
            threshold=option("below one", 0.5),
            min_rate=option("number", 0.5),
            cooldown=option("whole", 2),
            min_delta=option("number", 0.5),
            **MONITORED,
        ),
        "EarlyStopping": construct(
            fb.EarlyStopping,
            patience=option("whole", 2),
            min_delta=option("number", 0.5),
            restore_best=flag(),
            baseline=option("real", -0.5, optional=True),
            **MONITORED,
        ),
        "NoImprovement": construct(
            fb.NoImprovement,
            patience=option("whole", 2),
            tol=option("number", 0.5),
            factor=option("share", 0.5, optional=True),
            min_rate=option("number", 0.5),
            **MONITORED,
        ),
        "TargetLoss": construct(fb.TargetLoss, value=option("real", -0.5), **MONITORED),
        "TimeLimit": construct(fb.TimeLimit, seconds=option("positive", 0.5)),
        "Average": construct(
            fb.Average,
            decay=option("below one", 0.5),
            warmup=flag(True),
            name=option("word", "mean"),
        ),
        "GradientNorm": construct(fb.GradientNorm, bound=option("positive", 0.5)),
        "Checkpoint": construct(
            fb.Checkpoint,
            path=option("path", "file"),
            every=option("count", 2),
            best=option("word", "loss", optional=True),
            **MONITOR,
        ),
        "activations.LeakyReLU": construct(activations.LeakyReLU, slope=option("below one", 0.5)),
        "activations.ELU": construct(activations.ELU, alpha=option("number", 0.5)),
        "losses.Huber": construct(losses.Huber, delta=option("positive", 0.5)),
        "losses.Quantile": construct(losses.Quantile, q=option("share", 0.5)),
        "losses.CrossEntropy": construct(
            losses.CrossEntropy, label_smoothing=option("below one", 0.5)
        ),
        "losses.Hinge": construct(losses.Hinge, margin=option("positive", 0.5)),
        "losses.MulticlassHinge": construct(losses.MulticlassHinge, margin=option("positive", 0.5)),
        "losses.CustomLoss": construct(losses.CustomLoss, function=option("object", half_square)),
        "initializers.Constant": construct(initializers.Constant, value=option("real", -0.5)),
        "initializers.Normal": construct(initializers.Normal, scale=option("number", 1.0)),
        "initializers.Uniform": construct(initializers.Uniform, scale=option("number", 1.0)),
        "initializers.Orthogonal": construct(initializers.Orthogonal, gain=option("positive", 1.0)),
        "preprocess.Standardize": construct(
            preprocess.Standardize,
            shared=flag(True),
            farthest=option("positive", 2.0, optional=True),
        ),
        "preprocess.MinMax": construct(
            preprocess.MinMax, low=option("real", -2.0), high=option("real", 2.0)
        ),
        "preprocess.PCA": construct(preprocess.PCA, n_components=option("count", 2, optional=True)),
        "preprocess.Whiten": construct(
            preprocess.Whiten,
            n_components=option("count", 2, optional=True),
            zca=flag(True),
            epsilon=option("number", 0.5),
        ),
    }
    empty = [
        losses.Loss,
        losses.SquaredError,
        losses.MSE,
        losses.MAE,
        losses.Poisson,
        losses.BinaryCrossEntropy,
        losses.Perceptron,
        preprocess.Center,
        models.NoMistakes,
        fb.History,
        initializers.Zeros,
        *(
            getattr(initializers, f"{a}{b}")
            for a in ("Glorot", "He", "LeCun")
            for b in ("Normal", "Uniform")
        ),
    ]
    for kind in empty:
        module = kind.__module__.removeprefix("fastbp.")
        prefix = "" if kind is fb.History else f"{module}."
        found[f"{prefix}{kind.__name__}"] = construct(kind)
    return found


def calls() -> dict[str, Specification]:
    """Functions, and methods of networks, trainers and maps."""
    x, y, sample_weight = rows(), labels(), weights()
    one = {
        "x": rows(
            X[0],
            expects={"one axis": "either", "three axes": "either", "no rows": "error"} | DENSE,
        ),
        "y": Given(
            "labels", np.array(2), expects={"no axes": "same", "one row backwards": "either"}
        ),
    }
    fit = {
        "epochs": option("count", 1),
        "progress": flag(),
        "callbacks": option("object", (), expects={"empty": "either"}),
        "validation_split": option("share", 0.5, optional=True),
    }
    fit = {**fit, "validation_split": option("share", None, optional=True)}
    fits = {
        kind.__name__: kind
        for kind in (
            preprocess.Center,
            preprocess.Standardize,
            preprocess.MinMax,
            preprocess.PCA,
            preprocess.Whiten,
        )
    }
    found = {
        "Network": construct(
            fb.Network,
            n_inputs=option("count", 3),
            layers=option("object", [fb.Dense(2)]),
            dtype=option("dtype", "float64"),
            seed=option("seed", 2),
            preprocessing=option("object", preprocess.Center().fit(X), optional=True),
            keep_weights=flag(),
        ),
        "Network.predict": method(net, "predict", x=x),
        "Network.predict_classes": method(net, "predict_classes", x=x),
        "Network.activations": method(net, "activations", x=x),
        "Network.gradients": method(
            net, "gradients", x=x, y=y, loss=loss(), inputs=flag(True), sample_weight=sample_weight
        ),
        "Network.gradients_from": method(
            net, "gradients_from", x=x, dL_dy=Given("parameter", OUTPUTS), inputs=flag(True)
        ),
        "Network.jacobian": method(net, "jacobian", x=x),
        "Network.vjp": method(net, "vjp", x=x, v=Given("parameter", OUTPUTS)),
        "Network.jvp": method(net, "jvp", x=x, u=Given("parameter", X)),
        "Network.trace": method(net, "trace", x=one["x"], y=one["y"], loss=loss()),
        "Network.copy": method(net, "copy", dtype=option("dtype", "float32", optional=True)),
        "Network.fold": method(scaled_net, "fold"),
        "Network.lerp": method(
            net, "lerp", other=option("object", net(seed=1)), tau=option("number", 0.5)
        ),
        "Network.save": method(net, "save", path=option("path", "net.safetensors")),
        "Network.to_onnx": method(
            net,
            "to_onnx",
            path=option("path", "net.onnx"),
            input_dtype=option("dtype", "float32", optional=True),
        ),
        # Odd ones: tests/formats/test_torch_modules.py and test_sklearn_estimators.py.
        "Network.to_torch": method(net, "to_torch"),
        "Network.to_sklearn": method(net, "to_sklearn"),
        "from_onnx": function(fb.from_onnx, path=option("path", "no such file")),
        "from_torch": function(fb.from_torch, module=option("function", None)),
        "from_sklearn": function(fb.from_sklearn, estimator=option("function", None)),
        "Network.summary": method(net, "summary"),
        "Network.parameters": assignment(
            net, "parameters", Given("parameter", net().parameters * 1.0)
        ),
        "Network.classes": assignment(
            net, "classes", option("object", ["a", "b", "c"], optional=True)
        ),
        "Network.columns": assignment(
            net, "columns", option("object", ["a", "b", "c"], optional=True)
        ),
        "Network.preprocessing": assignment(
            net, "preprocessing", option("object", preprocess.Center().fit(X), optional=True)
        ),
        "load": function(fb.load, path=option("path", "no such file")),
        "Trainer": construct(
            fb.Trainer,
            network=option("object", net()),
            loss=loss(),
            optimizer=option("object", fb.SGD(0.5), optional=True),
            batch_size=option("count", 2, optional=True),
            accumulate=option("count", 2),
            l2=option("number", 0.5),
            shuffle=flag(),
            seed=option("seed", 2),
            n_threads=option("count", 2, optional=True),
            l1=option("number", 0.5),
            penalize_bias=flag(True),
            **LIMITS,
            class_weight=option("object", {0: 2.0}, optional=True, expects={"dict": "either"}),
            average=option("name", "rows"),
            metrics=option("object", ["f1"], expects={"empty": "either"}),
        ),
        "Trainer.fit": method(
            trained,
            "fit",
            x=x,
            y=labels(expects={"None": "error"}),
            **fit,
            sample_weight=sample_weight,
            validation_data=option("object", (X, Y), optional=True, named="validation"),
        ),
        "Trainer.step": method(trained, "step", **EXAMPLES),
        "Trainer.apply_gradients": method(
            trained, "apply_gradients", gradients=Given("parameter", net().parameters / 2)
        ),
        "Trainer.evaluate": method(trained, "evaluate", **EXAMPLES),
        "Trainer.end_epoch": method(
            trained,
            "end_epoch",
            callbacks=option("object", (), expects={"empty": "either"}),
            validation_data=option("object", (X, Y), optional=True, named="validation"),
        ),
        "Trainer.stop": method(trained, "stop", reason=option("word", "enough")),
        "Trainer.save": method(trained, "save", path=option("path", "run.safetensors")),
        "Trainer.load": function(
            fb.Trainer.load,
            path=option("path", "no such file"),
            loss=option("function", None),
            learning_rate=option("function", None),
            metrics=option("function", None),
        ),
        "History.append": Specification(
            {"loss": option("value", 0.5)}, lambda owner, **k: owner.history.append(**k), trained
        ),
        "History.record": Specification(
            {"name": option("word", "mine"), "value": option("value", 0.5)},
            lambda owner, **k: owner.history.record(**k),
            trained,
        ),
        "History.to_csv": Specification(
            {"path": option("path", "history.csv")},
            lambda owner, **k: owner.history.to_csv(**k),
            trained,
        ),
        "History.plot": Specification({}, lambda owner: owner.history.plot() and None, trained),
        "Average.reset": function(fb.Average(0.5).reset),
        "EarlyStopping.reset": function(fb.EarlyStopping(2).reset),
        "gradient_check": function(
            fb.gradient_check,
            network=option("object", fb.Network(3, [fb.Dense(3, "softmax")], seed=0)),
            x=x,
            y=y,
            loss=loss(),
            l2=option("number", 0.5),
            eps=option("positive", 2.0**-20),
            tolerance=option("positive", 0.5),
            l1=option("number", 0.5),
            penalize_bias=flag(True),
            sample_weight=sample_weight,
        ),
        "train_many": Specification(
            {
                "configs": option("object", SMALL),
                "x": rows(),
                "y": labels(),
                **fit,
                "sample_weight": weights(),
                "validation_data": option("object", (X, Y), optional=True, named="validation"),
                "build": option("function", None),
                "folds": option("object", None, optional=True),
                "n_jobs": option("count", 2, optional=True),
                "on_error": option("name", "record"),
            },
            lambda _, **k: fb.train_many(**k)[0].network.parameters,
        ),
        "check_loss": function(
            fb.check_loss,
            function=option("object", half_square_alone),
            outputs=Given("targets", T),
            targets=Given("any rows", T * 2, expects={"masked": "error", "pandas, a gap": "error"}),
            eps=option("positive", 2.0**-20),
            tolerance=option("positive", 0.5),
        ),
        "set_num_threads": Specification(
            {"n": option("count", 2, named="n_threads", optional=True)},
            lambda _, n: (fb.set_num_threads(n), fb.set_num_threads(None)),
        ),
        "get_include": function(fb.get_include),
        "get_num_threads": function(fb.get_num_threads),
        "show_config": function(fb.show_config),
        "one_hot": function(
            fb.one_hot,
            labels=labels(),
            n_classes=option("count", 3, optional=True),
            dtype=option("dtype", "float64"),
        ),
        "labels": function(fb.labels, rows=rows()),
        "preprocess.polynomial_features": function(
            preprocess.polynomial_features, x=rows(expects=DENSE), degree=option("count", 2)
        ),
        "preprocess.Affine": construct(
            preprocess.Affine, mean=Given("parameter", X[0]), matrix=Given("parameter", X[:3])
        ),
        "preprocess.Affine.transform": method(lambda: preprocess.PCA().fit(X), "transform", x=x),
        "preprocess.Affine.fold_into_outputs": Specification(
            {"network": option("object", net(2, "linear"))},
            lambda _, network: preprocess.Center().fit(T).fold_into_outputs(network),
        ),
        **{
            f"formats.{name}": function(
                getattr(fb.formats, name),
                net=option("object", net()),
                name=option("word", "pendulum"),
                gradients=flag(True),
                real=option("name", "double", optional=True),
            )
            for name in fb.formats.__all__
        },
        **{
            f"preprocess.{name}.fit": Specification(
                {"x": rows(expects=DENSE)}, lambda owner, x, kind=kind: kind().fit(x)
            )
            for name, kind in fits.items()
        },
        "datasets.train_test_split": function(
            datasets.train_test_split,
            x=Given("any rows", X, expects=dict.fromkeys(SPARSE, "either")),
            y=Given("any labels", Y),
            test_fraction=option("share", 0.5),
            seed=option("seed", 2),
            stratify=Given("any labels", Y % 2, optional=True, expects=FINITE),
        ),
        "datasets.load_digits": function(datasets.load_digits),
        "datasets.read_idx": function(datasets.read_idx, path=option("path", "no such file")),
        "datasets.load_npz": function(datasets.load_npz, path=option("path", "no such file")),
        "datasets.load_csv": function(
            datasets.load_csv,
            path=option("path", "no such file"),
            target=option("function", None),
            task=option("function", None),
        ),
        "tables.Table": function(
            fb.tables.Table, frame=option("frame", {"a": [1, 2, 3]}), name=option("word", "mine")
        ),
        "tables.Table.read": function(
            fb.tables.Table.read,
            path=option("path", "no such file"),
            separator=option("word", None, optional=True),
            decimal=option("name", None, optional=True),
            encoding=option("name", None, optional=True),
            header=option("flag", None, optional=True),
            missing=option("list of words", ()),
            comment=option("word", None, optional=True),
            column=option("word", None, optional=True),
        ),
        "tables.Table.take": method(
            table, "take", rows=option("object", [2, 0], expects={"empty": "either"})
        ),
        "tables.Table.place": method(table, "place", row=option("whole", 2)),
        "datasets.load_mnist": function(
            datasets.load_mnist, folder=option("path", "no such folder")
        ),
        "metrics.accuracy": metric(metrics.accuracy, **only(METRIC, "threshold", "exclusive")),
        "metrics.binary_accuracy": metric(metrics.binary_accuracy, **only(METRIC, "threshold")),
        "metrics.top_k": metric(metrics.top_k, k=option("count", 2), exclusive=flag()),
        **{
            f"metrics.{f.__name__}": metric(
                f,
                average=option("name", "macro", optional=True),
                **only(METRIC, "threshold", "exclusive"),
            )
            for f in (metrics.precision, metrics.recall, metrics.f1)
        },
        "metrics.auc": metric(metrics.auc, exclusive=flag()),
        "metrics.log_loss": metric(metrics.log_loss, exclusive=flag()),
        **{
            f"metrics.{f.__name__}": metric(f, T, T[::-1].copy())
            for f in (metrics.mse, metrics.rmse, metrics.mae, metrics.r2)
        },
        "metrics.confusion": metric(metrics.confusion, **only(METRIC, "threshold", "exclusive")),
    }
    for name in (
        "accumulate",
        "batch_size",
        "shuffle",
        "n_threads",
        "average",
        "metrics",
        "l1",
        "l2",
        "penalize_bias",
        "clip_value",
        "clip_norm",
        "max_norm",
        "class_weight",
        "optimizer",
    ):
        given = dataclasses.replace(found["Trainer"].arguments[name])
        found[f"Trainer.{name}"] = assignment(trained, name, given)
    for kind, make, layer in (
        ("Dense", net, first_layer),
        ("Maxout", maxout, first_layer),
        ("Gated", maxout, lambda owner: owner.layers[1]),
    ):
        for name, given in GROUP.items():
            found[f"{kind}.{name}"] = assignment(make, name, dataclasses.replace(given), layer)
        for name in ("weight", "bias"):
            clean = np.array(getattr(layer(make()), name), np.float64).round(2)
            found[f"{kind}.{name}"] = assignment(make, name, Given("parameter", clean), layer)
    found["Residual.trainable"] = assignment(residual, "trainable", flag(True), first_layer)
    for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW"):
        kind = getattr(fb, name)
        found[f"{name}.learning_rate"] = Specification(
            {"value": option("number", 0.5, named="learning_rate")},
            lambda _, value, kind=kind: setattr(kind(), "learning_rate", value),
        )
    found["tables.report"] = construct(
        fb.tables.report,  # what it takes: tests/tables/test_report.py
        model=option("object", None),
        train=option("table", None),
        test=option("table", None),
        command=option("text", None, optional=True),
    )
    found |= of_table_models()
    found["models.tabular_epochs"] = construct(models.tabular_epochs, n_rows=option("count", 2))
    tabular = {name: option("count", 2, optional=True) for name in ("epochs", "batch_size")}
    tabular |= {name: option("number", 0.5, optional=True) for name in ("learning_rate", "l2")}
    tabular |= {name: option("count", 2) for name in ("n_inputs", "n_outputs", "n_rows")}

    def both(_, loss, label_smoothing, **arguments):  # which exclude each other
        models.tabular(**arguments, label_smoothing=label_smoothing)
        return models.tabular(**arguments, loss=loss)

    tabular |= dict(
        task=option("name", "classification"),
        hidden=option("object", [2], optional=True, expects={"empty": "either"}),
        activation=option("name", "tanh", optional=True),
        dropout=option("below one", 0.5, optional=True),
        loss=option("name", "cross_entropy", optional=True),
        label_smoothing=option("below one", 0.5, optional=True),
        optimizer=option("name", "sgd", optional=True),
        rate_factor=option("positive", 0.5),
        momentum=option("below one", 0.5, optional=True),
        clip_norm=option("positive", 0.5, optional=True),
        dtype=option("dtype", "float64"),
        preprocessing=option("object", preprocess.Center().fit(X[:, :2]), optional=True),
        seed=option("seed", 2),
    )
    found["models.tabular"] = Specification(tabular, both)
    for name in (
        "linear_regression",
        "logistic_regression",
        "softmax_regression",
        "multiclass_svm",
        "perceptron",
    ):
        f = getattr(models, name)
        arguments = {
            p: option("count", 2) for p in inspect.signature(f).parameters if p != "options"
        }
        found[f"models.{name}"] = Specification(arguments, lambda _, f=f, **k: f(**k, seed=0))
    return found


def tables_calls() -> dict[str, Specification]:
    """Columns and targets of tables, as JSON describes what becomes of them."""
    frame = {"a": [1.5, 2.0, 4.0], "b": ["x", "y", "z"], "c": ["u", "v", "u"]}
    table = Given("frame", frame, named="frame", expects={"dict": "either", "empty": "either"})
    cells = option("column", ["u", "v", "u"], named="series")
    numbers = option("column", [1.5, 2.0, 4.0], named="series")

    def fitted():
        return fb.tables.Columns().fit(frame)

    def of(make, name, **arguments):
        return Specification(arguments, lambda _, **k: getattr(make(), name)(**k))

    def options(_, **k):
        return vars(fb.tables.Columns(**k))

    def fit(_, table, target, decimal):
        return fb.tables.Columns().fit(table, target, decimal).to_json()

    def classes():
        return fb.tables.Target().fit(["u", "v", "u"])

    def quantity():
        return fb.tables.Target().fit([1.5, 2.0, 4.0])

    names = option("names", ["a"])
    return {
        "tables.Columns": Specification(
            dict.fromkeys(("drop", "categorical"), names)
            | {"features": option("names", ["a"], optional=True)}
            | {"numeric": option("names", ["b"]), "dates": option("names", ["c"])}
            | {"scale": option("name", "robust"), "most_levels": option("count", 2)},
            options,
        ),
        "tables.Columns.fit": Specification(
            {
                "table": table,
                "target": option("name", "c", optional=True),
                "decimal": option("name", ".", optional=True),
            },
            fit,
        ),
        "tables.Columns.transform": of(fitted, "transform", table=table, strict=flag()),
        "tables.Columns.summary": of(fitted, "summary", width=option("count", 20)),
        "tables.Columns.to_json": of(fitted, "to_json"),
        "tables.Columns.tensors": of(fitted, "tensors"),
        "tables.Columns.from_json": of(
            lambda: fb.tables.Columns,
            "from_json",
            described=option("described", None),
            tensors=option("described", {}),
        ),
        "tables.Decision": Specification(
            {name: option("text", "x") for name in ("name", "kind", "detail")},
            lambda _, **k: fb.tables.Decision(**k),
        ),
        "tables.Target": construct(
            fb.tables.Target,
            task=option("name", "regression", optional=True),
            decimal=option("name", ","),
        ),
        "tables.Target.fit": of(fb.tables.Target, "fit", series=cells),
        "tables.Target.rows": of(fb.tables.Target, "rows", series=cells),
        "tables.Target.known": of(classes, "known", series=cells),
        "tables.Target.transform": of(classes, "transform", series=cells),
        "tables.Target.values": of(quantity, "values", series=numbers),
        "tables.Target.labels": of(classes, "labels", codes=option("column", [0, 1])),
        "tables.Target.in_units": of(
            quantity,
            "in_units",
            outputs=option(
                "column", [0.5], expects=dict.fromkeys(("nan", "number", "true"), "either")
            ),
        ),
        "tables.Target.to_json": of(classes, "to_json"),
        "tables.Target.from_json": of(
            lambda: fb.tables.Target, "from_json", described=option("described", None)
        ),
    }


def more() -> dict[str, Specification]:
    """Callables by other ways: other losses and targets, maps, batches, validation data."""
    signs = lambda: trained(net(2, "linear"), "hinge", SIGNS)  # noqa: E731
    real = lambda: trained(net(2, "linear"), "mse", T)  # noqa: E731
    soft = lambda: trained(y=SHARES)  # noqa: E731
    return {
        "Network.predict, scaled": method(scaled_net, "predict", x=rows()),
        "Network.predict, whitened": method(mapped_net, "predict", x=rows()),
        "Network.gradients, float64": method(
            lambda: net(dtype="float64"), "gradients", **EXAMPLES, loss=loss()
        ),
        "Trainer.step, targets": method(
            real, "step", x=rows(), y=Given("targets", T), sample_weight=weights()
        ),
        "Trainer.step, signs": method(
            signs,
            "step",
            x=rows(),
            y=Given("targets", SIGNS, expects={"minus zero": "error"}),
            sample_weight=weights(),
        ),
        "Trainer.evaluate, shares": method(
            soft, "evaluate", x=rows(), y=Given("targets", SHARES), sample_weight=weights()
        ),
        "Trainer.evaluate, whitened": method(lambda: trained(mapped_net()), "evaluate", **EXAMPLES),
        "Trainer.fit, validation": Specification(
            dict(EXAMPLES),
            lambda owner, x, y, sample_weight: owner.fit(
                X, Y, validation_data=(x, y, sample_weight)
            ),
            trained,
            "validation ",
        ),
        "Trainer.end_epoch, validation": Specification(
            {"x": rows(), "y": labels()},
            lambda owner, x, y: owner.end_epoch((x, y)),
            trained,
            "validation ",
        ),
        "Trainer.fit, batches": Specification(
            dict(EXAMPLES),
            lambda owner, x, y, sample_weight: owner.fit([(x, y, sample_weight)]),
            trained,
            "batch 0: ",
        ),
        "Trainer.fit, held out": Specification(
            dict(EXAMPLES), lambda owner, **k: owner.fit(**k, validation_split=0.5), trained
        ),
        "Trainer.fit, custom loss": Specification(
            {"x": rows(), "y": Given("targets", T)},
            lambda owner, **k: owner.fit(**k),
            lambda: trained(net(2, "linear"), half_square, T),
        ),
        "Affine, diagonal": construct(
            preprocess.Affine, mean=Given("parameter", X[0]), matrix=Given("parameter", X[1])
        ),
        "transform, diagonal": method(lambda: preprocess.MinMax().fit(X), "transform", x=rows()),
        "labels, one output": function(
            fb.labels, rows=rows(np.abs(X[:, :1]) / 4, expects={"one axis": "same"})
        ),
        "one_hot alone": function(fb.one_hot, labels=labels()),
    }


def of_table_models() -> dict[str, Specification]:
    """What `TableModel` takes; tables are read in tests/tables."""
    kind = fb.tables.TableModel
    rows = {"a": [1.0, 2.0, 3.0, 4.0] * 5, "b": ["x", "x", "y", "y"] * 5}

    def fitted() -> fb.tables.TableModel:
        return kind("b", epochs=1, hidden=[2]).fit(rows)

    table = option("table", rows)
    found = {
        "": construct(
            kind,
            target=option("table", "b"),
            task=option("name", "classification", optional=True),
            columns=option("table", None),
            ensemble=option("count", 2),
            seed=Given("seed", 2, expects={"none": "error"}),
            validation_fraction=option("share", 0.5),
            epochs=option("count", 2, optional=True),
            patience=option("whole", 2, optional=True),
            n_threads=option("count", 2, optional=True),
        ),
        ".fit": method(
            lambda: kind("b", epochs=1, hidden=[2]),
            "fit",
            train=table,
            validation=option("table", None),
            progress=flag(),
            callbacks=option("table", ()),
            checkpoint=option("path", "run.safetensors", optional=True),
            resume=option("table", None),
        ),
        ".stop": method(fitted, "stop", reason=option("word", "enough")),
        ".outputs": method(fitted, "outputs", x=option("table", np.zeros((2, 1), np.float32))),
        ".summary": method(fitted, "summary", width=option("count", 80)),
        ".evaluate": method(fitted, "evaluate", table=table, strict=flag(True)),
        ".save": method(fitted, "save", path=option("path", "model.safetensors")),
        ".load": function(kind.load, path=option("path", "no such file")),
    }
    for name in ("predict", "predict_proba", "truth"):
        found[f".{name}"] = method(fitted, name, table=table)
    return {f"tables.TableModel{name}": made for name, made in found.items()}


def only(arguments: dict[str, Given], *names: str) -> dict[str, Given]:
    return {name: arguments[name] for name in names}


# Callables that the library calls with arguments it has checked, or that have none to check: the
# protocols of callbacks, schedules, optimizers, losses and initializers, and functions that modules
# of the package share.
INNER = {
    "activations.parameter_of",
    "activations.resolve",
    "initializers.default_weight",
    "initializers.fill",
    "losses.count_correct",
    "losses.mean",
    "losses.resolve",
    "losses.total_weight",
    "losses.weighted_sum",
    "metrics.Metric",
    "metrics.Metric.measure",
    "metrics.Metric.require",
    "metrics.direction",
    "metrics.resolve",
    "datasets.Table",
}
INNER_METHODS = {
    "learning_rates",
    "require",
    "watch",
    "progress",  # of optimizers and schedules
    "__call__",
    "of",  # of schedules and initializers
    "on",
    "measure",  # of losses
    "resume_state",  # of callbacks
}


def is_inner(name: str) -> bool:
    last = name.rpartition(".")[2]
    return name in INNER or last in INNER_METHODS or last.startswith("on_")


def public_callables() -> Iterator[tuple[str, Any]]:
    """Every callable of `fastbp.__all__`, of the modules in it, and of their classes, by name."""
    for name in fb.__all__:
        value = getattr(fb, name)
        if isinstance(value, types.ModuleType):
            for inner in value.__all__:
                found = getattr(value, inner)
                if getattr(fb, inner, None) is not found:
                    yield from _with_methods(f"{name}.{inner}", found)
        else:
            yield from _with_methods(name, value)


def _with_methods(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType) or (
        callable(value) and type(value).__name__ == "cython_function_or_method"
    ):
        yield name, value
    if not isinstance(value, type) or issubclass(value, Exception):
        return
    yield name, value
    for member in dir(value):
        if member.startswith("_") and member != "__call__":
            continue
        found = inspect.getattr_static(value, member)
        ours = getattr(value, member)
        if isinstance(found, property):
            if found.fset is not None:
                yield f"{name}.{member}", found
        elif callable(ours) and str(getattr(ours, "__module__", "")).startswith("fastbp"):
            owner = next(k for k in value.__mro__ if member in vars(k))
            inherited = owner is not value and owner.__name__ in ("Affine",)
            yield (f"preprocess.Affine.{member}" if inherited else f"{name}.{member}"), ours


def parameters_of(value: Any) -> set[str]:
    """The names of the parameters of a callable, of a property its value."""
    if isinstance(value, property):
        return {"value"}
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(value).parameters.values()
    return {p.name for p in found if p.kind not in variable and p.name not in ("self", "_")}


SPECIFICATIONS = {**constructors(), **calls(), **tables_calls()}
MORE = more()
