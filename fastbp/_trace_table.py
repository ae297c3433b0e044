"""The tables that a trace is printed as: a line for each unit or piece, numbers in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = ["piece_table", "table", "unit_table"]

Array = NDArray[Any]
Columns = dict[str, Any]

# The table of a wide layer shows its first units and inputs; the arrays have them all.
_UNITS, _LINES, _INPUTS = 10, 20, 4


def table(what: str, columns: Columns, group: int = 1) -> list[str]:
    """Return a header and the lines of the first entries of the columns, `group` for each entry.

    A column is a sequence of numbers and words, one a line, or None: it is left out.
    """
    columns = {name: column for name, column in columns.items() if column is not None}
    lines = [f"{what:>5}" + "".join(f"{name:>12}" for name in columns)]
    rows = list(zip(*columns.values(), strict=True))
    shown = min(_UNITS, max(1, _LINES // group))
    for i, row in enumerate(rows[: shown * group]):
        label = "" if i % group else i // group
        lines.append(f"{label:>5}" + "".join(_cells(row)))
    more = len(rows) // group - shown
    return lines + ([f"      ({more:,} more {what}s)"] if more > 0 else [])


def unit_table(columns: Columns, dw: Array) -> list[str]:
    """Return `columns` and the first of dW[i], the rows of dW [n_in, units]."""
    gradients = {f"dW[{i}]": row for i, row in enumerate(dw[:_INPUTS])}
    return table("unit", columns | gradients) + _rest(dw)


def piece_table(columns: Columns, dw: Array) -> list[str]:
    """Return `columns`, of all pieces of the first unit, then of the next, and the first dW[i].

    Those that are arrays, and dW [n_in, pieces, units], have the pieces before the units.
    """
    gradients = {f"dW[{i}]": rows for i, rows in enumerate(dw[:_INPUTS])}
    flat = {
        name: column if isinstance(column, list) or column is None else column.T.ravel()
        for name, column in (columns | gradients).items()
    }
    return table("unit", flat, dw.shape[1]) + _rest(dw)


def _rest(dw: Sequence[Any] | Array) -> list[str]:
    """Say which rows of dW are not shown."""
    last = len(dw) - 1
    rest = f"dW[{_INPUTS}]" + (f" to dW[{last}]" if last > _INPUTS else "")
    return [f"      (and {rest})"] if last >= _INPUTS else []


def _cells(row: Iterable[Any]) -> Iterator[str]:
    """Iterate over the row's words and numbers, these with decimals as long as they say enough."""
    for value in row:
        if isinstance(value, str):
            yield f"{value:>12}"
        elif value == 0 or 1e-3 <= abs(value) < 1e5:
            yield f"{value:>12.6f}"
        else:
            yield f"{value:>12.4e}"
