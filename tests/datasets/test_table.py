"""CSV files as features and a target."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import datasets
from fastbp.errors import ConfigError, InputError, LabelError

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.fixture
def csv(tmp_path):
    """Write a CSV file of this text; return its path."""

    def write(text: str, encoding: str = "utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_text_classes_and_a_header(csv):
    table = datasets.load_csv(csv("width,height,kind\n1,2,b\n3,4.5,a\n-1e2,0,b\n"))
    assert table.x.tolist() == [[1, 2], [3, 4.5], [-100, 0]]
    assert (table.x.dtype, table.y.dtype) == (np.float32, np.int64)
    assert table.y.tolist() == [1, 0, 1]
    assert table.classes == ("a", "b")
    assert (table.features, table.target) == (("width", "height"), "kind")


def test_no_header(csv):
    table = datasets.load_csv(csv("1,2,b\n3,4,a\n"))
    assert table.x.tolist() == [[1, 2], [3, 4]]
    assert (table.features, table.target) == ((), "2")


@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_delimiters_quotes_blank_lines_and_byte_order_mark(csv, mark):
    text = '\n"a, b"|name\n1|"x, ""y"""\n\n 2 | z \n'.replace("|", mark)
    table = datasets.load_csv(csv(text.replace("\n", "\r\n"), encoding="utf-8-sig"))
    assert table.features == ("a, b",)
    assert table.x.tolist() == [[1], [2]]
    assert table.classes == ('x, "y"', "z")


@pytest.mark.parametrize("target", ["kind", 0, -3, "0", "-3"])
def test_target(csv, target):
    table = datasets.load_csv(csv("kind,p,q\n7,1,2\n9,3,4\n7,5,6\n"), target)
    assert table.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert table.y.tolist() == [0, 1, 0]
    assert table.classes == ("7", "9")


def test_a_name_that_is_a_number(csv):
    table = datasets.load_csv(csv("label,1,0\nu,2,3\nv,4,5\n"), "label")
    assert table.features == ("1", "0")
    assert datasets.load_csv(csv("label,1,0\n8,2,3\n9,4,5\n"), "0").target == "0"


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["1.0", "2.0", "1.0"], None, ("1.0", "2.0")),
        (["10", "7", "007", "7.0"], None, ("007", "7", "7.0", "10")),
        (["1.5", "2.0", "1.0"], None, ()),
        (["1", "2", "1"], "regression", ()),
        (["10", "9", "9"], None, ("9", "10")),
        (["inf", "1", "2"], None, ()),
        ([str(i) for i in range(101)], None, ()),
        ([str(i) for i in range(101)], "classification", tuple(map(str, range(101)))),
    ],
)
def test_task(csv, values, task, classes):
    text = "".join(f"{i},{value}\n" for i, value in enumerate(values))
    table = datasets.load_csv(csv(text), task=task)
    assert table.classes == classes
    if not classes:
        assert table.y.dtype == np.float32
        assert table.y.tolist() == pytest.approx([float(value) for value in values])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", InputError, "is empty"),
        ("\n\n", InputError, "is empty"),
        ("a,b\n1,2\n3\n", InputError, "line 3: got 1 cells, wanted 2"),
        ("a,b,c\n1,x,u\n", InputError, "line 2, column 'b': got 'x', wanted a number"),
        ("a,b,c\n1,2,u\n1,,v\n", InputError, "line 3, column 'b': got nothing"),
        ("1,2,u\nnan,4,v\n", InputError, "line 2, column '0': got nothing"),
        ("1,2,u\n3,4,?\n", InputError, "line 2, column '2': got nothing"),
        ("1\n2\n", InputError, "got one column"),
        ("1,a\n2,a\n", LabelError, "one class only, a"),
        ("1,\0\xff\n", None, ""),
    ],
)
def test_unusable(csv, text, error, message):
    if error is None:
        path = csv(text, encoding="latin-1")
        error, message = InputError, "not a table of text"
    else:
        path = csv(text)
    with pytest.raises(error, match=message):
        datasets.load_csv(path)


def test_options(csv):
    path = csv("a,b\n1,u\n2,v\n")
    with pytest.raises(ConfigError, match="got no column 'c', wanted one of: a, b"):
        datasets.load_csv(path, "c")
    with pytest.raises(ConfigError, match="got no column 2"):
        datasets.load_csv(path, 2)
    with pytest.raises(ConfigError, match="task: got 'guess'"):
        datasets.load_csv(path, task="guess")
    with pytest.raises(LabelError, match="got text, wanted numbers"):
        datasets.load_csv(path, task="regression")
    with pytest.raises(FileNotFoundError):
        datasets.load_csv(path.with_name("none.csv"))
