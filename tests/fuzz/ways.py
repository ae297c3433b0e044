"""The ways of running a case, which must not show in its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import NamedTuple

import numpy as np

from fastbp.engine import runtime
from fastbp.schedules import Schedule
from fuzz.cases import Case, Rows
from fuzz.forms import DENSE, FORMS, formed

THREADS = (1, 2, 3, 5, 7)
FOLD_ROWS = 8  # up to so many rows a step may stream, above a chain may be cut in columns


class Way(NamedTuple):
    """Threads, kernel set, regime and packing of the first layer; and how the steps are asked for.

    `calls` is "fit" (all epochs in one call), "fits" (a call for each epoch) or "steps" (a call for
    each batch). `form` is that of the rows, one of `forms.FORMS` or dense.
    """

    threads: int
    isa: str
    regime: str | None = None
    packs_first_layer: bool | None = None
    calls: str = "fit"
    form: str = DENSE

    def of(self, rows: Rows) -> Rows:
        """The rows in this form."""
        return rows._replace(x=formed(rows.x, self.form))

    def __str__(self) -> str:
        thread = "thread" if self.threads == 1 else "threads"
        regime = self.regime or "the cost model's regime"
        packs = {None: "", True: ", first layer packed", False: ", first layer not packed"}
        how = f"{regime}{packs[self.packs_first_layer]}"
        return f"{self.calls}, {self.threads} {thread}, {self.isa}, {how}, {self.form}"


@contextmanager
def kernels(isa: str) -> Iterator[None]:
    """The whole engine with this kernel set."""
    before = runtime.isa()
    runtime.use_isa(isa)
    try:
        yield
    finally:
        runtime.use_isa(before)


def default_threads() -> tuple[int, ...]:
    return THREADS if runtime.has_threads() else (1,)


def may_be_wide(case: Case) -> bool:
    return case.is_chain and len(case.layers) > 1 and case.batch > FOLD_ROWS


def may_stream(case: Case) -> bool:
    limited = {"clip_norm", "max_norm"} & case.options.keys()
    trained = all(layer.trainable for layer in case.layers)
    return case.is_chain and case.batch <= FOLD_ROWS and trained and not limited


def may_be_sparse(case: Case) -> bool:
    """Whether its rows stay sparse in every form: a tenth are numbers, and no map moves zeros."""
    few = 10 * np.count_nonzero(case.rows.x) <= case.rows.x.size
    return case.is_chain and few and case.preprocessing is None


def may_step(case: Case) -> bool:
    """Whether the epochs of `fit` are calls of `step`, in an order known without drawing it."""
    rate = case.optimizer.learning_rate
    by_epoch = isinstance(rate, Schedule) and rate.per == "epoch"
    in_order = not case.shuffle or case.batch == case.n_rows
    return in_order and not by_epoch and case.class_weight != "balanced"


def may_step_wide(case: Case) -> bool:
    return may_step(case) and len(case.batches[-1].x) > FOLD_ROWS


def ways_of(case: Case, threads: Sequence[int], isas: Sequence[str]) -> list[Way]:
    """The plainest way, then some that together have each regime, thread count and kind of call.

    Which of them are combined is drawn from the case's seed.
    """
    rng = np.random.default_rng([case.seed, 4])
    turns = _Turns(rng, case, threads, isas)
    ways = [Way(1, isas[0])]
    ways += [turns.way(None) for _ in range(2)]
    ways += [turns.way("batch-split") for _ in range(2)]
    if may_be_wide(case) and max(threads) > 1:
        ways += [turns.way("wide") for _ in range(3)]
    if may_stream(case):
        ways += [turns.way("streaming") for _ in range(2)]
    if may_be_sparse(case):
        ways += [turns.way("sparse") for _ in range(2)]
    return ways


def measuring_ways(case: Case, threads: Sequence[int], isas: Sequence[str]) -> list[Way]:
    """The plainest way, and those that share out gradients; none of them streams."""
    rng = np.random.default_rng([case.seed, 5])
    turns = _Turns(rng, case, threads, isas)
    regimes = [None, "batch-split", *["wide"] * (may_be_wide(case) and max(threads) > 1)]
    ways = [turns.way(regime) for regime in regimes]
    return [
        Way(1, isas[0]),
        *(way._replace(packs_first_layer=None, calls="measured") for way in ways),
    ]


class _Turns:
    """Everything that a way has, each in turn."""

    def __init__(
        self, rng: np.random.Generator, case: Case, threads: Sequence[int], isas: Sequence[str]
    ) -> None:
        def turns(values):
            return cycle(rng.permutation(np.array(values, object)).tolist())

        self._case = case
        self._threads, self._teams = turns(threads), turns([n for n in threads if n > 1] or [1])
        self._isas = turns([*isas, isas[0]])
        self._calls = turns(["fit", "fits", "steps"] if may_step(case) else ["fit", "fits"])
        self._packs = turns([True, False, None])
        self._forms = turns([*FORMS, *[DENSE] * len(FORMS)])
        self._sparse_forms = turns(FORMS)

    def way(self, regime: str | None) -> Way:
        wide, calls = regime == "wide", next(self._calls)
        if wide and calls == "steps" and not may_step_wide(self._case):
            calls = "fits"
        threads = next(self._teams if wide else self._threads)
        packs = next(self._packs) if wide or regime is None else None
        form = next(self._sparse_forms if regime == "sparse" else self._forms)
        return Way(threads, next(self._isas), regime, packs, calls, form)
