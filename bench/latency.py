"""Single calls from Python on one row: ``python bench/latency.py``.

A control loop or a service calls with one row at a time and waits for the answer, so the slow calls
count beside the usual ones: reported are the median and the 99th percentile of --calls calls, in
microseconds, of

    predict     the outputs of a row
    gradients   loss and gradients of all weights and biases for a row
    step        the same and an update by plain SGD

Every contestant has one thread, the same weights and rows, which come as NumPy arrays, and answers
in NumPy arrays where it has outputs to give: NumPy by hand, PyTorch (predict in inference_mode) and
onnxruntime (predict alone). Outputs and gradients are compared first. All take turns in lots, in a
new order each time. A peer that is not installed is left out.

The overhead is the median of fastbp without that of a call of nothing and without the time of the
kernels: for predict `dense_forward` of each layer, called many times within one compiled call, for
the others a step within a call of `Trainer.fit`. The exit status is 1 if it is above a limit at
4-64-64-2, or if answers differ.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import options
import peers
import report
from contestant import trainer_of
from kernels import layer_calls
from problems import Problem, Shape
from threadpoolctl import threadpool_limits
from timing import seconds_of

import fastbp as fb

SHAPES = [
    Shape((4, 64, 64, 2), 1, 2000),
    Shape((17, 256, 256, 6), 1, 2000),
    Shape((64, 32, 10), 1, 2000),
    Shape((784, 128, 10), 1, 2000),
]
OPERATIONS = ("predict", "gradients", "step")
# Of the overhead in microseconds, at the first shape.
LIMITS = {"predict": 1.0, "gradients": 4.0, "step": 3.0}
LOT, ROWS = 500, 64
KERNEL_CALLS = 100
ALLOWED = 1e-4  # of the largest gradient

# What does one call of an operation on a row.
Call = Callable[[int], Any]


class Nothing:
    """A call that finds its row and returns."""

    def __init__(self, problem: Problem) -> None:
        self.x = _rows(problem.x)

    def predict(self, i: int) -> np.ndarray:
        return self.x[i]


class FastBP:
    """`Network.predict` and `gradients`, `Trainer.step`."""

    def __init__(self, problem: Problem) -> None:
        self.trainer = _trainer(problem)
        self.network = self.trainer.network.copy()
        self.x, self.y = _rows(problem.x), _rows(problem.labels)

    def predict(self, i: int) -> np.ndarray:
        return self.network.predict(self.x[i])

    def gradients(self, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return self.network.gradients(self.x[i], self.y[i], "cross_entropy")[1]

    def step(self, i: int) -> float:
        return self.trainer.step(self.x[i], self.y[i])


class NumPy(peers.NumPy):
    """By hand, in place where that is possible."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, 1)
        self.rows, self.targets = _rows(self.x), _rows(self.y)
        self.own = peers.NumPy(problem, 1)  # whose weights change

    def predict(self, i: int) -> np.ndarray:  # type: ignore[override]
        return super().predict(self.rows[i])

    def gradients(self, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        activations = self._forward(self.rows[i])
        delta = activations.pop()
        delta -= self.targets[i]
        found = []
        for weight, a in zip(self.weights[::-1], activations[::-1], strict=True):
            found.append((a.T @ delta, delta[0]))
            if weight is not self.weights[0]:
                delta = delta @ weight.T
                delta *= a > 0
        return found[::-1]

    def step(self, i: int) -> None:  # type: ignore[override]
        self.own.step(slice(i, i + 1))  # type: ignore[arg-type]


class Torch:
    """Eager PyTorch; rows and outputs share their memory with NumPy."""

    def __init__(self, problem: Problem) -> None:
        self.still, self.moving = peers.Torch(problem, 1), peers.Torch(problem, 1)
        self.torch = self.still.torch
        self.x, self.y = _rows(problem.x), _rows(problem.labels)

    def predict(self, i: int) -> np.ndarray:
        with self.torch.inference_mode():
            z = self.still.network(self.torch.from_numpy(self.x[i]))
            return self.torch.softmax(z, 1).numpy()

    def gradients(self, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        found = [p.grad.numpy() for p in self._backward(self.still, i)]
        return [(w.T, b) for w, b in zip(found[::2], found[1::2], strict=True)]

    def step(self, i: int) -> None:
        self._backward(self.moving, i)
        self.moving.optimizer.step()

    def _backward(self, peer: peers.Torch, i: int) -> list[Any]:
        x, y = self.torch.from_numpy(self.x[i]), self.torch.from_numpy(self.y[i])
        loss = peer.loss(peer.network(x), y)
        peer.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return list(peer.network.parameters())


class OnnxRuntime:
    """An `InferenceSession` of the file that `Network.to_onnx` writes."""

    def __init__(self, problem: Problem) -> None:
        from export import onnx_model, session

        self.session = session(onnx_model(_trainer(problem).network))
        self.feeds = [{"x": row} for row in _rows(problem.x)]

    def predict(self, i: int) -> np.ndarray:
        return self.session.run(None, self.feeds[i])[0]


CONTESTANTS: Mapping[str, Callable[[Problem], Any]] = {
    "fastbp": FastBP,
    "NumPy": NumPy,
    "PyTorch": Torch,
    "onnxruntime": OnnxRuntime,
}
TITLES = ["network", "call", "kernels", "overhead", "at most"]
TITLES += [f"{name} {part}" for name in CONTESTANTS for part in ("p50", "p99")]


def main() -> int:
    arguments = _arguments()
    fb.set_num_threads(1)
    facts = report.here(1) | {"calls": arguments.calls}
    report.show(facts)
    shapes = options.choose(arguments.only, {_name(shape): shape for shape in SHAPES})
    print(report.head(TITLES, text_columns=2), flush=True)
    results = []
    with threadpool_limits(1):
        for shape in shapes:  # a network takes minutes, most of them PyTorch's
            results.append(measure(shape, arguments.calls))
            for operation in OPERATIONS:
                print(report.row(_cells(results[-1], operation)), flush=True)
    report.write(arguments.json, facts, results)
    return int(not all(result["same"] and result["within"] for result in results))


def _arguments() -> Any:
    parser = options.parser(__doc__, only="")
    parser.add_argument("--calls", type=int, default=100_000, help="of each kind (%(default)s)")
    return parser.parse_args()


def _name(shape: Shape) -> str:
    return "-".join(map(str, shape.widths))


def _rows(array: np.ndarray) -> list[np.ndarray]:
    return [array[i : i + 1] for i in range(ROWS)]


def _trainer(problem: Problem) -> fb.Trainer:
    trainer = trainer_of(problem.shape.widths, 1, True, 1)
    for layer, weight in zip(trainer.network.weighted_layers, problem.weights, strict=True):
        layer.weight = weight
    return trainer


def measure(shape: Shape, n_calls: int) -> dict[str, Any]:
    """Return the record of a network."""
    problem = Problem(shape)
    contestants = {
        name: made for name, make in CONTESTANTS.items() if (made := _made(make, problem))
    }
    same = _agree(contestants)
    calls: dict[tuple[str, str], Call] = {("nothing", ""): Nothing(problem).predict}
    for operation in OPERATIONS:
        for name, made in contestants.items():
            if hasattr(made, operation):
                calls[name, operation] = getattr(made, operation)
    kernels = _kernels(problem)
    samples: dict[tuple[str, str], list[int]] = {key: [] for key in calls}
    own: dict[str, list[float]] = {name: [] for name in kernels}
    order, rng = list(calls), random.Random(0)
    for call in calls.values():
        _lot(call, ROWS)  # warms caches
    while len(samples["nothing", ""]) < n_calls:
        rng.shuffle(order)
        for key in order:
            samples[key] += _lot(calls[key], min(LOT, n_calls - len(samples[key])))
        for name, kernel in kernels.items():
            own[name].append(1e6 * kernel())
    found = {name: median(times) for name, times in own.items()}
    times = {key: np.percentile(ns, (50, 99)) / 1e3 for key, ns in samples.items()}
    nothing = times.pop(("nothing", ""))[0]
    overhead = {
        operation: float(times["fastbp", operation][0] - nothing - found[operation])
        for operation in OPERATIONS
    }
    return {
        "name": _name(shape),
        "same": same,
        "within": shape != SHAPES[0] or all(overhead[o] <= most for o, most in LIMITS.items()),
        "nothing": float(nothing),
        "kernels": found,
        "overhead": overhead,
        "microseconds": {
            operation: {
                name: times[name, operation].tolist()
                for name in contestants
                if (name, operation) in times
            }
            for operation in OPERATIONS
        },
    }


def _made(make: Callable[[Problem], Any], problem: Problem) -> Any:
    try:
        return make(problem)
    except ImportError as error:
        print(f"{make.__name__} is left out: {error}", file=sys.stderr)
        return None


def _agree(contestants: Mapping[str, Any]) -> bool:
    """Return whether all give the outputs and the gradients of float64 as far as float32 goes."""
    same, wanted = True, contestants["NumPy"]
    for name, made in contestants.items():
        off = float(np.abs(made.predict(1) - wanted.predict(1)).max())
        if hasattr(made, "gradients"):
            for mine, others in zip(made.gradients(1), wanted.gradients(1), strict=True):
                for a, b in zip(mine, others, strict=True):
                    off = max(off, float(np.abs(a - b).max() / np.abs(b).max()))
        if not off <= ALLOWED:
            print(f"{name}: differs from NumPy by {off:.2g}", file=sys.stderr)
            same = False
    return same


def _lot(call: Call, n: int) -> list[int]:
    """Return the nanoseconds of each of n calls."""
    found = []
    for i in range(n):
        begin = perf_counter_ns()
        call(i % ROWS)
        found.append(perf_counter_ns() - begin)
    return found


def _kernels(problem: Problem) -> dict[str, Callable[[], float]]:
    """Return what measures the seconds of an operation without Python."""
    widths = problem.shape.widths
    layers = [layer_calls("float32", 1, *pair) for pair in pairwise(widths)]
    activations = ["relu"] * (len(layers) - 1) + ["softmax"]
    trainer = _trainer(problem)

    def forward() -> float:
        for layer, activation in zip(layers, activations, strict=True):
            layer.dense_forward(KERNEL_CALLS, 1, activation)

    def predict() -> float:
        return seconds_of(forward) / KERNEL_CALLS

    def step() -> float:
        x, y = problem.x, problem.labels
        return seconds_of(lambda: trainer.fit(x, y)) / len(x)

    return {"predict": predict, "gradients": step, "step": step}


def _cells(result: dict[str, Any], operation: str) -> list[str]:
    times = result["microseconds"][operation]
    most = LIMITS[operation] if result["name"] == _name(SHAPES[0]) else None
    figures = [number for name in CONTESTANTS for number in times.get(name, (None, None))]
    numbers = [result["kernels"][operation], result["overhead"][operation], most, *figures]
    cells = ["-" if number is None else report.number(number) for number in numbers]
    return [result["name"], operation, *cells]


if __name__ == "__main__":
    sys.exit(main())
