"""scikit-learn's perceptrons beside fastbp.sklearn's: ``python bench/drop_in.py``.

The same program with another import line: each data set is split, scaled, fitted with the default
parameters and scored, with each solver and some seeds, the two libraries in turn. The score is
accuracy or R2 on held-out rows; the gain is the difference of the means, beside the standard error
of scikit-learn's mean. MNIST is there if FASTBP_DATA names its folder. The exit status is 1 when
fastbp's mean is lower by more than one standard error somewhere.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np
import options
import report
import scipy.sparse
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from timing import seconds_of

from fastbp.datasets import load_mnist
from fastbp.engine.runtime import get_num_threads

THEIRS, OURS = MODULES = ("sklearn.neural_network", "fastbp.sklearn")
SOLVERS = ("adam", "sgd")
SCORES = ["scikit-learn", "fastbp", "gain", "standard error"]
TITLES = ["data, solver", "rows", *SCORES, "scikit-learn s", "fastbp s", "times as fast"]


class Problem(NamedTuple):
    """A data set: what makes X and y, and parameters other than the defaults."""

    make: Callable[[], tuple[Any, Any]]
    parameters: dict[str, Any] = {}  # noqa: RUF012 (never changed)


def california_like() -> tuple[Any, Any]:
    """Prices of 20,640 districts by a formula of eight columns with noise, scaled."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_640, 8))
    income, age, rooms, lat, lon = x[:, :5].T
    coast = np.exp(-((lat - 0.8 * lon) ** 2))
    price = 0.8 * income + 0.3 * np.tanh(age) + 1.2 * coast + 0.2 * income * rooms
    return x, price + 0.3 * rng.standard_normal(len(x))


def text_like() -> tuple[Any, Any]:
    """Counts of 2,000 words in 4,000 texts of four kinds, 40 words each, as CSR."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(4, size=4000)
    order = np.array([rng.permutation(2000) for _ in range(4)])
    words = order[kinds[:, None], (2000 * rng.random((4000, 40)) ** 1.3).astype(int)]
    rows = np.repeat(np.arange(4000), 40)
    counts = (np.ones(words.size), (rows, words.ravel()))
    return scipy.sparse.csr_matrix(counts, shape=(4000, 2000)), kinds


def mnist() -> tuple[Any, Any]:
    """All 70,000 digits."""
    (x, y), (x_test, y_test) = load_mnist()
    return np.concatenate([x, x_test]), np.concatenate([y, y_test])


PROBLEMS = {
    "digits": Problem(lambda: load_digits(return_X_y=True)),
    "breast cancer": Problem(lambda: load_breast_cancer(return_X_y=True)),
    "diabetes": Problem(lambda: load_diabetes(return_X_y=True)),
    "California-like": Problem(california_like),
    "text-like": Problem(text_like),
}
if os.environ.get("FASTBP_DATA"):
    PROBLEMS["MNIST"] = Problem(mnist, {"max_iter": 10})


def main() -> int:
    arguments = _arguments()
    named = {f"{data}, {solver}": (data, solver) for data in PROBLEMS for solver in SOLVERS}
    chosen = options.choose(arguments.only, named)
    facts = report.here(get_num_threads())
    report.show(facts)
    print(report.head(TITLES), flush=True)
    results = []
    for data, solver in chosen:
        results.append(measure(data, solver, arguments.seeds, arguments.rows))
        print(_row(results[-1]), flush=True)
    report.write(arguments.json, facts, results)
    return int(any(result["gain"] < -result["standard_error"] for result in results))


def _arguments() -> argparse.Namespace:
    parser = options.parser(__doc__, only="")
    parser.add_argument("--seeds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--rows", type=int, default=None, help="the first ones alone")
    return parser.parse_args()


def measure(data: str, solver: str, n_seeds: int, rows: int | None) -> dict[str, Any]:
    """Return the record of a data set and a solver."""
    problem = PROBLEMS[data]
    x, y = problem.make()
    x, y = x[:rows], y[:rows]
    kind = "MLPRegressor" if y.dtype.kind == "f" else "MLPClassifier"
    scores: dict[str, list[float]] = {name: [] for name in MODULES}
    seconds: dict[str, list[float]] = {name: [] for name in MODULES}
    for seed in range(n_seeds):
        for module in MODULES if seed % 2 else MODULES[::-1]:
            model = getattr(importlib.import_module(module), kind)(
                solver=solver, random_state=seed, **problem.parameters
            )
            score, taken = _fit(model, x, y, seed)
            scores[module].append(score)
            seconds[module].append(taken)
    deviation = stdev(scores[THEIRS]) if n_seeds > 1 else float("inf")
    return {
        "name": f"{data}, {solver}",
        "rows": x.shape[0],
        "scores": scores,
        "seconds": seconds,
        "gain": mean(scores[OURS]) - mean(scores[THEIRS]),
        "standard_error": deviation / n_seeds**0.5,
        "times": sum(seconds[THEIRS]) / sum(seconds[OURS]),
    }


def _fit(model: Any, x: Any, y: Any, seed: int) -> tuple[float, float]:
    """Return the score on held-out rows, and the seconds of the fit."""
    x, x_test, y, y_test = train_test_split(x, y, random_state=seed)
    scaler = (MaxAbsScaler if scipy.sparse.issparse(x) else StandardScaler)().fit(x)
    x, x_test = scaler.transform(x), scaler.transform(x_test)
    if y.dtype.kind == "f":
        centre, scale = y.mean(), y.std()
        y, y_test = (y - centre) / scale, (y_test - centre) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = seconds_of(lambda: model.fit(x, y))
    return model.score(x_test, y_test), taken


def _row(record: dict[str, Any]) -> str:
    scores = [f"{mean(record['scores'][name]):.4f}" for name in MODULES]
    taken = [f"{mean(record['seconds'][name]):.3g}" for name in MODULES]
    gain = [f"{record['gain']:+.4f}", f"{record['standard_error']:.4f}"]
    cells = [record["name"], str(record["rows"]), *scores, *gain, *taken]
    return report.row([*cells, f"{record['times']:.1f}x"])


if __name__ == "__main__":
    sys.exit(main())
