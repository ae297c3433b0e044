"""What limits a step of the batch-split regime on many threads: a model of its time.

    T(t) = A(t) + B(t) + 2 barrier(team) + serial

team     the threads that find work: min(t, batch // 4), as the engine decides.
A        phase A: the batch in equal blocks of at most 128 rows, claimed by the team. A block
         takes what its kernels were measured to take on one thread.
B        phase B: the weight rows of all layers in items, claimed by the team, likewise.
barrier  measured for teams up to the machine's; beyond, proportional to the team, because
         arrivals queue for the one counter.
serial   what an epoch does outside its steps (shuffle, snapshot, ...), shared out to its steps.

A and B last at least as long as the bytes that they move take at the bandwidth of the cache
level that a step fits. A thread's kernels are measured on arrays in cache, so a step on one
thread takes a little longer than the model says; speed-ups divide one modelled time by another.

What T(t) has on top of T(1) / t is named by the largest of its causes:

rows       fewer threads than asked for find rows
blocks     blocks of A do not divide by the team, or are too low for a full register tile
items      items of B do not divide by the team, or are too low
barriers   two a step
serial     Amdahl's part
bandwidth  bytes / bandwidth beyond the time of the kernels
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

# How _engine.pyx cuts a step into pieces.
PHASE_ROWS = 128
LEAST_ITEM_ROWS = 24
MOST_ITEM_ROWS = 256
ROWS_OF_A_THREAD = 4

NEGLIGIBLE = 0.01  # part of a step that is no limit


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds and bytes per second."""

    block: Callable[[int], float]  # phase A of so many rows, on one thread
    item: Callable[[int, int], float]  # phase B of a layer: so many of its weight rows
    barrier: Callable[[int], float]  # of so many threads
    bandwidth: Callable[[int, int], float]  # of so many threads on so many bytes
    serial: float
    cache: int  # bytes that one thread has to itself


@dataclass(frozen=True)
class Prediction:
    """A step on so many threads; seconds."""

    threads: int
    team: int
    phase_a: float
    phase_b: float
    barriers: float
    serial: float
    bandwidth: float  # what waiting for bytes adds to the phases

    @property
    def seconds(self) -> float:
        return self.phase_a + self.phase_b + self.barriers + self.serial + self.bandwidth


def predict(widths: tuple[int, ...], batch: int, item: int, costs: Costs, t: int) -> Prediction:
    """Return the modelled step; `item` is the size of a number."""
    team = max(1, min(t, batch // ROWS_OF_A_THREAD))
    blocks, items = row_blocks(batch, team), weight_items(widths, t)
    phase_a = makespan(map(costs.block, blocks), team)
    phase_b = makespan((costs.item(*item) for item in items), team)
    rate = costs.bandwidth(team, footprint(widths, batch, item))
    bytes_a = traffic_a(widths, batch, len(blocks), team, costs.cache // item) * item
    bytes_b = traffic_b(widths, batch, items) * item
    return Prediction(
        threads=t,
        team=team,
        phase_a=phase_a,
        phase_b=phase_b,
        barriers=2 * costs.barrier(team) if team > 1 else 0.0,
        serial=costs.serial,
        bandwidth=max(0.0, bytes_a / rate - phase_a) + max(0.0, bytes_b / rate - phase_b),
    )


def limit(one: Prediction, many: Prediction) -> str:
    """Return what costs `many` most of the speed-up that it has threads for; "" for nothing."""
    work, team = one.phase_a + one.phase_b, many.team
    causes = {
        "rows": work / team - work / many.threads,
        "blocks": many.phase_a - one.phase_a / team,
        "items": many.phase_b - one.phase_b / team,
        "barriers": many.barriers,
        "serial": many.serial * (1 - 1 / many.threads),
        "bandwidth": many.bandwidth - one.bandwidth / team,
    }
    cause = max(causes, key=lambda name: causes[name])
    return cause if causes[cause] > NEGLIGIBLE * many.seconds else ""


def row_blocks(batch: int, team: int) -> list[int]:
    """Return the rows of each block of phase A."""
    count = team * -(-batch // (team * PHASE_ROWS))
    rows = min(PHASE_ROWS, (-(-batch // count) + 3) // 4 * 4)
    return [min(rows, batch - first) for first in range(0, batch, rows)]


def weight_items(widths: tuple[int, ...], threads: int) -> list[tuple[int, int]]:
    """Return (layer, weight rows) of each item of phase B, in the order of the claims."""
    items = []
    for layer, left in enumerate(widths[:-1]):
        while left:
            rows = left // (2 * threads) // 8 * 8
            rows = min(max(rows, LEAST_ITEM_ROWS), MOST_ITEM_ROWS, left)
            items.append((layer, rows))
            left -= rows
    return items


def makespan(durations: Iterable[float], team: int) -> float:
    """Return when the last piece is done; each is claimed by the thread that is free first."""
    free = [0.0] * team
    for duration in durations:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def footprint(widths: tuple[int, ...], batch: int, item: int) -> int:
    """Return the bytes that a step touches: weights, inputs, outputs, deltas and targets."""
    rows = widths[0] + 2 * sum(widths[1:]) + widths[-1]
    return item * (_weights(widths) + batch * rows)


def traffic_a(widths: tuple[int, ...], batch: int, blocks: int, team: int, cache: int) -> int:
    """Return the numbers that phase A moves: rows gathered, outputs and deltas, and weights.

    Every block reads all weights, forward and but for the first layer's for the deltas; where
    they fit the cache of a thread, each thread fetches what the others have written once.
    """
    weights = _weights(widths)
    rows = 2 * widths[0] + 2 * sum(widths[1:])
    if weights <= cache:
        return team * weights + batch * rows
    return blocks * (2 * weights - widths[0] * widths[1]) + batch * rows


def traffic_b(widths: tuple[int, ...], batch: int, items: list[tuple[int, int]]) -> int:
    """Return the numbers that phase B moves: each item reads its columns of the layer's input
    and all of its deltas, and reads and writes its weights."""
    return sum(
        batch * (rows + widths[layer + 1]) + 2 * rows * widths[layer + 1] for layer, rows in items
    )


def _weights(widths: tuple[int, ...]) -> int:
    return sum(a * b for a, b in pairwise(widths))
