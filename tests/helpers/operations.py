"""Every public callable of fastbp with a call of it, so that a new one without a call is noticed.

A call gets a `World`: a trainer in the middle of its work, rows, a folder. Functions and the makers
of classes are called by their names; methods by their names on what the maker made, or by class
and name where that differs. Properties are read, and assigned what they have.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from gate_networks import STACKS
from idx import idx
from training import classes, trainer

import fastbp as fb

ROWS = 150  # so many that a pass over them does not fit on the stack


def own_loss(outputs, targets):
    """Half the sum of squares."""
    error = outputs - (np.eye(outputs.shape[1])[targets] if targets.ndim == 1 else targets)
    return (error**2).sum(axis=1) / 2, error


class World:
    """What calls are made on; its trainer remembers a velocity, a history and an open epoch."""

    def __init__(self, folder: Path, make: Callable[[], fb.Trainer] = trainer) -> None:
        self.folder = folder
        self.x, self.y = classes(ROWS)
        self.trainer = make()
        self.net = self.trainer.network
        self.trainer.fit(self.x[:48], self.y[:48])
        self.trainer.step(self.x[:20], self.y[:20])
        self.weights = np.random.default_rng(3).uniform(0, 2, ROWS)
        self.other = self.net.copy()
        self.other.parameters = self.other.parameters / 2
        self.numbers = np.random.default_rng(4).standard_normal((ROWS, self.net.n_outputs))


def averaged(w: World) -> fb.Average:
    """An average that has seen steps."""
    average = fb.Average(0.9)
    w.trainer.fit(w.x[:48], w.y[:48], callbacks=[average])
    return average


def digest(owner: fb.Trainer, times: bool = True) -> Any:
    """All that a checkpoint holds of a trainer, without `times` but for the seconds."""
    architecture, tensors, training = owner._packed()
    bits = {name: tensor.tobytes() for name, tensor in tensors.items()}
    if not times:
        bits.pop("history.seconds", None)
        training["state"]["open_epoch"] = {**training["state"]["open_epoch"], "seconds": 0}
    return repr((architecture, training)), bits


def needs_missing_library(name: str) -> bool:
    """Whether a callable reads tables, and the libraries that do so are not installed."""
    libraries = map(find_spec, ("pandas", "pyarrow"))
    return name.startswith(("tables.", "datasets.load_csv")) and not all(libraries)


def public(owner: Any = fb, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and objects of all that is public in a module: functions and classes but errors."""
    for name in owner.__all__:
        value = getattr(owner, name)
        if isinstance(value, ModuleType):
            yield from public(value, f"{prefix}{name}.")
        elif inspect.isroutine(value) or (
            isinstance(value, type) and not issubclass(value, BaseException)
        ):
            yield prefix + name, value


def members(kind: type) -> Iterator[tuple[str, bool]]:
    """Public methods and properties of a class, and whether each is a property."""
    for name in dir(kind):
        value = inspect.getattr_static(kind, name)
        inherited = any(value is base.__dict__.get(name) for base in (dict, list, tuple, object))
        if not name.startswith("_") and not inherited:
            if isinstance(value, property | cached_property):
                yield name, True
            elif inspect.isroutine(value) or isinstance(value, classmethod | staticmethod):
                yield name, False


def dense() -> list[fb.Dense]:
    return [fb.Dense(4, "tanh"), fb.Dense(3)]


def draw(w: World) -> np.random.Generator:
    return np.random.default_rng(0)


TABLE_MODEL = Path(__file__).parents[1] / "formats/golden/v1-table-prices.safetensors"
ROWS_OF_TABLE = {"a": [1.0, 2.0, 3.0, 4.0] * 5, "b": ["x", "x", "y", "y"] * 5}


@cache
def table_model() -> fb.tables.TableModel:
    return fb.tables.TableModel("b", epochs=1, hidden=[2]).fit(ROWS_OF_TABLE)


