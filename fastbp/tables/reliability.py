"""Whether probabilities mean what they say: how often what has a probability comes true."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scores import wilson

__all__ = ["Bin", "reliability_bins"]

N_BINS = 10


class Bin(NamedTuple):
    """Rows with a probability from `start` to `start + width`.

    `probability` is their mean, `share` the part of them that it came true for, between `low` and
    `high` (95% interval).
    """

    start: float
    width: float
    n_rows: int
    probability: float
    share: float
    low: float
    high: float


def reliability_bins(y: NDArray[np.int64], probabilities: NDArray[Any]) -> list[Bin]:
    """Return the bins that have rows.

    Of two classes the probability is that of the second one, of more that of each row's answer.
    """
    if probabilities.shape[1] == 2:
        p, true = probabilities[:, 1], y == 1
    else:
        p, true = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    places = np.minimum((p * N_BINS).astype(np.int64), N_BINS - 1)
    n_rows = np.bincount(places, minlength=N_BINS)
    bins = []
    for i in np.flatnonzero(n_rows):
        n, rows = int(n_rows[i]), places == i
        share = float(true[rows].mean())
        probability = float(p[rows].mean())
        bins.append(Bin(i / N_BINS, 1 / N_BINS, n, probability, share, *wilson(share, n)))
    return bins
