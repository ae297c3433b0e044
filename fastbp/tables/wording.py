"""Names, numbers and tables of text as a person reads them, in a terminal and on a page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Container, Sequence

__all__ = ["aligned", "number", "percent", "shown"]

DIGITS = 4
# Beyond these sizes a number without an exponent is zeros more than digits.
SMALLEST, LARGEST = 1e-4, 1e15
# They join letters of Persian and of Indic scripts, and emojis: they cannot be left out.
JOINERS = "\u200c\u200d"


def shown(text: object, most: int = 60) -> str:
    r"""Return text of a file so that neither a terminal nor a page acts on it, and not too long.

    Control characters, those that turn the direction of text, and halves of surrogate pairs become
    their escapes, as ``\x1b``; of more than `most` characters the middle is left out.
    """
    kept = str(text)
    if len(kept) > most:
        half = (most - 3) // 2
        kept = f"{kept[: most - 3 - half]}...{kept[len(kept) - half :]}"
    return "".join(c if c.isprintable() or c in JOINERS else ascii(c)[1:-1] for c in kept)


def number(value: float) -> str:
    """Return four digits of a number, with commas between thousands: "12,346", "0.01235"."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if not size:
        return "0"
    if not SMALLEST <= size < LARGEST:
        return f"{value:.{DIGITS - 1}e}"
    decimals = max(DIGITS - 1 - math.floor(math.log10(size)), 0)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def percent(share: float) -> str:
    """Return a share in percent; neither "0.0%" nor "100.0%" unless it is none or all."""
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return ">99.9%"
    return "<0.1%" if text == "0.0%" and share > 0 else text


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) or c in JOINERS for c in text)


def aligned(rows: Sequence[Sequence[str]], left: Container[int] = (0,), gap: int = 2) -> list[str]:
    """Return a line for each row of cells, the columns `left` to the left, the others right."""
    if not rows:
        return []
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - columns_of(cell))
            cells.append(cell + space if i in left else space + cell)
        lines.append((" " * gap).join(cells).rstrip())
    return lines