# How each class is made.
MAKERS: dict[str, Callable[[World], Any]] = {
    "SGD": lambda w: fb.SGD(fb.ReduceOnPlateau(0.1), momentum=0.9),
    "Adagrad": lambda w: fb.Adagrad(0.1),
    "Adam": lambda w: fb.Adam(0.1),
    "AdamW": lambda w: fb.AdamW(fb.Exponential(0.1, 0.9)),
    "RMSprop": lambda w: fb.RMSprop(0.1),
    "Checkpoint": lambda w: fb.Checkpoint(w.folder / "best.ckpt", best="loss"),
    "Cosine": lambda w: fb.Cosine(0.1, 10),
    "Dense": lambda w: w.net.layers[0],
    "EarlyStopping": lambda w: fb.EarlyStopping(3, monitor="loss"),
    "Exponential": lambda w: fb.Exponential(0.1, 0.9),
    "Gated": lambda w: fb.Network(3, [fb.Gated(4)], seed=0).layers[0],
    "Average": averaged,
    "GradientNorm": lambda w: fb.GradientNorm(1e-9),
    "History": lambda w: w.trainer.history,
    "InverseTime": lambda w: fb.InverseTime(0.1, 0.1),
    "LBFGS": lambda w: fb.LBFGS(1e-6),
    "tables.TableModel": lambda w: table_model(),
    "LogCosine": lambda w: fb.LogCosine(0.1, 10),
    "Maxout": lambda w: fb.Network(3, [fb.Maxout(4)], seed=0).layers[0],
    "Network": lambda w: fb.Network(5, dense(), seed=0),
    "NoImprovement": lambda w: fb.NoImprovement(3, 0.1, monitor="loss"),
    "Polynomial": lambda w: fb.Polynomial(0.1, 10),
    "ReduceOnPlateau": lambda w: fb.ReduceOnPlateau(0.1),
    "Residual": lambda w: fb.Network(3, [fb.Residual(dense()[:1])], seed=0).layers[0],
    "Step": lambda w: fb.Step(0.1, 3),
    "TargetLoss": lambda w: fb.TargetLoss(1e-9),
    "TimeLimit": lambda w: fb.TimeLimit(60),
    "Trainer": lambda w: fb.Trainer(w.other, "cross_entropy", fb.Adam(0.1), metrics=["f1"]),
    "Warmup": lambda w: fb.Warmup(fb.ReduceOnPlateau(0.1), 3),
    "activations.ELU": lambda w: fb.activations.ELU(2.0),
    "activations.LeakyReLU": lambda w: fb.activations.LeakyReLU(0.2),
    "datasets.Table": lambda w: fb.datasets.Table(w.x, w.y, (), (), "y"),
    "initializers.Constant": lambda w: fb.initializers.Constant(0.1),
    "initializers.Initializer": lambda w: fb.initializers.Zeros(),
    "initializers.Normal": lambda w: fb.initializers.Normal(0.1),
    "initializers.Uniform": lambda w: fb.initializers.Uniform(0.1),
    "losses.CrossEntropy": lambda w: fb.losses.CrossEntropy(0.1),
    "losses.CustomLoss": lambda w: fb.losses.CustomLoss(own_loss),
    "losses.Loss": lambda w: fb.losses.MSE(),
    "losses.LossFunction": lambda w: own_loss,
    "losses.TargetDomain": lambda w: None,
    "tables.Columns": lambda w: fb.tables.Columns().fit({"a": [1.5, 2.0, 4.0]}),
    "tables.Decision": lambda w: fb.tables.Decision("a", "number", "1 to 2"),
    "tables.Target": lambda w: fb.tables.Target().fit([1.5, 2.0, 4.0]),
    "metrics.Metric": lambda w: fb.metrics.resolve(["f1"])[0],
    "metrics.MetricFunction": lambda w: fb.metrics.f1,
    "models.NoMistakes": lambda w: fb.models.NoMistakes(),
    "tables.Table": lambda w: fb.tables.Table({"a": [1, 2, 3]}),
    "preprocess.Affine": lambda w: fb.preprocess.Affine(np.ones(3), np.full(3, 2.0)),
    "preprocess.Center": lambda w: fb.preprocess.Center().fit(w.numbers),
    "preprocess.MinMax": lambda w: fb.preprocess.MinMax().fit(w.numbers),
    "preprocess.PCA": lambda w: fb.preprocess.PCA(2).fit(w.numbers),
    "preprocess.Standardize": lambda w: fb.preprocess.Standardize().fit(w.numbers),
    "preprocess.Whiten": lambda w: fb.preprocess.Whiten().fit(w.numbers),
}

