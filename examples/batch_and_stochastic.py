"""Batch against stochastic descent: the paths of two weights over their error surface.

One linear unit y = w x + b and half squared error, so that the surface is a bowl whose bottom is
known: the least-squares line.
"""

import drawing
import numpy as np

import fastbp as fb

ROWS, START = 60, (2.6, 2.1)
# Rows of a step, its rate, passes over the rows.
FORMS = {
    "batch": (None, 0.5, 40),
    "mini-batch of 10": (10, 0.2, 40),
    "one at a time": (1, 0.05, 40),
}
COLOURS = dict(zip(FORMS, (drawing.BLUE, drawing.GREEN, drawing.RED), strict=True))


def rows():
    """Return x and y of a noisy line."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 2, (ROWS, 1))
    return x, 1.2 * x[:, 0] - 0.5 + 0.4 * rng.standard_normal(ROWS)


def path(x, y, batch, rate, epochs):
    """Return (w, b) and the loss over all rows after every step, and the rows seen by then."""
    net = fb.Network(1, [fb.Dense(1, "linear")], dtype="float64")
    layer = net.layers[0]
    layer.weight, layer.bias = [[START[0]]], [START[1]]
    trainer = fb.Trainer(net, "squared_error", fb.SGD(rate))
    order, size = np.random.default_rng(1), batch or ROWS
    points, seen = [START], [0]
    for _ in range(epochs):
        shuffled = order.permutation(ROWS)
        for first in range(0, ROWS, size):
            picked = shuffled[first : first + size]
            trainer.step(x[picked], y[picked])
            points.append((layer.weight[0, 0], layer.bias[0]))
            seen.append(seen[-1] + len(picked))
    points = np.array(points)
    return points, surface(x, y, points[:, 0], points[:, 1]), seen


def surface(x, y, w, b):
    """Return the mean half squared error at w and b, arrays of any shape."""
    outputs = np.multiply.outer(w, x[:, 0]) + np.asarray(b)[..., None]
    return 0.5 * np.mean((outputs - y) ** 2, axis=-1)


def main():
    """Descend in all three forms, compare with least squares, draw."""
    folder = drawing.out_folder(__doc__)
    x, y = rows()
    best = np.linalg.lstsq(np.column_stack([x, np.ones(ROWS)]), y, rcond=None)[0]
    floor = surface(x, y, *best)
    paths = {name: path(x, y, *options) for name, options in FORMS.items()}
    for name, (points, loss, _) in paths.items():
        w, b = points[-1]
        print(f"{name:<18} w {w:.4f} b {b:.4f} loss {loss[-1]:.5f}, least squares {floor:.5f}")
    batch, _, single = (points for points, _, _ in paths.values())
    # The batch goes down all the time and arrives; single rows jitter about the bottom.
    assert (np.diff(paths["batch"][1]) < 0).all()
    assert np.linalg.norm(batch[-1] - best) < 1e-3
    assert 1e-3 < np.linalg.norm(single[-ROWS:] - best, axis=1).mean() < 0.3
    # And after one pass over the rows they are far ahead of the batch's one step.
    assert paths["one at a time"][1][ROWS] < paths["batch"][1][1]
    draw(folder, x, y, best, floor, paths)


def draw(folder, x, y, best, floor, paths):
    """Draw the paths on the contours, and the loss over the gradients evaluated."""
    figure, (left, right) = drawing.panels(2, height=4.8)
    w, b = np.meshgrid(np.linspace(0, 3, 200), np.linspace(-1.6, 2.6, 200))
    levels = floor + np.geomspace(0.01, 10, 12)
    left.contour(w, b, surface(x, y, w, b), levels=levels, colors="#BBBBBB", linewidths=0.8)
    for name in reversed(paths):
        points, loss, seen = paths[name]
        left.plot(*points.T, ".-", color=COLOURS[name], ms=3, lw=1, label=name)
        right.plot(seen, loss - floor, color=COLOURS[name], lw=1.2, label=name)
    left.plot(*best, "*", color="black", ms=13, label="least squares", zorder=5)
    left.plot(*START, "o", color="black", ms=6)
    left.annotate("start", START, (6, 6), textcoords="offset points")
    left.set(xlabel="w", ylabel="b", title="paths over the error surface")
    right.set(
        xlabel="gradients of single rows evaluated",
        ylabel="loss above its least value",
        yscale="log",
        title="the same, by work done",
    )
    left.legend(loc="upper left")
    right.legend(loc="lower left")
    right.grid(alpha=0.3)
    drawing.save(figure, folder, "batch_and_stochastic.png")


if __name__ == "__main__":
    main()
