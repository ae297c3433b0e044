"""Arrays from IDX files (the format of MNIST) and ``.npz`` archives, without pickles."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from os import PathLike
from pathlib import Path

import numpy as np

from .. import _check
from ..errors import DTypeError, InputError, ShapeError

_IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

Pair = tuple[np.ndarray, np.ndarray]


def read_idx(path: str | PathLike[str]) -> np.ndarray:
    """Return the array of an IDX file, the format of MNIST, gzipped or not.

    Parameters
    ----------
    path : str or os.PathLike
        The file: two zero bytes, a type byte, the number of axes, big-endian uint32 lengths,
        the data.

    Returns
    -------
    np.ndarray
        In the byte order of the machine.

    Raises
    ------
    InputError
        The magic number is wrong, or the file is shorter or longer than its header says.
    """
    content = _read_bytes(Path(_check.path(path)))
    magic, n_axes = content[:4], content[3] if len(content) > 3 else 0
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX_DTYPES or not n_axes:
        raise InputError(
            f"{path} is not an IDX file: got the first bytes {magic.hex(' ') or '(none)'}, "
            "wanted 00 00, a type of 08 to 0e, and the number of axes (MNIST images: 00 00 08 03)"
        )
    start, dtype = 4 + 4 * n_axes, np.dtype(_IDX_DTYPES[magic[2]])
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise InputError(
            f"{path} is {'truncated' if len(content) < wanted else 'too long'}: "
            f"got {len(content)} bytes, wanted {wanted} for the shape {shape} in its header"
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


def load_npz(path: str | PathLike[str]) -> Pair:
    """Return the features and the labels or targets of an ``.npz`` file.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `numpy.savez` with arrays ``x`` and ``y``, or ``X`` and ``y``, or with two
        arrays of which exactly one is one-dimensional: that one is y.

    Returns
    -------
    x : np.ndarray
        float32 [rows, features]; further axes (images) are flattened.
    y : np.ndarray
        As stored, with as many rows: int64 classes if it holds integers, else float32 targets
        or text.

    Raises
    ------
    InputError
        It is not such a file, x and y cannot be told apart, or x is not numeric.
    ShapeError
        x and y differ in length, or x is one-dimensional.
    """
    x, y = pick_xy(read_arrays(path), path)
    if y.dtype.kind in "iub":
        return as_features(x, path), y.astype(np.int64)
    return as_features(x, path), y.astype(np.float32) if y.dtype.kind == "f" else y


def pick_xy(arrays: dict[str, np.ndarray], path: str | PathLike[str]) -> Pair:
    """Return x and y as stored: by name, or the one-dimensional of two arrays as y."""
    x, y = arrays.get("x", arrays.get("X")), arrays.get("y")
    if (x is None or y is None) and sorted(a.ndim > 1 for a in arrays.values()) == [False, True]:
        y, x = sorted(arrays.values(), key=np.ndim)
    if x is None or y is None:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "no arrays"
        raise InputError(f"{path}: got {found}, wanted x and y, X and y, or x and a 1-D y")
    if x.shape[:1] != y.shape[:1] or not x.size:
        raise ShapeError(f"{path}: got x {x.shape} and y {y.shape}, wanted as many rows")
    return x, y


def read_arrays(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """Return all arrays of an ``.npz`` file by name; object arrays (pickles) are refused."""
    path = _check.path(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise InputError(f"{path} is not an .npz file of plain arrays: {exc}") from None
    raise InputError(f"{path}: got one array without a name, wanted an .npz file")


def as_features(x: np.ndarray, path: str | PathLike[str]) -> np.ndarray:
    """Return x as float32 [rows, features], axes after the first flattened."""
    if x.dtype.kind not in "iubf":
        raise DTypeError(f"{path}: x: got dtype {x.dtype}, wanted numbers")
    if x.ndim < 2 or not x.size:
        raise ShapeError(f"{path}: x: got shape {x.shape}, wanted [rows, features], neither 0")
    return np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32)


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as exc:
        raise InputError(f"{path} is a damaged or truncated gzip file: {exc}") from None
