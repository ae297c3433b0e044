"""Time of a step on 1, 2, ... threads, beside a model of many: ``python bench/scaling.py``.

Measured are whole shuffled epochs on as many threads as the machine has, in rounds. Predicted is
the speed-up on up to 64 threads from what single kernels, barriers and bandwidth were measured to
cost (scaling_model.py, which says what limits there are), each prediction with its limit. Left out
are shapes whose step the engine does on one thread, or in the streaming regime.

Efficiency is the predicted speed-up over the threads.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from statistics import median
from typing import Any

import options
import report
from contestant import FastBP
from problems import SHAPES, Problem, Shape
from scaling_costs import Bandwidth, Barriers, Kernels, outside_steps
from scaling_model import Costs, Prediction, limit, predict
from timing import ROUNDS, repeats_in, rounds, seconds_of, spread

from fastbp.engine.costmodel import describe
from fastbp.engine.runtime import get_num_threads

PREDICTED = (2, 4, 8, 16, 64)
TITLES = ["threads", "team", "wide", "speed-up", "efficiency", "measured", "spread"]
TITLES += ["A µs", "update µs", "hand-over µs", "serial µs", "waiting µs", "limit"]


def main() -> None:
    arguments = _arguments()
    shapes = options.choose(arguments.only, {s.name: s for s in SHAPES if _is_shared_out(s)})
    facts = report.here(arguments.threads)
    report.show(facts)
    barriers = Barriers(arguments.threads)
    bandwidth = Bandwidth(arguments.threads, arguments.memory_bandwidth)
    machine = _machine(barriers, bandwidth)
    report.show({name: f"{value:.4g}" for name, value in machine.items()})
    results = []
    for shape in shapes:
        problem = Problem(shape)
        timings = _measure(problem, arguments)
        kernels, serial = Kernels(shape), outside_steps(FastBP(problem, 1))
        costs = Costs(kernels.item, kernels.block, barriers, bandwidth, serial, bandwidth.own)
        results.append(_record(shape, timings, costs))
        _print(results[-1])
    report.write(arguments.json, facts, results, machine=machine)


def _arguments() -> argparse.Namespace:
    parser = options.parser(__doc__, only="", threads=get_num_threads(), seconds=2.0)
    parser.add_argument(
        "--memory-bandwidth",
        type=_gigabytes,
        metavar="GB/S",
        help="of the whole machine, read and written; default: what its cores draw",
    )
    return parser.parse_args()


def _is_shared_out(shape: Shape) -> bool:
    """Whether a second thread takes part, in phases that the model knows."""
    cut = describe(shape.widths, shape.batch, 2)
    return cut["team"] > 1 and bool(cut["phases"])


def _gigabytes(text: str) -> float:
    return 1e9 * float(text)


def _machine(barriers: Barriers, bandwidth: Bandwidth) -> dict[str, float]:
    facts = {f"barrier of {team}, ns": 1e9 * s for team, s in barriers.measured.items()}
    facts["cache of a core, MB"] = bandwidth.own / 2**20
    facts["shared cache, MB"] = bandwidth.shared / 2**20
    facts["shared cache GB/s per thread"] = bandwidth.of_shared / 1e9
    facts["memory GB/s of one thread"] = bandwidth.of_memory / 1e9
    facts["memory GB/s of the machine"] = bandwidth.most / 1e9
    return facts


def _measure(problem: Problem, arguments: argparse.Namespace) -> dict[int, list[float]]:
    """Return samples of microseconds per step by threads."""

    def measure(threads: int) -> Callable[[], float]:
        running = FastBP(problem, threads)
        running.train(1)

        def seconds(epochs: int) -> float:
            return seconds_of(lambda: running.train(epochs))

        epochs = repeats_in(arguments.seconds / ROUNDS, seconds)
        return lambda: 1e6 * seconds(epochs) / (epochs * problem.shape.steps)

    return rounds({threads: measure(threads) for threads in range(1, arguments.threads + 1)})


def _record(shape: Shape, timings: dict[int, list[float]], costs: Costs) -> dict[str, Any]:
    """Return the record of one shape; measured times are microseconds per step."""
    medians = {threads: median(taken) for threads, taken in timings.items()}
    one = predict(shape.widths, shape.batch, 4, costs, 1)
    threads = sorted({*timings, *PREDICTED} - {1})
    many = [predict(shape.widths, shape.batch, 4, costs, t) for t in threads]
    return {
        "shape": shape.name,
        "microseconds": medians,
        "spread": {t: spread(taken) for t, taken in timings.items()},
        "speed_up": {t: medians[1] / time for t, time in medians.items()},
        "samples": timings,
        "model": [_model_record(one, one), *(_model_record(one, p) for p in many)],
    }


def _model_record(one: Prediction, prediction: Prediction) -> dict[str, Any]:
    """Return the prediction in microseconds, its speed-up over `one`, and its limit."""
    speed_up = one.seconds / prediction.seconds
    return {
        "threads": prediction.threads,
        "team": prediction.team,
        "wide": prediction.wide,
        "microseconds": 1e6 * prediction.seconds,
        "speed_up": speed_up,
        "efficiency": speed_up / prediction.threads,
        "limit": limit(one, prediction),
        "parts": {
            name: 1e6 * value
            for name, value in dataclasses.asdict(prediction).items()
            if name not in ("threads", "team", "wide")
        },
    }


def _print(record: dict[str, Any]) -> None:
    one, measured = record["model"][0]["microseconds"], record["microseconds"]
    print(
        f"{record['shape']}: {report.number(measured[1])} µs on one thread, "
        f"{report.number(one)} by the model ({one / measured[1]:.0%})\n"
    )
    print(report.head(TITLES))
    for model in record["model"]:
        print(_row(model, record))
    print(flush=True)


def _row(model: dict[str, Any], record: dict[str, Any]) -> str:
    threads, parts = model["threads"], model["parts"]
    known = threads in record["speed_up"]
    names = ("phase_a", "update", "hand_over", "serial", "bandwidth")
    return report.row(
        [
            str(threads),
            str(model["team"]),
            "yes" if model["wide"] else "no",
            f"{model['speed_up']:.2f}",
            f"{model['efficiency']:.0%}",
            f"{record['speed_up'][threads]:.2f}" if known else "-",
            f"{record['spread'][threads]:.1%}" if known else "-",
            *(report.number(parts[name]) for name in names),
            model["limit"] or "-",
        ]
    )


if __name__ == "__main__":
    main()
