"""The data that many networks share, and the folds of them."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _check, _frames, _sparse
from ..datasets import split
from ..errors import ConfigError, brief
from ..preprocess import _n_columns
from .configs import Targets

__all__ = ["Data", "Fold", "data_of", "folds_of"]

# The seed of folds that are given by their number: all networks of all calls have the same.
FOLD_SEED = 0


class Data(NamedTuple):
    """The data of all networks, in the form in which all can use them in place."""

    x: Any
    y: Any
    sample_weight: Any
    validation_data: Any
    validation_split: Any
    columns: _frames.Columns
    number: None = None  # there are no folds

    def arguments(self) -> dict[str, Any]:
        """Return what `Trainer.fit` gets."""
        return {name: v for name, v in self._asdict().items() if name not in ("columns", "number")}

    def done(self) -> None:
        """Do nothing: the caller has the data."""


class Fold:
    """The rows of a fold, copied when the first network wants them, dropped after the last.

    Parameters
    ----------
    data : Data
        All rows.
    number : int
        Of the fold.
    train, held : ndarray
        Numbers of rows.
    n_networks : int
        That are trained on it.
    """

    def __init__(
        self,
        data: Data,
        number: int,
        train: NDArray[np.int64],
        held: NDArray[np.int64],
        n_networks: int,
    ) -> None:
        self._data, self.number, self.train, self.held = data, number, train, held
        self._left, self._lock = n_networks, Lock()
        self._fit: dict[str, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what `Trainer.fit` gets."""
        with self._lock:
            if self._fit is None:
                arrays = self._data.x, self._data.y, self._data.sample_weight
                x, y, weights = (_taken(array, self.train) for array in arrays)
                held = [_taken(array, self.held) for array in arrays if array is not None]
                self._fit = {
                    "x": x,
                    "y": y,
                    "sample_weight": weights,
                    "validation_data": tuple(held),
                }
            return self._fit

    def done(self) -> None:
        """Note that one network less wants them."""
        with self._lock:
            self._left -= 1
            if not self._left:
                self._fit = None


def data_of(x: Any, y: Any, sample_weight: Any, validation_data: Any, part: Any) -> Data:
    """Return the data in a form that each network can use as it is."""
    x, columns = _rows(x, None, "x")
    if not _sparse.is_sparse(x):
        _n_columns(x)
    if isinstance(validation_data, tuple | list) and validation_data:
        first, _ = _rows(validation_data[0], columns, "validation x")
        validation_data = (first, *validation_data[1:])
    if part is not None:
        part = _check.share(part, "validation_split")
    return Data(x, y, sample_weight, validation_data, part, columns)


def _rows(x: Any, columns: _frames.Columns, name: str) -> tuple[Any, _frames.Columns]:
    if _sparse.is_sparse(x):
        _sparse.shape_of(x, name)
        return x, columns
    if _frames.is_frame(x):
        x, columns = _frames.by_name(x, columns, name)
    array = _check.array_of(x, name)
    if array.ndim != 2 or not array.size:  # which is refused later
        return array, columns
    return _check.numbers(array, array.shape[1], name, values=False), columns


def folds_of(folds: Any, data: Data, n_networks: int) -> list[Fold]:
    """Return the folds that `train_many` is asked for, each for so many networks.

    Raises
    ------
    ConfigError
        They are none, or of other rows, or there is other validation data.
    ShapeError
        `y` has not as many rows as x.
    """
    for name in ("validation_data", "validation_split"):
        if getattr(data, name) is not None:
            raise ConfigError(f"{name}: got one beside folds, wanted either")
    y = split.rows(data.y, "y")
    n = split.count(data.x, y)
    data = data._replace(y=y)
    pairs: Iterable[Any]
    if isinstance(folds, int | np.integer) and not isinstance(folds, bool):
        if not 2 <= folds <= n:
            raise ConfigError(f"folds: got {folds}, wanted 2 at least, and at most {n}, the rows")
        rng = np.random.Generator(np.random.PCG64(FOLD_SEED))
        pairs = split.folds(n, int(folds), rng, Targets(data.y).codes)
    elif hasattr(folds, "split") and not isinstance(folds, str):
        pairs = folds.split(data.x, data.y)
    else:
        pairs = folds
    try:
        found = [(train, held) for train, held in pairs]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"folds: got {brief(folds)}, wanted a number, an object with split(x, y), or pairs of "
            f"row numbers (train, test): {error}"
        ) from error
    if not found:
        raise ConfigError("folds: got none, wanted one at least")
    return [
        Fold(data, i, _numbers(train, n), _numbers(held, n), n_networks)
        for i, (train, held) in enumerate(found)
    ]


def _numbers(rows: Any, n: int) -> NDArray[np.int64]:
    """Return the numbers of some of `n` rows, which may be given as a mask."""
    array = np.asarray(rows)
    if array.dtype.kind == "b" and array.shape == (n,):
        array = np.flatnonzero(array)
    if (
        array.dtype.kind not in "iu"
        or array.ndim != 1
        or not array.size
        or not (array.min() >= 0 and array.max() < n)
    ):
        raise ConfigError(f"folds: got {brief(rows)}, wanted numbers of rows, 0..{n - 1}")
    return array.astype(np.int64)


def _taken(array: Any, rows: NDArray[np.int64]) -> Any:
    if array is None:
        return None
    return _frames.taken(split.rows(array, "sample_weight"), rows)