FUNCTIONS: dict[str, Callable[[World], Any]] = {
    "check_loss": lambda w: fb.check_loss(own_loss, w.numbers[:2], w.numbers[1:3]),
    "from_onnx": lambda w: None,  # optional libraries; tests/formats/test_onnx_reading.py
    "from_sklearn": lambda w: None,  # tests/formats/test_sklearn_estimators.py
    "from_torch": lambda w: None,  # tests/formats/test_torch_modules.py
    "get_include": lambda w: fb.get_include(),
    "get_num_threads": lambda w: fb.get_num_threads(),
    "gradient_check": lambda w: fb.gradient_check(w.net, w.x[:2], w.y[:2], "cross_entropy"),
    "labels": lambda w: fb.labels(w.numbers),
    "load": lambda w: fb.load(saved(w, "model")),
    "one_hot": lambda w: fb.one_hot(w.y),
    "set_num_threads": lambda w: fb.set_num_threads(fb.get_num_threads()),
    "show_config": lambda w: fb.show_config(),
    "train_many": lambda w: fb.train_many(
        [{"hidden": [4], "seed": 0}] * 2, w.x, w.y, folds=2, n_jobs=1, on_error="raise"
    ),
    "activations.parameter_of": lambda w: fb.activations.parameter_of(fb.activations.ELU()),
    "activations.resolve": lambda w: fb.activations.resolve("elu", 2.0),
    "datasets.load_csv": lambda w: fb.datasets.load_csv(written(w, "a.csv", b"a,b\n1,0\n2,1\n")),
    "datasets.load_digits": lambda w: fb.datasets.load_digits(),
    "datasets.load_mnist": lambda w: fb.datasets.load_mnist(mnist(w)),
    "datasets.load_npz": lambda w: fb.datasets.load_npz(arrays(w)),
    "datasets.read_idx": lambda w: fb.datasets.read_idx(written(w, "a.idx", idx(w.y.astype("u1")))),
    "datasets.train_test_split": lambda w: fb.datasets.train_test_split(w.x, w.y, seed=0),
    "initializers.default_weight": lambda w: fb.initializers.default_weight("relu"),
    "initializers.fill": lambda w: fb.initializers.fill(
        fb.initializers.HeNormal(), draw(w), np.empty((4, 3)), "weight"
    ),
    "losses.count_correct": lambda w: fb.losses.count_correct(w.numbers, w.y, w.weights),
    "losses.mean": lambda w: fb.losses.mean(1.0, 2.0),
    "losses.resolve": lambda w: fb.losses.resolve("mse", "linear", 3),
    "losses.total_weight": lambda w: fb.losses.total_weight(w.weights, ROWS),
    "losses.weighted_sum": lambda w: fb.losses.weighted_sum(w.numbers[:, 0], w.weights),
    "metrics.auc": lambda w: fb.metrics.auc(w.y == 1, w.numbers[:, 0]),
    "metrics.binary_accuracy": lambda w: fb.metrics.binary_accuracy(w.y == 1, w.numbers[:, 0]),
    "metrics.direction": lambda w: fb.metrics.direction("val_f1"),
    "metrics.log_loss": lambda w: fb.metrics.log_loss(w.y, w.net.predict(w.x)),
    "metrics.mae": lambda w: fb.metrics.mae(w.numbers, w.numbers),
    "metrics.mse": lambda w: fb.metrics.mse(w.numbers, w.numbers),
    "metrics.r2": lambda w: fb.metrics.r2(w.numbers, w.numbers),
    "formats.to_c": lambda w: fb.formats.to_c(w.net, "net", gradients=True),
    "formats.to_c_header": lambda w: fb.formats.to_c_header(w.net, "net"),
    "formats.to_fortran": lambda w: fb.formats.to_fortran(w.net, "net"),
    "metrics.resolve": lambda w: fb.metrics.resolve(["f1"]),
    "metrics.rmse": lambda w: fb.metrics.rmse(w.numbers, w.numbers),
    "metrics.top_k": lambda w: fb.metrics.top_k(w.y, w.numbers, k=2),
    "models.tabular": lambda w: fb.models.tabular(5, 3, "classification", n_rows=40),
    "models.tabular_epochs": lambda w: fb.models.tabular_epochs(40),
    "preprocess.labels": lambda w: fb.preprocess.labels(w.numbers),
    "preprocess.one_hot": lambda w: fb.preprocess.one_hot(w.y),
    "tables.report": lambda w: None,  # matplotlib; tests/tables/test_report.py
    "preprocess.polynomial_features": lambda w: fb.preprocess.polynomial_features(w.numbers, 2),
}
FUNCTIONS |= {
    f"metrics.{name}": lambda w, name=name: getattr(fb.metrics, name)(w.y, w.numbers)
    for name in ("accuracy", "confusion", "f1", "precision", "recall")
} | {
    f"models.{name}": lambda w, name=name: getattr(fb.models, name)(5, 3)
    for name in fb.models.__all__
    if name not in ("NoMistakes", "tabular", "tabular_epochs")
}

