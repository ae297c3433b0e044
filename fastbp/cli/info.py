"""``fastbp info``: the configuration of this build, a check of its bits, what a network is."""

from __future__ import annotations

import argparse

import fastbp as fb

from ..errors import BuildError
from . import selfcheck

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp info``."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .safetensors file of fastbp")
    parser.add_argument(
        "--check",
        action="store_true",
        help="train a little and compare the bits with those wanted",
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the configuration, and a check if one is wanted, or layers and names of a model."""
    if arguments.check:
        _check()
        return
    if arguments.model is None:
        fb.show_config()
        return
    network = fb.load(arguments.model)
    print(f"{arguments.model}: {network.n_inputs} inputs\n{network.summary()}")
    for name, found in (("classes", network.classes), ("features", network.columns)):
        if found is not None:
            print(f"{name}: {', '.join(map(str, found))}")


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
