"""Preprocessing as one affine map ``x' = (x - mean) M``, fitted to the training part.

A network learns best from numbers of mean 0 and deviation 1, and is used best when it takes the
user's own numbers. So attach the fitted map to it::

    net = fb.Network(64, layers, preprocessing=fb.preprocess.Standardize().fit(x_train))

Everything that takes x then takes it raw and maps it first; the map is saved with the network.
`Network.fold` puts it into the first layer. LeCun et al., "Efficient BackProp", 1998, section
4.3, says why. The maps agree with scikit-learn's of the corresponding names.

`polynomial_features`, `one_hot` and `labels` are no such maps: call them before.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations_with_replacement
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check, _frames
from ._affine import Affine, centred, rows_of
from .engine.arrays import all_finite
from .errors import ConfigError, InputError, ShapeError

__all__ = [
    "PCA",
    "Affine",
    "Center",
    "MinMax",
    "Standardize",
    "Whiten",
    "labels",
    "one_hot",
    "polynomial_features",
]

Map = tuple[NDArray[np.float64], NDArray[np.float64]]


class _Fitted(Affine):
    """A map whose mean and M come from data."""

    def fit(self, x: ArrayLike) -> Self:
        """Find the map for these rows [n, n_inputs]; return the object itself.

        Raises
        ------
        InputError, ShapeError, DTypeError, ConfigError
            `x` is not a finite two-dimensional array of numbers, or has too few rows or columns.
        """
        columns = None
        if _frames.is_frame(x):
            x, columns = _frames.by_name(x, None, "x")
        shape = np.shape(x)
        if len(shape) != 2 or not shape[1]:
            raise ShapeError(f"x: got shape {shape}, wanted (n, n_inputs), a row per example")
        self._set(*self._solve(_check.numbers(x, shape[1])))
        self.columns = columns
        return self

    def _solve(self, x: NDArray[Any]) -> Map:
        raise NotImplementedError


@dataclass(eq=False)
class Center(_Fitted):
    """Each column less its mean."""

    def _solve(self, x: NDArray[Any]) -> Map:
        return _mean(x), np.ones(x.shape[1])


@dataclass(eq=False)
class Standardize(_Fitted):
    """Each column to mean 0 and deviation 1; a constant one keeps its unit.

    Parameters
    ----------
    shared : bool
        One mean and one deviation for all columns, as for the pixels of an image.
    farthest : float, optional
        No value of the fitted rows gets further than this from 0, > 0. A column that is nearly
        always the same, such as a pixel at the border, would else have huge values. Default: no
        limit, as in scikit-learn's StandardScaler.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    shared: bool = False
    farthest: float | None = None

    def __post_init__(self) -> None:
        """Check the options."""
        _check.flag(self.shared, "shared")
        if self.farthest is not None:
            _check.positive(self.farthest, "farthest")

    def _solve(self, x: NDArray[Any]) -> Map:
        mean = _mean(x)
        if self.shared:
            mean[:] = mean.mean()
        variance = sum((block**2).sum(axis=0) for _, block in centred(x, mean)) / len(x)
        if self.shared:
            variance[:] = variance.mean()
        # Rounding alone may leave a constant column a deviation above zero.
        rounding = len(x) * np.finfo(np.float64).eps
        constant = variance <= rounding * variance + (rounding * mean) ** 2
        scale = np.sqrt(variance)
        if self.farthest is not None:
            distance = np.maximum(x.max(axis=0) - mean, mean - x.min(axis=0))
            distance = np.full_like(mean, distance.max()) if self.shared else distance
            scale = np.maximum(scale, distance / self.farthest)
        return mean, 1 / np.where(constant, 1.0, scale)


