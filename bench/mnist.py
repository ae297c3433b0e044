"""Two networks on MNIST: ``FASTBP_DATA=folder python bench/mnist.py``.

Prints the test accuracy and the seconds of training per epoch; the exit status is 1 when an
accuracy is below its mark. The marks are what the same training reaches in any correct
implementation.
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np

import fastbp as fb
from fastbp.datasets import load_mnist
from fastbp.initializers import Normal


@dataclass(frozen=True)
class Recipe:
    """A network, how it is trained, and the test accuracy it must reach."""

    layers: list[fb.Dense]
    loss: str
    learning_rate: float
    batch: int
    epochs: int
    mark: float
    low: float  # the grey of paper; ink is 1
    one_hot: bool


RECIPES = {
    "784-128-10 relu": Recipe(
        layers=[fb.Dense(128, "relu"), fb.Dense(10, "softmax")],
        loss="cross_entropy",
        learning_rate=0.2,
        batch=64,
        epochs=10,
        mark=0.975,
        low=0.0,
        one_hot=False,
    ),
    # The exercise of many lectures: sigmoids throughout, squared error, weights N(0, 0.1).
    "784-50-10 sigmoid": Recipe(
        layers=[
            fb.Dense(50, "sigmoid", weight_init=Normal(0.1)),
            fb.Dense(10, "sigmoid", weight_init=Normal(0.1)),
        ],
        loss="squared_error",
        learning_rate=0.2,
        batch=100,
        epochs=50,
        mark=0.945,
        low=-1.0,
        one_hot=True,
    ),
}


def accuracy_of(recipe: Recipe, n_threads: int | None) -> tuple[float, float]:
    """Return the test accuracy and the mean seconds of training per epoch."""
    (x, labels), (x_test, labels_test) = load_mnist()
    for pixels in (x, x_test):
        pixels *= 1 - recipe.low
        pixels += recipe.low
    y = np.eye(10, dtype=np.float32)[labels] if recipe.one_hot else labels
    network = fb.Network(784, recipe.layers, seed=0)
    trainer = fb.Trainer(
        network,
        recipe.loss,
        fb.SGD(recipe.learning_rate),
        batch_size=recipe.batch,
        seed=0,
        n_threads=n_threads,
    )
    history = trainer.fit(x, y, epochs=recipe.epochs, progress=sys.stderr.isatty())
    n_correct = network.predict(x_test).argmax(axis=1) == labels_test
    return float(n_correct.mean()), float(np.mean(history["seconds"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="of the recipes' names")
    parser.add_argument("--threads", type=int, metavar="N")
    arguments = parser.parse_args()
    failed = False
    for name, recipe in RECIPES.items():
        if arguments.only not in name:
            continue
        accuracy, seconds = accuracy_of(recipe, arguments.threads)
        verdict = "" if accuracy >= recipe.mark else f"; below its mark of {recipe.mark:.1%}"
        failed |= bool(verdict)
        how = f"{recipe.epochs} epochs of batch {recipe.batch}"
        print(f"{name}, {how}: test accuracy {accuracy:.2%}, {seconds:.2f} s per epoch{verdict}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
