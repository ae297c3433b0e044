"""bench/neighbour.py for an instant: quiet and busy times of one thread."""

from __future__ import annotations

import pytest
from benches import report, tables


@pytest.mark.slow
def test_times(tmp_path):
    text, document = report(
        "neighbour.py", tmp_path, "--only", "2-8-1", "--threads", "1", "--seconds", "0.05"
    )
    ((head, row),) = tables(text)
    (result,) = document["results"]
    assert result["threads"] == 1
    assert 0 < result["quiet"] < 1e3
    assert 0 < result["busy"] < 1e3
    assert float(row[head.index("busy / quiet")]) > 0
    assert row[head.index("busy / one thread")] == "1.00"
