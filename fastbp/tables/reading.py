"""Text tables as columns of text: encoding and layout are found here, pyarrow reads."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import InputError
from .cells import MISSING
from .layout import BLANKS, Layout, look, records
from .libraries import pyarrow, text_dtype
from .source import Source

__all__ = ["TextOptions", "TextTable", "encoding_of", "read_text"]

# Bytes that an encoding, or that a file is text at all, is told by; of a block that is read.
_HEAD, _BLOCK = 1 << 16, 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# In the spellings that pandas and R write, and in both cases.
_NULLS = sorted({*MISSING, *(w.upper() for w in MISSING), "NaN", "Null", "Na", "N/a", "<Na>", "nA"})
# Old control characters that no text has: all but tab, line and page ends, and DOS's end of file.
_CONTROLS = bytes({*range(1, 9), *range(14, 26), *range(27, 32)})


@dataclass(frozen=True)
class TextOptions:
    """What is known of a text table; None is found."""

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    missing: tuple[str, ...] = ()
    comment: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class TextTable:
    """A text table that was read.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns of text, whose names are those of the layout.
    layout : Layout
    encoding : str
    notes : tuple of str
    """

    frame: Any
    layout: Layout
    encoding: str
    notes: tuple[str, ...]
    source: Source

    def line(self, row: int) -> int:
        """Return the number of the line, from 1, with which a row ends."""
        with _opened(self.source, self.encoding) as lines:
            return next(islice(_rows(lines, self.layout), row, None))[0]


def read_text(source: Source, options: TextOptions) -> TextTable:
    """Return the cells of a text table."""
    encoding = options.encoding or encoding_of(source.head(_HEAD), source.name)
    try:
        return _read(source, options, encoding)
    except UnicodeDecodeError as error:
        if options.encoding is not None:
            raise InputError(
                f"{source.name} is not text in {options.encoding}: {error}; wanted its encoding"
            ) from None
    # What is no UTF-8 below the first lines.
    try:
        return _read(source, options, "cp1252")
    except UnicodeDecodeError:
        return _read(source, options, "latin-1")


def encoding_of(head: bytes, name: str) -> str:
    """Return the encoding of a text by its first bytes."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    zeros = head.count(0)
    if zeros:
        if zeros > len(head) / 4:
            for encoding, start in (("utf-16-le", 1), ("utf-16-be", 0)):
                if head[start::2].count(0) == zeros:
                    return encoding
        raise _binary(name, head, "zero bytes")
    if len(head) - len(head.translate(None, _CONTROLS)) > 2:
        raise _binary(name, head, "control characters")
    for encoding in ("utf-8", "cp1252"):
        try:
            codecs.getincrementaldecoder(encoding)().decode(head)
            return encoding
        except UnicodeDecodeError:
            pass
    return "latin-1"


def _binary(name: str, head: bytes, what: str) -> InputError:
    return InputError(
        f"{name} is not a table of text: got {what} (the first bytes are {head[:8].hex(' ')}), "
        "wanted lines of separated cells, or a file of another format that fastbp reads"
    )


def _read(source: Source, options: TextOptions, encoding: str) -> TextTable:
    with _opened(source, encoding) as lines:
        layout = look(
            source.name,
            iter(lines),
            suffix=source.suffix,
            separator=options.separator,
            decimal=options.decimal,
            header=options.header,
            comment=options.comment,
            column=options.column,
        )
    notes = []
    if encoding != "utf-8":
        notes.append(f"encoding {encoding.removesuffix('-sig')}")
    n_cells = len(layout.names) + layout.trailing
    table = _cells(source, layout, encoding, n_cells)
    if layout.trailing:
        table = _without_last(table, source.name)
    frame = _frame(table, options.missing)
    n_rows = len(frame)
    frame = _without_empty_end(frame)
    if len(frame) < n_rows:
        notes.append(f"{n_rows - len(frame)} empty rows at the end: left out")
    return TextTable(frame, layout, encoding, (*notes, *layout.notes), source)


def _opened(source: Source, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(source.open(), encoding, newline="")


def _cells(source: Source, layout: Layout, encoding: str, n_cells: int) -> Any:
    """Return the rows as a table of pyarrow, all cells text."""
    arrow = pyarrow()
    names = [str(i) for i in range(n_cells)]
    with _opened(source, encoding) as lines:
        plain = layout.dialect.is_plain
        blocks = (
            _plain_blocks(lines, layout)
            if plain
            else _rewritten(source.name, lines, layout, n_cells)
        )
        stream = _Stream(source.name, blocks)
        try:
            table = arrow.csv.read_csv(
                stream,
                read_options=arrow.csv.ReadOptions(column_names=names, block_size=4 * _BLOCK),
                parse_options=arrow.csv.ParseOptions(
                    delimiter=layout.dialect.separator if plain else ",",
                    newlines_in_values=True,
                    invalid_row_handler=_blank_lines_apart,
                ),
                convert_options=arrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, arrow.string()),
                    strings_can_be_null=True,
                    null_values=_NULLS,
                ),
            )
        except arrow.ArrowInvalid as error:
            _reject_uneven(source, layout, encoding, n_cells)
            raise InputError(f"{source.name} is no table of text: {error}") from None
    if stream.quotes % 2 and any("\n" in str(column[-1]) for column in table.columns):
        _reject_open_quote(source, layout, encoding)
    return table


