"""What a file is by its first bytes and its suffix, and the formats that are not separated text.

Parquet, Feather, JSON and svmlight have columns of types. The cells of a sheet and of an ARFF file
become lines of text, so that a header, a title or units are found in them as in other text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

from ..errors import InputError
from .libraries import pandas, pyarrow, require_openpyxl, svmlight_reader
from .reading import encoding_of
from .source import Source

__all__ = ["kind_of", "rows_as_text", "typed_frame"]

_HEAD = 1 << 16
_MAGIC = {
    b"PAR1": "parquet",
    b"ARROW1": "feather",
    b"FEA1": "feather",
    b"\xd0\xcf\x11\xe0": "xls",
    b"%PDF": "pdf",
}
_SUFFIXES = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".arff": "arff",
    ".svm": "svmlight",
    ".libsvm": "svmlight",
    ".svmlight": "svmlight",
}
_OTHERS = {
    "xls": "an old workbook: save it as .xlsx or .csv",
    "pdf": "a PDF document",
    "html": "a web page: download the table itself",
}
_SPARSE = re.compile(rb"\S+(?: qid:[0-9]+)?(?: +[0-9]+:[-+.0-9eE]+)+ *(?:#.*)?")
# The cells of a dense table of a sparse file.
_MOST_CELLS = 1 << 28
_ATTRIBUTE = re.compile(
    r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s*(.*)""", re.IGNORECASE
)
_ARFF_CELL = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]*?)\s*(?:,|$)""")


def kind_of(source: Source) -> str:
    """Return the format of a file: "text" for separated text."""
    if source.is_workbook:
        return "xlsx"
    head = source.head(_HEAD)
    for mark, kind in _MAGIC.items():
        if head.startswith(mark):
            if kind in _OTHERS:
                raise InputError(f"{source.name} is {_OTHERS[kind]}, wanted a table")
            return kind
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{source.name} is {_OTHERS['html']}, wanted a table")
    if source.suffix in _SUFFIXES:
        return _SUFFIXES[source.suffix]
    if re.match(rb'\{\s*"|\[\s*\{', start):
        return "json"
    if re.match(rb"(?:%[^\n]*\n|\s)*@relation", start):
        return "arff"
    lines = [line for line in head.splitlines()[:20] if line.strip()]
    whole = lines if len(head) < _HEAD else lines[:-1]
    if whole and all(_SPARSE.fullmatch(line.strip()) for line in whole):
        return "svmlight"
    return "text"


def typed_frame(source: Source, kind: str) -> Any:
    """Return the frame of a file whose columns have types."""
    library = pandas()
    if kind == "json":
        return _json_frame(source)
    if kind == "svmlight":
        return _svmlight_frame(source)
    read = library.read_parquet if kind == "parquet" else library.read_feather
    try:
        frame = read(source.whole())
    except (pyarrow().ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{source.name} is no whole {kind.capitalize()} file: {error}; write or copy it again"
        ) from None
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index() if named else frame


def _json_frame(source: Source) -> Any:
    """Return the frame of lines of objects, of a list of objects, or of an object of columns."""
    library = pandas()
    with source.open() as file:
        content = file.read()
    text = content.decode(encoding_of(content, source.name), errors="replace")
    found = _json_value(source.name, text)
    if isinstance(found, dict) and found and all(isinstance(v, list) for v in found.values()):
        try:
            return library.DataFrame(found)
        except ValueError as error:
            raise InputError(f"{source.name}: got columns that are no table: {error}") from None
    if isinstance(found, dict):
        columns = all(isinstance(value, dict) for value in found.values())
        return library.DataFrame(found) if found and columns else library.DataFrame([found])
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(
            f"{source.name}: got a JSON {type(found).__name__}, wanted an object in each line, a "
            "list of objects, or an object with a list for each column"
        )
    frame = library.json_normalize(found) if found else library.DataFrame()
    for name in frame.columns:
        if frame[name].dtype == object:
            frame[name] = [json.dumps(c) if isinstance(c, list) else c for c in frame[name]]
    return frame


def _json_value(name: str, text: str) -> Any:
    """Return what a text in JSON holds: if that is lines of values, a list of them."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise InputError(
                    f"{name}, line {number}: got no JSON: {error}; wanted an object in each line"
                ) from None
    return rows


