"""What happens when Python itself has no memory for an object? Each request fails once.

    python tests/nomemory.py                 all calls
    python tests/nomemory.py step lerp       some

CPython's test module makes the n-th request of its allocators fail, for n = 1, 2, ... until a call
has succeeded a few times. After each failure the state is that from before the call, or that of
the call done, and the next call works. What NumPy, CPython or safetensors raise then is theirs,
often a SystemError. Returns 1 if something is half done; a crash ends it.
"""

from __future__ import annotations

import _testcapi
import faulthandler
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent / "helpers")]
os.environ["RUST_BACKTRACE"] = "0"  # safetensors has much to say when an object does not fit

from operations import World, save  # noqa: E402

import fastbp as fb  # noqa: E402

SUCCESSES = 12  # in a row: some objects come from free lists, and are not asked for each time
MOST = 20_000

CALLS: dict[str, Callable[[World], Any]] = {
    "step": lambda w: w.trainer.step(w.x, w.y),
    "fit": lambda w: w.trainer.fit(w.x, w.y, sample_weight=w.weights),
    "validated": lambda w: w.trainer.fit(w.x, w.y, validation_data=(w.x, w.y)),
    "batches": lambda w: w.trainer.fit([(w.x[:16], w.y[:16]), (w.x, w.y)]),
    "end_epoch": lambda w: w.trainer.end_epoch((w.x, w.y)),
    "diverging": lambda w: diverging(w),
    "adam": lambda w: adam(w),
    "predict": lambda w: w.net.predict(w.x),
    "evaluate": lambda w: w.trainer.evaluate(w.x, w.y),
    "trace": lambda w: w.net.trace(w.x[0], w.y[0], "cross_entropy"),
    "activations": lambda w: w.net.activations(w.x),
    "copy": lambda w: w.net.copy(),
    "parameters": lambda w: setattr(w.net, "parameters", w.other.parameters),
    "lerp": lambda w: w.net.lerp(w.other, 0.25),
    "save": lambda w: w.trainer.save(w.folder / "saved checkpoint"),
    "load": lambda w: fb.Trainer.load(w.folder / "saved checkpoint"),
}


def diverging(world: World) -> None:
    try:
        world.trainer.fit(world.x * 1e30, world.y)
    except fb.errors.DivergenceError:
        return


def adam(world: World) -> None:
    """Adam forgets what SGD has remembered; not if it does no step."""
    before = world.trainer.optimizer
    world.trainer.optimizer = fb.Adam(0.01)
    try:
        world.trainer.step(world.x, world.y)
    finally:
        world.trainer.optimizer = before


PARTS = "parameters", "memory", "counters", "history or random state", "files"


def state(world: World) -> tuple[Any, ...]:
    """What a call must not leave half done."""
    trainer = world.trainer
    training, history = trainer._state, trainer.history
    columns = {name: column for name, column in history.items() if name != "seconds"}
    lengths = {len(column) for column in history.values()}
    memory = training.memory.last
    return (
        world.net.parameters.tobytes(),
        (memory.memory, memory.begins, memory.values.tobytes()),
        (trainer.n_steps, history.epochs, training.open_epoch.steps, lengths),
        repr((columns, training.generator.state)),
        {path.name for path in world.folder.iterdir()},
    )


def worlds(folder: Path, saves: bool) -> Iterator[World]:
    """One after another, all alike; with files if a call `saves` or loads them."""
    for i in range(MOST):
        part = folder / str(i)
        part.mkdir()
        world = World(part)
        if saves:
            save(world)
        yield world


def faults(name: str, folder: Path, quiet: bool) -> tuple[int, list[str]]:
    """Return how many requests failed, and after which of them something was half done."""
    made, call = worlds(folder, name in ("save", "load")), CALLS[name]
    twin, world = next(made), next(made)
    before = state(world)
    call(twin)
    done, found, successes = state(twin), [], 0
    for n in tqdm(range(MOST), disable=quiet, leave=False):
        error = None
        _testcapi.set_nomemory(n, n + 1)
        try:
            call(world)
        except BaseException as caught:
            error = caught.with_traceback(None)
        finally:
            _testcapi.remove_mem_hooks()
        after, successes = state(world), 0 if error else successes + 1
        if after != done and (after != before or error is None):
            pairs = zip(PARTS, after, before, strict=True)
            parts = ", ".join(name for name, a, b in pairs if a != b)
            found.append(f"request {n}, {error!r}, changed {parts}")
        if isinstance(error, fb.errors.BusyError):
            found.append(f"request {n}: {error}")
        if successes == SUCCESSES:
            return n + 1 - SUCCESSES, found
        if after != before:
            world = next(made)
    return MOST, [*found, "it never succeeds"]


def main(arguments: list[str]) -> int:
    faulthandler.enable()
    quiet = "--quiet" in arguments
    names = [name for name in arguments if name != "--quiet"] or list(CALLS)
    failed = False
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            count, found = faults(name, Path(folder), quiet)
        failed |= bool(found)
        print(f"{name:<12}{count:>6} requests failed", *found[:5], sep="\n    ", flush=True)
    print("FAILED" if failed else "passed: nothing is half done")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
