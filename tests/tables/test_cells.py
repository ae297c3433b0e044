"""Columns of text as numbers and dates: right values by hand."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from fastbp.tables.cells import is_missing, numbers_of  # noqa: E402
from fastbp.tables.dates import date_form, dates_of  # noqa: E402

nan = np.nan
THOUSANDS = "thousands separators"

NUMBERS = [  # cells, the table's decimal mark, values, how they are written
    (["1", "2.5", "-3e5", " 7 ", None, "NA"], ".", [1, 2.5, -3e5, 7, nan, nan], ""),
    (["5.", "+.5", "1E+05", "-0"], ".", [5, 0.5, 1e5, 0], ""),
    (["00210", "3"], ".", [210, 3], ""),
    (["1,234", "5"], ".", [1234, 5], THOUSANDS),
    (["1,234", "5"], ",", [1.234, 5], ""),
    (["1,234,567.25", "0.5"], ".", [1234567.25, 0.5], THOUSANDS),
    (["1.234,5", "2"], ",", [1234.5, 2], THOUSANDS),
    (["1.234"], ",", [1234], THOUSANDS),
    (["1.234", "1.5"], ",", [1.234, 1.5], "decimal point"),
    (["3,5", "2"], ".", [3.5, 2], "decimal comma"),
    (["0,123", "4"], ".", [0.123, 4], "decimal comma"),
    (["1,234", "1.234.567"], ".", [1.234, 1234567], f"{THOUSANDS}, decimal comma"),
    (["1 234", "5 678,5"], ",", [1234, 5678.5], THOUSANDS),
    (["1\u202f234", "1\u00a0000"], ".", [1234, 1000], THOUSANDS),
    (["1'234.5"], ".", [1234.5], THOUSANDS),
    (["5 %", "7%", "-0.5%"], ".", [5, 7, -0.5], "percent"),
    (["$1,234.50", "($5)", "-$3", "$-3"], ".", [1234.5, -5, -3, -3], f"currency $, {THOUSANDS}"),
    (["€ 3,50", "€ 1.200,00"], ",", [3.5, 1200], f"currency €, {THOUSANDS}"),
    (["3,50 €", "-2 €"], ".", [3.5, -2], "currency €, decimal comma"),
    (["5 EUR", "6 EUR"], ".", [5, 6], "currency EUR"),
    (["R$ 5", "R$ 6"], ".", [5, 6], "currency R$"),
    (["(1,234)", "5"], ".", [-1234, 5], THOUSANDS),
    (["\u22125", "3"], ".", [-5, 3], ""),
    ([".", "5", "-"], ".", [nan, 5, nan], "'-' and '.' is nothing"),
    (["inf", "1", "-Infinity"], ".", [nan, 1, nan], "2 infinite: taken as missing"),
    (["1e999", "1"], ".", [nan, 1], "1 infinite: taken as missing"),
    # The nearest number of binary64, not one beside it.
    (["0.1", "9007199254740993", "5e-324", "1.7976931348623157e308"], ".",
     [0.1, 9007199254740992, 5e-324, 1.7976931348623157e308], ""),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "decimal", "values", "how"), NUMBERS)
def test_numbers(cells, decimal, values, how):
    for series in (pandas.Series(cells), pandas.Series(cells, dtype=object)):
        found = numbers_of(series, decimal)
        assert found is not None
        assert found[0].dtype == np.float64
        np.testing.assert_array_equal(found[0], values)
        assert found[1] == how
    # A new file is read in the way of the old one, cell by cell.
    again = numbers_of(pandas.Series([*cells, "word"]), decimal, how)
    np.testing.assert_array_equal(again[0], [*values, nan])
    assert again[1] == how


@pytest.mark.parametrize(
    "cells",
    [
        ["0x10", "1"],
        ["1_000"],
        ["12 kg"],
        ["(123)", "5"],
        ["$5", "€5"],
        ["12,34,567"],
        ["1,234.5", "1.234,5"],
        ["5 %", "7"],
        ["1 2"],
        ["True", "False"],
        ["-", "."],
        ["2020-01-01"],
        ["NA", ""],
        ["١٢"],
    ],
)
def test_text_is_no_number(cells):
    assert numbers_of(pandas.Series(cells)) is None


def test_numbers_that_have_a_type():
    values = numbers_of(pandas.Series([1.5, np.inf, None]))
    np.testing.assert_array_equal(values[0], [1.5, nan, nan])
    assert values[1] == "1 infinite: taken as missing"
    assert numbers_of(pandas.Series([1, None], dtype="Int64"))[0].tolist()[:1] == [1]
    assert numbers_of(pandas.Series([1, 2.5, None], dtype=object))[0].tolist()[:2] == [1, 2.5]
    assert numbers_of(pandas.Series([True, False])) is None
    assert numbers_of(pandas.Series(["1", "2"], dtype="category")) is None
    assert numbers_of(pandas.to_datetime(pandas.Series(["2020-01-01"]))) is None


def test_missing():
    cells = ["x", "", " ", "na", "N/A", "NaN", "null", "?", None, "none", "-", "0"]
    wanted = [False] + 8 * [True] + 3 * [False]
    assert is_missing(pandas.Series(cells)).tolist() == wanted
    assert is_missing(pandas.Series(cells, dtype=object)).tolist() == wanted
    assert is_missing(pandas.Series(cells, dtype="category")).tolist() == wanted
    assert is_missing(pandas.Series([0.0, nan])).tolist() == [False, True]
    mixed = pandas.Series([1, "NA", pandas.NA], dtype=object)
    assert is_missing(mixed).tolist() == [False, True, True]
    assert is_missing(pandas.to_datetime(pandas.Series(["2020", None]))).tolist() == [False, True]


DATES = [  # cells, their form, the dates
    (["2020-01-31", None], "ISO8601", ["2020-01-31", "NaT"]),
    (["2020-01", "2020-12"], "ISO8601", ["2020-01-01", "2020-12-01"]),
    (["2020-01-31T10:00:00Z", "2020-01-31 10:00:00.5+01:00"], "ISO8601",
     ["2020-01-31T10:00", "2020-01-31T09:00:00.5"]),
    (["9999-12-31", "1066-10-14"], "ISO8601", ["9999-12-31", "1066-10-14"]),
    (["2020-1-5", "2020-12-31"], "%Y-%m-%d", ["2020-01-05", "2020-12-31"]),
    (["2020/01/31"], "%Y/%m/%d", ["2020-01-31"]),
    (["1/2/2020", "31/12/2020"], "%d/%m/%Y", ["2020-02-01", "2020-12-31"]),
    (["1/2/2020", "12/31/2020"], "%m/%d/%Y", ["2020-01-02", "2020-12-31"]),
    (["1/31/20 3:04 PM"], "%m/%d/%y %I:%M %p", ["2020-01-31T15:04"]),
    (["13.05.1999 12:33"], "%d.%m.%Y %H:%M", ["1999-05-13T12:33"]),
    (["31-Jan-2020", "1-May-2020"], "%d-%b-%Y", ["2020-01-31", "2020-05-01"]),
    (["5 May 2020", "6 May 2020"], "%d %b %Y", ["2020-05-05", "2020-05-06"]),
    (["January 5, 2020"], "%B %d, %Y", ["2020-01-05"]),
    (["Jan 1 2000", "Feb 13 2000"], "%b %d %Y", ["2000-01-01", "2000-02-13"]),
    (["Jan-1-1995", "Feb-1-1995"], "%b-%d-%Y", ["1995-01-01", "1995-02-01"]),
    (["1/1986", "12/1986"], "%m/%Y", ["1986-01-01", "1986-12-01"]),
    (["1986M1", "1986M12"], "%YM%m", ["1986-01-01", "1986-12-01"]),
    (["Jan 2020", "Feb 2021"], "%b %Y", ["2020-01-01", "2021-02-01"]),
    (["2020-Q1", "2020-Q4"], "quarter", ["2020-01-01", "2020-10-01"]),
    (["Q2 2020"], "quarter", ["2020-04-01"]),
    (["01/31/2020 10:00:00.123456789 UTC"], "%m/%d/%Y %H:%M:%S.%f UTC",
     ["2020-01-31T10:00:00.123456"]),
    (["Mon, 3 Feb 2020 10:00:00 +0100"], "%a, %d %b %Y %H:%M:%S %z", ["2020-02-03T09:00"]),
    (["Wed Aug 27 13:08:45 +0000 2008"], "%a %b %d %H:%M:%S %z %Y", ["2008-08-27T13:08:45"]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "form", "dates"), DATES)
def test_dates(cells, form, dates):
    if "9999-12-31" in cells and pandas.__version__ < "3":
        pytest.skip("dates of pandas 2 end in 2262")
    series = pandas.Series(cells)
    assert date_form(series) == (form, "")
    np.testing.assert_array_equal(dates_of(series), np.array(dates, "datetime64[us]"))
    # A cell of another form is no date of a new file.
    again = dates_of(pandas.Series([*cells, "word"]), form)
    np.testing.assert_array_equal(again, np.array([*dates, "NaT"], "datetime64[us]"))


def test_days_and_months_that_cannot_be_told_apart():
    cells = pandas.Series(["1/2/2020", "3/4/2020"])
    form, doubt = date_form(cells)
    assert form == "%m/%d/%Y"
    assert "cannot be told apart" in doubt
    assert dates_of(cells)[0] == np.datetime64("2020-01-02")
    assert dates_of(cells, "%d/%m/%Y")[0] == np.datetime64("2020-02-01")
    assert date_form(pandas.Series(["1.2.2020"]))[0] == "%d.%m.%Y"


@pytest.mark.parametrize(
    "cells",
    [
        ["2020", "2021"],
        ["20200131"],
        ["31/12/2020", "12/31/2020"],
        ["2020-01-31", "soon"],
        ["2020-13-01"],
        ["192.168.1.1"],
        ["10:30"],
        ["1-2-3"],
        ["1 2 3"],
        ["555-1234"],
        ["1/2", "3/16"],
        ["x"],
        ["NA"],
    ],
)
def test_what_is_no_date(cells):
    assert dates_of(pandas.Series(cells)) is None
    assert date_form(pandas.Series(cells)) is None


def test_dates_that_have_a_type():
    wanted = np.array(["2020-01-01T12:00", "NaT"], "datetime64[us]")
    plain = pandas.Series(pandas.to_datetime(["2020-01-01 12:00", None]))
    np.testing.assert_array_equal(dates_of(plain), wanted)
    np.testing.assert_array_equal(dates_of(plain, "%d/%m/%Y"), wanted)
    zoned = plain.dt.tz_localize("Europe/Paris")
    np.testing.assert_array_equal(dates_of(zoned), wanted - np.timedelta64(1, "h"))
    days = pandas.Series([datetime.date(2020, 1, 1), None], dtype=object)
    np.testing.assert_array_equal(dates_of(days), wanted.astype("datetime64[D]"))
    assert date_form(plain) == ("datetime", "")
    assert dates_of(pandas.Series([1, 2])) is None
