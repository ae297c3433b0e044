"""Saturation and vanishing gradients: each layer of deep networks before training."""

import drawing
import numpy as np

import fastbp as fb
from fastbp.datasets import load_digits

DEPTH, WIDTH = 8, 64
NETWORKS = {
    "sigmoid": ("sigmoid", None),
    "sigmoid, weights too large": ("sigmoid", fb.initializers.Normal(5.0)),
    "ReLU": ("relu", None),
}


def build(activation, weight_init):
    """Return a network of DEPTH hidden layers."""
    hidden = [fb.Dense(WIDTH, activation, weight_init) for _ in range(DEPTH)]
    return fb.Network(64, [*hidden, fb.Dense(10, "softmax")], dtype="float64", seed=0)


def main():
    """Measure and draw the norms of the gradients, and the slopes at which the sigmoids stand."""
    folder = drawing.out_folder(__doc__)
    x, y = load_digits()
    x, y = x[:256], y[:256]
    networks = {name: build(*options) for name, options in NETWORKS.items()}
    norms, outputs = {}, {}
    for name, net in networks.items():
        _, gradients = net.gradients(x, y, "cross_entropy")
        norms[name] = np.array([np.linalg.norm(dw) for dw, _ in gradients])
        outputs[name] = np.concatenate([y.ravel() for y in net.activations(x)[:DEPTH]])
        print(f"{name:<28}", *(f"{norm:.1e}" for norm in norms[name]))
    sigmoid, _, relu = norms.values()
    assert sigmoid[0] < 1e-4 * sigmoid[-1]
    assert relu[0] > 0.1 * relu[-1]
    share = {name: np.mean(y * (1 - y) < 0.01) for name, y in outputs.items() if name != "ReLU"}
    assert share["sigmoid"] < 0.01
    assert share["sigmoid, weights too large"] > 0.7
    draw(folder, norms, outputs, share)


def draw(folder, norms, outputs, share):
    """Draw the norms on the left, the outputs of the hidden sigmoids on the right."""
    figure, (left, right) = drawing.panels(2)
    colours = dict(zip(norms, (drawing.BLUE, drawing.RED, drawing.GREEN), strict=True))
    for name, marker in (("ReLU", "D"), ("sigmoid", "o")):
        left.semilogy(range(1, DEPTH + 2), norms[name], marker=marker, color=colours[name],
                      label=name)  # fmt: skip
    left.set(
        xlabel="layer, from the input to the output",
        ylabel="norm of dL/dW",
        title=f"vanishing: {DEPTH} hidden layers of {WIDTH} units, before training",
    )
    left.legend()
    left.grid(alpha=0.3)
    for name, portion in share.items():
        label = f"{name}: {portion:.0%} saturated"
        right.hist(outputs[name], bins=50, range=(0, 1), density=True, color=colours[name],
                   alpha=0.6, label=label)  # fmt: skip
    right.set(
        xlabel="output y of the hidden units",
        ylabel="density",
        yscale="log",
        title="saturation: where the slope y (1 - y) is below 0.01",
    )
    right.legend()
    drawing.save(figure, folder, "vanishing_gradients.png")


if __name__ == "__main__":
    main()
