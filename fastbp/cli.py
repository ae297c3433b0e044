"""The console command: ``fastbp train``, ``fastbp predict``, ``fastbp info``.

It reads arguments, calls the Python API and prints; errors become one line on stderr and exit
status 2.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

import fastbp as fb

from . import _check
from .cli.problem import Problem, load_inputs, load_problem
from .errors import ConfigError, FastbpError
from .preprocess import Standardize

# In standard deviations: further from the mean no value of the training data is to lie.
_FARTHEST = 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe (head, less) left; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError as error:
        return _fail(f"error: out of memory {error}")
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"error: {name}{error.strerror or error}")
    except FastbpError as error:
        return _fail(f"error: {error}")
    return 0


def _fail(message: str, status: int = 2) -> int:
    print(f"fastbp: {' '.join(message.split())}", file=sys.stderr)
    return status


def _train(arguments: argparse.Namespace) -> None:
    """Train on the training part, score the test part with the model that is saved."""
    out = Path(arguments.out or Path(arguments.dataset).with_suffix(".safetensors").name)
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise ConfigError(f"--out: got {out}, wanted a file in a folder that exists")
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
    network.metadata.update(
        classes=json.dumps(problem.classes),
        features=json.dumps(problem.features),
        target=problem.target,
    )
    network.save(out)
    print(f"model written to {out}")
    score = f"accuracy {scores['accuracy']:.1%}" if problem.classes else f"mse {scores['loss']:.4g}"
    print(f"test {score}, {seconds:.1f} s")


def _network(problem: Problem, arguments: argparse.Namespace) -> fb.Network:
    last = "softmax" if problem.classes else "linear"
    layers = [fb.Dense(units, arguments.activation) for units in arguments.hidden]
    layers.append(fb.Dense(problem.n_outputs, last))
    return fb.Network(problem.x_train.shape[1], layers, seed=arguments.seed)


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


def _predict(arguments: argparse.Namespace) -> None:
    network = fb.load(arguments.model)
    features = tuple(json.loads(network.metadata.get("features", "[]")))
    target = network.metadata.get("target", "")
    x = load_inputs(arguments.data, network.n_inputs, features, target)
    classes = json.loads(network.metadata.get("classes", "[]"))
    outputs = network.predict(x)
    if arguments.out is None:
        _write_rows(sys.stdout, outputs, network.layers[-1].activation, classes)
        return
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        _write_rows(file, outputs, network.layers[-1].activation, classes)


def _write_rows(file: TextIO, outputs: np.ndarray, activation: str, classes: list[str]) -> None:
    """Write a class for each row of a softmax layer, else the outputs."""
    writer = csv.writer(file, lineterminator="\n")
    if activation != "softmax":
        writer.writerows(outputs)
        return
    indices = outputs.argmax(axis=1)
    writer.writerows([classes[i] if classes else i] for i in indices)


def _info(arguments: argparse.Namespace) -> None:
    if arguments.model is None:
        fb.show_config()
        return
    network = fb.load(arguments.model)
    print(f"{arguments.model}: {network.n_inputs} inputs\n{network.summary()}")
    for name in ("classes", "features"):
        names = json.loads(network.metadata.get(name, "[]"))
        if names:
            print(f"{name}: {', '.join(names)}")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like those of the commands."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"error: {message} (fastbp --help lists what there is)"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("fastbp", description="Train multi-layer perceptrons on the CPU.")
    parser.add_argument("--version", action="version", version=f"fastbp {fb.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train a network and save it"))
    predict = commands.add_parser("predict", help="write the predictions of a saved network")
    predict.add_argument("model", metavar="MODEL", help="a .safetensors file of fastbp")
    predict.add_argument("data", metavar="DATA", help="digits, mnist, a .npz or a .csv file")
    predict.add_argument("--out", metavar="FILE", help="a CSV file, one line per row (stdout)")
    predict.set_defaults(run=_predict)
    info = commands.add_parser("info", help="show the configuration, or what a model is")
    info.add_argument("model", metavar="MODEL", nargs="?", help="a .safetensors file of fastbp")
    info.set_defaults(run=_info)
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_train)
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


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _widths(text: str) -> list[int]:
    return [_positive(part.strip()) for part in text.split(",")]
