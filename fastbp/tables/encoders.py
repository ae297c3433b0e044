"""Encoders: a column of one kind as inputs of a network, fitted to the training part.

Each is made by `fit` of a column or by `stored` of what `described` gave, has the names of its
outputs, and `encode` gives float64 [rows, outputs], finite whatever the cells are. Its numbers are
rows of one table, so that they travel as a tensor.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptModelError
from .described import Reader
from .kinds import CLOCK_TIME, FALSE, TRUE, Column, in_order, truth_of
from .scaling import REACH, Scale, smooth_clip

__all__ = ["ENCODERS", "Encoder", "Options"]

Floats = NDArray[np.float64]

# Standardised values further than this from 0 count as so far.
FURTHEST_STANDARD = 1e4
DAY = 86400e6  # in microseconds
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MISSING, OTHER = "(missing)", "(other)"
BUCKETS = 64
MOST_ROWS_OF_LEVEL = 5


class Options(NamedTuple):
    """What a user chooses for all columns."""

    scale: str
    most_levels: int


class Encoder(Protocol):
    """What all encoders have."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output is called, after the name of the column; "" for the column itself."""

    @property
    def formulas(self) -> tuple[str, ...]:
        """How each output follows from a cell v, in words for those who compute it elsewhere."""

    @property
    def parameters(self) -> Floats:
        """The fitted numbers, [rows, 4]."""

    def described(self) -> dict[str, Any]:
        """Return all else as JSON."""

    def encode(self, column: Column) -> Floats:
        """Return the outputs [rows, outputs] for a column of the same meaning.

        Raises
        ------
        InputError
            A cell is not of the kind that the column had.
        """


class Number:
    """Numbers, scaled, and smoothly clipped if the scale is "robust"; a gap is the median."""

    def __init__(
        self, scale: Scale, fill: float, kind: str, how: str, words: tuple[str, ...], gaps: bool
    ) -> None:
        self.scale, self.fill, self.kind = scale, fill, kind
        self.how, self.words, self.gaps = how, words, gaps

    @classmethod
    def fit(cls, column: Column, options: Options) -> Number:
        """Return the encoder of a column of numbers."""
        found = column.numbers
        assert found is not None
        finite = found.values[np.isfinite(found.values)]
        make = Scale.robust if options.scale == "robust" else Scale.standard
        scale = make(finite)
        fill = float(scale.apply(np.quantile(finite, [0.5]))[0])
        gaps = bool(np.isnan(found.values).any())
        return cls(scale, fill, options.scale, found.how, found.words, gaps)

    @classmethod
    def stored(cls, reader: Reader) -> Number:
        """Return the encoder that a file describes."""
        row = reader.row()
        kind = reader.text("scale", ("robust", "standard"))
        how, words, gaps = reader.text("how"), reader.texts("words"), reader.flag("gaps")
        if not abs(row[3]) <= FURTHEST_STANDARD:
            raise CorruptModelError(f"got {row[3]} for the median of scaled numbers")
        return cls(Scale.stored(row[:3]), float(row[3]), kind, how, words, gaps)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("", f"={MISSING}") if self.gaps else ("",)

    @property
    def formulas(self) -> tuple[str, ...]:
        if self.kind == "robust":
            text = f"{_clipped(self.scale, 'v')}; 0 if v is missing"
        else:
            most = f"{FURTHEST_STANDARD:g}"
            text = f"{self.scale.formula('v')} within -{most} and {most}; {self.fill!r} if missing"
        return _formulas([text + _reading(self.how)], self.gaps)

    @property
    def parameters(self) -> Floats:
        return np.array([[*self.scale, self.fill]], np.float64)

    def described(self) -> dict[str, Any]:
        return {"scale": self.kind, "how": self.how, "words": [*self.words], "gaps": self.gaps}

    def encode(self, column: Column) -> Floats:
        values = column.numbers_like(self.how, self.words)
        scaled = self.scale.apply(values)
        if self.kind == "robust":
            scaled = smooth_clip(scaled)
        else:
            scaled = np.clip(scaled, -FURTHEST_STANDARD, FURTHEST_STANDARD)
        missing = np.isnan(values)
        # The median of robustly scaled numbers is 0.
        scaled[missing] = 0.0 if self.kind == "robust" else self.fill
        return _with_gaps([scaled], missing, self.gaps)


