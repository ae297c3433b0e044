"""bench/latency.py for an instant: every call is timed, and answers are compared first."""

from __future__ import annotations

import pytest
from benches import BENCH, report, run, tables


@pytest.mark.slow
def test_calls_and_overhead(tmp_path):
    arguments = "--only", "64-32-10", "--calls", "70"
    text, document = report("latency.py", tmp_path, *arguments)
    (result,) = document["results"]
    assert result["same"]
    ((head, *rows),) = tables(text)
    assert [row[1] for row in rows] == ["predict", "gradients", "step"]
    for row in rows:
        times = result["microseconds"][row[1]]
        assert {"fastbp", "NumPy"} <= set(times)
        assert all(0 < middle <= late for middle, late in times.values())
        kernels = result["kernels"][row[1]]
        overhead = times["fastbp"][0] - result["nothing"] - kernels
        assert kernels > 0
        assert result["overhead"][row[1]] == pytest.approx(overhead)
        assert row[head.index("NumPy p99")] != "-"
    assert "onnxruntime" not in result["microseconds"]["step"]


@pytest.mark.slow
def test_other_answers_are_told(tmp_path, monkeypatch):
    """The first rows are compared: a peer that has other weights fails the run."""
    script = tmp_path / "other.py"
    script.write_text(
        "import sys, latency\n"
        "right = latency.NumPy.predict\n"
        "latency.NumPy.predict = lambda self, i: right(self, i) + 0.01\n"
        "sys.exit(latency.main())\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(BENCH), prepend=":")
    done = run(str(script), "--only", "64-32-10", "--calls", "5")
    assert done.returncode == 1
    assert "fastbp: differs from NumPy by 0.01" in done.stderr
