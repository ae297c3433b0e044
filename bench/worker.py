"""The process of one contestant: ``python bench/worker.py NAME THREADS``.

Reads one JSON request per line from stdin, answers with one JSON line on stdout, and blocks in
between. `Worker` is the other end of the pipe.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import PEAK_MILLISECONDS

if TYPE_CHECKING:
    from problems import Shape

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PROBE_ROWS = 2048  # the loss is measured on so many rows


class ContestantError(RuntimeError):
    """The contestant could not be started or failed."""


class Worker:
    """A contestant in a process of its own, stopped whenever it is not asked.

    A pool of idle threads may spin for tens of milliseconds after its work; stopped, it cannot
    disturb the contestant that is timed next.
    """

    def __init__(self, name: str, n_threads: int) -> None:
        self.name = name
        environment = os.environ | {name: str(n_threads) for name in THREAD_VARIABLES}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), name, str(n_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            self.version = self._answer()["version"]
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to one request."""
        self._signal("SIGCONT")
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise ContestantError(f"{self.name} ended") from None
        return self._answer()

    def load(self, shape: Shape, dtype: str) -> dict[str, Any]:
        """Have it make and check a shape; its loss, and whether it took the given weights."""
        return self.ask("load", shape=asdict(shape), dtype=dtype)

    def seconds(self, epochs: int) -> float:
        """Have it train so long; the time that took."""
        return self.ask("time", epochs=epochs)["seconds"]

    def peak(self, dtype: str) -> float:
        """Of fused multiply-adds on its threads, GFLOP/s; fastbp alone knows."""
        return self.ask("peak", milliseconds=PEAK_MILLISECONDS, dtype=dtype)["gflops"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise ContestantError(f"{self.name} ended with status {self._process.wait()}")
        self._signal("SIGSTOP")
        answer = json.loads(line)
        if "error" in answer:
            raise ContestantError(f"{self.name}: {answer['error']}")
        return answer

    def _signal(self, name: str) -> None:
        # Windows has neither signal: there an idle pool is left to fall asleep.
        if hasattr(signal, name):
            self._process.send_signal(getattr(signal, name))
        else:
            time.sleep(0.1)


class Contest:
    """Answers the requests: load a shape, check it, time its epochs."""

    def __init__(self, name: str, n_threads: int) -> None:
        self.n_threads = n_threads
        if name == "fastbp":
            from contestant import FastBP

            import fastbp

            self.contestant, self.version = FastBP, fastbp.__version__
        else:
            from peers import PEERS

            self.contestant, self.version = PEERS[name], _version(name)

    def load(self, shape: dict[str, Any], dtype: str) -> dict[str, Any]:
        from problems import Problem, Shape

        self.running = None  # frees the arrays of the shape before
        self.problem = Problem(Shape(**shape | {"widths": tuple(shape["widths"])}), dtype)
        self.running = self.contestant(self.problem, self.n_threads)
        if hasattr(self.running, "check"):
            self.running.check()
        given = not getattr(self.running, "own_weights", False)
        return {**self.loss(), "given_weights": given}

    def loss(self) -> dict[str, Any]:
        n = min(PROBE_ROWS, len(self.problem.x))
        return {"loss": self.problem.loss(self.running.output(n))}

    def time(self, epochs: int) -> dict[str, Any]:
        started = time.perf_counter()
        self.running.train(epochs)
        return {"seconds": time.perf_counter() - started}

    def peak(self, milliseconds: int, dtype: str) -> dict[str, Any]:
        from fastbp.engine import probe

        return {"gflops": probe.fma_peak(None, self.n_threads, milliseconds, dtype)}

    def isa(self) -> dict[str, Any]:
        from fastbp.engine import runtime

        return {"isa": runtime.isa()}


def _version(name: str) -> str:
    from importlib.metadata import version

    return version({"sklearn": "scikit-learn"}.get(name, name))


def _pin(n_threads: int) -> None:
    """Give the process as many cores as threads: some pools count cores, not variables.

    Before NumPy is imported, whose pool has the affinity of the thread that started it.
    """
    if platform.system() == "Linux":
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:n_threads])


def main() -> None:
    # What a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, n_threads = sys.argv[1], int(sys.argv[2])
    _pin(n_threads)
    try:
        contest = Contest(name, n_threads)
        answer: dict[str, Any] = {"version": contest.version}
    except ImportError as error:
        answer = {"error": f"not installed ({error})"}
    print(json.dumps(answer), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(contest, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
