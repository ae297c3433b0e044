"""How a step is cut up, as the engine describes it."""

from __future__ import annotations

import pytest

from fastbp.engine import costmodel


@pytest.mark.parametrize("n_threads", [1, 3, 8])
@pytest.mark.parametrize("batch", [4, 64, 300])
@pytest.mark.parametrize("l2_bytes", [0, 1 << 20])
def test_blocks_cover_every_weight(batch, n_threads, l2_bytes):
    widths = (784, 700, 513, 10)
    cut = costmodel.describe(widths, batch, n_threads, l2=l2_bytes)
    numbers = [0, 0, 0]
    for layer, rows, columns, owner in cut["blocks"]:
        numbers[layer] += rows * columns
        assert 0 <= owner < cut["team"]
    assert numbers == [784 * 704, 700 * 528, 513 * 16]
    owners = [owner for *_, owner in cut["blocks"]]
    assert owners == sorted(owners)


def test_a_slot_is_an_item_of_the_batch_split_regime():
    cut = costmodel.describe((784, 128, 10), 300, 2)
    assert cut["phases"] == [("through", 0, 6)]
    assert 5 * cut["rows"] < 300 <= 6 * cut["rows"]


def test_phases_of_the_wide_regime_go_up_and_down():
    cut = costmodel.describe((1024, 1024, 1024, 10), 64, 4, l2=0)
    assert cut["wide"]
    kinds = [(kind, layer) for kind, layer, _ in cut["phases"]]
    assert kinds == [("forward", 0), ("forward", 1), ("last", 2), ("delta", 2), ("delta", 1)]
    assert all(n % cut["team"] == 0 for *_, n in cut["phases"])


@pytest.mark.parametrize(
    ("widths", "batch", "wide"),
    [
        ((784, 128, 10), 64, True),  # weights would travel between the caches
        ((784, 128, 10), 300, False),  # the rows are many: outputs would
        ((32, 512, 10), 128, False),  # so are the outputs of a row
        ((64, 64, 64, 10), 64, False),  # neither is worth more phases
    ],
)
def test_what_would_travel_less_decides_the_regime(widths, batch, wide):
    assert costmodel.describe(widths, batch, 2, l2=1 << 20)["wide"] == wide


def test_the_streaming_regime_has_no_phases():
    assert costmodel.describe((1024, 1024, 10), 8, 2)["phases"] == []
