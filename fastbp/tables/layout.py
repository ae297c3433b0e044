"""How a text table is laid out, found by looking at its first lines as a person would."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..errors import InputError
from .cells import MISSING, NO_NUMBER, is_number
from .dates import is_date

__all__ = ["BLANKS", "Dialect", "Layout", "Record", "look", "records"]

# The separator that stands for a run of blanks.
BLANKS = " "
_SEPARATORS = ("\t", ";", "|", ",")
_NAMES = {"\t": "tab", BLANKS: "blanks"}
_COMMENTS = "#%"
# Of a sample: so many lines, or fewer where they are long.
_LINES, _FEWEST, _CHARACTERS = 500, 20, 1 << 20
# The share of the lines that must have the same number of cells for a separator to be one.
_AGREEING = 0.9
# Of these, so many rows and columns are looked at cell by cell.
_TRIED_ROWS, _TRIED_COLUMNS, _VOTING_ROWS = 60, 300, 200
# Of the cells whose decimal marks are compared, about so many.
_DECIMAL_CELLS = 40_000
# What a vote for or against a header counts that a column of numbers or dates casts.
_SURE = 3.0
_UNIT = re.compile(
    r"\[[^]]*\]|\([^)]*\)|%|[°º]?[CFK]|[$€£¥]|(?:US)?D|ppm|ppb|psi|rpm|mph|knots|deg(?:rees)?|"
    r"count|units?|pH|years?|yrs?|months?|weeks?|days?|hours?|hrs?|minutes?|seconds?|secs?|"
    r"(?:[µμnmckhMGTd]?(?:m|g|s|l|L|A|V|W|Wh|N|J|Hz|Pa|bar|mol|rad|B|eV|cal|h|t|Ω|lm|lx)|"
    r"min|lbs?|oz|ft|in|mi|yd|kts?)(?:\^?-?[0-9²³])?"
    r"(?:[/*·. ](?:[µμnmckhMGTd]?(?:m|g|s|l|L|A|V|W|Wh|N|J|Hz|Pa|mol|h|t|ha|d)|"
    r"min|lbs?|ft|yr|year|day)(?:\^?-?[0-9²³])?)*"
)
_PLAIN_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_QUOTED_NUMBER = re.compile(f'"{_PLAIN_NUMBER.pattern}"')
_QUOTED_NAMES = re.compile(r'\s*(?:"[^"]*" +)+"[^"]*"\s*')
_BLANK_RUN = re.compile(r'"(?:[^"]|"")*"(?!\S)|\S+')

Record = tuple[int, list[str]]
"""The number of its last line, from 1, and its cells."""


@dataclass(frozen=True)
class Dialect:
    """How lines become cells.

    Attributes
    ----------
    separator : str
        One character; a blank for runs of blanks and tabs.
    comment : str
        Lines that begin with it are left out; "" for none.
    loose : bool
        Blanks may stand before a quoted cell.
    """

    separator: str
    comment: str = ""
    loose: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether a reader that knows one separator and quotes can read it."""
        return self.separator != BLANKS and not self.comment and not self.loose


@dataclass(frozen=True)
class Layout:
    """What is where in a text table.

    Attributes
    ----------
    dialect : Dialect
    names : tuple of str
        Of the columns as they are written; "" where there is none. Of a table without a header
        their positions.
    has_header : bool
    skip : int
        The number of lines before the first row.
    decimal : str
    trailing : bool
        Each row ends with a separator, so that a row has one cell more than there are columns.
    notes : tuple of str
    """

    dialect: Dialect
    names: tuple[str, ...]
    has_header: bool
    skip: int
    decimal: str
    trailing: bool
    notes: tuple[str, ...]


def records(lines: Iterable[str], dialect: Dialect, first: int = 0) -> Iterator[Record]:
    """Iterate over the records of lines, without empty ones and comments.

    `first` lines stand before these.
    """
    if dialect.comment or dialect.separator == BLANKS:
        lines = _without_comments(lines, dialect.comment)
    if dialect.separator == BLANKS:
        for number, line in enumerate(lines, first + 1):
            cells = [_unquoted(cell) for cell in _BLANK_RUN.findall(line)]
            if cells:
                yield number, cells
        return
    reader = csv.reader(lines, delimiter=dialect.separator, skipinitialspace=dialect.loose)
    for cells in reader:
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield first + reader.line_num, cells


