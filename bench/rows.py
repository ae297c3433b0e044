"""Memory that training and prediction take over rows used in place: ``python bench/rows.py``.

The rows are a memory-mapped file of --gigabytes, or 60,000 images of bytes; the network is
784-32-10 in float32. "over the data" is the largest anonymous memory of the process during the
call (RssAnon in /proc/self/status, read every millisecond) less that before it; pages of the file
are the system's to drop. Each case has a process of its own. The exit status is 1 when one takes
100 MB or more. MB are 2**20 bytes, GB 2**30.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import options
import report

import fastbp as fb
from fastbp.engine.runtime import get_num_threads

MB, GB = 2**20, 2**30
ALLOWED = 100 * MB
N_INPUTS, IMAGES = 784, 60_000
STATUS = Path("/proc/self/status")
CALLS: dict[str, Callable[[fb.Trainer, Any, Any], Any]] = {
    "fit": lambda trainer, x, y: trainer.fit(x, y),
    "evaluate": lambda trainer, x, y: trainer.evaluate(x, y),
    "predict": lambda trainer, x, y: trainer.network.predict(x),
}
CASES = {  # dtype of the rows, whether they are a file, whether the network standardizes, call
    "float64 file: fit": ("float64", True, False, "fit"),
    "uint8 images: fit": ("uint8", False, False, "fit"),
    "uint8 images, standardized: fit": ("uint8", False, True, "fit"),
    "float32 file, standardized: fit": ("float32", True, True, "fit"),
    "float32 file, standardized: evaluate": ("float32", True, True, "evaluate"),
    "float32 file, standardized: predict": ("float32", True, True, "predict"),
}
TITLES = ["rows, call", "data MB", "over the data MB", "seconds", "fits"]


def main() -> int:
    if not STATUS.exists():
        sys.exit("this needs /proc/self/status, which only Linux has")
    arguments = _arguments()
    facts = report.here(arguments.threads)
    report.show(facts)
    print(report.head(TITLES))
    names = {name: name for name in CASES}
    chosen = options.choose(arguments.only, names)
    results = [_apart(name, arguments.gigabytes, arguments.threads) for name in chosen]
    report.write(arguments.json, facts, results)
    return int(not all(result["fits"] for result in results))


def _arguments() -> Any:
    parser = options.parser(__doc__, only="", threads=get_num_threads())
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of a file (%(default)s)")
    return parser.parse_args()


def _apart(name: str, gigabytes: float, threads: int) -> dict[str, Any]:
    """Return the record of a case, measured in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        record = pool.submit(measure, name, gigabytes, threads).result()
    cells = [f"{record[key] / MB:.1f}" for key in ("data", "over")]
    cells += [f"{record['seconds']:.2f}", "yes" if record["fits"] else "no"]
    print(report.row([name, *cells]), flush=True)
    return record


def measure(name: str, gigabytes: float, threads: int) -> dict[str, Any]:
    """Return the record of a case, measured in this process; bytes."""
    dtype, in_file, standardizes, call = CASES[name]
    fb.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        if in_file:
            n = int(gigabytes * GB / (N_INPUTS * np.dtype(dtype).itemsize))
            x: Any = np.memmap(Path(folder, "x"), dtype, "w+", shape=(n, N_INPUTS))
        else:
            x = np.zeros((IMAGES, N_INPUTS), dtype)
        for first in range(0, len(x), 10_000):  # written, so that the pages are there
            x[first : first + 10_000] = 1
        y = np.arange(len(x)) % 10
        trainer = _trainer(standardizes)
        trainer.network.predict(x[:1])  # threads and libraries are there
        before, begin = anonymous_bytes(), perf_counter()
        with Peak() as peak:
            CALLS[call](trainer, x, y)
        over, seconds = peak.bytes - before, perf_counter() - begin
        record = {"name": name, "data": x.nbytes, "over": over, "seconds": seconds}
        return record | {"fits": over < ALLOWED}


def _trainer(standardizes: bool) -> fb.Trainer:
    affine = fb.preprocess.Affine(np.ones(N_INPUTS), np.full(N_INPUTS, 0.5))
    layers = [fb.Dense(32, "relu"), fb.Dense(10, "softmax")]
    ahead = affine if standardizes else None
    network = fb.Network(N_INPUTS, layers, seed=0, preprocessing=ahead)
    return fb.Trainer(network, "cross_entropy", batch_size=64, seed=0)


def anonymous_bytes() -> int:
    """Return the memory of this process that is no page of a file."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024


class Peak:
    """The largest `anonymous_bytes` within a ``with`` block."""

    def __enter__(self) -> Peak:
        self.bytes, self._over = anonymous_bytes(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.001):
            self.bytes = max(self.bytes, anonymous_bytes())
        self.bytes = max(self.bytes, anonymous_bytes())


if __name__ == "__main__":
    sys.exit(main())
