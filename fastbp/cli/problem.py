"""The data that the command line trains on: a training and a test part, and their meaning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _check
from .._labels import Classes, Label
from ..datasets import DIGITS, load_digits, load_mnist, train_test_split
from ..datasets.arrayfile import as_features, pick_xy, read_arrays
from ..datasets.table import encode_target, load_csv, numbers
from ..errors import ConfigError, LabelError, ShapeError
from ..tables.table import Table

_DIGITS = tuple(range(10))


@dataclass(frozen=True)
class Problem:
    """Data to train and to test on.

    Attributes
    ----------
    x_train, x_test : np.ndarray
        float32 [rows, features], finite.
    y_train, y_test : np.ndarray
        Labels [rows], or float32 [rows, outputs] targets.
    classes : tuple of str, bool, int or float
        The different labels; empty for regression.
    features : tuple of str
        The names of the columns of a CSV file; empty for other sources.
    target : str
        The name of the target column of a CSV file.
    images : bool
        The features are pixels, which share one unit.
    """

    x_train: np.ndarray
    x_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    classes: tuple[Label, ...]
    features: tuple[str, ...] = ()
    target: str = ""
    images: bool = False

    @property
    def n_outputs(self) -> int:
        """The number of units that the last layer needs."""
        return len(self.classes) or self.y_train.shape[1]


def load_problem(
    source: str,
    target: str | None = None,
    task: str | None = None,
    test_fraction: float = 0.2,
    seed: int | None = None,
) -> Problem:
    """Return a data set split in two; MNIST has a test part of its own.

    Parameters
    ----------
    source : str
        "digits", "mnist", or the path of an ``.npz`` or ``.csv`` file.
    target, task
        As in `fastbp.datasets.load_csv`.
    test_fraction, seed
        As in `fastbp.datasets.train_test_split`.
    """
    kind = _kind(source)
    if target is not None and kind != "csv":
        raise ConfigError(f"--target: got {target!r} for {source}, wanted it for .csv only")
    if kind == "mnist":
        (x_train, y_train), (x_test, y_test) = load_mnist()
        return Problem(x_train, x_test, y_train, y_test, _DIGITS, images=True)
    if kind == "digits":
        x, y = load_digits()
        meaning: dict[str, Any] = {"classes": _DIGITS, "images": True}
    elif kind == "csv":
        table = load_csv(source, target, task)
        x, y = table.x, _labelled(table.y, table.classes)
        meaning = {"classes": table.classes, "features": table.features, "target": table.target}
    else:
        x, y, meaning = _from_npz(source, task)
    x = _check.inputs(x, x.shape[1], x.dtype, f"{source}: x")
    if not meaning["classes"]:
        y = _check.targets(y, len(x), y.size // len(x), x.dtype, "real", f"{source}: y")
    parts = train_test_split(x, y, test_fraction, seed)
    return Problem(*parts, **meaning)


def load_inputs(source: str, n_inputs: int, features: tuple[str, ...], target: str) -> np.ndarray:
    """Return the rows to predict, float32 [rows, n_inputs].

    Parameters
    ----------
    source : str
        As in `load_problem`; for "mnist" the test part. Labels in it are left aside.
    n_inputs : int
        What the network takes.
    features, target : tuple of str, str
        The columns that a CSV file is to have, and the one to leave out, as the network was
        trained.
    """
    kind = _kind(source)
    if kind == "csv":
        return _csv_inputs(Table.read(source), n_inputs, features, target)
    if kind == "npz":
        arrays = read_arrays(source)
        x = arrays.get("x", arrays.get("X"))
        if x is None:
            x = next(iter(arrays.values())) if len(arrays) == 1 else pick_xy(arrays, source)[0]
        x = as_features(x, source)
    else:
        x = load_digits()[0] if kind == "digits" else load_mnist()[1][0]
    if x.shape[1] != n_inputs:
        raise ShapeError(f"{source}: got {x.shape[1]} features, the model wants {n_inputs}")
    return x


def files_of(source: str) -> list[Path]:
    """Return the files that a data set is read from; of MNIST, all that may be among them."""
    if _kind(source) not in ("digits", "mnist"):
        return [Path(source)]
    if source == "digits":
        return [DIGITS]
    folder = Path(os.environ.get("FASTBP_DATA", ""))
    return [*folder.glob("*ubyte*"), *folder.glob("mnist/*ubyte*")]


def _kind(source: str) -> str:
    if source in ("digits", "mnist"):
        return source
    kind = Path(source).suffix.lower().removeprefix(".")
    if kind not in ("csv", "npz"):
        raise ConfigError(f"data set: got {source!r}, wanted digits, mnist, a .npz or a .csv file")
    return kind


def _from_npz(path: str, task: str | None) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    stored, y = pick_xy(read_arrays(path), path)
    classes: tuple[Label, ...] = ()
    if y.size == len(y):
        codes, classes = encode_target(y.reshape(-1), task)
        y = _labelled(codes, classes)
    elif task == "classification":
        raise LabelError(f"{path}: y: got shape {y.shape}, wanted one class for each row")
    # Bytes and images have one unit for all features, unlike the columns of a table.
    images = stored.dtype == np.uint8 or stored.ndim > 2
    return as_features(stored, path), y, {"classes": classes, "images": images}


def _labelled(y: np.ndarray, classes: tuple[Label, ...]) -> np.ndarray:
    """Return the labels of indices of classes; targets are as they are."""
    return Classes(classes).array[y] if classes else y


def _csv_inputs(file: Table, n_inputs: int, features: tuple[str, ...], target: str) -> np.ndarray:
    n_columns = len(file.columns)
    if file.has_header and features:
        missing = [name for name in features if name not in file.columns]
        if missing:
            raise ShapeError(f"{file.name}: got no column {missing[0]!r}, the model wants it")
        return numbers(file, features)
    if n_columns == n_inputs:
        return numbers(file, file.columns)
    # Without names to go by, one column more than features is the target where training had it.
    if n_columns == n_inputs + 1 and target.isdecimal() and int(target) < n_columns:
        return numbers(file, [c for i, c in enumerate(file.columns) if i != int(target)])
    raise ShapeError(f"{file.name}: got {n_columns} columns, the model wants {n_inputs} features")
