"""bench/train_many.py on short trainings: the ways end with the same bits, the table is that."""

from __future__ import annotations

import pytest
from benches import report, tables

pytestmark = pytest.mark.slow  # it runs the benchmark


def test_a_case_is_measured_in_three_ways(tmp_path):
    arguments = "--networks", "2", "--rounds", "2", "--share", "0.01", "--only", "1800"
    text, document = report("train_many.py", tmp_path, *arguments, status=(0, 1))
    ((head, *rows),) = tables(text)
    (result,) = document["results"]
    assert {len(times) for times in result["samples"].values()} == {2}
    assert rows[0][head.index("gain")] == f"{result['gain']:.2f}"
    assert 0 < result["python"] < 1
