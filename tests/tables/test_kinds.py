"""What a column holds, beside what a person says who looks at its cells."""

from __future__ import annotations

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from fastbp.tables import Columns, Table  # noqa: E402

RNG = np.random.default_rng(0)
N = 60


def some(*values):
    """Each of these often, in no order."""
    return [values[i] for i in RNG.integers(0, len(values), N - len(values))] + list(values)


def texts(values):
    return [str(value) for value in values]


RANKING = texts(RNG.permutation(N) + 1)
NUMBERS = texts(RNG.normal(size=N).round(3))
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
PHRASES = [" ".join(RNG.permutation(WORDS)[:6]) + f" {i}" for i in range(N)]
DAYS = pd.date_range("2021-03-01", periods=N)

KINDS = [
    # (name, cells, kind)
    ("x", NUMBERS, "number"),
    ("x", some("1", "2", "3"), "number"),
    ("x", texts(RNG.integers(0, 1000, N)), "number"),
    ("x", some("1.5", "2", "-3e5"), "number"),
    ("price", [f"${v},{v:03}" for v in range(100, 100 + N)], "number"),
    ("rate", [f"{v}%" for v in range(N)], "number"),
    ("x", [*NUMBERS[:-3], "unknown", "unknown", "unknown"], "number"),
    ("x", [*NUMBERS[:-3], "-", "inf", ""], "number"),
    ("clock", [f"{v % 24}:{v:02}" for v in range(N)], "number"),
    ("time", [f"{v // 60}:{v % 60:02}:30.5" for v in range(100, 100 + N)], "number"),
    ("year", texts(range(1900, 1900 + N)), "number"),
    ("age", texts(range(1, N + 1)), "number"),
    ("wealth", RANKING, "number"),
    ("x", np.linspace(0, 1, N), "number"),
    ("zip", texts(RNG.integers(10000, 99999, N)), "number"),
    ("x", some("0", "1"), "boolean"),
    ("x", some("1", "2"), "boolean"),
    ("x", some("0.5", "7"), "boolean"),
    ("x", some("1", "2", None), "boolean"),
    ("x", some("yes", "no"), "boolean"),
    ("x", some("TRUE", "FALSE"), "boolean"),
    ("x", some("male", "female"), "boolean"),
    ("died", [*[None] * 50, *["yes"] * 10], "boolean"),
    ("x", RNG.random(N) < 0.5, "boolean"),
    ("x", some("a", "b", "c"), "category"),
    ("x", some("10-19", "20-29", "30+"), "category"),
    ("x", some("<5", "5", "10", "20"), "category"),
    ("x", some("1", "2", "b", "c"), "category"),
    ("x", some("low income", "middle income", "high income"), "category"),
    ("zip", some("00210", "02139", "10001"), "category"),
    ("x", pd.Series(some(1, 2, 3)).astype("category"), "category"),
    ("x", some("x", "y", "z", None), "category"),
    ("d", DAYS.astype(str), "date"),
    ("d", DAYS, "date"),
    ("d", DAYS.strftime("%d/%m/%Y"), "date"),
    ("d", DAYS.strftime("%d.%m.%Y %H:%M"), "date"),
    ("d", DAYS.strftime("%Y%m%d"), "date"),
    ("d", [f"{d.isoformat()}+02:00" for d in DAYS], "date"),
    ("d", some("2020-01-01", "2021-05-01"), "date"),
    ("d", [*DAYS.astype(str)[:-2], None, ""], "date"),
    ("review", PHRASES, "text"),
    ("x", ["x" * 300 + str(i % 7) for i in range(N)], "text"),
    ("x", ["7"] * N, "constant"),
    ("x", ["word"] * N, "constant"),
    ("x", [None] * N, "constant"),
    ("x", ["", "NA", "?", "nan"] * (N // 4), "constant"),
    ("x", np.full(N, 3.25), "constant"),
    ("d", ["2020-01-01"] * N, "constant"),
    ("name", [f"word{i}" for i in range(N)], "identifier"),
    ("ticket", [f"A{i // 2}{i % 2}" for i in range(N)], "identifier"),
    ("id", [f"{i:05}" for i in range(N)], "identifier"),
    ("customer_id", texts(RNG.permutation(10**6)[:N]), "identifier"),
    ("id", texts(i // 2 * 37 for i in range(N)), "identifier"),
    ("Unnamed: 0", texts(range(N)), "row number"),
    ("Unnamed: 0", texts(np.sort(RNG.permutation(10**6)[:N])), "row number"),
    ("case", texts(range(1, N + 1)), "row number"),
    ("PassengerId", RANKING, "row number"),
    ("n", texts(range(1, N + 1)), "row number"),
    ("n", range(N), "row number"),
]


@pytest.mark.parametrize("name, cells, kind", KINDS)
def test_a_column_has_the_kind_that_a_person_sees(name, cells, kind):
    frame = pd.DataFrame({name: cells, "other": NUMBERS})
    columns = Columns().fit(Table(frame))
    assert columns.decisions[0].kind == kind, columns.decisions[0]
    assert columns.decisions[1] == ("other", "number", columns.decisions[1].detail)
    used = kind in ("number", "boolean", "category", "date")
    assert columns.inputs == ((name, "other") if used else ("other",))
    assert np.isfinite(columns.transform(Table(frame))).all()


def test_the_details_say_what_was_found():
    frame = pd.DataFrame(
        {
            "a": [*texts(range(N - 2)), "none", None],
            "b": some("x", "y", None),
            "c": ["7"] * N,
            "d": DAYS.astype(str),
            "e": some("x", "y", "z"),
        }
    )
    columns = Columns(drop=["e"]).fit(Table(frame))
    gaps = int(frame.b.isna().sum())
    assert [decision.detail for decision in columns.decisions] == [
        "0 to 57, 'none' (1) taken for missing, 1 missing",
        f"x or y, {gaps} missing",
        "7 in every row",
        "2021-03-01 to 2021-04-29",
        "as asked for",
    ]
    assert columns.summary().splitlines() == [
        "column  kind      inputs  what it holds",
        "a       number         2  0 to 57, 'none' (1) taken for missing, 1 missing",
        f"b       boolean        2  x or y, {gaps} missing",
        "c       constant       -  7 in every row",
        "d       date          12  2021-03-01 to 2021-04-29",
        "e       dropped        -  as asked for",
    ]


def test_the_summary_of_many_columns_is_short():
    columns = {f"p{i}": RNG.normal(size=9) for i in range(60)} | {"c": ["a", "b", "c"] * 3}
    lines = Columns().fit(Table(pd.DataFrame(columns))).summary().splitlines()
    assert lines[1].split() == ["p0", "...", "p59", "number", "60", "60", "columns"]
    assert len(lines) == 3
    wild = Columns().fit(Table(pd.DataFrame({"\x1b[2J" + "n" * 99: [1, 2, 3]}))).summary(60)
    assert "\x1b" not in wild
    assert max(map(len, wild.splitlines())) <= 60
