"""The training problems of the benchmark, and their data."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

LEARNING_RATE = 0.01
MNIST = "MNIST"


@dataclass(frozen=True)
class Shape:
    """A network ``widths[0]-widths[1]-...``, ReLU inside, trained by plain SGD."""

    widths: tuple[int, ...]
    batch: int
    steps: int  # in an epoch, whose rows are batch * steps
    data: str = "random"  # dense rows, or MNIST: its first images, a fifth of their pixels ink

    @property
    def name(self) -> str:
        name = f"{'-'.join(map(str, self.widths))}, batch {self.batch}"
        return name if self.data == "random" else f"{name}, {self.data}"

    @property
    def classifies(self) -> bool:
        """Softmax and cross-entropy for 2 to 10 outputs, else linear outputs and mse."""
        return 2 <= self.widths[-1] <= 10

    @property
    def flops(self) -> int:
        """Of a step: 2 * batch * (3 P - P1), P weights, P1 of them in the first layer.

        Forward, weight gradient and delta cost 2 flops per weight and row each; the first layer
        needs no delta.
        """
        products = [a * b for a, b in pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(products) - products[0])


SHAPES = [
    Shape((2, 8, 1), 4, 1000),
    Shape((4, 64, 64, 2), 1, 2000),
    Shape((17, 256, 256, 6), 256, 200),
    Shape((784, 128, 10), 1, 2000),
    Shape((784, 128, 10), 1, 2000, MNIST),
    Shape((784, 128, 10), 64, 500),
    Shape((784, 50, 10), 100, 500),
    Shape((784, 512, 512, 10), 128, 100),
    Shape((100, 256, 256, 256, 1), 1024, 58),
    Shape((1024, 1024, 1024, 1024, 1024), 256, 20),
    Shape((1024, 1024, 1024, 1024, 1024), 4096, 3),
    Shape((4096, 4096, 4096), 512, 3),
]


@dataclass
class Problem:
    """Data and initial weights, the same for every contestant."""

    shape: Shape
    dtype: str = "float32"  # of all that follows; the numbers are those of float32
    seed: int = 0
    x: np.ndarray = field(init=False)  # [rows, widths[0]]
    y: np.ndarray = field(init=False)  # [rows, widths[-1]], one-hot when it classifies
    weights: list[np.ndarray] = field(init=False)  # He normal; biases start at zero

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        x, y = _mnist(self.shape) if self.shape.data == MNIST else _random(self.shape, rng)
        self.x, self.y = x.astype(self.dtype, copy=False), y.astype(self.dtype, copy=False)
        self.weights = [_he(rng, *pair).astype(self.dtype) for pair in pairwise(self.shape.widths)]

    @property
    def labels(self) -> np.ndarray:
        """int64 [rows], the classes."""
        return self.y.argmax(axis=1)

    def loss(self, output: np.ndarray, first: int = 0) -> float:
        """The mean loss of the probabilities or values [n, outputs] of n rows from `first` on."""
        y, output = self.y[first : first + len(output)], output.astype(np.float64)
        if self.shape.classifies:
            return float(-(y * np.log(np.maximum(output, 1e-300))).sum(axis=1).mean())
        return float(((output - y) ** 2).mean())


def _he(rng: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    return rng.standard_normal((n_in, n_out), np.float32) * np.float32(np.sqrt(2 / n_in))


def _random(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return normal rows and what a linear teacher says of them, so that there is a task."""
    n_in, n_out = shape.widths[0], shape.widths[-1]
    x = rng.standard_normal((shape.batch * shape.steps, n_in), np.float32)
    y = x @ rng.standard_normal((n_in, n_out), np.float32) / np.float32(np.sqrt(n_in))
    return x, _one_hot(y.argmax(axis=1), n_out) if shape.classifies else y


def _mnist(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images of MNIST, grey levels from 0 to 1, and their digits."""
    from fastbp.datasets import load_mnist

    (x, labels), _ = load_mnist()
    rows = slice(shape.batch * shape.steps)
    return x[rows].copy(), _one_hot(labels[rows], shape.widths[-1])


def _one_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    return np.eye(n_classes, dtype=np.float32)[labels]
