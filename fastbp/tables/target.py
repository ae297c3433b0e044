"""`Target`: what is to be predicted, classes or quantities, chosen as a person would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..errors import ConfigError, CorruptModelError, DTypeError, LabelError, brief
from . import cells
from .described import Reader
from .kinds import CODE, Column, are_codes, in_order, truth_of
from .libraries import pandas
from .scaling import Scale
from .wording import shown

__all__ = ["Target"]

TASKS = ("classification", "regression")

# Integers are classes if there are so many different ones at most, each in so many rows on average.
FEW_LEVELS, ROWS_OF_FEW = 50, 8
MANY_LEVELS, ROWS_OF_MANY = 100, 50
# A class has so many rows at least, in large tables up to ten.
LEAST_ROWS, LEAST_SHARE, MOST_LEAST = 3, 0.01, 10
# Counts rise to one value and fall from there, with a long tail.
LEVELS_OF_COUNTS, TAIL_OF_COUNTS = 5, 20
# Of quantities above 0: skewed so much, and less than half so much as logarithms.
SKEWED = 2.0
# Predictions lie within the range of the logarithms in training and so much beyond it.
BEYOND = math.log(10)
# Above it exp(x) - 1 is exp(x) in float64.
LARGE_LOG = 40.0
FEW_ROWS = 10
# A text of more classes than one for so many rows is no target that can be learned.
MOST_CLASSES_SHARE = 0.5
MOST_SHOWN = 5

Floats = NDArray[np.float64]


class _Classes(NamedTuple):
    labels: tuple[str, ...]  # as the file has them
    numeric: bool  # whether they are compared by their value as numbers


class Target:
    """The column that is to be predicted, as classes or as scaled numbers.

    Parameters
    ----------
    task : {"classification", "regression"}, optional
        Default: text, two different values, and integers with few levels for their number of rows
        are classes; all else is quantities.
    decimal : str
        The decimal mark of text.

    Attributes
    ----------
    task : str
    classes : tuple of str
        Each as the file has it: of numbers the least first, else in alphabetical order; none for
        regression.
    log : bool
        Whether quantities are learned by their logarithms, as all are positive (or not negative)
        and heavy-tailed.
    note : str
        What was chosen, and what changes it.
    warnings : tuple of str

    Raises
    ------
    ConfigError
        There is no such task.
    """

    def __init__(self, task: str | None = None, decimal: str = ".") -> None:
        if task is not None:
            task = _check.choice(task, TASKS, "task")
        self._asked, self.decimal = task, _check.choice(decimal, (".", ","), "decimal")
        self.task = task or ""
        self.classes: tuple[str, ...] = ()
        self.log = False
        self.note = ""
        self.warnings: tuple[str, ...] = ()
        self._numeric = False  # whether classes are compared by their value as numbers
        self._codes: dict[Any, int] = {}
        self._scale = Scale(0.0, 1.0, 0)
        self._low = self._high = 0.0  # of the logarithms in training
        self._unit: float | None = None  # what is added before the logarithm, if there are zeros

    @staticmethod
    def rows(series: Any) -> NDArray[np.bool_]:
        """Return which rows have a target, bool [rows]."""
        return ~cells.is_missing(_series(series))

    def _column(self, series: Any) -> Column:
        series = _series(series)
        return Column(str(series.name), series, self.decimal)

    def fit(self, series: Any) -> Self:
        """Choose the task, and find classes or the scale; return the object itself.

        Parameters
        ----------
        series : pandas.Series, list or ndarray
            The column, without missing cells.

        Raises
        ------
        LabelError
            The column has missing or infinite cells, one value only, or does not suit the task.
        """
        column = self._column(series)
        self._require_cells(column)
        numbers = column.plain_numbers
        if self._asked is None and numbers is None:
            _refuse_others(column)
        task, why = _choice(column, None if numbers is None else numbers.values)
        self.task = self._asked or task
        self.classes, self.log, warnings = (), False, []
        if len(column) < FEW_ROWS:
            warnings.append(
                f"{_name(column)}: {len(column)} rows are too few to learn from, or to judge what "
                "was learned: bring more"
            )
        if self.task == "classification":
            found = _classes_of(column, None if numbers is None else numbers.values)
            self._set_classes(found)
            warnings += _of_classes(column, self.classes, self._known(column))
        else:
            if numbers is None:
                raise _no_numbers(column)
            if not np.isfinite(numbers.values).all():
                raise _not_finite(column, numbers.values)
            if (numbers.values == numbers.values[0]).all():
                raise _constant(column)
            self._set_scale(numbers.values)
        self.note = self._note(column, why)
        self.warnings = tuple(warnings)
        return self

    def _require_cells(self, column: Column) -> None:
        if not len(column):
            raise LabelError(f"{_name(column)}: got no row with a target, wanted two or more")
        if column.missing.any():
            raise LabelError(
                f"{_name(column)}: got a missing cell in row {int(column.missing.argmax())}, "
                "wanted rows with a target alone"
            )
        if len(column.present) == 1:
            raise _constant(column)

    def _set_classes(self, found: _Classes) -> None:
        self.classes, self._numeric = found
        self._codes = {self._key(label): i for i, label in enumerate(self.classes)}

    def _key(self, label: str) -> Any:
        """Return what two ways of writing one class have in common."""
        if self._numeric:
            found = _number_of(label, self.decimal)
            return label if found is None else found
        return label

    def _set_scale(self, values: Floats) -> None:
        self.log, self._unit = False, None
        positive = values > 0
        if positive.all() and _is_heavy(values, np.log(values)):
            self.log = True
        elif (values >= 0).all() and positive.any():
            unit = float(np.median(values[positive]))
            if _is_heavy(values, _log1p(values, unit)):
                self.log, self._unit = True, unit
        self._scale = Scale.standard(self._mapped(values))
        self._low = self._high = 0.0
        if self.log:
            mapped = self._mapped(values)
            self._low, self._high = float(mapped.min()), float(mapped.max())

    def _mapped(self, values: Floats) -> Floats:
        if not self.log:
            return values
        if self._unit is not None:
            return _log1p(values, self._unit)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(values)

    def _note(self, column: Column, why: str) -> str:
        if self.task == "classification":
            what, other = f"{len(self.classes)} classes", "regression"
        else:
            what, other = "a quantity", "classification"
            if self.log:
                what += ", learned by its logarithm (positive and heavy-tailed)"
        if self._asked:
            return f"{_name(column)}: {what}, as asked for"
        if column.plain_numbers is None:  # which cannot be quantities
            return f"{_name(column)}: {what}, for {why}"
        return f"{_name(column)}: {what}, for {why} (--task {other} changes that)"

    def known(self, series: Any) -> NDArray[np.bool_]:
        """Return which cells are a class, or a finite number for regression; bool [rows]."""
        self._require_fitted()
        column = self._column(series)
        if self.task == "classification":
            return self._known(column) >= 0
        found = column.plain_numbers
        if found is not None:
            return np.isfinite(found.values)
        return np.array(
            [_number_of(level, self.decimal) is not None for level in column.levels] + [False]
        )[column.codes]

    def _known(self, column: Column) -> NDArray[np.int64]:
        """Return the code of each cell, -1 for what is no class."""
        of_level = [self._codes.get(self._key(level), -1) for level in column.levels]
        return np.array([*of_level, -1], np.int64)[column.codes]

    def transform(self, series: Any) -> NDArray[Any]:
        """Return int64 codes of the classes, or float32 scaled numbers; [rows].

        Raises
        ------
        LabelError
            A cell is none of the classes, or no finite number.
        """
        if self.task == "classification":
            return self._codes_of(series)
        values = self._numbers_of(series)
        with np.errstate(over="ignore"):
            mapped = np.clip(self._scale.apply(self._logs(values)), -1e30, 1e30)
        return mapped.astype(np.float32)

    def _logs(self, values: Floats) -> Floats:
        """Return mapped values; what has no logarithm is the least of the training part."""
        if not self.log:
            return values
        mapped = self._mapped(values)
        return np.where(np.isfinite(mapped), mapped, self._low)

    def values(self, series: Any) -> NDArray[Any]:
        """Return the labels, objects of str, or the numbers in units, float64; [rows].

        Raises
        ------
        LabelError
            As for `transform`.
        """
        if self.task == "classification":
            return self.labels(self._codes_of(series))
        return self._numbers_of(series)

    def _codes_of(self, series: Any) -> NDArray[np.int64]:
        self._require_fitted()
        column = self._column(series)
        codes = self._known(column)
        if (codes < 0).any():
            row = int((codes < 0).argmax())
            raise LabelError(
                f"{_name(column)}: got {_cell(column, row)} in row {row}, wanted one of the "
                f"classes of training, {_shown(self.classes)}"
            )
        return codes

    def _numbers_of(self, series: Any) -> Floats:
        self._require_fitted()
        column = self._column(series)
        found = column.plain_numbers
        if found is None:
            raise _no_numbers(column)
        if not np.isfinite(found.values).all():
            raise _not_finite(column, found.values)
        return found.values

    def labels(self, codes: ArrayLike) -> NDArray[np.object_]:
        """Return the labels of the classes with these numbers, objects of str."""
        self._require_fitted()
        array = _check.numeric(codes, "codes")
        if array.size and (array.dtype.kind not in "iu" or not _within(array, len(self.classes))):
            raise LabelError(
                f"codes: got {brief(codes)}, wanted integers from 0 to {len(self.classes) - 1}"
            )
        found: NDArray[np.object_] = np.array([*self.classes, None], object)[:-1][
            array.astype(np.int64)
        ]
        return found

    def in_units(self, outputs: ArrayLike) -> Floats:
        """Return scaled numbers in the units of the target, float64 and finite.

        Where the logarithm was learned, within a tenth of the least and ten times the largest of
        the training part.
        """
        self._require_fitted()
        scaled = _check.numeric(outputs, "outputs").astype(np.float64)
        values = self._scale.invert(scaled)
        if not self.log:
            return values
        values = np.clip(values, self._low - BEYOND, self._high + BEYOND)
        with np.errstate(over="ignore"):
            if self._unit is None:
                values = np.exp(values)
            else:
                values = _expm1(np.maximum(values, 0), self._unit)
        return np.minimum(values, np.finfo(np.float64).max)

    @property
    def scaling(self) -> tuple[float, float]:
        """Mean and factor: of quantities, or their logarithms, q, scaled is (q - mean) * factor."""
        with np.errstate(over="ignore", divide="ignore"):
            mean, width = (np.ldexp(n, self._scale.exponent) for n in self._scale[:2])
            return float(mean), float(1 / width)

    @property
    def formula(self) -> str:
        """How a quantity follows from the q of `scaling`, called y, in words; "" if it is that."""
        if not self.log:
            return ""
        low, high = self._low - BEYOND, self._high + BEYOND
        within = f"of y within {low!r} and {high!r}"
        if self._unit is None:
            return f"exp(y), {within}"
        return f"{self._unit!r} * (exp(y) - 1), {within}, 0 at least"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON; Python writes a float so that it comes back as it was."""
        self._require_fitted()
        return {
            "asked": self._asked,
            "decimal": self.decimal,
            "task": self.task,
            "classes": [*self.classes],
            "numeric": self._numeric,
            "note": self.note,
            "warnings": [*self.warnings],
            "scale": [*self._scale],
            "log": self.log,
            "unit": self._unit,
            "range": [self._low, self._high],
        }

    @classmethod
    def from_json(cls, described: Any) -> Target:
        """Return the target of which this is `to_json`.

        Raises
        ------
        CorruptModelError, ConfigError
            It is not what that gives.
        """
        reader = Reader(described, ())
        asked = reader.raw("asked")
        target = cls(None if asked is None else reader.text("asked", TASKS), reader.text("decimal"))
        target.task = reader.text("task", TASKS)
        classes = _Classes(reader.texts("classes"), reader.flag("numeric"))
        target._set_classes(classes)
        if (target.task == "classification") != (len(classes.labels) > 1) or len(
            target._codes
        ) < len(classes.labels):
            raise CorruptModelError("classes: got others than a task of this kind has")
        target.note, target.warnings = reader.text("note"), reader.texts("warnings")
        target._scale = Scale.stored(np.array(reader.numbers("scale", 3)))
        target.log = reader.flag("log")
        target._low, target._high = reader.numbers("range", 2)
        if reader.raw("unit") is not None:
            target._unit = reader.number("unit")
        if not -1000 <= target._low <= target._high <= 1000 or not (target._unit or 1) > 0:
            raise CorruptModelError("range: got logarithms that no number has")
        return target

    def _require_fitted(self) -> None:
        if not self.note:
            raise ConfigError("target: got a call before fit, wanted fit(series) first")


