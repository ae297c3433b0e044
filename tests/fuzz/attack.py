"""All that is tried on a case: its bits in many ways, and the truth as far as rounding lets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastbp import testing
from fastbp.engine import runtime
from fuzz import bits, truth, updates
from fuzz.cases import Case
from fuzz.ways import default_threads


class Found(NamedTuple):
    """Differences as sentences, runs done, cells of the engine that ran."""

    differences: list[str]
    runs: int
    cells: set[testing.Cell]


def attack(
    case: Case, threads: Sequence[int] | None = None, isas: Sequence[str] | None = None
) -> Found:
    """Without `threads` or `isas`, those of the machine."""
    threads, isas = threads or default_threads(), isas or runtime.isas()
    differences, runs, cells = bits.compare(case, threads, isas)
    differences += truth.differences(case, case.network())
    differences += updates.differences(case, max(threads))
    return Found(differences, runs + 2, cells)
