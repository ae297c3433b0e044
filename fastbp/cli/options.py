"""What several commands have in common: kinds of values, and how a table is read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

__all__ = ["add_reading", "names_of", "positive", "reading_of", "widths"]

SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";", "pipe": "|"}
DECIMALS = {"point": ".", "comma": ","}


def positive(text: str) -> int:
    """Return a positive integer of the command line."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def widths(text: str) -> list[int]:
    """Return positive integers with commas between them."""
    return [positive(part.strip()) for part in text.split(",")]


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a table is read where its text does not."""
    add = parser.add_argument_group("reading a table (what is not given is found)").add_argument
    flag = argparse.BooleanOptionalAction
    add("--header", action=flag, default=None, help="whether the first line names the columns")
    add("--encoding", metavar="NAME", help="utf-8, latin-1, utf-16, ...")
    add("--separator", metavar="MARK", help="between cells: , ; | tab space")
    add("--decimal", metavar="MARK", help="the decimal mark: point or comma")
    text = "a text that stands for a missing cell, beside NA, ? and others; may be repeated"
    add("--missing", action="append", default=[], metavar="TEXT", help=text)


def reading_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return these options as `Table.read` takes them."""
    separator, decimal = arguments.separator, arguments.decimal
    return {
        "header": arguments.header,
        "encoding": arguments.encoding,
        "separator": SEPARATORS.get(separator, separator),
        "decimal": DECIMALS.get(decimal, decimal),
        "missing": tuple(arguments.missing),
    }


def names_of(given: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns: each a column, or several with commas between them."""
    found: list[str] = []
    for text in given:
        found += [text] if text in columns else [part.strip() for part in text.split(",")]
    return tuple(found)
