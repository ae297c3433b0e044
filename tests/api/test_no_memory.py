"""Without memory every public call either happens or does not: a MemoryError, and all is as it was.

The engine's allocator fails the n-th request, for n = 1, 2, ... until the call succeeds; then the
outcome must be that of a twin that has seen no failure.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gate_networks import STACKS
from operations import PROTOCOLS, World, calls, digest, own_loss, save
from training import N_CLASSES, N_INPUTS, classes, trainer

import fastbp as fb
from fastbp.engine import runtime

MOST_REQUESTS = 80  # of one call; more would mean that it never succeeds
CALLS = calls() | {name: {name: call} for name, call in PROTOCOLS.items()}
# Calls that must ask the allocator, so that the test cannot come to show nothing.
ASK = {
    "Network",
    "Network.activations",
    "Network.copy",
    "Network.gradients",
    "Network.predict",
    "Network.trace",
    "Trainer.end_epoch",
    "Trainer.evaluate",
    "Trainer.fit",
    "Trainer.load",
    "Trainer.save",
    "Trainer.step",
    "deepcopy of a trainer",
    "gradient_check",
    "load",
    "pickle of a network",
    "preprocess.PCA.transform",
}


@pytest.fixture(autouse=True, scope="module")
def libraries_are_not_looked_through():
    """`live_bytes` collects hundreds of times: 0.1 s each after tests that have imported torch."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def allocations_succeed_again():
    yield
    runtime.fail_allocation(0)


def whole(world, times=True):
    """All that a call could leave half done: the trainer, the other network, the files."""
    files = {p.name: p.read_bytes() for p in world.folder.iterdir()} if times else None
    return digest(world.trainer, times), world.other.parameters.tobytes(), files


def live_bytes():
    gc.collect()
    return runtime.live_bytes()


def requests_of(call, world, states=()):
    """How many requests the call makes; each has failed once, and the state was whole then.

    `states` are those between two of its epochs, where it may stop too.
    """
    before, held = whole(world), live_bytes()
    for n in range(1, MOST_REQUESTS):
        runtime.fail_allocation(n)
        try:
            call(world)
        except MemoryError:
            runtime.fail_allocation(0)
        else:
            runtime.fail_allocation(0)
            return n - 1
        if not states or whole(world, False) not in states:
            assert whole(world) == before, f"request {n} failed"
        # A workspace that was kept may be gone: no more is held than before.
        assert runtime.live_bytes() <= held or live_bytes() <= held, f"request {n} failed"
    raise AssertionError(f"still fails at request {n}")


def worlds(tmp_path, make=trainer):
    for name in ("twin", "own"):
        (tmp_path / name).mkdir()
        yield World(tmp_path / name, make)


def test_every_public_callable_has_a_call():
    missing = [name for group in CALLS.values() for name, call in group.items() if call is None]
    assert missing == [], "add a call of each to tests/helpers/operations.py"
    assert set().union(*CALLS.values()) >= ASK


@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_memory_changes_nothing(name, tmp_path):
    twin, own = worlds(tmp_path)
    if name in ("load", "Trainer"):
        save(twin), save(own)
    for member, call in CALLS[name].items():
        call(twin)
        asked = requests_of(call, own)
        assert whole(own, False) == whole(twin, False), member
        assert asked or member not in ASK, member


def halves(step):
    return 0.1 / (1 + step)


def network(layers, preprocessing=None):
    output = fb.Dense(N_CLASSES, "softmax")
    return fb.Network(N_INPUTS, [*layers, output], seed=0, preprocessing=preprocessing)


def frozen():
    net = network([fb.Dense(7, "relu"), fb.Dense(6, "tanh")])
    net.layers[0].trainable, net.layers[1].learning_rate_factor = False, 0.5
    return trainer(net)


def gates():
    layers = STACKS["depth 2"][:-1]
    return trainer(network(layers))


