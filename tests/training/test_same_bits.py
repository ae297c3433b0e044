"""The same bits for any number of threads, kernel set and regime, whatever is trained.

A scenario is one training: a network, a loss, an optimizer, the rows of a step and options. It is
done on one thread, then in every regime that it allows, by teams of several sizes, on every kernel
set. Every step is shared out among the whole team here, also the small ones that the engine would
leave to one thread.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import gate_networks
import numpy as np
import pytest
import scipy.sparse
from loss_cases import LOSSES, needed, targets

import fastbp as fb
from fastbp import testing
from fastbp.activations import ELU, LeakyReLU
from fastbp.engine import runtime

STEPS = 18  # of an epoch: in one call enough to skip zeros and to pack the first layer
TEAMS = [2, 3, 5] if runtime.has_threads() else []
MEASURED_ROWS = 40


class Scenario(NamedTuple):
    """What is trained. `frozen` are indices of layers, `rows` is a dtype and the map behind it.

    With `by_weight` the l2 of a step is in proportion to the weight of its rows.
    """

    n_inputs: int
    layers: list[Any]
    batch: int
    loss: Any = "mse"
    optimizer: Any = None
    options: Mapping[str, Any] = MappingProxyType({})
    weights: bool = False
    rows: tuple[str, Any] = ("", None)
    frozen: tuple[int, ...] = ()
    dtype: str = "float32"
    by_weight: bool = False

    @property
    def is_chain(self) -> bool:
        return all(isinstance(layer, fb.Dense) for layer in self.layers)

    @property
    def streams(self) -> bool:
        limited = {"clip_norm", "max_norm"} & self.options.keys()
        return self.is_chain and self.batch <= 8 and not (limited or self.frozen or self.is_custom)

    @property
    def is_custom(self) -> bool:
        return callable(self.loss)

    def regimes(self) -> list[tuple[str, bool | None]]:
        """Each regime that the scenario can be forced into, packing the first layer or not."""
        wide = self.is_chain and self.batch > 8 and len(self.layers) > 1
        found = [("batch-split", None)]
        found += [("wide", 0 not in self.frozen), ("wide", False)] if wide else []
        found += [("sparse", None)] if self.is_chain and self.rows[0] == "csr" else []
        return found + ([("streaming", None)] if self.streams else [])


def chain(sizes, activations, **options):
    return [fb.Dense(n, f, **options) for n, f in zip(sizes, activations, strict=True)]


def squares(outputs, wanted):
    difference = outputs - wanted
    return (difference**2).sum(axis=1), 2 * difference


# Inputs, units and rows of a step: several lines of columns, the last not full; few rows and many.
SIZES = {
    "few": (30, (33, 20, 3), 5),
    "one": (12, (40, 17, 3), 1),
    "rows": (30, (40, 33, 5), 41),
    "columns": (40, (70, 20, 5), 20),
}
SGD, MOMENTUM = fb.SGD(0.05), fb.SGD(0.02, momentum=0.9)
RULES = {
    "nesterov": fb.SGD(0.02, momentum=0.9, nesterov=True),
    "adagrad": fb.Adagrad(0.01),
    "rmsprop": fb.RMSprop(0.01),
    "adam": fb.Adam(0.01),
    "adamw": fb.AdamW(0.01, weight_decay=0.1, decay_bias=True),
}
LIMITS = {"clip_value": 0.05, "clip_norm": 0.3, "max_norm": 0.7, "l1": 0.01, "l2": 0.02}
ROWS = {
    "float64": None,
    "uint8": fb.preprocess.Standardize,
    "int16": fb.preprocess.Center,
    "bool": None,
}
PENALTIES = {"l1": 1e-3, "l2": 1e-3, "penalize_bias": True, "clip_value": 0.01}


CLASSES = {"output": "softmax", "loss": "cross_entropy"}
FACTORS = {"learning_rate_factor": 0.5, "decay_factor": 3.0}


def of(size, hidden=("tanh", "relu"), output="linear", loss="mse", optimizer=SGD, drop=0.0, **more):
    n_inputs, units, batch = SIZES[size]
    layers = [*chain(units[:-1], hidden, dropout=drop), fb.Dense(units[-1], output)]
    return Scenario(n_inputs, layers, batch, loss, optimizer, **more)


def of_every_size(size) -> Iterator[tuple[str, Scenario]]:
    yield "classes", of(size, optimizer=MOMENTUM, **CLASSES)
    hidden = ("gelu", ELU(0.4)) if size in ("few", "rows") else ("silu", LeakyReLU(0.2))
    yield "saved slopes", of(size, hidden, "silu")
    yield "dropout", of(size, ("relu", "gelu"), drop=0.3)
    yield "weights", of(size, weights=True, **CLASSES)
    yield "penalties", of(size, optimizer=RULES["nesterov"], options=PENALTIES)
    yield "custom", of(size, loss=squares)
    grouped = of(size, optimizer=RULES["adamw"], options={"l2": 1e-3})
    first = fb.Dense(grouped.layers[0].units, "tanh", **FACTORS)
    yield "factors", grouped._replace(layers=[first, *grouped.layers[1:]])
    for frozen in [(0,), (1,), (0, 2)]:
        yield f"frozen {frozen}", grouped._replace(frozen=frozen)
    for name, rule in RULES.items():
        yield name, of(size, optimizer=rule)
    yield "clip_norm", of(size, options={"clip_norm": 0.2})
    yield "max_norm", of(size, optimizer=RULES["adam"], options={"max_norm": 0.2})
    yield "all limits", of(size, optimizer=RULES["nesterov"], options=LIMITS)
    for name, affine in ROWS.items():
        yield f"of {name}", of(size, rows=(name, affine))
    yield "sparse", of(size, drop=0.2, weights=True, rows=("csr", None), **CLASSES)
    yield "sparse limits", of(size, optimizer=RULES["adam"], options=LIMITS, rows=("csr", None))
    shared = of(size, optimizer=RULES["adam"], options={"l2": 0.02}, by_weight=True)
    yield "l2 by rows", shared
    yield "l2 by weight", shared._replace(weights=True, optimizer=SGD)
    yield "l2 by weight, sparse", shared._replace(weights=True, rows=("csr", None))


def of_other_sizes() -> Iterator[tuple[str, Scenario]]:
    yield "narrow", Scenario(2, chain((8, 1), ("tanh", "sigmoid")), 4, "binary_cross_entropy")
    yield "softmax within", Scenario(9, chain((33, 4), ("softmax", "tanh")), 8, "mse", MOMENTUM)
    yield "two blocks", Scenario(5, chain((18, 4), ("sigmoid", "softmax")), 300, "mse", MOMENTUM)
    blocks = Scenario(20, chain((18, 4), ("sigmoid", "softmax")), 300, optimizer=RULES["adagrad"])
    yield "two sparse blocks", blocks._replace(rows=("csr", None))
    yield "sparse one layer", Scenario(40, chain((3,), ("linear",)), 30, rows=("csr", None))
    yield "odd batch", Scenario(33, chain((65, 17, 3), ("relu", "tanh", "linear")), 31)
    yield "many lines", Scenario(70, chain((150, 10), ("relu", "linear")), 4)
    for n_inputs, n_outputs, batch in [(92, 7, 94), (14, 150, 44), (63, 59, 14), (37, 21, 4)]:
        one = Scenario(n_inputs, chain((n_outputs,), ("linear",)), batch)
        yield f"one layer {n_inputs}-{n_outputs}", one
        yield f"one layer {n_inputs}-{n_outputs} adam", one._replace(optimizer=RULES["adam"])
    for name, loss in LOSSES.items():
        for batch in (3, 12):
            layers = chain((17, 4), ("tanh", needed(name, "tanh")))
            yield f"{name} {batch}", Scenario(7, layers, batch, loss, fb.SGD(0.01))
    for name, batch in product(("depth 4", "projection"), (1, 5, 40, 130)):
        rule = MOMENTUM if batch in (1, 40) else RULES["adam"]
        layers = gate_networks.STACKS[name]
        yield f"{name} {batch}", Scenario(5, layers, batch, optimizer=rule)
    yield "gates limits", Scenario(5, gate_networks.STACKS["depth 4"], 40, options=LIMITS)


def named() -> Iterator[tuple[str, Scenario]]:
    """All of them, in either dtype by turns: each idea in both."""
    dtypes = "float32", "float64"
    for i, size in enumerate(SIZES):
        for j, (name, made) in enumerate(of_every_size(size)):
            yield f"{size} {name}", made._replace(dtype=dtypes[(i + j) % 2])
    for i, (name, made) in enumerate(of_other_sizes()):
        yield name, made._replace(dtype=dtypes[i % 2])


SCENARIOS = dict(named())


def random_rows(dtype: str, shape: tuple[int, int], rng) -> np.ndarray:
    """Numbers over a wide part of the range of integers; otherwise a third zero, or most."""
    if dtype == "csr":
        values = rng.standard_normal(shape) * (rng.random(shape) < 0.1)
        return scipy.sparse.csr_matrix(values.astype(np.float32))
    kind = np.dtype(dtype).kind
    if kind in "iu":
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    values = rng.standard_normal(shape) * (rng.random(shape) < 0.67)
    return values.astype(dtype)


def data(scenario: Scenario):
    """x, y and the weights of rows; the last batch is short."""
    rng = np.random.default_rng(7)
    n = STEPS * scenario.batch - scenario.batch // 2
    x = random_rows(scenario.rows[0] or scenario.dtype, (n, scenario.n_inputs), rng)
    loss = "mse" if scenario.is_custom else getattr(scenario.loss, "name", scenario.loss)
    n_outputs = scenario.layers[-1].units if scenario.is_chain else 3
    y = targets(loss, (n, n_outputs), rng).astype(scenario.dtype)
    return x, y, 3 * rng.random(n) * (rng.random(n) < 0.8) if scenario.weights else None


def network(scenario: Scenario, x: np.ndarray) -> fb.Network:
    kind = scenario.rows[1]
    affine = None if kind is None else kind().fit(x)
    net = fb.Network(
        scenario.n_inputs, scenario.layers, scenario.dtype, seed=3, preprocessing=affine
    )
    for i in scenario.frozen:
        net.layers[i].trainable = False
    return net


def parts(net: fb.Network, owner: fb.Trainer, loss: Any, x, y) -> dict[str, bytes]:
    """Everything that comes out, by name."""
    found = {
        f"{name} {i}": getattr(layer, name).tobytes()
        for i, layer in enumerate(net.weighted_layers)
        for name in ("weight", "bias")
    }
    columns = {name: value for name, value in owner.history.items() if name != "seconds"}
    x, y = x[:MEASURED_ROWS], y[:MEASURED_ROWS]
    value, pairs, dx = net.gradients(x, y, loss, inputs=True)
    gradients = b"".join(a.tobytes() for pair in pairs for a in pair) + dx.tobytes()
    return found | {
        "optimizer's state": owner._state.memory.values.tobytes(),
        "history": repr(columns).encode(),
        "predictions": net.predict(x).tobytes(),
        "evaluation": repr(owner.evaluate(x, y)).encode(),
        "gradients": repr(value).encode() + gradients,
    }


class Objectives:
    """What each epoch has minimised."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, trainer, history):
        self.seen.append(trainer._state.moment.objective)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """The engine with so many threads where a call cannot be told."""
    before = fb.get_num_threads()
    fb.set_num_threads(n)
    try:
        yield
    finally:
        fb.set_num_threads(before)


