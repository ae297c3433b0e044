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

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations_with_replacement
from math import comb
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check, _frames
from ._affine import Affine, centred, rows_of
from .engine.arrays import all_finite
from .errors import ConfigError, InputError, LabelError, ShapeError

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

EPS = float(np.finfo(np.float64).eps)
# Of a polynomial: no number but 0 and 1 is finite in a higher power and not zero.
_MOST_DEGREE = 2**20


class _Map(NamedTuple):
    """What a fit finds."""

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]
    image: NDArray[np.float64]  # [2, n_outputs]: mean and deviation of each mapped column
    others: Mapping[str, NDArray[np.float64]] = MappingProxyType({})  # attributes by name


class _Fitted(Affine):
    """A map whose mean and M come from data."""

    def fit(self, x: ArrayLike) -> Self:
        """Find the map for these rows [n, n_inputs]; return the object itself.

        Raises
        ------
        InputError, ShapeError, DTypeError, ConfigError
            `x` is not a finite two-dimensional array of numbers, or has too few rows or columns.
        """
        self.__post_init__()  # an option may have been assigned since
        columns = None
        if _frames.is_frame(x):
            x, columns = _frames.by_name(x, None, "x")
        x = _check.array_of(x, "x")
        rows = _check.numbers(x, _n_columns(x))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            found = self._solve(rows, _Columns(rows))
        if not all(np.isfinite(array).all() for array in found[:3]):
            raise InputError(
                "x: got columns whose map is not finite in float64, wanted numbers whose range is "
                "not as small as 1e-308 of what it is to become"
            )
        self._set(*found[:3], columns=columns, **found.others)
        return self

    def __post_init__(self) -> None:
        """Check the options; there are none."""

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        raise NotImplementedError


@dataclass(eq=False)
class Center(_Fitted):
    """Each column less its mean."""

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        deviation = columns.deviation(x)
        return _Map(columns.mean, np.ones(x.shape[1]), np.array([0 * deviation, deviation]))


@dataclass(eq=False)
class Standardize(_Fitted):
    """Each column to mean 0 and deviation 1; a constant one keeps its unit.

    A column is constant if its deviation is one unit in the last place of its largest value or
    less, however many rows there are.

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
        self.shared = _check.flag(self.shared, "shared")
        if self.farthest is not None:
            self.farthest = _check.positive(self.farthest, "farthest")

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        own = columns.deviation(x)
        mean, deviation, largest, reach = columns.mean, own, columns.largest, columns.reach
        if self.shared:
            middle = float(mean.mean())
            reach = np.maximum(columns.high - middle, middle - columns.low)
            spread = np.hypot(own, mean - middle)
            unit = float(spread.max()) or 1.0
            spread = unit * np.sqrt(np.mean((spread / unit) ** 2))
            mean, deviation, largest, reach = (
                np.full_like(mean, value) for value in (middle, spread, largest.max(), reach.max())
            )
        scale = deviation
        if self.farthest is not None:
            scale = np.maximum(scale, reach / self.farthest)
        matrix = 1 / np.where(deviation <= EPS * largest, 1.0, scale)
        return _Map(mean, matrix, np.array([(columns.mean - mean) * matrix, own * matrix]))


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
        self.low, self.high = _check.real(self.low, "low"), _check.real(self.high, "high")
        if not 0 < self.high - self.low < np.inf:
            raise ConfigError(
                f"range: got low {self.low:g} and high {self.high:g}, wanted low < high, and a "
                "finite difference"
            )

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        varies = columns.high > columns.low
        scale = (self.high - self.low) / np.where(varies, columns.high - columns.low, 1.0)
        middle = np.where(varies, self.low + (self.high - self.low) / 2, self.low)
        half = np.where(varies, (self.high - self.low) / 2, 0.0)
        return _Map(columns.low - self.low / scale, scale, np.array([middle, half]))


@dataclass(eq=False)
class PCA(_Fitted):
    """Projection on the principal components, the directions of the largest variance.

    The largest entry of each direction is made positive. NumPy's linear algebra finds them, from
    the centred rows and not from their covariance, which loses variances below 1e-16 of the
    largest.

    Parameters
    ----------
    n_components : int, optional
        At most rows and columns of the fitted data. Default: the smaller of the two.

    Attributes
    ----------
    variances : ndarray
        [n_components], falling, with n - 1 in the denominator; infinite where float64 ends, from
        deviations of 1e154 on.

    Raises
    ------
    ConfigError
        `n_components` is out of its range.
    """

    n_components: int | None = None

    def __post_init__(self) -> None:
        """Check the number."""
        self.n_components = _check.optional_int(self.n_components, "n_components")

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        deviations, directions, varies = _principal(x, columns, self.n_components)
        with np.errstate(over="ignore", under="ignore"):
            variances = deviations**2
        spread = np.where(varies, deviations, 0.0)
        image = np.array([0 * spread, spread])
        return _Map(columns.mean, directions, image, {"variances": variances})


@dataclass(eq=False)
class Whiten(_Fitted):
    """Columns that are uncorrelated and of variance 1 (with n - 1 in the denominator).

    Directions in which the data do not vary keep their unit: those whose deviation is as small as
    the rounding errors of the largest, however many rows there are.

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
        self.n_components = _check.optional_int(self.n_components, "n_components")
        self.zca = _check.flag(self.zca, "zca")
        self.epsilon = _check.number(self.epsilon, "epsilon")

    def _solve(self, x: NDArray[Any], columns: _Columns) -> _Map:
        deviations, directions, varies = _principal(x, columns, self.n_components)
        # Where all is constant epsilon must not blow rounding errors up either.
        scale = np.where(varies, np.hypot(deviations, np.sqrt(self.epsilon)), 1.0)
        matrix, spread = directions / scale, np.where(varies, deviations / scale, 0.0)
        if self.zca:
            matrix, spread = matrix @ directions.T, np.sqrt(directions**2 @ spread**2)
            spread[columns.high == columns.low] = 0
        return _Map(columns.mean, matrix, np.array([0 * spread, spread]))


