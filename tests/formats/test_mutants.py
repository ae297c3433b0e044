"""Files with mutated structure: loaded, or a named error; half of them with a right checksum.

FASTBP_FUZZ_SEED and FASTBP_FUZZ_SECONDS choose others, and more.
"""

from __future__ import annotations

import copy
import json
import os
import time
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pytest
from training import classes, trainer

import fastbp as fb
from fastbp import errors
from fastbp.formats import modelfile, tensorfile

SEED = int(os.environ.get("FASTBP_FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("FASTBP_FUZZ_SECONDS", "60"))
FAST = 100  # mutants of each file, outside of the slow tier
X, Y = classes()
NAMED = (errors.CorruptModelError, errors.FormatVersionError)
# A mutant may name a function of the user's own, which Trainer.load wants to be given.
LOADS = ((fb.load, NAMED), (fb.Trainer.load, (*NAMED, errors.ConfigError)))
VALUES = [
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, -0.0, 1e308, "",
    "x", "relu", "softmax", "F32", "means", "velocity", "Adam", "\0", "é" * 100, [], [[]], {},
    {"kind": "residual"}, [1, 2], [None] * 50, {"layers": [{}]}, float("inf"), float("nan"),
]  # fmt: skip


def files(folder):
    """A network of every kind of layer, and a trainer in the middle of a fit with rules at work."""
    layers = [
        fb.Dense(4, "gelu", dropout=0.1),
        fb.Residual([fb.Maxout(3), fb.Gated(4)]),
        fb.Dense(3, "softmax", learning_rate_factor=0.5),
    ]
    network = fb.Network(5, layers, preprocessing=fb.preprocess.Standardize().fit(X), seed=0)
    rate = fb.Warmup(fb.ReduceOnPlateau(0.01), 3)
    owner = trainer(network, optimizer=fb.AdamW(rate), class_weight={0: 2.0})
    callbacks = [fb.EarlyStopping(3), fb.Checkpoint(folder / "checkpoint")]
    owner.fit(X, Y, 2, callbacks=callbacks)
    network.save(folder / "network")
    return {name: (folder / name).read_bytes() for name in ("network", "checkpoint")}


def places(value, at=()):
    """All places in nested dicts and lists."""
    yield at
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*at, key))


def mutate(value, rng):
    """The value, one or two places of it changed."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 3)):
        found = list(places(value))
        *path, key = "whole", *found[rng.integers(len(found))]
        holder = {"whole": value}
        for part in path:
            holder = holder[part]
        match rng.integers(4):
            case 0 if path:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[rng.integers(len(holder))]))
            case 2 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] += int(rng.integers(-3, 4))
            case _:
                new = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
                if not path:
                    return new
                holder[key] = new
    return value


def mutant(content, rng):
    """A file like this one, its header, its metadata or its bytes changed."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header["__metadata__"]
    described = [name for name in ("architecture", "training") if name in metadata]
    kind = rng.integers(4)
    if kind == 0:
        header = mutate(header, rng)
    elif kind == 1:
        at = rng.integers(len(data))
        data = data[:at] + rng.bytes(4) + data[at + rng.integers(8) :]
    else:
        name = described[rng.integers(len(described))]
        metadata[name] = json.dumps(mutate(json.loads(metadata[name]), rng))
    text = json.dumps(header).encode()
    made = len(text).to_bytes(8, "little") + text + data
    return with_checksum(made) if rng.random() < 0.5 else made


def with_checksum(content):
    """The same with a right checksum, if it can be had."""
    try:
        tensors = tensorfile.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header["__metadata__"]
        metadata.pop("sha256", None)
        metadata["sha256"] = modelfile._digest(metadata, tensors)
        text = json.dumps(header).encode()
    except Exception:
        return content
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


class Attack(NamedTuple):
    """Mutants that were read, how often one was loaded, and the most processor time of a load."""

    mutants: int
    loaded: int
    slowest: float


def attack(folder, mutants, seconds):
    """Load mutants until one of the two bounds is reached."""
    rng, read, loaded, slowest = np.random.default_rng(SEED), 0, 0, 0.0
    path = folder / "mutant"
    for content in files(folder).values():
        until = time.monotonic() + seconds / 2
        for _ in range(mutants):
            if time.monotonic() > until:
                break
            path.write_bytes(mutant(content, rng))
            read += 1
            for load, named in LOADS:
                began = time.process_time()
                try:
                    network = load(path)
                except named:
                    continue
                finally:
                    slowest = max(slowest, time.process_time() - began)
                loaded += 1
                network = getattr(network, "network", network)
                # A right file may hold weights and maps that are no use.
                with np.errstate(all="ignore"), suppress(errors.InputError):
                    network.predict(np.zeros((1, network.n_inputs)))
    return Attack(read, loaded, slowest)


def test_a_few_mutants(tmp_path):
    assert attack(tmp_path, FAST, 60).loaded > FAST / 20


@pytest.mark.slow
def test_mutants(tmp_path):
    found = attack(tmp_path, 10**9, SECONDS)
    print(found)
    assert found.slowest < 1  # seconds of the processor, so that no neighbour shows in it
