"""How soon Ctrl-C ends a call: SIGINTs at random moments, and what is left behind after each.

    PYTHONPATH=tests:tests/helpers python tests/interrupts.py --interrupts 200 --seed 0 [--only fit]

Another process sends the signals and writes down when, by the clock and by the CPU time of this
process: the first grows with whatever else the machine does, the second with the threads of a call.
After each the handler is the one from before, and the network predicts, is saved and comes back
from the file bit for bit; where the steps are short, its weights are those of the counted steps.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from training import parameters

import fastbp as fb

DEADLINE = 60  # seconds for one interrupt: longer is a hang
SENDER = """
import os, signal, sys, time
clock_of_parent = ~os.getppid() << 3 | 2  # its CPU time, as clock_getcpuclockid has it on Linux
for line in sys.stdin:
    time.sleep(float(line))
    sent = time.monotonic(), time.clock_gettime(clock_of_parent)
    os.kill(os.getppid(), signal.SIGINT)
    print(*sent, flush=True)
"""
IMPORT = """
import signal, sys, time
import numpy.random  # while it is loaded, Cython's `except: pass` in it may lose an interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print(time.monotonic(), flush=True)
    import fastbp
    time.sleep(2)
    sys.exit("the interrupt is lost")
except KeyboardInterrupt:
    caught = time.monotonic(), time.process_time()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