class Pair:
    """Two levels as one output: 0 or 1, a gap or another level the mean of the training part.

    Of numbers what lies between the two lies between 0 and 1.
    """

    def __init__(
        self, levels: tuple[str, ...], scale: Scale | None, how: str, mean: float, gaps: bool
    ) -> None:
        self.levels, self.scale, self.how = levels, scale, how
        self.mean, self.gaps = mean, gaps

    @classmethod
    def fit(cls, column: Column, options: Options) -> Pair:
        """Return the encoder of a column of two levels, or of one with gaps."""
        present = column.present
        if len(present) == 1:
            return cls(present, None, "", 0.0, False)
        numbers = column.plain_numbers
        gaps = bool(column.missing.any())
        scale, how = None, ""
        if numbers is not None:
            distinct = np.unique(numbers.values[~np.isnan(numbers.values)])
            if len(distinct) == 2:
                scale, how = Scale.between(*distinct), numbers.how
        levels = in_order(present) if scale is None else ()
        encoder = cls(levels, scale, how, 0.0, gaps)
        encoder.mean = float(encoder._values(column)[~column.missing].mean())
        return encoder

    @classmethod
    def stored(cls, reader: Reader) -> Pair:
        """Return the encoder that a file describes."""
        row = reader.row()
        levels, how, gaps = reader.texts("levels"), reader.text("how"), reader.flag("gaps")
        if len(levels) > 2 or not 0 <= row[3] <= 1:
            raise CorruptModelError("got a pair of levels that no training makes")
        return cls(levels, None if levels else Scale.stored(row[:3]), how, float(row[3]), gaps)

    @property
    def outputs(self) -> tuple[str, ...]:
        name = f"={self.levels[-1]}" if self.levels else ""
        return (name, f"={MISSING}") if self.gaps else (name,)

    @property
    def formulas(self) -> tuple[str, ...]:
        if len(self.levels) == 1:
            return ("0 if v is missing, else 1",)
        if self.scale is not None:
            text = f"{self.scale.formula('v')} within 0 and 1; {self.mean!r} if v is missing"
            text += _reading(self.how)
        else:
            low, high = map(repr, self.levels)
            text = f"0 if v is {low}, 1 if it is {high}, else {self.mean!r}"
            if len({level.casefold() for level in self.levels}) == 2:
                text += "; capitals or not"
        return _formulas([text], self.gaps)

    @property
    def parameters(self) -> Floats:
        return np.array([[*(self.scale or (0, 1, 0)), self.mean]], np.float64)

    def described(self) -> dict[str, Any]:
        return {"levels": [*self.levels], "how": self.how, "gaps": self.gaps}

    def encode(self, column: Column) -> Floats:
        values = self._values(column)
        unknown = np.isnan(values)
        values[unknown] = self.mean
        return _with_gaps([values], column.missing, self.gaps)

    def _values(self, column: Column) -> Floats:
        """Return 0 or 1, NaN for what is neither."""
        if len(self.levels) == 1:
            return (~column.missing).astype(np.float64)
        if self.scale is not None:
            values = self.scale.apply(column.numbers_like(self.how, ()))
            return np.clip(values, 0, 1)
        truth = truth_of(self.levels)
        if truth is None:
            value_of: Mapping[str, float] = {self.levels[0]: 0.0, self.levels[1]: 1.0}
            folded = {level.casefold(): value for level, value in value_of.items()}
            if len(folded) == 2:
                value_of = folded
        else:
            value_of = dict.fromkeys(FALSE, 0.0) | dict.fromkeys(TRUE, 1.0)
            folded = value_of
        fold = value_of is folded
        of_level = [
            value_of.get(level.casefold() if fold else level, np.nan) for level in column.levels
        ]
        return np.array([*of_level, np.nan])[column.codes]