def trained(scenario, n_threads=1, regime=None, packs=None, epochs=1, alternates=False):
    """`parts` after some epochs; with `alternates`, every second one is not shared out."""
    x, y, weights = data(scenario)
    net = network(scenario, x)
    start = [layer.weight.copy() for layer in net.weighted_layers]
    owner = fb.Trainer(
        net,
        scenario.loss,
        scenario.optimizer or SGD,
        scenario.batch,
        seed=1,
        n_threads=n_threads,
        **scenario.options,
    )
    owner._objective.l2_weight = 3.0 if scenario.by_weight else 0.0
    shared, noted = n_threads > 1, Objectives()
    for epoch in range(epochs):
        shares = shared and not (alternates and epoch % 2)
        with testing.forced(regime, packs) if shares else nullcontext(set()) as cells:
            owner.fit(x, y, sample_weight=weights, callbacks=[noted])
        assert not (shares and regime) or regime in {cell.regime for cell in cells}
        assert not (shares and packs) or any(cell.first_layer_packed for cell in cells)
    assert all(np.isfinite(layer.weight).all() for layer in net.weighted_layers)
    for i, (before, layer) in enumerate(zip(start, net.weighted_layers, strict=True)):
        assert (layer.weight == before).all() == (i in scenario.frozen), f"layer {i}"
    assert (None not in noted.seen) == scenario.by_weight
    with threads(n_threads), testing.forced() if shared else nullcontext():
        objectives = {"objectives": repr(noted.seen).encode()}
        return objectives | parts(net, owner, scenario.loss, x, y)