def _without_comments(lines: Iterable[str], mark: str) -> Iterator[str]:
    """Iterate over lines, those of comments empty; a line inside of quotes is none."""
    inside = False
    for line in lines:
        if not inside and mark and line.lstrip().startswith(mark):
            yield "\n"
            continue
        inside ^= line.count('"') % 2 == 1
        yield line


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell


def sample_of(lines: Iterator[str]) -> tuple[list[str], bool]:
    """Return the first lines, and whether they are all."""
    found: list[str] = []
    length = 0
    for line in lines:
        if len(found) == _LINES or (len(found) >= _FEWEST and length > _CHARACTERS):
            return found, False
        found.append(line)
        length += len(line)
    return found, True


def look(
    name: str,
    lines: Iterator[str],
    *,
    suffix: str = "",
    separator: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    comment: str | None = None,
    column: str | None = None,
) -> Layout:
    """Return the layout of a table.

    Parameters
    ----------
    name : str
        Of the file in errors.
    lines : iterator of str
        With their ends.
    suffix : str
        Of the file.
    separator, decimal, header, comment : optional
        What is known of it.
    column : str, optional
        A name that is known to be in the header.
    """
    sample, whole = sample_of(lines)
    if not any(line.strip() for line in sample):
        raise InputError(f"{name} is empty, wanted lines of separated cells")
    return _Look(name, sample, whole, comment, column).layout(suffix, separator, decimal, header)


