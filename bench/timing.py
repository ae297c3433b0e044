"""Timing in rounds: whatever is compared takes turns, so that all of it meets the same machine.

What a neighbour or the clock of the processor does shows as spread within each contestant and
not as a difference between them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

ROUNDS = 7
PEAK_MILLISECONDS = 30  # of one probe of the peak


def rounds(
    measures: Mapping[Key, Callable[[], float]],
    n: int = ROUNDS,
    rng: random.Random | None = None,
) -> dict[Key, list[float]]:
    """Return n figures from each of `measures`, called in turn; in a new order each time by rng."""
    samples: dict[Key, list[float]] = {key: [] for key in measures}
    keys = list(measures)
    for _ in range(n):
        if rng is not None:
            rng.shuffle(keys)
        for key in keys:
            samples[key].append(measures[key]())
    return samples


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def repeats_in(seconds: float, run: Callable[[int], float]) -> int:
    """Return how many repeats take about so long, one at least; `run` does some and times them."""
    repeats = 1
    while (elapsed := run(repeats)) < seconds / 4:
        repeats *= 4
    return max(1, round(repeats * seconds / elapsed))


def spread(samples: list[float]) -> float:
    """Half the interquartile range over the median."""
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / 2 / middle