def _series(values: Any) -> Any:
    """Return a column as a pandas series."""
    series = pandas().Series
    if isinstance(values, series):
        return values
    if isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.ndim == 1):
        return series(values, name="target", dtype=None if len(values) else object)
    raise DTypeError(
        f"series: got {brief(values)}, wanted a column: a pandas Series, or a list or an array of "
        "one dimension"
    )


def _within(codes: NDArray[Any], n: int) -> bool:
    return bool(codes.min() >= 0 and codes.max() < n)


def _choice(column: Column, numbers: Floats | None) -> tuple[str, str]:
    """Return the task that a person would choose, and why."""
    present, n = column.present, len(column)
    u = len(present)
    if u == 2:
        return "classification", "there are two different values"
    if numbers is None:
        return "classification", "they are text"
    if are_codes(column):
        return "classification", "they are codes with zeros in front"
    finite = numbers[np.isfinite(numbers)]
    levels, counts = np.unique(finite, return_counts=True)
    if (levels != np.rint(levels)).any():
        return "regression", "there are numbers with fractions"
    if len(levels) == 2:
        return "classification", "there are two different values"
    few = f"there are {len(levels)} different whole numbers in {n:,} rows"
    if _are_classes(levels, counts):
        return "classification", few
    return "regression", few


def _refuse_others(column: Column) -> None:
    """Refuse text that is neither classes nor quantities: dates, and quantities with some words."""
    if len(column.present) > 2 and column.date_form is not None:
        raise LabelError(
            f"{_name(column)}: got dates such as {shown(column.present[0])!r}, wanted classes or "
            "numbers: write them as a number, such as days, or take each for a class (--task "
            "classification)"
        )
    mixed = column.numbers
    if mixed is None or not mixed.words:
        return
    word = column.are(mixed.words)
    if _choice(column.without(word), mixed.values)[0] == "regression":
        row = int(word.argmax())
        raise LabelError(
            f"{_name(column)}: got {_cell(column, row)} in row {row} among numbers "
            f"({word.sum()} of {len(column)} cells are none), wanted numbers alone: name it as "
            "missing (--missing), drop the rows, or take each cell for a class (--task "
            "classification)"
        )


