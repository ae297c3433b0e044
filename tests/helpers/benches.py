"""Runs the scripts of bench/ as a user would, and reads what they write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[2] / "bench"
ENVIRONMENT = {"cpu", "cores", "threads", "isa", "peak GFLOP/s", "system", "versions"}


def run(script: str, *arguments: str, data: str = "") -> subprocess.CompletedProcess[str]:
    """The script, done, on the machine's best kernels (the portable ones take a thousand times as
    long), with `data` for its FASTBP_DATA."""
    environment = {name: value for name, value in os.environ.items() if name != "FASTBP_ISA"}
    return subprocess.run(
        [sys.executable, str(BENCH / script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment | {"FASTBP_DATA": data},
    )


def report(
    script: str, folder: Path, *arguments: str, status: tuple[int, ...] = (0,)
) -> tuple[str, dict[str, Any]]:
    """What the script prints, and its JSON document with its exit status beside the results.

    The status must be among those given; the environment is looked at here.
    """
    path = folder / "report.json"
    done = run(script, *arguments, "--json", str(path))
    assert done.returncode in status, done.stdout + done.stderr
    document = json.loads(path.read_text())
    environment = document["environment"]
    assert set(environment) >= ENVIRONMENT
    assert environment["isa"]
    assert environment["cpu"]
    assert environment["peak GFLOP/s"] > 0
    for name, value in environment.items():
        assert f"{name}: {value}\n" in done.stdout
    return done.stdout, document | {"status": done.returncode}


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text: rows of cells, the head first, each as wide as its head."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    found = [[rows[0], *rows[2:]] for rows in found if rows]
    assert all(len(cells) == len(rows[0]) for rows in found for cells in rows)
    return found