class Category:
    """An output for each level that is not rare, one or several for all others, one for gaps.

    Many others are spread over BUCKETS outputs by a hash of their text: in trials with 300 to 2,000
    levels that was better than one output, and better than the frequency of the level, which told
    nothing more. A level that comes later goes where the others are. Where the training part has no
    others, or no gaps, there is no output for them: those that come later are rows of zeros.
    """

    def __init__(self, levels: tuple[str, ...], others: int, gaps: bool) -> None:
        self.levels, self.others, self.gaps = levels, others, gaps
        self._place = {level: i for i, level in enumerate(levels)}
        # A level that is written as another number of the same value, 1.0 for 1.
        values = [_value_of(level) for level in levels]
        alike = None in values or len(set(values)) < len(values)
        self._of_value = {} if alike else {value: i for i, value in enumerate(values)}

    @classmethod
    def fit(cls, column: Column, options: Options) -> Category:
        """Return the encoder of a column of levels."""
        order = sorted(
            (-int(count), level)
            for level, count in zip(column.levels, column.counts, strict=True)
            if count
        )
        least = least_of_level(int((~column.missing).sum()))
        kept = [level for count, level in order if -count >= least][: options.most_levels]
        n_others = len(order) - len(kept)
        others = BUCKETS if n_others > BUCKETS else min(n_others, 1)
        return cls(tuple(kept), others, bool(column.missing.any()))

    @classmethod
    def stored(cls, reader: Reader) -> Category:
        """Return the encoder that a file describes."""
        levels, others = reader.texts("levels"), reader.whole("others", 0, BUCKETS)
        return cls(levels, others, reader.flag("gaps"))

    @property
    def outputs(self) -> tuple[str, ...]:
        others = [OTHER] if self.others == 1 else [f"(other {i})" for i in range(self.others)]
        return tuple(f"={level}" for level in (*self.levels, *others, *[MISSING] * self.gaps))

    @property
    def formulas(self) -> tuple[str, ...]:
        texts = [f"1 if v is {level!r}, else 0" for level in self.levels]
        if self.others == 1:
            texts.append("1 if v is another level, else 0")
        elif self.others:
            texts += [
                f"1 if v is another level, of which CRC-32 in UTF-8 modulo {self.others} is {i}"
                for i in range(self.others)
            ]
        return _formulas(texts, self.gaps)

    @property
    def parameters(self) -> Floats:
        return np.zeros((0, 4))

    def described(self) -> dict[str, Any]:
        return {"levels": [*self.levels], "others": self.others, "gaps": self.gaps}

    def encode(self, column: Column) -> Floats:
        n = len(self.levels) + self.others
        places = np.array([self._find(level) for level in column.levels] + [-1], np.int64)
        found = places[column.codes]
        if self.gaps:
            found[column.missing] = n
        encoded = np.zeros((len(column), n + self.gaps))
        rows = np.flatnonzero(found >= 0)
        encoded[rows, found[rows]] = 1
        return encoded

    def _find(self, level: str) -> int:
        """Return the output of a level, -1 for none."""
        place = self._place.get(level)
        if place is None and self._of_value:
            place = self._of_value.get(_value_of(level))
        if place is None and self.others:
            bucket = zlib.crc32(level.encode("utf-8", "surrogatepass")) % self.others
            place = len(self.levels) + bucket
        return -1 if place is None else place