def _are_classes(levels: Floats, counts: NDArray[np.int64]) -> bool:
    """Return whether whole numbers, of these counts, are numbers of classes."""
    u, n = len(levels), int(counts.sum())
    mean = n / u
    if not (u <= FEW_LEVELS and mean >= ROWS_OF_FEW) and not (
        u <= MANY_LEVELS and mean >= ROWS_OF_MANY
    ):
        return False
    if counts.min() < max(LEAST_ROWS, min(MOST_LEAST, LEAST_SHARE * mean)):
        return False
    # Codes are counted from 0 or 1; three or four values below ten may be 4, 6 and 8 as well.
    low, high = float(levels[0]), float(levels[-1])
    counted = -1 <= low <= 1 and high - low + 1 <= 2 * u
    if not counted and not (u <= 4 and low >= 0 and high < 10):
        return False
    tail = counts.max() / counts.min()
    if u > 30:
        return bool(tail <= 10)
    return not (u >= LEVELS_OF_COUNTS and tail >= TAIL_OF_COUNTS and _rise_and_fall(counts))


def _rise_and_fall(counts: NDArray[np.int64]) -> bool:
    """Return whether counts have one top, as far as chance lets them."""
    top = int(counts.argmax())
    steps, noise = np.diff(counts), 2 * np.sqrt(counts[1:] + counts[:-1])
    return bool((steps[:top] >= -noise[:top]).all() and (steps[top:] <= noise[top:]).all())


