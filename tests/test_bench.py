"""bench/train.py on the smallest shape, for an instant: it runs, validates and reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "report.json"
    command = [sys.executable, str(BENCH / "train.py"), "--only", "2-8-1", "--peers", "numpy"]
    command += ["--seconds", "0.02", "--threads", "1", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, json.loads(path.read_text())


def test_table(report):
    table = [line for line in report[0].splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert table[0].startswith("| network, batch | µs per step |")
    assert table[2].startswith("| 2-8-1, batch 4 |")
    assert len({line.count("|") for line in table}) == 1


def test_json(report):
    environment, (result,) = report[1]["environment"], report[1]["results"]
    assert environment["threads"] == 1
    assert environment["isa"]
    assert environment["cpu"]
    assert environment["peak GFLOP/s"] > 0
    assert set(result["microseconds"]) == {"fastbp", "numpy"}
    assert result["flops"] == 2 * 4 * (3 * (2 * 8 + 8 * 1) - 2 * 8)
    ours = result["microseconds"]["fastbp"]
    assert result["gflops"] == pytest.approx(result["flops"] / ours / 1e3)
    percent = 100 * result["gflops"] / result["peak_gflops"]
    assert result["percent_of_peak"] == pytest.approx(percent)
    assert result["ratio"]["numpy"] == pytest.approx(result["microseconds"]["numpy"] / ours)
    assert len(result["samples"]["fastbp"]) == len(result["samples"]["numpy"])
    assert result["failures"] == {}


def test_unknown_shape():
    done = subprocess.run(
        [sys.executable, str(BENCH / "train.py"), "--only", "9-9"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "784-128-10, batch 64" in done.stderr
