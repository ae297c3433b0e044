"""One step of any optimizer with any limits, from the engine's own gradients, on known numbers.

A gradient that was asked for has the bits that the step of the same rows has, so the error of a
step is that of its update alone, and no error grows from one step to the next. The values are
those of `fastbp.reference.rules.descend`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import fastbp as fb
from fastbp.reference import rules as reference_rules
from fuzz.cases import Case
from fuzz.known import FLUSHED, UNITS, Known
from fuzz.truth import Bounded, assert_twins_agree

MOST_STEPS = 2  # from nothing remembered, and from something
DOUBLE = 2.0**-53  # the unit of sums of squares, whatever the network's
RULES_WITH_M = ("momentum", "nesterov", "adam")


class Parameter(NamedTuple):
    """A weight or a bias with its state and its gradient, as the engine has them."""

    name: str
    is_bias: bool
    w: np.ndarray
    m: np.ndarray
    v: np.ndarray
    g: np.ndarray
    layer: fb.Dense | fb.Maxout | fb.Gated


def differences(case: Case, n_threads: int) -> list[str]:
    """What some steps make of a new network, where it is further off than rounding explains."""
    if case.drops:
        return []  # `gradients` drops nothing
    return [
        f"{found.name} is off by {found.share:.3g} times the bound of rounding"
        for found in measure(case, n_threads)
        if not found.share <= 1
    ]


def measure(case: Case, n_threads: int) -> Iterator[Bounded]:
    network = case.network()
    trainer = case.trainer(network, n_threads)
    for x, y, weight in case.batches[:MOST_STEPS]:
        weights = trainer._examples(x, y, weight)[2]
        loss, pairs = network.gradients(x, y, case.loss, sample_weight=weights)
        if not all(np.isfinite(g).all() for pair in pairs for g in pair):
            return
        before = list(parameters(trainer, pairs))
        yield from _step(case, trainer, before, (x, y, weight), loss)


def _step(case, trainer, before, rows, loss) -> Iterator[Bounded]:
    number, epoch = trainer.n_steps, trainer.history.epochs
    rate = float(trainer.optimizer.learning_rates(number, 1, epoch)[0])
    value = np.array(trainer.step(*rows))
    yield Bounded(f"loss of step {number}", value, np.array(loss), np.zeros(()))
    after = list(parameters(trainer, None))
    with np.errstate(all="ignore"):
        wanted = list(stepped(trainer, before, rate, number + 1))
    flushed = FLUSHED[case.dtype] * 2.0**40
    for p, known in zip(after, wanted, strict=True):
        for what, got, one in zip(("", "m of ", "v of "), (p.w, p.m, p.v), known, strict=True):
            if got.any() or one.value.any():
                name = f"{what}{p.name} after step {number}"
                yield Bounded(name, got, one.value, one.error + flushed)


def parameters(trainer: fb.Trainer, pairs: list | None) -> Iterator[Parameter]:
    """All of a trainer's, with zeros where its rule remembers nothing or no gradients are given."""
    network = trainer.network
    m, v = (_like(network, array) for array in _states(trainer))
    for i in range(len(network.weighted_layers)):
        for k, name in enumerate(("weight", "bias")):
            w, m_, v_ = (getattr(n.weighted_layers[i], name).copy() for n in (network, m, v))
            g = np.zeros_like(w) if pairs is None else pairs[i][k].copy()
            yield Parameter(f"{name} {i}", k == 1, w, m_, v_, g, network.weighted_layers[i])


def _states(trainer: fb.Trainer) -> tuple[np.ndarray | None, np.ndarray | None]:
    values, size = trainer._state.memory.values, trainer.network._model.arena.size
    parts = [values[i : i + size] for i in range(0, values.size, size)]
    if len(parts) == 1 and trainer.optimizer.rule not in RULES_WITH_M:
        parts = [None, *parts]
    return tuple([*parts, None, None][:2])


def _like(network: fb.Network, values: np.ndarray | None) -> fb.Network:
    """A network whose parameters are what an optimizer remembers of this one's."""
    twin = network.copy()
    twin._model.arena[...] = 0 if values is None else values
    return twin


