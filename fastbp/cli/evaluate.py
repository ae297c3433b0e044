"""``fastbp evaluate``: the scores of a saved model on the rows of another file."""

from __future__ import annotations

import argparse

from ..errors import ConfigError
from .networkmodel import NetworkModel
from .options import add_reading, reading_of
from .problem import is_arrays, load_arrays
from .saved import load_model
from .tablerows import network_rows, read_for
from .train import screen_width

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp evaluate houses.safetensors houses_of_2026.csv
  fastbp evaluate digits.safetensors digits
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp evaluate``."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of fastbp")
    data = "a table with the target, - for stdin, a .npz file, digits or mnist (its test part)"
    add("data", metavar="DATA", help=data)
    add_reading(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the scores beside those of the simplest answer in training."""
    model, source = load_model(arguments.model), arguments.data
    width = screen_width()
    if isinstance(model, NetworkModel):
        if is_arrays(source):
            task = "classification" if model.has_classes else "regression"
            whole, test = load_arrays(source, task)
            rows = whole if test is None else test
        else:
            rows = network_rows(model, read_for(model, source, reading_of(arguments)))
        print(f"{source}: {len(rows)} rows")
        print(model.evaluate(rows).text(width, name="rows"))
        return
    if is_arrays(source):
        raise ConfigError(
            f"data: got {source}, wanted a table with the column {model.target_name!r}"
        )
    table = read_for(model, source, reading_of(arguments))
    scores = model.evaluate(table)
    without = len(table) - scores.n_rows
    note = f", {without} without {model.target_name!r}: left out" if without else ""
    print(f"{source}: {len(table)} rows{note}")
    print(scores.text(width, name="rows"))