class _Look:
    """A look at the first lines of one file."""

    def __init__(
        self, name: str, sample: list[str], whole: bool, comment: str | None, column: str | None
    ) -> None:
        self.name, self.sample, self.whole, self.column = name, sample, whole, column
        self.comment = self._comment() if comment is None else comment
        self.notes: list[str] = []

    def layout(
        self, suffix: str, separator: str | None, decimal: str | None, header: bool | None
    ) -> Layout:
        dialect, found = self._dialect(suffix, separator)
        if dialect.separator != ",":
            named = _NAMES.get(dialect.separator, repr(dialect.separator))
            self.notes.append(f"separator {named}")
        width = _width(found)
        skip, rows = self._without_title(found, width)
        names, skip, rows, dialect = self._header(rows, skip, width, dialect, header)
        if not rows:
            raise InputError(
                f"{self.name}: got a header and no rows, wanted rows of cells below it "
                "(header=False, if it is a row)"
            )
        if dialect.comment:
            self.notes.append(f"lines that begin with {dialect.comment!r} are comments")
        if names is not None and _are_units(rows[0][1], [cells for _, cells in rows[1:]]):
            skip = rows[0][0]
            shown = ", ".join(cell.strip() for cell in rows[0][1] if cell.strip())
            self.notes.append(f"line {skip} names units ({shown}): left out")
            rows = rows[1:]
        bodies = [cells for _, cells in rows if len(cells) == width]
        trailing = width > 1 and all(not cells[-1].strip() for cells in bodies)
        if names is None:
            trailing = trailing and len(bodies) > 1
            columns = [str(i) for i in range(width - trailing)]
        else:
            columns, trailing = self._columns(names, skip, width, trailing)
        mark = _decimal_of(bodies, dialect.separator) if decimal is None else decimal
        if mark != ".":
            self.notes.append(f"decimal mark {mark!r}")
        has_header = names is not None
        return Layout(dialect, tuple(columns), has_header, skip, mark, trailing, tuple(self.notes))

    def _comment(self) -> str:
        """Return the first character of the first line, if that is a comment's."""
        lines = [line.lstrip() for line in self.sample if line.strip()]
        first = lines[0][0]
        if first in _COMMENTS and any(line[0] != first for line in lines):
            return first
        return ""

    def _dialect(self, suffix: str, separator: str | None) -> tuple[Dialect, list[Record]]:
        """Return the dialect that makes the most sense of the lines, and their records."""
        marks = (*_SEPARATORS, BLANKS) if separator is None else (separator,)
        tried = [(mark, self._records(Dialect(mark, self.comment))) for mark in marks]
        quoted = any(map(_QUOTED_NAMES.fullmatch, self.sample[:_TRIED_ROWS]))
        mark, found = max(tried, key=lambda pair: _sense(pair[1], pair[0], suffix, quoted))
        if separator is None and _width(found) == 1:
            mark, found = next(pair for pair in tried if pair[0] == ",")
        # A blank before a quote would make the quote a part of the cell.
        if mark != BLANKS and any(re.search(rf'{re.escape(mark)} +"', s) for s in self.sample):
            dialect = Dialect(mark, self.comment, loose=True)
            return dialect, self._records(dialect)
        return Dialect(mark, self.comment), found

    def _records(self, dialect: Dialect) -> list[Record]:
        try:
            found = list(records(self.sample, dialect))
        except csv.Error as error:
            raise InputError(f"{self.name} is no table of text: {error}") from None
        # The last one may go on below the sample.
        return found if self.whole or len(found) < 2 else found[:-1]

    def _without_title(self, found: list[Record], width: int) -> tuple[int, list[Record]]:
        """Return the number of lines above the table, and its records."""
        start = 0
        for (line, cells), (below, _) in pairwise(found):
            apart = len(cells) < width and below > line + 1  # by an empty line
            rest = any(cell.strip() for cell in cells[1:])
            if len(cells) >= width - 1 and (rest or width < 3) and not apart:
                break
            if sum(bool(cell.strip()) for cell in cells) > max(1, width // 3) and not apart:
                break
            start += 1
        if not start or (start and len(found[start][1]) < width - 1):
            return 0, found
        last = found[start - 1][0]
        lines = "line 1 is" if last == 1 else f"lines 1 to {last} are"
        self.notes.append(f"{lines} above the table: left out")
        return last, found[start:]

    def _header(
        self, rows: list[Record], skip: int, width: int, dialect: Dialect, header: bool | None
    ) -> tuple[list[str] | None, int, list[Record], Dialect]:
        """Return the header's cells, if there is one, and what is below it."""
        first = _without_apostrophes([cell.strip() for cell in rows[0][1]])
        hidden = self._header_in_comment(rows, dialect) if header is not False else None
        known = self.column is not None and self.column in first and not is_number(self.column)
        if hidden is not None and not known and _looks_like_header(rows) < _SURE:
            self.notes.append(f"line {hidden[0]}, a comment, is the header")
            if sum(line.lstrip().startswith(self.comment) for line in self.sample) == 1:
                dialect, skip = Dialect(dialect.separator, "", dialect.loose), hidden[0]
            return hidden[1], skip, rows, dialect
        if header is None:
            header = known or self._quotes_names(rows)
            if len(first) == width - 1:
                # One of numbers is a row that lacks a cell, but for names in quotes.
                line = self.sample[rows[0][0] - 1]
                header = header or '"' in line or not all(map(is_number, first))
            else:
                header = header or _looks_like_header(rows) >= 0
        if not header:
            return None, skip, rows, dialect
        return first, rows[0][0], rows[1:], dialect

    def _quotes_names(self, rows: list[Record]) -> bool:
        """Return whether numbers have quotes in the first line alone, as R writes them."""
        lines = (self.sample[number - 1] for number, _ in rows[:2])
        quoted = [len(_QUOTED_NUMBER.findall(line)) for line in lines]
        first = [cell for cell in rows[0][1] if is_number(cell)]
        return len(quoted) > 1 and quoted[0] > quoted[1] + 1 and quoted[0] == len(first)

    def _header_in_comment(self, rows: list[Record], dialect: Dialect) -> Record | None:
        """Return the last comment above the rows, if it has a cell for each column."""
        if not self.comment:
            return None
        width = len(rows[0][1])
        for number in range(rows[0][0] - 1, 0, -1):
            line = self.sample[number - 1].strip()
            if line.startswith(self.comment):
                plain = Dialect(dialect.separator, "", dialect.loose)
                cells = next(records([line.lstrip(self.comment)], plain), (0, [""]))[1]
                names = [cell.strip() for cell in cells]
                names[0] = names[0] or self.comment
                return (number, names) if width > 1 and len(names) == width else None
        return None

    def _columns(
        self, names: list[str], line: int, width: int, trailing: bool
    ) -> tuple[list[str], bool]:
        """Return a name for each column, and whether the rows end with a separator."""
        if len(names) == width and trailing and not names[-1]:
            return names[:-1], True
        if len(names) == width:
            return names, False
        if len(names) == width - 1 and trailing:
            return names, True
        if len(names) == width - 1:
            self.notes.append(
                "the header has one name fewer than there are columns: the first has none"
            )
            return ["", *names], False
        if len(names) == width + 1 and not names[-1]:
            return names[:-1], False
        raise InputError(
            f"{self.name}, line {line}: got a header of {len(names)} cells above rows of {width}, "
            "wanted as many: mend the line, or name the separator"
        )


def _without_apostrophes(names: list[str]) -> list[str]:
    """Return names without the apostrophes that all of them may stand in."""
    if all(len(name) > 2 and name[0] == name[-1] == "'" for name in names):
        return [name[1:-1] for name in names]
    return names


def _width(found: list[Record]) -> int:
    """Return how many cells most lines have; the first one may be a header."""
    body = found[1:] or found
    return Counter(len(cells) for _, cells in body).most_common(1)[0][0]


def _sense(found: list[Record], separator: str, suffix: str, quoted: bool) -> tuple[int, float]:
    """Return how much sense a separator makes; `quoted` if blanks part quoted cells."""
    if not found:
        return 0, 0.0
    width = _width(found)
    start = next(i for i, (_, cells) in enumerate(found) if len(cells) == width)
    body = [cells for _, cells in found[start:]]
    body = body[1:] or body  # without a header
    share = sum(len(cells) == width for cells in body) / len(body)
    if width == 1:
        return 1, 0.0
    cells = [cell.strip() for row in body[:_TRIED_ROWS] for cell in row[:_TRIED_COLUMNS]]
    values = [_is_value(cell, separator) for cell in cells]
    typed = sum(values) / len(values)
    others = [mark for mark in _SEPARATORS if mark != separator]
    clean = [v or not any(m in c for m in others) for v, c in zip(values, cells, strict=True)]
    sense = typed + sum(clean) / len(clean) + (0.25 if len(found[0][1]) == width else 0.0)
    if separator == BLANKS:
        # The words of a column of text may be as many in each line.
        least = 0.3 if width > 2 else 0.4
        if suffix in (".csv", ".tsv"):
            least += 0.1
        if width > 2 and share == 1.0 and len(body) >= _FEWEST // 2:
            least = 0.0  # no text has as many words in each line
        # As in '1, 2', and where quotes end before a separator, '"1","no"'.
        ends = sum(cell[-1:] in _SEPARATORS or cell[:1] in _SEPARATORS for cell in cells)
        if ends > len(cells) / 10 or _all_dates(body):
            return 0, 0.0
        if share < _AGREEING and typed > _AGREEING:
            return (1, share) if share >= 0.5 else (0, share)
        if share < _AGREEING or (typed < least and not quoted):
            return 0, 0.0
        return 2, sense + (0.5 if quoted else -0.25)
    if share < _AGREEING:
        return (1, share) if share >= 0.5 else (0, share)
    return 2, sense


def _all_dates(body: list[list[str]]) -> bool:
    return all(is_date(" ".join(cells)) for cells in body[:_TRIED_ROWS])


def _is_value(cell: str, separator: str) -> bool:
    """Return whether a cell is a number or a date, or nothing."""
    if cell.lower() in MISSING or is_number(cell) or is_date(cell):
        return True
    return separator != "," and is_number(cell, ",")


def _looks_like_header(rows: list[Record]) -> float:
    """Return how much the first line looks like names of columns; below 0 it is a row."""
    first = [cell.strip() for cell in rows[0][1]]
    body = [cells for _, cells in rows[1:] if len(cells) == len(first)]
    if not body:
        return -1.0 if all(map(is_number, first)) or any(map(is_date, first)) else 0.0
    numbers = [cell for cell in first if is_number(cell)]
    votes = [
        _vote(cell, [row[i].strip() for row in body[:_VOTING_ROWS]])
        for i, cell in enumerate(first[:_TRIED_COLUMNS])
    ]
    texts = [vote for cell, vote in zip(first, votes, strict=False) if not is_number(cell)]
    if numbers and all(vote >= 0 for vote in texts):
        # Names of rows may have no name themselves.
        corner = not first[0] and all(row[0].strip() for row in body)
        rises = _rises(first) and not any(_rises(row) for row in body[:3])
        if (rises and (corner or _SURE in texts)) or _is_run(numbers, body):
            return _SURE
    return sum(votes)


def _vote(cell: str, below: list[str]) -> float:
    """Return how much a cell looks like the name of the cells below it."""
    there = [value for value in below if not _is_nothing(value)]
    if _is_nothing(cell) or not there:
        return 0.0
    for is_kind in (_is_any_number, is_date):
        if sum(map(is_kind, there)) >= _AGREEING * len(there):
            return -_SURE if is_kind(cell) else _SURE
    if cell in there:
        return -_SURE
    levels = set(there)
    if len(levels) <= len(there) / 2:
        return 1.5
    shapes = {_shape(value) for value in levels}
    return 1.0 if len(shapes) <= len(levels) / 4 and _shape(cell) not in shapes else 0.0


def _is_nothing(cell: str) -> bool:
    """Return whether a cell stands for nothing, or for no finite number, among numbers."""
    return cell.lower() in MISSING or NO_NUMBER.fullmatch(cell) is not None


def _is_any_number(cell: str) -> bool:
    return is_number(cell) or is_number(cell, ",")


def _shape(cell: str) -> str:
    """Return a cell with one letter for all letters, and one digit for all digits."""
    return re.sub(r"[^\W\d_]+", "a", re.sub("[0-9]+", "0", cell))


def _rises(row: list[str]) -> bool:
    """Return whether each number of a row is above the one before."""
    values = [float(cell) for cell in row if _PLAIN_NUMBER.fullmatch(cell.strip())]
    return len(values) > 2 and all(a < b for a, b in pairwise(values))


def _is_run(numbers: list[str], body: list[list[str]]) -> bool:
    """Return whether numbers are years, or count the columns, above numbers that do not."""
    if not all(cell.isdecimal() for cell in numbers):
        return False
    values = [int(cell) for cell in numbers]
    steps = {b - a for a, b in pairwise(values)}
    if len(values) < 2 or len(steps) != 1 or not steps <= {-1, 1, 2, 4, 5, 10}:
        return False
    cells = [cell.strip() for row in body for cell in row]
    if 1000 < values[0] < 2200:
        return not any(cell.isdecimal() and 1000 < int(cell) < 2200 for cell in cells)
    fractions = sum(is_number(cell) and not cell.lstrip("+-").isdecimal() for cell in cells)
    return values[0] in (0, 1) and len(values) > 2 and fractions > len(cells) / 2


def _are_units(row: list[str], below: list[list[str]]) -> bool:
    """Return whether a row below the header names the units of numbers."""
    below = [cells for cells in below if len(cells) == len(row)]
    if len(below) < 2:
        return False
    above_numbers = []
    for i, cell in enumerate(map(str.strip, row)):
        there = [c for c in (cells[i].strip() for cells in below) if c.lower() not in MISSING]
        if there and all(map(_is_any_number, there)):
            if _is_any_number(cell) or cell.lower() in MISSING - {""}:
                return False
            above_numbers.append(cell)
        elif cell and cell in there:
            return False
    named = [cell for cell in above_numbers if cell and cell != "-"]
    units = sum(bool(_UNIT.fullmatch(cell)) for cell in named)
    return bool(named) and units >= max(1, len(named) / 2)


def _decimal_of(body: list[list[str]], separator: str) -> str:
    """Return the decimal mark that the columns of numbers have."""
    commas = points = either = 0
    n_rows = max(_TRIED_ROWS // 3, _DECIMAL_CELLS // len(body[0]))
    for column in zip(*body[:n_rows], strict=True):
        there = [c for c in map(str.strip, column) if c.lower() not in MISSING]
        of_point = [is_number(cell) for cell in there]
        of_comma = [is_number(cell, ",") for cell in there]
        if all(of_point) and all(of_comma):
            either += any("," in cell for cell in there)
        elif all(of_comma):
            commas += 1
        elif all(of_point):
            points += 1
    # 1,234 alone: such a file has semicolons because its numbers have commas.
    if commas == points == 0 and separator == ";" and either:
        return ","
    return "," if commas > points else "."
