"""`Columns`: encodings beside scikit-learn's, what may differ at predict, and the way to a file."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from fastbp.errors import (  # noqa: E402
    ConfigError,
    CorruptModelError,
    FastbpError,
    InputError,
    ShapeError,
)
from fastbp.tables import Columns, Table  # noqa: E402

RNG = np.random.default_rng(1)
N = 80


def table(**columns):
    return Table(pd.DataFrame(columns))


def fitted(cells, **options):
    return Columns(**options).fit(table(x=cells))


def outputs(columns, cells, **options):
    return columns.transform(table(x=cells), **options)


def reloaded(columns):
    described = json.loads(json.dumps(columns.to_json(), allow_nan=False))
    return Columns.from_json(described, columns.tensors())


def mixed(n=N):
    rng = np.random.default_rng(2)
    return {
        "ünicode ☃ \u202e": rng.normal(size=n),
        "heavy": np.exp(rng.normal(3, 2, n)),
        "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "time": 1.6e9 + np.arange(n)[::-1],
        "sex": rng.choice(["male", "female"], n),
        "code": rng.choice(["007", "008", "010"], n),
        "day": pd.date_range("2020-02-27", periods=n, freq="7h").astype(str),
        "city": rng.choice([f"c{i}" for i in range(30)], n),
        "words": [f"{i} words of some text" for i in range(n)],
        "flag": rng.random(n) < 0.3,
        "kept": ["always"] * n,
    }


def test_numbers_are_those_of_the_robust_scaler_clipped_smoothly():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.exp(RNG.normal(3, 1.5, N))
    scaled = preprocessing.RobustScaler().fit_transform(x[:, None])
    wanted = scaled / np.sqrt(1 + (scaled / 3) ** 2)
    found = outputs(fitted(x), x)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found.dtype == np.float32 and np.abs(found).max() < 3


def test_standard_numbers_are_those_of_the_standard_scaler():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = RNG.normal(7, 3, N)
    wanted = preprocessing.StandardScaler().fit_transform(x[:, None])
    np.testing.assert_allclose(outputs(fitted(x, scale="standard"), x), wanted, rtol=1e-5)


@pytest.mark.parametrize("scale", ["robust", "standard"])
def test_a_gap_is_the_median_and_has_an_input_of_its_own(scale):
    impute = pytest.importorskip("sklearn.impute")
    x = RNG.exponential(size=N)
    x[::5] = np.nan
    columns = fitted(x, scale=scale)
    filled = impute.SimpleImputer(strategy="median").fit_transform(x[:, None])[:, 0]
    found = outputs(columns, x)
    np.testing.assert_array_equal(found[:, 0], outputs(columns, filled)[:, 0])
    np.testing.assert_array_equal(found[:, 1], np.isnan(x))
    assert columns.names_out == ("x", "x=(missing)")


def test_a_gap_that_comes_at_predict_only_is_the_median():
    x = np.arange(9.0) ** 2
    columns = fitted(x)
    assert columns.n_outputs == 1
    assert outputs(columns, [np.nan, 16.0]).tolist() == [[0], [0]]
    assert outputs(columns, [np.nan, np.nan]).tolist() == [[0], [0]]


def test_mostly_zeros_are_scaled_by_what_differs():
    x = np.zeros(100)
    x[::10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1e6]
    found = outputs(fitted(x), x).ravel()
    assert found[1] == 0 and 0.9 < found[50] < 1.1  # 6 of the median 5.5
    assert found[90] == pytest.approx(3)


def test_categories_are_those_of_the_one_hot_encoder():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.repeat(["d", "a", "c", "b"], [9, 7, 5, 3]).astype(object)
    columns = fitted(x)
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore").fit(x[:, None])
    order = [f"x={level}" for level in encoder.categories_[0]]
    cells = np.array(["a", "b", "c", "d", "new", None], object)
    found = outputs(columns, cells)[:, [columns.names_out.index(name) for name in order]]
    np.testing.assert_array_equal(found, encoder.transform(cells[:, None]).toarray())


def test_rare_levels_are_one_and_so_are_those_that_are_new():
    cells = ["a"] * 300 + ["b"] * 200 + ["c"] * 100 + [f"r{i}" for i in range(9)] + [None] * 5
    columns = fitted(cells)
    assert columns.names_out == ("x=a", "x=b", "x=c", "x=(other)", "x=(missing)")
    found = outputs(columns, ["b", "r3", "never seen", None])
    np.testing.assert_array_equal(found, np.eye(5)[[1, 3, 3, 4]])


def test_many_levels_beyond_the_bound_share_64_inputs():
    cells = [f"level {i}" for i in range(200) for _ in range(6)]
    columns = fitted(cells, most_levels=10)
    assert columns.n_outputs == 10 + 64
    found = outputs(columns, cells)
    assert (found.sum(axis=1) == 1).all()
    assert (found[:, 10:].sum(axis=0) > 0).sum() > 60
    assert outputs(reloaded(columns), ["new"]).sum() == 1


@pytest.mark.parametrize(
    "training, cells, wanted",
    [
        (["yes", "no"], ["YES", "No", "true", "0", "maybe", None], [1, 0, 1, 0, 0.25, 0.25]),
        (["TRUE", "FALSE"], ["t", "F"], [1, 0]),
        ([True, False], ["True", "false"], [1, 0]),
        (["male", "female"], ["Male", "FEMALE"], [1, 0]),
        (["a", "A"], ["a", "A"], [1, 0]),
        (["2", "1"], ["1.0", "2", "1.5", "9", None], [0, 1, 0.5, 1, 0.25]),
        ([1e308, -1e308], [0.0, 1e308], [0.5, 1]),
        (["x", None], ["y", "", None], [1, 0, 0]),
    ],
)
def test_two_levels_are_one_input(training, cells, wanted):
    first, second = training
    columns = fitted([first, second, second, second])
    found = outputs(columns, cells)
    if first is not None and second is not None:
        assert columns.n_outputs == 1
    np.testing.assert_allclose(found[:, 0], wanted)


def test_dates_are_what_varies_of_them():
    days = pd.date_range("2020-01-01", "2022-12-31", freq="D").astype(str)
    names = fitted(days).names_out
    assert names[:5] == ("x:elapsed", "x:sin season", "x:cos season", "x:sin day", "x:cos day")
    assert names[5:] == tuple(
        f"x:{day}day" for day in ("Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun")
    )
    years = [f"{year}-01-01" for year in range(1950, 1990)]
    assert fitted(years).names_out == ("x:elapsed",)
    months = pd.date_range("2000-01", periods=40, freq="ME").astype(str)
    assert fitted(months).names_out == ("x:elapsed", "x:sin season", "x:cos season")
    hours = pd.date_range("2000-01-01", periods=24, freq="h").astype(str)
    columns = fitted(hours)
    assert columns.names_out == ("x:elapsed", "x:sin hour", "x:cos hour")
    at_six = outputs(columns, ["2000-01-01 06:00:00"])[0]
    np.testing.assert_allclose(at_six[1:], [1, 0], atol=1e-6)


def test_the_days_of_a_date_are_those_of_the_calendar():
    days = pd.date_range("1895-01-01", "2055-12-31", freq="97D")
    columns = fitted(days.astype(str))
    found = outputs(columns, days.astype(str))
    at = columns.names_out.index("x:Monday")
    np.testing.assert_array_equal(found[:, at : at + 7].argmax(axis=1), days.day_of_week)
    turn = np.arctan2(found[:, 1], found[:, 2]) % (2 * np.pi)
    np.testing.assert_allclose(turn * 365.2425 / (2 * np.pi), days.day_of_year - 1, atol=1e-3)


def test_a_date_that_comes_is_read_as_the_training_was():
    columns = fitted(["25/12/2020", "03/04/2021", "01/02/2022"])
    plain = fitted(["2020-12-25", "2021-04-03", "2022-02-01"])
    np.testing.assert_array_equal(outputs(columns, ["04/03/2021"]), outputs(plain, ["2021-03-04"]))
    with pytest.raises(InputError, match=r"'x': got '2021-03-04' in .*row 1.*%d/%m/%Y"):
        outputs(columns, ["04/03/2021", "2021-03-04"])


@pytest.mark.parametrize(
    "cells, first",
    [
        ([1.6e9, 1.6e9 + 86400, 1.6e9 + 5e6], "2020-09-13 12:26:40"),
        ([1.6e12, 1.6e12 + 1, 1.6e12 + 5e9], "2020-09-13 12:26:40"),
        (["20200913", "20200914", "20210101"], "2020-09-13"),
        (["1990", "1995", "2003"], "1990-01-01"),
    ],
)
def test_numbers_are_dates_if_one_says_so(cells, first):
    columns = fitted(cells, dates=["x"])
    assert columns.decisions[0].kind == "date"
    assert columns.names_out[0] == "x:elapsed"
    np.testing.assert_array_equal(outputs(columns, cells), outputs(reloaded(columns), cells))
    assert pd.Timestamp(first)  # the form of the table above
    assert len(set(outputs(columns, cells)[:, 0].tolist())) == 3


def test_far_and_close_numbers_keep_their_differences():
    far = 1.6e9 + np.arange(9.0)[::-1] / 8
    np.testing.assert_array_equal(
        outputs(fitted(far), far), outputs(fitted(far - 1.6e9), far - 1.6e9)
    )
    for size in (1e-310, 1e-30, 1e30, 1e300):
        x = np.array([-1.7, -0.4, 0.0, 0.3, 1.1, 1.7]) * size
        np.testing.assert_allclose(outputs(fitted(x), x), outputs(fitted(x / size), x / size), 1e-5)


def test_levels_that_are_numbers_go_by_their_value():
    columns = fitted(["1", "2", "3"] * 9, categorical=["x"])
    found = outputs(columns, ["1.0", "2", "3"])
    np.testing.assert_array_equal(found, np.eye(3))
    np.testing.assert_array_equal(outputs(columns, [1, 2, 3]), np.eye(3))
    np.testing.assert_array_equal(outputs(columns, [1.0, np.nan, 3.0])[1], 0)


def test_kinds_can_be_chosen():
    cells = mixed()
    columns = Columns(
        drop="heavy", categorical=["flag", "words"], numeric=["code"], dates=["time"]
    ).fit(table(**cells))
    kinds = {decision.name: decision.kind for decision in columns.decisions}
    assert kinds["heavy"] == "dropped" and kinds["flag"] == "category"
    assert kinds["words"] == "category" and kinds["code"] == "number" and kinds["time"] == "date"
    columns = Columns(features=["gaps", "sex"]).fit(table(**cells))
    assert columns.inputs == ("gaps", "sex")
    assert columns.sources_out == ("gaps", "gaps", "sex")


def test_the_target_is_left_aside():
    columns = Columns().fit(table(a=[1.5, 2, 3], y=[1, 2, 3]), target="y")
    assert columns.inputs == ("a",)
    assert [decision.name for decision in columns.decisions] == ["a"]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"drop": ["agee"]}, "drop: got 'agee', which is no column; near it is 'age'"),
        ({"features": ["zzz"]}, "features: got 'zzz', which is no column; there is 'age', 'name'"),
        ({"numeric": ["name"]}, "numeric: got the column 'name' with 'b' in .*row 1, wanted numb"),
        ({"dates": ["name"]}, "dates: got the column 'name' with '1' in .*row 0, wanted dates"),
        ({"categorical": ["y"]}, "categorical: got 'y', which is the target"),
        ({"categorical": ["age"], "dates": ["age"]}, "dates: got 'age', in categorical"),
        ({"drop": ["age", "name"]}, r"table: got no column that can be used.*'age' is left out"),
        ({"drop": 7}, "drop: got 7, wanted names of columns"),
        ({"scale": "minmax"}, "scale: got 'minmax', wanted one of robust, standard"),
        ({"most_levels": 0}, "most_levels: got 0"),
    ],
)
def test_what_cannot_be_is_a_named_error(options, text):
    data = table(age=["1.5", "2.5", "4"], name=["1", "b", "7"], y=["1", "2", "3"])
    with pytest.raises(FastbpError, match=text):
        Columns(**options).fit(data, "y")


def test_a_target_that_is_no_column_and_a_table_without_rows():
    with pytest.raises(ConfigError, match="target: got 'Y', which is no column; near it is 'y'"):
        Columns().fit(table(a=[1, 2], y=[1, 2]), "Y")
    with pytest.raises(InputError, match="no rows"):
        Columns().fit(table(a=[]))
    with pytest.raises(ConfigError, match="before fit"):
        Columns().transform(table(a=[1]))


def test_columns_are_found_by_name():
    cells = mixed()
    columns = Columns().fit(table(**cells))
    frame = pd.DataFrame(cells)
    wanted = columns.transform(Table(frame))
    other = frame[list(frame)[::-1]].assign(extra=1).rename(columns={"sex": " sex "})
    np.testing.assert_array_equal(columns.transform(Table(other)), wanted)
    with pytest.raises(ShapeError, match=r"got no column 'sex', .*near it is 'sexes'"):
        columns.transform(Table(frame.rename(columns={"sex": "sexes"})))


@pytest.mark.parametrize("target", ["0", "1", "2", None])
def test_columns_without_names_are_found_by_place(target):
    frame = pd.DataFrame(RNG.normal(size=(20, 3)), columns=["0", "1", "2"])

    def nameless(frame):
        found = Table(frame.set_axis([str(i) for i in range(frame.shape[1])], axis=1))
        found.has_header = False
        return found

    columns = Columns().fit(nameless(frame), target)
    wanted = columns.transform(nameless(frame))
    loaded = reloaded(columns)
    assert not loaded.has_header
    if target is not None:
        found = loaded.transform(nameless(frame.drop(columns=target)))
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ShapeError, match="got 1 columns without names, wanted 3"):
        columns.transform(nameless(frame[["0"]]))


@pytest.mark.parametrize(
    "training, cells, text",
    [
        ([1.5, 2, 4], [1.0, "abc"], "column 'x': got 'abc' in .*row 1, wanted a number"),
        (["5%", "7%", "9%"], ["5%", "x"], r"got 'x' in .*row 1, wanted a number \(percent\)"),
        (["1:30", "2:30", "4:00"], ["1:30", "7"], r"got '7' in .*row 1.*\(h:m:s\)"),
        (["2020-01-01", "2021-01-01", "2022-01-01"], ["soon"], "got 'soon' in .*row 0.* a date"),
        ([1, 2, 1], ["x"], "got 'x' in .*row 0"),
    ],
)
def test_a_column_of_another_kind_is_a_named_error_with_its_first_cell(training, cells, text):
    columns = fitted(training)
    with pytest.raises(InputError, match=text):
        outputs(columns, cells)
    assert np.isfinite(outputs(columns, cells, strict=False)).all()


def test_words_for_missing_numbers_stay_words_for_missing_numbers():
    columns = fitted([*"123456789", "unknown", *"123456789"])
    assert outputs(columns, ["unknown", "5"])[:, 1].tolist() == [1, 0]
    with pytest.raises(InputError, match="got 'rotary'"):
        outputs(columns, ["rotary"])


def test_what_is_loaded_gives_the_same_bits():
    data = table(**mixed())
    for scale in ("robust", "standard"):
        columns = Columns(scale=scale, most_levels=5, drop=["kept"]).fit(data)
        loaded = reloaded(columns)
        assert loaded.transform(data).tobytes() == columns.transform(data).tobytes()
        assert loaded.to_json() == columns.to_json()
        assert loaded.names_out == columns.names_out and loaded.inputs == columns.inputs
        assert loaded.summary() == columns.summary()
        assert loaded.decisions == columns.decisions


def by_formula(formula, cell):
    """What a text of `formulas_out` says of a cell; None is a missing one."""
    if formula == "1 if v is missing, else 0":
        return float(cell is None)
    if formula == "0 if v is missing, else 1":
        return float(cell is not None)
    if match := re.fullmatch(r"0 if v is '(.+)', 1 if it is '(.+)', else (.+?)(;.+)?", formula):
        return {match[1]: 0.0, match[2]: 1.0}.get(
            cell and cell.lower() if match[4] else cell, float(match[3])
        )
    if match := re.fullmatch(r"1 if v is '(.+)', else 0", formula):
        return float(cell == match[1])
    map_, gap = formula.split("; ")
    if cell is None:
        return float(gap.split()[0])
    if match := re.fullmatch("(.+) within (.+) and (.+)", map_):
        return np.clip(arithmetic(match[1], v=cell), float(match[2]), float(match[3]))
    clipped, z = map_.split(", z = ")
    return arithmetic(clipped, z=arithmetic(z, v=cell))


def arithmetic(text, **names):
    return eval(text.replace("^", "**"), {"sqrt": np.sqrt, **names})


@pytest.mark.parametrize(
    ("training", "cells", "options"),
    [
        ([1.0, 2.0, 5.0, 9.5, 1e3], [1.5, -1e4, 1e9], {}),
        ([1.0, 2.0, None, 9.5, 1e-3], [1.5, None, 1e9], {}),
        ([1e-9, 3e-9, 7e-9], [2e-9, None], {}),
        ([1.0, 2.0, None, 9.5, 30.0], [1.5, None, 1e9, -1e9], {"scale": "standard"}),
        ([3.0, 7.0, 7.0, None], [3.0, 4.0, 9.0, None], {}),
        (["yes", "no", "no", None], ["YES", "no", None], {}),
        (["a", "A", "a"], ["a", "A", "c"], {}),
        (["a", "b", "b"], ["a", "b", "c"], {}),
        (["a", None, "a"], ["a", None], {}),
        (["a", "b", "c", None] * 3, ["c", "a", "new", None], {}),
    ],
)
def test_formulas_say_what_is_computed(training, cells, options):
    columns = fitted(training, **options)
    formulas = columns.formulas_out
    assert len(formulas) == columns.n_outputs
    wanted = [[by_formula(formula, cell) for formula in formulas] for cell in cells]
    np.testing.assert_allclose(outputs(columns, cells), wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["2:30", "3:45", "10:01"], "(v in seconds)"),
        (["12%", "13.5%", "50%"], "(v is the number; cells have percent)"),
        (["1.5", "2", "7"], "0 if v is missing"),
    ],
)
def test_formulas_say_how_a_cell_is_read(cells, text):
    (formula,) = fitted(cells).formulas_out
    assert formula.endswith(text)


def test_formulas_of_dates_name_what_varies():
    columns = fitted(pd.date_range("2020-02-27", periods=N, freq="7h").astype(str))
    assert len(columns.formulas_out) == columns.n_outputs
    for name, formula in zip(columns.names_out, columns.formulas_out, strict=True):
        part = name.split(":")[1].split()
        words = {"elapsed": "days since 1970", "season": "January", "day": "of the month",
                 "hour": "share of the day"}  # fmt: skip
        assert words.get(part[-1], f"1 on a {part[-1]}") in formula, name
        assert formula.startswith(part[0]) or part[0] not in ("sin", "cos")


def test_a_formula_for_each_of_many_levels():
    columns = fitted([f"c{i}" for i in range(200)] + ["c"] * 200)
    assert len(columns.formulas_out) == columns.n_outputs
    assert "modulo 64 is 63" in columns.formulas_out[-1]


def spoiled(described):
    """Each description with one part of it replaced or taken away."""
    bad = (None, -1, 2**70, "x", [], {}, ["x", "x"], True, 1e300, float("nan"))
    if isinstance(described, dict):
        for key, value in described.items():
            for other in bad:
                yield described | {key: other}
            yield {k: v for k, v in described.items() if k != key}
            yield from (described | {key: part} for part in spoiled(value))
    elif isinstance(described, list):
        yield [*described, None]
        for i, value in enumerate(described):
            yield from ([*described[:i], part, *described[i + 1 :]] for part in spoiled(value))


def test_what_is_no_description_is_a_named_error_or_works():
    cells = mixed(12)
    data = table(**{name: cells[name] for name in ("gaps", "sex", "code", "day", "kept")})
    columns = Columns().fit(data)
    described, tensors = columns.to_json(), columns.tensors()
    refused = 0
    for other in [None, 7, [], {}, *spoiled(described)]:
        try:
            loaded = Columns.from_json(other, tensors)
        except (ValueError, LookupError, TypeError):
            refused += 1
            continue
        loaded.summary()
        try:
            assert np.isfinite(loaded.transform(data, strict=False)).all()
        except FastbpError:
            continue
    assert refused > 100
    ((name, numbers),) = tensors.items()
    for array in (
        numbers[1:],
        numbers[:, :2],
        numbers.astype("f4"),
        numbers * np.nan,
        "x",
        -numbers,
    ):
        with pytest.raises(CorruptModelError):
            Columns.from_json(described, {name: array})
    with pytest.raises(CorruptModelError):
        Columns.from_json(described, {})


CELLS = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.text(max_size=8),
    st.dates().map(str),
)
NUMERIC = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(NUMERIC, min_size=3, max_size=12),
    st.lists(st.one_of(NUMERIC, st.just(float("inf"))), min_size=1, max_size=6),
    st.sampled_from(["robust", "standard"]),
)
def test_any_numbers_become_finite_ones(training, cells, scale):
    data = table(x=pd.Series(training, dtype=float), y=range(len(training)))
    columns = Columns(scale=scale).fit(data)
    other = table(x=pd.Series(cells, dtype=float), y=range(len(cells)))
    for rows in (data, other):
        found = columns.transform(rows)
        assert np.isfinite(found).all()
        assert reloaded(columns).transform(rows).tobytes() == found.tobytes()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(CELLS, min_size=3, max_size=12).map(
        lambda cells: [c if c is None else str(c) for c in cells]
    ),
    st.lists(CELLS, min_size=1, max_size=6).map(
        lambda cells: [c if c is None else str(c) for c in cells]
    ),
)
def test_any_cells_become_finite_numbers(training, cells):
    data = table(x=pd.Series(training, dtype="str"), y=np.arange(len(training)) / 2)
    columns = Columns().fit(data)
    other = table(x=pd.Series(cells, dtype="str"), y=np.arange(len(cells)) / 2)
    for rows in (data, other):
        found = columns.transform(rows, strict=False)
        assert np.isfinite(found).all()
        assert reloaded(columns).transform(rows, strict=False).tobytes() == found.tobytes()
