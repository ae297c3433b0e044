"""Formats whose columns have types: Parquet, Feather, JSON, workbooks, ARFF and svmlight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .source import Source

__all__ = ["TypedTable", "read_typed"]


@dataclass(frozen=True)
class TypedTable:
    """A table that was read with the types of its file."""

    frame: Any
    notes: tuple[str, ...] = ()


def read_typed(source: Source) -> TypedTable | None:
    """Return the table of a file whose format has types; None of separated text."""
    return None
