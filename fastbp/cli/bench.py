"""``fastbp bench``: a step of training on this machine, beside NumPy and what is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastbp as fb

from ..errors import ConfigError
from ..tables.wording import aligned, number

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """examples:
  fastbp bench
  fastbp bench --seconds 10

A step is a batch forward, the loss, all gradients and plain SGD, in float32. Every library does the
same steps on the same data from the same weights; they take turns, so that a busy machine is as
busy for all, and the median of a turn counts. bench/README.md has more shapes and peers.
"""
RATE = 0.01
TURNS = 9
# Steps that all do without a look at the clock; so many rows are an epoch of fastbp.
ROUND = 8


class Shape(NamedTuple):
    """A network of one hidden layer of ReLU, softmax and cross-entropy, and its batch."""

    inputs: int
    hidden: int
    outputs: int
    batch: int

    def __str__(self) -> str:
        """Return the widths and the batch."""
        return f"{self.inputs}-{self.hidden}-{self.outputs}, batch {self.batch}"


class Problem(NamedTuple):
    """What all libraries begin with."""

    shape: Shape
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    weights: list[tuple[NDArray[Any], NDArray[Any]]]


SHAPES = [
    Shape(8, 16, 3, 8),
    Shape(64, 64, 10, 32),
    Shape(784, 128, 10, 64),
    Shape(784, 512, 10, 256),
]
# Does so many rounds of steps.
Steps = Callable[[int], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp bench``."""
    seconds = "about so long in all (%(default)s)"
    parser.add_argument("--seconds", type=float, default=60.0, metavar="X", help=seconds)


def run(arguments: argparse.Namespace) -> None:
    """Print the median microseconds of a step, and how many times longer each peer takes."""
    if not 0 < arguments.seconds < np.inf:
        raise ConfigError(f"--seconds: got {arguments.seconds}, wanted a number > 0")
    fb.show_config()
    print("\nmicroseconds of a step: the median of turns; in brackets, how many times as long\n")
    share = arguments.seconds / len(SHAPES)
    lines: list[list[str]] = []
    for shape in SHAPES:
        problem = _problem(shape)
        times = _times({name: make(problem) for name, make in _makers()}, share)
        own = times["fastbp"]
        cells = [f"{number(t * 1e6)} ({number(t / own)} x)" for t in times.values()]
        lines = lines or [["", *times]]
        lines.append([str(shape), number(own * 1e6), *cells[1:]])
    print("\n".join(aligned(lines)))


def _problem(shape: Shape) -> Problem:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((shape.batch, shape.inputs), np.float32)
    y = rng.integers(0, shape.outputs, shape.batch)
    widths = shape.inputs, shape.hidden, shape.outputs
    weights = []
    for n_in, n_out in pairwise(widths):
        scale = np.float32(np.sqrt(2 / n_in))
        weight = rng.standard_normal((n_in, n_out), np.float32) * scale
        weights.append((weight, np.zeros(n_out, np.float32)))
    return Problem(shape, x, y, weights)


def _times(contestants: dict[str, Steps], seconds: float) -> dict[str, float]:
    """Return the median seconds of a step of each, in turns that are as long for all."""
    turn = seconds / (TURNS + 1) / len(contestants)
    counts = {name: _count(rounds, turn) for name, rounds in contestants.items()}
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(TURNS):
        for name, rounds in contestants.items():
            found[name].append(_seconds(rounds, counts[name]) / (counts[name] * ROUND))
    return {name: median(values) for name, values in found.items()}


def _count(rounds: Steps, seconds: float) -> int:
    """Return how many rounds a turn has; the first ones warm caches and threads."""
    n, took = 1, _seconds(rounds, 1)
    while took < seconds / 4:
        n *= 2
        took = _seconds(rounds, n)
    return max(1, round(n * seconds / took))


def _seconds(rounds: Steps, n: int) -> float:
    begin = perf_counter()
    rounds(n)
    return perf_counter() - begin


def _makers() -> Iterator[tuple[str, Callable[[Problem], Steps]]]:
    """Iterate over those that are installed."""
    yield "fastbp", _fastbp
    yield "NumPy", _numpy
    for name, make, module in (("scikit-learn", _sklearn, "sklearn"), ("PyTorch", _torch, "torch")):
        if find_spec(module) is not None:
            yield name, make


def _fastbp(problem: Problem) -> Steps:
    shape = problem.shape
    layers = [fb.Dense(shape.hidden, "relu"), fb.Dense(shape.outputs, "softmax")]
    network = fb.Network(shape.inputs, layers, seed=0)
    for layer, (weight, bias) in zip(network.weighted_layers, problem.weights, strict=True):
        layer.weight, layer.bias = weight, bias
    options: dict[str, Any] = {"batch_size": shape.batch, "shuffle": False}
    trainer = fb.Trainer(network, "cross_entropy", fb.SGD(RATE), **options)
    x, y = np.tile(problem.x, (ROUND, 1)), np.tile(problem.y, ROUND)

    def rounds(n: int) -> None:
        trainer.fit(x, y, epochs=n)

    return rounds


def _numpy(problem: Problem) -> Steps:
    x, y = problem.x, problem.y
    (w1, b1), (w2, b2) = [(w.copy(), b.copy()) for w, b in problem.weights]
    rows, rate = np.arange(len(x)), np.float32(RATE / len(x))

    def rounds(n: int) -> None:
        for _ in range(n * ROUND):
            h = np.maximum(x @ w1 + b1, 0)
            z = h @ w2 + b2
            z -= z.max(axis=1, keepdims=True)
            p = np.exp(z)
            p /= p.sum(axis=1, keepdims=True)
            p[rows, y] -= 1
            d = (p @ w2.T) * (h > 0)
            for array, gradient in (
                (w2, h.T @ p),
                (b2, p.sum(axis=0)),
                (w1, x.T @ d),
                (b1, d.sum(axis=0)),
            ):
                array -= rate * gradient

    return rounds


# The peers are imported by name: they are no libraries of the package.
def _sklearn(problem: Problem) -> Steps:
    shape, x, y = problem.shape, problem.x, problem.y
    model = import_module("sklearn.neural_network").MLPClassifier(
        (shape.hidden,), solver="sgd", alpha=0, batch_size=shape.batch, learning_rate_init=RATE,
        momentum=0, shuffle=False,
    )  # fmt: skip
    classes = np.arange(shape.outputs)

    def rounds(n: int) -> None:
        for _ in range(n * ROUND):
            model.partial_fit(x, y, classes=classes)

    rounds(1)
    return rounds


def _torch(problem: Problem) -> Steps:
    torch = import_module("torch")
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    arrays = [array.copy() for pair in problem.weights for array in pair]
    parameters = [torch.from_numpy(array).requires_grad_() for array in arrays]
    w1, b1, w2, b2 = parameters
    optimizer = torch.optim.SGD(parameters, RATE)

    def rounds(n: int) -> None:
        for _ in range(n * ROUND):
            optimizer.zero_grad()
            z = torch.relu(x @ w1 + b1) @ w2 + b2
            torch.nn.functional.cross_entropy(z, y).backward()
            optimizer.step()

    return rounds
