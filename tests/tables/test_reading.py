"""Text tables of any layout: the cells, the names and what is said, by hand."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fastbp as fb
from fastbp.errors import ConfigError, InputError

pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")

AB = [["1", "2"], ["3", "4"]]


@dataclass
class Case:
    """A file's text, how it is written and read, and what it holds; None is a missing cell."""

    text: str | bytes
    columns: tuple[str, ...]
    rows: list[list[str | None]]
    suffix: str = ".csv"
    encoding: str = "utf-8"
    options: dict[str, Any] = field(default_factory=dict)
    decimal: str = "."
    note: str = ""


def of(text, columns="a b", rows=AB, **more):
    """A case; a blank in the name of a column is written as an underline."""
    names = tuple(name.replace("_", " ") for name in columns.split())
    return Case(text, names, rows, **more)


CASES = {
    # Separators.
    "comma": of("a,b\n1,2\n3,4\n"),
    "semicolon": of("a;b\n1;2\n3;4\n", note="separator ';'"),
    "tab": of("a\tb\n1\t2\n3\t4\n", suffix=".tsv", note="separator tab"),
    "pipe": of("a|b\n1|2\n3|4\n", suffix=".txt", note="separator '|'"),
    "blanks": of("a  b\n1   2\n 3 4 \n", suffix=".data", note="separator blanks"),
    "a given one": of("a:b\n1:2\n3:4\n", options={"separator": ":"}),
    "commas in the text of a table with semicolons": of(
        "name;age\nLee, Ann;1\nPoe, Bob;2\n", "name age", [["Lee, Ann", "1"], ["Poe, Bob", "2"]]
    ),
    "semicolons in the text of a table with commas": of(
        "a,b\nx;y,1\nz;w,2\n", rows=[["x;y", "1"], ["z;w", "2"]]
    ),
    "blanks in the text of a table with commas": of(
        "full name,b\nAnn Lee,1\nBob Poe,2\n", "full_name b", [["Ann Lee", "1"], ["Bob Poe", "2"]]
    ),
    "words in quotes beside the numbers of the rows": of(
        '"i","a","b","c","d","e"\n"1","x","no","u","p","s"\n"2","y","no","v","q","t"\n',
        "i a b c d e", [["1", "x", "no", "u", "p", "s"], ["2", "y", "no", "v", "q", "t"]],
    ),
    "one column": of("x\n1\n2\n", "x", [["1"], ["2"]]),
    "one column of words": of("name\nAnn Lee\nBob Poe\n", "name", [["Ann Lee"], ["Bob Poe"]]),
    "one column of times": of(
        "d\n2020-01-01 10:00\n2020-01-02 11:00\n", "d", [["2020-01-01 10:00"], ["2020-01-02 11:00"]]
    ),
    "blanks between quotes, as R writes all": of(
        '"id" "kind" "n"\n"1" "SFR" "39"\n"2" "MAR" "25"\n', "id kind n",
        [["1", "SFR", "39"], ["2", "MAR", "25"]],
    ),
    "a quoted number before quoted words": of(
        '"","a","b","c","d"\n"1","u","v","x","y"\n"2","v","u","y","x"\n', "Unnamed:_0 a b c d",
        [["1", *"uvxy"], ["2", *"vuyx"]],
    ),
    # Decimal marks.
    "decimal commas": of("a;b\n1,5;2\n3;4,25\n", rows=[["1,5", "2"], ["3", "4,25"]], decimal=","),
    "decimal commas and blanks": of(
        "a b c\n1,5 2 3,5\n3 4,25 1\n", "a b c", [["1,5", "2", "3,5"], ["3", "4,25", "1"]],
        suffix=".txt", decimal=",",
    ),
    "decimal commas in quotes": of('a,b\n"1,5","2"\n"3","4,25"\n', decimal=",",
                                   rows=[["1,5", "2"], ["3", "4,25"]]),
    "thousands in quotes": of('a,b\n"1,234",2.5\n"3,456",4\n',
                              rows=[["1,234", "2.5"], ["3,456", "4"]]),
    "1,234 between semicolons": of("a;b\n1,234;2\n3,456;4\n", decimal=",",
                                   rows=[["1,234", "2"], ["3,456", "4"]]),
    "1,234 between tabs": of("a\tb\n1,234\t2\n3,456\t4\n", rows=[["1,234", "2"], ["3,456", "4"]]),
    "a given mark": of("a\tb\n1,234\t2\n3\t4\n", rows=[["1,234", "2"], ["3", "4"]],
                       options={"decimal": ","}, decimal=","),
    # Quotes, blanks, ends of lines.
    "quotes": of('a,b\n"x, ""y""\nz",2\n"w",4\n', rows=[['x, "y"\nz', "2"], ["w", "4"]]),
    "blanks before quotes": of('a, b\n1, "x, y"\n2, z\n', rows=[["1", "x, y"], ["2", "z"]]),
    "blanks around": of(" a , b \n 1 ,\t2\n3 , 4 \n"),
    "carriage returns": of("a,b\r1,2\r3,4\r"),
    "both, and empty lines": of("\r\na,b\r\n\r\n1,2\r\n  \r\n3,4\r\n\r\n"),
    "no end of the last line": of("a,b\n1,2\n3,4"),
    "a separator at the end of each line": of("a,b,\n1,2,\n3,4,\n"),
    "the same, not in the header": of("a,b\n1,2,\n3,4,\n"),
    "empty rows at the end": of("a,b\n1,2\n3,4\n,\n,\n", note="2 empty rows at the end: left out"),
    # Missing cells.
    "missing": of("a,b\n1,NA\n,4\n nan ,?\n", rows=[["1", None], [None, "4"], [None, None]][:2]),
    "missing, also given": of("a,b\n-9,2\n3,none\n", rows=[[None, "2"], ["3", None]],
                              options={"missing": ["-9", "none"]}),
    # Comments, titles, units.
    "comments": of("# made by\n# a, b and c\na,b\n1,2\n#9,9\n3,4\n", note="begin with '#'"),
    "comments of TeX": of("% made\na b\n1 2\n% more\n3 4\n", suffix=".dat"),
    "given comments": of("//x\na,b\n1,2\n3,4\n", options={"comment": "//"}),
    "a header in a comment": of("# a b\n1 2\n3 4\n", suffix=".txt", note="line 1, a comment"),
    "a column that begins with #": of("#,b\nx1,2\nx3,4\n", "# b", [["x1", "2"], ["x3", "4"]]),
    "colours are no comments": of("#fff,2\n#000,4\n", "0 1", [["#fff", "2"], ["#000", "4"]]),
    "a title": of("Sales of 2020\n\na,b\n1,2\n3,4\n", note="line 1 is above the table"),
    "units": of("a,b\nkg,[m/s]\n1,2\n3,4\n", note="line 2 names units (kg, [m/s])"),
    "units of some": of("n,a,b\n,°C,\nx,1,2\ny,3,4\n", "n a b", [["x", "1", "2"], ["y", "3", "4"]]),
    "a missing number is no unit": of("a,b\nx,2\n1,4\n3,1\n",
                                      rows=[["x", "2"], ["1", "4"], ["3", "1"]]),
    # Names.
    "no header": of("1,2\n3,4\n", "0 1"),
    "no header, text": of("u,1,x\nv,2,x\nu,3,y\n", "0 1 2",
                          [["u", "1", "x"], ["v", "2", "x"], ["u", "3", "y"]]),
    "no header, all text": of("p,x\ne,x\np,y\ne,y\n", "0 1",
                              [["p", "x"], ["e", "x"], ["p", "y"], ["e", "y"]]),
    "no header, a gap": of("?,2\n3,4\n", "0 1", [[None, "2"], ["3", "4"]]),
    "a header above text": of("name,city\nAnn,Rome\nBob,Paris\n", "name city",
                              [["Ann", "Rome"], ["Bob", "Paris"]]),
    "a header of years": of("land,2019,2020\nA,1.5,2\nB,3,4.5\n", "land 2019 2020",
                            [["A", "1.5", "2"], ["B", "3", "4.5"]]),
    "a header of counts": of("0,1,2\n.5,1.5,2\n3,.5,.25\n", "0 1 2",
                             [[".5", "1.5", "2"], ["3", ".5", ".25"]]),
    "a header with quotes": of('"1","2"\n10,20\n30,40\n', "1 2", [["10", "20"], ["30", "40"]]),
    "a header that is said": of("1,2\n3,4\n5,6\n", "1 2", [["3", "4"], ["5", "6"]],
                                options={"header": True}),
    "no header, said": of("a,b\n1,2\n", "0 1", [["a", "b"], ["1", "2"]],
                          options={"header": False}),
    "a header with a known column": of("label,1,0\nu,2,3\nv,4,5\n", "label 1 0",
                                       [["u", "2", "3"], ["v", "4", "5"]],
                                       options={"column": "label"}),
    "names of rows as R writes them": Case('"x" "y"\n"r1" 1 2\n"r2" 3 4\n',
                                           ("Unnamed: 0", "x", "y"),
                                           [["r1", "1", "2"], ["r2", "3", "4"]], suffix=".txt"),
    "the same, of quoted numbers": of('"0" "1"\n"0" 1 2\n"1" 3 4\n', "Unnamed:_0 0 1",
                                      [["0", "1", "2"], ["1", "3", "4"]], suffix=".txt"),
    "an index as pandas writes it": Case(",x,y\n0,1,2\n1,3,4\n", ("Unnamed: 0", "x", "y"),
                                         [["0", "1", "2"], ["1", "3", "4"]]),
    "duplicate names": of("a,a,a.2\n1,2,3\n3,4,5\n", "a a.3 a.2",
                          [["1", "2", "3"], ["3", "4", "5"]], note="duplicate column name 'a'"),
    "names in apostrophes": of("'a'\t'b'\n1\t2\n3\t4\n", suffix=".tab"),
    # Encodings.
    "a byte-order mark": of("ä,b\n1,2\n3,4\n", "ä b", encoding="utf-8-sig"),
    "utf-16": of("ä,b\n1,2\n3,4\n", "ä b", encoding="utf-16", note="encoding utf-16"),
    "utf-16 without a mark": of("ä,b\n1,2\n3,4\n", "ä b", encoding="utf-16-le"),
    "utf-32": of("ä,b\n1,2\n3,4\n", "ä b", encoding="utf-32"),
    "cp1252": of("€,b\n1,2\n3,4\n", "€ b", encoding="cp1252", note="encoding cp1252"),
    "latin-1": of(b"\xe4\x81,b\n1,2\n3,4\n", "ä\x81 b", note="encoding latin-1"),
    "a given one of a file": of("ж,b\n1,2\n3,4\n", "ж b", encoding="cp1251",
                                options={"encoding": "cp1251"}),
    # Suffixes that say nothing.
    "capital letters": of("a\tb\n1\t2\n3\t4\n", suffix=".TSV"),
    "no suffix": of("a;b\n1;2\n3;4\n", suffix=""),
    "a suffix of something else": of("a,b\n1,2\n3,4\n", suffix=".xlsx"),
}  # fmt: skip


