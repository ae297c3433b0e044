"""bench/rows.py on a small file: no case copies its rows, and the figures are of this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from benches import report, tables

MB = 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_no_case_copies_its_rows(tmp_path):
    # 250 MB in a file: a copy of it, in float32 even of the float64 file, would not fit.
    text, document = report("rows.py", tmp_path, "--gigabytes", "0.25", "--only", "file")
    ((head, *rows),) = tables(text)
    assert len(rows) == len(document["results"]) == 4
    for row, result in zip(rows, document["results"], strict=True):
        assert row[head.index("fits")] == "yes"
        assert row[head.index("over the data MB")] == f"{result['over'] / MB:.1f}"
        assert 0 <= result["over"] < 100 * MB < 240 * MB < result["data"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_images_of_bytes_are_not_copied(tmp_path):
    _, document = report("rows.py", tmp_path, "--only", "uint8 images: fit")
    (result,) = document["results"]
    assert 0 <= result["over"] < 40 * MB < result["data"]
