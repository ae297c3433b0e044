"""``fastbp predict``: the rows of a file through a saved model."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from numpy.typing import NDArray

from ..datasets.table import position
from ..errors import ConfigError
from ..formats import atomicfile
from .networkmodel import NetworkModel
from .options import add_reading, reading_of
from .output import require_output
from .problem import array_inputs, files_of, is_arrays, require_table
from .saved import load_model
from .tablerows import network_inputs, read_for, table_of_arrays

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp predict houses.safetensors new.csv --out prices.csv
      a line for each row, below a header
  fastbp predict flowers.safetensors new.csv --ids id --proba
      the column id, then the class and the probability of each class
  cat new.csv | fastbp predict houses.safetensors - --append > both.csv
      all columns of the input, then the prediction
"""

Column = tuple[str, Iterable[Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp predict``."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of fastbp")
    add("data", metavar="DATA", help="a table, - for stdin, a .npz file, digits or mnist")
    add("--out", metavar="FILE", help="a CSV file in UTF-8 (stdout)")
    add("--proba", action="store_true", help="the probability of each class beside the class")
    add("--ids", metavar="COLUMN", help="write this column of DATA first")
    add("--append", action="store_true", help="write all columns of DATA, then the prediction")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write a header and a line for each row, to a file or to stdout."""
    if arguments.out is not None:
        require_output(arguments.out, [arguments.model, *files_of(arguments.data)])
    if arguments.ids is not None and arguments.append:
        raise ConfigError("--ids: got it beside --append, which writes all columns; wanted one")
    model = load_model(arguments.model)
    columns = _columns(model, arguments)
    if arguments.out is None:
        _write(sys.stdout, columns)
        return
    text = io.StringIO(newline="")
    _write(text, columns)
    atomicfile.write(arguments.out, text.getvalue().encode())


def _columns(model: Any, arguments: argparse.Namespace) -> list[Column]:
    """Return names and cells of what is written."""
    if is_arrays(arguments.data):
        for option in ("ids", "append"):
            require_table(f"--{option}", getattr(arguments, option), arguments.data)
        first: list[Column] = []
        if isinstance(model, NetworkModel):
            x = array_inputs(arguments.data, model.network.n_inputs)
            return _of_network(model, x, arguments.proba)
        table = table_of_arrays(arguments.data, model)
    else:
        table = read_for(model, arguments.data, reading_of(arguments))
        first = _first(table, arguments)
        if isinstance(model, NetworkModel):
            return [
                *first,
                *_of_network(model, network_inputs(model.network, table), arguments.proba),
            ]
    taken = {name for name, _ in first}
    if arguments.proba:
        shares = model.predict_proba(table)
        classes = model.target.classes
        labels = model.target.labels(shares.argmax(axis=1))
        found = [("prediction", labels), *_shares(shares, classes)]
    else:
        found = [("prediction", model.predict(table))]
    return [*first, *((_free(name, taken), cells) for name, cells in found)]


def _first(table: Any, arguments: argparse.Namespace) -> list[Column]:
    """Return the columns of the input that are written."""
    if arguments.append:
        names = list(table.columns)
    elif arguments.ids is not None:
        names = [table.columns[position(table.columns, arguments.ids, table.name, "--ids")]]
    else:
        return []
    return [(name, _cells(table.frame[name])) for name in names]


def _cells(series: Any) -> list[Any]:
    """Return the cells of a column as text; a missing one is empty."""
    missing = series.isna()
    return ["" if gap else cell for cell, gap in zip(series, missing, strict=True)]


def _of_network(model: NetworkModel, x: NDArray[Any], proba: bool) -> list[Column]:
    """Return the class of each row, or the outputs of a network that knows no classes."""
    network = model.network
    if not model.has_classes:
        if proba:
            raise ConfigError("--proba: got a model of values, wanted one of classes")
        outputs = network.predict(x)
        if outputs.shape[1] == 1:
            return [("prediction", outputs[:, 0])]
        return [(f"prediction {i + 1}", column) for i, column in enumerate(outputs.T)]
    found: list[Column] = [("prediction", network.predict_classes(x))]
    if proba:
        found += _shares(model.probabilities(x), model.classes)
    return found


def _shares(shares: NDArray[Any], classes: Iterable[str]) -> list[Column]:
    return [(f"P({label})", column) for label, column in zip(classes, shares.T, strict=True)]


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no column of the input has."""
    found, n = name, 1
    while found in taken:
        n += 1
        found = f"{name}.{n}"
    return found


def _write(file: TextIO, columns: Sequence[Column]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(cells for _, cells in columns), strict=True))
