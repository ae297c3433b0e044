"""bench/memory.py on small networks: the figures add up, and the peak is this run's."""

from __future__ import annotations

from pathlib import Path

import pytest
from benches import report, tables

pytestmark = pytest.mark.slow  # it runs the benchmark

MB = 2**20


def figures(folder, *options):
    text, document = report("memory.py", folder, "--threads", "1", *options, status=(0, 1))
    (result,) = document["results"]
    assert result["allowed"] == int(2.5 * result["weights"]) + result["data"] + 64 * MB
    assert result["run"] == result["peak"] - result["base"]
    assert result["fits"] == (result["peak"] <= result["allowed"])
    assert document["status"] == int(not result["fits"])
    ((head, row),) = tables(text)
    assert row[head.index("peak MB")] == f"{result['peak'] / MB:.1f}"
    assert row[head.index("fits")] == ("yes" if result["fits"] else "no")
    return result


@pytest.mark.parametrize(
    ("dtype", "item"), [("float32", 4), pytest.param("float64", 8, marks=pytest.mark.slow)]
)
def test_weights_and_data(tmp_path, dtype, item):
    result = figures(tmp_path, "--only", "17-256-256-6", "--dtype", dtype)
    assert result["weights"] == item * (17 * 256 + 256 * 256 + 256 * 6)
    assert result["data"] == 256 * 200 * (item * 17 + 8)  # classes are int64
    assert result["run"] > result["data"]


def test_a_small_run_is_little_more_than_the_base(tmp_path):
    result = figures(tmp_path, "--only", "2-8-1")
    assert 8 * MB < result["base"] < 512 * MB
    assert 0 <= result["run"] < 16 * MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: of any process")
def test_the_peak_is_not_that_of_the_parent(tmp_path):
    ballast = bytearray(256 * MB)
    ballast[::4096] = bytes([1]) * (len(ballast) // 4096)
    assert figures(tmp_path, "--only", "2-8-1")["peak"] < len(ballast)
