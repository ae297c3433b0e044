"""bench/scaling.py for an instant, and its model on costs that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import scaling_costs
import scaling_model
from benches import report, tables
from problems import Shape
from scaling import _is_shared_out
from scaling_costs import Kernels
from scaling_model import Costs, limit, makespan, parts_of, predict

from fastbp.engine import costmodel

WIDTHS, BATCH = (512, 1024, 256), 512
WEIGHTS = 512 * 1024 + 1024 * 256


def costs(barrier=0.0, bandwidth=float("inf"), serial=0.0, item=1e-6, block=1e-9):
    """A microsecond per row or column of A, a nanosecond per weight in the update."""
    return Costs(
        item=lambda kind, layer, size: item * size,
        block=lambda layer, rows, columns: block * rows * columns,
        barrier=lambda team: barrier * team,
        bandwidth=lambda team, touched: bandwidth,
        serial=serial,
        cache=2**20,
    )


def predicted(threads, given):
    """As on a machine whose L2 holds all weights."""
    return predict(WIDTHS, BATCH, 4, given, threads, l2=1 << 40)


@pytest.fixture
def wide():
    """How the engine cuts where L2 is too small for any weights."""
    cut = costmodel.describe((1024, 1024, 1024, 10), 64, 4, l2=0)
    assert cut["wide"]
    return cut


@pytest.mark.parametrize(
    ("batch", "threads", "rows"),
    [(64, 1, [64]), (64, 2, [32] * 2), (100, 2, [52, 48]), (300, 2, [52] * 5 + [40])],
)
def test_rows_of_the_batch_split_regime(batch, threads, rows):
    widths = (128, 128, 10)
    cut = costmodel.describe(widths, batch, threads, l2=1 << 40)
    assert list(parts_of(widths, batch, 4, cut)) == [("through", 0, rows)]


def test_parts_of_the_wide_regime(wide):
    parts = list(parts_of((1024, 1024, 1024, 10), 64, 4, wide))
    columns = [128] * 8
    assert parts == [
        ("forward", 0, columns),
        ("forward", 1, columns),
        ("last", 2, [16] * 4),
        ("delta", 2, columns),
        ("delta", 1, columns),
    ]


def test_uneven_columns_are_cut_in_whole_lines():
    cut = {"wide": True, "phases": [("forward", 0, 4), ("delta", 1, 4)]}
    up, down = parts_of((8, 100, 7), 16, 4, cut)
    assert up[2] == down[2] == [16, 32, 32, 32]


def test_makespan_claims_in_order():
    assert makespan([3, 1, 1, 1], [0, 1]) == 3
    assert makespan([1, 1, 1, 3], [0, 0]) == 4
    assert makespan([2, 2], [0, 0, 1, 1, 1]) == 2


def test_makespan_begins_with_the_own_share_and_goes_round():
    assert makespan([1, 1, 1, 3], [0, 3]) == 3
    assert makespan([1, 4, 1, 1], [0, 2]) == 5
    assert makespan([4, 1, 1, 1], [1, 2]) == 5


def test_shares_are_the_engines():
    assert scaling_model.shares(6, 4) == [0, 1, 3, 4]
    cut = {"team": 4, "blocks": [(0, 8, 16, owner) for owner in (0, 0, 2, 2)]}
    assert scaling_model.owned(cut) == [0, 2, 2, 3]


def test_one_thread_takes_the_sum_of_the_parts():
    one = predicted(1, costs(barrier=1, serial=1e-5))
    assert one.seconds == pytest.approx(512 * 1e-6 + WEIGHTS * 1e-9 + 1e-5)
    assert one.hand_over == 0
    assert not one.wide


def test_speed_up_is_perfect_where_nothing_is_in_the_way():
    one, four = predicted(1, costs(block=0)), predicted(4, costs(block=0))
    assert one.seconds / four.seconds == pytest.approx(4)
    assert limit(one, four) == ""


def test_a_wide_step_is_the_gather_and_its_phases():
    step = predict((1024, 1024, 1024, 10), 64, 4, costs(barrier=1e-6), 4, l2=0)
    assert step.wide
    # The whole batch, then for each thread 256 columns of each layer and 16 rows of the last.
    assert step.phase_a == pytest.approx(1e-6 * (64 + 4 * 256 + 16))
    assert step.hand_over == pytest.approx(6 * 4e-6)


@pytest.mark.parametrize(
    ("cause", "threads", "given"),
    [
        ("rows", 1000, {"block": 1e-12}),
        ("A", 3, {"block": 0}),
        ("update", 40, {"item": 1e-12}),
        ("hand-over", 4, {"barrier": 3e-5}),
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
    slow = predicted(1, costs(bandwidth=1e8, item=0, block=0))
    assert slow.phase_a == slow.update == 0
    slots, rows = 8, 512 * (2 * 512 + 2 * (1024 + 256))
    numbers_a = slots * (2 * WEIGHTS - 512 * 1024) + rows
    # Bands of 256 weight rows: two read the deltas of the first layer, which fit no cache, but
    # those of the second are read once.
    numbers_update = 2 * WEIGHTS + 512 * (512 + 2 * 1024) + 512 * (1024 + 256)
    assert slow.bandwidth == pytest.approx(4 * (numbers_a + numbers_update) / 1e8)


def test_weights_that_fit_a_threads_cache_are_fetched_once():
    cut = {"team": 2, "wide": False, "phases": [("through", 0, 4)]}
    numbers = scaling_model.traffic_a((8, 16, 4), 64, cut, cache=1000)
    assert numbers == 2 * (8 * 16 + 16 * 4) + 64 * (2 * 8 + 2 * (16 + 4))


@pytest.mark.parametrize(("cache", "times_a", "times_update"), [(48, 0, 0), (47, 2, 2)])
def test_weights_of_the_wide_regime_stay_in_the_caches_that_hold_them(cache, times_a, times_update):
    blocks = [(0, 8, 16, 0), (1, 16, 4, 0)]
    cut = {"team": 4, "wide": True, "blocks": blocks}
    rows = 4 * 10 * (8 + 2 * (16 + 4))
    weights = times_a * (8 * 16 + 16 * 4) - (8 * 16 if times_a else 0)
    assert scaling_model.traffic_a((8, 16, 4), 10, cut, cache) == rows + weights
    rows = 10 * (4 * 8 + 16) + 10 * (4 * 16 + 4)
    weights = times_update * (8 * 16 + 16 * 4)
    assert scaling_model.traffic_update((8, 16, 4), 10, cut, cache) == rows + weights


def test_a_block_takes_its_part_of_the_band_of_its_rows(monkeypatch):
    monkeypatch.setattr(scaling_costs, "timed", lambda run: 7.0)
    kernels = Kernels(Shape((40, 100, 3), 12, 2))
    assert kernels.block(0, 40, 112) == 7  # 100 columns, padded
    assert kernels.block(0, 40, 16) == 1


def test_every_item_of_the_wide_regime_can_be_measured(wide):
    kernels = Kernels(Shape((1024, 1024, 1024, 10), 64, 2))
    for kind, layer, parts in parts_of((1024, 1024, 1024, 10), 64, 4, wide):
        assert kernels.item(kind, layer, parts[0]) > 0
    assert kernels.item("gather", 0, 64) < kernels.item("through", 0, 64)


def test_shapes_that_the_model_does_not_know_are_left_out():
    assert _is_shared_out(Shape((784, 128, 10), 64, 1))
    assert not _is_shared_out(Shape((2, 8, 1), 64, 1))  # on one thread
    assert not _is_shared_out(Shape((1024, 1024, 10), 8, 1))  # streaming


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    options = ["--only", "17-256", "--threads", "2", "--seconds", "0.05"]
    options += ["--memory-bandwidth", "50"]
    return report("scaling.py", tmp_path_factory.mktemp("scaling"), *options)


@pytest.mark.slow
def test_measured(small):
    (result,) = small[1]["results"]
    assert set(result["samples"]) == {"1", "2"}
    for threads, samples in result["samples"].items():
        assert result["microseconds"][threads] == pytest.approx(np.median(samples))
        ratio = result["microseconds"]["1"] / result["microseconds"][threads]
        assert result["speed_up"][threads] == pytest.approx(ratio)


@pytest.mark.slow
def test_predicted(small):
    (result,) = small[1]["results"]
    one, *many = result["model"]
    assert [model["threads"] for model in many] == [2, 4, 8, 16, 64]
    for model in result["model"]:
        assert model["microseconds"] == pytest.approx(sum(model["parts"].values()))
        ratio = one["microseconds"] / model["microseconds"]
        assert model["speed_up"] == pytest.approx(ratio)
        assert model["efficiency"] == pytest.approx(ratio / model["threads"])
    # Hand-overs of more threads than the machine's are in proportion.
    assert many[4]["parts"]["hand_over"] == pytest.approx(4 * many[3]["parts"]["hand_over"])
    machine = small[1]["machine"]
    assert many[0]["parts"]["hand_over"] == pytest.approx(2e-3 * machine["barrier of 2, ns"])
    assert machine["memory GB/s of the machine"] == 50


@pytest.mark.slow
def test_table(small):
    (result,) = small[1]["results"]
    ((head, *rows),) = tables(small[0])
    assert [int(row[0]) for row in rows] == [1, 2, 4, 8, 16, 64]
    for row, model in zip(rows, result["model"], strict=True):
        assert row[head.index("speed-up")] == f"{model['speed_up']:.2f}"
        assert row[head.index("limit")] == (model["limit"] or "-")
    measured = [row[head.index("measured")] for row in rows]
    assert measured == ["1.00", f"{result['speed_up']['2']:.2f}", "-", "-", "-", "-"]
