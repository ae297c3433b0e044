"""The one gate for user arrays and options: everything behind it trusts what it is given.

Each function returns its argument in the form the engine takes, or raises a named error that
says which argument, what came and what was wanted. Arrays that already have that form pass
in two compiled look-ups; anything else is converted once.
"""

import math
import numbers as numbers_abc
import operator
import os
from collections.abc import Collection, Iterator
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _frames, _sparse
from ._objects import numbers_of
from .engine.arrays import all_finite, held, in_form
from .engine.rows import Rows, SparseRows, usable
from .errors import ConfigError, DTypeError, InputError, LabelError, ShapeError, brief

INT64 = np.dtype(np.int64)
DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("float32", "float64")}
# Tuples made once: `isinstance` with `a | b` makes the union anew in every call.
BOOLS = (bool, np.bool_)

PROBABILITY_SUM_TOLERANCE = 1e-3

# Domains that the one-hot rows of classes do not lie in, or make no sense in.
WITHOUT_CLASSES = {"sign": "-1 and 1", "count": "numbers >= 0"}

# Up to here Python's min and max over a list beat NumPy's reductions.
_SMALL = 64

# What the engine reads batches from: an array of the network's dtype, or rows that it converts.
AnyRows = NDArray[Any] | Rows
# Of the rows: float64 [n], if there are any.
Weights = NDArray[np.float64] | None