def _blank_lines_apart(row: Any) -> str:
    return "error" if row.text.strip() else "skip"


def _plain_blocks(lines: io.TextIOWrapper, layout: Layout) -> Iterator[str]:
    for _ in range(layout.skip):
        lines.readline()
    while block := lines.read(_BLOCK):
        yield block


def _rewritten(name: str, lines: Iterable[str], layout: Layout, n_cells: int) -> Iterator[str]:
    """Iterate over blocks of the rows with commas, for what one separator does not tell."""
    rows = _rows(lines, layout)
    try:
        while some := list(islice(rows, 5000)):
            for number, cells in some:
                if len(cells) != n_cells:
                    raise _uneven(name, number, cells, n_cells, layout)
            text = io.StringIO(newline="")
            csv.writer(text).writerows(cells for _, cells in some)
            yield text.getvalue()
    except csv.Error as error:
        raise InputError(f"{name} is no table of text: {error}") from None


def _rows(lines: Iterable[str], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Iterate over the rows with the numbers of their lines."""
    below = islice(lines, layout.skip, None)
    return records(below, layout.dialect, layout.skip)


def _reject_uneven(source: Source, layout: Layout, encoding: str, n_cells: int) -> None:
    """Raise the error of the first row with more or fewer cells than the others."""
    with _opened(source, encoding) as lines:
        try:
            for number, cells in _rows(lines, layout):
                if len(cells) != n_cells:
                    raise _uneven(source.name, number, cells, n_cells, layout)
        except csv.Error as error:
            raise InputError(f"{source.name} is no table of text: {error}") from None


def _reject_open_quote(source: Source, layout: Layout, encoding: str) -> None:
    """Raise the error of the last row, which goes on from an open quote to the end of the file."""
    with _opened(source, encoding) as lines:
        before, last = layout.skip, layout.skip
        for number, _ in _rows(lines, layout):
            before, last = last, number
    raise InputError(
        f"{source.name}, line {before + 1}: got a quote that is never closed, wanted a second one "
        f"behind the cell: the cell goes on to line {last}"
    )


def _uneven(name: str, number: int, cells: list[str], n_cells: int, layout: Layout) -> InputError:
    mark = layout.dialect.separator
    shown = "blanks" if mark == BLANKS else repr(mark)
    advice = "mend the line, or say how the file is laid out (separator, header, comment)"
    if number - layout.skip > 50 and any("\n" in cell for cell in cells):
        advice = "a quote before it may not be closed"
    return InputError(
        f"{name}, line {number}: got {len(cells)} cells, wanted {n_cells} as in the other lines "
        f"(separator {shown}): {advice}"
    )


class _Stream(io.RawIOBase):
    """Blocks of text as the UTF-8 bytes that pyarrow reads."""

    def __init__(self, name: str, blocks: Iterator[str]) -> None:
        super().__init__()
        self._name, self._blocks, self._rest = name, blocks, b""
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        """Return up to `n` bytes."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = block.encode("utf-8", "surrogatepass")
            self.quotes += self._rest.count(b'"')
            if 0 in self._rest:
                raise _binary(self._name, self._rest[self._rest.index(0) :], "zero bytes")
        found = self._rest if n < 0 else self._rest[:n]
        self._rest = self._rest[len(found) :]
        return found


def _without_last(table: Any, name: str) -> Any:
    last = table.column(table.num_columns - 1)
    if last.null_count < len(last):
        value = next(cell for cell in last.to_pylist() if cell is not None)
        raise InputError(
            f"{name}: got {value!r} in a column without a name, behind the separator that ends the "
            "other lines, wanted a name for it in the header"
        )
    return table.remove_column(table.num_columns - 1)


def _frame(table: Any, missing: tuple[str, ...]) -> Any:
    """Return a frame of cells without blanks around them, and without those that are missing."""
    arrow = pyarrow()
    compute, words = arrow.compute, arrow.array(sorted({*_NULLS, *missing}), arrow.string())
    columns = {}
    for i, column in enumerate(table.columns):
        trimmed = any(
            compute.any(compute.match_substring(column, blank)).as_py() for blank in " \t\n"
        )
        if trimmed:
            column = compute.utf8_trim_whitespace(column)
        if trimmed or missing:
            column = compute.if_else(compute.is_in(column, words), None, column)
        columns[str(i)] = column
    dtype = text_dtype()
    return arrow.table(columns).to_pandas(
        types_mapper=lambda kind: dtype if kind == arrow.string() else None
    )


def _without_empty_end(frame: Any) -> Any:
    """Return a frame without rows of nothing at its end, as spreadsheet programs write them."""
    end = len(frame)
    while end and frame.iloc[end - 1].isna().all():
        end -= 1
    return frame.iloc[:end] if end < len(frame) else frame