@dataclass(eq=False)
class MinMax(_Fitted):
    """Each column to the range from `low` to `high`; a constant one to `low`.

    Parameters
    ----------
    low, high : float
        Finite, low < high.

    Raises
    ------
    ConfigError
        They are not.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        numbers = all(isinstance(bound, int | float) for bound in (self.low, self.high))
        if not (numbers and -np.inf < self.low < self.high < np.inf):
            raise ConfigError(f"range: got {self.low!r} to {self.high!r}, wanted low < high")

    def _solve(self, x: NDArray[Any]) -> Map:
        low, high = (bound.astype(np.float64) for bound in (x.min(axis=0), x.max(axis=0)))
        width = np.where(high > low, high - low, 1.0)
        scale = (self.high - self.low) / width
        return low - self.low / scale, scale


@dataclass(eq=False)
class PCA(_Fitted):
    """Projection on the principal components, the directions of the largest variance.

    The largest entry of each direction is made positive. NumPy's linear algebra finds them, from
    the covariance.

    Parameters
    ----------
    n_components : int, optional
        At most rows and columns of the fitted data. Default: the smaller of the two.

    Attributes
    ----------
    variances : ndarray
        [n_components], falling, with n - 1 in the denominator.

    Raises
    ------
    ConfigError
        `n_components` is out of its range.
    """

    n_components: int | None = None

    def __post_init__(self) -> None:
        """Check the number."""
        _check.optional_int(self.n_components, "n_components")

    def _solve(self, x: NDArray[Any]) -> Map:
        mean, self.variances, directions, _ = _principal(x, self.n_components)
        return mean, directions


@dataclass(eq=False)
class Whiten(_Fitted):
    """Columns that are uncorrelated and of variance 1 (with n - 1 in the denominator).

    Directions in which the data do not vary keep their unit.

    Parameters
    ----------
    n_components : int, optional
        As in `PCA`.
    zca : bool
        Turn back to the original axes, so that images still look like images.
    epsilon : float
        Added to each variance, >= 0.

    Raises
    ------
    ConfigError
        An option is out of its range.
    """

    n_components: int | None = None
    zca: bool = False
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        """Check the options."""
        _check.optional_int(self.n_components, "n_components")
        _check.flag(self.zca, "zca")
        _check.number(self.epsilon, "epsilon")

    def _solve(self, x: NDArray[Any]) -> Map:
        mean, variances, directions, constant = _principal(x, self.n_components)
        # Where all is constant epsilon must not blow rounding errors up either.
        matrix = directions / np.sqrt(np.where(constant, 1.0, variances + self.epsilon))
        return mean, matrix @ directions.T if self.zca else matrix


def polynomial_features(x: ArrayLike, degree: int) -> NDArray[Any]:
    """Return all products of 1 to `degree` columns of `x`, each with itself included.

    Of the columns a and b and degree 2 these are a, b, a², ab, b²: the order of scikit-learn's
    ``PolynomialFeatures(degree, include_bias=False)``. A layer has its own bias.

    Parameters
    ----------
    x : array_like
        [n, n_inputs].
    degree : int
        At least 1.

    Returns
    -------
    ndarray
        [n, (n_inputs + degree)! / (n_inputs! degree!) - 1], float32 if `x` is.

    Raises
    ------
    InputError, ShapeError, DTypeError, ConfigError
        An argument cannot be used, or a product is not finite.
    """
    shape, degree = np.shape(x), _check.positive_int(degree, "degree")
    if len(shape) != 2:
        raise ShapeError(f"x: got shape {shape}, wanted (n, n_inputs), a row per example")
    x = rows_of(x, shape[1])
    terms = (combinations_with_replacement(range(shape[1]), d + 1) for d in range(degree))
    with np.errstate(over="ignore"):
        products = [x[:, term].prod(axis=1) for term in chain.from_iterable(terms)]
    features = np.column_stack(products)
    if not all_finite(features):
        raise InputError(f"products of {_check.not_finite(features, 'x')}")
    return features


def one_hot(
    labels: ArrayLike, n_classes: int | None = None, dtype: DTypeLike = "float32"
) -> NDArray[Any]:
    """Return a row for each label, 1 in the column of its class and 0 elsewhere.

    Parameters
    ----------
    labels : array_like
        Integers [n], 0 .. n_classes - 1.
    n_classes : int, optional
        Columns, at least 2. Default: the largest label and one more.
    dtype : {"float32", "float64"}
        Of the result.

    Returns
    -------
    ndarray
        [n, n_classes].

    Raises
    ------
    LabelError, ShapeError, DTypeError, ConfigError
        An argument cannot be used.
    """
    labels, dtype = _check.numeric(labels, "labels"), _check.floating_dtype(dtype)
    shape = labels.shape
    if len(shape) != 1 or not shape[0]:
        raise ShapeError(f"labels: got shape {shape}, wanted (n,), one integer per row")
    if n_classes is None:
        n_classes = max(2, int(np.nan_to_num(labels.max())) + 1)
    columns = max(2, _check.positive_int(n_classes, "n_classes"))
    classes = _check.classes(labels, columns, "labels")
    rows = np.zeros((shape[0], columns), dtype)
    rows[np.arange(shape[0]), classes] = 1
    return rows


def labels(rows: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each row: the column of its largest value, the first of several.

    Of one sigmoid output it is 1 where that is above 0.5, else 0. `Network.predict_classes` gives
    the labels that a network was trained on.

    Parameters
    ----------
    rows : array_like
        One-hot, or a network's outputs, [n, n_classes]; or those of one sigmoid output, [n, 1] or
        [n], in [0, 1].

    Returns
    -------
    ndarray
        int64 [n].

    Raises
    ------
    ShapeError, InputError, DTypeError
        `rows` is not a finite array of this shape, or one output is out of its range.
    """
    values = _check.numeric(rows, "rows")
    if values.ndim == 1:
        values = values.reshape(-1, 1)
    if values.ndim != 2 or not values.shape[1]:
        raise ShapeError(
            f"rows: got shape {values.shape}, wanted (n, n_classes), or (n,) of one output"
        )
    values = _check.inputs(values, values.shape[1], _check.DTYPES["float64"], "rows")
    if values.shape[1] > 1:
        largest: NDArray[np.int64] = values.argmax(axis=1).astype(np.int64)
        return largest
    low, high = _check.extremes(values)
    if low < 0 or high > 1:
        raise InputError(
            f"rows: got values from {low:g} to {high:g}, wanted one sigmoid output in [0, 1]; for "
            "the sign of another one, rows > 0"
        )
    above: NDArray[np.int64] = (values[:, 0] > 0.5).astype(np.int64)
    return above


def _mean(x: NDArray[Any]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = x.mean(axis=0, dtype=np.float64)
    return mean


def _principal(x: NDArray[Any], n_components: int | None) -> tuple[NDArray[Any], ...]:
    """Return mean, falling variances, their directions as columns, and which are but rounding."""
    rows, columns = x.shape
    most = min(rows, columns)
    if rows < 2 or (n_components or 1) > most:
        raise ConfigError(
            f"n_components: got {n_components} for {rows} rows and {columns} columns, wanted at "
            "most the smaller of the two, and two rows or more"
        )
    mean = _mean(x)
    covariance = np.zeros((columns, columns))
    for _, block in centred(x, mean):
        covariance += block.T @ block
    variances, directions = np.linalg.eigh(covariance / (rows - 1))
    chosen = slice(None, -1 - (n_components or most), -1)
    variances, directions = np.maximum(variances[chosen], 0), directions[:, chosen]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    rounding = max(rows, columns) * np.finfo(np.float64).eps
    least = rounding * variances[0] + np.square(rounding * mean).max()
    return mean, variances, directions, variances <= least