class Blocks(Protocol):
    """Rows that come block by block."""

    def __len__(self) -> int: ...
    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Iterate over blocks of whole passes of the engine: their place, and their rows."""


Label = str | bool | int | float
ClassWeight = dict[Label, float] | str | None


def inputs(
    x: ArrayLike, n_inputs: int, dtype: np.dtype, name: str = "x", values: bool = True
) -> NDArray[Any]:
    """Return `x` as a C-contiguous [n >= 1, n_inputs] array of `dtype`; with `values`, finite."""
    if not in_form(x, dtype, n_inputs):
        x = numeric(x, name)
        if x.ndim != 2 or x.shape[1] != n_inputs or not x.shape[0]:
            _reject_inputs(x.shape, n_inputs, name)
        x = _converted(x, dtype, name)
    if values and not all_finite(x):
        raise InputError(not_finite(x, name))
    return x


def rows(
    x: ArrayLike, n_inputs: int, dtype: np.dtype, name: str = "x", values: bool = True
) -> AnyRows:
    """Return `x` [n >= 1, n_inputs] as a network of `dtype` reads it; with `values`, finite there.

    A C-contiguous, aligned array of a type that the engine converts is used in place, and so is a
    sparse matrix in CSR.
    """
    x = held(x)
    if not in_form(x, dtype, n_inputs):
        if _sparse.is_sparse(x):
            return sparse_rows(x, None, n_inputs, dtype, name, values)
        if usable(x) and not in_form(x, dtype):
            return checked_rows(x, None, n_inputs, dtype, name, values)
        return inputs(x, n_inputs, dtype, name, values)
    if values and not all_finite(x):
        raise InputError(not_finite(x, name))
    return x


def mapped_rows(
    x: ArrayLike,
    diagonal: tuple[NDArray[np.float64], NDArray[np.float64]],
    dtype: np.dtype,
    name: str = "x",
    values: bool = True,
) -> Rows:
    """Return `x` as rows of which a network of `dtype` sees (x - mean) * scale.

    What `rows` does not use in place becomes float64, or stays float32.
    """
    n_inputs = len(diagonal[0])
    if _sparse.is_sparse(x):
        return sparse_rows(x, diagonal, n_inputs, dtype, name, values)
    return checked_rows(_readable(x, n_inputs, name), diagonal, n_inputs, dtype, name, values)


def raw_rows(x: Any, n_inputs: int, name: str) -> AnyRows:
    """Return `x` as `numbers` does, or as sparse rows."""
    if not _sparse.is_sparse(x):
        return numbers(x, n_inputs, name)
    kind = "float32" if x.dtype == np.float32 else "float64"
    return sparse_rows(x, None, n_inputs, DTYPES[kind], name, True)


def numbers(x: ArrayLike, n_inputs: int, name: str = "x", values: bool = True) -> NDArray[Any]:
    """Return `x` as an array [n >= 1, n_inputs] of any type that the engine converts.

    With `values`, finite. What is of no such type becomes float64, or stays float32.
    """
    array = _readable(x, n_inputs, name)
    dtype = DTYPES["float32" if array.dtype == np.float32 else "float64"]
    return checked_rows(array, None, n_inputs, dtype, name, values).data


def _readable(x: ArrayLike, n_inputs: int, name: str) -> NDArray[Any]:
    array = array_of(x, name)
    if usable(array):
        return array
    kind = "float32" if array.dtype == np.float32 else "float64"
    return inputs(array, n_inputs, DTYPES[kind], name, values=False)


def checked_rows(
    array: Any,
    diagonal: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    n_inputs: int,
    dtype: np.dtype,
    name: str,
    values: bool,
) -> Rows:
    """Return the rows of a usable array, their shape and, with `values`, their values checked."""
    if array.ndim != 2 or array.shape[1] != n_inputs or not len(array):
        _reject_inputs(array.shape, n_inputs, name)
    found = Rows(array, *(diagonal or ()))
    if values and not found.all_finite(dtype):
        raise InputError(not_finite_row(found, dtype, name))
    return found


def sparse_rows(
    x: Any,
    diagonal: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    n_inputs: int,
    dtype: np.dtype,
    name: str,
    values: bool,
) -> SparseRows:
    """Return the rows of a sparse matrix, checked as by `checked_rows`."""
    shape = _sparse.shape_of(x, name)
    if shape[1] != n_inputs or not shape[0]:
        _reject_inputs(shape, n_inputs, name)
    data = numeric(x.data, f"{name}.data")
    if not usable(data):
        own = diagonal is None or data.dtype == np.float32
        data = _converted(data, dtype if own else DTYPES["float64"], name)
    parts = _sparse.compressed(x, data, name)
    found = SparseRows(*parts, n_inputs, *(diagonal or ()))
    if values and not found.all_finite(dtype):
        raise InputError(not_finite_row(found, dtype, name))
    return found


def not_finite_row(x: AnyRows, dtype: np.dtype, name: str) -> str:
    """Return the text of the error that names the first number that is not finite in `dtype`.

    A number that is finite before the preprocessing and not after it is named as preprocessed.
    """
    if not isinstance(x, Rows):
        return not_finite(x, name)
    block = x.first_not_finite(dtype) or slice(0, 1)
    seen = x[block].converted(dtype)
    if x.mean is not None:
        raw = x[block].unmapped()
        if np.isfinite(raw).all():
            name = f"preprocessed {name}"
        else:
            seen = raw
    return not_finite(seen, name, block.start)


def changed_labels(
    y: NDArray[Any], n_classes: int, weights: NDArray[np.float64] | None = None
) -> LabelError:
    """Return the error for labels that were classes when they were checked and are not any more."""
    bad = np.flatnonzero(((y < 0) | (y >= n_classes)) & (weights is None or weights != 0))
    got = f"the class {y[bad[0]]} in row {bad[0]}" if len(bad) else "a value that is no class"
    return LabelError(
        f"y: got {got}, wanted 0..{n_classes - 1}; it was changed while the call was running: "
        "labels of int64 are used in place, so give the call a copy"
    )


def targets(
    y: ArrayLike,
    n_rows: int,
    n_outputs: int,
    dtype: np.dtype,
    domain: str,
    name: str = "y",
) -> NDArray[Any]:
    """Return targets as a C-contiguous [n, n_outputs] array of `dtype`.

    For one output they may have one dimension. `domain` is `Loss.targets`; see `domain_fault`.
    """
    if type(y) is np.ndarray and (y.dtype is dtype or y.dtype.kind in "biuf"):
        array = y
    else:
        array = numeric(y, name)
    if array.shape != (n_rows, n_outputs):
        _require_targets(array.shape, n_rows, n_outputs, name)
    array, fault = column(array, dtype, domain, name)
    if fault:
        raise LabelError(f"{name}: {fault}")
    return array


def column(
    y: NDArray[Any], dtype: np.dtype, domain: str, name: str
) -> tuple[NDArray[Any], str | None]:
    """Return numbers as rows of `dtype`, those of one dimension as a column, and `domain_fault`."""
    array = _converted(y.reshape(-1, 1) if y.ndim == 1 else y, dtype, name)
    if not all_finite(array):
        raise LabelError(not_finite(array, name))
    return array, domain_fault(array, domain)


def unmasked(y: NDArray[Any], weights: NDArray[np.float64] | None) -> NDArray[Any]:
    """Return targets of which those of rows of weight 0 are those of the first row with a weight.

    What a row of weight 0 has for a target does not matter, so that it is not looked at.
    """
    if weights is None or y.shape[:1] != weights.shape or weights.all() or not weights.any():
        return y
    y = y.copy()
    y[weights == 0] = y[np.argmax(weights != 0)]
    return y


def without_classes(domain: str, shape: tuple[int, int], name: str) -> LabelError:
    """Return the error for classes where the loss takes none."""
    return LabelError(
        f"{name}: got one dimension, classes, wanted {WITHOUT_CLASSES[domain]} of shape {shape} "
        "for this loss"
    )


def classes(y: ArrayLike, n_classes: int, name: str) -> NDArray[Any]:
    """Return `y` [n] as int64 classes 0..n_classes - 1."""
    array = numeric(y, name)
    if array.dtype.kind not in "iub":
        raise LabelError(
            f"{name}: got one-dimensional {array.dtype}, wanted integer classes 0..{n_classes - 1} "
            f"({name}.astype(int))"
        )
    plain = plain_classes(array, n_classes, name)
    if plain is None:
        row = int(np.argmax((array < 0) | (array >= n_classes)))
        raise LabelError(
            f"{name}: got class {array[row]} in row {row}, wanted integers 0..{n_classes - 1}"
        )
    return plain


def plain_classes(y: NDArray[Any], n_classes: int, name: str) -> NDArray[Any] | None:
    """Return numbers [n] as int64 if all are integers 0..n_classes - 1, else None."""
    if not len(y):
        return None
    low, high = extremes(y)
    if not (low >= 0 and high < n_classes):
        return None
    if y.dtype.kind == "f" and not (y == np.rint(y)).all():
        return None
    return _converted(y, INT64, name)


def domain_fault(y: NDArray[Any], domain: str) -> str | None:
    """Return what came and what was wanted if `y`, finite [n, n_outputs], is not in the domain.

    Parameters
    ----------
    y : ndarray
        Target rows.
    domain : str
        "real" (anything), "unit" ([0, 1]), "count" (>= 0), "distribution" (>= 0, with sum 1),
        "one_hot" (a 1, the rest 0), "sign" (-1 and 1) or "bit" (0 and 1).
    """
    if domain == "real":
        return None
    if domain == "distribution":
        return None if _are_distributions(y) else _worst_distribution(y)
    if domain in ("unit", "count"):
        low, high = extremes(y)
        if low < 0 or (domain == "unit" and high > 1):
            wanted = "[0, 1]" if domain == "unit" else "numbers >= 0"
            return f"got values from {low:g} to {high:g}, wanted {wanted}"
        return None
    if domain == "sign":
        return _other(y, np.abs(y) == 1, "-1 and 1")
    wrong = _other(y, (y == 0) | (y == 1), "0 and 1")
    if wrong or domain == "bit":
        return wrong
    ones = y.sum(axis=1)
    if (ones == 1).all():
        return None
    row = int(np.argmax(ones != 1))
    return f"got {ones[row]:g} ones in row {row}, wanted one-hot rows, or one-dimensional classes"


def _other(y: NDArray[Any], right: NDArray[np.bool_], wanted: str) -> str | None:
    if right.all():
        return None
    row, column = (int(i) for i in np.argwhere(~right)[0])
    return f"got {y[row, column]:g} at [{row}, {column}], wanted {wanted}"


def _worst_distribution(y: NDArray[Any]) -> str:
    sums, lows = y.sum(axis=1), y.min(axis=1)
    row = int(np.argmax(np.maximum(np.abs(sums - 1), -lows)))
    return (
        f"got the sum {sums[row]:g} and the least value {lows[row]:g} in row {row}, "
        "wanted probabilities that sum to 1 (one-hot or soft), or one-dimensional classes"
    )


def _are_distributions(y: NDArray[Any]) -> bool:
    if y.size <= _SMALL:
        for row in y.tolist():
            if min(row) < 0 or abs(sum(row) - 1) > PROBABILITY_SUM_TOLERANCE:
                return False
        return True
    sums_agree = np.abs(y.sum(axis=1) - 1) <= PROBABILITY_SUM_TOLERANCE
    return bool(y.min() >= 0 and sums_agree.all())


def extremes(array: NDArray[Any]) -> tuple[Any, Any]:
    """Return the least and the largest value."""
    if array.size <= _SMALL:
        values = (array if array.ndim == 1 else array.ravel()).tolist()
        return min(values), max(values)
    return array.min(), array.max()


def parameter(value: ArrayLike, shape: tuple[int, ...], dtype: np.dtype, name: str) -> NDArray[Any]:
    """Return `value` as a finite array of `shape` and `dtype`, for a layer's weight or bias."""
    array = shaped(value, shape, dtype, name)
    if not all_finite(array):
        raise InputError(not_finite(array, name))
    return array