def _svmlight_frame(source: Source) -> Any:
    """Return the features, named by their numbers, and the target as the last column."""
    read = svmlight_reader(source.name)
    with source.open() as file:
        try:
            x, y = read(file)
        except ValueError as error:
            raise InputError(
                f"{source.name} is no svmlight file: {error}; wanted lines of a target and "
                "feature:value"
            ) from None
    if x.shape[0] * x.shape[1] > _MOST_CELLS:
        raise InputError(
            f"{source.name}: got {x.shape[0]} rows of {x.shape[1]} features, too many for a table: "
            "train from Python with the sparse matrix of sklearn.datasets.load_svmlight_file"
        )
    frame = pandas().DataFrame(x.toarray(), columns=[str(i) for i in range(1, x.shape[1] + 1)])
    frame["target"] = y
    return frame


def rows_as_text(source: Source, kind: str) -> tuple[Source, list[str]]:
    """Return the cells of a workbook or an ARFF file as lines of separated text, and notes."""
    notes: list[str] = []
    rows = _sheet(source, notes) if kind == "xlsx" else _arff_rows(source)
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return Source.of_text(source.name, text.getvalue()), notes


def _sheet(source: Source, notes: list[str]) -> Iterator[list[Any]]:
    require_openpyxl(source.name)
    try:
        book = pandas().ExcelFile(source.whole(), engine="openpyxl")
    except Exception as error:  # of any library below: zipfile's, of XML, openpyxl's
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{source.name} is no whole workbook: {error}; save it again") from None
    with book:
        names = book.sheet_names
        for name in names:
            frame = pandas().read_excel(
                book, sheet_name=name, header=None, dtype=object, na_filter=False
            )
            if frame.size:
                break
        else:
            raise InputError(f"{source.name} is empty, wanted a sheet of cells")
        if len(names) > 1:
            others = ", ".join(repr(other) for other in names if other != name)
            notes.append(f"sheet {name!r} (others: {others})")
    yield from frame.itertuples(index=False, name=None)


def _arff_rows(source: Source) -> Iterator[list[str]]:
    """Iterate over the names of the attributes and the rows."""
    names: list[str] = []
    zeros: list[str] = []  # of what a sparse row does not name
    with source.open() as file:
        encoding = encoding_of(source.head(_HEAD), source.name)
        lines = io.TextIOWrapper(file, encoding, errors="replace")
        in_data = False
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("%"):
                continue
            if in_data:
                cells = _arff_cells(line, zeros)
                if len(cells) != len(names):
                    raise InputError(
                        f"{source.name}, line {number}: got {len(cells)} cells, wanted "
                        f"{len(names)}, one for each attribute: mend the line"
                    )
                yield cells
            elif found := _ATTRIBUTE.match(line):
                names.append(_arff_word(found[1]))
                levels = found[2].strip()
                nominal = levels.startswith("{")
                zeros.append(_arff_cells(levels[1:].rstrip("}"), [])[0] if nominal else "0")
            elif line.lower().startswith("@data"):
                in_data = True
                yield names
    if not in_data or not names:
        raise InputError(
            f"{source.name} is no ARFF file: got no @attribute or no @data, wanted both"
        )


def _arff_cells(line: str, zeros: list[str]) -> list[str]:
    if line.startswith("{") and zeros:
        cells = list(zeros)
        for cell in _arff_parts(line.strip("{} ")):
            index, _, value = cell.partition(" ")
            if index.isdecimal() and int(index) < len(cells):
                cells[int(index)] = _arff_word(value.strip())
        return cells
    return [_arff_word(cell) for cell in _arff_parts(line)]


def _arff_parts(line: str) -> list[str]:
    parts, end = [], -1
    for found in _ARFF_CELL.finditer(line):
        if found.end() == end == len(line):  # the empty match behind the last cell
            break
        parts.append(found[1])
        end = found.end()
    return parts


def _arff_word(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    return word
