"""A table as it was read: its cells, and what was found out about the file."""

from __future__ import annotations

import codecs
import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..errors import ConfigError, DTypeError, InputError, brief
from .formats import kind_of, rows_as_text, typed_frame
from .libraries import pandas
from .reading import TextOptions, TextTable, read_text
from .source import Source

__all__ = ["Table"]


class Table:
    """Rows of named columns, of a file or of a data frame.

    Parameters
    ----------
    frame : pandas.DataFrame, dict, or a frame of polars or pyarrow
        A column for each name.
    name : str, optional
        What the table is called in messages.

    Attributes
    ----------
    frame : pandas.DataFrame
        Its columns have different names, its rows are numbered. In a table from a text file each
        column is text as it is written there, without blanks around it, and a missing cell is NaN.
        Tables of other files have the types of these.
    name : str
        The path of the file as it was given.
    notes : tuple of str
        What was found out about the file, a sentence each.
    options : dict
        With which `read` reads another file of the same kind in the same way.
    decimal : {".", ","}
        The decimal mark of a text file.
    has_header : bool
        Whether the file names its columns.
    """

    def __init__(self, frame: Any, name: str = "table") -> None:
        given = _check.text(name)
        if given is None:
            raise ConfigError(f"name: got {brief(name)}, wanted a string")
        self.name = given
        self.notes: tuple[str, ...] = ()
        self.options: dict[str, Any] = {}
        self.decimal = "."
        self.has_header = True
        self._text: TextTable | None = None
        self._rows: Any = None
        self.frame, notes = _with_plain_names(_as_pandas(frame))
        self.notes = tuple(notes)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        separator: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        missing: Sequence[str] = (),
        comment: str | None = None,
        column: str | None = None,
    ) -> Table:
        """Read a table from a file.

        The format is told by what the file holds, and its suffix: separated text (.csv, .tsv, .tab,
        .txt, .data), Parquet, Feather, JSON lines, workbooks (.xlsx), ARFF and svmlight; text also
        packed as .gz, .bz2, .xz, .zst or .zip.

        Parameters
        ----------
        path : str or os.PathLike
            A file or a pipe; "-" is standard input.
        separator : str, optional
            Between the cells of a line: one character, " " for runs of blanks. Default: found.
        decimal : {".", ","}, optional
            The decimal mark. Default: found.
        encoding : str, optional
            Of a text file. Default: UTF-8 or UTF-16 where it is that, else cp1252.
        header : bool, optional
            Whether the first line names the columns. Default: found.
        missing : sequence of str, optional
            Cells that stand for nothing, besides those of `fastbp.tables.cells.is_missing`.
        comment : str, optional
            What a line begins with that is left out; "" for none. Default: "#" or "%", if the file
            begins with such a line.
        column : str, optional
            A name that the header is known to have, such as that of the target.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            The file is no table, or is damaged; lines differ in their number of cells.
        ConfigError
            An option is none.
        MissingDependencyError
            A library that reads the format is not installed.
        OSError
            There is no such file, or it cannot be read.
        """
        options = TextOptions(
            _mark(separator, "separator", "one character"),
            None if decimal is None else _check.choice(decimal, (".", ","), "decimal"),
            _encoding(encoding),
            None if header is None else _check.flag(header, "header"),
            _strings(missing, "missing"),
            _mark(comment, "comment", "the beginning of a line", longest=None),
            _mark(column, "column", "the name of a column", longest=None),
        )
        pandas()  # before a pipe is read
        source = Source(path)
        kind = kind_of(source)
        if kind not in ("text", "xlsx", "arff"):
            frame = typed_frame(source, kind)
            if not frame.size:
                raise InputError(f"{source.name}: got no rows of cells, wanted one or more")
            return cls(frame, source.name)
        notes: list[str] = []
        if kind != "text":
            source, notes = rows_as_text(source, kind)
            options = replace(options, separator=",", encoding="utf-8", comment="")
        if kind == "arff":
            options = replace(options, header=True)
        return cls._of_text(source, options, notes, separated=kind == "text")

    @classmethod
    def _of_text(
        cls, source: Source, options: TextOptions, notes: Sequence[str], separated: bool
    ) -> Table:
        found = read_text(source, options)
        layout = found.layout
        table = cls(found.frame.set_axis(list(layout.names), axis=1), source.name)
        table.notes = (*notes, *found.notes, *table.notes)
        table.decimal, table.has_header = layout.decimal, layout.has_header
        table._text = found
        table.options = {"decimal": layout.decimal, "header": layout.has_header}
        if options.missing:
            table.options["missing"] = options.missing
        if separated:
            table.options["separator"] = layout.dialect.separator
            if options.encoding is not None:
                table.options["encoding"] = options.encoding
            if options.comment is not None:
                table.options["comment"] = options.comment
        return table

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.frame.columns)

    def take(self, rows: ArrayLike | slice) -> Table:
        """Return a table of some rows.

        Parameters
        ----------
        rows : array_like or slice
            Their numbers, or a bool for each row.

        Raises
        ------
        ConfigError
            There is no such row.
        """
        chosen = rows if isinstance(rows, slice) else _chosen(rows, len(self))
        table = copy.copy(self)
        table.frame = self.frame.iloc[chosen].reset_index(drop=True)
        before = np.arange(len(self)) if self._rows is None else self._rows
        table._rows = before[chosen]
        return table

    def place(self, row: int) -> str:
        """Return where a row stands in the file, for a message.

        Parameters
        ----------
        row : int
            Its number, from 0.

        Returns
        -------
        str
            Such as "data.csv, line 3"; for what is no text "data.parquet, row 1", from 0.
        """
        row = _check.whole(row, "row")
        if row >= len(self):
            raise ConfigError(f"row: got {row}, wanted one of {len(self)} rows, counted from 0")
        if self._rows is not None:
            row = int(self._rows[row])
        if self._text is None:
            return f"{self.name}, row {row}"
        return f"{self.name}, line {self._text.line(row)}"

    def __repr__(self) -> str:
        """Return the name and the size."""
        return f"<Table {self.name}: {len(self)} rows, {len(self.columns)} columns>"