def shaped(value: ArrayLike, shape: tuple[int, ...], dtype: np.dtype, name: str) -> NDArray[Any]:
    """Return `value` as an array of `shape` and `dtype`."""
    array = numeric(value, name)
    if array.shape != shape:
        raise ShapeError(f"{name}: got shape {array.shape}, wanted {shape}")
    return _converted(array, dtype, name)


def weights(
    value: ArrayLike, n_rows: int, dtype: np.dtype, name: str, whole: bool = True
) -> NDArray[Any]:
    """Return `value` as a float64 array [n_rows] of numbers >= 0 that are finite in `dtype`.

    The weights of a `whole` set of rows, not of one batch, are not all 0: they have a mean.
    """
    array = numeric(value, name)
    if array.shape != (n_rows,):
        raise ShapeError(
            f"{name}: got shape {array.shape}, wanted ({n_rows},), a weight for each row of x"
        )
    array = _converted(array, DTYPES["float64"], name)
    if not all_finite(array):
        raise InputError(not_finite(array, name))
    low, high = extremes(array)
    # n_rows times the largest must be finite too: sums of weights are no larger.
    if low < 0 or high > float(np.finfo(dtype).max) or not np.isfinite(high * float(n_rows)):
        raise InputError(
            f"{name}: got values from {low:g} to {high:g}, wanted numbers >= 0, finite in {dtype}"
        )
    if whole and high == 0:
        raise InputError(f"{name}: got only zeros, wanted a weight > 0 for some row")
    return array


