"""What limits a step on many threads: a model of its time in the batch-split and wide regimes.

    T(t) = A(t) + U(t) + phases * hand-over(team) + serial

The engine itself says how it cuts a step for t threads: the team that finds work, the regime, the
items of each phase and the blocks of weights (fastbp.engine.costmodel.describe). A thread claims
items from its own share on, then what is left; an item takes what its kernels were measured to
take on one thread. No thread is late here, so none computes an item of another.

A         batch-split: blocks of rows through all layers and back, one phase. Wide: every thread
          gathers the whole batch; then columns of each layer's output, rows of the last layer
          and their losses, input units of each layer, a phase each.
U         the update, the last phase: blocks of weights.
hand-over from a phase to the next. It counts as the barrier of a team, measured with nothing else
          to do: there too every thread has to see a line that another wrote. Measured for teams
          up to the machine's; beyond, proportional to the team, because all write to the lines
          that all read.
serial    what an epoch does outside its steps (shuffle, history, ...), shared out to its steps.

A and U last at least as long as the bytes that they move take at the bandwidth of the cache
level that a step fits. A thread's kernels are measured on arrays in cache, so a step on one
thread takes a little longer than the model says; speed-ups divide one modelled time by another.

What T(t) has on top of T(1) / t is named by the largest of its causes:

rows       fewer threads than asked for find rows
A          its items do not divide by the team, or are too low or narrow for full register tiles;
           in the wide regime also that every thread gathers all rows
update     its blocks do not divide by the team
hand-over  two a step, or in the wide regime twice the layers
serial     Amdahl's part
bandwidth  bytes / bandwidth beyond the time of the kernels
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

from fastbp.engine.costmodel import describe

LINE_BYTES = 64  # columns are shared out in whole lines
NEGLIGIBLE = 0.01  # part of a step that is no limit


@dataclass(frozen=True)
class Costs:
    """What was measured, in seconds and bytes per second."""

    item: Callable[[str, int, int], float]  # (kind, layer, size) of A, on one thread; or "gather"
    block: Callable[[int, int, int], float]  # (layer, rows, columns) of the update, on one thread
    barrier: Callable[[int], float]  # of so many threads
    bandwidth: Callable[[int, int], float]  # of so many threads on so many bytes
    serial: float
    cache: int  # bytes that one thread has to itself


@dataclass(frozen=True)
class Prediction:
    """A step on so many threads; seconds."""

    threads: int
    team: int
    wide: bool
    phase_a: float
    update: float
    hand_over: float
    serial: float
    bandwidth: float  # what waiting for bytes adds to the phases

    @property
    def seconds(self) -> float:
        return self.phase_a + self.update + self.hand_over + self.serial + self.bandwidth


def predict(
    widths: tuple[int, ...], batch: int, item: int, costs: Costs, t: int, l2: float | None = None
) -> Prediction:
    """Return the modelled step; `item` is the size of a number, `l2` of a core's L2 cache.

    Default: this machine's.
    """
    cut = describe(widths, batch, t, item, l2)
    team = cut["team"]
    phase_a = sum(
        makespan([costs.item(kind, layer, n) for n in parts], shares(len(parts), team))
        for kind, layer, parts in parts_of(widths, batch, item, cut)
    )
    if cut["wide"]:
        phase_a += costs.item("gather", 0, batch)
    update = makespan([costs.block(*block[:3]) for block in cut["blocks"]], owned(cut))
    rate = costs.bandwidth(team, footprint(widths, batch, item))
    bytes_a = traffic_a(widths, batch, cut, costs.cache // item) * item
    bytes_update = traffic_update(widths, batch, cut, costs.cache // item) * item
    return Prediction(
        threads=t,
        team=team,
        wide=cut["wide"],
        phase_a=phase_a,
        update=update,
        hand_over=(len(cut["phases"]) + 1) * costs.barrier(team) if team > 1 else 0.0,
        serial=costs.serial,
        bandwidth=max(0.0, bytes_a / rate - phase_a) + max(0.0, bytes_update / rate - update),
    )


def limit(one: Prediction, many: Prediction) -> str:
    """Return what costs `many` most of the speed-up that it has threads for; "" for nothing."""
    work, team = one.phase_a + one.update, many.team
    causes = {
        "rows": work / team - work / many.threads,
        "A": many.phase_a - one.phase_a / team,
        "update": many.update - one.update / team,
        "hand-over": many.hand_over,
        "serial": many.serial * (1 - 1 / many.threads),
        "bandwidth": many.bandwidth - one.bandwidth / team,
    }
    cause = max(causes, key=lambda name: causes[name])
    return cause if causes[cause] > NEGLIGIBLE * many.seconds else ""


def parts_of(
    widths: tuple[int, ...], batch: int, item: int, cut: dict[str, Any]
) -> Iterator[tuple[str, int, list[int]]]:
    """Give (kind, layer, sizes of the items) of the phases before the update: rows, or columns."""
    line = LINE_BYTES // item
    for kind, layer, n in cut["phases"]:
        if kind == "through":
            parts = [min(cut["rows"], batch - i * cut["rows"]) for i in range(n)]
        elif kind == "last":
            parts = equal_parts(batch, n)
        else:
            columns = widths[layer + 1] if kind == "forward" else widths[layer]
            parts = [line * lines for lines in equal_parts(-(-columns // line), n)]
        yield kind, layer, parts


def equal_parts(total: int, n: int) -> list[int]:
    return [total * (i + 1) // n - total * i // n for i in range(n)]


def shares(items: int, team: int) -> list[int]:
    """Return the item that each thread claims first in a phase before the update."""
    return [items * thread // team for thread in range(team)]


def owned(cut: dict[str, Any]) -> list[int]:
    """Return the block of weights that each thread claims first: its own are in its cache."""
    owners = [owner for *_, owner in cut["blocks"]]
    return [min(bisect_left(owners, thread), len(owners) - 1) for thread in range(cut["team"])]


def makespan(durations: Sequence[float], firsts: Sequence[int]) -> float:
    """Return when the last item is done.

    Thread i claims from item firsts[i] on and round to the one before it, whenever it is free,
    what nobody has claimed.
    """
    n = len(durations)
    orders = [iter(chain(range(first, n), range(first))) for first in firsts]
    claimed: set[int] = set()
    free = [(0.0, thread) for thread in range(len(firsts))]
    while len(claimed) < n:
        now, thread = free[0]
        item = next(i for i in orders[thread] if i not in claimed)
        claimed.add(item)
        heapq.heapreplace(free, (now + durations[item], thread))
    return max(free)[0]


def footprint(widths: tuple[int, ...], batch: int, item: int) -> int:
    """Return the bytes that a step touches: weights, inputs, outputs, deltas and targets."""
    rows = widths[0] + 2 * sum(widths[1:]) + widths[-1]
    return item * (_weights(widths) + batch * rows)


def traffic_a(widths: tuple[int, ...], batch: int, cut: dict[str, Any], cache: int) -> int:
    """Return the numbers that all threads together fetch or write in A.

    Batch-split: rows gathered, outputs and deltas, once; and every block of rows reads all
    weights, forward and but for the first layer's for the deltas. Where they fit the cache of a
    thread, each thread fetches what the others have written once.

    Wide: every thread reads all rows, outputs and deltas, and its part of the weights, unless the
    parts fit the threads' caches: who updated them has them.
    """
    weights, team = _weights(widths), cut["team"]
    twice = 2 * weights - widths[0] * widths[1]
    rows = batch * (widths[0] + 2 * sum(widths[1:]))
    if cut["wide"]:
        return team * rows + (twice if weights > team * cache else 0)
    rows += batch * widths[0]
    return rows + (team * weights if weights <= cache else cut["phases"][0][2] * twice)


def traffic_update(widths: tuple[int, ...], batch: int, cut: dict[str, Any], cache: int) -> int:
    """Return the numbers that all threads together fetch or write in the update.

    Weights are read and written, but in the wide regime when they are in the threads' caches.
    Batch-split: the blocks of a band of weight rows read its columns of the input once, and all
    deltas, each band anew or each thread once if its cache holds them. Wide: every thread reads
    all of the input and its columns of the deltas.
    """
    weights, team = _weights(widths), cut["team"]
    numbers = 0 if cut["wide"] and weights <= team * cache else 2 * weights
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        bands = _bands(layer, n_in, cut["blocks"])
        readers = bands if batch * n_out > cache else min(team, bands)
        numbers += batch * (team * n_in + n_out if cut["wide"] else n_in + readers * n_out)
    return numbers


def _bands(layer: int, n_in: int, blocks: Sequence[tuple[int, int, int, int]]) -> int:
    """Return in how many bands of rows the blocks cut a layer's weight."""
    sizes = [(rows, columns) for at, rows, columns, _ in blocks if at == layer]
    return n_in * sum(columns for _, columns in sizes) // sum(r * columns for r, columns in sizes)


def _weights(widths: tuple[int, ...]) -> int:
    return sum(a * b for a, b in pairwise(widths))