def _chosen(rows: ArrayLike, n_rows: int) -> NDArray[Any]:
    try:
        chosen = np.asarray(rows)
    except ValueError:
        raise ConfigError(f"rows: got {brief(rows)}, wanted numbers of rows") from None
    if not chosen.size and chosen.ndim == 1:
        return chosen.astype(np.int64)
    fits = chosen.shape == (n_rows,) if chosen.dtype.kind == "b" else chosen.dtype.kind in "iu"
    if chosen.ndim != 1 or not fits:
        raise ConfigError(
            f"rows: got {brief(rows)}, wanted numbers of rows, or a bool for each of {n_rows}"
        )
    if chosen.dtype.kind != "b" and (chosen.min() < -n_rows or chosen.max() >= n_rows):
        raise ConfigError(f"rows: got a number beyond the {n_rows} rows of the table")
    return chosen


def _encoding(value: Any) -> str | None:
    found = _mark(value, "encoding", "the name of an encoding", longest=None)
    if found is not None:
        try:
            codecs.lookup(found)
        except (LookupError, UnicodeError, ValueError):
            raise ConfigError(
                f"encoding: got {brief(found)}, wanted one that Python knows, such as cp1252"
            ) from None
    return found


def _mark(value: Any, name: str, wanted: str, longest: int | None = 1) -> str | None:
    if value is None:
        return None
    found = _check.text(value)
    if found is None or (longest is not None and len(found) != longest):
        raise ConfigError(f"{name}: got {brief(value)}, wanted {wanted}")
    return found


def _strings(values: Any, name: str) -> tuple[str, ...]:
    whole = _check.text(values)
    listed = [whole] if whole is not None else values
    if isinstance(listed, list | tuple | set | frozenset):
        found = [_check.text(value) for value in listed]
        words = [word for word in found if word is not None]
        if len(words) == len(found):
            return tuple(words)
    raise ConfigError(f"{name}: got {brief(values)}, wanted a list of strings")


def _as_pandas(frame: Any) -> Any:
    """Return a frame of pandas of any frame, or of a dict of columns."""
    library = pandas()
    if isinstance(frame, library.DataFrame):
        return frame
    if isinstance(frame, Mapping):
        try:
            return library.DataFrame(dict(frame))
        except ValueError as error:
            raise InputError(f"frame: got columns that are no table: {error}") from None
    if hasattr(type(frame), "to_pandas"):
        return frame.to_pandas()
    raise DTypeError(
        f"frame: got a {type(frame).__name__}, wanted a frame of pandas, polars or pyarrow, or a "
        "dict of columns"
    )


def _with_plain_names(frame: Any) -> tuple[Any, list[str]]:
    """Return a frame whose columns have different names, and what was done."""
    names: list[str] = []
    notes: list[str] = []
    given = [" ".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in frame.columns]
    for i, name in enumerate(given):
        if not name.strip():
            name = f"Unnamed: {i}"
        if name in names:
            new = next(
                f"{name}.{k}"
                for k in range(2, len(given) + 2)
                if f"{name}.{k}" not in {*given, *names}
            )
            notes.append(f"duplicate column name {name!r}: one more is {new!r}")
            name = new
        names.append(name)
    return frame.set_axis(names, axis=1).reset_index(drop=True), notes