def class_weight(value: Any) -> ClassWeight:
    """Return `value` as None, "balanced" or a weight >= 0 for each of some labels."""
    if value is None or text(value) == "balanced":
        return text(value)
    if not isinstance(value, dict) or not value:
        raise ConfigError(
            f"class_weight: got {brief(value)}, wanted 'balanced' or a dict of weights by class"
        )
    checked = {}
    for key, weight in value.items():
        label = key.item() if isinstance(key, np.generic) else key
        whole = isinstance(label, int) or (isinstance(label, float) and label.is_integer())
        if not (whole or isinstance(label, str)):
            raise ConfigError(
                f"class_weight: got the class {brief(key)}, wanted a label: a string, a bool or "
                "a whole number"
            )
        checked[label] = number(weight, f"class_weight[{brief(key)}]")
    return checked


def occurring(class_weight: ClassWeight, y: NDArray[Any]) -> None:
    """Refuse a class of one output that no row of `y` [n, 1] has."""
    if isinstance(class_weight, dict) and y.ndim == 2 and y.shape[1] == 1:
        values = np.unique(y)
        for key in class_weight:
            if key not in values:
                shown = ", ".join(f"{value:g}" for value in values[:5])
                raise ConfigError(
                    f"class_weight: got the class {key}, wanted values of y: {shown}"
                    f"{', ...' if len(values) > 5 else ''}"
                )


