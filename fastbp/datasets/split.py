"""Rows split at random in two parts, in each of which every class has its share if so wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _frames, _labels, _sparse
from ..errors import InputError, ShapeError

__all__ = ["folds", "parts", "rows", "train_test_split"]

Parts = tuple[NDArray[np.int64], NDArray[np.int64]]


def train_test_split(
    x: Any,
    y: Any,
    test_fraction: float = 0.2,
    seed: int | None = None,
    stratify: ArrayLike | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Split rows at random into a training and a test part.

    Parameters
    ----------
    x, y : array_like, frame or series
        With as many rows.
    test_fraction : float
        The share of the rows that goes into the test part, above 0 and below 1; each part gets
        one at least.
    seed : int, optional
        The same seed gives the same split; None gives a fresh one.
    stratify : array_like, optional
        Labels [n], as a rule `y`: each has its share of both parts, as near as whole rows allow,
        and the last row of a label is for training. Default: no matter which rows.

    Returns
    -------
    x_train, x_test, y_train, y_test
        Frames and series are of the kind that came, all else is an array.

    Raises
    ------
    ShapeError
        `x`, `y` and `stratify` have not as many rows.
    ConfigError
        `test_fraction` is out of its range.
    InputError
        There are fewer than two rows.
    LabelError
        `stratify` holds something else than labels.
    """
    x, y = rows(x, "x"), rows(y, "y")
    n = count(x, y)
    codes = None if stratify is None else _labels.numbered(stratify, "stratify")
    if codes is not None and len(codes) != n:
        raise ShapeError(f"stratify: got {len(codes)} rows, wanted {n}, as many as x has")
    rng = np.random.Generator(np.random.PCG64(_check.seed(seed)))
    train, test = parts(n, test_fraction, rng, codes, "test_fraction")
    taken = _frames.taken
    return taken(x, train), taken(x, test), taken(y, train), taken(y, test)


def rows(value: Any, name: str) -> Any:
    """Return `value` if its rows can be taken, else as an array.

    Raises
    ------
    ShapeError
        It has no rows, or rows of different lengths.
    """
    if _sparse.is_sparse(value):
        _sparse.shape_of(value, name)
        return value
    if not _frames.is_frame(value):
        _check.table(value, name)
    return _frames.rows_of(value)


def count(x: Any, y: Any) -> int:
    """Return how many rows `x` and `y` have, both from `rows`.

    Raises
    ------
    ShapeError
        One has more.
    """
    n, m = (a.shape[0] if _sparse.is_sparse(a) else len(a) for a in (x, y))
    if n != m:
        raise ShapeError(f"y: got {m} rows, wanted {n}, as many as x has")
    return int(n)


def parts(
    n: int,
    fraction: float,
    rng: np.random.Generator,
    codes: NDArray[np.intp] | None,
    name: str,
) -> Parts:
    """Return the rows to train on and those held out, each in a random order.

    Parameters
    ----------
    n : int
        Rows in all.
    fraction : float
        The share that is held out, called `name` in errors.
    rng : Generator
        One permutation is drawn from it.
    codes : ndarray or None
        The number of the class of each row, if every class is to have its share.
    """
    fraction = _check.share(fraction, name)
    if n < 2:
        raise InputError(f"x: got {n} rows, wanted 2 or more, one for each part")
    order = rng.permutation(n)
    n_held = min(max(round(fraction * n), 1), n - 1)
    held = np.arange(n) < n_held if codes is None else _share(codes[order], n_held)
    return order[~held], order[held]


def folds(n: int, k: int, rng: np.random.Generator, codes: NDArray[np.intp] | None) -> list[Parts]:
    """Return the rows to train on and those held out of `k` folds, each in ascending order.

    Every row is held out once, at random; the folds differ by a row at most, and by one of each
    class.

    Parameters
    ----------
    n : int
        Rows in all, at least `k`.
    rng : Generator
        One permutation is drawn from it.
    codes : ndarray or None
        As in `parts`.
    """
    order = rng.permutation(n)
    if codes is not None:  # dealt class by class, like cards
        order = order[np.argsort(codes[order], kind="stable")]
    held = np.empty(n, np.int64)
    held[order] = np.arange(n) % k
    return [(np.flatnonzero(held != i), np.flatnonzero(held == i)) for i in range(k)]


def _share(codes: NDArray[np.intp], n_held: int) -> NDArray[np.bool_]:
    """Return which of the rows are held out: of each class the first ones, as many as its share.

    The shares are rounded by the method of the largest remainder, in integers.
    """
    n, counts = len(codes), np.bincount(codes)
    shares, remainders = np.divmod(n_held * counts, n)
    # One more for those with the largest remainders, but first where one is left to train on.
    last = (shares + 1 == counts) | (remainders == 0)
    ranked = np.lexsort((-remainders, last))
    shares[ranked[: n_held - shares.sum()]] += 1
    by_class = np.argsort(codes, kind="stable")
    first = np.cumsum(counts) - counts
    rank = np.empty(n, np.int64)
    rank[by_class] = np.arange(n) - first[codes[by_class]]
    held: NDArray[np.bool_] = rank < shares[codes]
    return held
