"""bench/precision.py for an instant: both dtypes are timed, and a low rate is an exit status."""

from __future__ import annotations

import numpy as np
import pytest
from benches import report, tables


def check(result):
    for dtype, samples in result["samples"].items():
        assert result["microseconds"][dtype] == pytest.approx(np.median(samples))
    medians = result["microseconds"]
    assert set(medians) == {"float32", "float64"}
    assert result["rate"] == pytest.approx(medians["float32"] / medians["float64"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "mark"), [("4-64-64-2, batch 1", None), ("784-128-10, batch 1", 0.45)]
)
def test_rate_and_mark(tmp_path, shape, mark):
    options = ["--only", shape, "--threads", "1", "--seconds", "0.02"]
    text, document = report("precision.py", tmp_path, *options, status=(0, 1))
    (result,) = document["results"]
    check(result)
    assert result["mark"] == mark
    assert document["status"] == int(mark is not None and result["rate"] < mark)
    ((head, row),) = tables(text)
    assert row[0] == result["shape"] == shape
    assert row[head.index("rate")] == f"{result['rate']:.1%}"
    assert row[head.index("at least")] == ("-" if mark is None else f"{mark:.0%}")
