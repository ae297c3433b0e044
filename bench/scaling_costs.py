"""What the model of scaling.py is fed with, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from threading import Barrier

import numpy as np
from contestant import FastBP
from kernels import layer_calls
from problems import Shape
from timing import repeats_in, seconds_of

import fastbp as fb
from fastbp.engine.probe import KernelCalls, barrier_seconds

SAMPLES = 5
SAMPLE_SECONDS = 2e-3
BARRIERS = 3000  # in a row
# Of two threads, when there is no second core to measure it on: a line to and fro between cores.
ASSUMED_BARRIER = 3e-7
DEFAULT_CACHES = {2: 2**20, 3: 2**25}
UPDATE_SECONDS = 0.02
EPOCHS = 4
LINE = 16  # numbers, of float32, that columns are padded to


def timed(run: Callable[[int], object]) -> float:
    """Return the least time of one call of a kernel, run(times) being so many."""
    times = repeats_in(SAMPLE_SECONDS, lambda n: seconds_of(lambda: run(n)))
    return min(seconds_of(lambda: run(times)) / times for _ in range(SAMPLES))


@cache
def _layer(batch: int, n_in: int, n_out: int) -> KernelCalls:
    return layer_calls("float32", batch, n_in, n_out)


class Kernels:
    """The pieces of a step of one shape in float32, on one thread."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._layers = [_layer(shape.batch, *pair) for pair in pairwise(shape.widths)]
        rng = np.random.default_rng(0)
        self._source = rng.random((shape.batch * shape.steps, shape.widths[0]), np.float32)
        self._order = rng.permutation(len(self._source))
        self.item, self._band = cache(self._item), cache(self._band_seconds)

    def block(self, layer: int, rows: int, columns: int) -> float:
        """Seconds of the update of a block of a layer's weight: its part of all of these rows."""
        padded = -(-self._shape.widths[layer + 1] // LINE) * LINE
        return self._band(layer, rows) * columns / padded

    def _band_seconds(self, layer: int, rows: int) -> float:
        calls = self._layers[layer]
        return timed(lambda n: calls.dense_update(n, rows))

    def _item(self, kind: str, layer: int, size: int) -> float:
        """Seconds of an item before the update, of so many rows or columns; or of a gather."""
        batch, widths = self._shape.batch, self._shape.widths
        if kind == "through":
            return self._through(size)
        if kind == "gather":
            return self._gather(size)
        if kind == "last":
            return self._last(size)
        if kind == "forward":
            calls = _layer(batch, widths[layer], size)
            return timed(lambda n: calls.dense_forward(n, batch, "relu"))
        calls = _layer(batch, size, widths[layer + 1])
        return timed(lambda n: calls.dense_delta(n, batch, "relu"))

    def _through(self, rows: int) -> float:
        """Gather, forward, loss, deltas."""
        hidden = [partial(calls.dense_forward, rows=rows) for calls in self._layers[:-1]]
        hidden += [partial(calls.dense_delta, rows=rows) for calls in self._layers[1:]]
        inside = sum(timed(partial(run, activation="relu")) for run in hidden)
        return self._gather(rows) + inside + self._last(rows)

    def _gather(self, rows: int) -> float:
        calls = self._layers[0]
        return timed(lambda n: calls.gather_rows(n, rows, self._source, self._order))

    def _last(self, rows: int) -> float:
        """The last layer's output and the loss."""
        calls = self._layers[-1]
        pair = ("cross_entropy", "softmax") if self._shape.classifies else ("mse", "linear")
        return timed(lambda n: calls.dense_forward(n, rows, "linear")) + timed(
            lambda n: calls.loss_delta(n, rows, *pair)
        )


def outside_steps(running: FastBP) -> float:
    """Return the seconds of an epoch on top of those of its steps, shared out to its steps."""
    clock = _Clock()
    history = running.trainer.fit(running.problem.x, running.y, EPOCHS, callbacks=[clock])
    outside = np.diff(clock.ends) - history["seconds"][1 - EPOCHS :]
    return float(np.median(outside)) / running.problem.shape.steps


class _Clock:
    """A callback that notes when each epoch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, trainer: fb.Trainer, history: fb.History) -> None:
        self.ends.append(time.perf_counter())


class Barriers:
    """Seconds of the engine's barrier by team; the hand-over from phase to phase counts as one."""

    def __init__(self, cores: int) -> None:
        self.measured = {
            team: min(barrier_seconds(team, BARRIERS) for _ in range(SAMPLES))
            for team in range(2, cores + 1)
        }

    def __call__(self, team: int) -> float:
        if team in self.measured:
            return self.measured[team]
        known = max(self.measured, default=2)
        return self.measured.get(known, ASSUMED_BARRIER) * team / known


class Bandwidth:
    """Bytes per second, read and written, by team and by how much is touched.

    In the threads' own caches nothing is waited for. The shared cache has a port for every core,
    so its rate grows with the team. Memory's does not beyond what all cores of this machine, or
    `memory` bytes per second if that is known, can draw.
    """

    def __init__(self, cores: int, memory: float | None) -> None:
        self.own, self.shared = cache_bytes(2), cache_bytes(3)
        part = max(min(4 * self.own, self.shared // 2 // cores), self.own)
        self.of_shared = update_rate(cores, part) / cores
        self.of_memory = update_rate(1, 4 * self.shared)
        self.most = memory or update_rate(cores, 4 * self.shared // cores)

    def __call__(self, team: int, touched: int) -> float:
        if touched <= self.own * team:
            return float("inf")
        if touched <= self.shared:
            return team * self.of_shared
        return min(team * self.of_memory, max(self.most, self.of_memory))


def update_rate(threads: int, bytes_each: int) -> float:
    """Return bytes per second, read and written, of threads that each update an array in place."""
    ready = Barrier(threads)

    def update() -> float:
        array = np.ones(bytes_each // 4, np.float32)

        def run(times: int) -> float:
            return seconds_of(lambda: [np.add(array, 1, out=array) for _ in range(times)])

        times = repeats_in(UPDATE_SECONDS, run)
        ready.wait()
        return 2 * array.nbytes * times / run(times)

    with ThreadPoolExecutor(threads) as pool:
        return sum(f.result() for f in [pool.submit(update) for _ in range(threads)])


def cache_bytes(level: int) -> int:
    """Return the size of the first core's cache of a level, as Linux has it."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (index / "level").read_text().strip() == str(level):
            return int((index / "size").read_text().strip().rstrip("K")) * 1024
    return DEFAULT_CACHES[level]
