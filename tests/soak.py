"""Does anything grow? A million steps, and thousands of predictions, files, threads and errors.

    python tests/soak.py                          all of it, some minutes on two cores
    python tests/soak.py --scale 0.01 --seed 3    a hundredth of it, on other data

All kinds of work go on in turn, in a hundred rounds. What the process holds after a tenth of them
is compared with what it holds at the end: the engine's bytes, file descriptors and threads must be
equal, and resident memory must not have grown by 64 KiB. It returns 1 if anything has grown.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import resource
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import fastbp as fb
from fastbp.engine import runtime

MOST_GROWTH = 64  # KiB of resident memory
BATCH = 8
STEPS_OF_A_FIT = 500
ROUNDS = 100
M_ARENA_MAX = -8  # of glibc's malloc.h


class Held(NamedTuple):
    """What the process holds."""

    live_bytes: int
    files: int
    threads: int
    resident: int  # KiB

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            runtime.live_bytes(),
            len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")),
            pages * resource.getpagesize() // 1024,
        )


def grown(early: Held, late: Held, most_growth: float = MOST_GROWTH) -> list[str]:
    """Return the names of what has grown."""
    pairs = zip(Held._fields, early, late, strict=True)
    found = [name for name, before, after in pairs if name != "resident" and after != before]
    if late.resident - early.resident >= most_growth:
        found.append("resident")
    return found


def measured(work: Callable[[int], None], rounds: int = ROUNDS, quiet: bool = False) -> list[Held]:
    """Do `work(i)` for i in range(rounds); return what is held after each tenth of them."""
    found = []
    for i in tqdm(range(rounds), desc="rounds", disable=quiet, leave=False):
        work(i)
        if (i + 1) % (rounds // 10) == 0:
            found.append(Held.now())
    return found


class Soak:
    """Small networks and their data, and the work that is done with them."""

    def __init__(self, seed: int, folder: Path) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((4000, 20)).astype(np.float32)
        self.y = rng.integers(0, 3, 4000)
        self.folder, self.seed = folder, seed
        self.net = self.network()
        self.trainer = self.new_trainer(self.network())
        self.wanted = self.net.predict(self.x)

    def network(self) -> fb.Network:
        layers = [fb.Dense(32, "relu"), fb.Dense(3, "softmax")]
        return fb.Network(20, layers, seed=self.seed)

    def new_trainer(self, net: fb.Network) -> fb.Trainer:
        return fb.Trainer(net, "cross_entropy", fb.SGD(1e-3, 0.9), BATCH, seed=self.seed)

    def step(self, i: int) -> None:
        """One call of `step`; and of a trainer that is new now and then, one of `fit`."""
        if i % STEPS_OF_A_FIT == 0:
            self.fitted = self.new_trainer(self.network())
        first = i * BATCH % len(self.x)
        self.fitted.step(self.x[first : first + BATCH], self.y[first : first + BATCH])

    def fit(self, i: int) -> None:
        """As many steps in one call of `fit`, by a trainer that is new now and then."""
        if i % 10 == 0:
            self.fitted = self.new_trainer(self.network())
        n = STEPS_OF_A_FIT * BATCH
        self.fitted.fit(self.x[:n], self.y[:n], validation_data=(self.x[:100], self.y[:100]))

    def predict(self, i: int) -> None:
        rows = 1 + 997 * i % len(self.x)
        assert (self.net.predict(self.x[:rows])[-1] == self.wanted[rows - 1]).all()

    def file(self, i: int) -> None:
        """Save and load the network and the trainer."""
        model, checkpoint = self.folder / "model", self.folder / "checkpoint"
        self.net.save(model)
        self.trainer.save(checkpoint)
        found = fb.load(model), fb.Trainer.load(checkpoint).network
        for saved, loaded in zip((self.net, self.trainer.network), found, strict=True):
            assert (loaded.parameters == saved.parameters).all()

    def thread(self, i: int) -> None:
        """A thread predicts, by itself or with a team, and ends."""
        rows, found = (len(self.x) if i % 10 == 0 else 5), []
        thread = threading.Thread(target=lambda: found.append(self.net.predict(self.x[:rows])))
        thread.start()
        thread.join()
        assert (found[0] == self.wanted[:rows]).all()

    def error(self, i: int) -> None:
        """One of many errors."""
        work, kind = self.errors()[i % len(self.errors())]
        try:
            work()
        except kind:
            return
        finally:
            runtime.fail_allocation(0)
        raise AssertionError(f"error {i % len(self.errors())} was not raised")

    def errors(self) -> list[tuple[Callable[[], object], type[BaseException]]]:
        def new() -> fb.Trainer:  # the history of an old one would grow
            return self.new_trainer(self.network())

        x, y, net, trainer = self.x[:100], self.y[:100], self.net, self.trainer
        broken = self.folder / "broken"
        if not broken.exists():
            broken.write_bytes(b"no model")
        nan = np.full_like(x, np.nan)
        return [
            (lambda: net.predict(nan), fb.errors.InputError),
            (lambda: net.predict(x[:, 1:]), fb.errors.ShapeError),
            (lambda: net.predict([["a"] * 20]), fb.errors.DTypeError),
            (lambda: trainer.fit(x, np.arange(100) % 4), fb.errors.LabelError),
            (lambda: trainer.fit(nan, y), fb.errors.InputError),
            (lambda: new().fit(x, y, callbacks=[interrupt]), KeyboardInterrupt),
            (lambda: new().fit(x * 1e30, y, 3), fb.errors.FastbpError),
            (lambda: fb.load(broken), fb.errors.CorruptModelError),
            (lambda: fb.load(self.folder / "none"), OSError),
            (lambda: fb.Dense(0), fb.errors.ConfigError),
            (lambda: fb.Network(3, [fb.Dense(3)], dtype="int8"), fb.errors.FastbpError),
            (lambda: self.without_memory(1), MemoryError),
            (lambda: self.without_memory(2), MemoryError),
        ]

    def without_memory(self, nth: int) -> None:
        other = self.new_trainer(self.network())
        runtime.fail_allocation(nth)
        other.fit(self.x, self.y)


def interrupt(trainer: fb.Trainer, history: fb.History) -> None:
    raise KeyboardInterrupt


# How often each kind of work is done.
COUNTS = {
    "step": 500_000,
    "fit": 500_000 // STEPS_OF_A_FIT,
    "predict": 10_000,
    "file": 1_000,
    "thread": 10_000,
    "error": 10_000,
}


def round_of(soak: Soak, counts: dict[str, int]) -> Callable[[int], None]:
    """Return the work of a round, whose number it takes: its share of each kind."""

    def work(i: int) -> None:
        for name, count in counts.items():
            for j in range(count * i // ROUNDS, count * (i + 1) // ROUNDS):
                getattr(soak, name)(j)

    return work


def use_one_arena() -> None:
    """Let glibc serve all threads from one heap: by default it makes new ones, 16 on two cores, now
    and then when two threads ask at once, each some 100 KiB, and that looks like a leak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of all counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COUNTS, help="one kind of work")
    parser.add_argument("--most-growth", type=float, default=MOST_GROWTH, help="in KiB")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(arguments)
    counts = {
        name: round(count * given.scale)
        for name, count in COUNTS.items()
        if given.only in (None, name)
    }
    print(*(f"{count} x {name}" for name, count in counts.items()), sep=", ", flush=True)
    use_one_arena()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(given.seed, Path(folder))
        found = measured(round_of(soak, counts), quiet=given.quiet)
    print(f"{'done':<6}" + "".join(f"{name:>12}" for name in Held._fields) + " (KiB)")
    for tenth, held in enumerate(found, start=1):
        print(f"{tenth:>3}0%  " + "".join(f"{value:>12}" for value in held))
    names = grown(found[0], found[-1], given.most_growth)
    print(f"FAILED, grown: {', '.join(names)}" if names else "passed: nothing has grown")
    return bool(names)


if __name__ == "__main__":
    sys.exit(main())
