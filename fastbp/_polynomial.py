"""Products of columns, as inputs of a model that is linear in them."""

from __future__ import annotations

from itertools import chain, combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from ._affine import rows_of
from .engine.arrays import all_finite
from .errors import InputError, ShapeError

__all__ = ["polynomial_features"]


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
