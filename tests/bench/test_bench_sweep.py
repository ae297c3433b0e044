"""bench/sweep.py over a few sizes: medians, jumps between neighbours, the picture."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from benches import report

pytestmark = pytest.mark.slow  # it runs the benchmark


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    picture = folder / "sweep.png"
    options = ["--rounds", "3", "--most", "4", "--threads", "2", "--out", str(picture)]
    return *report("sweep.py", folder, *options), picture


def curve(document, panel, threads):
    return [r for r in document["results"] if (r["panel"], r["threads"]) == (panel, threads)]


def test_every_size_is_timed_on_one_thread_and_on_two(small):
    for threads in (1, 2):
        assert [r["size"] for r in curve(small[1], "width", threads)] == [2, 3, 4]
        assert [r["size"] for r in curve(small[1], "batch size", threads)] == [1, 2, 3, 4]
    for result in small[1]["results"]:
        assert len(result["samples"]) == 3
        assert 0 < result["microseconds"] < 1e4
        assert result["microseconds"] == pytest.approx(np.median(result["samples"]))
        low, high = result["quartiles"]
        assert low <= result["microseconds"] <= high
        assert result["spread"] == pytest.approx((high - low) / 2 / result["microseconds"])


def test_jumps_are_the_largest_ratios_of_neighbours(small):
    text, document, _ = small
    assert len(document["jumps"]) == 2 * 2 * 2
    for jump in document["jumps"]:
        times = curve(document, jump["panel"], jump["threads"])
        ratios = {
            (a["size"], b["size"]): b["microseconds"] / a["microseconds"]
            for a, b in pairwise(times)
        }
        best = max if jump["direction"] == "up" else min
        assert jump["ratio"] == pytest.approx(best(ratios.values()))
        assert jump["ratio"] == pytest.approx(ratios[tuple(jump["sizes"])])
        assert f"{jump['direction']} {jump['ratio']:.2f}x, from {jump['sizes'][0]} (" in text


def test_two_threads_against_one(small):
    text, document, _ = small
    ratios = {
        (two["panel"], two["size"]): two["microseconds"] / one["microseconds"]
        for panel in ("width", "batch size")
        for one, two in zip(curve(document, panel, 1), curve(document, panel, 2), strict=True)
    }
    worst = document["threads_ratio"]
    assert worst["ratio"] == pytest.approx(max(ratios.values()))
    assert worst["ratio"] == pytest.approx(ratios[worst["panel"], worst["size"]])
    assert f"2 threads take at most {worst['ratio']:.2f}x" in text


def test_picture(small):
    text, _, picture = small
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000
    assert f"picture in {picture}" in text


def test_one_thread_and_no_picture(tmp_path):
    options = ["--rounds", "2", "--most", "3", "--threads", "1", "--out", ""]
    text, document = report("sweep.py", tmp_path, *options)
    assert {r["threads"] for r in document["results"]} == {1}
    assert document["threads_ratio"] is None
    assert "picture" not in text