X = classes()[0]
TRAINERS = {
    "SGD": lambda: trainer(optimizer=fb.SGD(0.1)),
    "momentum": trainer,
    "Adagrad": lambda: trainer(optimizer=fb.Adagrad(0.1)),
    "RMSprop": lambda: trainer(optimizer=fb.RMSprop(0.01)),
    "Adam": lambda: trainer(optimizer=fb.Adam(0.01)),
    "AdamW and a schedule": lambda: trainer(optimizer=fb.AdamW(fb.Cosine(0.01, 50))),
    "plateau": lambda: trainer(optimizer=fb.SGD(fb.Warmup(fb.ReduceOnPlateau(0.1), 2))),
    "rate of one's own": lambda: trainer(optimizer=fb.SGD(halves)),
    "clip_norm": lambda: trainer(clip_norm=0.5, clip_value=0.1, l1=1e-3),
    "max_norm": lambda: trainer(max_norm=0.5, l2=1e-3, penalize_bias=True),
    "one row": lambda: trainer(optimizer=fb.SGD(0.01), batch_size=1),
    "all rows": lambda: trainer(batch_size=None, class_weight="balanced"),
    "dropout": lambda: trainer(network([fb.Dense(7, "relu", dropout=0.5)])),
    "metrics": lambda: trainer(metrics=["f1", "auc"]),
    "loss of one's own": lambda: trainer(loss=own_loss),
    "frozen and slower": frozen,
    "gates": gates,
    "a diagonal map": lambda: trainer(network([fb.Dense(4)], fb.preprocess.Standardize().fit(X))),
    "a full map": lambda: trainer(
        fb.Network(
            N_INPUTS,
            [fb.Dense(N_CLASSES, "softmax")],
            seed=0,
            preprocessing=fb.preprocess.PCA(2).fit(X),
        )
    ),
}


def adam_after(world):
    world.trainer.optimizer = fb.Adam(0.01)


def batches(world):
    return [(world.x[:16], world.y[:16]), (world.x, world.y, world.weights)]


ACTS = {
    "fit": lambda w: w.trainer.fit(w.x, w.y, sample_weight=w.weights),
    "batches": lambda w: w.trainer.fit(batches(w)),
    "step": lambda w: w.trainer.step(w.x, w.y),
    "validated epoch": lambda w: w.trainer.fit(w.x, w.y, validation_data=(w.x, w.y)),
}


@pytest.mark.parametrize("other", [False, True], ids=["", "Adam after it"])
@pytest.mark.parametrize("name", TRAINERS)
def test_training_without_memory_changes_nothing(name, other, tmp_path):
    twin, own = worlds(tmp_path, TRAINERS[name])
    for act in ACTS.values():
        for world in (twin, own):
            if other:
                adam_after(world)
        act(twin)
        assert requests_of(act, own) or not other
        assert whole(own, False) == whole(twin, False)
    for world in (twin, own):  # the workspaces and snapshots that were left are good
        world.trainer.optimizer = fb.SGD(0.1, momentum=0.9)
        world.trainer.fit(world.x, world.y)
    assert whole(own, False) == whole(twin, False)


class Notes:
    """Notes the state after each epoch: where a call of several may stop."""

    def __init__(self):
        self.states = []

    def on_fit_begin(self, owner, x, y, validation_data):
        self.states.append(after_epoch(owner))

    def on_epoch_recorded(self, owner, history):
        self.states.append(after_epoch(owner))


def after_epoch(owner):
    """What does not depend on how far the callbacks have come."""
    net = owner.network
    columns = {name: column for name, column in owner.history.items() if name != "seconds"}
    memory = owner._state.memory.values.tobytes()
    random = repr(owner._state.generator.state)
    return net.parameters.tobytes(), memory, random, owner.n_steps, repr(columns)


