"""Hostile arguments: every public function works with what it is given or raises a named error."""

from __future__ import annotations

import datetime
import decimal
import warnings

import numpy as np
import pytest

import fastbp as fb
from fastbp import activations, datasets, initializers, losses, preprocess
from fastbp.errors import FastbpError

nan, inf = np.nan, np.inf
X = np.random.default_rng(0).standard_normal((4, 2))
T, Y = X[:, :1].copy(), np.array([0, 1, 2, 1])
HOSTILE = {
    "none": None, "text": "0.2", "bytes": b"x", "nan": nan, "inf": inf, "negative": -0.5,
    "minus": -1, "zero": 0, "large": 10**30, "huge": 10**400, "double": 1e308,
    "true": True, "complex": 1j, "empty": [], "dict": {"a": 1}, "set": {1}, "hollow": [[]],
    "object": object(), "class": int,
    "ragged": [[1.0], [1.0, 2.0]], "nested": [[[1]], [2]], "integers": [10**30] * 4,
    "nones": [None] * 4, "texts": ["a"] * 4, "nans": [nan] * 4, "gap": [0, nan],
    "nan rows": [[nan, 0]] * 4, "inf rows": [[inf, 0]] * 4, "minuses": [-1] * 4,
    "scalar array": np.array(1.0), "text array": np.array("a"),
    "objects": np.array([1, "a", None, 2], object), "complexes": np.full((4, 2), 1j),
    "dates": np.array(["2020-01-01"] * 4, "M8[D]"), "spans": np.array([1] * 4, "m8[s]"),
    "date": datetime.date(2020, 1, 1), "decimal": decimal.Decimal("0.5"),
    "masked": np.ma.masked_array(X, X > 0), "records": np.zeros(4, [("a", "f4"), ("b", "i4")]),
    "cube": np.zeros((2, 2, 2)), "wide": np.zeros((4, 7)), "no rows": np.zeros((0, 2)),
    "uint64": np.array([2**64 - 1] * 4, np.uint64), "zero byte": "a\0b", "surrogate": "\ud800",
}  # fmt: skip


def net(outputs=3, activation="softmax", **options):
    layers = [fb.Dense(4, "tanh"), fb.Dense(outputs, activation)]
    return fb.Network(2, layers, seed=0, **options)


def owner(**options):
    return fb.Trainer(net(), "cross_entropy", **options)


def assign(make, name):
    return lambda v: setattr(make(), name, v)


def drawn(initializer):
    return lambda v: fb.Network(2, [fb.Dense(3, "relu", initializer(v))])


def fitted(kind):
    return kind().fit(X)


def half_square(y, t):
    return ((y - t) ** 2).sum(axis=1) / 2, y - t


