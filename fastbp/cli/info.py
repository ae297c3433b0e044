"""``fastbp info``: the configuration of this build, or what a saved network is."""

from __future__ import annotations

import argparse

import fastbp as fb

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the argument of ``fastbp info``."""
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a .safetensors file of fastbp")


def run(arguments: argparse.Namespace) -> None:
    """Print the configuration, or layers and names of a model."""
    if arguments.model is None:
        fb.show_config()
        return
    network = fb.load(arguments.model)
    print(f"{arguments.model}: {network.n_inputs} inputs\n{network.summary()}")
    for name, found in (("classes", network.classes), ("features", network.columns)):
        if found is not None:
            print(f"{name}: {', '.join(map(str, found))}")
