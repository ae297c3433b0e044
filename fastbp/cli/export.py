"""``fastbp export``: a saved model for other programs, as plain arrays."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..formats import atomicfile, modelfile, plain
from .output import require_output

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp export houses.safetensors --to npz
      houses.npz: numpy.load reads it; "description" is JSON
  fastbp export houses.safetensors --to json --out houses.json
      the same as text
"""


class Format(NamedTuple):
    """What `--to` names.

    Attributes
    ----------
    suffix : str
    content : callable
        Returns the bytes of a file of the description of a model and its tensors.
    """

    suffix: str
    content: Callable[[dict[str, Any], modelfile.Tensors], bytes]


FORMATS = {"npz": Format(".npz", plain.npz), "json": Format(".json", plain.text)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp export``."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of fastbp")
    add("--to", choices=list(FORMATS), required=True, help="the format")
    add("--out", metavar="FILE", help="the file (the name of the model with the format's suffix)")


def run(arguments: argparse.Namespace) -> None:
    """Write weights, biases, activations and what is done to the columns."""
    form = FORMATS[arguments.to]
    out = arguments.out or Path(arguments.model).with_suffix(form.suffix).name
    require_output(out, [arguments.model])
    architecture, tensors, table = modelfile.read_any(arguments.model)
    described = {"networks": [architecture]} if table is None else architecture | table
    if table is None:
        tensors = {f"networks.0.{name}": array for name, array in tensors.items()}
    atomicfile.write(out, form.content(described, tensors))
    print(f"written to {out}")
