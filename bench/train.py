"""Time of an SGD step of fastbp and its peers: ``python bench/train.py``.

For each shape, every contestant trains the same network on the same data from the same weights.
First the results are validated: fastbp's loss and weights against float64 NumPy, then that every
contestant starts from the same loss and lowers it. Then whole shuffled epochs are timed,
contestant after contestant in rounds; each has a process of its own, stopped while it is not
timed. Reported are medians over the rounds, the spread (half the interquartile range, in percent
of the median), and

    GFLOP/s = 2 * batch * (3 P - P1) / time of a step

with P weights, P1 of them in the first layer, whose inputs need no gradient. The peak is that of
fused multiply-adds from registers, measured on as many threads in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from problems import SHAPES, Shape
from report import header, result, row
from worker import ContestantError, Worker

PEERS = ("numpy", "torch", "jax", "sklearn")
ROUNDS = 7
PEAK_MILLISECONDS = 30


def main() -> None:
    arguments = _arguments()
    shapes = [shape for shape in SHAPES if arguments.only in shape.name]
    if not shapes:
        sys.exit(f"no shape has {arguments.only!r} in its name; there are: {_names(SHAPES)}")
    with ExitStack() as stack:
        workers = _start(["fastbp", *arguments.peers], arguments.threads, stack)
        environment = _environment(workers, arguments.threads)
        print(*(f"{name}: {value}" for name, value in environment.items()), sep="\n", end="\n\n")
        print(header(list(workers)), flush=True)
        results = []
        for shape in shapes:
            peak = results[-1]["peak_gflops"] if results else environment["peak GFLOP/s"]
            results.append(_measure(shape, workers, arguments.seconds, peak))
            print(row(results[-1], list(workers)), flush=True)
    if arguments.json:
        report = {"environment": environment, "results": results}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", default="", metavar="SUBSTRING", help="of the shapes' names, as in 784-128-10")
    add("--peers", type=_peers, default=",".join(PEERS), help="some of %(default)s; '' for none")
    add("--threads", type=int, metavar="N", help="of every contestant; default: fastbp's own")
    add("--seconds", type=float, default=3.0, help="for each contestant and shape (%(default)s)")
    add("--json", metavar="FILE", help="write all samples there")
    arguments = parser.parse_args()
    if arguments.threads is None:
        from fastbp._runtime import get_num_threads

        arguments.threads = get_num_threads()
    return arguments


def _peers(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"no peer {name!r}; there are {', '.join(PEERS)}")
    return names


def _names(shapes: list[Shape]) -> str:
    return "; ".join(shape.name for shape in shapes)


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


def _environment(workers: dict[str, Worker], n_threads: int) -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": n_threads,
        "isa": workers["fastbp"].ask("isa")["isa"],
        "peak GFLOP/s": round(max(_peak(workers["fastbp"]) for _ in range(ROUNDS)), 1),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {worker.version}" for name, worker in workers.items()),
    }


def _peak(worker: Worker) -> float:
    return worker.ask("peak", milliseconds=PEAK_MILLISECONDS)["gflops"]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _measure(
    shape: Shape, workers: dict[str, Worker], seconds: float, peak: float
) -> dict[str, Any]:
    """Validate and time one shape; a peer that fails is named and left out of it.

    `peak` is the best of the probes so far: a busy neighbour can only lower it.
    """
    epochs, losses, failures = {}, {}, {}
    for name, worker in workers.items():
        try:
            losses[name] = _validate(shape, worker, losses["fastbp"][0] if losses else None)
            epochs[name] = _epochs_in(worker, seconds / ROUNDS)
        except ContestantError as error:
            if name == "fastbp":
                raise
            failures[name] = str(error)
            print(f"{shape.name}: without {error}", file=sys.stderr)
    timings: dict[str, list[float]] = {name: [] for name in epochs}
    for _ in range(ROUNDS):
        peak = max(peak, _peak(workers["fastbp"]))
        for name, n in epochs.items():
            elapsed = workers[name].ask("time", epochs=n)["seconds"]
            timings[name].append(elapsed / (n * shape.steps) * 1e6)
    return result(shape, timings, peak, losses, failures)


def _validate(shape: Shape, worker: Worker, start: float | None) -> list[float]:
    """Return the losses before and after two epochs; ContestantError if they cannot be right."""
    loaded = worker.ask("load", widths=shape.widths, batch=shape.batch, steps=shape.steps)
    before = loaded["loss"]
    if start is not None and loaded["given_weights"] and abs(before / start - 1) > 1e-3:
        raise ContestantError(f"{worker.name}: starts with a loss of {before}, not of {start}")
    worker.ask("time", epochs=2)
    after = worker.ask("loss")["loss"]
    if not after < before:
        raise ContestantError(f"{worker.name}: the loss went from {before} to {after}")
    return [before, after]


def _epochs_in(worker: Worker, seconds: float) -> int:
    """Return how many epochs take about so long, one at least."""
    epochs = 1
    while (elapsed := worker.ask("time", epochs=epochs)["seconds"]) < seconds / 4:
        epochs *= 4
    return max(1, round(epochs * seconds / elapsed))


if __name__ == "__main__":
    main()
