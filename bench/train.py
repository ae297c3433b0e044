"""Time of an SGD step of fastbp and its peers: ``python bench/train.py``.

For each shape, every contestant trains the same network on the same data from the same weights.
First the results are validated: fastbp's loss and weights against float64 NumPy, then that every
contestant starts from the same loss and lowers it. Then whole shuffled epochs are timed,
contestant after contestant in rounds; each has a process of its own, stopped while it is not
timed. Reported are medians over the rounds, the spread (half the interquartile range, in percent
of the median), and

    GFLOP/s = 2 * batch * (3 P - P1) / time of a step

with P weights, P1 of them in the first layer, whose inputs need no gradient. The peak is that of
fused multiply-adds from registers, measured on as many threads in the same run. The rows are
random and dense, those of MNIST excepted.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from statistics import median
from typing import Any

import options
import report
from problems import MNIST, SHAPES, Shape
from timing import ROUNDS, repeats_in, rounds, spread
from worker import ContestantError, Worker

TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn"}
MNIST_SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/"


def main() -> None:
    arguments = _arguments()
    shapes = _with_data(options.choose(arguments.only, {shape.name: shape for shape in SHAPES}))
    if not shapes:
        sys.exit(1)
    with ExitStack() as stack:
        workers = _start(["fastbp", *arguments.peers], arguments.threads, stack)
        environment = _environment(workers, arguments)
        report.show(environment)
        print(_head(list(workers)), flush=True)
        results = []
        for shape in shapes:
            peak = results[-1]["peak_gflops"] if results else environment["peak GFLOP/s"]
            results.append(_measure(shape, workers, arguments, peak))
            print(_row(results[-1], list(workers)), flush=True)
    report.write(arguments.json, environment, results)


def _arguments() -> argparse.Namespace:
    from fastbp.engine.runtime import get_num_threads

    parser = options.parser(
        __doc__, only="", dtype="float32", threads=get_num_threads(), seconds=3.0
    )
    add = parser.add_argument
    add("--peers", type=_peers, default=",".join(TITLES), help="some of %(default)s; '' for none")
    add("--data", metavar="FOLDER", help="of the four files of MNIST; default: $FASTBP_DATA")
    arguments = parser.parse_args()
    if arguments.data:
        os.environ["FASTBP_DATA"] = arguments.data  # for the workers
    return arguments


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in TITLES:
            raise argparse.ArgumentTypeError(f"no peer {name!r}; there are {', '.join(TITLES)}")
    return names


def _with_data(shapes: list[Shape]) -> list[Shape]:
    """Return those whose data are on this machine, and name the others."""
    if not any(shape.data == MNIST for shape in shapes):
        return shapes
    from fastbp.datasets import load_mnist
    from fastbp.errors import ConfigError

    try:
        load_mnist()
        return shapes
    except ConfigError as error:
        missing = "; ".join(shape.name for shape in shapes if shape.data == MNIST)
        print(
            f"without {missing}. {error}. They are at {MNIST_SOURCE}; name their folder with "
            "--data or in FASTBP_DATA",
            file=sys.stderr,
        )
        return [shape for shape in shapes if shape.data != MNIST]


def _start(names: list[str], n_threads: int, stack: ExitStack) -> dict[str, Worker]:
    """Return a worker for each name; peers that are not installed are left out."""
    workers = {}
    for name in names:
        try:
            workers[name] = Worker(name, n_threads)
        except ContestantError as error:
            if name == "fastbp":
                raise
            print(f"without {error}", file=sys.stderr)
            continue
        stack.callback(workers[name].close)
    return workers


def _environment(workers: dict[str, Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    peak = max(workers["fastbp"].peak(arguments.dtype) for _ in range(ROUNDS))
    versions = {name: worker.version for name, worker in workers.items()}
    isa = workers["fastbp"].ask("isa")["isa"]
    facts = report.environment(arguments.threads, isa, peak, versions)
    return {**facts, "dtype": arguments.dtype}


def _measure(
    shape: Shape, workers: dict[str, Worker], arguments: argparse.Namespace, peak: float
) -> dict[str, Any]:
    """Validate and time one shape; a peer that fails is named and left out of it.

    `peak` is the best of the probes so far: a busy neighbour can only lower it.
    """
    epochs, losses, failures = {}, {}, {}
    for name, worker in workers.items():
        try:
            first = losses["fastbp"][0] if losses else None
            losses[name] = _validate(shape, worker, arguments.dtype, first)
            epochs[name] = repeats_in(arguments.seconds / ROUNDS, worker.seconds)
        except ContestantError as error:
            if name == "fastbp":
                raise
            failures[name] = str(error)
            print(f"{shape.name}: without {error}", file=sys.stderr)
    measures = {name: lambda w=workers[name], n=n: w.seconds(n) for name, n in epochs.items()}
    probe = {"peak": lambda: workers["fastbp"].peak(arguments.dtype)}
    samples = rounds(probe | measures)
    peak = max(peak, *samples.pop("peak"))
    timings = {
        name: [1e6 * seconds / (epochs[name] * shape.steps) for seconds in taken]
        for name, taken in samples.items()
    }
    return _record(shape, timings, peak) | {"losses": losses, "failures": failures}


def _validate(shape: Shape, worker: Worker, dtype: str, start: float | None) -> list[float]:
    """Return the losses before and after two epochs; ContestantError if they cannot be right."""
    loaded = worker.load(shape, dtype)
    before = loaded["loss"]
    if start is not None and loaded["given_weights"] and abs(before / start - 1) > 1e-3:
        raise ContestantError(f"{worker.name}: starts with a loss of {before}, not of {start}")
    worker.seconds(2)
    after = worker.ask("loss")["loss"]
    if not after < before:
        raise ContestantError(f"{worker.name}: the loss went from {before} to {after}")
    return [before, after]


def _record(shape: Shape, timings: dict[str, list[float]], peak: float) -> dict[str, Any]:
    """Return the record of one shape; times are microseconds per step, ratios peer / fastbp."""
    medians = {name: median(samples) for name, samples in timings.items()}
    ours = medians["fastbp"]
    gflops = shape.flops / ours / 1e3
    return {
        "shape": shape.name,
        "widths": shape.widths,
        "batch": shape.batch,
        "steps": shape.steps,
        "data": shape.data,
        "flops": shape.flops,
        "microseconds": medians,
        "spread": {name: spread(samples) for name, samples in timings.items()},
        "gflops": gflops,
        "peak_gflops": peak,
        "percent_of_peak": 100 * gflops / peak,
        "ratio": {name: time / ours for name, time in medians.items() if name != "fastbp"},
        "samples": timings,
    }


def _head(names: list[str]) -> str:
    """Return the head of the table: a column of ratios for each peer."""
    titles = ["network, batch", "µs per step", "spread", "GFLOP/s", "of peak"]
    return report.head(titles + [TITLES[name] for name in names if name != "fastbp"])


def _row(record: dict[str, Any], names: list[str]) -> str:
    ratios = record["ratio"]
    return report.row(
        [
            record["shape"],
            report.number(record["microseconds"]["fastbp"]),
            f"{record['spread']['fastbp']:.1%}",
            report.number(record["gflops"]),
            f"{record['percent_of_peak']:.3g}%",
            *(f"{ratios[n]:.1f}x" if n in ratios else "-" for n in names if n != "fastbp"),
        ]
    )


if __name__ == "__main__":
    main()
