"""IDX and .npz files, good, unusable and damaged."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from idx import idx

from fastbp import datasets
from fastbp.errors import DTypeError, InputError, ShapeError


@pytest.fixture
def images(rng) -> np.ndarray:
    return rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)


class TestIdx:
    @pytest.mark.parametrize(
        ("dtype", "code"),
        [("u1", 8), ("i1", 9), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)],
    )
    @pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)])
    def test_round_trip(self, tmp_path, rng, dtype, code, shape):
        array = (rng.standard_normal(shape) * 50).astype(dtype)
        path = tmp_path / "array"
        path.write_bytes(idx(array, code))
        found = datasets.read_idx(path)
        assert np.array_equal(found, array)
        assert found.dtype == np.dtype(dtype)

    def test_gzip_is_told_by_content(self, tmp_path, images):
        path = tmp_path / "no-suffix"
        path.write_bytes(gzip.compress(idx(images, 8)))
        assert np.array_equal(datasets.read_idx(path), images)

    @pytest.mark.parametrize("kept", [0, 3, 4, 15, 16, 5 * 784 + 15])
    def test_truncated(self, tmp_path, images, kept):
        path = tmp_path / "array"
        path.write_bytes(idx(images, 8)[:kept])
        with pytest.raises(InputError, match="truncated" if kept > 3 else "not an IDX file"):
            datasets.read_idx(path)

    def test_too_long(self, tmp_path, images):
        path = tmp_path / "array"
        path.write_bytes(idx(images, 8) + b"\0")
        with pytest.raises(InputError, match=r"too long.*got 3937 bytes, wanted 3936"):
            datasets.read_idx(path)

    @pytest.mark.parametrize("start", [b"\x89PNG", b"\0\1\x08\3", b"\0\0\x07\3", b"\0\0\x08\0"])
    def test_wrong_magic(self, tmp_path, images, start):
        path = tmp_path / "array"
        path.write_bytes(start + idx(images, 8)[4:])
        with pytest.raises(InputError, match="not an IDX file"):
            datasets.read_idx(path)

    @pytest.mark.parametrize("kept", [2, 30, -9])
    def test_damaged_gzip(self, tmp_path, images, kept):
        path = tmp_path / "array.gz"
        path.write_bytes(gzip.compress(idx(images, 8))[:kept])
        with pytest.raises(InputError, match="gzip"):
            datasets.read_idx(path)


class TestNpz:
    @pytest.fixture
    def save(self, tmp_path):
        def write(**arrays):
            np.savez(tmp_path / "data.npz", **arrays)
            return tmp_path / "data.npz"

        return write

    @pytest.mark.parametrize("names", [("x", "y"), ("X", "y"), ("images", "labels"), ("b", "a")])
    def test_names(self, save, images, names):
        x, y = datasets.load_npz(save(**dict(zip(names, (images, np.arange(5)), strict=True))))
        assert np.array_equal(x, images.reshape(5, -1))
        assert (x.dtype, x.flags.c_contiguous) == (np.float32, True)
        assert (y.dtype, y.tolist()) == (np.int64, [0, 1, 2, 3, 4])

    def test_targets(self, save):
        x, y = datasets.load_npz(save(x=np.eye(4), y=np.ones((4, 2)), extra=np.zeros(1)))
        assert (x.shape, y.shape, y.dtype) == ((4, 4), (4, 2), np.float32)

    @pytest.mark.parametrize(
        ("arrays", "error", "text"),
        [
            ({"p": np.eye(3), "q": np.eye(3)}, InputError, r"p \(3, 3\), q \(3, 3\)"),
            ({"x": np.eye(3)}, InputError, "wanted x and y"),
            ({}, InputError, "got no arrays"),
            ({"x": np.eye(3), "y": np.ones(2)}, ShapeError, "as many rows"),
            ({"x": np.float32(1), "y": np.ones(2)}, ShapeError, "as many rows"),
            ({"x": np.ones(3), "y": np.ones(3)}, ShapeError, r"\[rows, features\]"),
            ({"x": np.array([["a"], ["b"]]), "y": np.ones(2)}, DTypeError, "<U1"),
        ],
    )
    def test_unusable(self, save, arrays, error, text):
        with pytest.raises(error, match=text):
            datasets.load_npz(save(**arrays))

    def test_pickles_are_refused(self, save):
        path = save(x=np.array([[{}], [1]], dtype=object), y=np.ones(2))
        with pytest.raises(InputError, match="plain arrays"):
            datasets.load_npz(path)

    def test_not_an_archive(self, tmp_path):
        path = tmp_path / "data.npz"
        path.write_bytes(b"x,y\n1,2\n")
        with pytest.raises(InputError, match="plain arrays"):
            datasets.load_npz(path)
        np.save(tmp_path / "one.npy", np.eye(3))
        with pytest.raises(InputError, match="one array without a name"):
            datasets.load_npz(tmp_path / "one.npy")
        with pytest.raises(FileNotFoundError):
            datasets.load_npz(tmp_path / "none.npz")
