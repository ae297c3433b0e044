"""``fastbp demo``: the digits of the package, learnt and shown in the terminal."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastbp as fb

from .options import positive

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp demo
  fastbp demo --seed 3 --show 8
"""
LESSON = """The same in Python:

    x, y = fb.datasets.load_digits()
    network = fb.Network(64, [fb.Dense(64, "relu"), fb.Dense(10, "softmax")], seed=0)
    fb.Trainer(network, "cross_entropy", fb.Adam(), seed=0).fit(x, y, epochs=15)

and from the command line:

    fastbp train digits"""
# From paper to ink; in plain ASCII where the terminal has no blocks.
BLOCKS, ASCII = " ░▒▓█", " .:*#"
PICTURES_IN_A_ROW = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp demo``."""
    add = parser.add_argument
    add("--seed", type=int, default=0, metavar="N", help="of weights and rows (%(default)s)")
    add("--epochs", type=positive, default=15, metavar="N", help="%(default)s")
    add("--show", type=positive, default=4, metavar="N", help="pictures (%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Train on four fifths of the digits, show some of the others, teach the lines that do it."""
    x, y = fb.datasets.load_digits()
    seed = arguments.seed
    x, x_test, y, y_test = fb.datasets.train_test_split(x, y, seed=seed, stratify=y)
    network = fb.Network(64, [fb.Dense(64, "relu"), fb.Dense(10, "softmax")], seed=seed)
    trainer = fb.Trainer(network, "cross_entropy", fb.Adam(), seed=seed)
    print(f"{len(x)} pictures of digits to learn from, {len(x_test)} that the network never sees\n")
    history = trainer.fit(x, y, arguments.epochs)
    for epoch in sorted({0, len(history["loss"]) // 2, len(history["loss"]) - 1}):
        loss, accuracy = history["loss"][epoch], history["accuracy"][epoch]
        print(f"after epoch {epoch + 1:>2}: loss {loss:.4f}, right for {accuracy:.1%}")
    shares = network.predict(x_test)
    right = shares.argmax(axis=1) == y_test
    print(f"of the pictures that it has not seen it reads {right.mean():.1%}\n")
    # The errors are the most interesting ones.
    order = np.argsort(right, kind="stable")[: arguments.show]
    for first in range(0, len(order), PICTURES_IN_A_ROW):
        _show([(x_test[i], y_test[i], shares[i]) for i in order[first : first + PICTURES_IN_A_ROW]])
    print(LESSON)


def _show(pictures: list[tuple[NDArray[Any], int, NDArray[Any]]]) -> None:
    """Print pictures side by side, with what they are and what the network says."""
    lines = [_lines(pixels) for pixels, _, _ in pictures]
    for row in zip(*lines, strict=True):
        print("   ".join(row).rstrip())
    texts = [f"a {digit}: read as {p.argmax()} ({p.max():.0%})" for _, digit, p in pictures]
    print("   ".join(f"{text:<16}" for text in texts).rstrip() + "\n")


def _lines(pixels: NDArray[Any]) -> list[str]:
    marks = BLOCKS if _has_blocks() else ASCII
    levels = np.rint(pixels.reshape(8, 8) * (len(marks) - 1)).astype(int)
    return ["".join(marks[level] * 2 for level in row) for row in levels]


def _has_blocks() -> bool:
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