import fastbp as fb
network = fb.Network(2, [fb.Dense(1, "sigmoid")], seed=0)
fb.Trainer(network, "binary_cross_entropy").fit([[0, 0], [1, 1]], [0, 1], epochs=3)
print(*caught, flush=True)
"""


class Operation(NamedTuple):
    """A call to interrupt, and a check of what is left."""

    call: Callable[[], Any]
    trainer: fb.Trainer
    check: Callable[[], None] = lambda: None


def network(*units: int, inputs: int, **options: Any) -> fb.Network:
    layers = [fb.Dense(n, "relu") for n in units]
    return fb.Network(inputs, [*layers, fb.Dense(10, "softmax")], seed=0, **options)


def data(n: int, columns: int, dtype: str = "float32") -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, columns), np.float32).astype(dtype), np.arange(n) % 10


def own_loss(outputs, labels):
    gradient = outputs - np.eye(10, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


def short_steps(loss: Any = "cross_entropy", **options: Any) -> Operation:
    """Steps of some microseconds, whose weights are compared with those of the same steps anew."""
    x, y = data(2000, 8)
    options = {"batch_size": 50, "shuffle": False, "seed": 0, **options}
    batch, done = options["batch_size"], [0]
    owner, twin = (fb.Trainer(network(12, inputs=8), loss, **options) for _ in range(2))

    def check() -> None:
        epochs, steps = divmod(owner.n_steps - done[0], 2000 // batch)
        if epochs:
            twin.fit(x, y, epochs=epochs)
        for i in range(0, steps * batch, batch):
            twin.step(x[i : i + batch], y[i : i + batch])
        assert parameters(twin.network) == parameters(owner.network)
        done[0] = owner.n_steps

    return Operation(lambda: owner.fit(x, y, epochs=10**8), owner, check)


def with_all() -> Operation:
    """Much that is done in Python: named classes, metrics, weights, a validation, a conversion."""
    x, y = data(60000, 100, "float64")
    names = np.array([f"class {i}" for i in range(10)])[y]
    metrics = ["f1", "auc"]
    net = network(64, inputs=100, preprocessing=fb.preprocess.Standardize().fit(x))
    owner = fb.Trainer(net, "cross_entropy", metrics=metrics, class_weight="balanced", seed=0)
    return Operation(
        lambda: owner.fit(
            x, names, epochs=3, validation_split=0.3, callbacks=[fb.EarlyStopping(3)]
        ),
        owner,
    )


def wide(call: Callable[[fb.Trainer, Any, Any], Any], n: int, **options: Any) -> Operation:
    """Steps and passes of 1.6 million weights."""
    x, y = data(n, 784)
    options = {"seed": 0, "batch_size": 256, **options}
    owner = fb.Trainer(network(1024, 768, inputs=784), "cross_entropy", **options)
    return Operation(lambda: call(owner, x, y), owner)


def files(folder: Path, call: Callable[[fb.Trainer, Path], Any]) -> Operation:
    owner = fb.Trainer(network(1024, 1024, inputs=1024), "cross_entropy", fb.Adam(), seed=0)
    owner.step(*data(10, 1024))
    path = folder / "whole.fbp"
    owner.save(path)
    before = parameters(owner.network)

    def check() -> None:
        assert parameters(fb.load(path)) == before
        assert [found.name for found in folder.iterdir()] == [path.name]

    return Operation(lambda: call(owner, path), owner, check)


def forever(owner: fb.Trainer, x: Any, y: Any) -> None:
    owner.fit(x, y, epochs=10**6)


# Made when they are wanted, in a folder of their own.
CALLS: dict[str, Callable[[Path], Operation]] = {
    "fit, short steps": lambda _: short_steps(),
    "fit, single rows": lambda _: short_steps(batch_size=1),
    "fit, own loss": lambda _: short_steps(loss=own_loss),
    "fit, with all": lambda _: with_all(),
    "fit, wide": lambda _: wide(forever, 20000),
    "fit, one batch": lambda _: wide(forever, 20000, batch_size=None),
    "fit, large batches": lambda _: wide(forever, 20000, batch_size=4000),
    "fit, batches one by one": lambda _: wide(lambda o, x, y: o.fit([(x, y)] * 9, epochs=99), 2000),
    "step": lambda _: wide(lambda o, x, y: o.step(x, y), 20000),
    "predict": lambda _: wide(lambda o, x, y: o.network.predict(x), 100000),
    "predict_classes": lambda _: wide(lambda o, x, y: o.network.predict_classes(x), 100000),
    "evaluate": lambda _: wide(lambda o, x, y: o.evaluate(x, y), 100000, metrics=["f1", "auc"]),
    "gradients": lambda _: wide(
        lambda o, x, y: o.network.gradients(x, y, "cross_entropy", inputs=True), 20000
    ),
    "save": lambda folder: files(folder, lambda o, path: o.save(path)),
    "load": lambda folder: files(folder, lambda o, path: fb.Trainer.load(path)),
}


class Sender:
    """Sends SIGINT to this process after some seconds, from outside, and says when."""

    def __enter__(self) -> Sender:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", SENDER]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def begin(self, seconds: float) -> None:
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def sent(self) -> NDArray[np.float64]:
        return np.array(self._process.stdout.readline().split(), float)


def left_usable(trainer: fb.Trainer) -> None:
    """The network predicts finite numbers, and the same ones after it was saved and loaded."""
    x, _ = data(20, trainer.network.n_inputs)
    rows = trainer.network.predict(x)
    assert np.isfinite(rows).all()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        trainer.network.save(path)
        assert (fb.load(path).predict(x) == rows).all()


Late = list[NDArray[np.float64]]  # pairs of seconds: by the clock, and of CPU time


def now() -> NDArray[np.float64]:
    return np.array([time.monotonic(), time.process_time()])


def interrupted(operation: Operation, count: int, rng: np.random.Generator) -> Late:
    """Interrupt a call `count` times; return how long it took to end each time."""
    begin = time.monotonic()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    late: Late = []
    longest = 0.3
    with Sender() as sender:
        for _ in range(count):
            faulthandler.dump_traceback_later(DEADLINE, exit=True)
            sender.begin(rng.uniform(0, longest))
            try:
                while True:
                    begin = time.monotonic()
                    operation.call()
                    longest = max(0.3, min(3.0, time.monotonic() - begin))
            except KeyboardInterrupt:
                caught = now()
            late.append(caught - sender.sent())
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            left_usable(operation.trainer)
            operation.check()
    faulthandler.cancel_dump_traceback_later()
    signal.signal(signal.SIGINT, handler)
    return late


def interrupted_imports(count: int, rng: np.random.Generator) -> Late:
    """Interrupt ``import fastbp`` in processes of their own, which import it again then.

    One in some hundreds is lost by Python itself, as in any import, and says so: one that comes
    while a lock of `importlib` is deleted, where exceptions are ignored.
    """
    late: Late = []
    for _ in range(count):
        command = [sys.executable, "-c", IMPORT]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.25))
            sent = np.array([time.monotonic(), time.clock_gettime(~process.pid << 3 | 2)])
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE)
            if "Exception ignored in: <function _get_module_lock" in err:
                continue
            assert process.returncode == 0, err
            late.append(np.array(out.split(), float) - sent)
    return late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--interrupts", type=int, default=200, help="of each call")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="calls whose names begin so")
    parser.add_argument("--threads", type=int, help="default: those of the machine")
    options = parser.parse_args()
    fb.set_num_threads(options.threads)
    head = f"{'p50':>8} {'p99':>8} {'max':>8}"
    print(f"{'milliseconds from SIGINT':27}{'by the clock':>26}{'of CPU time':>28}")
    print(f"{'to KeyboardInterrupt':27}{head}  {head}")
    with tempfile.TemporaryDirectory() as folder:
        calls: dict[str, Callable[[np.random.Generator], Late]] = {
            name: lambda rng, make=make: interrupted(make(Path(folder)), options.interrupts, rng)
            for name, make in CALLS.items()
        }
        calls["import"] = lambda rng: interrupted_imports(options.interrupts, rng)
        for name, measure in calls.items():
            if name.startswith(options.only):
                late = 1e3 * np.array(measure(np.random.default_rng(options.seed)))
                times = np.percentile(late, (50, 99, 100), axis=0).T
                shown = (" ".join(f"{value:8.1f}" for value in values) for values in times)
                print(f"{name:27}{'  '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
