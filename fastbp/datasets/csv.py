"""Reading of numbers and names from CSV files.

It finds the delimiter and the header and names the cell that is wrong. It is not a data frame:
cells are numbers, or the text of one column, and nothing is filled in for a missing value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np

from .. import _check
from ..errors import ConfigError, InputError, brief

_DELIMITERS = ",;\t"
_MISSING = frozenset({"", "?", "na", "n/a", "nan"})


class CsvFile:
    """A CSV file with its delimiter, header and column names found.

    The delimiter is the one of comma, semicolon and tab that gives the first line most cells.
    The first line is a header when it has text above a number of the second line.

    Parameters
    ----------
    path : str or os.PathLike
        A UTF-8 text file with the same number of cells in every line.
    column : str or int, optional
        A column that is known to be there; a first line with its name is a header.

    Raises
    ------
    InputError
        The file is empty or not text.
    """

    def __init__(self, path: str | PathLike[str], column: str | int | None = None) -> None:
        self.path = Path(_check.path(path))
        if isinstance(column, int) and abs(column) >= 2**31:
            raise ConfigError(f"target: got {brief(column)}, wanted the position of a column")
        try:
            self.delimiter = self._likely_delimiter()
            head = list(islice(self._lines(), 2))
            self._check_widths()
        except (UnicodeDecodeError, csv.Error) as exc:
            raise InputError(f"{self.path} is not a CSV text file in UTF-8: {exc}") from None
        (number, first), second = head[0], head[-1][1]
        named = str(column) in first and not _is_number(str(column))
        self.has_header = named or _is_header(first, second)
        self.columns = first if self.has_header else [str(i) for i in range(len(first))]
        self._first_row = number if self.has_header else 0

    def index(self, column: str | int) -> int:
        """Return the position of a column given by name, or by number (negative: from the end)."""
        if not isinstance(column, str | int) or isinstance(column, bool):
            raise ConfigError(
                f"target: got {brief(column)}, wanted the name or position of a column"
            )
        if str(column) in self.columns:
            return self.columns.index(str(column))
        try:
            position = int(column)
        except ValueError:
            position = len(self.columns)
        if not -len(self.columns) <= position < len(self.columns):
            names = ", ".join(self.columns[:12]) + (", ..." if len(self.columns) > 12 else "")
            raise ConfigError(f"{self.path}: got no column {brief(column)}, wanted one of: {names}")
        return position % len(self.columns)

    def numbers(self, indices: Sequence[int]) -> np.ndarray:
        """Return the named columns as a float32 array [rows, len(indices)]."""
        try:
            values = self._load(indices)
        except ValueError as exc:
            raise InputError(self._first_bad_cell(indices) or f"{self.path}: {exc}") from None
        if np.isnan(values).any():
            raise InputError(self._first_bad_cell(indices))
        return values

    def text(self, index: int) -> np.ndarray:
        """Return one column as an array of stripped strings [rows]; a missing cell is an error."""
        column = []
        for number, cells in self._data():
            column.append(cells[index])
            if cells[index].lower() in _MISSING:
                place = f"line {number}, column {self.columns[index]!r}"
                raise InputError(f"{self.path}, {place}: got nothing, wanted a value")
        return np.array(column)

    def _load(self, indices: Sequence[int]) -> np.ndarray:
        return np.loadtxt(
            self.path,
            dtype=np.float32,
            delimiter=self.delimiter,
            comments=None,
            quotechar='"',
            skiprows=self._first_row,
            usecols=list(indices),
            encoding="utf-8-sig",
            ndmin=2,
        )

    def _data(self) -> Iterator[tuple[int, list[str]]]:
        return islice(self._lines(), int(self.has_header), None)

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        with open(self.path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            for cells in reader:
                if cells:
                    yield reader.line_num, [cell.strip() for cell in cells]

    def _likely_delimiter(self) -> str:
        with open(self.path, encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
        return max(_DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))

    def _check_widths(self) -> None:
        wanted = 0
        for number, cells in self._lines():
            wanted = wanted or len(cells)
            if len(cells) != wanted:
                raise InputError(
                    f"{self.path}, line {number}: got {len(cells)} cells, wanted {wanted}"
                )
        if not wanted:
            raise InputError(f"{self.path} is empty, wanted lines of comma-separated values")

    def _first_bad_cell(self, indices: Sequence[int]) -> str | None:
        for number, cells in self._data():
            for i in indices:
                if not _is_number(cells[i]):
                    found = "nothing" if cells[i].lower() in _MISSING else repr(cells[i])
                    return (
                        f"{self.path}, line {number}, column {self.columns[i]!r}: got {found}, "
                        "wanted a number (encode names and fill gaps first)"
                    )
        return None


def _is_header(first: list[str], second: list[str]) -> bool:
    return any(
        _is_number(below) and not _is_number(above) and above.lower() not in _MISSING
        for above, below in zip(first, second, strict=False)
    )


def _is_number(cell: str) -> bool:
    try:
        return not np.isnan(float(cell))
    except ValueError:
        return False
