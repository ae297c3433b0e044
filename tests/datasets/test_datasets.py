"""The embedded digits, MNIST from a folder, and the split in two."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from idx import idx

from fastbp import datasets
from fastbp.errors import ConfigError, InputError, ShapeError


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)


class TestDigits:
    def test_shapes_and_values(self):
        x, y = datasets.load_digits()
        assert (x.shape, x.dtype) == ((1797, 64), np.float32)
        assert (y.shape, y.dtype) == ((1797,), np.int64)
        assert (x.min(), x.max()) == (0, 1)
        assert len(np.unique(x)) == 17
        assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

    def test_is_the_copy_of_scikit_learn(self):
        sklearn_datasets = pytest.importorskip("sklearn.datasets")
        theirs = sklearn_datasets.load_digits()
        x, y = datasets.load_digits()
        assert np.array_equal(x * 16, theirs.data)
        assert np.array_equal(y, theirs.target)


class TestMnist:
    @pytest.fixture
    def folder(self, tmp_path, images):
        for part, n in (("train", 5), ("t10k", 3)):
            labels = np.arange(n, dtype=np.uint8)
            (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images[:n], 8))
            packed = gzip.compress(idx(labels, 8))
            (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(packed)
        return tmp_path

    def test_reads_plain_and_gzipped(self, folder, images):
        (x, y), (x_test, y_test) = datasets.load_mnist(folder)
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert np.array_equal(x, images.reshape(5, 784) / np.float32(255))
        assert y.tolist() == [0, 1, 2, 3, 4]
        assert np.array_equal(x_test, x[:3])
        assert y_test.tolist() == [0, 1, 2]

    def test_folder_from_the_environment_and_subfolder(self, folder, monkeypatch, tmp_path):
        below = tmp_path / "mnist"
        below.mkdir()
        for path in list(tmp_path.glob("*ubyte*")):
            path.rename(below / path.name)
        monkeypatch.setenv("FASTBP_DATA", str(tmp_path))
        (x, _), _ = datasets.load_mnist()
        assert x.shape == (5, 784)

    def test_names_with_a_dot(self, folder):
        for path in list(folder.glob("*ubyte*")):
            path.rename(folder / path.name.replace("-idx", ".idx"))
        assert datasets.load_mnist(folder)[0][0].shape == (5, 784)

    def test_no_folder(self, monkeypatch):
        monkeypatch.delenv("FASTBP_DATA", raising=False)
        with pytest.raises(ConfigError, match="FASTBP_DATA"):
            datasets.load_mnist()

    def test_missing_file(self, folder):
        (folder / "t10k-images-idx3-ubyte").unlink()
        with pytest.raises(ConfigError, match="t10k-images-idx3-ubyte"):
            datasets.load_mnist(folder)

    def test_images_and_labels_must_match(self, folder):
        path = folder / "train-labels-idx1-ubyte.gz"
        path.write_bytes(idx(np.zeros(4, np.uint8), 8))
        with pytest.raises(InputError, match=r"\(5, 28, 28\).*\(4,\)"):
            datasets.load_mnist(folder)


class TestSplit:
    def test_parts(self):
        x = np.arange(20.0).reshape(10, 2)
        parts = datasets.train_test_split(x, np.arange(10), 0.3, seed=1)
        x_train, x_test, y_train, y_test = parts
        assert (len(x_train), len(x_test)) == (7, 3)
        assert np.array_equal(x_train, x[y_train])
        assert np.array_equal(x_test, x[y_test])
        assert sorted([*y_train, *y_test]) == list(range(10))
        assert y_test.tolist() != sorted(y_test.tolist()) or y_test.tolist() != [0, 1, 2]

    def test_seeds(self):
        x, y = np.zeros((50, 1)), np.arange(50)
        first, again, other = (datasets.train_test_split(x, y, seed=s)[3] for s in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    @pytest.mark.parametrize("fraction", [1e-6, 1 - 1e-6])
    def test_no_part_is_empty(self, fraction):
        x_train, x_test, _, _ = datasets.train_test_split(np.eye(2), np.ones(2), fraction)
        assert (len(x_train), len(x_test)) == (1, 1)

    @pytest.mark.parametrize("fraction", [0, 1, -0.1, 2, float("nan")])
    def test_bad_fraction(self, fraction):
        with pytest.raises(ConfigError, match="test_fraction"):
            datasets.train_test_split(np.eye(4), np.ones(4), fraction)

    def test_bad_arrays(self):
        with pytest.raises(ShapeError, match="got 3 rows, wanted 4"):
            datasets.train_test_split(np.eye(4), np.ones(3))
        with pytest.raises(InputError, match="2 or more"):
            datasets.train_test_split(np.eye(1), np.ones(1))
