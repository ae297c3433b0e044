"""Prints the processor time that imports take, each in processes of its own.

python tools/import_time.py MODULE ...
"""

from __future__ import annotations

import resource
import subprocess
import sys
from statistics import median

REPEATS = 15


def main(*modules: str) -> None:
    """Print the median for each module, in milliseconds above a process that imports nothing."""
    statements = {"": "pass"} | {name: f"import {name}" for name in modules}
    times: dict[str, list[float]] = {name: [] for name in statements}
    # In turn, so that a busy moment of the machine meets all of them.
    for _ in range(REPEATS):
        for name, statement in statements.items():
            before = of_children()
            subprocess.run([sys.executable, "-c", statement], check=True)
            times[name].append(of_children() - before)
    empty = median(times.pop(""))
    print(", ".join(f"{name} {1000 * (median(t) - empty):.0f}" for name, t in times.items()))


def of_children() -> float:
    """Return the processor time of the processes that have ended; neighbours do not count."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
