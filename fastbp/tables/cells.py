"""The cells of a column as numbers, where the whole column says that they are; missing cells.

A column is what all of its cells agree on: one cell that is no number makes the column text. What
is written in more than one way, as 1,234 is, is decided by the column and then by the table.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .libraries import pandas, text_dtype

__all__ = [
    "MISSING",
    "NO_NUMBER",
    "is_missing",
    "is_number",
    "is_text",
    "numbers_of",
    "text_of",
]

# As they are written, in small letters. "None" is a level in its own right in many tables.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "?", "#n/a", "<na>"})
# Nothing, if it stands in a column of numbers.
_INFINITE = r"[+-]?(?i:inf|infinity)"
NO_NUMBER = re.compile(rf"\.|-|--|–|—|{_INFINITE}")

_CURRENCY = (
    r"(?:[A-Z]{0,2}\$|€|£|¥|₹|₽|₩|₺|₪|฿|"
    r"USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|kr\.?|zł|Kč|Fr\.)"
)
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
# Marks between groups of three digits, by the decimal mark: also blanks of any width, apostrophes.
_GROUP = {".": "[,\u0020\u00a0\u2009\u202f'’]", ",": "[.\u0020\u00a0\u2009\u202f'’]"}
_OTHER = {".": ",", ",": "."}
_DECIMAL_WORDS = {".": "decimal point", ",": "decimal comma"}


def _plain(decimal: str) -> str:
    mark = re.escape(decimal)
    return rf"[+-]?(?:[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+){_EXPONENT}"


def _grouped(decimal: str) -> str:
    """Return the pattern of a number in groups of three digits, which are a thousand or more."""
    mark = re.escape(decimal)
    return rf"[+-]?[1-9][0-9]{{0,2}}(?:{_GROUP[decimal]}[0-9]{{3}})+(?:{mark}[0-9]*)?"


_BARE = {mark: f"(?:{_plain(mark)}|{_grouped(mark)})" for mark in ".,"}
_IN_CELL = {
    mark: re.compile(
        rf"(?:[+-]?{_CURRENCY} ?)?{bare}(?: ?(?:{_CURRENCY}|%))?|"
        rf"\((?:{_CURRENCY} ?)?{bare}(?: ?{_CURRENCY})?\)"
    )
    for mark, bare in _BARE.items()
}


def is_number(cell: str, decimal: str = ".") -> bool:
    """Return whether a cell can be a number, with its currency, percent sign or groups."""
    return bool(_IN_CELL[decimal].fullmatch(cell.replace("−", "-")))


def is_missing(series: Any) -> NDArray[np.bool_]:
    """Return where a column has nothing.

    Parameters
    ----------
    series : pandas.Series
        Of any type.

    Returns
    -------
    np.ndarray
        bool [rows]: None, NaN, NaT, and text that is empty, NA, N/A, nan, null, ?, #N/A or <NA>,
        in letters of any size.
    """
    missing = np.asarray(series.isna(), dtype=bool)
    if is_text(series):
        # In categories that are not text a token cannot be.
        words = text_of(series).str.lower()
        missing = missing | np.asarray(words.isin(MISSING), dtype=bool)
    return missing


def text_of(series: Any) -> Any:
    """Return a column as text without blanks around it, missing cells NaN, of pandas' str type."""
    if series.dtype == object:
        series = series.where(series.notna(), None)
    return series.astype(text_dtype()).str.strip()


def is_text(series: Any) -> bool:
    """Return whether a column may have words: it is of strings, objects or categories of these."""
    types, dtype = pandas().api.types, series.dtype
    if isinstance(dtype, pandas().CategoricalDtype):
        dtype = dtype.categories.dtype
    return bool(types.is_string_dtype(dtype) or types.is_object_dtype(dtype))


def numbers_of(
    series: Any, decimal: str = ".", how: str | None = None
) -> tuple[NDArray[np.float64], str] | None:
    """Return a column as numbers, if all of its cells that are there are numbers.

    Parameters
    ----------
    series : pandas.Series
        Numbers, or text as it is written in a file.
    decimal : {".", ","}, optional
        The table's decimal mark. A column that it does not fit may have the other one.
    how : str, optional
        What a column of the same name was found to be. Then the column is read in the same way, and
        a cell that is no number is NaN.

    Returns
    -------
    values : np.ndarray
        float64 [rows], NaN where nothing is; infinite numbers are NaN too.
    how : str
        How they are written, such as "currency $, thousands separators"; "" for plain numbers.

    Notes
    -----
    None for text, dates and bools. 0x10, 1_000 and 12 kg are text. A percentage is the number
    before its sign. (123) is -123 in a column of money or of thousands.
    """
    decimal = _check.choice(decimal, (".", ","), "decimal")
    types = pandas().api.types
    if types.is_bool_dtype(series.dtype) or isinstance(series.dtype, pandas().CategoricalDtype):
        return None if how is None else (np.full(len(series), np.nan), how)
    if types.is_numeric_dtype(series.dtype):
        values = series.to_numpy(np.float64, na_value=np.nan, copy=True)
        infinite = np.isinf(values)
        values[infinite] = np.nan
        return values, _infinite(int(infinite.sum()))
    if not is_text(series):
        return None if how is None else (np.full(len(series), np.nan), how)
    text = text_of(series)
    there = ~is_missing(text)
    return _Numbers(text[there], there, decimal, how).found()


