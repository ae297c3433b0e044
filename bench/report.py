"""The figures of a benchmark as records for JSON and as rows of a Markdown table."""

from typing import Any

import numpy as np
from problems import Shape

TITLES = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn"}


def result(
    shape: Shape,
    timings: dict[str, list[float]],
    peak: float,
    losses: dict[str, list[float]],
    failures: dict[str, str],
) -> dict[str, Any]:
    """Return the record of one shape; times are microseconds per step, ratios peer / fastbp."""
    medians = {name: float(np.median(samples)) for name, samples in timings.items()}
    ours = medians["fastbp"]
    gflops = shape.flops / ours / 1e3
    return {
        "shape": shape.name,
        "widths": shape.widths,
        "batch": shape.batch,
        "steps": shape.steps,
        "flops": shape.flops,
        "microseconds": medians,
        "spread": {name: _spread(samples) for name, samples in timings.items()},
        "gflops": gflops,
        "peak_gflops": peak,
        "percent_of_peak": 100 * gflops / peak,
        "ratio": {name: time / ours for name, time in medians.items() if name != "fastbp"},
        "samples": timings,
        "losses": losses,
        "failures": failures,
    }


def header(names: list[str]) -> str:
    """Return the head of the table: a column of ratios for each peer."""
    titles = ["network, batch", "µs per step", "spread", "GFLOP/s", "of peak"]
    titles += [TITLES[name] for name in names if name != "fastbp"]
    return _line(titles) + "\n" + _line(["---"] + ["---:"] * (len(titles) - 1))


def row(record: dict[str, Any], names: list[str]) -> str:
    """Return the row of one shape."""
    cells = [
        record["shape"],
        _number(record["microseconds"]["fastbp"]),
        f"{record['spread']['fastbp']:.1%}",
        _number(record["gflops"]),
        f"{record['percent_of_peak']:.3g}%",
    ]
    ratios = record["ratio"]
    cells += [f"{ratios[n]:.1f}x" if n in ratios else "-" for n in names if n != "fastbp"]
    return _line(cells)


def _spread(samples: list[float]) -> float:
    """Half the interquartile range over the median."""
    low, middle, high = np.percentile(samples, [25, 50, 75])
    return float((high - low) / 2 / middle)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
