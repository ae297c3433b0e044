"""fastbp in the benchmark: `Trainer.fit` without a progress bar, checked against float64 NumPy."""

import numpy as np
from peers import NumPy
from problems import LEARNING_RATE, Problem

import fastbp as fb


def trainer_of(
    widths: tuple[int, ...],
    batch: int,
    classifies: bool,
    n_threads: int,
    dtype: str = "float32",
    shuffle: bool = True,
) -> fb.Trainer:
    """Return a trainer by plain SGD: ReLU inside; softmax and cross-entropy, or linear and mse."""
    layers = [fb.Dense(units, "relu") for units in widths[1:-1]]
    layers.append(fb.Dense(widths[-1], "softmax" if classifies else "linear"))
    return fb.Trainer(
        fb.Network(widths[0], layers, dtype=dtype, seed=0),
        "cross_entropy" if classifies else "mse",
        fb.SGD(LEARNING_RATE),
        batch_size=batch,
        shuffle=shuffle,
        seed=0,
        n_threads=n_threads,
    )


class FastBP:
    """Made and used as the classes of peers.py; compiled epochs with the default threads."""

    def __init__(self, problem: Problem, n_threads: int) -> None:
        self.problem, self.n_threads = problem, n_threads
        self.y = problem.labels if problem.shape.classifies else problem.y
        self.trainer = self._trainer(shuffle=True)

    def train(self, epochs: int) -> None:
        self.trainer.fit(self.problem.x, self.y, epochs=epochs)

    def output(self, n: int) -> np.ndarray:
        return self.trainer.network.predict(self.problem.x[:n])

    def check(self, steps: int = 2) -> None:
        """Raise ValueError unless the first steps give the loss and the weights of NumPy."""
        batch = self.problem.shape.batch
        trainer, reference = self._trainer(shuffle=False), NumPy(self.problem, 1, "float64")
        history = trainer.fit(self.problem.x[: steps * batch], self.y[: steps * batch])
        losses = []
        for first in range(0, steps * batch, batch):
            rows = np.arange(first, first + batch)
            losses.append(self.problem.loss(reference.predict(reference.x[rows]), first))
            reference.step(rows)
        if not abs(history["loss"][0] / np.mean(losses) - 1) < 1e-4:
            raise ValueError(f"loss {history['loss'][0]} is not NumPy's {np.mean(losses)}")
        for i, layer in enumerate(trainer.network.layers):
            start, wanted = self.problem.weights[i], reference.weights[i]
            # The rounding of the update, and that of adding it to a float32 weight.
            allowed = 1e-3 * np.abs(wanted - start).max() + 5e-7 * np.abs(start).max()
            error = np.abs(layer.weight - wanted).max()
            if not error < allowed:
                raise ValueError(f"weights of layer {i} are off NumPy's by {error} > {allowed}")

    def _trainer(self, shuffle: bool) -> fb.Trainer:
        shape = self.problem.shape
        trainer = trainer_of(
            shape.widths, shape.batch, shape.classifies, self.n_threads, self.problem.dtype, shuffle
        )
        for layer, weight in zip(trainer.network.layers, self.problem.weights, strict=True):
            layer.weight = weight
        return trainer