def _n_columns(x: NDArray[Any]) -> int:
    """Return the number of columns of rows, one at least."""
    if x.ndim != 2 or not x.shape[1]:
        raise ShapeError(f"x: got shape {x.shape}, wanted (n, n_inputs), a row per example")
    return int(x.shape[1])


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
    x, degree = _check.array_of(x, "x"), _check.positive_int(degree, "degree")
    n = _n_columns(x)
    if degree > _MOST_DEGREE or comb(n + degree, degree) > 2**31:
        raise ConfigError(
            f"degree: got {degree} for {n} columns, wanted less: a network takes fewer than 2^31 "
            "products"
        )
    x = rows_of(x, n)
    terms = (combinations_with_replacement(range(n), d + 1) for d in range(degree))
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
    labels = np.array(labels)  # that nobody writes to
    if n_classes is None:
        if labels.dtype.kind not in "biu" or not 0 <= labels.max() < 2**31 - 1:
            found = f"{labels.dtype} up to {labels.max()}"
            raise LabelError(f"labels: got {found}, wanted integers 0..{2**31 - 2}")
        n_classes = int(labels.max()) + 1
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


class _Columns:
    """Of each column of `x`: its ends, its mean, and how far it gets from that and from zero."""

    def __init__(self, x: NDArray[Any]) -> None:
        self.low, self.high = (bound.astype(np.float64) for bound in (x.min(0), x.max(0)))
        self.largest = np.maximum(-self.low, self.high)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = x.mean(axis=0, dtype=np.float64)
            if not np.isfinite(mean).all():
                mean = (x * 2.0**-64).mean(axis=0, dtype=np.float64) * 2.0**64
            # The sum of many rows has lost digits of the mean: of a constant column it is not
            # the constant, but what is left after it has been subtracted puts that right.
            mean += sum(block.sum(axis=0) for _, block in centred(x, mean)) / len(x)
            self.reach = np.maximum(self.high - mean, mean - self.low)
            ranges = self.high - self.low
        if not np.isfinite(ranges).all():
            raise InputError(
                f"x: got the range {self.low.min():g} to {self.high.max():g}, whose width is not "
                "finite in float64, wanted smaller numbers"
            )
        self.mean = mean

    def deviation(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the deviation of each column, n in the denominator; 0 if it is but rounding."""
        # Powers of two, so that squares neither overflow nor underflow and no digit changes.
        exponent = np.frexp(self.reach)[1]
        blocks = (np.ldexp(block, -exponent) for _, block in centred(x, self.mean))
        variance = sum((block**2).sum(axis=0) for block in blocks) / len(x)
        deviation: NDArray[np.float64] = np.ldexp(np.sqrt(variance), exponent)
        return np.where(deviation <= EPS * self.largest, 0.0, deviation)


def _principal(
    x: NDArray[Any], columns: _Columns, n_components: int | None
) -> tuple[NDArray[Any], ...]:
    """Return falling deviations, their directions as columns, and which are more than rounding."""
    rows, width = x.shape
    most = min(rows, width)
    if rows < 2:
        raise InputError(f"x: got {rows} row, wanted two or more")
    if (n_components or 1) > most:
        raise ConfigError(
            f"n_components: got {n_components} for {rows} rows and {width} columns, wanted at "
            "most the smaller of the two"
        )
    exponent = int(np.frexp(columns.reach.max())[1])
    triangle = np.empty((0, width))  # R of the QR decomposition of the rows so far
    for _, block in centred(x, columns.mean, 4 * width):
        rows_so_far = np.vstack([triangle, np.ldexp(block, -exponent)])
        triangle = cast(NDArray[np.float64], np.linalg.qr(rows_so_far, mode="r"))
    _, deviations, directions = np.linalg.svd(triangle, full_matrices=False)
    chosen = slice(n_components or most)
    deviations, directions = deviations[chosen] / np.sqrt(rows - 1), directions[chosen].T
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(directions.shape[1])])
    # What rounds off in the decomposition, and in the numbers of each column.
    lost = EPS * np.linalg.norm(directions * np.ldexp(columns.largest, -exponent)[:, None], axis=0)
    varies = deviations > np.maximum(width * EPS * deviations[0], lost)
    return np.ldexp(deviations, exponent), directions, varies
