"""Is there a cliff between neighbouring sizes? ``python bench/sweep.py``.

Times a step for every width from 2 to 130 (W-W-W, batch 32) and every batch size from 1 to 130
(32-64-10), on one thread and on several. Each round goes over all sizes in a new random order,
so that a disturbance falls on sizes far apart and shows as spread. Printed are the largest jumps
between neighbours, the ratio of their medians, and where several threads fare worst against one;
the picture shows the medians with the middle half of the rounds as a band.

An epoch trains on about a quarter of a million numbers whatever the size, rows in their order;
the time is that of the compiled steps, `History`'s seconds.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import options
import report
from contestant import trainer_of
from timing import rounds, spread

from fastbp.engine.runtime import get_num_threads

NUMBERS = 2**18  # of an epoch's input: 1 MB
WIDTHS, BATCH_OF_WIDTHS = range(2, 131), 32
BATCHES, WIDTHS_OF_BATCHES = range(1, 131), (32, 64, 10)
WARM_UP = 3  # epochs: the engine finds out how many steps to take at once


@dataclass(frozen=True)
class Point:
    """One size of one panel on so many threads."""

    panel: str  # "width" or "batch size"
    size: int
    threads: int

    def measure(self, numbers: np.ndarray) -> Callable[[], float]:
        """Return what trains for an epoch and gives microseconds per step."""
        if self.panel == "width":
            # An autoencoder, so that the loss is the same for every width.
            widths, batch = (self.size,) * 3, BATCH_OF_WIDTHS
        else:
            widths, batch = WIDTHS_OF_BATCHES, self.size
        steps = NUMBERS // (batch * widths[0])
        x = numbers[: steps * batch * widths[0]].reshape(-1, widths[0])
        classifies = self.panel != "width"
        y = np.arange(len(x)) % widths[-1] if classifies else x
        trainer = trainer_of(widths, batch, classifies, self.threads, shuffle=False)
        trainer.fit(x, y, epochs=WARM_UP)
        return lambda: 1e6 * trainer.fit(x, y)["seconds"][-1] / steps


def main() -> None:
    arguments = _arguments()
    facts = report.here(arguments.threads)
    report.show(facts)
    if arguments.threads > get_num_threads():
        print(f"{arguments.threads} threads on fewer cores: their times say little\n")
    results = _measure(arguments)
    jumps = [jump for curve in _curves(results).values() for jump in _jumps(curve)]
    worst = _worst_ratio(results, arguments.threads)
    print("\n".join([*map(_sentence, jumps), *([_ratio_sentence(worst)] if worst else [])]))
    report.write(arguments.json, facts, results, jumps=jumps, threads_ratio=worst)
    if arguments.out:
        from sweep_plot import draw

        draw(arguments.out, facts, _curves(results))
        print(f"picture in {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = options.parser(__doc__, threads=max(2, get_num_threads()))
    add = parser.add_argument
    add("--rounds", type=int, default=25, help="over all sizes, 2 or more (%(default)s)")
    add("--most", type=int, default=130, metavar="SIZE", help="3 or more (%(default)s)")
    add("--out", default="sweep.png", metavar="FILE", help="picture (%(default)s); '' for none")
    return parser.parse_args()


def _points(most: int, threads: int) -> Iterator[Point]:
    for panel, sizes in [("width", WIDTHS), ("batch size", BATCHES)]:
        for size in sizes[: most + 1 - sizes[0]]:
            yield from (Point(panel, size, n) for n in dict.fromkeys([1, threads]))


def _measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    numbers = np.random.default_rng(0).standard_normal(NUMBERS, np.float32)
    points = _points(arguments.most, arguments.threads)
    measures = {point: point.measure(numbers) for point in points}
    samples = rounds(measures, arguments.rounds, random.Random(0))
    return [
        {
            "panel": point.panel,
            "size": point.size,
            "threads": point.threads,
            "microseconds": median(taken),
            "quartiles": [float(q) for q in np.percentile(taken, [25, 75])],
            "spread": spread(taken),
            "samples": taken,
        }
        for point, taken in samples.items()
    ]


def _curves(results: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return the results of each panel and number of threads, by size."""
    curves: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        curves.setdefault((result["panel"], result["threads"]), []).append(result)
    return curves


def _jumps(curve: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest jump up and the largest jump down, as a size grows by one."""
    jumps = [
        {
            "panel": a["panel"],
            "threads": a["threads"],
            "sizes": [a["size"], b["size"]],
            "microseconds": [a["microseconds"], b["microseconds"]],
            "ratio": b["microseconds"] / a["microseconds"],
        }
        for a, b in pairwise(curve)
    ]
    by_ratio = sorted(jumps, key=lambda jump: jump["ratio"])
    return [by_ratio[-1] | {"direction": "up"}, by_ratio[0] | {"direction": "down"}]


def _worst_ratio(results: list[dict[str, Any]], threads: int) -> dict[str, Any] | None:
    """Return where `threads` threads take longest compared with one; None if there is no such."""
    alone = {(r["panel"], r["size"]): r["microseconds"] for r in results if r["threads"] == 1}
    ratios = [
        {
            "panel": r["panel"],
            "size": r["size"],
            "threads": threads,
            "microseconds": [alone[r["panel"], r["size"]], r["microseconds"]],
            "ratio": r["microseconds"] / alone[r["panel"], r["size"]],
        }
        for r in results
        if r["threads"] != 1
    ]
    return max(ratios, key=lambda r: r["ratio"], default=None)


def _sentence(jump: dict[str, Any]) -> str:
    before, after = (report.number(time) for time in jump["microseconds"])
    return (
        f"{jump['panel']}, {_count(jump['threads'])}: largest jump {jump['direction']} "
        f"{jump['ratio']:.2f}x, from {jump['sizes'][0]} ({before} µs) "
        f"to {jump['sizes'][1]} ({after} µs)"
    )


def _ratio_sentence(worst: dict[str, Any]) -> str:
    one, several = (report.number(time) for time in worst["microseconds"])
    return (
        f"{_count(worst['threads'])} take at most {worst['ratio']:.2f}x the time of one: at "
        f"{worst['panel']} {worst['size']} ({several} and {one} µs)"
    )


def _count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


if __name__ == "__main__":
    main()
