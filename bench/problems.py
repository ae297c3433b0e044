"""The eleven training problems of the benchmark, and their data."""

from dataclasses import dataclass, field

import numpy as np

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Shape:
    """A network ``widths[0]-widths[1]-...``, ReLU inside, trained by plain SGD."""

    widths: tuple[int, ...]
    batch: int
    steps: int  # in an epoch, whose rows are batch * steps

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.widths))}, batch {self.batch}"

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
        products = [a * b for a, b in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * self.batch * (3 * sum(products) - products[0])


SHAPES = [
    Shape((2, 8, 1), 4, 1000),
    Shape((4, 64, 64, 2), 1, 2000),
    Shape((17, 256, 256, 6), 256, 200),
    Shape((784, 128, 10), 1, 2000),
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
    seed: int = 0
    x: np.ndarray = field(init=False)  # float32 [rows, widths[0]]
    y: np.ndarray = field(init=False)  # float32 [rows, widths[-1]], one-hot when it classifies
    weights: list[np.ndarray] = field(init=False)  # He normal, float32; biases start at zero

    def __post_init__(self) -> None:
        shape, rng = self.shape, np.random.default_rng(self.seed)
        rows = shape.batch * shape.steps
        self.x = rng.standard_normal((rows, shape.widths[0]), dtype=np.float32)
        # A linear teacher, so that there is something to learn.
        teacher = rng.standard_normal((shape.widths[0], shape.widths[-1]), dtype=np.float32)
        self.y = self.x @ teacher / np.float32(np.sqrt(shape.widths[0]))
        if shape.classifies:
            self.y = np.eye(shape.widths[-1], dtype=np.float32)[self.y.argmax(axis=1)]
        self.weights = [
            rng.standard_normal((a, b), dtype=np.float32) * np.float32(np.sqrt(2 / a))
            for a, b in zip(shape.widths, shape.widths[1:], strict=False)
        ]

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