class _Numbers:
    """One column on its way from text to numbers."""

    def __init__(self, text: Any, there: NDArray[np.bool_], decimal: str, how: str | None) -> None:
        self.text, self.there, self.decimal, self.how = text, there, decimal, how
        self.words: list[str] = []

    def found(self) -> tuple[NDArray[np.float64], str] | None:
        if self.how is not None:
            for mark, words in _DECIMAL_WORDS.items():
                if words in self.how:
                    self.decimal = mark
            return self._values(self._lenient()), self.how
        if not len(self.text):
            return None
        if self._fits(self.text, _plain(self.decimal)).all():
            return self._finished(self._parsed(self.text, self.decimal))
        return self._dressed()

    def _dressed(self) -> tuple[NDArray[np.float64], str] | None:
        nothing = self._fits(self.text, NO_NUMBER.pattern)
        if nothing.all():
            return None
        bare = self._undressed(self.text.where(~nothing, None).dropna())
        for mark in (self.decimal, _OTHER[self.decimal]):
            plain = self._fits(bare, _plain(mark))
            if plain.all() or (plain | self._fits(bare, _grouped(mark))).all():
                if not plain.all():
                    self.words.append("thousands separators")
                if mark != self.decimal:
                    self.words.append(_DECIMAL_WORDS[mark])
                values = np.full(len(self.text), np.nan)
                values[~nothing] = self._parsed(bare, mark)
                self._say_nothing(nothing)
                return self._finished(values)
        return None

    def _undressed(self, text: Any) -> Any:
        """Return cells without what all of them have beside the number."""
        text = text.str.replace("−", "-", regex=False)
        if text.str.endswith("%").all():
            self.words.append("percent")
            text = text.str[:-1].str.strip()
        marks = text.str.extract(f"({_CURRENCY})", expand=False)
        money = bool(marks.notna().all() and marks.nunique() == 1)
        if money:
            self.words.append(f"currency {marks.iloc[0]}")
            mark = re.escape(marks.iloc[0])
            pattern = rf"^([(]?[+-]?) ?{mark} ?|(?:^|(.)) ?{mark}([)]?)$"
            text = text.str.replace(pattern, r"\1\2\3", regex=True)
        closed = text.str.fullmatch(r"\(.*\)")
        if closed.any() and (
            money or self._fits(text, f".*[0-9]{_GROUP[self.decimal]}[0-9]{{3}}.*").any()
        ):
            text = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
        return text

    def _lenient(self) -> NDArray[np.float64]:
        """Return the number of each cell that is one, with whatever it has beside the number."""
        text = self.text.str.replace("−", "-", regex=False)
        text = text.str.replace(rf"^([(]?[+-]?) ?{_CURRENCY} ?", r"\1", regex=True)
        text = text.str.replace(rf" ?(?:{_CURRENCY}|%)([)]?)$", r"\1", regex=True)
        text = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
        fits = self._fits(text, _BARE[self.decimal])
        values = np.full(len(text), np.nan)
        values[fits] = self._parsed(text[fits], self.decimal)
        return values

    @staticmethod
    def _fits(text: Any, pattern: str) -> NDArray[np.bool_]:
        return np.asarray(text.str.fullmatch(pattern), dtype=bool)

    @staticmethod
    def _parsed(text: Any, decimal: str) -> NDArray[np.float64]:
        """Return numbers that are written as `_plain` or `_grouped` has it."""
        if text.str.contains(_GROUP[decimal], regex=True).any():
            text = text.str.replace(_GROUP[decimal], "", regex=True)
        if decimal == ",":
            text = text.str.replace(",", ".", regex=False)
        return np.asarray(text.to_numpy(object), dtype=np.float64) if len(text) else np.empty(0)

    def _say_nothing(self, nothing: NDArray[np.bool_]) -> None:
        infinite = self._fits(self.text, _INFINITE)
        if infinite.any():
            self.words.append(_infinite(int(infinite.sum())))
        marks = sorted(set(self.text[nothing & ~infinite]))
        if marks:
            self.words.append(f"{' and '.join(map(repr, marks))} is nothing")

    def _finished(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
        beyond = np.isinf(values)  # such as 1e999
        if beyond.any():
            values[beyond] = np.nan
            self.words.append(_infinite(int(beyond.sum())))
        return self._values(values), ", ".join(self.words)

    def _values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.full(len(self.there), np.nan)
        found[self.there] = np.where(np.isinf(values), np.nan, values)
        return found


def _infinite(count: int) -> str:
    return f"{count} infinite: taken as missing" if count else ""
