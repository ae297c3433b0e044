"""What programs do with processes and threads around a training: each returns digests to compare.

    PYTHONPATH=tests:tests/helpers python -m scenarios "two trainers" --repeats 20 --deadline 10

A repetition that takes longer than the deadline is a hang: the stacks of all threads are printed,
and the process ends with an error.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from training import parameters

import fastbp as fb
from fastbp.errors import BusyError

X = np.random.default_rng(0).standard_normal((600, 120)).astype(np.float32)
Y = np.arange(600) % 10
SIZES = 1, 7, 300  # rows of a prediction; the last is shared by two threads
FOREVER = 10**9


def trainer(n_threads: int = 2, seed: int = 0) -> fb.Trainer:
    """Steps that two threads share, by columns: the regime with the most to go wrong."""
    layers = [fb.Dense(200, "relu"), fb.Dense(100, "tanh"), fb.Dense(10, "softmax")]
    net = fb.Network(120, layers, seed=seed)
    options = {"batch_size": 64, "seed": seed, "n_threads": n_threads}
    return fb.Trainer(net, "cross_entropy", fb.SGD(0.1, momentum=0.9), **options)


def work(n_threads: int = 2, seed: int = 0, epochs: int = 3) -> str:
    """Train and predict; what it returns is the same wherever it runs."""
    warnings.simplefilter("ignore", RuntimeWarning)  # of a forked child that has no team
    owner = trainer(n_threads, seed)
    owner.fit(X, Y, epochs=epochs)
    return parameters(owner.network) + str(owner.network.predict(X).sum(dtype=float))


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def forked() -> str:
    """What `work` returns in a child made by `os.fork`, which then ends without Python's end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        found = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return found


def fork() -> list[str]:
    return [work(), forked(), work()]


def fork_beside_training() -> list[str]:
    owner, begun = trainer(), threading.Event()
    thread = in_thread(lambda: owner.fit(X, Y, epochs=FOREVER, callbacks=[lambda *_: begun.set()]))
    begun.wait()
    found = [forked(), forked(), work()]
    owner.stop()
    thread.join()
    return found


def pool(method: str) -> list[str]:
    work()
    with multiprocessing.get_context(method).Pool(2) as processes:
        return processes.starmap(work, [()] * 4, chunksize=1)


def joblib(backend: str) -> list[str]:
    from joblib import Parallel, delayed

    work()
    return list(Parallel(n_jobs=2, backend=backend)(delayed(work)() for _ in range(4)))


def executor() -> list[str]:
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(lambda _: work(), range(4)))


def predictions(threads: int = 16, calls: int = 1000) -> list[str]:
    net = trainer().network
    expected = {n: net.predict(X[:n]) for n in SIZES}
    wrong = []

    def act() -> None:
        for i in range(calls):
            rows = SIZES[i % 3 if i % 30 < 3 else i % 2]
            if not (net.predict(X[:rows]) == expected[rows]).all():
                wrong.append(i)

    for thread in [in_thread(act) for _ in range(threads)]:
        thread.join()
    return ["no wrong row", "no wrong row" if not wrong else f"wrong rows in calls {wrong}"]


def few_predictions() -> list[str]:
    return predictions(calls=30)


def two_trainers() -> list[str]:
    found: dict[int, str] = {}
    threads = [
        in_thread(lambda seed=seed: found.update({seed: work(seed=seed)})) for seed in (0, 1)
    ]
    for thread in threads:
        thread.join()
    assert found[1] == work(seed=1)
    return [found[0]]


def one_network_in_two_threads() -> list[str]:
    """Two threads train one network whenever it is free: as if one had done all the epochs."""
    owner, refused = trainer(), []

    def act() -> None:
        done = 0
        while done < 2:
            try:
                owner.fit(X, Y, epochs=1)
                done += 1
            except BusyError:
                refused.append(done)
                time.sleep(0.001)

    for thread in [in_thread(act) for _ in range(2)]:
        thread.join()
    twin = trainer()
    twin.fit(X, Y, epochs=4)
    assert parameters(owner.network) == parameters(twin.network)
    return [work()]


