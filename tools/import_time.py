"""Prints how long imports take, each in processes of its own, beside a process without any.

python tools/import_time.py MODULE ...
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter

REPEATS = 15


def main(*modules: str) -> None:
    """Print the median for each module, in milliseconds above a process that imports nothing."""
    statements = {"": "pass"} | {name: f"import {name}" for name in modules}
    times: dict[str, list[float]] = {name: [] for name in statements}
    # In turn, so that a busy moment of the machine meets all of them.
    for _ in range(REPEATS):
        for name, statement in statements.items():
            start = perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            times[name].append(perf_counter() - start)
    empty = median(times.pop(""))
    print(", ".join(f"{name} {1000 * (median(t) - empty):.0f}" for name, t in times.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
