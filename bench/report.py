"""What the scripts share in reporting: environment lines, Markdown tables, JSON files."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from timing import PEAK_MILLISECONDS, ROUNDS


def environment(n_threads: int, isa: str, peak: float, versions: dict[str, str]) -> dict[str, Any]:
    """Return what the figures depend on besides the code; `peak` in GFLOP/s on all threads."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": n_threads,
        "isa": isa,
        "peak GFLOP/s": round(peak, 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def here(n_threads: int, dtype: str = "float32", isa: str | None = None) -> dict[str, Any]:
    """Return the environment of fastbp in this process; of a kernel set other than its own."""
    import numpy as np

    import fastbp
    from fastbp.engine import probe, runtime

    probes = [probe.fma_peak(isa, n_threads, PEAK_MILLISECONDS, dtype) for _ in range(ROUNDS)]
    versions = {"fastbp": fastbp.__version__, "numpy": np.__version__}
    return environment(n_threads, isa or runtime.isa(), max(probes), versions)


def show(facts: dict[str, Any]) -> None:
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n", end="\n\n", flush=True)


def write(path: str | None, facts: dict[str, Any], results: Any, **more: Any) -> None:
    """Write the environment and the results, with all their samples, unless path is None."""
    if path:
        document = {"environment": facts, "results": results, **more}
        Path(path).write_text(json.dumps(document, indent=1) + "\n")


def head(titles: list[str], text_columns: int = 1) -> str:
    """Return the head of a Markdown table: some columns of text, then numbers."""
    rule = ["---"] * text_columns + ["---:"] * (len(titles) - text_columns)
    return row(titles) + "\n" + row(rule)


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
