"""Backpropagation through gates: add hands the gradient on, multiply switches it.

1. f = (x + y) z at x = -2, y = 5, z = -4: the add gate is the engine's, a linear Dense with both
   weights 1; the multiply gate is a Gated without an activation.
2. f = sigmoid(w0 x0 + w1 x1 + w2): all five gates at once are the engine's, one Dense.
"""

import drawing
import numpy as np

import fastbp as fb

BLACK = "#222222"


def sum_and_product():
    """Return the values (x, y, z, q, f) and df by each of them."""
    x, y, z = -2.0, 5.0, -4.0
    add = fb.Network(2, [fb.Dense(1, "linear")], dtype="float64")
    add.layers[0].weight, add.layers[0].bias = [[1.0], [1.0]], [0.0]
    q = float(add.predict([[x, y]])[0, 0])
    multiply = fb.Network(2, [fb.Gated(1, gate="linear")], dtype="float64")
    multiply.layers[0].weight, multiply.layers[0].bias = [[[1], [0]], [[0], [1]]], [[0], [0]]
    f = float(multiply.predict([[q, z]])[0, 0])
    # The multiply gate back: the slope by one input is the other one. Half squared error has the
    # slope f - target, so this target sends 1 in, and the one below sends df/dq in.
    _, _, slopes = multiply.gradients([[q, z]], [[f - 1]], "squared_error", inputs=True)
    df_dq, df_dz = slopes[0]
    trace = add.trace([x, y], q - df_dq, "squared_error")
    df_dx, df_dy = trace.dx
    assert (q, f) == (3, -12)
    assert (df_dx, df_dy, df_dz) == (-4, -4, 3)
    return (x, y, z, q, f), (df_dx, df_dy, df_dz, df_dq, 1.0)


def sigmoid_unit():
    """Return the unit's trace; target y - 1 makes the slope that comes in 1, so this is df."""
    unit = fb.Network(2, [fb.Dense(1, "sigmoid")], dtype="float64")
    unit.layers[0].weight, unit.layers[0].bias = [[2.0], [-3.0]], [-3.0]
    f = float(unit.predict([[-1.0, -2.0]])[0, 0])
    trace = unit.trace([-1.0, -2.0], f - 1, "squared_error")
    row = trace.layers[0]
    assert row.u == 1
    assert np.round(row.y, 2) == 0.73
    assert np.round(row.dW[:, 0], 2).tolist() == [-0.20, -0.39]
    assert np.round(row.db, 2) == 0.20
    assert np.round(trace.dx, 2).tolist() == [0.39, -0.59]
    return trace


def gate(ax, x, y, name):
    """Draw a gate."""
    ax.scatter(x, y, s=900, color="white", edgecolor=BLACK, zorder=2)
    ax.text(x, y, name, ha="center", va="center", fontsize=13, zorder=3)


def wire(ax, start, end, value, gradient, name=""):
    """Draw a wire with what goes forward over what comes back."""
    ax.plot(*zip(start, end, strict=True), color="#BBBBBB", zorder=1)
    # Near the start, where the wires into one gate are still apart.
    x, y = (a + 0.42 * (b - a) for a, b in zip(start, end, strict=True))
    drawing.pair(ax, x, y, f"{value:.4g}", f"{gradient:.4g}")
    if name:
        ax.text(start[0] - 0.08, start[1], name, ha="right", va="center", fontsize=11)


def draw_sum_and_product(ax, values, gradients):
    """Draw the circuit of f = (x + y) z."""
    starts = [(0, 2), (0, 1), (0, 0)]
    ends = [(1.2, 1.5), (1.2, 1.5), (2.4, 0.75)]
    for i, name in enumerate("xyz"):
        wire(ax, starts[i], ends[i], values[i], gradients[i], name)
    wire(ax, (1.2, 1.5), (2.4, 0.75), values[3], gradients[3])
    wire(ax, (2.4, 0.75), (3.4, 0.75), values[4], gradients[4])
    gate(ax, 1.2, 1.5, "+")
    gate(ax, 2.4, 0.75, "×")
    ax.text(3.48, 0.75, "f", va="center", fontsize=11)
    ax.set_title("f = (x + y) z; values in blue, the gradient of f in red")


def draw_sigmoid_unit(ax, trace):
    """Draw the gates of the sigmoid unit."""
    row, (x0, x1) = trace.layers[0], trace.x
    delta = row.delta[0]
    inputs = [("w0", 2, row.dW[0, 0]), ("x0", x0, trace.dx[0]),
              ("w1", -3, row.dW[1, 0]), ("x1", x1, trace.dx[1]), ("w2", -3, row.db[0])]  # fmt: skip
    ends = [(0, 4), (0, 3), (0, 2.2), (0, 1.2), (0, 0.2)]
    gates = [(1, 3.5), (1, 3.5), (1, 1.7), (1, 1.7), (2, 2.2)]
    for (name, value, gradient), start, end in zip(inputs, ends, gates, strict=True):
        wire(ax, start, end, value, gradient, name)
    wire(ax, (1, 3.5), (2, 2.2), 2 * x0, delta)
    wire(ax, (1, 1.7), (2, 2.2), -3 * x1, delta)
    wire(ax, (2, 2.2), (3, 2.2), row.u[0], delta)
    wire(ax, (3, 2.2), (4, 2.2), row.y[0], 1)
    for x, y, name in [(1, 3.5, "×"), (1, 1.7, "×"), (2, 2.2, "+"), (3, 2.2, "σ")]:
        gate(ax, x, y, name)
    ax.text(4.08, 2.2, "f", va="center", fontsize=11)
    ax.set_title("f = σ(w0 x0 + w1 x1 + w2), one unit of the engine")


def main():
    """Work out both functions, print them, draw the circuits."""
    folder = drawing.out_folder(__doc__)
    values, gradients = sum_and_product()
    print("f = (x + y) z      x, y, z, q, f =", *values, "  df by each =", *gradients)
    trace = sigmoid_unit()
    print(trace)
    figure, (left, right) = drawing.panels(2, width=6.5, height=4.6)
    draw_sum_and_product(left, values, gradients)
    draw_sigmoid_unit(right, trace)
    for ax in (left, right):
        ax.margins(0.1)
        ax.axis("off")
    drawing.save(figure, folder, "gates.png")


if __name__ == "__main__":
    main()
