"""The cells of a column as dates, where the whole column is written in one form."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import is_missing, is_text, text_of
from .libraries import pandas

__all__ = ["date_form", "dates_of", "is_date"]

ISO, QUARTER, TYPED = "ISO8601", "quarter", "datetime"
# So many different cells of a column are tried before all of them are.
_TRIED = 50

_MONTH = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[A-Za-z]*"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[AaPp][Mm])?"
_ZONE = "(?: ?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2}))?"
_ISO = re.compile(
    "[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    "(?:Z|[+-][0-9]{2}:?(?:[0-9]{2})?)?)?)?"
)
_QUARTER = re.compile("(?:[0-9]{4}[- ]?[Qq][1-4]|[Qq][1-4][-/ ]?[0-9]{4})")
_DATE = (
    f"(?:[0-9]{{1,4}}([-/.])[0-9]{{1,2}}\\1[0-9]{{1,4}}|[0-9]{{1,4}}([-/. ]){_MONTH}\\2[0-9]{{2,4}}"
    "|[0-9]{4}/[0-9]{1,2}"
    f"|{_MONTH}[ -][0-9]{{2,4}}|{_MONTH}([-/ ])[0-9]{{1,2}}(?:, ?|\\3)[0-9]{{4}}"
    "|[0-9]{1,2}/[0-9]{4}|[0-9]{4}M[0-9]{1,2}"
    f"|[0-9]{{1,2}} {_MONTH},? [0-9]{{4}})"
)
_WEEKDAY = f"(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? (?=[0-9]{{1,2}} [A-Za-z]|{_MONTH} [0-9])"
_WRITTEN = re.compile(f"(?:{_WEEKDAY})?{_DATE}(?:[T ]+{_CLOCK}{_ZONE})?")
_PARTS = re.compile(f"({_WEEKDAY})?(.+?)(?:([T ]+)({_CLOCK})({_ZONE}))?")
_STAMP = re.compile(f"[A-Za-z]{{3}} [A-Za-z]{{3}} +[0-9]{{1,2}} {_CLOCK} [^ ]+ [0-9]{{4}}")

_DAYS = [
    *("%Y/%m/%d", "%Y-%m-%d", "%Y.%m.%d"),
    *("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *(
        "%m/%d/%y",
        "%d/%m/%y",
        "%d.%m.%y",
        "%m.%d.%y",
        "%d-%m-%y",
        "%m-%d-%y",
        "%y/%m/%d",
        "%y-%m-%d",
    ),
    *(
        f"%d{mark}{month}{mark}{year}"
        for mark in "-/. "
        for month in ("%b", "%B")
        for year in ("%Y", "%y")
    ),
    *(f"%Y{mark}{month}{mark}%d" for mark in "-/. " for month in ("%b", "%B")),
    *(f"{month}{mark}%d{mark}%Y" for mark in "-/ " for month in ("%b", "%B")),
    *("%b %d, %Y", "%B %d, %Y", "%d %b, %Y", "%d %B, %Y"),
    *("%b %Y", "%B %Y", "%b-%Y", "%B-%Y", "%b-%y", "%Y/%m", "%m/%Y", "%YM%m"),
]
_STAMPS = ["%a %b %d %H:%M:%S %z %Y"]
_CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"]


def is_date(cell: str) -> bool:
    """Return whether a cell looks like a date; years and other plain numbers do not."""
    return any(shape.fullmatch(cell) for shape in (_ISO, _QUARTER, _WRITTEN, _STAMP))


def dates_of(series: Any, form: str | None = None) -> NDArray[np.datetime64] | None:
    """Return a column as dates, if all of its cells that are there have one form of a date.

    Parameters
    ----------
    series : pandas.Series
        Of dates, or text as it is written in a file.
    form : str, optional
        The form that `date_form` has found in a column of the same name. Then a cell of another
        form is NaT.

    Returns
    -------
    np.ndarray or None
        datetime64[us] [rows], NaT where nothing is; times with a zone are those of UTC. None where
        the column is none of dates, such as one of years alone.
    """
    if form is None:
        found = date_form(series)
        if found is None:
            return None
        form = found[0]
    typed = _typed(series)
    if typed is not None:
        return typed
    if not is_text(series):
        return np.full(len(series), np.datetime64("NaT", "us"), "datetime64[us]")
    text = text_of(series)
    return _parsed(text.where(~is_missing(text), None), form)


def date_form(series: Any) -> tuple[str, str] | None:
    """Return the form in which all dates of a column are written, and what is doubtful in it.

    Parameters
    ----------
    series : pandas.Series

    Returns
    -------
    form : str
        "ISO8601", "quarter", "datetime" for a column that has the type of dates, or a format as of
        `time.strptime`.
    doubt : str
        A sentence, if the day and the month cannot be told apart; else "".
    """
    typed = _typed(series)
    if typed is not None:
        return TYPED, ""
    if not is_text(series):
        return None
    text = text_of(series)
    text = text[~is_missing(text)].drop_duplicates()
    if not len(text) or not is_date(text.iloc[0]):
        return None
    forms = [form for form in _forms_like(text.iloc[0]) if _fits(text.iloc[:_TRIED], form)]
    forms = [form for form in forms if _fits(text, form)]
    if not forms:
        return None
    return _preferred(forms)


def _preferred(forms: list[str]) -> tuple[str, str]:
    """Return the form that is meant where two fit, and what is said of it."""
    first = forms[0]
    others = [form for form in forms[1:] if form.replace("%b", "%B") != first.replace("%b", "%B")]
    swapped = [form for form in others if sorted(form) == sorted(first)]
    if not swapped:
        return first, ""
    order = "the month first" if first.startswith("%m") else "the day first"
    return first, f"days and months cannot be told apart; read with {order}, as {first}"


def _forms_like(cell: str) -> list[str]:
    if _ISO.fullmatch(cell):
        return [ISO]
    if _QUARTER.fullmatch(cell):
        return [QUARTER]
    if _STAMP.fullmatch(cell):
        return _STAMPS
    found = _PARTS.fullmatch(cell)
    if found is None:
        return []
    weekday, day, gap, clock, zone = (part or "" for part in found.groups())
    if weekday:
        name = weekday.rstrip(", ")
        weekday = weekday.replace(name, "%a" if len(name) == 3 else "%A")
    if zone.strip() not in ("", "UTC", "GMT"):
        zone = zone.replace(zone.strip(), "%z")
    # strptime knows six digits of a second, pandas nine.
    clock = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", clock)
    clocks = [form for form in _CLOCKS if _is_of(clock, form)] if clock else [""]
    days = [form for form in _DAYS if _is_of(day, form)]
    return [f"{weekday}{form}{gap}{time}{zone}" for form in days for time in clocks]


def _is_of(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _fits(text: Any, form: str) -> bool:
    return not bool(np.isnat(_parsed(text, form)).any())


def _parsed(text: Any, form: str) -> NDArray[np.datetime64]:
    if form == QUARTER:
        parts = text.str.extract("(?i)^(?:([0-9]{4})[- ]?q([1-4])|q([1-4])[-/ ]?([0-9]{4}))$")
        year, quarter = parts[0].fillna(parts[3]), parts[1].fillna(parts[2])
        months = {str(i): f"-{3 * i - 2:02}" for i in range(1, 5)}
        text, form = year.str.cat(quarter.map(months)), "%Y-%m"
    if form == TYPED:  # of a column that is now text
        form = ISO
    found = pandas().to_datetime(text, format=form, errors="coerce", utc=True)
    return np.asarray(found.dt.tz_localize(None).to_numpy("datetime64[us]"))


def _typed(series: Any) -> NDArray[np.datetime64] | None:
    """Return the dates of a column that has their type, or of one of objects that all are dates."""
    types = pandas().api.types
    if types.is_datetime64_any_dtype(series.dtype):
        if getattr(series.dtype, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return np.asarray(series.to_numpy("datetime64[us]"))
    if isinstance(series.dtype, pandas().PeriodDtype):
        return np.asarray(series.dt.to_timestamp().to_numpy("datetime64[us]"))
    if types.is_object_dtype(series.dtype) and types.infer_dtype(series, skipna=True) in (
        "date",
        "datetime",
    ):
        found = pandas().to_datetime(series, errors="coerce", utc=True)
        return np.asarray(found.dt.tz_localize(None).to_numpy("datetime64[us]"))
    return None