METHODS: dict[str, Callable[[Any, World], Any]] = {
    "tables.TableModel.fit": lambda o, w: None,  # Trainer.fit on the rows of columns
    "tables.TableModel.evaluate": lambda o, w: o.evaluate(ROWS_OF_TABLE),
    "tables.TableModel.load": lambda o, w: o.load(TABLE_MODEL),
    "tables.TableModel.outputs": lambda o, w: o.outputs(np.zeros((2, 1), np.float32)),
    "tables.TableModel.predict": lambda o, w: o.predict(ROWS_OF_TABLE),
    "tables.TableModel.predict_proba": lambda o, w: o.predict_proba(ROWS_OF_TABLE),
    "tables.TableModel.save": lambda o, w: o.save(w.folder / "table"),
    "tables.TableModel.stop": lambda o, w: o.stop(),
    "tables.TableModel.summary": lambda o, w: o.summary(),
    "tables.TableModel.truth": lambda o, w: o.truth(ROWS_OF_TABLE),
    "fit": lambda o, w: o.fit(w.numbers),
    "transform": lambda o, w: o.transform(w.numbers),
    "fold_into_outputs": lambda o, w: o.fold_into_outputs(linear()),
    "preprocess.PCA.fold_into_outputs": lambda o, w: refused(o.fold_into_outputs, linear()),
    "preprocess.Whiten.fold_into_outputs": lambda o, w: refused(o.fold_into_outputs, linear()),
    "learning_rates": lambda o, w: o.learning_rates(0, 3),
    "require": lambda o, w: o.require(None, True),
    "metrics.Metric.require": lambda o, w: o.require(w.y, 3, True, "softmax"),
    "watch": lambda o, w: o.watch({"loss": 1.0, "val_loss": 1.0}),
    "on": lambda o, w: o.on("sigmoid"),
    "of": lambda o, w: o.of((3, 4)),
    "measure": lambda o, w: o.measure(w.y, w.numbers, None),
    "losses.CustomLoss.measure": lambda o, w: o.measure(w.numbers, w.y),
    "on_fit_begin": lambda o, w: o.on_fit_begin(w.trainer, w.x, w.y, None),
    "on_region_end": lambda o, w: begun(o, w).on_region_end(w.trainer),
    "on_epoch_end": lambda o, w: begun(o, w).on_epoch_end(w.trainer, w.trainer.history),
    "on_epoch_recorded": lambda o, w: begun(o, w).on_epoch_recorded(w.trainer, w.trainer.history),
    "on_restore": lambda o, w: begun(o, w).on_restore(w.trainer, w.trainer.history),
    "on_checkpoint": lambda o, w: ended(o, w).on_checkpoint(w.trainer, w.trainer.history),
    "on_fit_end": lambda o, w: ended(o, w).on_fit_end(w.trainer, w.trainer.history),
    "reset": lambda o, w: o.reset(),
    "tables.Table.read": lambda o, w: o.read(written(w, "a.csv", b"a,b\n1,0\n2,1\n")),
    "tables.Table.take": lambda o, w: o.take([0, 2]),
    "tables.Table.place": lambda o, w: o.place(1),
    "History.append": lambda o, w: o.append(loss=1.0),
    "History.record": lambda o, w: o.record("mine", 1.0),
    "History.to_csv": lambda o, w: o.to_csv(w.folder / "history.csv"),
    "History.plot": lambda o, w: None,  # matplotlib; tests/api/test_plot.py
    "tables.Columns.fit": lambda o, w: fb.tables.Columns().fit({"a": [1.5, 2.0, 4.0]}),
    "tables.Columns.from_json": lambda o, w: o.from_json(o.to_json(), o.tensors()),
    "tables.Columns.summary": lambda o, w: o.summary(),
    "tables.Columns.tensors": lambda o, w: o.tensors(),
    "tables.Columns.to_json": lambda o, w: o.to_json(),
    "tables.Columns.transform": lambda o, w: o.transform({"a": [1.5]}),
    "tables.Target.fit": lambda o, w: fb.tables.Target().fit(["u", "v", "u"]),
    "tables.Target.from_json": lambda o, w: o.from_json(o.to_json()),
    "tables.Target.in_units": lambda o, w: o.in_units([0.5]),
    "tables.Target.known": lambda o, w: o.known([1.5]),
    "tables.Target.labels": lambda o, w: fb.tables.Target().fit(["u", "v"]).labels([0]),
    "tables.Target.rows": lambda o, w: o.rows([1.5]),
    "tables.Target.to_json": lambda o, w: o.to_json(),
    "tables.Target.transform": lambda o, w: o.transform([1.5]),
    "tables.Target.values": lambda o, w: o.values([1.5]),
    "Network.activations": lambda o, w: w.net.activations(w.x),
    "Network.copy": lambda o, w: w.net.copy("float64"),
    "Network.fold": lambda o, w: w.net.fold(),
    "Network.gradients": lambda o, w: w.net.gradients(w.x, w.y, "cross_entropy", True, w.weights),
    "Network.gradients_from": lambda o, w: w.net.gradients_from(w.x, w.numbers, True),
    "Network.jacobian": lambda o, w: w.net.jacobian(w.x),
    "Network.jvp": lambda o, w: w.net.jvp(w.x, w.x),
    "Network.vjp": lambda o, w: w.net.vjp(w.x, w.numbers),
    "Network.lerp": lambda o, w: w.net.lerp(w.other, 0.25),
    "Network.predict": lambda o, w: w.net.predict(w.x),
    "Network.predict_classes": lambda o, w: w.net.predict_classes(w.x),
    "Network.save": lambda o, w: w.net.save(w.folder / "model"),
    "Network.summary": lambda o, w: w.net.summary(),
    "Network.to_onnx": lambda o, w: None,  # tests/formats/test_onnx_writing.py
    "Network.to_sklearn": lambda o, w: None,  # tests/formats/test_sklearn_estimators.py
    "Network.to_torch": lambda o, w: None,  # tests/formats/test_torch_modules.py
    "Network.trace": lambda o, w: w.net.trace(w.x[0], w.y[0], "cross_entropy"),
    "Trainer.fit": lambda o, w: w.trainer.fit(w.x, w.y),
    "Trainer.step": lambda o, w: w.trainer.step(w.x, w.y, w.weights),
    "Trainer.apply_gradients": lambda o, w: w.trainer.apply_gradients(w.net.parameters),
    "Trainer.end_epoch": lambda o, w: w.trainer.end_epoch((w.x, w.y), [fb.EarlyStopping(3)]),
    "Trainer.stop": lambda o, w: w.trainer.stop(),
    "Trainer.evaluate": lambda o, w: w.trainer.evaluate(w.x, w.y, w.weights),
    "Trainer.save": lambda o, w: w.trainer.save(w.folder / "checkpoint"),
    "Trainer.load": lambda o, w: fb.Trainer.load(saved(w, "checkpoint")),
}