CALLBACKS = {
    "EarlyStopping": lambda w: [fb.EarlyStopping(5)],
    "Checkpoint": lambda w: [fb.Checkpoint(w.folder / "last.ckpt")],
    "the best Checkpoint": lambda w: [fb.Checkpoint(w.folder / "best.ckpt", best="val_f1")],
    "GradientNorm": lambda w: [fb.GradientNorm(1e-9)],
    "NoImprovement": lambda w: [fb.NoImprovement(5, 0.1, factor=0.5)],
    "NoMistakes": lambda w: [fb.models.NoMistakes()],
    "all": lambda w: [fb.EarlyStopping(5), fb.Checkpoint(w.folder / "last.ckpt"), fb.TimeLimit(99)],
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_epochs_are_done_or_not_whatever_measures_and_saves_them(name, tmp_path):
    """The request fails in each epoch; another call does what was left, to the bits of the twin."""

    def fit(world, epochs, *more):
        validation = world.x[:40], world.y[:40]
        callbacks = [*CALLBACKS[name](world), *more]
        world.trainer.fit(world.x, world.y, epochs, validation, callbacks)

    twin, *_ = worlds(tmp_path, lambda: trainer(metrics=["f1"]))
    notes, failed, n = Notes(), 0, 0
    begun = twin.trainer.history.epochs
    fit(twin, 3, notes)
    ended = after_epoch(twin.trainer)
    while True:
        n += 1
        folder = tmp_path / str(n)
        folder.mkdir()
        own = World(folder, lambda: trainer(metrics=["f1"]))
        runtime.fail_allocation(n)
        with contextlib.suppress(MemoryError):
            fit(own, 3)
            break
        runtime.fail_allocation(0)
        failed += 1
        assert after_epoch(own.trainer) in [*notes.states, ended], n
        for path in folder.iterdir():
            fb.Trainer.load(path)
        left = 3 - (own.trainer.history.epochs - begun)
        if left and name != "the best Checkpoint":
            fit(own, left)
            assert after_epoch(own.trainer) == ended, n
    assert failed > 3


DIVERGING = {
    "fit": lambda w: w.trainer.fit(w.x, w.y, 5),
    "batches": lambda w: w.trainer.fit(batches(w), epochs=5),
    "step": lambda w: [w.trainer.step(w.x, w.y) for _ in range(30)],
}


@pytest.mark.parametrize("name", DIVERGING)
@pytest.mark.parametrize("rate", [1e38, 1e20])
def test_a_divergence_without_memory_leaves_finite_weights(name, rate, tmp_path):
    for n in range(1, MOST_REQUESTS):
        folder = tmp_path / str(n)
        folder.mkdir()
        own = World(folder, lambda: trainer(network([fb.Dense(7, "relu")])))
        own.trainer.optimizer = fb.SGD(rate, momentum=0.9)
        steps = own.trainer.n_steps
        runtime.fail_allocation(n)
        try:
            DIVERGING[name](own)
        except MemoryError:
            runtime.fail_allocation(0)
            assert np.isfinite(own.net.parameters).all(), n
            assert np.isfinite(own.trainer._state.memory.values).all(), n
        except fb.errors.DivergenceError:
            break
    assert n > 2
    assert own.trainer.n_steps >= steps


# Calls of tests/nomemory.py that take milliseconds; all of them are slow.
QUICK = ["step", "lerp", "parameters", "end_epoch", "adam"]


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0",
    reason="NumPy 1.26 itself crashes there: numpy.core._methods._amin",
)
@pytest.mark.skipif(
    sys.version_info[:2] in ((3, 12), (3, 13)),
    reason="CPython 3.12 and 3.13 crash where there is no memory for a function object",
)
@pytest.mark.parametrize("names", [QUICK, pytest.param([], marks=pytest.mark.slow)])
def test_a_call_that_python_has_no_memory_for_is_not_half_done(names):
    pytest.importorskip("_testcapi")
    script = Path(__file__).parents[1] / "nomemory.py"
    result = subprocess.run(
        [sys.executable, str(script), "--quiet", *names],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