def ways(index: int, scenario: Scenario) -> Iterator[tuple[str, int, str | None, bool | None]]:
    """Kernel set, threads, regime and packing; which are combined goes by turns.

    On the best set all regimes and teams, on each of the others one thread and a team.
    """
    best, *others = runtime.isas()
    turns = scenario.regimes() if TEAMS else []
    turns, teams = turns[index % 2 :] + turns[: index % 2], TEAMS[index % 3 :] + TEAMS[: index % 3]
    for i in range(max(len(turns), len(teams))):
        yield best, teams[i % len(teams)], *turns[i % len(turns)]
    for i, isa in enumerate(others):
        yield isa, 1, None, None
        if teams:
            yield isa, teams[i % len(teams)], *turns[-1 - i % len(turns)]


@cache
def expected(name: str, epochs: int = 1) -> dict[str, bytes]:
    """On one thread, by the best kernel set."""
    before = runtime.isa()
    runtime.use_isa(runtime.isas()[0])
    try:
        return trained(SCENARIOS[name], epochs=epochs)
    finally:
        runtime.use_isa(before)


def assert_expected(name: str, way: tuple, epochs: int = 1, **how) -> None:
    found, wanted = trained(SCENARIOS[name], *way, epochs=epochs, **how), expected(name, epochs)
    differing = [part for part, bits in wanted.items() if found[part] != bits]
    assert not differing, (runtime.isa(), *way, differing)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_way_gives_the_bits_of_one_thread(use_isa, name):
    for isa, *way in ways(list(SCENARIOS).index(name), SCENARIOS[name]):
        use_isa(isa)
        assert_expected(name, way)


def test_no_two_scenarios_are_the_same():
    assert len({tuple(expected(name).items()) for name in SCENARIOS}) == len(SCENARIOS)


LONG = ["few classes", "one nesterov", "columns saved slopes", "rows dropout", "depth 4 40"]


@pytest.mark.parametrize("name", LONG)
def test_epochs_shared_out_and_not_by_turns(name):
    """A team gives way to one thread when the machine is busy, and comes back."""
    for n_threads in TEAMS:
        assert_expected(name, (n_threads,), 4, alternates=True)


@pytest.fixture
def busy_neighbour():
    """Another process that never rests, so that threads of a team are late, at any time."""
    neighbour = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    neighbour.stdout.readline()
    yield
    neighbour.kill()
    neighbour.communicate()


@pytest.mark.parametrize("name", LONG)
def test_a_busy_neighbour(busy_neighbour, name):
    for n_threads in TEAMS:
        assert_expected(name, (n_threads,))


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_thousand_steps_beside_a_busy_neighbour(isa, use_isa, busy_neighbour, name):
    use_isa(isa)
    for regime in SCENARIOS[name].regimes():
        for n_threads in TEAMS:
            assert_expected(name, (n_threads, *regime), 1000 // STEPS)
