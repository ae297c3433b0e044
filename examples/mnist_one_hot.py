"""Digits with one-hot targets, sigmoid units and the mean squared error.

MNIST from the folder named by FASTBP_DATA where that is set, else the digits that come with fastbp.
"""

import os

import drawing
import numpy as np

import fastbp as fb
from fastbp.datasets import load_digits, load_mnist, train_test_split


def load():
    """Return name, side of an image, training rows, test rows, and the epochs to take."""
    if os.environ.get("FASTBP_DATA"):
        (x, y), (x_test, y_test) = load_mnist()
        return "MNIST", 28, x, y, x_test, y_test, 15
    x, x_test, y, y_test = train_test_split(*load_digits(), seed=0)
    return "digits", 8, x, y, x_test, y_test, 60


def main():
    """Train, print, draw the curves and what it gets wrong."""
    folder = drawing.out_folder(__doc__)
    name, side, x, y, x_test, y_test, epochs = load()
    targets, targets_test = np.eye(10)[y], np.eye(10)[y_test]
    n_inputs = side * side
    net = fb.Network(n_inputs, [fb.Dense(50, "sigmoid"), fb.Dense(10, "sigmoid")], seed=0)
    trainer = fb.Trainer(net, "mse", fb.SGD(10.0), batch_size=20, seed=0)
    losses, test_losses, accuracies = [], [], []
    for _ in range(epochs):
        losses.append(trainer.fit(x, targets)["loss"][-1])
        test_losses.append(trainer.evaluate(x_test, targets_test)["loss"])
        accuracies.append(np.mean(net.predict(x_test).argmax(axis=1) == y_test))
    print(f"{name}, {n_inputs}-50-10: test accuracy {accuracies[-1]:.1%} after {epochs} epochs")
    assert losses[-1] < 0.2 * losses[0]
    assert accuracies[-1] > 0.94

    figure, (left, middle, right) = drawing.panels(3, width=4.8, height=4)
    left.plot(range(1, epochs + 1), losses, color=drawing.BLUE, label="training")
    left.plot(range(1, epochs + 1), test_losses, color=drawing.RED, ls="--", label="test")
    left.set(xlabel="epoch", ylabel="mean squared error", yscale="log", title=name)
    left.legend()
    middle.plot(range(1, epochs + 1), accuracies, color=drawing.RED)
    middle.set(xlabel="epoch", ylabel="test accuracy", title=f"test accuracy {accuracies[-1]:.1%}")
    middle.grid(alpha=0.3)
    draw_mistakes(right, side, x_test, y_test, net.predict(x_test))
    drawing.save(figure, folder, "mnist_one_hot.png")


def draw_mistakes(ax, side, x, y, outputs):
    """Draw nine of the digits that the network takes for others, the surest of them first."""
    predicted = outputs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    wrong = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")][:9]
    ax.set_title("taken for another digit")
    ax.axis("off")
    for place, row in enumerate(wrong):
        down, along = divmod(place, 3)
        inset = ax.inset_axes((along / 3 + 0.03, 0.70 - down / 3, 0.27, 0.23))
        inset.imshow(x[row].reshape(side, side), cmap="gray_r")
        inset.set(xticks=[], yticks=[])
        inset.set_title(f"{y[row]} as {predicted[row]}", fontsize=9, pad=2)


if __name__ == "__main__":
    main()
