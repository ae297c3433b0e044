"""A CSV file as features and a target: which column it is, and whether it names classes."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np

from .._labels import Label
from ..errors import ConfigError, DTypeError, InputError, LabelError
from .csv import CsvFile

_MANY_CLASSES = 100  # integers with more distinct values than this are quantities, not classes


@dataclass(frozen=True)
class Table:
    """The features and the target column of a CSV file.

    Attributes
    ----------
    x : np.ndarray
        float32 [rows, features].
    y : np.ndarray
        int64 [rows], indices into `classes`; or float32 [rows], the values to predict.
    classes : tuple of str
        The classes in the order of their indices, each as it is written in the file: of numbers
        the least first, else in alphabetical order; empty for regression.
    features : tuple of str
        The names of the feature columns; empty when the file has no header.
    target : str
        The name of the target column, or its position when the file has no header.
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    features: tuple[str, ...]
    target: str


def load_csv(
    path: str | PathLike[str], target: str | int | None = None, task: str | None = None
) -> Table:
    """Return a CSV file as features and a target column.

    The delimiter (comma, semicolon or tab) and a header line are found. Every column but the
    target is a feature and must hold numbers without gaps.

    Parameters
    ----------
    path : str or os.PathLike
        A text file in UTF-8.
    target : str or int, optional
        The name or the position of the target column; negative positions count from the end.
        The default is the last column.
    task : {"classification", "regression"}, optional
        What the target is. By default text is classes, integers are classes when there are at
        most 100 distinct ones, and other numbers are values.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        A cell is missing or is not a number, lines differ in length, or the file is no text.
    ConfigError
        There is no such column, or no such task.
    LabelError
        The target does not suit the task, or has one class only.
    """
    file = CsvFile(path, target)
    index = file.index(-1 if target is None else target)
    features = [i for i in range(len(file.columns)) if i != index]
    if not features:
        raise InputError(f"{path}: got one column, wanted a feature or more beside the target")
    x = file.numbers(features)
    y, found = encode_target(file.text(index), task)
    classes = tuple(str(label) for label in found)
    names = tuple(file.columns[i] for i in features) if file.has_header else ()
    return Table(x, y, classes, names, file.columns[index])


def encode_target(
    values: np.ndarray, task: str | None = None
) -> tuple[np.ndarray, tuple[Label, ...]]:
    """Return indices of classes and the classes, or targets and no classes.

    Parameters
    ----------
    values : np.ndarray
        [rows], text or numbers.
    task : {"classification", "regression"}, optional
        As in `load_csv`.

    Returns
    -------
    y : np.ndarray
        int64 indices of the sorted classes, or float32 values.
    classes : tuple of str, bool, int or float
        As they are in `values`, so that 7 and 7.0 written as text are two; empty for regression.
    """
    if task not in (None, "classification", "regression"):
        raise ConfigError(f"task: got {task!r}, wanted 'classification' or 'regression'")
    if values.dtype.kind not in "iubfU":
        raise DTypeError(f"target: got dtype {values.dtype}, wanted numbers or text")
    numbers = _as_numbers(values)
    if numbers is None and task == "regression":
        raise LabelError("target: got text, wanted numbers for regression")
    integral = numbers is not None and bool(
        (np.abs(numbers) < 2**53).all() and (numbers == np.rint(numbers)).all()
    )
    if task is None and numbers is not None:
        few = integral and len(np.unique(numbers)) <= _MANY_CLASSES
        task = "classification" if few else "regression"
    if numbers is not None and task == "regression":
        return numbers.astype(np.float32), ()
    distinct, y = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise LabelError(f"target: got one class only, {distinct[0]!s}, wanted two or more")
    if numbers is not None and values.dtype.kind == "U":
        order = np.argsort(distinct.astype(np.float64), kind="stable")
        distinct, y = distinct[order], np.argsort(order)[y]
    return y.astype(np.int64), tuple(distinct.tolist())


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    try:
        return values.astype(np.float64)
    except ValueError:
        return None
