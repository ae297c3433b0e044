"""Peak memory of a training run: ``python bench/memory.py``; 1024 x 4 at batch 256 by default.

This process makes the data, trains two epochs and reads its own peak from the system. Allowed are

    2.5 * weights + data + 64 MB

of which the 64 MB are for the interpreter, its libraries (the base) and whatever depends on the
batch; the run is the peak without the base. The exit status is 1 when the peak is above what is
allowed. MB are 2**20 bytes.
"""

from __future__ import annotations

import argparse
import platform
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import options
import report
from contestant import trainer_of
from problems import SHAPES, Shape

from fastbp.engine.runtime import get_num_threads

MB = 2**20
WEIGHTS = 2.5  # copies of them that are allowed
ROOM = 64 * MB
EPOCHS = 2
TITLES = ["network, batch", "weights MB", "data MB", "base MB", "run MB", "peak MB", "allowed MB"]
TITLES += ["fits"]


def main() -> int:
    arguments = _arguments()
    base = peak_bytes()
    named = {shape.name: shape for shape in SHAPES if shape.data == "random"}
    shape = options.choose(arguments.only, named)[0]
    record = _measure(shape, arguments.dtype, arguments.threads, base)
    # After the run: its probes of the machine's peak take memory as well.
    facts = report.here(arguments.threads, arguments.dtype) | {"dtype": arguments.dtype}
    report.show(facts)
    print(report.head(TITLES), _row(record), sep="\n")
    report.write(arguments.json, facts, [record])
    return int(not record["fits"])


def _arguments() -> argparse.Namespace:
    defaults = {"only": "1024, batch 256", "dtype": "float32", "threads": get_num_threads()}
    return options.parser(__doc__, **defaults).parse_args()


def peak_bytes() -> int:
    """Return the most memory that this process has had resident.

    From /proc where there is one: elsewhere, and in ru_maxrss of Linux, a parent's may be in it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _measure(shape: Shape, dtype: str, threads: int, base: int) -> dict[str, Any]:
    """Return the record of a run in this process; bytes."""
    rng, rows = np.random.default_rng(0), shape.batch * shape.steps
    # Made in place: an array on the way to another would be in the peak.
    x = rng.standard_normal((rows, shape.widths[0]), dtype)
    if shape.classifies:
        y = rng.integers(0, shape.widths[-1], rows)
    else:
        y = rng.standard_normal((rows, shape.widths[-1]), dtype)
    trainer = trainer_of(shape.widths, shape.batch, shape.classifies, threads, dtype)
    trainer.fit(x, y, epochs=EPOCHS)
    weights = x.itemsize * sum(a * b for a, b in pairwise(shape.widths))
    data, peak = x.nbytes + y.nbytes, peak_bytes()
    allowed = int(WEIGHTS * weights) + data + ROOM
    return {
        "shape": shape.name,
        "base": base,
        "data": data,
        "weights": weights,
        "peak": peak,
        "run": peak - base,
        "allowed": allowed,
        "fits": peak <= allowed,
    }


def _row(record: dict[str, Any]) -> str:
    names = ("weights", "data", "base", "run", "peak", "allowed")
    cells = [f"{record[name] / MB:.1f}" for name in names]
    return report.row([record["shape"], *cells, "yes" if record["fits"] else "no"])


if __name__ == "__main__":
    sys.exit(main())
