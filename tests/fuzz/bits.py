"""One case run in many ways: everything that comes out must have the same bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import fastbp as fb
from fastbp import testing
from fastbp.errors import DivergenceError
from fuzz.cases import Case
from fuzz.forms import DENSE
from fuzz.ways import Way, kernels, measuring_ways, ways_of

Outcome = dict[str, np.ndarray]


def compare(
    case: Case, threads: Sequence[int], isas: Sequence[str]
) -> tuple[list[str], int, set[testing.Cell]]:
    """Run the case in all its ways and measure the result in some: differences, runs, cells."""
    first, *others = ways_of(case, threads, isas)
    network, expected, cells = run(case, first)
    differences = []
    for way in others:
        _, got, seen = run(case, way)
        cells |= seen
        differences += unlike(way, expected, got)
    plain, *measuring = measuring_ways(case, threads, isas)
    measured = measure(case, network, plain)
    for way in measuring:
        differences += unlike(way, measured, measure(case, network, way))
    return differences, 2 + len(others) + len(measuring), cells


def run(case: Case, way: Way) -> tuple[fb.Network, Outcome, set[testing.Cell]]:
    """Train a new network; what it and its trainer then are."""
    network = case.network()
    trainer = case.trainer(network, way.threads)
    outcome: Outcome = {}
    with kernels(way.isa), testing.forced(way.regime, way.packs_first_layer) as seen:
        try:
            outcome |= CALLS[way.calls](case, trainer, way)
        except DivergenceError as error:
            outcome["divergence"] = np.array([error.step, error.layer])
            if way.calls != "fit":  # each call goes back to where it began, one call further
                return network, outcome, {*seen}
    outcome |= parameters(network)
    outcome["optimizer's state"] = trainer._state.memory.values.copy()
    outcome["steps"] = np.array(trainer.n_steps)
    return network, outcome, {*seen}


def fit(case: Case, trainer: fb.Trainer, way: Way) -> Outcome:
    x, y, weight = way.of(case.rows)
    held = way.of(case.rows.part(slice(40)))
    trainer.fit(x, y, case.epochs, sample_weight=weight, validation_data=held[:2])
    return columns(trainer)


def fits(case: Case, trainer: fb.Trainer, way: Way) -> Outcome:
    x, y, weight = way.of(case.rows)
    held = way.of(case.rows.part(slice(40)))
    for _ in range(case.epochs):
        trainer.fit(x, y, sample_weight=weight, validation_data=held[:2])
    return columns(trainer)


def steps(case: Case, trainer: fb.Trainer, way: Way) -> Outcome:
    batches = [way.of(part) for part in case.batches]
    losses = [trainer.step(*part) for _ in range(case.epochs) for part in batches]
    return {"losses of the steps": np.array(losses)}


CALLS = {"fit": fit, "fits": fits, "steps": steps}


def columns(trainer: fb.Trainer) -> Outcome:
    """The history, but for the seconds."""
    kept = {name: np.array(values) for name, values in trainer.history.items()}
    del kept["seconds"]
    return {f"history's {name}": values for name, values in kept.items()}


def parameters(network: fb.Network) -> Outcome:
    return {
        f"{name} {i}": getattr(layer, name).copy()
        for i, layer in enumerate(network.weighted_layers)
        for name in ("weight", "bias")
    }


def measure(case: Case, network: fb.Network, way: Way) -> Outcome:
    """What a network says of the rows without being trained."""
    x, y, weight = way.of(case.rows)
    before = fb.get_num_threads()
    fb.set_num_threads(way.threads)
    try:
        with kernels(way.isa), testing.forced(way.regime):
            found = case.trainer(network, way.threads).evaluate(x, y, weight)
            loss, pairs, dx = network.gradients(x, y, case.loss, inputs=True, sample_weight=weight)
            outputs = network.predict(x)
    finally:
        fb.set_num_threads(before)
    outcome = {f"evaluated {name}": np.array(value) for name, value in found.items()}
    outcome |= {"predictions": outputs, "loss": np.array(loss), "gradient by the rows": dx}
    for i, pair in enumerate(pairs):
        outcome |= {f"gradient by weight {i}": pair[0], f"gradient by bias {i}": pair[1]}
    return outcome


def unlike(way: Way, expected: Outcome, got: Outcome) -> list[str]:
    """A line that says what differs, of what both have and in how they diverge; or nothing.

    Of sparse rows the sign of a zero may differ.
    """
    if way.form != DENSE:
        expected, got = ({k: v + 0 for k, v in one.items()} for one in (expected, got))
    names = [name for name in expected if name in got]
    names += {"divergence"} & ({*expected} ^ {*got})
    found = [_unlike(name, expected.get(name), got.get(name)) for name in names]
    texts = [text for text in found if text is not None]
    return [f"{way}: {'; '.join(texts)}"] if texts else []


def _unlike(name: str, a: np.ndarray | None, b: np.ndarray | None) -> str | None:
    if a is None or b is None:
        return f"{name} on one side alone: {b if a is None else a}"
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{name} has the form {b.dtype} {b.shape}, not {a.dtype} {a.shape}"
    if a.tobytes() == b.tobytes():
        return None
    if a.dtype.kind not in "fi":
        return f"{name} is {b}, not {a}"
    wrong = int(np.sum((a != b) & ~((a != a) & (b != b))))
    return f"{name}: {wrong} of {a.size} differ, by {np.nanmax(np.abs(a - b)):.3g} at most"
