"""``fastbp info``: the configuration of this build, a check of its bits, what a model is."""

from __future__ import annotations

import argparse
from typing import Any

import fastbp as fb

from ..errors import BuildError
from ..tables.wording import shown
from . import selfcheck
from .networkmodel import NetworkModel
from .saved import load_model
from .train import screen_width, size_of

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp info houses.safetensors
      layers, columns, target, and how the model was trained
  fastbp info --check
      whether this build computes what every build must
"""
MOST_CLASSES = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp info``."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .safetensors file of fastbp")
    parser.add_argument(
        "--check",
        action="store_true",
        help="train a little and compare the bits with those wanted",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the configuration, and a check if one is wanted, or what a model is."""
    if arguments.check:
        _check()
        return
    if arguments.model is None:
        fb.show_config()
        return
    model = load_model(arguments.model)
    print(f"{arguments.model}: {size_of(arguments.model)}")
    if isinstance(model, NetworkModel):
        _of_network(model)
    else:
        _of_table(model)
    _of_training(model)


def _of_network(model: NetworkModel) -> None:
    network = model.network
    print(f"a network of {network.n_inputs} inputs\n{network.summary()}")
    if network.classes is not None:
        print(f"classes: {_some(model.classes)}")
    if network.columns is not None:
        print(f"features: {_some(network.columns)}")


def _of_table(model: Any) -> None:
    n = len(model.networks)
    print(f"a model of a table: {'one network' if n == 1 else f'{n} networks of this form'}")
    print(model.networks[0].summary())
    print(f"target: {shown(model.target_name)}, {model.target.task}")
    if model.target.task == "classification":
        print(f"classes: {_some(model.target.classes)}")
    print(model.columns.summary(screen_width()))


def _of_training(model: Any) -> None:
    """Print the record of a training that `fastbp train` or a TableModel has left."""
    record = model.record
    if not record:
        return
    epochs = ", ".join(map(str, record.get("epochs", ())))
    rows = f"{record.get('rows')} rows, {record.get('validation_rows')} of them for the best epoch"
    print(f"trained on {rows}; epochs: {epochs}; seed: {record.get('seed')}")
    options = {**record.get("options", {}), **record.get("versions", {})}
    if options:
        print(", ".join(f"{name} {value}" for name, value in options.items()))
    for note in model.notes:
        print(f"- {note}")
    for part, scores in record.get("scores", {}).items():
        values = ", ".join(f"{name} {value:.4g}" for name, value in scores["values"].items())
        print(f"{part}: {values} ({scores['n_rows']} rows)")


def _some(names: Any) -> str:
    listed = [shown(name) for name in names]
    rest = f", ... ({len(listed)} in all)" if len(listed) > MOST_CLASSES else ""
    return ", ".join(listed[:MOST_CLASSES]) + rest


def _check() -> None:
    """Print whether the bits of a short training are right on each kernel set.

    Raises
    ------
    BuildError
        Some are not.
    """
    fb.show_config()
    wrong = []
    for isa, dtype, n_threads, right in selfcheck.results():
        name = f"{isa}, {dtype}, threads: {n_threads}"
        print(f"{name:<30}{'the bits are right' if right else 'OTHER BITS'}")
        wrong += [] if right else [name]
    if wrong:
        raise BuildError(
            f"this build computes other numbers than it should ({'; '.join(wrong)}): build it "
            "again without flags that change arithmetic, such as -ffast-math, or with another "
            "compiler"
        )
