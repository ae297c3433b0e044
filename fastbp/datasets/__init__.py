"""Data sets: the embedded digits, MNIST, and arrays from ``.npz``, ``.csv`` and IDX files.

Everything arrives as NumPy arrays ready for `Trainer.fit`: ``x`` is float32 [rows, features],
``y`` is int64 [rows] for classes or float32 for targets. Nothing here downloads anything or
unpickles anything.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

import numpy as np

from .. import _check
from ..errors import ConfigError, InputError
from .arrayfile import Pair, load_npz, read_idx
from .split import train_test_split
from .table import Table, load_csv

__all__ = [
    "Table",
    "load_csv",
    "load_digits",
    "load_mnist",
    "load_npz",
    "read_idx",
    "train_test_split",
]

DIGITS = Path(__file__).parent / "data" / "digits.npz"


def load_digits() -> Pair:
    """Return the UCI optical digits: 1,797 handwritten digits of 8x8 pixels.

    Returns
    -------
    x : np.ndarray
        float32 [1797, 64], grey levels from 0 (paper) to 1 (ink), row by row.
    y : np.ndarray
        int64 [1797], the digits 0 to 9.

    Notes
    -----
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    with np.load(DIGITS, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return images.reshape(len(images), -1).astype(np.float32) / 16, labels.astype(np.int64)


def load_mnist(folder: str | PathLike[str] | None = None) -> tuple[Pair, Pair]:
    """Return MNIST from its four IDX files, gzipped or not.

    Parameters
    ----------
    folder : str or os.PathLike, optional
        The folder of the files, or one with a subfolder ``mnist`` that holds them; the default
        is the environment variable ``FASTBP_DATA``.

    Returns
    -------
    train, test : pairs of np.ndarray
        ``(x, y)`` of the 60,000 training and the 10,000 test images: x is float32 [rows, 784],
        grey levels from 0 to 1; y is int64 [rows], the digits.

    Raises
    ------
    ConfigError
        No folder is named, or a file is missing from it.
    InputError
        A file is truncated, is not an IDX file, or images and labels do not match.
    """
    given = os.environ.get("FASTBP_DATA") if folder is None else _check.path(folder, "folder")
    if not given:
        raise ConfigError("MNIST: got no folder, wanted one here or in the variable FASTBP_DATA")
    return _mnist_part(Path(given), "train"), _mnist_part(Path(given), "t10k")


def _mnist_part(folder: Path, part: str) -> Pair:
    images = read_idx(_find_idx(folder, f"{part}-images", "idx3-ubyte"))
    labels = read_idx(_find_idx(folder, f"{part}-labels", "idx1-ubyte"))
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise InputError(
            f"MNIST in {folder}: got {part} images of shape {images.shape} and labels of shape "
            f"{labels.shape}, wanted (rows, 28, 28) and (rows,)"
        )
    x = images.reshape(len(images), -1).astype(np.float32)
    x /= 255
    return x, labels.astype(np.int64)


def _find_idx(folder: Path, stem: str, kind: str) -> Path:
    # The published names have a dash before the kind; some mirrors unpack them with a dot.
    names = [f"{stem}{mark}{kind}{end}" for mark in "-." for end in (".gz", "")]
    for path in (place / name for place in (folder, folder / "mnist") for name in names):
        if path.is_file():
            return path
    raise ConfigError(
        f"MNIST: got no file {names[1]} (or .gz) in {folder} or {folder / 'mnist'}, wanted the "
        "four files of MNIST there, or their folder in the environment variable FASTBP_DATA"
    )
