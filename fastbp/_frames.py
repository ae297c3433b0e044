"""Data frames of any library (pandas, polars, pyarrow, ...) as arrays, their columns by name.

The library narwhals reads them. It is imported when the first frame comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from . import _sparse
from ._objects import array_kept
from .engine.arrays import held
from .errors import ConfigError, DTypeError, InputError, MissingDependencyError, ShapeError, brief

__all__ = [
    "Columns",
    "array_of",
    "by_name",
    "column_names",
    "is_frame",
    "only_column",
    "rows_of",
    "taken",
]

# The names of the columns, None where they have none.
Columns = tuple[str, ...] | None

# A message names so many columns at most.
_SHOWN = 8


def is_frame(x: object) -> bool:
    """Return whether `x` is a table whose columns have names."""
    kind = type(x)
    if kind is np.ndarray:
        return False
    return hasattr(kind, "columns") or hasattr(kind, "column_names")


def by_name(x: Any, columns: Columns, name: str) -> tuple[NDArray[Any], Columns]:
    """Return the numbers of a frame [n, columns] and the names of its columns, in the same order.

    Parameters
    ----------
    x : frame
    columns : tuple of str or None
        The columns that are wanted, in their order; None for those that are there.
    name : str
        Of the frame in errors.

    Returns
    -------
    array : ndarray
    columns : tuple of str or None
        None if they are not all strings: such a frame is an array of its columns as they lie.

    Raises
    ------
    ShapeError
        A column is missing, or there is another one.
    InputError
        A number is missing or not finite.
    DTypeError
        A column does not hold numbers or bools.
    """
    whole = _whole(x)
    frame = _opened(x, name) if whole is None else None
    if whole is None and frame is None:  # by place, as far as NumPy understands it
        return np.asarray(x), None
    found = tuple(x.columns if frame is None else frame.columns)
    if len(set(found)) < len(found):
        raise InputError(f"{name}: got two columns of one name, wanted different ones")
    named = all(isinstance(column, str) for column in found)
    wanted = found if columns is None or not named else columns
    if wanted != found:
        _require_same(found, wanted, name)
    # By place, since an integer for a name would be one.
    place_of = {column: place for place, column in enumerate(found)}
    places = [place_of[column] for column in wanted]
    if whole is None:
        array = _numbers(frame, wanted, places, name)
    else:
        array = whole if wanted == found else whole[:, places]
    return array, wanted if named else None


def array_of(x: Any, name: str) -> NDArray[Any]:
    """Return the numbers of a frame, its columns as they lie; errors as in `by_name`."""
    return by_name(x, None, name)[0]


def only_column(x: Any, name: str) -> Any:
    """Return the column of a frame that has one, as a series of its library; else the frame."""
    frame = _opened(x, name)
    return frame[:, 0].to_native() if frame is not None and len(frame.columns) == 1 else x


def rows_of(x: Any) -> Any:
    """Return `x` if its rows can be taken, else as an array; an array as a view that stays."""
    if isinstance(x, np.ndarray):
        return held(x)
    if hasattr(x, "dtype") or is_frame(x):
        return x
    return array_kept(x, np.asarray(x))


def taken(x: Any, rows: NDArray[np.int64]) -> Any:
    """Return some rows of what `rows_of` gave: of a frame, a series or an array, in its form."""
    if isinstance(x, np.ndarray):
        return x[rows]
    if _sparse.is_sparse(x):
        return _sparse.taken(x, rows)
    native = _narwhals().from_native(x, eager_only=True, allow_series=True, pass_through=True)
    # Not everything with a dtype is a series: a pandas Categorical is an array.
    return x[rows] if native is x else native[rows].to_native()


def column_names(value: Any, n_inputs: int) -> Columns:
    """Return `value` as None or the distinct names of `n_inputs` columns."""
    if value is None:
        return None
    found = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if not all(isinstance(column, str) for column in found) or len(set(found)) != n_inputs:
        raise ConfigError(
            f"columns: got {brief(value)}, wanted the different names of {n_inputs} columns, "
            "or None"
        )
    return tuple(str(column) for column in found)


def _require_same(found: tuple[str, ...], wanted: tuple[str, ...], name: str) -> None:
    have, want = set(found), set(wanted)
    missing = tuple(column for column in wanted if column not in have)
    extra = tuple(column for column in found if column not in want)
    if missing:
        but = f", but with {_shown(extra)}" if extra else ""
        raise ShapeError(
            f"{name}: got a frame without the columns {_shown(missing)}{but}, wanted "
            f"{_shown(wanted)}, those that it was fitted to"
        )
    if extra:
        raise ShapeError(
            f"{name}: got the columns {_shown(extra)} beside those that it was fitted to, wanted "
            f"these alone: {name}[list(columns)], of the network's columns"
        )


def _shown(columns: tuple[str, ...]) -> str:
    rest = ", ..." if len(columns) > _SHOWN else ""
    return ", ".join(map(repr, columns[:_SHOWN])) + rest


def _whole(x: Any) -> NDArray[Any] | None:
    """Return a frame as one array if all its columns are such numbers that its library can do so.

    A row of 200 columns takes 1 ms so, and 80 ms column by column.
    """
    if not hasattr(type(x), "__array__"):  # a lazy frame would have to find its types first
        return None
    kinds = {_kind(dtype) for dtype in getattr(x, "dtypes", ())}
    if not kinds or not (kinds <= {"i", "u", "f"} or kinds == {"b"}):
        return None
    array = np.asarray(x)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        return None
    return array


def _kind(dtype: Any) -> str:
    """Return the kind of a column's type, as NumPy has it, "f" for any number of polars."""
    if hasattr(dtype, "is_numeric"):
        return "f" if dtype.is_numeric() else ""
    return str(getattr(dtype, "kind", ""))


