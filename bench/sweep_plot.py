"""The picture of sweep.py: a panel for the width and one for the batch size."""

from __future__ import annotations

from typing import Any

TITLES = {
    "width": ("W-W-W, batch 32", "width W [units]"),
    "batch size": ("32-64-10", "batch size [rows]"),
}
COLOURS = ["#1f4e8c", "#d1651a"]
TICKS = 16  # float32 numbers in a cache line, which is where cliffs would be


def draw(path: str, facts: dict[str, Any], curves: dict[tuple[str, int], list[Any]]) -> None:
    """Write the picture of the curves, by panel and number of threads, to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), dpi=150, layout="constrained")
    axes = dict(zip(TITLES, figure.subplots(2, 1), strict=True))
    colours = dict(zip(sorted({threads for _, threads in curves}), COLOURS, strict=False))
    for (panel, threads), curve in curves.items():
        _draw_curve(axes[panel], threads, curve, colours[threads])
    for panel, axis in axes.items():
        _dress(axis, *TITLES[panel])
    figure.suptitle(
        f"Time of an SGD step of fastbp: {facts['cpu']}, {facts['isa']}, float32", fontsize=12
    )
    figure.savefig(path)


def _draw_curve(axis: Any, threads: int, curve: list[Any], colour: str) -> None:
    sizes = [point["size"] for point in curve]
    low, high = zip(*(point["quartiles"] for point in curve), strict=True)
    label = f"{threads} thread{'s' if threads > 1 else ''}"
    times = [point["microseconds"] for point in curve]
    axis.fill_between(sizes, low, high, color=colour, alpha=0.25, linewidth=0)
    axis.plot(sizes, times, color=colour, label=label, linewidth=1.3, marker=".", markersize=4)


def _dress(axis: Any, title: str, label: str) -> None:
    from matplotlib.ticker import LogLocator, MultipleLocator, NullFormatter, StrMethodFormatter

    axis.set_title(title, loc="left", fontsize=11)
    axis.set_xlabel(label)
    axis.set_ylabel("time per step [µs]")
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_locator(MultipleLocator(TICKS))
    axis.xaxis.set_minor_locator(MultipleLocator(TICKS // 4))
    axis.grid(which="major", linewidth=0.5, alpha=0.5)
    axis.margins(x=0.01)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper left")
