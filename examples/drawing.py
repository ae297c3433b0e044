"""What the examples share: the folder of the picture, colours, a network with its numbers on it."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastbp.trace import Trace

# Of Okabe and Ito: apart for colour-blind eyes too.
BLUE, RED, GREEN, ORANGE, PURPLE, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#666666"
)  # fmt: skip
BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}


def out_folder(description: str) -> Path:
    """Return the folder that --out names: the current one without it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the picture")
    return parser.parse_args().out


def panels(n: int = 1, width: float = 6.5, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels side by side."""
    figure = Figure(figsize=(n * width, height), layout="constrained", dpi=120)
    figure.get_layout_engine().set(wspace=0.06)
    return figure, list(np.atleast_1d(figure.subplots(1, n)))


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write the picture and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / name)
    print(f"picture: {folder / name}")


def draw_network(ax: Axes, trace: Trace, weights: list[np.ndarray], biases: list[np.ndarray]):
    """Draw a small network: what goes forward in blue, what comes back in red."""
    columns = [trace.x, *(layer.y for layer in trace.layers)]
    places = [[(i, (len(c) - 1) / 2 - j) for j in range(len(c))] for i, c in enumerate(columns)]
    for i, (layer, weight) in enumerate(zip(trace.layers, weights, strict=True)):
        for row, start in enumerate(places[i]):
            for unit, end in enumerate(places[i + 1]):
                ax.plot(*zip(start, end, strict=True), color="#BBBBBB", zorder=1)
                # Crossing edges have their numbers near the start, where they are still apart.
                share = 0.33 if min(len(places[i]), len(places[i + 1])) > 1 else 0.5
                spot = [a + share * (b - a) for a, b in zip(start, end, strict=True)]
                pair(ax, *spot, f"w {weight[row, unit]:.3g}", f"dw {layer.dW[row, unit]:.4f}")
    for i, column in enumerate(places):
        for unit, (x, y) in enumerate(column):
            ax.scatter(x, y, s=2000, color="white", edgecolor="black", zorder=2)
            if i == 0:
                ax.text(x, y, f"{trace.x[unit]:g}", ha="center", va="center", color=BLUE, zorder=3)
                pair(ax, x, y - 0.24, f"x{unit}", f"dx {trace.dx[unit]:.4f}")
                continue
            layer = trace.layers[i - 1]
            ax.text(x, y, f"{layer.y[unit]:.4f}", ha="center", va="center", color=BLUE, zorder=3)
            forward = f"b {biases[i - 1][unit]:.3g}, u {layer.u[unit]:.4f}"
            pair(ax, x, y - 0.24, forward, f"delta {layer.delta[unit]:.4f}")
    tallest = max(map(len, places))
    ax.set_xlim(-0.35, len(columns) - 1 + 0.35)
    ax.set_ylim(-(tallest - 1) / 2 - 0.4, (tallest - 1) / 2 + 0.25)
    ax.axis("off")


def pair(ax: Axes, x: float, y: float, forward: str, back: str) -> None:
    """Write what goes forward, in blue, over what comes back, in red, on white."""
    style = {"ha": "center", "va": "center", "fontsize": 9}
    # One text has one colour, so three lie on each other: the first is only their white ground.
    ax.text(x, y, f"{forward}\n{back}", color="white", zorder=3, bbox=BOX, **style)
    ax.text(x, y, f"{forward}\n", color=BLUE, zorder=4, **style)
    ax.text(x, y, f"\n{back}", color=RED, zorder=4, **style)
