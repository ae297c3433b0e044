"""``fastbp train``: train on one part of a data set, score on the other, save the network."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import fastbp as fb

from .. import _check
from ..preprocess import Standardize
from .output import require_output
from .problem import Problem, files_of, load_problem

__all__ = ["add_arguments", "run"]

# In standard deviations: further from the mean no value of the training data is to lie.
_FARTHEST = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp train``."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="digits, mnist, a .npz or a .csv file")
    add("--hidden", type=_widths, default="128", metavar="N,N", help="hidden units (%(default)s)")
    add("--activation", default="relu", help="relu, gelu, tanh, sigmoid, ... (%(default)s)")
    add("--epochs", type=_positive, default=30, metavar="N", help="%(default)s")
    add("--batch-size", type=_positive, default=32, metavar="N", help="%(default)s")
    rate = "at first; falls in a straight line to 0 (0.05, for regression 0.01)"
    add("--learning-rate", type=float, metavar="X", help=rate)
    add("--momentum", type=float, default=0.9, metavar="X", help="%(default)s")
    add("--l2", type=float, default=1e-4, metavar="X", help="penalty on weights (%(default)s)")
    add("--seed", type=int, default=0, metavar="N", help="of split and training (%(default)s)")
    add("--threads", type=_positive, metavar="N", help="no more than this (what there is)")
    fraction = "held out; mnist has a test part of its own (%(default)s)"
    add("--test-fraction", type=float, default=0.2, metavar="X", help=fraction)
    add("--target", metavar="COLUMN", help="name or position in a .csv file (the last column)")
    tasks = ["classification", "regression"]
    add("--task", choices=tasks, help="classification for text and few integers, else regression")
    add("--out", metavar="FILE", help="the model (DATASET.safetensors, in this folder)")
    add("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> None:
    """Train on the training part, score the test part with the model that is saved."""
    out = Path(arguments.out or Path(arguments.dataset).with_suffix(".safetensors").name)
    require_output(out, files_of(arguments.dataset))
    problem = load_problem(
        arguments.dataset,
        arguments.target,
        arguments.task,
        arguments.test_fraction,
        arguments.seed,
    )
    network = _network(problem, arguments)
    print(_summary(arguments.dataset, problem), flush=True)
    started = time.perf_counter()
    network, loss = _fit(network, problem, arguments)
    seconds = time.perf_counter() - started
    scores = fb.Trainer(network, loss).evaluate(problem.x_test, problem.y_test)
    network.columns = problem.features or None
    network.metadata["target"] = problem.target
    network.save(out)
    print(f"model written to {out}")
    score = f"accuracy {scores['accuracy']:.1%}" if problem.classes else f"mse {scores['loss']:.4g}"
    print(f"test {score}, {seconds:.1f} s")


def _network(problem: Problem, arguments: argparse.Namespace) -> fb.Network:
    last = "softmax" if problem.classes else "linear"
    layers = [fb.Dense(units, arguments.activation) for units in arguments.hidden]
    layers.append(fb.Dense(problem.n_outputs, last))
    network = fb.Network(problem.x_train.shape[1], layers, seed=arguments.seed)
    # All of them: one may be in the test part alone.
    network.classes = problem.classes or None
    return network


def _fit(
    network: fb.Network, problem: Problem, arguments: argparse.Namespace
) -> tuple[fb.Network, str]:
    """Train on standardised data; return the network that takes and gives raw numbers, the loss."""
    loss = "cross_entropy" if problem.classes else "mse"
    inputs = Standardize(shared=problem.images, farthest=_FARTHEST)
    network.preprocessing = inputs.fit(problem.x_train)
    y = problem.y_train
    if not problem.classes:
        targets = Standardize(farthest=_FARTHEST).fit(y)
        y = targets.transform(y)
    rate = arguments.learning_rate
    if rate is None:
        rate = 0.05 if problem.classes else 0.01
    rate = _check.number(rate, "learning_rate")
    n_steps = arguments.epochs * -(-len(y) // arguments.batch_size)
    trainer = fb.Trainer(
        network,
        loss,
        fb.SGD(_falling(rate, n_steps), momentum=arguments.momentum),
        batch_size=arguments.batch_size,
        l2=arguments.l2,
        seed=arguments.seed,
        n_threads=arguments.threads,
    )
    trainer.fit(problem.x_train, y, epochs=arguments.epochs, progress=not arguments.quiet)
    folded = network.fold()
    if not problem.classes:
        targets.fold_into_outputs(folded)
    return folded, loss


def _falling(rate: float, n_steps: int) -> Callable[[int], float]:
    """Return the rate that falls in a straight line from `rate` to 0 over the run."""
    return lambda step: rate * max(1 - step / n_steps, 0.0)


def _summary(name: str, problem: Problem) -> str:
    kind = f"{len(problem.classes)} classes" if problem.classes else "regression"
    rows = f"{len(problem.x_train)} training and {len(problem.x_test)} test rows"
    return f"{name}: {rows}, {problem.x_train.shape[1]} features, {kind}"


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _widths(text: str) -> list[int]:
    return [_positive(part.strip()) for part in text.split(",")]
