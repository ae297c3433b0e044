"""``fastbp predict``: the rows of a file through a saved network."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from typing import TextIO

import numpy as np

import fastbp as fb

from ..formats import atomicfile
from .output import require_output
from .problem import files_of, load_inputs

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp predict``."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of fastbp")
    add("data", metavar="DATA", help="digits, mnist, a .npz or a .csv file")
    add("--out", metavar="FILE", help="a CSV file, one line per row (stdout)")


def run(arguments: argparse.Namespace) -> None:
    """Write a line for each row, to a file or to stdout."""
    if arguments.out is not None:
        require_output(arguments.out, [arguments.model, *files_of(arguments.data)])
    network = fb.load(arguments.model)
    target = network.metadata.get("target", "")
    x = load_inputs(arguments.data, network.n_inputs, network.columns or (), target)
    # A class for each row of a network that knows them, or has a softmax layer; else the outputs.
    if network.classes is not None or network.layers[-1].activation == "softmax":
        found = network.predict_classes(x).reshape(-1, 1)
    else:
        found = network.predict(x)
    if arguments.out is None:
        _write_rows(sys.stdout, found)
        return
    text = io.StringIO(newline="")
    _write_rows(text, found)
    atomicfile.write(arguments.out, text.getvalue().encode())


def _write_rows(file: TextIO, rows: np.ndarray) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)
