"""bench/export.py: the outputs are compared, and every figure is there."""

from __future__ import annotations

import shutil
from statistics import median

import pytest
from benches import report, tables


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("size")), reason="no compiler")
def test_sizes_and_times(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    arguments = "--only", "4-64-64-2", "--seconds", "0.001"
    text, document = report("export.py", tmp_path, *arguments)
    ((head, row),) = tables(text)
    (result,) = document["results"]
    assert result["same"]
    sizes = result["sizes"]
    assert sizes["weights"] == 4 * (4 * 64 + 64 + 64 * 64 + 64 + 64 * 2 + 2)
    assert sizes["weights"] < sizes["object"] < sizes["with gradients"]
    assert row[head.index("object")] == f"{sizes['object']:,}"
    assert sizes["object"] < sizes["C file"]
    assert sizes["weights"] < sizes["ONNX file"]
    medians = {name: median(samples) for name, samples in result["samples"].items()}
    for column, caller in (("x C loop", "C loop"), ("x ctypes", "ctypes")):
        ratio = medians["onnxruntime"] / medians[caller]
        assert row[head.index(column)] == f"{ratio:.1f}x"
    assert all(min(samples) > 0 for samples in result["samples"].values())