def row_weights(
    by_row: NDArray[np.float64] | None,
    class_weight: dict[Label, float] | str,
    y: NDArray[Any],
    whole: bool = True,
) -> NDArray[np.float64]:
    """Return the product of both, float64 [n].

    Parameters
    ----------
    by_row : ndarray, optional
        [n], as `weights` returns them.
    class_weight : dict or "balanced"
        Checked. A class that is left out counts 1; "balanced" gives a class with m of the n
        rows n / (m * number of classes that occur), so that each has the same share. Rows of
        weight 0 are not among these.
    y : ndarray
        Classes or targets of the rows, as the engine takes them.
    whole : bool
        As for `weights`.
    """
    counted = slice(None) if by_row is None else by_row != 0
    values, which, counts = np.unique(
        _classes_of(y, counted), return_inverse=True, return_counts=True
    )
    if isinstance(class_weight, dict):
        each = np.array([class_weight.get(int(value), 1.0) for value in values])
    else:
        each = len(which) / (len(values) * counts)
    product = np.ones(len(y)) if by_row is None else by_row.copy()
    with np.errstate(over="ignore"):
        product[counted] *= each[which]
    if not np.isfinite(product.max() * len(y)) or (whole and not product.any()):
        low, high = extremes(product)
        raise InputError(
            f"class_weight: got {brief(class_weight)}, which makes weights of rows from {low:g} to "
            f"{high:g}, wanted finite ones, and one > 0"
        )
    return product


def _classes_of(y: NDArray[Any], counted: Any) -> NDArray[Any]:
    """Return the class of some rows: one-dimensional, or whole numbers for one output."""
    column: NDArray[Any] = y[counted] if y.ndim == 1 else y[counted, 0]
    if y.ndim == 1:
        return column
    if y.shape[1] == 1 and (column == np.rint(column)).all():
        return column
    raise LabelError(
        f"y: got targets of shape {y.shape}, wanted one-dimensional integer classes, which "
        "class_weight needs"
    )


def numeric(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of bools, integers or floats."""
    array = array_of(value, name)
    if array.dtype.kind == "O":
        if not array.ndim:
            raise DTypeError(f"{name}: got {brief(value)}, wanted an array of real numbers")
        array = numbers_of(array, name)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: got dtype {array.dtype}, wanted real numbers")
    return array


def array_of(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array; the columns of a frame are numbers.

    Of an array it is a view whose form and memory nobody can take away: see `held`.
    """
    array: NDArray[Any] = held(value)
    if type(array) is np.ndarray:
        return array
    if isinstance(value, np.ma.MaskedArray):
        raise _masked(name)
    array = held(
        _frames.array_of(value, name) if _frames.is_frame(value) else _as_array(value, name)
    )
    if isinstance(value, list | tuple) and _has_masked(value, array.ndim):
        raise _masked(name)
    return array


def _as_array(value: Any, name: str) -> NDArray[Any]:
    if hasattr(value, "toarray"):
        raise DTypeError(
            f"{name}: got a {type(value).__name__}, which is sparse, wanted an array: "
            f"{name}.toarray()"
        )
    try:
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # what the `__array__` of another library raises
        if "inhomogeneous" in str(error):
            text = f"{name}: got rows of different lengths, wanted an array"
            raise ShapeError(text) from error
        raise DTypeError(
            f"{name}: got a {type(value).__name__} that does not become an array ({error}), wanted "
            "an array of real numbers"
        ) from error


def _masked(name: str) -> InputError:
    return InputError(f"{name}: got a masked array, wanted one whose gaps are filled or dropped")


def _has_masked(value: Any, depth: int) -> bool:
    """Return whether a list, of lists to some depth, has masked arrays or numbers in it.

    NumPy drops their masks.
    """
    kinds = set(map(type, value))
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds):
        return True
    nested = depth > 1 and any(issubclass(kind, list | tuple) for kind in kinds)
    return nested and any(
        isinstance(part, list | tuple) and _has_masked(part, depth - 1) for part in value
    )


def _converted(array: NDArray[Any], dtype: np.dtype, name: str) -> NDArray[Any]:
    if in_form(array, dtype):
        return array
    # A number too large for float32 becomes infinite here and is named by the finiteness check.
    try:
        with np.errstate(over="ignore"):
            return np.require(array, dtype, ("C", "A"))
    except MemoryError as error:
        raise MemoryError(
            f"{name}: got {array.dtype} of shape {array.shape}, of which a copy in {dtype} does "
            "not fit into memory, wanted fewer rows; C-contiguous numbers are used in place"
        ) from error


