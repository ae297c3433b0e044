"""Arrays of Python objects as arrays of one type, where each element stays what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DTypeError, InputError, LabelError, brief

__all__ = ["array_kept", "labels_of", "numbers_of"]

KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool, np.bool_),
    "int": (int, np.integer),
    "float": (float, np.floating),
}
# The types of None, pandas.NA and pandas.NaT, which a column has where there is nothing.
NOTHING = ("NoneType", "NAType", "NaTType")


def array_kept(values: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Return `array`, NumPy's of `values`, or one of objects where NumPy makes strings of others.

    It does so with a list such as ["7", 7] or ["a", nan].
    """
    if array.dtype.kind == "U" and not hasattr(values, "dtype"):
        return np.array(values, object)
    return array


def numbers_of(objects: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return an array of bools, integers and floats as float64.

    Raises
    ------
    InputError
        An element is missing.
    DTypeError
        An element is something else.
    """
    listed = objects.ravel().tolist()
    kinds = {kind: _kind_of(kind) for kind in set(map(type, listed))}
    for wrong in {"", "str", "other"} & set(kinds.values()):
        index = next(i for i, value in enumerate(listed) if kinds[type(value)] == wrong)
        place = ", ".join(str(i) for i in np.unravel_index(index, objects.shape))
        if not wrong:
            raise InputError(
                f"{name}: got nothing ({brief(listed[index])}) at [{place}], wanted finite "
                "numbers: fill the gap, or drop the row or the column"
            )
        raise DTypeError(f"{name}: got {brief(listed[index])} at [{place}], wanted real numbers")
    try:
        return np.array(listed, np.float64).reshape(objects.shape)
    except OverflowError as error:
        raise InputError(
            f"{name}: got an integer that is not finite in float64, wanted finite numbers"
        ) from error


def labels_of(objects: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels [n] of one kind as bools, int64, float64, or strings as objects.

    Integers beyond int64 stay objects.

    Raises
    ------
    LabelError
        A label is missing, or two are of different kinds.
    DTypeError
        One is neither a string nor a bool nor a number.
    """
    listed = objects.tolist()
    kinds = {kind: _kind_of(kind) for kind in set(map(type, listed))}
    names = set(kinds.values())
    if "" in names or "float" in names:
        _require_present(listed, kinds, name)
    if "other" in names:
        row = next(i for i, label in enumerate(listed) if kinds[type(label)] == "other")
        raise DTypeError(
            f"{name}: got {brief(listed[row])} ({type(listed[row]).__name__}) in row {row}, wanted "
            "real numbers, or labels: strings, bools, integers"
        )
    if len(names) > 1 and names != {"int", "float"}:
        first = kinds[type(listed[0])]
        row = next(i for i, label in enumerate(listed) if kinds[type(label)] != first)
        raise LabelError(
            f"{name}: got {brief(listed[0])} ({first}) in row 0 and {brief(listed[row])} "
            f"({kinds[type(listed[row])]}) in row {row}, wanted labels of one kind: make all of "
            "them strings, or all numbers"
        )
    if names == {"str"}:
        return np.array([str(label) for label in listed], object)
    dtype = {"bool": bool, "int": np.int64}.get("".join(names), np.float64)
    try:
        return np.array(listed, dtype)
    except OverflowError:
        return np.array([int(label) for label in listed], object)


def _kind_of(kind: type) -> str:
    """Return the kind of an element by its type: "" of one that is missing, or "other"."""
    if kind.__name__ in NOTHING:
        return ""
    return next((name for name, types in KINDS.items() if issubclass(kind, types)), "other")


def _require_present(listed: list[Any], kinds: dict[type, str], name: str) -> None:
    for row, label in enumerate(listed):
        kind = kinds[type(label)]
        if not kind or (kind == "float" and label != label):
            raise LabelError(
                f"{name}: got no label ({brief(label)}) in row {row}, wanted one in each row: "
                "fill the gap, or drop the row"
            )
