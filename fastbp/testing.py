"""For tests: how the engine shares out its steps, forced, so that no cost model hides a regime.

Results never depend on it; that is what the tests show.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import _check
from .engine.costmodel import REGIMES, force
from .engine.run import Cell, seen

__all__ = ["REGIMES", "Cell", "forced"]


@contextmanager
def forced(
    regime: str | None = None,
    packs_first_layer: bool | None = None,
    helps: bool = True,
    region_steps: int | None = None,
) -> Iterator[set[Cell]]:
    """Force how steps are done within the block, in the whole process.

    Every step of `Trainer.fit`, `Trainer.step` and `Network.gradients` then gets as many of its
    `n_threads` as find rows, however small it is and however busy the machine.

    Parameters
    ----------
    regime : {"batch-split", "wide", "streaming", "sparse"}, optional
        Default: the cost model's choice.
    packs_first_layer : bool, optional
        Whether the wide regime moves the first layer's weight to memory of its own. Default:
        for calls of 16 steps or more.
    helps : bool
        Whether a thread that waits computes again what another has claimed. Who was late then
        reads rows that are being written, and throws away what it makes of them; with False all
        accesses are ordered.
    region_steps : int, optional
        Steps that `Trainer.fit` does before it calls ``on_region_end`` and moves the progress bar.
        Default: as many as 50 ms hold.

    Yields
    ------
    set of Cell
        How the steps within the block were done, up to now: regime; whether the first layer is
        the last; whether its weight was packed; whether a snapshot of the start was taken; whether
        gradients were held; whether norms of weights were limited.

    Raises
    ------
    ConfigError
        The regime is unknown; within the block, it does not suit a step: "wide" wants a chain of
        two `Dense` layers or more, more than 8 rows and two threads, "streaming" a chain without
        a frozen layer, at most 8 rows, and no limit on norms, "sparse" a sparse matrix and a chain.
    """
    if regime is not None:
        regime = _check.choice(regime, tuple(REGIMES), "regime")
    steps = _check.optional_int(region_steps, "region_steps") or 0
    seen.clear()
    force(True, regime, packs_first_layer, _check.flag(helps, "helps"), steps)
    try:
        yield seen
    finally:
        force(False)