def shape(value: ArrayLike, name: str) -> tuple[int, ...]:
    """Return the shape of `value` as an array."""
    return np.shape(value) if _frames.is_frame(value) else array_of(value, name).shape


def table(value: ArrayLike, name: str) -> NDArray[Any]:
    """Return `value` as an array of rows, whatever they are of."""
    # Parts of a masked array keep their masks.
    array = value if isinstance(value, np.ma.MaskedArray) else array_of(value, name)
    if not array.ndim:
        raise ShapeError(f"{name}: got {brief(value)}, wanted an array with a row per example")
    return array


def not_finite(array: NDArray[Any], name: str, first: int = 0) -> str:
    """Return the text of the error that names the first number which is not finite.

    `first` is the index of the array's first row.
    """
    if not array.ndim:
        return f"{name}: got {array}, wanted finite numbers"
    bad = np.argwhere(~np.isfinite(array))
    if not len(bad):  # it has been written to since it was looked at
        return f"{name}: got a number that is not finite, wanted finite numbers"
    index = tuple(int(i) for i in bad[0])
    place = ", ".join(str(i) for i in (first + index[0], *index[1:]))
    return f"{name}: got {array[index]} at [{place}] (as {array.dtype}), wanted finite numbers"


def _reject_inputs(shape: tuple[int, ...], n_inputs: int, name: str) -> NoReturn:
    if len(shape) == 1:
        raise ShapeError(
            f"{name}: got shape {shape}, wanted (n, {n_inputs}); use {name}.reshape(1, -1) for "
            f"one row, {name}.reshape(-1, 1) for one feature"
        )
    if len(shape) != 2 or shape[1] != n_inputs:
        raise ShapeError(f"{name}: got shape {shape}, wanted (n, {n_inputs}), a row per example")
    raise InputError(f"{name}: got no rows, shape {shape}, wanted at least one")


def _require_targets(shape: tuple[int, ...], n_rows: int, n_outputs: int, name: str) -> None:
    if shape == (n_rows,) and n_outputs == 1:
        return
    if shape and shape[0] != n_rows:
        raise ShapeError(f"{name}: got {shape[0]} rows, wanted {n_rows}, as many as x has")
    flat = "the same in one dimension" if n_outputs == 1 else "one-dimensional integer classes"
    raise ShapeError(f"{name}: got shape {shape}, wanted ({n_rows}, {n_outputs}), or {flat}")


def positive_int(value: Any, name: str) -> int:
    """Return `value` as an int of at least 1 that fits the engine's 32 bits."""
    number = _integer(value)
    if number is None or not 1 <= number < 2**31:
        raise ConfigError(f"{name}: got {brief(value)}, wanted an integer from 1 to {2**31 - 1}")
    return number


def optional_int(value: Any, name: str) -> int | None:
    """Return `value` as None or a `positive_int`."""
    return None if value is None else positive_int(value, name)


def callbacks(value: Any, methods: Collection[str]) -> tuple[Any, ...]:
    """Return `value` as a tuple of functions and of objects that have one of `methods`."""
    try:
        found = tuple(value)
    except TypeError:
        found = (value,)
    for callback in found:
        has = callable(callback) or any(callable(getattr(callback, m, None)) for m in methods)
        if isinstance(callback, type) or not has:
            raise ConfigError(
                f"callbacks: got {brief(callback)}, wanted a function of (trainer, history), or an "
                f"object with one of {', '.join(methods)}"
            )
    return found


def number(value: Any, name: str, below: float = np.inf) -> float:
    """Return `value` as a float, 0 <= value < below; minus zero as zero."""
    result = _float(value)
    if 0 <= result < below:
        return result + 0.0
    wanted = "a finite number >= 0" if below == np.inf else f"a number in [0, {below:g})"
    raise ConfigError(f"{name}: got {brief(value)}, wanted {wanted}")


def whole(value: Any, name: str) -> int:
    """Return `value` as an int of at least 0 that fits the engine's 32 bits."""
    number = _integer(value)
    if number is None or not 0 <= number < 2**31:
        raise ConfigError(f"{name}: got {brief(value)}, wanted an integer from 0 to {2**31 - 1}")
    return number


