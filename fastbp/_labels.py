"""Labels of any kind, the classes of a network that they name, and the targets that they become.

A label is a string, a bool, an integer or a whole float. Numbers are the same label if they are
equal; "007", "7" and 7 are three.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _frames
from ._objects import array_kept, labels_of
from .engine.arrays import all_finite, held
from .errors import ConfigError, DTypeError, LabelError, ShapeError, brief

__all__ = [
    "Classes",
    "Label",
    "classes_of",
    "encoded",
    "numbered",
    "stored",
    "threshold_of",
    "weights_by_target",
]

Label = str | bool | int | float
# What the two classes of one output become as its targets, the first one first.
Pair = tuple[int, int] | None

NUMERIC = "biuf"
# The targets of two classes by the domain of a loss, or where that is "real" by the activation.
PAIRS = {
    "unit": (0, 1),
    "sigmoid": (0, 1),
    "bit": (0, 1),
    "step": (0, 1),
    "sign": (-1, 1),
    "tanh": (-1, 1),
}
# A message names so many labels at most.
_SHOWN = 8


class Classes:
    """What the classes of a network are called, in the order of its outputs.

    Parameters
    ----------
    labels : sequence of str, bool, int or float
        Distinct and of one kind; none where labels are the plain numbers of the outputs.
    """

    def __init__(self, labels: Sequence[Label] = ()) -> None:
        self.labels = tuple(labels)
        # Whether each label is equal to its number, so that numbers need no translation.
        self.counted = self.labels == tuple(range(len(self.labels)))
        self._codes = {label: code for code, label in enumerate(self.labels)}

    @cached_property
    def array(self) -> NDArray[Any]:
        """The labels; strings as objects, so that each comes back as it was."""
        kind = type(self.labels[0])
        dtype = {str: object, int: np.int64}.get(kind, kind)
        try:
            array = np.array(self.labels, dtype)
        except OverflowError:  # integers beyond int64
            array = np.array(self.labels, object)
        array.flags.writeable = False
        return array

    def codes(self, labels: NDArray[Any], name: str) -> NDArray[np.int64]:
        """Return the number of the class of each label."""
        listed = labels.tolist()
        try:
            return np.fromiter(map(self._codes.__getitem__, listed), np.int64, len(listed))
        except KeyError:
            row = next(i for i, label in enumerate(listed) if label not in self._codes)
        raise LabelError(
            f"{name}: got the label {brief(listed[row])} in row {row}, wanted one of "
            f"{shown(self.labels)}, the classes of the network (net.classes)"
        )


PLAIN = Classes()
BOOLS = Classes((False, True))


def encoded(
    y: ArrayLike,
    n_rows: int,
    n_outputs: int,
    dtype: np.dtype[Any],
    domain: str,
    activation: str,
    classes: Classes | None,
    name: str = "y",
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[Any], Classes | None]:
    """Return labels or targets as the engine takes them, and the classes that they name.

    Parameters
    ----------
    y : array_like
        Labels [n], or targets [n, n_outputs] ([n] for one output).
    n_rows, n_outputs, dtype, domain, name
        As for `_check.targets`.
    activation : str
        Of the output layer.
    weights : ndarray, optional
        Of the rows, [n]: rows of weight 0 may have any labels and targets.
    classes : Classes or None
        Those of the network; None as long as nothing has named them. Then the sorted labels do, or
        a categorical in its own order, if there is one for each output.

    Raises
    ------
    LabelError
        A label is missing, is none of the classes, or is of another kind than the others; or it
        is not known which outputs they belong to.
    ShapeError, DTypeError, InputError
        As for `_check.targets`.
    """
    y = held(y)
    shape = (n_rows, n_outputs)
    if weights is not None and not weights.any() and _check.shape(y, name) in ((n_rows,), shape):
        # No row counts, so that no target matters.
        if n_outputs > 1 and np.ndim(y) == 1:
            return np.zeros(n_rows, np.int64), classes
        return np.zeros(shape, dtype), classes
    if type(y) is np.ndarray and y.dtype.kind in NUMERIC:
        labels, order = _check.unmasked(y, weights), None
    else:
        labels, order = _read(y, name)
        labels = _check.unmasked(labels, weights)
    if labels.shape != (n_rows,):
        return _check.targets(labels, n_rows, n_outputs, dtype, domain, name), classes
    if n_outputs == 1:
        pair = pair_of(domain, activation)
        return _single(labels, order, dtype, domain, pair, classes, name)
    if domain in _check.WITHOUT_CLASSES:
        raise _check.without_classes(domain, (n_rows, n_outputs), name)
    return _several(labels, order, n_outputs, classes, name)


def pair_of(domain: str, activation: str) -> Pair:
    """Return the targets of two classes for one output, None if it can only have numbers."""
    return PAIRS.get(activation if domain == "real" else domain)


def threshold_of(activation: str) -> float:
    """Return what one output is above for the second of two classes."""
    return 0.5 if activation in ("sigmoid", "step") else 0.0


def _several(
    labels: NDArray[Any],
    order: Sequence[Label] | None,
    n_outputs: int,
    classes: Classes | None,
    name: str,
) -> tuple[NDArray[Any], Classes | None]:
    kind = labels.dtype.kind
    if kind in NUMERIC and order is None and (classes is None or classes.counted):
        plain = _check.plain_classes(labels, n_outputs, name)
        if plain is not None:
            return plain, classes or _counted(kind, n_outputs)
    if classes is None:
        classes = _found(labels, order, n_outputs, n_outputs, name)
    elif not classes.labels:
        raise _no_class(labels, n_outputs, n_outputs, name)
    return classes.codes(labels, name), classes


def _counted(kind: str, n: int) -> Classes:
    """Return the classes of labels that are equal to the numbers of the outputs."""
    if kind == "f":
        return Classes([float(code) for code in range(n)])
    return BOOLS if kind == "b" and n == 2 else PLAIN


def _single(
    labels: NDArray[Any],
    order: Sequence[Label] | None,
    dtype: np.dtype[Any],
    domain: str,
    pair: Pair,
    classes: Classes | None,
    name: str,
) -> tuple[NDArray[Any], Classes | None]:
    plain = pair is None or (order is None and (classes is None or classes.labels in ((), pair)))
    if plain and labels.dtype.kind in NUMERIC:
        # They are the targets themselves, unless their values say otherwise.
        column, fault = _check.column(labels, dtype, domain, name)
        if fault is None:
            return column, classes or _of_targets(labels, domain, pair)
        if pair is None or classes is not None or not _are_two(labels):
            raise LabelError(f"{name}: {fault}")
    if pair is None:
        raise LabelError(
            f"{name}: got the label {brief(labels.tolist()[0])} in row 0, wanted numbers, which "
            "this loss takes for one such output; two classes go with Dense(1, 'sigmoid')"
        )
    if classes is None:
        classes = _found(labels, order, 2, 1, name)
    elif not classes.labels:
        raise _no_class(labels, 2, 1, name)
    codes = classes.codes(labels, name)
    return np.array(pair, dtype)[codes].reshape(-1, 1), classes


def _of_targets(labels: NDArray[Any], domain: str, pair: Pair) -> Classes | None:
    """Return the classes that numbers name which are the targets of one output themselves."""
    kind = labels.dtype.kind
    if pair is None or (domain == "real" and kind != "b"):
        return None
    if pair == (0, 1):
        return BOOLS if kind == "b" else PLAIN
    return Classes((-1.0, 1.0) if kind == "f" else pair) if domain == "sign" else None


def _are_two(labels: NDArray[Any]) -> bool:
    """Return whether these are whole numbers, two different ones."""
    whole = labels.dtype.kind != "f" or bool((labels == np.rint(labels)).all())
    return whole and len(np.unique(labels)) == 2


def _found(
    labels: NDArray[Any], order: Sequence[Label] | None, n: int, n_outputs: int, name: str
) -> Classes:
    """Return the `n` classes that these labels name by themselves."""
    if labels.dtype.kind == "b" and n == 2:
        return BOOLS
    if labels.dtype.kind == "f":
        _require_whole(labels, n_outputs, name)
    distinct = set(labels.tolist())
    if order is not None and len(order) != n:
        order = [label for label in order if label in distinct]
    found = sorted(distinct) if order is None else order
    if len(found) == n:
        return Classes(found)
    if labels.dtype.kind in "iu":
        raise _no_class(labels, n, n_outputs, name)
    raise LabelError(
        f"{name}: got {len(found)} different labels, {shown(found)}, wanted {n}, as the network "
        f"has {_outputs(n_outputs)}; if there are labels that do not occur here, name all of them "
        "first: net.classes = [...]"
    )


def _require_whole(labels: NDArray[Any], n_outputs: int, name: str) -> None:
    whole = np.isfinite(labels) & (labels == np.rint(labels))
    if not whole.all():
        row = int(whole.argmin())
        raise LabelError(
            f"{name}: got the label {labels[row]} in row {row}, wanted classes (strings, bools or "
            f"whole numbers), or targets of shape ({len(labels)}, {n_outputs})"
        )


def _no_class(labels: NDArray[Any], n: int, n_outputs: int, name: str) -> LabelError:
    """Return the error for labels that are no numbers of classes."""
    listed = labels.tolist()
    row = next((i for i, label in enumerate(listed) if label not in range(n)), None)
    if row is None:
        return _check.changed_labels(labels, n)
    return LabelError(
        f"{name}: got class {brief(listed[row])} in row {row}, wanted integers 0..{n - 1}, as the "
        f"network has {_outputs(n_outputs)}; classes that are called otherwise need names: "
        "net.classes = [...]"
    )


def _outputs(n: int) -> str:
    return "1 output" if n == 1 else f"{n} outputs"


def classes_of(value: Any, n_outputs: int) -> Classes | None:
    """Return `value`, names of classes as a user gives them, as the classes of a network.

    Raises
    ------
    ConfigError
        They are not distinct labels of one kind, one for each output, two for a single one.
    """
    if value is None:
        return None
    n = max(n_outputs, 2)
    try:
        labels, _ = _read(value, "classes")
        if labels.ndim == 1 and labels.dtype.kind == "f":
            _require_whole(labels, n_outputs, "classes")
    except (DTypeError, LabelError) as error:
        raise ConfigError(str(error)) from error
    found = labels.tolist()
    if labels.ndim != 1 or len(found) != n or len(set(found)) != n:
        raise ConfigError(
            f"classes: got {brief(value)}, wanted {n} different labels, as the network has "
            f"{_outputs(n_outputs)}"
        )
    return Classes(found)


def stored(labels: Any, n_outputs: int) -> Classes | None:
    """Return the classes of which a file has the labels; errors as of `classes_of`."""
    return PLAIN if labels == [] else classes_of(labels, n_outputs)


def numbered(y: ArrayLike, name: str) -> NDArray[np.intp]:
    """Return the number of each label [n] among the sorted different ones.

    Raises
    ------
    LabelError, DTypeError, ShapeError
        They are no labels, or have another shape.
    """
    labels, _ = _read(y, name)
    if labels.ndim != 1:
        raise ShapeError(f"{name}: got shape {labels.shape}, wanted (n,), a label a row")
    if labels.dtype.kind == "f" and not all_finite(np.ascontiguousarray(labels, np.float64)):
        raise LabelError(_check.not_finite(labels, name))
    found: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
    return found


def strata(y: ArrayLike, n_outputs: int) -> NDArray[np.intp] | None:
    """Return the number of the class of each row; None if these targets name no classes.

    For one output they do if there are two different ones.
    """
    labels, _ = _read(y, "y")
    if labels.ndim != 1:
        return None
    found, codes = np.unique(labels, return_inverse=True)
    return codes if n_outputs > 1 or len(found) == 2 else None


def weights_by_target(
    weights: Any, classes: Classes | None, n_outputs: int, domain: str, activation: str
) -> Any:
    """Return the class weights of `_check.class_weight` by what the labels become as targets.

    Raises
    ------
    ConfigError
        A key is no class.
    """
    if not isinstance(weights, dict):
        return weights
    names = classes.labels if classes is not None else ()
    pair = pair_of(domain, activation) if n_outputs == 1 else None
    targets = pair or (tuple(range(n_outputs)) if n_outputs > 1 else ())
    known = names or targets
    found = {}
    for key, weight in weights.items():
        if key in known:
            found[targets[known.index(key)]] = weight
        elif not known and not isinstance(key, str):
            found[int(key)] = weight
        else:
            wanted = f"one of {shown(names)}" if names else " and ".join(map(str, targets))
            wanted = f"0..{n_outputs - 1}" if n_outputs > 1 and not names else wanted
            raise ConfigError(
                f"class_weight: got the class {brief(key)}, wanted {wanted}, as those of the "
                "network"
            )
    return found


def shown(labels: Sequence[object]) -> str:
    """Return the first labels as a message has them."""
    rest = f", ... ({len(labels)} in all)" if len(labels) > _SHOWN else ""
    return ", ".join(map(repr, labels[:_SHOWN])) + rest


def _read(y: Any, name: str) -> tuple[NDArray[Any], Sequence[Label] | None]:
    """Return labels or targets as an array of numbers or of strings, and their own order if any.

    Strings are objects in the array. A frame of one column is that column.
    """
    if _frames.is_frame(y):
        y = _frames.only_column(y, name)
        if _frames.is_frame(y):
            return _frames.array_of(y, name), None
    array = array_kept(y, _check.array_of(y, name))
    if array.dtype.kind == "S":
        raise DTypeError(
            f"{name}: got bytes, wanted real numbers, or labels as strings: astype(str)"
        )
    if array.dtype.kind not in "UTO":
        return _check.numeric(array, name), _order(y)
    flat = array.astype(object).reshape(-1)
    found = labels_of(flat, name)
    if found.dtype.kind not in "O" or array.ndim == 1 or array.shape[1:] == (1,):
        return found if array.shape[1:] == (1,) else found.reshape(array.shape), _order(y)
    raise DTypeError(
        f"{name}: got strings of shape {array.shape}, wanted one label a row, or real numbers"
    )


def _order(y: Any) -> Sequence[Label] | None:
    """Return the categories of a categorical in their own order."""
    categories = getattr(getattr(y, "dtype", None), "categories", None)
    listed = getattr(categories, "tolist", None) or getattr(categories, "to_list", None)
    return None if listed is None else list(listed())