# What Python does with objects by itself.
PROTOCOLS: dict[str, Callable[[World], Any]] = {
    "pickle of a network": lambda w: pickle.loads(pickle.dumps(w.net)),
    "pickle of a trainer": lambda w: pickle.loads(pickle.dumps(w.trainer)),
    "copy of a network": lambda w: copy.copy(w.net),
    "deepcopy of a network": lambda w: copy.deepcopy(w.net),
    "deepcopy of a trainer": lambda w: copy.deepcopy(w.trainer),
    "repr of a trainer": lambda w: repr(w.trainer),
    "Network with keep_weights": lambda w: fb.Network(5, w.net.layers, keep_weights=True),
    "Network of gates": lambda w: fb.Network(5, STACKS["depth 2"], seed=0),
    "Network with a map": lambda w: fb.Network(
        3, dense(), preprocessing=fb.preprocess.PCA(2).fit(w.numbers)
    ),
    "parameters assigned": lambda w: setattr(w.net, "parameters", w.other.parameters),
    "weight assigned": lambda w: setattr(w.net.layers[0], "weight", w.other.layers[0].weight),
    "optimizer assigned": lambda w: setattr(w.trainer, "optimizer", fb.Adam(0.1)),
}


def linear() -> fb.Network:
    return fb.Network(3, [fb.Dense(3)], seed=0)


