"""Files that are no separated text, and tables from frames."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest

import fastbp as fb
from fastbp.errors import DTypeError, InputError, MissingDependencyError

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")

FRAME = pandas.DataFrame(
    {
        "number": [1.5, np.nan, -2.0],
        "word": ["x", None, "00210"],
        "count": [1, 2, 3],
        "day": pandas.to_datetime(["2020-01-01", "2020-01-02", None]),
        "kind": pandas.Categorical(["u", "v", "u"]),
        "yes": [True, False, True],
    }
)


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.bin", "t.csv"])
def test_columns_with_types(name, tmp_path):
    """The content counts, not the suffix."""
    path = tmp_path / name
    (FRAME.to_feather if name in ("t.feather", "t.bin") else FRAME.to_parquet)(path)
    table = fb.tables.Table.read(path)
    pandas.testing.assert_frame_equal(table.frame, FRAME)
    path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
    packed = fb.tables.Table.read(path.with_suffix(".gz"))
    pandas.testing.assert_frame_equal(packed.frame, FRAME)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="no whole"):
        fb.tables.Table.read(path)


def test_an_index_with_a_name_is_a_column(tmp_path):
    FRAME.set_index("count").to_parquet(tmp_path / "t.parquet")
    assert fb.tables.Table.read(tmp_path / "t.parquet").columns[0] == "count"


SHEET = [
    ["1.5", "x", "1", "2020-01-01 00:00:00", "u", "True"],
    [None, None, "2", "2020-01-02 00:00:00", "v", "False"],
    ["-2", "00210", "3", None, "u", "True"],
]


def cells(table):
    frame = table.frame.astype(object)
    return frame.where(frame.notna(), None).to_numpy().tolist()


@pytest.mark.parametrize("row", [0, 3])
def test_a_workbook(row, tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "t.xlsx"
    with pandas.ExcelWriter(path) as book:
        pandas.DataFrame().to_excel(book, sheet_name="empty")
        FRAME.to_excel(book, sheet_name="data", index=False, startrow=row)
    table = fb.tables.Table.read(path)
    assert table.columns == tuple(FRAME.columns)
    assert cells(table) == SHEET
    assert table.notes[0] == "sheet 'data' (others: 'empty')"
    assert table.place(1) == f"{path}, line {row + 3}"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="no whole"):
        fb.tables.Table.read(path)


JSON = {
    "lines": '{"a": 1, "b": "x"}\n{"a": null, "b": "00210"}\n',
    "a list": '[{"a": 1, "b": "x"}, {"b": "00210"}]',
    "columns": '{"a": [1, null], "b": ["x", "00210"]}',
    "columns of rows": '{"a": {"0": 1, "1": null}, "b": {"0": "x", "1": "00210"}}',
}


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".ndjson", ""])
def test_json(name, suffix, tmp_path):
    path = tmp_path / f"t{suffix}"
    path.write_text(JSON[name])
    table = fb.tables.Table.read(path)
    assert table.columns == ("a", "b")
    assert cells(table) == [[1, "x"], [None, "00210"]]


def test_json_within_json(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": {"b": 1, "c": [1, 2]}}\n{"a": {"b": 2}}\n')
    table = fb.tables.Table.read(path)
    assert table.columns == ("a.b", "a.c")
    assert cells(table) == [[1, "[1, 2]"], [2, None]]


ARFF = """% of flowers
@RELATION flowers
@ATTRIBUTE 'the length' NUMERIC
@attribute kind {rose, 'red ü', "x y"}
@attribute day date "yyyy-MM-dd"
@Attribute words string
@DATA
5.1,rose,2020-01-01,'it\\'s, so'
?, 'red ü', 2020-01-02, no
% more

{0 3, 1 "x y"}
"""


@pytest.mark.parametrize("suffix", [".arff", ""])
def test_arff(suffix, tmp_path):
    path = tmp_path / f"t{suffix}"
    path.write_text(ARFF, encoding="utf-8")
    table = fb.tables.Table.read(path)
    assert table.columns == ("the length", "kind", "day", "words")
    assert cells(table) == [
        ["5.1", "rose", "2020-01-01", "it's, so"],
        [None, "red ü", "2020-01-02", "no"],
        ["3", "x y", "0", "0"],
    ]


@pytest.mark.parametrize("suffix", [".svm", ".libsvm", ".svmlight", ""])
def test_svmlight(suffix, tmp_path):
    pytest.importorskip("sklearn")
    path = tmp_path / f"t{suffix}"
    path.write_text("1 1:0.5 3:2\n-1 2:1 # a note\n")
    table = fb.tables.Table.read(path)
    assert table.columns == ("1", "2", "3", "target")
    assert cells(table) == [[0.5, 0, 2, 1], [0, 1, 0, -1]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", '{"a": 1}\n{"a":', "t.json, line 2: got no JSON"),
        ("t.json", "[1, 2]", "got a JSON list, wanted an object in each line"),
        ("t.json", "[]", "got no rows"),
        ("t.json", '{"a": [1], "b": [1, 2]}', "columns that are no table"),
        ("t.arff", "@relation x\n@attribute a real\n@data\n1,2\n", "line 4: got 2 cells, wanted 1"),
        ("t.arff", "a,b\n", "no @attribute"),
        ("t.svm", "a,b\n", "is no svmlight file"),
    ],
)
def test_refused(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        fb.tables.Table.read(tmp_path / name)


def test_tables_of_frames():
    wanted = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    for frame in (wanted, wanted.to_dict("list"), pyarrow.Table.from_pandas(wanted)):
        table = fb.tables.Table(frame, "mine")
        assert cells(table) == [[1, "x"], [2, None]]
        assert (table.columns, table.name, table.place(1)) == (("a", "b"), "mine", "mine, row 1")
    frame = pandas.DataFrame([[1, 2, 3]], columns=["a", "a", 0], index=[7])
    table = fb.tables.Table(frame)
    assert table.columns == ("a", "a.2", "0")
    assert table.notes == ("duplicate column name 'a': one more is 'a.2'",)
    assert table.frame.index.tolist() == [0]
    with pytest.raises(DTypeError, match="frame: got a int, wanted a frame"):
        fb.tables.Table(5)
    with pytest.raises(InputError, match="frame: got columns that are no table"):
        fb.tables.Table({"a": [1], "b": [1, 2]})


def test_rows_that_are_taken():
    table = fb.tables.Table({"a": [1, 2, 3]}, "t")
    for rows in ([2, 0], np.array([2, 0]), slice(None, None, -2)):
        part = table.take(rows)
        assert part.frame["a"].tolist() == [3, 1]
        assert part.take([True, False]).place(0) == "t, row 2"
    assert len(table.take([])) == 0


@pytest.mark.parametrize("library", ["pandas", "pyarrow", "openpyxl", "sklearn.datasets"])
def test_an_absent_library_is_named(library, tmp_path, monkeypatch):
    path = tmp_path / "t"
    if library == "openpyxl":
        pytest.importorskip("openpyxl")
        FRAME.to_excel(path.with_suffix(".xlsx"))
        path = path.with_suffix(".xlsx")
    elif library == "sklearn.datasets":
        path.write_text("1 1:2\n")
    monkeypatch.setitem(sys.modules, library, None)
    names = {"sklearn.datasets": "scikit-learn"}
    message = f"need {names.get(library, library)}, which is not installed: pip install"
    with pytest.raises(MissingDependencyError, match=message) as error:
        fb.tables.Table.read(path)
    assert 'pip install "fastbp[table]"' in str(error.value)
