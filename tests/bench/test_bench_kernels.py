"""bench/kernels.py for an instant: every kernel of the layers is there, and its figures agree."""

from __future__ import annotations

import numpy as np
import pytest
from benches import report, run, tables

from fastbp.engine import runtime

pytestmark = pytest.mark.slow  # it runs the benchmark

QUICK = ["--seconds", "0.001"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return report("kernels.py", tmp_path_factory.mktemp("bench"), "--only", " 784", *QUICK)


def test_table_has_a_row_for_each_result(small):
    ((head, *rows),) = tables(small[0])
    assert head[:3] == ["kernel", "shape", "µs"]
    assert [row[:2] for row in rows] == [[r["kernel"], r["shape"]] for r in small[1]["results"]]


def test_figures_agree(small):
    kernels = set()
    for result in small[1]["results"]:
        kernels.add(result["kernel"])
        micro = result["microseconds"]
        assert micro == pytest.approx(np.median(result["samples"]))
        assert result["ns_per_row"] == pytest.approx(1e3 * micro / result["batch"])
        if "flops" in result:
            assert result["gflops"] == pytest.approx(result["flops"] / micro / 1e3)
            percent = 100 * result["gflops"] / result["peak_gflops"]
            assert result["percent_of_peak"] == pytest.approx(percent)
        if "bytes" in result:
            assert result["gb_per_second"] == pytest.approx(result["bytes"] / micro / 1e3)
    dense = {"dense_forward", "dense_delta", "dense_update"}
    assert kernels == dense | {"stream_forward", "stream_backward", "gather_rows"}


def test_flops_and_bytes(small):
    results = {(r["kernel"], r["shape"]): r for r in small[1]["results"]}
    weights = 784 * 128
    assert results["dense_update", "784x128 b64"]["flops"] == 2 * 64 * weights
    assert results["stream_forward", "784x128 b8"]["flops"] == 2 * 8 * weights
    assert results["stream_forward", "784x128 b8"]["bytes"] == 4 * weights
    assert results["stream_backward", "784x128 b8"]["flops"] == 4 * 8 * weights
    assert results["stream_backward", "784x128 b8"]["bytes"] == 8 * weights
    assert results["gather_rows", "784 b64"]["bytes"] == 2 * 4 * 64 * 784
    sparse = results["stream_forward", "784x128 b1, 19% of inputs"]
    assert sparse["bytes"] == 4 * 149 * 128


@pytest.mark.slow
def test_rows_without_products_in_float64_on_another_kernel_set(tmp_path):
    isa = runtime.isas()[:2][-1]
    options = ["--only", "loss_delta", "--dtype", "float64", "--isa", isa, *QUICK]
    text, document = report("kernels.py", tmp_path, *options)
    assert document["environment"]["isa"] == isa
    assert document["environment"]["dtype"] == "float64"
    assert len(document["results"]) == 4
    for row, result in zip(tables(text)[0][1:], document["results"], strict=True):
        assert "gflops" not in result
        assert "bytes" not in result
        assert row.count("-") == 3


def test_unknown_case():
    done = run("kernels.py", "--only", "sparse")
    assert done.returncode == 1
    assert "dense_delta 4096x4096 b128" in done.stderr
