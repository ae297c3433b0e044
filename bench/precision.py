"""The rate of training in float64 beside float32: ``python bench/precision.py``.

Both train the shapes of train.py, each in a process of its own, in rounds. A double takes twice
the room of a float in a vector register, a cache and memory, so half the rate is the best there
is; the exit status is 1 when a shape with hidden layers of 128 units or more has less than 45%.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, closing
from statistics import median
from typing import Any

import options
import report
from problems import SHAPES, Shape
from timing import ROUNDS, repeats_in, rounds, spread
from worker import Worker

from fastbp.engine.runtime import get_num_threads

MARK = 0.45
FROM_UNITS = 128  # narrower layers are not bound by arithmetic or memory
DTYPES = ("float32", "float64")
TITLES = ["network, batch", "float32 µs", "spread", "float64 µs", "spread", "rate", "at least"]


def main() -> int:
    arguments = _arguments()
    named = {shape.name: shape for shape in SHAPES if shape.data == "random"}
    shapes = options.choose(arguments.only, named)
    facts = report.here(arguments.threads)
    report.show(facts)
    print(report.head(TITLES), flush=True)
    results = []
    with ExitStack() as stack:
        workers = {}
        for dtype in DTYPES:
            workers[dtype] = stack.enter_context(closing(Worker("fastbp", arguments.threads)))
        for shape in shapes:
            results.append(_measure(shape, workers, arguments.seconds))
            print(_row(results[-1]), flush=True)
    report.write(arguments.json, facts, results)
    return int(any(result["rate"] < (result["mark"] or 0) for result in results))


def _arguments() -> argparse.Namespace:
    return options.parser(__doc__, only="", threads=get_num_threads(), seconds=3.0).parse_args()


def _measure(shape: Shape, workers: dict[str, Worker], seconds: float) -> dict[str, Any]:
    """Return the record of one shape; times are microseconds per step."""
    epochs = {}
    for dtype, worker in workers.items():
        worker.load(shape, dtype)
        epochs[dtype] = repeats_in(seconds / ROUNDS, worker.seconds)
    scale = {dtype: 1e6 / (n * shape.steps) for dtype, n in epochs.items()}
    samples = rounds({d: lambda d=d: workers[d].seconds(epochs[d]) * scale[d] for d in DTYPES})
    medians = {dtype: median(taken) for dtype, taken in samples.items()}
    return {
        "shape": shape.name,
        "microseconds": medians,
        "spread": {dtype: spread(taken) for dtype, taken in samples.items()},
        "rate": medians["float32"] / medians["float64"],
        "mark": MARK if min(shape.widths[1:-1]) >= FROM_UNITS else None,
        "samples": samples,
    }


def _row(record: dict[str, Any]) -> str:
    cells = [record["shape"]]
    for dtype in DTYPES:
        cells.append(report.number(record["microseconds"][dtype]))
        cells.append(f"{record['spread'][dtype]:.1%}")
    mark = "-" if record["mark"] is None else f"{record['mark']:.0%}"
    return report.row([*cells, f"{record['rate']:.1%}", mark])


if __name__ == "__main__":
    sys.exit(main())