def stepped(
    trainer: fb.Trainer, before: list[Parameter], rate: float, t: int
) -> Iterator[tuple[Known, Known, Known]]:
    """w, m and v of each parameter after step t."""
    numbers = trainer.optimizer.hyperparameters | trainer._objective.hyperparameters
    u = UNITS[trainer.network.dtype.name]
    scale = _scale(before, numbers, u)
    for p in before:
        if not p.layer.trainable:
            yield Known(p.w, u), Known(p.m, u), Known(p.v, u)
            continue
        numbers_of_p = dict(numbers)
        for name in {"l1", "l2", "weight_decay"} & numbers.keys():
            numbers_of_p[name] *= p.layer.decay_factor
        if p.is_bias and not numbers["penalize_bias"]:
            numbers_of_p |= {"l1": 0.0, "l2": 0.0}
        if p.is_bias and not numbers.get("decay_bias"):
            numbers_of_p |= {"weight_decay": 0.0}
        w, m, v, g = (Known(a, u) for a in (p.w, p.m, p.v, p.g))
        own_rate = rate * p.layer.learning_rate_factor
        g = _clipped(g, numbers) * scale + _penalty(p.w, numbers_of_p, u)
        found = _descended(trainer.optimizer.rule, w, m, v, g, own_rate, numbers_of_p, t)
        if "max_norm" in numbers and not p.is_bias:
            found = (_limited(found[0], numbers["max_norm"]), *found[1:])
        yield found


def _clipped(g: Known, numbers: dict) -> Known:
    most = numbers.get("clip_value", np.inf)
    return g.map(lambda values: np.clip(values, -most, most), rounding=1)


def _scale(before: list[Parameter], numbers: dict, u: float) -> Known:
    """What brings the norm of the whole gradient down to clip_norm."""
    if "clip_norm" not in numbers:
        return Known(1.0, u)
    clipped = [_clipped(Known(p.g, u), numbers) for p in before if p.layer.trainable]
    squares = sum(float(np.sum(g.value**2)) for g in clipped)
    scale = Known(min(1.0, numbers["clip_norm"] / (np.sqrt(squares) + 1e-6)), u).rounded(4)
    return scale.off(DOUBLE * sum(g.value.size for g in clipped))  # a sum, in double


def _penalty(w: np.ndarray, numbers: dict, u: float) -> Known:
    value = reference_rules.penalised(np.zeros(w.shape), w, numbers["l1"], numbers["l2"])
    return Known(value, u).rounded(4)


def _limited(w: Known, most: float) -> Known:
    """Columns that are longer than that, scaled down to it."""
    norm = np.sqrt(np.sum(w.value**2, axis=0, keepdims=True))
    off = np.sqrt(np.sum(w.error**2, axis=0, keepdims=True)) + DOUBLE * len(w.value) * norm
    share = np.where(norm > 0, np.minimum(1, most / norm), 1)
    least = np.where(norm + off > 0, np.minimum(1, most / (norm + off)), 1)
    return (w * Known(share, w.u, share - least)).rounded(4)


def _descended(rule, w, m, v, g, rate, numbers, t) -> tuple[Known, Known, Known]:
    """`reference_rules.descend`, with the error of each operation."""
    mu, a, eps = (numbers.get(name, 0.0) for name in ("momentum", "square_decay", "eps"))
    wanted = reference_rules.descend(
        rule, w.value, m.value, v.value, g.value, rate, mu, a, eps,
        numbers.get("weight_decay", 0.0), t,
    )  # fmt: skip
    step = g
    if rule in ("momentum", "nesterov"):
        m = m * mu + g
        step = m * mu + g if rule == "nesterov" else m
    elif rule != "sgd":
        v = v + g * g if rule == "adagrad" else v * a + g * g * (1 - a)
        root = _root(v)
        if rule == "adam":
            m = m * mu + g * (1 - mu)
            w = w * (1 - rate * numbers.get("weight_decay", 0.0))
            step, root = m / (1 - mu**t), root / np.sqrt(1 - a**t)
        step = (step / (root + eps)).rounded(4)
    found = w - step * rate, m, v
    for known, value in zip(found, wanted, strict=True):
        assert_twins_agree(rule, value, known)
    return found


def _root(v: Known) -> Known:
    """Of a sum of squares; below, it may be as low as its error lets it."""
    root = np.sqrt(v.value)
    return Known(root, v.u, root - np.sqrt(np.maximum(v.value - v.error, 0))).rounded(2)
