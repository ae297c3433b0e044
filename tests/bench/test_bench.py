"""bench/train.py on the smallest shapes, for an instant: it runs, validates and reports."""

from __future__ import annotations

import numpy as np
import pytest
from benches import report, run, tables
from idx import idx

from fastbp.datasets import load_digits

QUICK = ["--seconds", "0.02", "--threads", "1"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return report("train.py", folder, "--only", "2-8-1", "--peers", "numpy", *QUICK)


@pytest.fixture
def mnist(tmp_path):
    """The files of MNIST, with the package's digits magnified in the place of its own."""
    x, labels = load_digits()
    images = np.zeros((2500, 28, 28), np.uint8)
    for i in range(len(images)):
        images[i, 2:26, 2:26] = np.kron(255 * x[i % len(x)].reshape(8, 8), np.ones((3, 3)))
    labels = np.resize(labels, len(images)).astype(np.uint8)
    for part, rows in [("train", slice(None)), ("t10k", slice(10))]:
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images[rows]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[rows]))
    return tmp_path


def test_table(small):
    ((head, row),) = tables(small[0])
    assert head[:2] == ["network, batch", "µs per step"]
    assert head[-1] == "NumPy"
    assert row[0] == "2-8-1, batch 4"


def test_json(small):
    environment, (result,) = small[1]["environment"], small[1]["results"]
    assert environment["threads"] == 1
    assert environment["dtype"] == "float32"
    assert set(result["microseconds"]) == {"fastbp", "numpy"}
    assert result["flops"] == 2 * 4 * (3 * (2 * 8 + 8 * 1) - 2 * 8)
    assert result["data"] == "random"
    for name, samples in result["samples"].items():
        assert result["microseconds"][name] == pytest.approx(np.median(samples))
        low, high = np.percentile(samples, [25, 75])
        assert result["spread"][name] == pytest.approx((high - low) / 2 / np.median(samples))
    ours = result["microseconds"]["fastbp"]
    assert result["gflops"] == pytest.approx(result["flops"] / ours / 1e3)
    percent = 100 * result["gflops"] / result["peak_gflops"]
    assert result["percent_of_peak"] == pytest.approx(percent)
    assert result["ratio"]["numpy"] == pytest.approx(result["microseconds"]["numpy"] / ours)
    assert len(result["samples"]["fastbp"]) == len(result["samples"]["numpy"])
    assert result["failures"] == {}


@pytest.mark.slow
def test_float64(tmp_path):
    options = ["--only", "2-8-1", "--peers", "numpy", "--dtype", "float64", *QUICK]
    _, document = report("train.py", tmp_path, *options)
    assert document["environment"]["dtype"] == "float64"
    losses = document["results"][0]["losses"]
    # Of the same float32 numbers; equal to more digits than float32 has.
    assert losses["fastbp"][0] == pytest.approx(losses["numpy"][0], rel=1e-12)


@pytest.mark.slow
def test_digits_of_mnist(mnist, tmp_path):
    options = ["--only", "784-128-10, batch 1", "--peers", "", "--data", str(mnist), *QUICK]
    text, document = report("train.py", tmp_path, *options)
    names = [result["shape"] for result in document["results"]]
    assert names == ["784-128-10, batch 1", "784-128-10, batch 1, MNIST"]
    assert [row[0] for row in tables(text)[0][1:]] == names
    random, digits = document["results"]
    assert digits["data"] == "MNIST"
    assert digits["losses"] != random["losses"]


@pytest.mark.slow
def test_digits_of_mnist_are_left_out_where_there_are_none(tmp_path):
    for more in ([], ["--data", str(tmp_path)]):
        done = run("train.py", "--only", "MNIST", *QUICK, *more)
        assert done.returncode == 1
        assert done.stderr.startswith("without 784-128-10, batch 1, MNIST")
        assert "FASTBP_DATA" in done.stderr
        assert "https://" in done.stderr
        assert not done.stdout


def test_unknown_shape():
    done = run("train.py", "--only", "9-9")
    assert done.returncode == 1
    assert "784-128-10, batch 64" in done.stderr