def _numbers(frame: Any, columns: Sequence[Any], places: Sequence[int], name: str) -> NDArray[Any]:
    if not columns:
        raise ShapeError(f"{name}: got a frame without columns, wanted (n, n_inputs)")
    arrays = [
        _column(frame[:, place], column, name)
        for column, place in zip(columns, places, strict=True)
    ]
    # A bool and an integer, or integers and float32, have no type of their own in a network.
    if len({array.dtype for array in arrays}) > 1:
        arrays = [array.astype(np.float64, copy=False) for array in arrays]
    return np.column_stack(arrays)


def _column(series: Any, column: object, name: str) -> NDArray[Any]:
    """Return a column of numbers or bools without gaps."""
    nw = _narwhals()
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise DTypeError(
            f"{name}: got {series.dtype} in column {column!r}, wanted numbers or bools: convert it "
            "(astype, cast), encode it as a column of 0 and 1 for each value (get_dummies, "
            "to_dummies), or drop it"
        )
    missing = series.is_null().to_numpy()
    if missing.any():
        raise InputError(
            f"{name}: got nothing in column {column!r}, row {int(missing.argmax())}, "
            f"{int(missing.sum())} of {len(missing)} rows, wanted a number in each: fill the gaps "
            "(fillna, fill_null), or drop the rows or the column"
        )
    array = cast(NDArray[Any], series.to_numpy())
    if array.dtype.kind not in "biuf":  # decimals
        array = array.astype(np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        row = int(finite.argmin())
        raise InputError(
            f"{name}: got {array[row]} in column {column!r}, row {row}, wanted finite numbers"
        )
    return array


def _opened(x: Any, name: str) -> Any:
    """Return the frame as narwhals reads it; None for an array of a library that it does not know.

    Such as a record batch of pyarrow.
    """
    nw = _narwhals()
    try:
        frame = nw.from_native(x, eager_only=True)
        _ = frame.columns
    except TypeError as error:
        if hasattr(type(x), "__array__"):
            return None
        raise DTypeError(
            f"{name}: got a {type(x).__name__}, wanted an array, or a frame whose rows are in "
            "memory (a lazy one has collect())"
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise InputError(f"{name}: got two columns of one name, wanted different ones") from error
    return frame


def _narwhals() -> Any:
    try:
        import narwhals
    except ImportError as error:
        raise MissingDependencyError(
            "data frames need the library narwhals: python -m pip install narwhals"
        ) from error
    return narwhals
