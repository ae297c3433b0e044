"""A CSV file as features and a target: which column it is, and whether it names classes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from .. import _check
from .._labels import Label
from ..errors import ConfigError, DTypeError, InputError, LabelError, brief

if TYPE_CHECKING:
    from ..tables.table import Table as TextTable

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
    # Imported here, because it takes a while and few need it.
    from ..tables.table import Table as TextTable

    name = _check.text(target)
    file = TextTable.read(path, column=name)
    index = position(file.columns, target, file.name)
    features = [column for i, column in enumerate(file.columns) if i != index]
    if not features:
        raise InputError(f"{path}: got one column, wanted a feature or more beside the target")
    x = numbers(file, features)
    y, found = encode_target(words(file, file.columns[index]), task)
    classes = tuple(str(label) for label in found)
    names = tuple(features) if file.has_header else ()
    return Table(x, y, classes, names, file.columns[index])


def position(
    columns: tuple[str, ...], target: str | int | None, path: str, option: str = "target"
) -> int:
    """Return the position of a column given by its name, or by its number; None for the last one.

    Negative numbers count from the end. `option` is what errors call it.
    """
    if target is None:
        return len(columns) - 1
    if isinstance(target, bool | np.bool_) or not isinstance(target, str | int | np.integer):
        raise ConfigError(f"{option}: got {brief(target)}, wanted the name or position of a column")
    if isinstance(target, str) and target in columns:
        return columns.index(target)
    try:
        place = int(target)
    except ValueError:
        place = len(columns)
    if not -len(columns) <= place < len(columns):
        near = difflib.get_close_matches(str(target), columns, 3)
        names = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?" if near else f"wanted one of: {names}"
        )
        raise ConfigError(f"{path}: {option}: got no column {brief(target)}, {hint}")
    return place % len(columns)


def numbers(file: TextTable, columns: Sequence[str]) -> np.ndarray:
    """Return columns as a float32 array [rows, columns], which must be numbers without gaps."""
    from ..tables.cells import is_missing, numbers_of

    x = np.empty((len(file), len(columns)), np.float32)
    for i, name in enumerate(columns):
        column = file.frame[name]
        found = numbers_of(column, file.decimal)
        if found is None or np.isnan(found[0]).any():
            # With a way to read it given, each cell is read by itself.
            values = numbers_of(column, file.decimal, how="")
            row = int(np.isnan(values[0] if values else [np.nan]).argmax())
            cell = "nothing" if is_missing(column)[row] else repr(column.iloc[row])
            raise InputError(
                f"{file.place(row)}, column {name!r}: got {cell}, wanted a number (encode names "
                "and fill gaps first)"
            )
        x[:, i] = found[0]
    return x


def words(file: TextTable, column: str) -> np.ndarray:
    """Return a column as an array of strings [rows]; a missing cell is an error."""
    from ..tables.cells import is_missing, text_of

    missing = is_missing(file.frame[column])
    if missing.any():
        place = file.place(int(missing.argmax()))
        raise InputError(f"{place}, column {column!r}: got nothing, wanted a value")
    return np.array(text_of(file.frame[column]).tolist())


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
    if task is not None:
        _check.choice(task, ("classification", "regression"), "task")
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
    if values.dtype.kind == "U" and (np.char.find(values, "_") >= 0).any():
        return None  # Python takes 1_000 for a number, no other does
    try:
        return values.astype(np.float64)
    except ValueError:
        return None