def beside_training() -> list[str]:
    """Calls on a network that another thread trains: what copies or writes it whole is refused."""
    owner, begun = trainer(), threading.Event()
    net, path = owner.network, Path(tempfile.mkdtemp()) / "model"
    other = copy.deepcopy(net)
    thread = in_thread(lambda: owner.fit(X, Y, epochs=FOREVER, callbacks=[lambda *_: begun.set()]))
    begun.wait()
    weights = net.parameters
    refused: dict[str, Callable[[], object]] = {
        "fit": lambda: owner.fit(X, Y),
        "step": lambda: owner.step(X, Y),
        "another trainer": lambda: fb.Trainer(net, "cross_entropy").fit(X, Y),
        "an option": lambda: setattr(owner, "l2", 0.1),
        "save": lambda: net.save(path),
        "save the trainer": lambda: owner.save(path),
        "pickle": lambda: pickle.dump(net, io.BytesIO()),
        "pickle the trainer": lambda: pickle.dump(owner, io.BytesIO()),
        "copy": lambda: copy.deepcopy(net),
        "copy the trainer": lambda: copy.deepcopy(owner),
        "parameters": lambda: setattr(net, "parameters", weights),
        "weight": lambda: setattr(net.layers[0], "weight", np.zeros((120, 200))),
        "bias": lambda: setattr(net.layers[0], "bias", np.zeros(200)),
        "lerp": lambda: net.lerp(other, 0.5),
        "lerp of another": lambda: other.lerp(net, 0.5),
    }
    for name, call in refused.items():
        try:
            call()
        except BusyError:
            continue
        raise AssertionError(f"{name}: got no BusyError")
    for _ in range(20):
        assert np.isfinite(net.predict(X)).all()
        assert np.isfinite(owner.evaluate(X, Y)["loss"])
        assert np.isfinite(net.gradients(X, Y, "cross_entropy")[0])
        assert np.isfinite(net.parameters).all()
    assert not path.exists()
    owner.stop()
    thread.join()
    for call in refused.values():
        call()  # free again
    return [work()]


def ending(code: str, status: int = 0) -> list[str]:
    """What a program prints that ends while a thread of it trains; it must end by itself."""
    program = f"import os, sys, threading, time\nimport scenarios as s\n{code}"
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True
    )
    assert result.returncode == status, (result.returncode, result.stderr)
    assert not result.stderr, result.stderr
    return [result.stdout.strip()]


BEGUN = """
begun = threading.Event()
owner = s.trainer()
def train(epochs=s.FOREVER):
    owner.fit(s.X, s.Y, epochs=epochs, callbacks=[lambda *_: begun.set()])
"""
DAEMON = f"{BEGUN}threading.Thread(target=train, daemon=True).start()\nbegun.wait()\n"
EXECUTOR = f"""{BEGUN}
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor(1).submit(train, 200)
begun.wait()
"""
STOPPED = f"""{BEGUN}
thread = threading.Thread(target=train)
thread.start()
begun.wait()
owner.stop()
"""
FIRST = {
    "torch": """
import torch
torch.set_num_threads(2)
def step():
    a = torch.randn(300, 300, requires_grad=True)
    (a @ a).relu().sum().backward()
""",
    "scikit-learn": """
from sklearn.cluster import KMeans
def step():
    KMeans(3, n_init=1, max_iter=3).fit(np.random.rand(2000, 5))
""",
}


def beside(library: str, first: bool) -> list[str]:
    """Train in turn with another library that has threads of OpenMP, imported before or after."""
    parts = [FIRST[library], "import scenarios as s\n"]
    program = "import numpy as np\n" + "".join(parts if first else reversed(parts))
    program += "print(s.work())\nfor _ in range(3): step(), print(s.work())\n"
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


SCENARIOS: dict[str, Callable[[], list[str]]] = {
    "fork": fork,
    "fork beside training": fork_beside_training,
    "pool, fork": lambda: pool("fork"),
    "pool, spawn": lambda: pool("spawn"),
    "pool, forkserver": lambda: pool("forkserver"),
    "joblib, loky": lambda: joblib("loky"),
    "joblib, multiprocessing": lambda: joblib("multiprocessing"),
    "joblib, threading": lambda: joblib("threading"),
    "thread pool": executor,
    "few predictions": few_predictions,
    "16,000 predictions": predictions,
    "two trainers": two_trainers,
    "one network in two threads": one_network_in_two_threads,
    "calls beside training": beside_training,
    "exit beside a daemon": lambda: ending(f"{DAEMON}print('end')"),
    "sys.exit beside a daemon": lambda: ending(f"{DAEMON}print('end')\nsys.exit(3)", 3),
    "os._exit beside a daemon": lambda: ending(f"{DAEMON}print('end', flush=True)\nos._exit(4)", 4),
    "sys.exit beside a thread pool": lambda: ending(f"{EXECUTOR}print('end')\nsys.exit(5)", 5),
    "stop at the end": lambda: ending(f"{STOPPED}print('end')"),
    "after torch": lambda: beside("torch", True),
    "before torch": lambda: beside("torch", False),
    "after scikit-learn": lambda: beside("scikit-learn", True),
    "before scikit-learn": lambda: beside("scikit-learn", False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", choices=SCENARIOS, metavar="name")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=10, help="seconds of a repetition")
    options = parser.parse_args()
    fb.set_num_threads(2)
    warnings.simplefilter("ignore")
    for name in options.names:
        longest = 0.0
        for _ in range(options.repeats):
            begin = time.monotonic()
            faulthandler.dump_traceback_later(options.deadline, exit=True)
            for digest in SCENARIOS[name]():
                print(digest, flush=True)
            longest = max(longest, time.monotonic() - begin)
        faulthandler.cancel_dump_traceback_later()
        print(f"{name}: {options.repeats} times, the longest {longest:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