def refused(call: Callable[..., Any], *arguments: Any) -> None:
    try:
        call(*arguments)
    except fb.errors.FastbpError:
        return
    raise AssertionError(f"{call} took {arguments}")


def begun(callback: Any, w: World) -> Any:
    callback.on_fit_begin(w.trainer, w.x, w.y, None)
    return callback


def ended(callback: Any, w: World) -> Any:
    begun(callback, w)
    look = getattr(callback, "on_epoch_recorded", None) or callback.on_epoch_end
    look(w.trainer, w.trainer.history)
    return callback


def written(w: World, name: str, data: bytes) -> Path:
    path = w.folder / name
    if not path.exists():
        path.write_bytes(data)
    return path


def arrays(w: World) -> Path:
    path = w.folder / "a.npz"
    if not path.exists():
        np.savez(path, x=w.x, y=w.y)
    return path


def mnist(w: World) -> Path:
    for name, n in (("train", 6), ("t10k", 3)):
        written(w, f"{name}-images-idx3-ubyte", idx(np.zeros((n, 28, 28), np.uint8)))
        written(w, f"{name}-labels-idx1-ubyte", idx(np.zeros(n, np.uint8)))
    return w.folder


def saved(w: World, name: str) -> Path:
    """The file of the network or of the trainer, written in the making of the world."""
    return w.folder / f"saved {name}"


def save(w: World) -> None:
    """Write what `saved` names."""
    w.net.save(saved(w, "model"))
    w.trainer.save(saved(w, "checkpoint"))


def calls() -> dict[str, dict[str, Callable[[World], Any] | None]]:
    """The calls of each public function and class by its name; None where one is missing."""
    found: dict[str, dict[str, Callable[[World], Any] | None]] = {}
    for name, value in public():
        if needs_missing_library(name):
            continue
        if not isinstance(value, type):
            found[name] = {name: FUNCTIONS.get(name)}
            continue
        make = MAKERS.get(name, _made_without_arguments(value))
        found[name] = {name: make}
        for member, is_property in members(value):
            full = f"{name}.{member}"
            if is_property:
                found[name][full] = _accessed(make, member)
            else:
                found[name][full] = _called(make, METHODS.get(full, METHODS.get(member)))
    return found


def _made_without_arguments(kind: type) -> Callable[[World], Any] | None:
    required = [
        p
        for p in inspect.signature(kind).parameters.values()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    ]
    return None if required else lambda w: kind()


def _called(make: Any, act: Any) -> Callable[[World], Any] | None:
    return None if make is None or act is None else lambda w: act(make(w), w)


def _accessed(make: Any, name: str) -> Callable[[World], Any] | None:
    def access(w: World) -> None:
        owner = make(w)
        value = getattr(owner, name)
        if getattr(inspect.getattr_static(type(owner), name), "fset", None) is not None:
            setattr(owner, name, value)

    return None if make is None else access
