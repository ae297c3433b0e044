"""A 2-2-1 network, sigmoid and linear, half squared error: forward, deltas and one update by hand.

Every number is worked out twice, in plain Python below and by the engine, and must agree.
"""

from math import exp

import drawing
import numpy as np

import fastbp as fb

X, TARGET, RATE = [0.35, 0.9], 0.5, 0.5
W1, B1 = [[0.1, 0.4], [0.8, 0.6]], [0.1, -0.1]  # W1[i][j] goes from input i to hidden unit j
W2, B2 = [0.3, 0.9], 0.2


def by_hand():
    """Return u, y and delta of each unit and the weights after one step, as on paper."""
    # Forward: u = sum of x w + b, y = sigmoid(u) in the hidden layer, y = u at the output.
    u1 = [X[0] * W1[0][j] + X[1] * W1[1][j] + B1[j] for j in (0, 1)]
    y1 = [1 / (1 + exp(-u)) for u in u1]
    y2 = y1[0] * W2[0] + y1[1] * W2[1] + B2
    # Back: dL/du of L = (y - t)^2 / 2 at the output, then each hidden unit's share of it times
    # the slope of its sigmoid, y (1 - y).
    delta2 = y2 - TARGET
    delta1 = [delta2 * W2[j] * y1[j] * (1 - y1[j]) for j in (0, 1)]
    # Update: each weight goes down by the rate times its input times the delta at its end.
    new_w1 = [[W1[i][j] - RATE * X[i] * delta1[j] for j in (0, 1)] for i in (0, 1)]
    new_b1 = [B1[j] - RATE * delta1[j] for j in (0, 1)]
    new_w2 = [[W2[j] - RATE * y1[j] * delta2] for j in (0, 1)]
    return (u1, y1, delta1), ([y2], [y2], [delta2]), (new_w1, new_b1, new_w2, [B2 - RATE * delta2])


def main():
    """Trace by hand and by the engine, update once with each, draw."""
    folder = drawing.out_folder(__doc__)
    net = fb.Network(2, [fb.Dense(2, "sigmoid"), fb.Dense(1, "linear")], dtype="float64")
    hidden, output = net.layers
    hidden.weight, hidden.bias = W1, B1
    output.weight, output.bias = [[w] for w in W2], [B2]

    trace = net.trace(X, TARGET, "squared_error")
    print(trace)
    *layers, updated = by_hand()
    for row, (u, y, delta) in zip(trace.layers, layers, strict=True):
        np.testing.assert_allclose(row.u, u, rtol=1e-14)
        np.testing.assert_allclose(row.y, y, rtol=1e-14)
        np.testing.assert_allclose(row.delta, delta, rtol=1e-14)

    figure, (ax,) = drawing.panels(width=9, height=5.5)
    weights, biases = [hidden.weight.copy(), output.weight.copy()], [B1, [B2]]
    drawing.draw_network(ax, trace, weights, biases)
    ax.set_title(
        f"2-2-1, target {TARGET}: loss {trace.loss:.4f}; forward in blue, gradients in red"
    )

    trainer = fb.Trainer(net, "squared_error", fb.SGD(RATE))
    trainer.step([X], [TARGET])
    engine = (hidden.weight, hidden.bias, output.weight, output.bias)
    for ours, theirs in zip(engine, updated, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    after = net.trace(X, TARGET, "squared_error")
    print(f"after one step at rate {RATE}: weights")
    print(hidden.weight, hidden.bias, output.weight.T, output.bias, sep="\n")
    print(f"output {trace.layers[-1].y[0]:.6f} -> {after.layers[-1].y[0]:.6f}, target {TARGET}")

    # To check one's own sheet of paper against.
    np.testing.assert_allclose(trace.layers[0].y, [0.701615, 0.641067], atol=1e-6)
    np.testing.assert_allclose(trace.layers[1].delta, [0.487445], atol=1e-6)
    np.testing.assert_allclose(trace.layers[0].delta, [0.030614, 0.100945], atol=1e-6)
    np.testing.assert_allclose(output.weight[:, 0], [0.129001, 0.743757], atol=1e-6)
    np.testing.assert_allclose(after.layers[1].y, [0.505869], atol=1e-6)
    drawing.save(figure, folder, "two_two_one.png")


if __name__ == "__main__":
    main()
