"""What a column holds, decided as a person would who looks at its cells.

A column of the training part is a number, a category, a boolean or a date, or it is left out: text,
a constant, an identifier, a row number. Cells decide; names only where cells cannot, such as for
integers that are all different.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import cells, dates
from .wording import number, shown

__all__ = [
    "CLOCK_TIME",
    "CODE",
    "KINDS",
    "USED",
    "Column",
    "Judgement",
    "NumberCells",
    "are_codes",
    "in_order",
    "judge",
    "truth_of",
    "written",
]

USED = ("number", "category", "boolean", "date")
KINDS = (*USED, "text", "constant", "identifier", "row number", "dropped")

TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
FALSE = frozenset({"false", "f", "no", "n", "0", "off"})

# Of a column of numbers so many different words may stand for missing ones, in this share of cells.
MOST_WORDS, MOST_OF_WORDS = 3, 0.2
# A text of so many words a cell, most of them different, is no name of a group.
WORDS_OF_TEXT = 3.0
# So many characters a cell are a text, however often they repeat.
LONGEST_LEVEL = 200
# Fewer rows cannot show that cells differ always.
FEW_ROWS = 20
# A level, to be of use, has this many rows at least, and such levels have this share of the rows.
LEAST_OF_LEVEL, LEAST_SHARE = 2, 0.2

# What tools call the column of row names that had no name.
UNNAMED = re.compile(r"(unnamed.*|index|row|rows|row[ _.]?names?|row[ _.]?ids?|level_0|)", re.I)
# Numbers from 1 on that are no mere places: their order says something.
ORDERED = re.compile(
    r".*(time|year|month|week|day|date|hour|quarter|period|trend|step|age|rank|order|dose|lag).*|t",
    re.I,
)
IDENTIFIER = re.compile(
    r"(?i:(.*[\W_])?(ids?|key|uuid|guid|identifier|obs|obsno|case|idcase|seqno|serial|record|ssn|isbn))"
    r"|.*[a-z](ID|Id)"
)
CLOCK = re.compile(r"[+-]?(\d{1,3}):([0-5]?\d)(?::([0-5]?\d(?:[.,]\d+)?))?")
CODE = re.compile("0[0-9]+")
DAY = re.compile(r"(1[89]|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Times = NDArray[np.datetime64]

CLOCK_TIME, DIGITS = "h:m:s", "YYYYMMDD"
DAYS = (18000101, 21991231)
YEARS = (1000, 9999)
MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "year": 365.2425 * 86400e6}
# Up to the year 5138 in each unit.
MOST_SINCE_1970 = {"s": 1e11, "ms": 1e14, "us": 1e17, "ns": 1e20}
MOST_MICROSECONDS = 2e17


class NumberCells(NamedTuple):
    """A column read as numbers.

    Attributes
    ----------
    values : ndarray
        float64 [rows], NaN where there is none.
    how : str
        How cells became numbers, "" for plain ones.
    words : tuple of str
        Cells that stand for a missing number.
    """

    values: Floats
    how: str
    words: tuple[str, ...] = ()


class Judgement(NamedTuple):
    """A kind of `KINDS` and a few words why, or what there is in the column."""

    kind: str
    detail: str


class Column:
    """The cells of a column, each view of them made once.

    Parameters
    ----------
    name : str
    series : pandas.Series
    decimal : str
        The decimal mark of text.
    strict : bool
        Whether a cell of another kind than that of the column in training is an error; else it
        counts as missing.
    place : callable
        What a message calls a row.
    """

    def __init__(
        self,
        name: str,
        series: Any,
        decimal: str,
        strict: bool = True,
        place: Callable[[int], str] = "row {}".format,
    ) -> None:
        self.name, self.series, self.decimal = name, series, decimal
        self.strict, self.place = strict, place

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.series)

    @cached_property
    def missing(self) -> Bools:
        """Which cells are missing, [rows]."""
        return cells.is_missing(self.series)

    @cached_property
    def _factors(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        codes, found = self.series.factorize()
        texts = [written(value) for value in found.tolist()]
        levels = tuple(dict.fromkeys(texts))
        if len(levels) < len(texts):  # they differ in white space alone
            place = {level: i for i, level in enumerate(levels)}
            codes = np.array([place[text] for text in texts] + [-1], np.int64)[codes]
        return np.where(self.missing, -1, codes).astype(np.int64), levels

    @property
    def codes(self) -> NDArray[np.int64]:
        """The number of the level of each cell, -1 where it is missing; [rows]."""
        return self._factors[0]

    @property
    def levels(self) -> tuple[str, ...]:
        """The different cells as text; one that stands for missing cells has no code."""
        return self._factors[1]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many cells each level has."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.levels))

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The levels that occur."""
        return tuple(level for level, count in zip(self.levels, self.counts, strict=True) if count)

    @cached_property
    def plain_numbers(self) -> NumberCells | None:
        """The column as numbers if each cell that is not missing is one, or nothing."""
        if self.missing.all():
            return NumberCells(np.full(len(self), np.nan), "")
        found = cells.numbers_of(self.series, self.decimal)
        return None if found is None else NumberCells(*found)

    @cached_property
    def numbers(self) -> NumberCells | None:
        """The column as numbers; a few cells of text may stand for missing ones. None if it is not.

        Of a column of times of day or of durations, "2:30:05", these are seconds.
        """
        if self.plain_numbers is not None:
            return self.plain_numbers
        seconds = self.seconds()
        if not (np.isnan(seconds) & ~self.missing).any():
            return NumberCells(seconds, CLOCK_TIME)
        words = [level for level in self.present if not any(c.isdecimal() for c in level)]
        if not 1 <= len(words) <= MOST_WORDS:
            return None
        are_words = self.are(words)
        if are_words.sum() > MOST_OF_WORDS * (~self.missing).sum():
            return None
        found = self.without(are_words).plain_numbers
        return None if found is None else found._replace(words=tuple(words))

    def numbers_like(self, how: str, words: Collection[str]) -> Floats:
        """Return the numbers of a column that is written as one that `numbers` has read.

        Raises
        ------
        InputError
            A cell is no number, nor one of the words that stand for missing ones.
        """
        if self.missing.all():
            return np.full(len(self), np.nan)
        if how == CLOCK_TIME:
            values = self.seconds()
        else:
            found = cells.numbers_of(self.series, self.decimal, how)
            assert found is not None
            values = found[0]
        self._refuse(
            np.isnan(values),
            f"a number{_as(how)}",
            lambda cell: cell in words or (how != CLOCK_TIME and self.is_void(cell)),
        )
        return values

    def times_like(self, form: str) -> Times:
        """Return the times of a column that is written in a form that `dates` has found.

        Raises
        ------
        InputError
            A cell is not of this form.
        """
        times = self.times_of(form)
        self._refuse(np.isnat(times), f"a date{_as(form)}", lambda _: False)
        return times

    def _refuse(self, bad: Bools, wanted: str, accept: Callable[[str], bool]) -> None:
        """Refuse the first cell of `bad` rows that is neither missing nor accepted."""
        for row in np.flatnonzero(bad & ~self.missing).tolist() if self.strict else ():
            cell = written(self.series.iloc[row])
            if not accept(cell):
                raise InputError(
                    f"column {shown(self.name)!r}: got {shown(cell)!r} in {self.place(row)}, "
                    f"wanted {wanted}, as in training"
                )

    def is_void(self, cell: str) -> bool:
        """Return whether a cell of a column of numbers is a number or a sign of nothing."""
        return cells.is_number(cell, self.decimal) or bool(cells.NO_NUMBER.fullmatch(cell))

    def are(self, levels: Collection[str]) -> Bools:
        """Return which cells are one of `levels`, [rows]."""
        wanted = np.array([level in levels for level in self.levels] + [False])
        found: Bools = wanted[self.codes]
        return found

    def without(self, rows: Bools) -> Column:
        """Return the column in which the cells of some rows are missing."""
        return Column(self.name, self.series.mask(rows), self.decimal, self.strict, self.place)

    def seconds(self) -> Floats:
        """Return times of day and durations, "2:30" or "2:30:05", in seconds; NaN for all else."""
        seconds = np.full(len(self.levels) + 1, np.nan)
        for i, level in enumerate(self.levels):
            match = CLOCK.fullmatch(level)
            if match:
                hours, minutes, rest = match.groups(default="0")
                size = 3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", "."))
                seconds[i] = -size if level[0] == "-" else size
        found: Floats = seconds[self.codes]
        return found

    @cached_property
    def date_form(self) -> str | None:
        """The one form of a date that all cells have; None if there is none."""
        if self.missing.all():
            return None
        found = dates.date_form(self.series)
        if found is not None:
            return found[0]
        return DIGITS if self._are_days() else None

    @cached_property
    def form_of_numbers(self) -> str | None:
        """What numbers are if a person calls them dates: years, or the unit of times since 1970."""
        found = self.plain_numbers
        values = np.zeros(0) if found is None else found.values[np.isfinite(found.values)]
        if not len(values):
            return None
        low, high = float(values.min()), float(values.max())
        if YEARS[0] <= low and high <= YEARS[1]:
            return "year"
        size = max(-low, high)
        return next((unit for unit, most in MOST_SINCE_1970.items() if size <= most), None)

    def times_of(self, form: str) -> Times:
        """Return the times of a column of this form, NaT where a cell is not of it."""
        if form == DIGITS:
            return self._days()
        if form not in MICROSECONDS:
            found = dates.dates_of(self.series, form)
            assert found is not None
            return found
        values = self.numbers_like("", ())
        if form == "year":
            values = values - 1970
        with np.errstate(over="ignore"):
            microseconds = values * MICROSECONDS[form]
        there = np.abs(microseconds) < MOST_MICROSECONDS
        times: Times = np.where(there, microseconds, 0).astype(np.int64).astype("datetime64[us]")
        times[~there] = np.datetime64("NaT", "us")
        return times

    def _are_days(self) -> bool:
        present = self.present
        return len(present) > 2 and all(DAY.fullmatch(level) for level in present)

    def _days(self) -> Times:
        times = np.full(len(self.levels) + 1, np.datetime64("NaT", "us"), "datetime64[us]")
        for i, level in enumerate(self.levels):
            if DAY.fullmatch(level):
                with suppress(ValueError):  # the 31st of February
                    times[i] = np.datetime64(f"{level[:4]}-{level[4:6]}-{level[6:]}", "D")
        found: Times = times[self.codes]
        return found


