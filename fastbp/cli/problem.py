"""The data of a command: arrays of digits, of MNIST or of an .npz file, or a table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._labels import Label
from ..datasets import DIGITS, load_digits, load_mnist
from ..datasets.arrayfile import as_features, pick_xy, read_arrays
from ..datasets.table import encode_target
from ..errors import ConfigError, LabelError, ShapeError

__all__ = ["Arrays", "array_inputs", "files_of", "is_arrays", "load_arrays", "require_table"]

_DIGITS = tuple(range(10))


@dataclass(frozen=True)
class Arrays:
    """Rows and their targets.

    Attributes
    ----------
    name : str
        Of the source.
    x : np.ndarray
        float32 [rows, features], finite.
    y : np.ndarray
        int64 [rows], the numbers of the classes, or float32 [rows, outputs] targets.
    classes : tuple of str, bool, int or float
        The different labels; empty for regression.
    images : bool
        The features are pixels, which share one unit.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    classes: tuple[Label, ...] = ()
    images: bool = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    @property
    def n_outputs(self) -> int:
        """The number of units that the last layer needs."""
        return len(self.classes) or self.y.shape[1]

    def take(self, rows: NDArray[Any]) -> Arrays:
        """Return some rows."""
        return Arrays(self.name, self.x[rows], self.y[rows], self.classes, self.images)


def is_arrays(source: str) -> bool:
    """Return whether a data set is arrays, not a table."""
    return source in ("digits", "mnist") or Path(source).suffix.lower() == ".npz"


def load_arrays(source: str, task: str | None = None) -> tuple[Arrays, Arrays | None]:
    """Return a data set of arrays, and the test part of one that has its own.

    Parameters
    ----------
    source : str
        "digits", "mnist", or the path of an ``.npz`` file.
    task : {"classification", "regression"}, optional
        What the targets of a file are. By default text is classes, integers are classes when there
        are at most 100 distinct ones, and other numbers are values.
    """
    if source == "mnist":
        train, test = (Arrays(source, x, y, _DIGITS, True) for x, y in load_mnist())
        return train, test
    if source == "digits":
        return Arrays(source, *load_digits(), _DIGITS, True), None
    stored, y = pick_xy(read_arrays(source), source)
    classes: tuple[Label, ...] = ()
    if y.size == len(y):
        y, classes = encode_target(y.reshape(-1), task)
    elif task == "classification":
        raise LabelError(f"{source}: y: got shape {y.shape}, wanted one class for each row")
    # Bytes and images have one unit for all features, unlike the columns of a table.
    images = stored.dtype == np.uint8 or stored.ndim > 2
    x = as_features(stored, source)
    x = _check.inputs(x, x.shape[1], x.dtype, f"{source}: x")
    if not classes:
        y = _check.targets(y, len(x), y.size // len(x), x.dtype, "real", f"{source}: y")
    return Arrays(source, x, y, classes, images), None


def array_inputs(source: str, n_inputs: int) -> NDArray[Any]:
    """Return the rows to predict of arrays, float32 [rows, n_inputs]; labels are left aside.

    Parameters
    ----------
    source : str
        As in `load_arrays`; for "mnist" the test part.
    n_inputs : int
        What the model takes.
    """
    if source == "digits":
        x = load_digits()[0]
    elif source == "mnist":
        x = load_mnist()[1][0]
    else:
        arrays = read_arrays(source)
        found = arrays.get("x", arrays.get("X"))
        if found is None:
            alone = len(arrays) == 1
            found = next(iter(arrays.values())) if alone else pick_xy(arrays, source)[0]
        x = as_features(found, source)
    if x.shape[1] != n_inputs:
        raise ShapeError(f"{source}: got {x.shape[1]} features, the model wants {n_inputs}")
    return x


def files_of(source: str) -> list[Path]:
    """Return the files that a data set is read from; of MNIST, all that may be among them."""
    if source == "-":
        return []
    if source not in ("digits", "mnist"):
        return [Path(source)]
    if source == "digits":
        return [DIGITS]
    folder = Path(os.environ.get("FASTBP_DATA", ""))
    return [*folder.glob("*ubyte*"), *folder.glob("mnist/*ubyte*")]


def require_table(option: str, value: object, source: str) -> None:
    """Refuse an option of tables for arrays.

    Raises
    ------
    ConfigError
        It was given.
    """
    if value not in (None, [], ()) and value is not False:
        raise ConfigError(f"{option}: got {value!r} for {source}, wanted it for a table only")