def cells(table):
    frame = table.frame.astype(object)
    return frame.where(frame.notna(), None).to_numpy().tolist()


def write(folder, case):
    path = folder / f"t{case.suffix}"
    text = case.text if isinstance(case.text, bytes) else case.text.encode(case.encoding)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_text(name, tmp_path):
    case = CASES[name]
    path = write(tmp_path, case)
    table = fb.tables.Table.read(path, **case.options)
    assert table.columns == case.columns
    assert cells(table) == case.rows
    assert table.decimal == case.decimal
    assert any(case.note in note for note in (*table.notes, ""))
    assert (table.name, len(table)) == (str(path), len(case.rows))
    assert all(str(kind) == "str" for kind in table.frame.dtypes)
    # The options that it was read with give the same again.
    again = fb.tables.Table.read(path, **table.options)
    assert (again.columns, cells(again)) == (table.columns, cells(table))


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda text: pyarrow.compress(text, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("inner", [".csv", ".tsv", ".tab", ".txt", ".data", ""])
def test_packed(suffix, inner, tmp_path):
    path = tmp_path / f"t{inner}{suffix}"
    path.write_bytes(PACK[suffix](b"a,b\n1,2\n3,4\n"))
    assert cells(fb.tables.Table.read(path)) == AB


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_an_archive_of_one_table(tmp_path):
    members = {"d/t.csv": "a,b\n1,2\n3,4\n", "__MACOSX/d/._t.csv": "x", "README": "read me"}
    assert cells(fb.tables.Table.read(zipped(tmp_path / "t.zip", members))) == AB


def test_standard_input_and_a_pipe(tmp_path, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(gzip.compress(b"a;b\n1;2\n3;4\n"))

    monkeypatch.setattr("sys.stdin", Stdin)
    table = fb.tables.Table.read("-")
    assert (table.name, cells(table)) == ("-", AB)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a;b\n1;2\n3;4\n"))
    writer.start()
    table = fb.tables.Table.read(pipe)
    writer.join()
    assert (table.place(1), cells(table)) == (f"{pipe}, line 3", AB)


TRUNCATED = {name: pack(os.urandom(999).hex().encode())[:-20] for name, pack in PACK.items()}
MANY = {"x.csv": "a\n1\n", "y.csv": "a\n1\n"}
REFUSED = {
    "an empty file": (".csv", b"", "t.csv is empty"),
    "empty lines": (".csv", b"\n \n\n", "t.csv is empty"),
    "a header alone": (".csv", b"a,b\n", "got a header and no rows"),
    "too few cells": (".csv", b"a,b\n1,2\n\n3\n", "t.csv, line 4: got 1 cells, wanted 2"),
    "too many cells": (".csv", b"a;b\n1;2\n3;4;5\n", "line 3: got 3 cells, wanted 2.*';'"),
    "too few, of blanks": (".txt", b"a b c\n1 2 3\n4 5 6\n7 8\n", "line 4: got 2 cells, wanted 3"),
    "a first row that lacks a cell": (".csv", b"1,2\n3,4,5\n6,7,8\n", "line 1: got 2 cells"),
    "a long header": (".csv", b"a,b,c,d\n1,2\n3,4\n5,6\n", "line 1: got a header of 4 cells"),
    "after a cell of lines": (".csv", b'a,b\n"x\ny",2\n3\n', "line 4: got 1 cells"),
    "an open quote": (".csv", b'a,b\n1,2\n3,"4\n5,6\n', "line 3: got a quote that is never closed"),
    "a cell behind the last separator": (".csv", b"a,b,\n" + b"1,2,\n" * 600 + b"3,4,5\n", "'5'"),
    "zero bytes": (".csv", b"a,b\n1\0,2\n", "got zero bytes"),
    "zero bytes far below": (".csv", b"a,b\n" + b"1,2\n" * 20000 + b"\0,2\n", "got zero bytes"),
    "controls": (".csv", b"\x01\x02\x03\x04,b\n1,2\n", "got control characters"),
    "another encoding": (".csv", b"a\xff,b\n1,2\n", "is not text in utf-8"),
    "a web page": (".csv", b"<!DOCTYPE html>\n<html></html>", "is a web page"),
    "a document": (".csv", b"%PDF-1.7\n", "is a PDF document"),
    "an old workbook": (".xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "an old workbook: save it as"),
    "no gz": (".gz", b"\x1f\x8bxxxxxxxxxxxxxxxxx", "is no whole gz file"),
    **{f"truncated {s}": (s, text, f"no whole {s[1:]} file") for s, text in TRUNCATED.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, tmp_path):
    suffix, content, message = REFUSED[name]
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    options = {"encoding": "utf-8"} if name == "another encoding" else {}
    with pytest.raises(InputError, match=message) as error:
        fb.tables.Table.read(path, **options)
    assert str(path) in str(error.value)


def test_refused_archives(tmp_path):
    path = zipped(tmp_path / "t.zip", MANY)
    with pytest.raises(InputError, match=r"archive of 2 files \(x.csv, y.csv\)"):
        fb.tables.Table.read(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="no whole zip archive"):
        fb.tables.Table.read(path)
    with pytest.raises(InputError, match="archive of 0 files"):
        fb.tables.Table.read(zipped(path, {}))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        fb.tables.Table.read(tmp_path / "none.csv")
    with pytest.raises(OSError):
        fb.tables.Table.read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ",,"}, "separator: got ',,', wanted one character"),
        ({"decimal": "x"}, "decimal: got 'x'"),
        ({"encoding": "no such"}, "encoding: got 'no such'"),
        ({"header": "yes"}, "header: got 'yes'"),
        ({"missing": [1]}, r"missing: got \[1\]"),
    ],
)
def test_options(options, message):
    with pytest.raises(ConfigError, match=message):
        fb.tables.Table.read("no file", **options)


def test_bytes_that_are_no_utf8_below_the_first_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 50000 + "ä,4\n".encode("cp1252"))
    table = fb.tables.Table.read(path)
    assert table.frame["a"].iloc[-1] == "ä"
    assert "encoding cp1252" in table.notes


def test_many_rows_are_what_they_are(tmp_path):
    """More than one block of the reader, with quotes and lines inside of cells."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 3)).round(6)
    frame = pandas.DataFrame(x, columns=list("abc"))
    frame["d"] = np.where(x[:, 0] > 2, 'say "a,\nb"', 300 * "plain")
    path = tmp_path / "t.csv.gz"
    frame.to_csv(path, index=False)
    table = fb.tables.Table.read(path)
    assert (table.frame[["a", "b", "c"]].to_numpy(float) == x).all()
    assert (table.frame["d"] == frame["d"]).all()
    row = int(np.flatnonzero(x[:, 0] > 2)[5])
    assert table.place(row) == f"{path}, line {row + 2 + 6}"
    assert table.take([5, row]).place(1) == table.place(row)