FIT = {"epochs": 1, "validation_data": None, "callbacks": (), "progress": False}
TRAINER = {
    "batch_size": 2, "l2": 0.0, "shuffle": True, "seed": 0, "n_threads": 1, "l1": 0.0,
    "penalize_bias": False, "clip_value": None, "clip_norm": None, "max_norm": None,
    "class_weight": None, "optimizer": None,
}  # fmt: skip
# Name: function, and its arguments, each of which is hostile in turn.
CALLS = {
    "Network": (fb.Network, {"n_inputs": 2, "layers": [fb.Dense(3)], "dtype": "float32", "seed": 0,
                             "preprocessing": None, "keep_weights": False}),
    "Dense": (lambda **k: fb.Network(2, [fb.Dense(**k), fb.Dense(1)]),
              {"units": 3, "activation": "relu", "weight_init": None, "dropout": 0.0}),
    "Maxout": (fb.Maxout, {"units": 3, "pieces": 2}),
    "Gated": (fb.Gated, {"units": 3, "gate": "tanh"}),
    "Residual": (fb.Residual, {"layers": [fb.Dense(2)]}),
    "predict": (net().predict, {"x": X}),
    "predict behind a map": (net(preprocessing=fitted(preprocess.Whiten)).predict, {"x": X}),
    "activations": (net().activations, {"x": X}),
    "gradients": (net().gradients, {"x": X, "y": Y, "loss": "cross_entropy", "inputs": False,
                                    "sample_weight": None}),
    "trace": (net().trace, {"x": X[0], "y": 1, "loss": "cross_entropy"}),
    "copy": (net().copy, {"dtype": "float32"}),
    "lerp": (net().lerp, {"other": net(), "tau": 0.5}),
    "parameters": (assign(net, "parameters"), {"v": net().parameters}),
    "metadata": (lambda v: (n := net(), setattr(n, "metadata", v), n.copy()), {"v": {}}),
    "weight": (assign(lambda: net().layers[0], "weight"), {"v": np.zeros((2, 4))}),
    "factor": (assign(lambda: net().layers[0], "decay_factor"), {"v": 1.0}),
    "load": (fb.load, {"path": "no such file"}),
    "Trainer": (lambda **k: fb.Trainer(net(), "cross_entropy", **k), TRAINER),
    "Trainer of": (fb.Trainer, {"network": net(), "loss": "cross_entropy"}),
    "Trainer.load": (fb.Trainer.load, {"path": "no such file"}),
    "fit": (lambda **k: owner().fit(**k), {"x": X, "y": Y, **FIT, "sample_weight": None}),
    "fit batches": (lambda x: owner().fit(x), {"x": [(X, Y)]}),
    "fit batch": (lambda x, y: owner().fit([(x, y)]), {"x": X, "y": Y}),
    "step": (owner().step, {"x": X, "y": Y, "sample_weight": None}),
    "evaluate": (owner().evaluate, {"x": X, "y": Y, "sample_weight": None}),
    "targets": (fb.Trainer(net(1, "linear"), "mse").evaluate, {"x": X, "y": T}),
    "signs": (fb.Trainer(net(1, "linear"), "hinge").evaluate, {"x": X, "y": np.sign(T)}),
    "to_csv": (fb.History().to_csv, {"path": "no such folder/file"}),
    "SGD": (fb.SGD, {"learning_rate": 0.1, "momentum": 0.5, "nesterov": False}),
    "AdamW": (fb.AdamW, {"learning_rate": 0.1, "betas": (0.9, 0.9), "eps": 1e-8, "weight_decay": 0,
                         "decay_bias": False}),
    "RMSprop": (fb.RMSprop, {"alpha": 0.9, "eps": 1e-8}),
    "Step": (fb.Step, {"rate": 0.1, "every": 3, "factor": 0.5, "per": "step"}),
    "Polynomial": (fb.Polynomial, {"rate": 0.1, "total": 9, "power": 1.0, "end": 0.0}),
    "Warmup": (fb.Warmup, {"after": 0.1, "total": 9}),
    "EarlyStopping": (fb.EarlyStopping, {"patience": 1, "monitor": "loss", "min_delta": 0.0}),
    "Checkpoint": (fb.Checkpoint, {"path": "file", "every": 1, "best": None}),
    "TargetLoss": (fb.TargetLoss, {"value": 0.1, "monitor": None}),
    "GradientNorm": (fb.GradientNorm, {"bound": 0.1}),
    "TimeLimit": (fb.TimeLimit, {"seconds": 0.1}),
    "Huber": (losses.Huber, {"delta": 0.1}),
    "CustomLoss": (losses.CustomLoss, {"function": half_square}),
    "LeakyReLU": (activations.LeakyReLU, {"slope": 0.1}),
    "Constant": (drawn(initializers.Constant), {"v": 0.1}),
    "Uniform": (drawn(initializers.Uniform), {"v": 0.1}),
    "Orthogonal": (drawn(initializers.Orthogonal), {"v": 1}),
    "Affine": (preprocess.Affine, {"mean": [0.0, 0.0], "matrix": np.eye(2)}),
    "Standardize": (preprocess.Standardize, {"shared": False, "farthest": None}),
    "MinMax": (lambda **k: preprocess.MinMax(**k).fit(X), {"low": -1, "high": 1}),
    "Whiten": (lambda **k: preprocess.Whiten(**k).fit(X),
               {"n_components": 1, "zca": False, "epsilon": 0.1}),
    "fit a map": (lambda x: preprocess.Standardize().fit(x), {"x": X}),
    "fit a PCA": (lambda x: preprocess.PCA().fit(x), {"x": X}),
    "transform": (fitted(preprocess.MinMax).transform, {"x": X}),
    "fold_into_outputs": (preprocess.Center().fit(T).fold_into_outputs,
                          {"network": net(1, "linear")}),
    "one_hot": (fb.one_hot, {"labels": Y, "n_classes": 3, "dtype": "float32"}),
    "one_hot alone": (fb.one_hot, {"labels": Y}),
    "labels": (fb.labels, {"rows": X}),
    "polynomial_features": (preprocess.polynomial_features, {"x": X, "degree": 2}),
    "train_test_split": (datasets.train_test_split,
                         {"x": X, "y": Y, "test_fraction": 0.5, "seed": 0}),
    "read_idx": (datasets.read_idx, {"path": "no such file"}),
    "load_npz": (datasets.load_npz, {"path": "no such file"}),
    "load_csv": (datasets.load_csv, {"path": "no such file"}),
    "load_mnist": (datasets.load_mnist, {"folder": "no such folder"}),
    "gradient_check": (fb.gradient_check, {"network": net(1, "linear"), "x": X[:1], "y": T[:1],
                                           "loss": "mse", "l1": 0.0, "eps": 1e-6,
                                           "sample_weight": None}),
    "check_loss": (lambda **k: fb.check_loss(half_square, **k),
                   {"outputs": X, "eps": 1e-6, "targets": X}),
    "check_loss of": (lambda function: fb.check_loss(function, X, X), {"function": half_square}),
    "set_num_threads": (lambda n: (fb.set_num_threads(n), fb.set_num_threads(None)), {"n": 2}),
    "linear_regression": (fb.models.linear_regression, {"n_inputs": 2, "n_outputs": 1, "l2": 0.0}),
}  # fmt: skip
# A function of the user may ask for arrays of one shape.
THEIR_OWN = {("check_loss", "outputs"), ("check_loss", "targets")}


@pytest.mark.parametrize("name", list(CALLS))
def test_a_hostile_argument_works_or_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, arguments = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for argument in arguments:
            refused = 0
            for kind, value in HOSTILE.items():
                try:
                    call(**{**arguments, argument: value})
                except FastbpError as error:
                    assert " got " in str(error) or "is not" in str(error), (argument, kind)
                    refused += 1
                except OSError:  # of a file that is not there
                    pass
                except ValueError as error:
                    assert (name, argument) in THEIR_OWN, (argument, kind, error)
                    assert "operands could not be broadcast" in str(error), (argument, kind)
            assert refused > len(HOSTILE) / 4, argument