def _is_heavy(values: Floats, logs: Floats) -> bool:
    """Return whether values have a long tail that their logarithms have not."""
    skew = _skewness(values)
    return bool(skew > SKEWED and abs(_skewness(logs)) < skew / 2)


def _log1p(values: Floats, unit: float) -> Floats:
    """Return log(1 + values / unit), whose quotient may be out of the range of float64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Floats = np.logaddexp(0, np.log(values) - np.log(unit))
    return logs


def _expm1(logs: Floats, unit: float) -> Floats:
    """Return the values of which `_log1p` gives these."""
    large = logs > LARGE_LOG
    small: Floats = np.expm1(np.where(large, 0, logs)) * unit
    return np.where(large, np.exp(logs + math.log(unit)), small)


def _skewness(values: Floats) -> float:
    scaled = Scale.standard(values).apply(values)
    return float(np.mean(scaled**3))


def _classes_of(column: Column, numbers: Floats | None) -> _Classes:
    """Return the classes of a column in their order."""
    present = column.present
    if numbers is None or any(map(CODE.fullmatch, present)):
        if len(present) > MOST_CLASSES_SHARE * len(column) and len(column) >= FEW_ROWS:
            raise LabelError(
                f"{_name(column)}: got {len(present)} different values in {len(column)} rows, such "
                f"as {shown(present[0])!r}, wanted classes that occur several times: is it the "
                "right column? (--target)"
            )
        truth = truth_of(present)
        return _Classes(in_order(present) if truth else tuple(sorted(present)), False)
    first: dict[float, str] = {}
    order = np.argsort(-column.counts, kind="stable")
    by_level = dict(zip(column.codes.tolist(), numbers.tolist(), strict=True))
    for code in order.tolist():
        if column.counts[code]:
            first.setdefault(by_level[code], column.levels[code])
    if len(first) < 2:
        raise _constant(column)
    plain = all(_number_of(label, column.decimal) is not None for label in first.values())
    return _Classes(tuple(first[value] for value in sorted(first)), plain)


def _of_classes(column: Column, classes: tuple[str, ...], codes: NDArray[np.int64]) -> list[str]:
    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    once = [label for label, count in zip(classes, counts, strict=True) if count == 1]
    if not once:
        return []
    verb = "occurs" if len(once) == 1 else "occur"
    return [
        f"{_name(column)}: {_shown(tuple(once))} {verb} once, so that nothing can be learned of "
        "it and tested too: bring more rows, or leave these out"
    ]


def _number_of(label: str, decimal: str) -> float | None:
    """Return the number that a label is, None if it is none."""
    text = label.replace(decimal, ".") if decimal != "." else label
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _constant(column: Column) -> LabelError:
    return LabelError(
        f"{_name(column)}: got {shown(column.present[0])!r} in every row, wanted two different "
        "values or more: there is nothing to learn (another column: --target)"
    )


def _no_numbers(column: Column) -> LabelError:
    other = column.are([level for level in column.present if not column.is_void(level)])
    row = int(other.argmax())
    return LabelError(
        f"{_name(column)}: got {_cell(column, row)} in row {row}, wanted numbers for regression; "
        "text is classes (--task classification), and a word that stands for a missing number is "
        "named by --missing"
    )


def _not_finite(column: Column, values: Floats) -> LabelError:
    row = int((~np.isfinite(values)).argmax())
    return LabelError(
        f"{_name(column)}: got {_cell(column, row)} in row {row}, wanted finite numbers: drop the "
        "rows, or name the cells as missing (--missing)"
    )


def _cell(column: Column, row: int) -> str:
    return repr(shown(column.series.iloc[row]))


def _name(column: Column) -> str:
    return f"target {shown(column.name)!r}"


def _shown(labels: Sequence[str]) -> str:
    rest = f", ... ({len(labels)} in all)" if len(labels) > MOST_SHOWN else ""
    return ", ".join(repr(shown(label, 30)) for label in labels[:MOST_SHOWN]) + rest
