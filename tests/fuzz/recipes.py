"""Random trainers: losses with targets that fit, optimizers, schedules, penalties and limits."""

from __future__ import annotations

from typing import Any

import loss_cases
import numpy as np

import fastbp as fb
from fastbp import losses, schedules
from fastbp._check import WITHOUT_CLASSES
from fastbp.engine import runtime
from fuzz.architectures import BIAS, activation

PLAIN_LOSSES = [*losses.LOSSES.values(), losses.CrossEntropy(0.1)]
OPTIONED_LOSSES = [*loss_cases.LOSSES.values(), losses.CrossEntropy(0.25)]
MOST_COMPONENTS = 40  # LAPACK takes longer than the rest of a case beyond


def own_loss(outputs, targets):
    """A loss that a user might write: the sum of squares, with labels as one-hot rows."""
    if targets.ndim == 1:
        targets = np.eye(outputs.shape[1], dtype=outputs.dtype)[targets]
    d = outputs - targets
    return np.sum(d * d, axis=1), 2 * d


def loss(rng: np.random.Generator) -> Any:
    if rng.random() < 0.05:
        return own_loss
    kinds = PLAIN_LOSSES if rng.random() < 0.5 else OPTIONED_LOSSES
    return kinds[rng.integers(len(kinds))]


def last_layer(rng: np.random.Generator, chosen: Any, units: int) -> fb.Dense:
    """An output layer that the loss can be had with."""
    if chosen is not own_loss and chosen.outputs:
        f: Any = str(rng.choice(chosen.outputs))
    else:
        f = activation(rng)
    if getattr(chosen, "name", "") in ("cross_entropy", "multiclass_hinge"):
        units = max(units, 2)
    return fb.Dense(units, f, bias_init=BIAS)


def targets(rng: np.random.Generator, chosen: Any, output: str, rows: int, units: int, dtype: str):
    """Rows in the loss's domain, or integer classes where they are allowed."""
    domain = "real" if chosen is own_loss else chosen.on(output).targets
    if units > 1 and domain not in WITHOUT_CLASSES and rng.random() < 0.5:
        return rng.integers(0, units, rows)
    if domain == "bit":
        return rng.integers(0, 2, (rows, units)).astype(dtype)
    name = "squared_error" if chosen is own_loss else chosen.name
    return loss_cases.targets(name, (rows, units), rng).astype(dtype)


def schedule(rng: np.random.Generator, rate: float) -> Any:
    per = str(rng.choice(schedules.UNITS))
    kinds = [
        schedules.Step(rate, 3, 0.5, per),
        schedules.Exponential(rate, 0.9, per),
        schedules.InverseTime(rate, 0.1, per),
        schedules.Polynomial(rate, 20, 2.0, rate / 10, per),
        schedules.Cosine(rate, 15, rate / 10, per),
        schedules.LogCosine(rate, 15, 2, per),
        schedules.Warmup(rate, 5),
        schedules.Warmup(schedules.Exponential(rate, 0.8, per), 3),
        fb.ReduceOnPlateau(rate, 0.5, patience=1, threshold=0.0),
    ]
    return kinds[rng.integers(len(kinds))]


def optimizer(rng: np.random.Generator, widest: int) -> fb.optimizers.Optimizer:
    """Of any kind, with a rate that a network of this width seldom diverges at."""
    kind = rng.choice(["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"])
    rate = float(10 ** rng.uniform(-4, -2))
    if kind in ("sgd", "momentum", "nesterov"):
        rate = float(rng.uniform(0.02, 0.2) / (widest * (1 if kind == "sgd" else 5)) ** 0.8)
    eta = rate if rng.random() < 0.5 else schedule(rng, rate)
    makers = {
        "sgd": lambda: fb.SGD(eta),
        "momentum": lambda: fb.SGD(eta, momentum=0.9),
        "nesterov": lambda: fb.SGD(eta, momentum=0.8, nesterov=True),
        "adagrad": lambda: fb.Adagrad(eta),
        "rmsprop": lambda: fb.RMSprop(eta, alpha=0.95),
        "adam": lambda: fb.Adam(eta, betas=(0.8, 0.99)),
        "adamw": lambda: fb.AdamW(eta, weight_decay=0.1, decay_bias=bool(rng.integers(2))),
    }
    return makers[kind]()


def options(rng: np.random.Generator) -> dict[str, Any]:
    """Penalties and limits of a trainer; most have few of them."""
    values = {
        "l1": 0.001,
        "l2": 0.01,
        "penalize_bias": True,
        "clip_value": 0.02,
        "clip_norm": 0.3,
        "max_norm": 0.7,
    }
    return {name: value for name, value in values.items() if rng.random() < 0.17}


def class_weight(rng: np.random.Generator, y: np.ndarray) -> Any:
    if y.ndim != 1 or rng.random() < 0.7:
        return None
    return "balanced" if rng.random() < 0.5 else {0: 2.0, int(y.max()): 0.25}


def of_another_type(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Mostly the same rows; now and then the other float type, or whole numbers of any."""
    if rng.random() < 0.75:
        return x
    kind = np.dtype(str(rng.choice(list(runtime.NUMBERS))))
    whole = np.rint(np.abs(x) if kind.kind in "ub" else x)
    return (x if kind.kind == "f" else whole).astype(kind)


def preprocessing(rng: np.random.Generator, x: np.ndarray) -> Any:
    if rng.random() < 0.85:
        return None
    kinds = [fb.preprocess.Center(), fb.preprocess.Standardize(), fb.preprocess.MinMax()]
    if min(x.shape) > 1 and x.shape[1] <= MOST_COMPONENTS:
        kinds.append(fb.preprocess.PCA(int(rng.integers(1, min(x.shape) + 1))))
    return kinds[rng.integers(len(kinds))].fit(x)
