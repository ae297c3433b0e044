"""What a feature adds to a step: ``python bench/features.py``.

784-128-10 at batch 64 on random rows, trained by plain SGD with ReLU, and once for each feature
that costs arithmetic with that feature in its place; all take turns in rounds, in one process. The
exit status is 1 when a ratio is above its mark.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median
from typing import Any

import numpy as np
import options
import report
from timing import ROUNDS, repeats_in, rounds, seconds_of, spread

import fastbp as fb
from fastbp.engine.runtime import get_num_threads

N_INPUTS, UNITS, CLASSES, BATCH, STEPS = 784, 128, 10, 64, 200
PLAIN = "ReLU, SGD"
OPTIMIZERS: dict[str, tuple[Any, float | None]] = {  # and the ratio they may have
    "SGD, momentum 0.9": (fb.SGD(0.01, momentum=0.9), None),
    "Adagrad": (fb.Adagrad(0.01), None),
    "RMSprop": (fb.RMSprop(0.001), None),
    "Adam": (fb.Adam(0.001), 1.25),
    "AdamW": (fb.AdamW(0.001), 1.25),
}
LAYERS: dict[str, tuple[dict[str, Any], float | None]] = {
    "dropout 0.2": ({"dropout": 0.2}, 1.15),
    **{name: ({"activation": name}, 1.15) for name in ("sigmoid", "tanh", "gelu")},
    **{name: ({"activation": name}, None) for name in ("leaky_relu", "elu", "softplus", "silu")},
}
TRAINERS: dict[str, dict[str, Any]] = {
    "l1 and l2": {"l1": 1e-5, "l2": 1e-4},
    "clip_value": {"clip_value": 1.0},
    "clip_norm": {"clip_norm": 1.0},
    "max_norm": {"max_norm": 3.0},
}
TITLES = ["feature", "µs per step", "spread", "ratio", "at most"]


def main() -> int:
    arguments = _arguments()
    facts = report.here(arguments.threads)
    report.show(facts)
    features = options.choose(arguments.only, {name: name for name in _marks()})
    names = [PLAIN, *(name for name in features if name != PLAIN)]
    samples = _samples(names, arguments.threads, arguments.seconds)
    results = [_record(name, samples) for name in names]
    print(report.head(TITLES))
    for result in results:
        print(_row(result))
    report.write(arguments.json, facts, results)
    return int(any(result["ratio"] > (result["mark"] or np.inf) for result in results))


def _arguments() -> argparse.Namespace:
    return options.parser(__doc__, only="", threads=get_num_threads(), seconds=1.5).parse_args()


def _marks() -> dict[str, float | None]:
    """Return every feature and the ratio it may have."""
    marks = {PLAIN: None} | dict.fromkeys(TRAINERS)
    return marks | {name: mark for name, (_, mark) in (OPTIMIZERS | LAYERS).items()}


def _trainer(name: str, n_threads: int) -> fb.Trainer:
    hidden: dict[str, Any] = {"activation": "relu"}
    hidden |= LAYERS.get(name, ({}, None))[0]
    optimizer = OPTIMIZERS.get(name, (fb.SGD(0.01), None))[0]
    layers = [fb.Dense(UNITS, **hidden), fb.Dense(CLASSES, "softmax")]
    network = fb.Network(N_INPUTS, layers, seed=0)
    given = {"batch_size": BATCH, "seed": 0, "n_threads": n_threads, **TRAINERS.get(name, {})}
    return fb.Trainer(network, "cross_entropy", optimizer, **given)


def _samples(names: list[str], n_threads: int, seconds: float) -> dict[str, list[float]]:
    """Return microseconds per step, one figure a round."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH * STEPS, N_INPUTS), dtype=np.float32)
    y = rng.integers(0, CLASSES, len(x))
    measures = {}
    for name in names:
        trainer = _trainer(name, n_threads)
        trainer.fit(x, y)  # warm, and found to work

        def run(epochs: int, trainer: fb.Trainer = trainer) -> float:
            return seconds_of(lambda: trainer.fit(x, y, epochs=epochs))

        epochs = repeats_in(seconds / ROUNDS, run)
        measures[name] = lambda run=run, n=epochs: 1e6 * run(n) / (n * STEPS)
    return rounds(measures)


def _record(name: str, samples: dict[str, list[float]]) -> dict[str, Any]:
    """Return one feature's figures; the ratio is the median of those within a round."""
    pairs = zip(samples[name], samples[PLAIN], strict=True)
    return {
        "feature": name,
        "microseconds": median(samples[name]),
        "spread": spread(samples[name]),
        "ratio": median(mine / plain for mine, plain in pairs),
        "mark": _marks()[name],
        "samples": samples[name],
    }


def _row(record: dict[str, Any]) -> str:
    cells = [record["feature"], report.number(record["microseconds"]), f"{record['spread']:.1%}"]
    mark = "-" if record["mark"] is None else f"{record['mark']:.2f}"
    return report.row([*cells, f"{record['ratio']:.2f}", mark])


if __name__ == "__main__":
    sys.exit(main())