class Date:
    """Times as what varies of them: elapsed time, season, day of the month, weekday, hour."""

    PARTS = ("elapsed", "season", "day", "hour")

    def __init__(
        self, form: str, scale: Scale, parts: tuple[str, ...], days: tuple[str, ...], gaps: bool
    ) -> None:
        self.form, self.scale, self.parts = form, scale, parts
        self.weekdays, self.gaps = days, gaps

    @classmethod
    def fit(cls, column: Column, options: Options) -> Date:
        """Return the encoder of a column of times."""
        form = column.date_form or column.form_of_numbers
        assert form is not None
        times = column.times_of(form)
        gaps = bool(np.isnat(times).any())
        times = times[~np.isnat(times)]
        scale = Scale.robust(_microseconds(times) / DAY)
        months, days = _month(times), _day(times)
        whole_days = np.unique(times.astype("datetime64[D]"))
        parts = ["elapsed"]
        if len(np.unique(months)) > 1:
            parts.append("season")
        varied = len(np.unique(days)) > 1
        # The last days of months vary, but only with the month.
        ends = (_day(np.asarray(whole_days + np.timedelta64(1, "D"))) == 1).all()
        if varied and not ends:
            parts.append("day")
        if len(np.unique(_of_day(times))) > 1:
            parts.append("hour")
        weekdays = np.unique(_weekday(times)) if varied and not ends else np.zeros(0, int)
        kept = tuple(WEEKDAYS[i] for i in weekdays) if len(weekdays) > 1 else ()
        return cls(form, scale, tuple(parts), kept, gaps)

    @classmethod
    def stored(cls, reader: Reader) -> Date:
        """Return the encoder that a file describes."""
        scale, parts, days = (
            Scale.stored(reader.row()[:3]),
            reader.texts("parts"),
            reader.texts("days"),
        )
        if not set(parts) <= set(cls.PARTS) or not set(days) <= set(WEEKDAYS):
            raise CorruptModelError("got parts of a date that there are not")
        return cls(reader.text("form"), scale, parts, days, reader.flag("gaps"))

    @property
    def outputs(self) -> tuple[str, ...]:
        names = []
        for part in self.parts:
            names += [f":{part}"] if part == "elapsed" else [f":sin {part}", f":cos {part}"]
        names += [f":{day}" for day in self.weekdays]
        return tuple([*names, f"={MISSING}"] if self.gaps else names)

    @property
    def formulas(self) -> tuple[str, ...]:
        texts = []
        for part in self.parts:
            if part == "elapsed":
                texts.append(_clipped(self.scale, "days since 1970-01-01 UTC"))
            else:
                turn = {
                    "season": "days since January 1st / 365.2425",
                    "day": "(day of the month - 1) / 31",
                    "hour": "the share of the day that is over",
                }[part]
                texts += [f"{f}(2 pi t), t = {turn}" for f in ("sin", "cos")]
        texts += [f"1 on a {day}, else 0" for day in self.weekdays]
        return _formulas([f"{text}; 0 if v is missing" for text in texts], self.gaps)

    @property
    def parameters(self) -> Floats:
        return np.array([[*self.scale, 0]], np.float64)

    def described(self) -> dict[str, Any]:
        return {
            "form": self.form,
            "parts": [*self.parts],
            "days": [*self.weekdays],
            "gaps": self.gaps,
        }

    def encode(self, column: Column) -> Floats:
        times = column.times_like(self.form)
        missing = np.isnat(times)
        times = np.where(missing, np.datetime64(0, "us"), times)
        columns = []
        for part in self.parts:
            if part == "elapsed":
                columns.append(smooth_clip(self.scale.apply(_microseconds(times) / DAY)))
            else:
                turn = (
                    2 * np.pi * {"season": _season, "day": _of_month, "hour": _of_day}[part](times)
                )
                columns += [np.sin(turn), np.cos(turn)]
        weekday = _weekday(times)
        columns += [(weekday == WEEKDAYS.index(day)).astype(np.float64) for day in self.weekdays]
        for values in columns:
            values[missing] = 0
        return _with_gaps(columns, missing, self.gaps)


ENCODERS: dict[str, Any] = {"number": Number, "boolean": Pair, "category": Category, "date": Date}


def least_of_level(n: int) -> int:
    """Return how many of `n` rows a level needs for an output of its own.

    In trials with levels of two to twenty rows each five were better than ten, and than two.
    """
    return min(MOST_ROWS_OF_LEVEL, max(2, n // 200))


def _value_of(level: str) -> float | None:
    if not level or not level[-1].isdecimal() or level[:1] == "0" != level[:2].rstrip("."):
        return None
    try:
        return float(level)
    except ValueError:
        return None


def _clipped(scale: Scale, what: str) -> str:
    return f"z / sqrt(1 + (z / {REACH:g})^2), z = {scale.formula(what)}"


def _reading(how: str) -> str:
    if how == CLOCK_TIME:
        return " (v in seconds)"
    return f" (v is the number; cells have {how})" if how else ""


def _formulas(texts: list[str], gaps: bool) -> tuple[str, ...]:
    return tuple([*texts, "1 if v is missing, else 0"] if gaps else texts)


def _with_gaps(columns: list[Floats], missing: NDArray[np.bool_], gaps: bool) -> Floats:
    return np.column_stack([*columns, missing.astype(np.float64)] if gaps else columns)


def _microseconds(times: NDArray[np.datetime64]) -> Floats:
    return times.astype("datetime64[us]").astype(np.int64).astype(np.float64)


def _month(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return times.astype("datetime64[M]").astype(np.int64) % 12


def _day(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the day of the month, from 1."""
    first = times.astype("datetime64[M]").astype("datetime64[D]")
    day: NDArray[np.int64] = (times.astype("datetime64[D]") - first).astype(np.int64) + 1
    return day


def _season(times: NDArray[np.datetime64]) -> Floats:
    year = times.astype("datetime64[Y]").astype("datetime64[D]")
    season: Floats = (times.astype("datetime64[D]") - year).astype(np.float64) / 365.2425
    return season


def _of_month(times: NDArray[np.datetime64]) -> Floats:
    part: Floats = (_day(times) - 1) / 31
    return part


def _of_day(times: NDArray[np.datetime64]) -> Floats:
    return (_microseconds(times) % DAY) / DAY


def _weekday(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    weekday: NDArray[np.int64] = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7
    return weekday
