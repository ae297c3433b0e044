"""A run beside a busy neighbour: ``python bench/neighbour.py``.

A step on one thread and on all, on the quiet machine and beside one process that does nothing but
take a core, in rounds. Asked is that the team takes at most 1.6 times its quiet time, and at most
1.15 times what one thread takes beside the same neighbour.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import options
import report
from contestant import FastBP
from problems import SHAPES, Problem
from timing import ROUNDS, repeats_in, seconds_of

from fastbp.engine.runtime import get_num_threads

SETTLING = 0.3  # seconds that a neighbour gets to start
TITLES = ["network, batch", "threads", "quiet µs", "busy µs", "busy / quiet", "busy / one thread"]


def main() -> None:
    arguments = _arguments()
    named = {shape.name: shape for shape in SHAPES if shape.data == "random"}
    shape = options.choose(arguments.only, named)[0]
    problem, teams = Problem(shape), sorted({1, arguments.threads})
    running = {threads: FastBP(problem, threads) for threads in teams}
    epochs = {
        t: repeats_in(arguments.seconds / ROUNDS, lambda n, r=r: seconds_of(lambda: r.train(n)))
        for t, r in running.items()
    }
    samples: dict[str, dict[int, list[float]]] = {
        k: {t: [] for t in teams} for k in ("quiet", "busy")
    }
    for _ in range(ROUNDS):
        _sample(samples["quiet"], running, epochs)
        with neighbour():
            _sample(samples["busy"], running, epochs)
    facts = report.here(arguments.threads)
    report.show(facts)
    quiet, busy = (
        {t: median(s) / shape.steps for t, s in part.items()} for part in samples.values()
    )
    print(report.head(TITLES))
    for t in teams:
        ratios = f"{busy[t] / quiet[t]:.2f}", f"{busy[t] / busy[1]:.2f}"
        print(
            report.row(
                [shape.name, str(t), report.number(quiet[t]), report.number(busy[t]), *ratios]
            )
        )
    records = [{"threads": t, "quiet": quiet[t], "busy": busy[t]} for t in teams]
    report.write(arguments.json, facts, records)


def _arguments() -> options.argparse.Namespace:
    defaults = {"only": "784-128-10, batch 64", "threads": get_num_threads(), "seconds": 3.0}
    return options.parser(__doc__, **defaults).parse_args()


def _sample(
    into: dict[int, list[float]], running: dict[int, FastBP], epochs: dict[int, int]
) -> None:
    """Add the microseconds of an epoch of each."""
    for threads, run in running.items():
        n = epochs[threads]
        into[threads].append(1e6 * seconds_of(lambda run=run, n=n: run.train(n)) / n)


@contextmanager
def neighbour() -> Iterator[None]:
    """One busy process meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(SETTLING)
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
