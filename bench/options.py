"""The options that scripts share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

OPTIONS: dict[str, dict[str, Any]] = {
    "only": {"metavar": "SUBSTRING", "help": "of the names of what is measured"},
    "dtype": {"choices": ["float32", "float64"], "help": "(%(default)s)"},
    "threads": {"type": int, "metavar": "N", "help": "the most that are used (%(default)s)"},
    "seconds": {"type": float, "help": "of timing for each figure (%(default)s)"},
}


def parser(doc: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser of the shared options that are given a default, and of --json."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in defaults.items():
        made.add_argument(f"--{name}", default=default, **OPTIONS[name])
    made.add_argument("--json", metavar="FILE", help="write all figures there")
    return made


def choose(only: str, named: Mapping[str, T]) -> list[T]:
    """Return what has `only` in its name; exit with all the names where nothing has."""
    chosen = [value for name, value in named.items() if only in name]
    if not chosen:
        sys.exit(f"nothing has {only!r} in its name; there are: {'; '.join(named)}")
    return chosen
