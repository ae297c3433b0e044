"""What differs between the versions of scikit-learn, from 1.4 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import metaestimators  # type: ignore[import-untyped]

try:
    from sklearn.utils.validation import validate_data  # type: ignore[import-untyped]
except ImportError:  # before 1.6 it is a method
    validate_data = None

__all__ = ["available_if", "dense", "validated"]

Method = TypeVar("Method", bound=Callable[..., Any])

# What rows may be given as, and what dtypes they become.
ROWS = {"accept_sparse": "csr", "dtype": (np.float64, np.float32)}


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """Return a decorator: the method is there if the check of its estimator raises nothing."""
    found: Callable[[Method], Method] = metaestimators.available_if(check)
    return found


def validated(estimator: Any, X: Any, *y: Any, **options: Any) -> Any:
    """Return `X`, or `X` and `y`, as scikit-learn checks them; sparse rows as CSR."""
    options = ROWS | options
    if validate_data is None:
        found = estimator._validate_data(X, *y, **options)
    else:
        found = validate_data(estimator, X, *y, **options)
    return (found[0], dense(found[1])) if y else found


def dense(y: Any) -> NDArray[Any]:
    """Return sparse targets as an array of all their numbers, others as they are."""
    targets: NDArray[Any] = y.toarray() if hasattr(y, "toarray") else y
    return targets
