"""The exercise of the 1-2-1 network, all units sigmoid, target 1: by hand, then trained."""

from math import exp

import drawing
import numpy as np

import fastbp as fb

X, TARGET, RATE, STEPS = 1.0, 1.0, 1.0, 300
W1, B1 = [0.5, -0.5], [0.0, 0.0]
W2, B2 = [1.0, -1.0], 0.0


def sigmoid(u):
    """Return 1 / (1 + e^-u)."""
    return 1 / (1 + exp(-u))


def main():
    """Solve the exercise on paper and with the engine, then train to the target."""
    folder = drawing.out_folder(__doc__)
    net = fb.Network(1, [fb.Dense(2, "sigmoid"), fb.Dense(1, "sigmoid")], dtype="float64")
    hidden, output = net.layers
    hidden.weight, hidden.bias = [W1], B1
    output.weight, output.bias = [[w] for w in W2], [B2]

    y1 = [sigmoid(X * W1[j] + B1[j]) for j in (0, 1)]
    y2 = sigmoid(y1[0] * W2[0] + y1[1] * W2[1] + B2)
    delta2 = (y2 - TARGET) * y2 * (1 - y2)
    delta1 = [delta2 * W2[j] * y1[j] * (1 - y1[j]) for j in (0, 1)]

    trace = net.trace(X, TARGET, "squared_error")
    print(trace)
    np.testing.assert_allclose(trace.layers[0].delta, delta1, rtol=1e-13)
    np.testing.assert_allclose(trace.layers[1].delta, [delta2], rtol=1e-13)
    np.testing.assert_allclose(trace.layers[1].dW[:, 0], [y * delta2 for y in y1], rtol=1e-13)
    # To check one's own sheet of paper against.
    np.testing.assert_allclose(trace.layers[0].y, [0.622459, 0.377541], atol=1e-6)
    np.testing.assert_allclose(trace.layers[1].y, [0.560925], atol=1e-6)
    np.testing.assert_allclose(trace.layers[1].delta, [-0.108139], atol=1e-6)
    np.testing.assert_allclose(trace.layers[0].delta, [-0.025413, 0.025413], atol=1e-6)

    figure, (left, right) = drawing.panels(2, width=6.5, height=4.6)
    weights, biases = [hidden.weight.copy(), output.weight.copy()], [B1, [B2]]
    drawing.draw_network(left, trace, weights, biases)
    left.set_title(f"1-2-1, target 1: loss {trace.loss:.4f}; forward in blue, gradients in red")

    trainer = fb.Trainer(net, "squared_error", fb.SGD(RATE))
    outputs = [y2]
    for _ in range(STEPS):
        trainer.step([[X]], [TARGET])
        outputs.append(float(net.predict([[X]])[0, 0]))
    assert all(np.diff(outputs) > 0)
    assert outputs[-1] > 0.95
    print(f"output after {STEPS} steps at rate {RATE:g}: {outputs[-1]:.4f}")

    right.plot(outputs, color=drawing.BLUE, label="output")
    right.axhline(TARGET, color=drawing.GREY, linestyle="--", label="target")
    right.set(xlabel="step", ylabel="output", title="a sigmoid nears 1 and never gets there")
    right.legend()
    drawing.save(figure, folder, "one_two_one.png")


if __name__ == "__main__":
    main()
