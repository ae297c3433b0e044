"""The records of mutants fit the tree: a text that was changed since would plant nothing."""

from __future__ import annotations

from mutants import run

# Kinds of fault that there must be one of at least.
KINDS = {
    "dropped tail",
    "lost field of the TrainingState",
    "missing barrier",
    "missing check",
    "missing fsync",
    "off by one",
    "skipped bias",
    "wrong block order",
    "wrong rounding in the gather",
    "wrong sign",
}


def test_every_record_plants_its_fault_in_one_place():
    mutants = run.mutants()
    assert [fault for mutant in mutants if (fault := mutant.fault())] == []
    names = [mutant.name for mutant in mutants]
    assert len(names) == len(set(names)) >= 40
    assert {mutant.kind for mutant in mutants} >= KINDS
    assert all(mutant.breaks for mutant in mutants)