def _as(how: str) -> str:
    return f" ({how})" if how else ""


def written(value: Any) -> str:
    """Return a cell as text: as it is written, a whole float without its point."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def truth_of(levels: tuple[str, ...]) -> dict[str, bool] | None:
    """Return which of two words is true if they are a pair such as yes and no, in any case."""
    folded = [level.casefold() for level in levels]
    if len(levels) == 2 and sum(word in TRUE for word in folded) == 1:
        other = folded[0] if folded[1] in TRUE else folded[1]
        if other in FALSE:
            return {level: word in TRUE for level, word in zip(levels, folded, strict=True)}
    return None


def judge(column: Column) -> Judgement:
    """Return the kind of a column."""
    n = int((~column.missing).sum())
    if not n:
        return Judgement("constant", "every cell is missing")
    numbers = column.numbers
    if numbers is not None:
        distinct = np.unique(numbers.values[np.isfinite(numbers.values)])
        if len(distinct) > 2 and bool((distinct == np.rint(distinct)).all()):
            if are_codes(column):
                return _of_text(column, n)
            if DAYS[0] <= distinct[0] and distinct[-1] <= DAYS[1] and column.date_form:
                return _of_dates(column)
        if len(distinct) > 1:
            return _of_numbers(column, numbers, distinct, n)
    elif column.date_form:
        return _of_dates(column)
    present = column.present
    if len(present) == 1:
        name = shown(present[0], 30)
        if n == len(column):
            return Judgement("constant", f"{name} in every row")
        return Judgement("boolean", f"{name} or missing")
    if len(present) == 2:
        low, high = in_order(present)
        return Judgement("boolean", f"{shown(low, 30)} or {shown(high, 30)}" + _gaps(column))
    if numbers is not None:
        return Judgement("constant", "one number in every row")
    return _of_text(column, n)


def in_order(levels: tuple[str, ...]) -> tuple[str, str]:
    """Return two levels, the false one first, else in alphabetical order."""
    truth = truth_of(levels)
    low, high = sorted(levels, key=None if truth is None else truth.__getitem__)
    return low, high


def are_codes(column: Column) -> bool:
    """Return whether cells are digits with zeros in front, which no quantity has."""
    if not cells.is_text(column.series):
        return False
    text = cells.text_of(column.series)[~column.missing].str
    return bool(text.fullmatch(CODE.pattern).any() and text.fullmatch("[0-9]+").all())


def _of_numbers(column: Column, numbers: NumberCells, distinct: Floats, n: int) -> Judgement:
    count = int(np.isfinite(numbers.values).sum())
    if len(distinct) == 2 and count == n:
        return Judgement(
            "boolean", f"{_plain(distinct[0])} or {_plain(distinct[1])}" + _gaps(column)
        )
    if not numbers.how and (distinct == np.rint(distinct)).all():
        if len(distinct) == count == len(column):
            left_out = _of_different(column.name, numbers.values)
            if left_out is not None:
                return left_out
        if len(distinct) >= FEW_ROWS and IDENTIFIER.fullmatch(column.name):
            return Judgement("identifier", f"{len(distinct)} different in {n} rows")
    return Judgement("number", _range(numbers, distinct, column))


def _of_different(name: str, values: Floats) -> Judgement | None:
    """Return the kind of whole numbers of which no two are equal if they name or count rows."""
    low, high, n = float(values.min()), float(values.max()), len(values)
    span = f"{_plain(low)} to {_plain(high)}, each once"
    if UNNAMED.fullmatch(name):
        return Judgement("row number", span)
    if n < FEW_ROWS:
        return None
    named = IDENTIFIER.fullmatch(name) is not None
    # In a part of the rows some numbers are absent, the first ones too. A ranking is as dense, but
    # does not rise with the rows.
    dense = 2 * n >= high - low + 1 and 0 <= low <= 1 + n / 10
    counts = dense and bool((np.diff(values) > 0).all()) and not ORDERED.fullmatch(name)
    if counts or (dense and named):
        return Judgement("row number", span)
    return None


def _plain(value: float) -> str:
    """Return a number without commas where it may be a year."""
    text = number(value)
    return text.replace(",", "") if abs(value) < 10000 else text


def _range(numbers: NumberCells, distinct: Floats, column: Column) -> str:
    parts = [f"{_plain(distinct[0])} to {_plain(distinct[-1])}"]
    if numbers.how:
        parts.append(numbers.how)
    if numbers.words:
        count = int(column.are(numbers.words).sum())
        words = ", ".join(repr(shown(word, 20)) for word in numbers.words)
        parts.append(f"{words} ({count}) taken for missing")
    return ", ".join(parts) + _gaps(column)


def _gaps(column: Column) -> str:
    count = int(column.missing.sum())
    return f", {count} missing" if count else ""


def _of_dates(column: Column) -> Judgement:
    assert column.date_form is not None
    times = column.times_of(column.date_form)
    times = times[~np.isnat(times)]
    if len(np.unique(times)) == 1:
        return Judgement("constant", f"{written(column.present[0])} in every row")
    first, last = (str(np.datetime_as_string(t, "D")) for t in (times.min(), times.max()))
    return Judgement("date", f"{first} to {last}" + _gaps(column))


def _of_text(column: Column, n: int) -> Judgement:
    present = column.present
    shares = column.counts / n
    words = float(sum(s * len(v.split()) for s, v in zip(shares, column.levels, strict=True)))
    length = float(sum(s * len(v) for s, v in zip(shares, column.levels, strict=True)))
    u = len(present)
    if length > LONGEST_LEVEL or (words >= WORDS_OF_TEXT and u > 0.5 * n and u > 2):
        return Judgement("text", f"{words:.0f} words a cell, {u} different in {n} rows")
    if u == n:
        return Judgement("identifier", "another one in every row")
    grouped = int(column.counts[column.counts >= LEAST_OF_LEVEL].sum())
    if grouped < LEAST_SHARE * n:
        return Judgement("identifier", f"{u} different in {n} rows")
    return Judgement("category", f"{u} levels" + _gaps(column))
