"""bench/scaling.py for an instant, and its model on costs that are made up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scaling_model
from benches import report, tables
from scaling_model import Costs, limit, makespan, predict, row_blocks, weight_items

ENGINE = Path(__file__).parents[1] / "fastbp" / "_engine.pyx"
WIDTHS, BATCH = (512, 1024, 256), 512
WEIGHTS = 512 * 1024 + 1024 * 256


def costs(barrier=0.0, bandwidth=float("inf"), serial=0.0, block=1e-6, item=1e-7):
    """A microsecond per row in phase A, a tenth of one per weight row in phase B."""
    return Costs(
        block=lambda rows: block * rows,
        item=lambda layer, rows: item * rows,
        barrier=lambda team: barrier * team,
        bandwidth=lambda team, touched: bandwidth,
        serial=serial,
        cache=2**20,
    )


def predicted(threads, given):
    return predict(WIDTHS, BATCH, 4, given, threads)


def test_pieces_are_cut_as_the_engine_cuts_them():
    source = ENGINE.read_text()
    for name in ("PHASE_ROWS", "LEAST_ITEM_ROWS", "MOST_ITEM_ROWS"):
        value = int(re.search(rf"{name} = (\d+)", source)[1])
        assert getattr(scaling_model, name) == value
    rows = int(re.search(r"min\(self\.n_threads, max\(1, p\.batch // (\d+)\)\)", source)[1])
    assert rows == scaling_model.ROWS_OF_A_THREAD


@pytest.mark.parametrize(
    ("batch", "team", "blocks"),
    [
        (64, 1, [64]),
        (64, 2, [32, 32]),
        (100, 2, [52, 48]),
        (300, 2, [76, 76, 76, 72]),
        (1024, 3, [116] * 8 + [96]),
        (64, 16, [4] * 16),
    ],
)
def test_row_blocks(batch, team, blocks):
    assert row_blocks(batch, team) == blocks


def test_weight_items():
    # Half of what is left over two threads, in eights, 24 to 256.
    first = [192, 144, 112, 80, 64, 48, 32, 24, 24, 24, 24, 16]
    items = [*((0, rows) for rows in first), (1, 24), (1, 6)]
    assert weight_items((784, 30, 10), 2) == items
    assert sum(rows for layer, rows in weight_items((784, 128, 10), 7) if layer == 0) == 784


def test_makespan_claims_in_order():
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1, 3], 2) == 4
    assert makespan([2, 2], 5) == 2


def test_one_thread_takes_the_sum_of_the_parts():
    one = predicted(1, costs(barrier=1, serial=1e-5))
    assert one.seconds == pytest.approx(512 * 1e-6 + (512 + 1024) * 1e-7 + 1e-5)
    assert one.barriers == 0


def test_speed_up_is_perfect_where_nothing_is_in_the_way():
    one, four = predicted(1, costs(item=0)), predicted(4, costs(item=0))
    assert one.seconds / four.seconds == pytest.approx(4)
    assert limit(one, four) == ""


@pytest.mark.parametrize(
    ("cause", "threads", "given"),
    [
        ("rows", 1000, {}),
        ("blocks", 3, {"item": 0}),
        ("items", 40, {"block": 1e-12}),
        ("barriers", 4, {"barrier": 1e-4}),
        ("serial", 4, {"serial": 1e-3}),
        ("bandwidth", 16, {"bandwidth": 1e10}),
    ],
)
def test_limit(cause, threads, given):
    given = costs(**given)
    one, many = predicted(1, given), predicted(threads, given)
    assert limit(one, many) == cause
    assert one.seconds / many.seconds < 0.98 * threads


def test_waiting_is_what_the_bytes_take_beyond_the_kernels():
    slow = predicted(1, costs(bandwidth=1e8, block=0, item=0))
    assert slow.phase_a == slow.phase_b == 0
    blocks, rows = 4, 512 * (2 * 512 + 2 * (1024 + 256))
    bytes_a = 4 * (blocks * (2 * WEIGHTS - 512 * 1024) + rows)
    items = weight_items(WIDTHS, 1)
    bytes_b = 4 * sum(512 * (n + WIDTHS[i + 1]) + 2 * n * WIDTHS[i + 1] for i, n in items)
    assert slow.bandwidth == pytest.approx((bytes_a + bytes_b) / 1e8)


def test_weights_that_fit_a_threads_cache_are_fetched_once():
    numbers = scaling_model.traffic_a((8, 16, 4), 64, blocks=4, team=2, cache=1000)
    assert numbers == 2 * (8 * 16 + 16 * 4) + 64 * (2 * 8 + 2 * (16 + 4))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    options = ["--only", "17-256", "--threads", "2", "--seconds", "0.05"]
    options += ["--memory-bandwidth", "50"]
    return report("scaling.py", tmp_path_factory.mktemp("scaling"), *options)


def test_measured(small):
    (result,) = small[1]["results"]
    assert set(result["samples"]) == {"1", "2"}
    for threads, samples in result["samples"].items():
        assert result["microseconds"][threads] == pytest.approx(np.median(samples))
        ratio = result["microseconds"]["1"] / result["microseconds"][threads]
        assert result["speed_up"][threads] == pytest.approx(ratio)


def test_predicted(small):
    (result,) = small[1]["results"]
    one, *many = result["model"]
    assert [model["threads"] for model in many] == [2, 4, 8, 16, 64]
    for model in result["model"]:
        assert model["microseconds"] == pytest.approx(sum(model["parts"].values()))
        ratio = one["microseconds"] / model["microseconds"]
        assert model["speed_up"] == pytest.approx(ratio)
        assert model["efficiency"] == pytest.approx(ratio / model["threads"])
    # Barriers of more threads than the machine's are in proportion.
    assert many[4]["parts"]["barriers"] == pytest.approx(4 * many[3]["parts"]["barriers"])
    machine = small[1]["machine"]
    assert many[0]["parts"]["barriers"] == pytest.approx(2e-3 * machine["barrier of 2, ns"])
    assert machine["memory GB/s of the machine"] == 50


def test_table(small):
    (result,) = small[1]["results"]
    ((head, *rows),) = tables(small[0])
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16, 64]
    for row, model in zip(rows, result["model"], strict=True):
        assert row[head.index("speed-up")] == f"{model['speed_up']:.2f}"
        assert row[head.index("limit")] == (model["limit"] or "-")
    measured = [row[head.index("measured")] for row in rows]
    assert measured == ["1.00", f"{result['speed_up']['2']:.2f}", "-", "-", "-", "-"]
