"""Backpropagation through gates: add hands the gradient on, multiply switches it, max routes it.

1. f = (x + y) z at x = -2, y = 5, z = -4: one Gated without an activation, whose factors are
   a = x + y and b = z.
2. f = sigmoid(w0 x0 + w1 x1 + w2): all five gates at once are the engine's, one Dense.
3. f = 2 (x y + max(z, w)) at x = 3, y = -4, z = 2, w = -1: a Maxout, whose outputs are x, y and
   max(z, w), a Residual, which adds the product of a Gated to its projection, and a Dense.

Half squared error has the slope f - target: with the target f - 1 it sends 1 in, and what comes
out are the derivatives of f.
"""

import drawing
import numpy as np

import fastbp as fb

BLACK = "#222222"


def derivatives(network, x):
    """Return the trace with 1 coming in."""
    f = float(network.predict([x])[0, 0])
    return network.trace(x, f - 1, "squared_error")


def sum_and_product():
    """Return the trace of f = (x + y) z."""
    network = fb.Network(3, [fb.Gated(1, gate="linear")], dtype="float64")
    network.layers[0].weight = [[[1], [0]], [[1], [0]], [[0], [1]]]
    trace = derivatives(network, [-2.0, 5.0, -4.0])
    (q, z), (df_dq, df_dz) = trace.layers[0].u[:, 0], trace.layers[0].delta[:, 0]
    assert (q, z, trace.layers[0].y) == (3, -4, -12)
    assert (df_dq, df_dz) == (z, q)  # the slope by one factor is the other one
    assert trace.dx.tolist() == [-4, -4, 3]
    return trace


def sigmoid_unit():
    """Return the trace of the sigmoid unit."""
    unit = fb.Network(2, [fb.Dense(1, "sigmoid")], dtype="float64")
    unit.layers[0].weight, unit.layers[0].bias = [[2.0], [-3.0]], [-3.0]
    trace = derivatives(unit, [-1.0, -2.0])
    row = trace.layers[0]
    assert row.u == 1
    assert np.round(row.y, 2) == 0.73
    assert np.round(row.dW[:, 0], 2).tolist() == [-0.20, -0.39]
    assert np.round(row.db, 2) == 0.20
    assert np.round(trace.dx, 2).tolist() == [0.39, -0.59]
    return trace


def product_and_maximum():
    """Return the trace of f = 2 (x y + max(z, w))."""
    layers = [fb.Maxout(3, 2), fb.Residual([fb.Gated(1, gate="linear")]), fb.Dense(1)]
    network = fb.Network(4, layers, dtype="float64")
    routes, adds, doubles = network.layers
    routes.weight = np.zeros((4, 2, 3))
    for unit, (first, second) in enumerate([(0, 0), (1, 1), (2, 3)]):  # x, y, max(z, w)
        routes.weight[first, 0, unit] = routes.weight[second, 1, unit] = 1
    adds.layers[0].weight = [[[1], [0]], [[0], [1]], [[0], [0]]]
    adds.projection.weight = [[0], [0], [1]]
    doubles.weight = [[2]]
    trace = derivatives(network, [3.0, -4.0, 2.0, -1.0])
    maximum, total, _ = trace.layers
    assert maximum.won[2] == 0  # z, which has the whole gradient
    assert (total.branch, total.shortcut, total.y) == (-12, 2, -10)
    assert trace.layers[-1].y == -20
    assert trace.dx.tolist() == [-8, 6, 2, 0]
    return trace


def gate(ax, x, y, name):
    """Draw a gate."""
    ax.scatter(x, y, s=900, color="white", edgecolor=BLACK, zorder=2)
    size = 13 if len(name) < 3 else 10
    ax.text(x, y, name, ha="center", va="center", fontsize=size, zorder=3)


def wire(ax, start, end, value, gradient, name=""):
    """Draw a wire with what goes forward over what comes back."""
    ax.plot(*zip(start, end, strict=True), color="#BBBBBB", zorder=1)
    # Near the start, where the wires into one gate are still apart.
    x, y = (a + 0.42 * (b - a) for a, b in zip(start, end, strict=True))
    drawing.pair(ax, x, y, f"{value:.4g}", f"{gradient:.4g}")
    if name:
        ax.text(start[0] - 0.08, start[1], name, ha="right", va="center", fontsize=11)


def draw_sum_and_product(ax, trace):
    """Draw the circuit of f = (x + y) z."""
    (row,) = trace.layers
    starts = [(0, 2), (0, 1), (0, 0)]
    ends = [(1.2, 1.5), (1.2, 1.5), (2.4, 0.75)]
    for name, start, end, *numbers in zip("xyz", starts, ends, trace.x, trace.dx, strict=True):
        wire(ax, start, end, *numbers, name)
    wire(ax, (1.2, 1.5), (2.4, 0.75), row.u[0, 0], row.delta[0, 0])
    wire(ax, (2.4, 0.75), (3.4, 0.75), row.y[0], 1)
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


def draw_product_and_maximum(ax, trace):
    """Draw the circuit of f = 2 (x y + max(z, w))."""
    _, total, double = trace.layers
    starts = [(0, 3), (0, 2), (0, 1), (0, 0)]
    ends = [(1.2, 2.5), (1.2, 2.5), (1.2, 0.5), (1.2, 0.5)]
    for name, start, end, *numbers in zip("xyzw", starts, ends, trace.x, trace.dx, strict=True):
        wire(ax, start, end, *numbers, name)
    wire(ax, (1.2, 2.5), (2.4, 1.5), total.branch[0], total.dy[0])
    wire(ax, (1.2, 0.5), (2.4, 1.5), total.shortcut[0], total.dy[0])
    wire(ax, (2.4, 1.5), (3.4, 1.5), total.y[0], total.dy[0])
    wire(ax, (3.4, 1.5), (4.4, 1.5), double.y[0], 1)
    for x, y, name in [(1.2, 2.5, "×"), (1.2, 0.5, "max"), (2.4, 1.5, "+"), (3.4, 1.5, "·2")]:
        gate(ax, x, y, name)
    ax.text(4.48, 1.5, "f", va="center", fontsize=11)
    ax.set_title("f = 2 (x y + max(z, w))")


def main():
    """Work out the functions, print them, draw the circuits."""
    folder = drawing.out_folder(__doc__)
    traces = sum_and_product(), sigmoid_unit(), product_and_maximum()
    draws = draw_sum_and_product, draw_sigmoid_unit, draw_product_and_maximum
    figure, axes = drawing.panels(3, width=5.6, height=4.6)
    for ax, draw, trace in zip(axes, draws, traces, strict=True):
        print(trace, end="\n\n")
        draw(ax, trace)
        ax.margins(0.1)
        ax.axis("off")
    drawing.save(figure, folder, "gates.png")


if __name__ == "__main__":
    main()
