"""Permutation importance: how much worse a model is without what one column says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Importance", "importances"]


class Importance(NamedTuple):
    """By how much the loss of rows rises when a column is shuffled: mean and standard deviation."""

    column: str
    mean: float
    spread: float


def importances(
    loss: Callable[[NDArray[Any]], float],
    x: NDArray[Any],
    sources: Sequence[str],
    n_repeats: int = 5,
    seed: int = 0,
) -> list[Importance]:
    """Return the importance of each column, the most important first (Breiman, 2001).

    All encoded columns that come from one column of the table get the same new order, which is the
    same as shuffling that column.

    Parameters
    ----------
    loss : callable
        Of encoded rows; less is better.
    x : ndarray, shape (n, n_outputs)
        Encoded rows. They are what they were when the call returns.
    sources : sequence of str
        For each encoded column the column of the table.
    n_repeats : int
        New orders of each column.
    seed : int
        Of the orders.
    """
    rng, before = np.random.default_rng(seed), loss(x)
    found = []
    for column in dict.fromkeys(sources):
        mine = np.flatnonzero(np.array(sources) == column)
        kept = x[:, mine].copy()
        rises = []
        for _ in range(n_repeats):
            x[:, mine] = kept[rng.permutation(len(x))]
            rises.append(loss(x) - before)
        x[:, mine] = kept
        found.append(Importance(column, float(np.mean(rises)), float(np.std(rises))))
    return sorted(found, key=lambda each: -each.mean)
