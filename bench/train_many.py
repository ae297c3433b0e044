"""Networks side by side and one after another: ``python bench/train_many.py``.

The same networks, which differ in their seeds, are trained by `fb.train_many` on --threads cores,
and by one `fit` after another: on one thread, which is what the gain is over, and with the whole
team for each. The ways take turns, and all must end with the same bits. "Python" is the time of an
epoch's Python code, which only one thread runs at a time, in percent of an epoch: that of an epoch
of one tiny step, on the processor's clock. The exit status is 1 when the gain of a case is below
0.9 times the number of threads.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import options
import report
from timing import rounds, seconds_of, spread

import fastbp as fb
from fastbp.engine.runtime import get_num_threads

WANTED = 0.9  # of the number of threads
TINY_EPOCHS = 2000


class Case(NamedTuple):
    """Rows, their columns, hidden widths, batch size; epochs that take some tenths of a second."""

    rows: int
    inputs: int
    hidden: list[int]
    batch: int
    epochs: int


CASES = {
    "1800-64-64-10, batch 32": Case(1800, 64, [64], 32, 200),
    "10000-64-256-10, batch 128": Case(10_000, 64, [256], 128, 20),
    "10000-784-256-128-10, batch 128": Case(10_000, 784, [256, 128], 128, 4),
    "150-4-16-10, batch 32": Case(150, 4, [16], 32, 4000),
}
TITLES = ["rows-widths", "one thread each s", "all threads each s", "side by side s", "± %", "gain",
          "Python %"]  # fmt: skip


def main() -> int:
    parser = options.parser(__doc__, only="", threads=get_num_threads())
    parser.add_argument("--networks", type=int, default=8, help="of each case (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="of the three ways (%(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of the epochs (%(default)s)")
    arguments = parser.parse_args()
    facts = report.here(arguments.threads)
    report.show(facts)
    print(report.head(TITLES))
    fb.set_num_threads(arguments.threads)
    named = {name: (name, case) for name, case in CASES.items()}
    results = [measure(*one, arguments) for one in options.choose(arguments.only, named)]
    report.write(arguments.json, facts, results)
    return int(min(result["gain"] for result in results) < WANTED * arguments.threads)


def measure(name: str, case: Case, arguments: Any) -> dict[str, Any]:
    """Return the record of a case."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.rows, case.inputs)).astype(np.float32)
    y = np.arange(case.rows) % 10
    epochs = max(1, round(case.epochs * arguments.share))
    config = {"hidden": case.hidden, "batch_size": case.batch, "optimizer": fb.SGD(0.01)}
    configs = [config | {"seed": seed} for seed in range(arguments.networks)]
    bits: dict[str, list[bytes]] = {}

    def way(label: str, train: Callable[[], list[fb.Network]]) -> Callable[[], float]:
        def timed() -> float:
            networks: list[fb.Network] = []
            seconds = seconds_of(lambda: networks.extend(train()))
            bits[label] = [network.parameters.tobytes() for network in networks]
            return seconds

        return timed

    def together() -> list[fb.Network]:
        return [entry.network for entry in fb.train_many(configs, x, y, epochs)]

    def in_turn(n_threads: int) -> Callable[[], list[fb.Network]]:
        def train() -> list[fb.Network]:
            found = []
            for config in configs:
                one = fb.train_many([config], x, y, epochs, n_jobs=1, n_threads=n_threads)
                found.append(one[0].network)
            return found

        return train

    samples = rounds(
        {
            "one": way("one", in_turn(1)),
            "all": way("all", in_turn(arguments.threads)),
            "many": way("many", together),
        },
        arguments.rounds,
    )
    if len(set(map(tuple, bits.values()))) != 1:
        sys.exit(f"{name}: the bits differ")
    one, every, many = (statistics.median(samples[way]) for way in ("one", "all", "many"))
    epoch = one / (arguments.networks * epochs)
    record = {
        "case": name,
        "samples": samples,
        "gain": one / many,
        "python": python_of_an_epoch() / epoch,
    }
    cells = [f"{value:.3f}" for value in (one, every, many)]
    wide = f"{100 * spread(samples['many']):.1f}" if len(samples["many"]) > 1 else "-"
    cells += [wide, f"{record['gain']:.2f}", f"{100 * record['python']:.1f}"]
    print(report.row([name, *cells]), flush=True)
    return record


def python_of_an_epoch() -> float:
    """Return the seconds of an epoch of one step of two rows, nearly all of them Python's."""
    network = fb.Network(2, [fb.Dense(2, "softmax")], seed=0)
    trainer = fb.Trainer(network, "cross_entropy", batch_size=2, n_threads=1)
    x, y = np.eye(2), np.arange(2)
    trainer.fit(x, y, 10)
    begin = time.thread_time()
    trainer.fit(x, y, TINY_EPOCHS)
    return (time.thread_time() - begin) / TINY_EPOCHS


if __name__ == "__main__":
    sys.exit(main())
