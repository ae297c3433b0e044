"""``fastbp export``: a saved model for other programs, as plain arrays, C, Fortran or ONNX."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..engine.config import __version__
from ..errors import ConfigError
from ..formats import atomicfile, c99, modelfile, plain, to_c, to_c_header, to_fortran
from ..network import Network
from .networkmodel import NetworkModel
from .output import require_output
from .saved import load_model

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp export houses.safetensors --to npz
      houses.npz: numpy.load reads it; "description" is JSON
  fastbp export houses.safetensors --to json --out houses.json
      the same as text
  fastbp export pendulum.safetensors --to c --gradients
      pendulum.c and pendulum.h, which need nothing else
  fastbp export pendulum.safetensors --to onnx
      pendulum.onnx for onnxruntime and others
"""
DTYPES = {"float": "float32", "double": "float64"}
# In the metadata of an ONNX file: what a table's columns become.
NOTE = "fastbp.table"
# A file that the command line does not name is replaced only if one of these is in its head.
OURS = (b"written by fastbp ", b"description.npy", b'{"description":', b"\x12\x06fastbp")
HEAD = 4096

Files = dict[str, bytes]


class Format(NamedTuple):
    """What `--to` names.

    Attributes
    ----------
    suffix : str
    files : callable
        Returns the contents of the files of a model, by their suffixes.
    options : tuple of str
        Those that it takes.
    beside : tuple of str
        The suffixes of further files.
    """

    suffix: str
    files: Callable[[argparse.Namespace, str], Files]
    options: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def _arrays(content: Callable[[dict[str, Any], modelfile.Tensors], bytes], suffix: str) -> Any:
    def files(arguments: argparse.Namespace, name: str) -> Files:
        architecture, tensors, table = modelfile.read_any(arguments.model)
        described = {"networks": [architecture]} if table is None else architecture | table
        if table is None:
            tensors = {f"networks.0.{name}": array for name, array in tensors.items()}
        return {suffix: content(described, tensors)}

    return files


def _c(arguments: argparse.Namespace, name: str) -> Files:
    network, notes = _network(arguments.model, arguments.dtype)
    head = c99.comment(notes) + "\n" if notes else ""
    options = {"gradients": arguments.gradients, "real": arguments.dtype}
    source = (head + to_c(network, name, **options)).encode()
    if arguments.to == "fortran":
        head = "".join(f"! {line}\n" for line in map(c99.in_comment, notes))
        return {".f90": (head + to_fortran(network, name, **options)).encode(), ".c": source}
    return {".c": source, ".h": (head + to_c_header(network, name, **options)).encode()}


def _onnx(arguments: argparse.Namespace, name: str) -> Files:
    from ..formats.onnx import writing

    network, notes = _network(arguments.model)
    if notes:
        network.metadata[NOTE] = json.dumps(notes)
    dtype = None if arguments.dtype is None else np.dtype(DTYPES[arguments.dtype])
    return {".onnx": writing.content(network, network._notes(), dtype)}


def _network(path: str, dtype: str | None = None) -> tuple[Network, list[str]]:
    """Return the network of a file, and what goes in and out of that of a table, line by line."""
    model = load_model(path)
    if isinstance(model, NetworkModel):
        return model.network, []
    from ..tables.portable import portable

    network, inputs, output = portable(model, dtype and DTYPES[dtype])
    lines = [
        f"The model of a table in {Path(path).name}, written by fastbp {__version__}. Inputs "
        "follow from its columns, v is a cell:",
        *(f"    x[{i}]  {text}" for i, text in enumerate(inputs)),
        output,
    ]
    return network, lines


FORMATS = {
    "npz": Format(".npz", _arrays(plain.npz, ".npz")),
    "json": Format(".json", _arrays(plain.text, ".json")),
    "c": Format(".c", _c, ("name", "gradients", "dtype"), (".h",)),
    "fortran": Format(".f90", _c, ("name", "gradients", "dtype"), (".c",)),
    "onnx": Format(".onnx", _onnx, ("dtype",)),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp export``."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors file of fastbp")
    add("--to", choices=list(FORMATS), required=True, help="the format")
    add("--out", metavar="FILE", help="the file (the name of the model with the format's suffix)")
    add("--name", help="what names in C and Fortran begin with (the name of the file)")
    add("--gradients", action="store_true", help="with vjp and jacobian in C and Fortran")
    add(
        "--dtype",
        choices=list(DTYPES),
        help="of all numbers in C and Fortran, of the rows x in ONNX (that of the model)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write what another program needs to predict as the model does."""
    form = FORMATS[arguments.to]
    _require_options(arguments, form)
    out = Path(arguments.out or Path(arguments.model).with_suffix(form.suffix).name)
    paths = {form.suffix: out} | {suffix: out.with_suffix(suffix) for suffix in form.beside}
    if len(set(paths.values())) < len(paths):
        raise ConfigError(
            f"--out: got {out}, which is the file beside it, wanted a name with {form.suffix}"
        )
    for path in paths.values():
        require_output(path, [arguments.model])
        if path != out or arguments.out is None:
            _require_ours(path)
    contents = form.files(arguments, arguments.name or _name_of(out))
    for suffix, path in paths.items():
        atomicfile.write(path, contents[suffix])
    print(f"written to {' and '.join(map(str, paths.values()))}")


def _require_options(arguments: argparse.Namespace, form: Format) -> None:
    for option in ("name", "gradients", "dtype"):
        if getattr(arguments, option) and option not in form.options:
            takers = " or ".join(to for to, other in FORMATS.items() if option in other.options)
            raise ConfigError(f"--{option}: got it for {arguments.to}, wanted it for {takers} only")


def _require_ours(path: Path) -> None:
    """Refuse to replace a file that the command line does not name, unless it is an export."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head and not any(mark in head for mark in OURS):
        raise ConfigError(
            f"--out: got a name beside which {path} exists, which is no export of fastbp; wanted "
            "another one"
        )


def _name_of(out: Path) -> str:
    """Return a name of C that is near that of a file."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", out.stem)
    if not re.match("[A-Za-z]", name) or name in c99.KEYWORDS.split():
        name = f"net_{name}"
    return name[: c99.MOST_NAME]
