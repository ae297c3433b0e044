"""Optimizers, schedules, losses and metrics as JSON describes them, for checkpoint files.

A function of the user's own, or an object of a class of his, is described by its name alone: who
reads the file has to give it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from .. import losses, optimizers, schedules
from ..errors import ConfigError, CorruptModelError, FormatVersionError
from ..losses import CustomLoss, Loss
from ..metrics import Metric, MetricFunction, resolve
from ..optimizers import LearningRate, Optimizer
from ..schedules import Schedule

__all__ = [
    "VERSION",
    "describe_loss",
    "describe_metrics",
    "describe_optimizer",
    "loss_of",
    "metrics_of",
    "optimizer_of",
    "require_given",
]

VERSION = 1

OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.__name__: kind
    for kind in (
        optimizers.SGD,
        optimizers.Adagrad,
        optimizers.RMSprop,
        optimizers.Adam,
        optimizers.AdamW,
        optimizers.LBFGS,
    )
}
SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (
        schedules.Step,
        schedules.Exponential,
        schedules.InverseTime,
        schedules.Polynomial,
        schedules.Cosine,
        schedules.LogCosine,
        schedules.ReduceOnPlateau,
        schedules.Warmup,
    )
}

Described = dict[str, Any]


def describe_loss(loss: Loss) -> Described:
    """Return the name and the options of a loss."""
    if isinstance(loss, CustomLoss):
        return {"function": loss.shown}
    return {"name": loss.name, "options": asdict(loss)}


def loss_of(described: Described) -> Loss:
    """Return the loss of a description that needs no function.

    Raises
    ------
    LookupError, TypeError, ValueError
        It describes none.
    """
    return type(losses.LOSSES[described["name"]])(**described["options"])


def describe_metrics(metrics: Sequence[Metric]) -> list[Described]:
    """Return the names of metrics, those that are functions of the user as functions."""
    return [{"name" if isinstance(m.given, str) else "function": m.name} for m in metrics]


def metrics_of(
    path: object, training: Described, given: Sequence[MetricFunction] | None
) -> list[str | MetricFunction]:
    """Return the metrics of a trainer; `given` are those that were functions of the user.

    Raises
    ------
    CorruptModelError
        The file describes none.
    ConfigError
        A function is missing, or given though the trainer had none of its name.
    """
    own = {metric.name: metric.function for metric in resolve(given or ())}
    try:
        described = [
            *((kind, name) for metric in training["metrics"] for kind, name in metric.items())
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise CorruptModelError(f"{path} describes no usable trainer: {error}") from error
    wanted = [name for kind, name in described if kind == "function"]
    if sorted(own) != sorted(wanted):
        raise ConfigError(
            f"metrics: got {_listed(own)}, wanted {_listed(wanted)}, the functions of the trainer "
            f"in {path}: Trainer.load(path, metrics=[...])"
        )
    return [own[name] if kind == "function" else name for kind, name in described]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def describe_optimizer(optimizer: Optimizer) -> Described:
    """Return the class and the options of an optimizer, and what its schedule has learnt.

    Raises
    ------
    ConfigError
        It is of a class that is not one of fastbp.
    """
    kind = type(optimizer)
    if OPTIMIZERS.get(kind.__name__) is not kind:
        raise ConfigError(
            f"optimizer: got one of the class {kind.__qualname__}, wanted one of "
            f"{', '.join(OPTIMIZERS)}, which a file can describe: pickle the trainer"
        )
    return {
        "kind": kind.__name__,
        "learning_rate": None
        if kind is optimizers.LBFGS
        else _describe_rate(optimizer.learning_rate),
        "options": optimizer._options(),
        "progress": optimizer.progress,
    }


def optimizer_of(described: Described, learning_rate: LearningRate | None) -> Optimizer:
    """Return the optimizer of a description; a `learning_rate` takes the place of its own.

    Raises
    ------
    LookupError, TypeError, ValueError
        It describes none.
    """
    rate = _rate_of(described["learning_rate"]) if learning_rate is None else learning_rate
    rates = () if rate is None else (rate,)
    optimizer = OPTIMIZERS[described["kind"]](*rates, **described["options"])
    if learning_rate is None or _own_rate(described["learning_rate"]) is not None:
        optimizer.progress = described["progress"]
    return optimizer


def require_given(path: object, training: Described, **given: object) -> None:
    """Refuse a file that this version cannot read, or whose functions are not those `given`.

    Parameters
    ----------
    path : path-like
        Of the file.
    training : dict
        What it says of a trainer.
    **given : callable or None
        loss and learning_rate.

    Raises
    ------
    CorruptModelError
        It describes no trainer.
    FormatVersionError
        It is of another version.
    ConfigError
        A function is missing, or given though the trainer had none.
    """
    try:
        version = training["version"]
        names = {
            "loss": training["loss"].get("function"),
            "learning_rate": _own_rate(training["optimizer"]["learning_rate"]),
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise CorruptModelError(f"{path} describes no usable trainer: {error}") from error
    if version != VERSION:
        raise FormatVersionError(
            f"{path} has checkpoint version {version}; this fastbp reads version {VERSION}"
        )
    for argument, name in names.items():
        if name is not None and not callable(given[argument]):
            raise ConfigError(
                f"{argument}: got {given[argument]!r}, wanted the function {name} of the "
                f"trainer in {path}: Trainer.load(path, {argument}=...)"
            )
        if name is None and given[argument] is not None:
            raise ConfigError(
                f"{argument}: got {given[argument]!r}, wanted none, as {path} holds the trainer's"
            )


def _own_rate(described: float | Described) -> str | None:
    """Return the name of the user's function in a description of a rate, if there is one."""
    if not isinstance(described, dict):
        return None
    if "function" in described:
        return str(described["function"])
    return _own_rate(described["options"].get("after", 0.0))


def _describe_rate(rate: float | Callable[[int], float]) -> float | Described:
    if not callable(rate):
        return rate
    kind = type(rate)
    if SCHEDULES.get(kind.__name__) is not kind:
        return {"function": getattr(rate, "__qualname__", kind.__qualname__)}
    options = {name: getattr(rate, name) for name in inspect.signature(kind).parameters}
    if "after" in options:
        options["after"] = _describe_rate(options["after"])
    return {"kind": kind.__name__, "options": options}


def _rate_of(described: float | Described) -> LearningRate:
    if not isinstance(described, dict):
        return described
    options = dict(described["options"])
    if "after" in options:
        options["after"] = _rate_of(options["after"])
    return SCHEDULES[described["kind"]](**options)
