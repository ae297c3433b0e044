"""Every kind of run that the engine has: the table of them, and that each gives the same bits.

A run is done in a regime, by a network whose first layer is its last or not, with its first layer
packed or not; a snapshot of an epoch's start is taken or not, gradients are held for
`clip_norm` or not, weights are limited by `max_norm` or not.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import pytest

import fastbp as fb
from fastbp import losses
from fastbp.engine import runtime
from fastbp.testing import Cell
from fuzz import bits
from fuzz.cases import Case
from fuzz.ways import Way, default_threads, may_be_wide, may_stream


class Row(NamedTuple):
    """A cell, or with None in some places several; and why they cannot be, if they cannot."""

    regime: str
    one_layer: bool | None
    first_layer_packed: bool | None
    snapshot_taken: bool | None
    held: bool | None
    limited: bool | None
    why_not: str = ""

    def has(self, cell: Cell) -> bool:
        return all(mine in (None, its) for mine, its in zip(self, cell, strict=False))


TABLE = [
    Row("batch-split", None, False, None, None, None),
    Row("batch-split", None, True, None, None, None, "threads own rows and read all weights"),
    Row("wide", False, None, None, None, None),
    Row("wide", True, None, None, None, None, "the last layer is shared out by rows, whole"),
    Row("streaming", None, False, None, False, False),
    Row("streaming", None, True, None, None, None, "each weight is read where it is updated"),
    Row("streaming", None, False, None, True, None, "updates do not wait for the whole gradient"),
    Row("streaming", None, False, None, False, True, "updates do not wait for the whole column"),
]
REGIMES = ("batch-split", "wide", "streaming")
CELLS = [Cell(*cell) for cell in product(REGIMES, *[(False, True)] * 5)]
POSSIBLE = [cell for cell in CELLS if any(row.has(cell) and not row.why_not for row in TABLE)]
LIMITS = [{}, {"clip_norm": 0.1}, {"max_norm": 0.3}, {"clip_norm": 0.1, "max_norm": 0.3}]
CASES = list(product((False, True), (4, 20), range(len(LIMITS))))


def directed(one_layer: bool, batch: int, limits: int) -> Case:
    """Epochs are calls of `step`, which keep no state, as well as of `fit`, which do."""
    hidden = [] if one_layer else [fb.Dense(33, "relu")]
    return Case(
        seed=1,
        n_inputs=37,
        layers=[*hidden, fb.Dense(21, "tanh")],
        dtype="float32",
        loss=losses.MSE(),
        optimizer=fb.SGD(0.05, momentum=0.9),
        batch_size=batch,
        n_rows=3 * batch,
        epochs=2,
        shuffle=False,
        options=LIMITS[limits],
    )


def ways(case: Case) -> list[Way]:
    regimes = [
        None,
        "batch-split",
        *["wide"] * may_be_wide(case),
        *["streaming"] * may_stream(case),
    ]
    teams = [n for n in default_threads() if n in (2, 3)]
    made = product(teams, runtime.isas()[:1], regimes, (True, False), ("fit", "steps"))
    return [Way(*way) for way in made]


@cache
def attacked(*case) -> tuple[list[str], frozenset[Cell]]:
    """Differences, and cells that ran."""
    made = directed(*case)
    _, expected, _ = bits.run(made, Way(1, runtime.isas()[0]))
    differences, cells = [], set()
    for way in ways(made):
        _, got, seen = bits.run(made, way)
        differences += bits.unlike(way, expected, got)
        cells |= seen
    return differences, frozenset(cells)


@cache
def all_seen() -> frozenset[Cell]:
    return frozenset().union(*(attacked(*case)[1] for case in CASES))


def test_the_table_has_every_cell_once():
    assert [sum(row.has(cell) for row in TABLE) for cell in CELLS] == [1] * len(CELLS)
    assert (len(POSSIBLE), len(CELLS)) == (36, 96)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_kind_of_run_has_the_bits_of_one_thread(case):
    differences, _ = attacked(*case)
    assert not differences, f"{directed(*case)!r}\n" + "\n".join(differences)


@pytest.mark.skipif(not runtime.has_threads(), reason="one thread has no regimes")
@pytest.mark.parametrize("cell", POSSIBLE, ids=lambda cell: "-".join(map(str, cell)))
def test_a_possible_cell_is_hit(cell):
    assert cell in all_seen()


def test_no_impossible_cell_is_hit():
    assert all_seen() <= set(POSSIBLE)
