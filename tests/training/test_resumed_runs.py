"""A run that is cut, saved and gone on with elsewhere comes to the bits of one that is not.

Elsewhere is a new process with another kernel set and other threads. Each field of what is saved
is then left out in turn: some run must show it.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import os
import subprocess
import sys
from typing import Any, NamedTuple

import pytest
import resumes
from resumes import SCENARIOS, WAYS

import fastbp as fb
from fastbp.engine import runtime
from fastbp.formats import modelfile

# No result depends on these: times, what is measured anew, and the most threads.
FREE = {"training.state.open_epoch.seconds"}


@pytest.fixture(scope="module", autouse=True)
def quick_saves():
    """No power cut is feared here, and waiting for the disk takes longer than the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All runs, cut and saved in every way."""
    folder = tmp_path_factory.mktemp("cut")
    for name in SCENARIOS:
        resumes.cut(name, folder)
    return folder


@pytest.fixture(scope="module")
def wanted():
    return {name: scenario.uncut() for name, scenario in SCENARIOS.items()}


def elsewhere(folder, isa, n_threads, *forced):
    """What all files come to in a new process; `forced` lets the whole team do every step."""
    helpers = os.path.join(os.path.dirname(__file__), "..", "helpers")
    roots = [os.path.dirname(os.path.dirname(fb.__file__)), helpers]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(roots),
        "FASTBP_ISA": isa,
        "FASTBP_NUM_THREADS": str(n_threads),
    }
    command = [sys.executable, "-m", "resumes", str(folder), *forced]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_all_come_to(wanted, found):
    assert len(found) == len(WAYS) * len(wanted)
    wrong = [name for name, bits in found.items() if bits != wanted[name.rsplit(".", 1)[0]]]
    assert wrong == []


def test_in_a_new_process_of_another_kernel_set_and_other_threads(folder, wanted):
    assert_all_come_to(wanted, elsewhere(folder, "scalar", 2 if runtime.has_threads() else 1))


@pytest.mark.slow
@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
@pytest.mark.parametrize("isa", runtime.isas())
def test_on_every_kernel_set_with_any_number_of_threads(folder, wanted, isa, n_threads):
    assert_all_come_to(wanted, elsewhere(folder, isa, n_threads, "forced"))


def test_runs_differ_and_have_moved(wanted):
    assert len(set(wanted.values())) == len(SCENARIOS)


# Of a checkpoint, what has parts that can be lost one by one.
PARTED = {
    *("", "architecture", "training", "training.optimizer", "training.options", "training.state"),
    *("training.state.memory", "training.state.history", "training.state.open_epoch"),
}


def leaves(described, at=()):
    """The places of all values that can be lost alone."""
    if ".".join(map(str, at)) not in PARTED:
        yield at
        return
    for key, value in parts(described):
        yield from leaves(value, (*at, key))


def parts(described):
    return described.items() if isinstance(described, dict) else enumerate(described)


def holder_of(outer, described):
    return functools.reduce(operator.getitem, outer, described)


def unlike(owner):
    """A fresh trainer, in which nothing is as in one that has trained, its seed neither."""
    owner._state.dropout_seed ^= 1
    return owner


class Checkpoint(NamedTuple):
    """What the file of a run holds, what that of a fresh trainer does, what the run comes to."""

    saved: dict[str, Any]
    fresh: dict[str, Any]
    tensors: dict[str, Any]
    at_once: str
    at_last: str


def shows(name, run, path, folder):
    """Whether it shows in a run that a field of its file is lost: that of a fresh trainer."""
    *outer, key = path
    old, new = (dict(parts(holder_of(outer, d))) for d in (run.saved, run.fresh))
    if old.get(key) == new.get(key):
        return False
    changed = copy.deepcopy(run.saved)
    holder = holder_of(outer, changed)
    if key in new:
        holder[key] = new[key]
    else:
        del holder[key]
    tensors = run.tensors
    if key == "callbacks":
        tensors = {k: array for k, array in tensors.items() if not k.startswith("callbacks.")}
    place = folder / f"{name}.file"
    modelfile.write(place, changed["architecture"], tensors, changed["training"])
    try:
        at_once = resumes.outcome(resumes.loaded(place))
        return at_once != run.at_once or resumes.resumed(place) != run.at_last
    except fb.errors.FastbpError:
        return True


def test_every_field_of_a_checkpoint_is_needed(folder, wanted, tmp_path):
    runs = {}
    for name, scenario in SCENARIOS.items():
        path = folder / f"{name}.file"
        architecture, tensors, training, rest = modelfile.read_checkpoint(path)
        fresh = unlike(scenario.made())._packed()
        runs[name] = Checkpoint(
            {"architecture": architecture, "training": training},
            {"architecture": fresh[0], "training": json.loads(json.dumps(fresh[2]))},
            tensors | rest,
            resumes.outcome(resumes.loaded(path)),
            wanted[name],
        )
    paths = {path for run in runs.values() for d in (run.saved, run.fresh) for path in leaves(d)}
    hidden = {
        path
        for path in paths
        if not any(shows(name, run, path, tmp_path) for name, run in runs.items())
    }
    assert {".".join(map(str, path)) for path in hidden} == FREE | SAME


# What a fresh trainer of the same recipe has too: other tests read it back.
SAME = {
    *("architecture.n_inputs", "architecture.dtype", "architecture.preprocessing"),
    *("training.version", "training.loss"),
}


def test_every_field_of_the_training_state_is_needed(folder, wanted):
    """In a pickle, which holds them all."""
    hidden = set()
    for field in vars(fb.Trainer(resumes.network(), "mse")._state):
        for name, scenario in SCENARIOS.items():
            twin = resumes.loaded(folder / f"{name}.pickle of a deepcopy")
            setattr(twin._state, field, getattr(unlike(scenario.made())._state, field))
            scenario.second(twin)
            if resumes.outcome(twin) != wanted[name]:
                break
        else:
            hidden.add(field)
    assert hidden == {"averagings", "moment", "region"}