def real(value: Any, name: str, finite: bool = True) -> float:
    """Return `value` as a float of either sign; NaN and infinities only if not `finite`."""
    result = _float(value)
    if math.isfinite(result) or (not finite and _is_number(_element(value))):
        return result
    raise ConfigError(f"{name}: got {brief(value)}, wanted a {'finite ' if finite else ''}number")


def _float(value: Any) -> float:
    """Return any kind of real number as a float; NaN for anything else, bools included."""
    if type(value) is float:  # most are, and this is called for each number of an epoch
        return value
    value = _element(value)
    if not _is_number(value):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers_abc.Real) and not isinstance(value, bool)


def _element(value: Any) -> Any:
    """Return what is in an array without axes, such as `numpy.load` gives; all else as it is."""
    if getattr(value, "ndim", None) != 0 or isinstance(value, np.generic | np.ma.MaskedArray):
        return value
    try:
        return np.asarray(value)[()]
    except (RuntimeError, TypeError, ValueError):  # of another library, not in memory
        return value


def share(value: Any, name: str) -> float:
    """Return `value` as a float between 0 and 1."""
    result = _float(value)
    if 0 < result < 1:
        return result
    raise ConfigError(f"{name}: got {brief(value)}, wanted a number between 0 and 1")


def positive(value: Any, name: str) -> float:
    """Return `value` as a finite float above 0."""
    result = number(value, name)
    if not result:
        raise ConfigError(f"{name}: got {brief(value)}, wanted a number > 0")
    return result


def path(value: Any, name: str = "path") -> str:
    """Return `value` as the name of a file; an integer, to `open` an open file, is none."""
    try:
        found = os.fsdecode(text(value) or value)
        if b"\0" not in os.fsencode(found):
            return found
    except (TypeError, UnicodeError):
        pass
    raise ConfigError(f"{name}: got {brief(value)}, wanted the name of a file, str or os.PathLike")


def flag(value: Any, name: str) -> bool:
    """Return `value` as a bool; 0, 1 and strings are refused."""
    element = _element(value)
    if isinstance(element, BOOLS):
        return bool(element)
    raise ConfigError(f"{name}: got {brief(value)}, wanted True or False")


def choice(value: Any, names: Collection[str], name: str) -> str:
    """Return `value` as a plain string when it is one of `names`."""
    found = text(value)
    if found is not None and found in names:
        return found
    raise ConfigError(f"{name}: got {brief(value)}, wanted one of {', '.join(names)}")


def text(value: Any) -> str | None:
    """Return any kind of string, such as NumPy's or a member of a `StrEnum`, as a plain one."""
    element = _element(value)
    return str.__str__(element) if isinstance(element, str) else None


def attribute(owner: object, name: str) -> None:
    """Refuse the name of a public attribute of `owner` that cannot be assigned."""
    if name.startswith("_"):
        return
    kind = type(owner)
    properties = {k: v for k in dir(kind) if isinstance(v := getattr(kind, k), property)}
    settable = [k for k, v in properties.items() if v.fset is not None]
    if name not in settable:
        raise AttributeError(
            f"{kind.__name__}: got a value for {name!r}, wanted one of the attributes that can be "
            f"assigned: {', '.join(settable)}"
        )


def floating_dtype(value: Any, name: str = "dtype") -> np.dtype:
    """Return the dtype of a network, or of its rows: float32 or float64."""
    try:
        found = np.dtype(text(value) or value)
    except Exception:  # what NumPy or the object raises
        found = INT64
    if value is not None and found.isnative and found.name in DTYPES:
        return DTYPES[found.name]
    raise ConfigError(f"{name}: got {brief(value)}, wanted 'float32' or 'float64'")


def seed(value: Any) -> int | None:
    """Return `value` as a seed: None for fresh entropy, or an integer >= 0."""
    number = _integer(value)
    if value is not None and (number is None or number < 0):
        raise ConfigError(f"seed: got {brief(value)}, wanted None or an integer >= 0")
    return number


def _integer(value: Any) -> int | None:
    """Return any kind of integer as an int; None for anything else, bools included."""
    try:
        return None if isinstance(value, BOOLS) else operator.index(value)
    except TypeError:
        return None
