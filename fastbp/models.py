"""The classical models that are a network without a hidden layer, each as one call.

Each returns a ready `Trainer`; its ``network`` predicts. The weights begin at zero, since the
problems are convex. By default a step takes all rows: plain gradient descent.

>>> import fastbp as fb
>>> trainer = fb.models.logistic_regression(2, optimizer=fb.SGD(1.0))
>>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1], epochs=100)
>>> trainer.network.predict([[1, 1]]).item() > 0.5
True

All take the options of `Network` and `Trainer` by name: ``dtype``, ``preprocessing``;
``optimizer``, ``batch_size``, ``l2``, ``shuffle``, ``seed`` and ``n_threads``. The penalty
``l2 * sum(weight ** 2)`` is added to a mean over the rows and leaves the bias out: scikit-learn's
``C`` for n rows is ``l2 = 1 / (2 * C * n)``.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from . import _check
from ._affine import Affine
from .errors import ConfigError
from .initializers import Zeros
from .layers import Dense
from .network import Network
from .trainer import Trainer

__all__ = ["linear_regression", "logistic_regression", "softmax_regression"]


def linear_regression(n_inputs: int, n_outputs: int = 1, **options: Any) -> Trainer:
    """Return least squares: linear outputs and "squared_error"; with ``l2``, ridge regression.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Columns of x and of y.
    **options
        See `fastbp.models`.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.
    """
    return _single_layer(n_inputs, n_outputs, "linear", "squared_error", **options)


def logistic_regression(n_inputs: int, n_outputs: int = 1, **options: Any) -> Trainer:
    """Return sigmoid outputs with "binary_cross_entropy"; targets are 0 or 1.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Columns of x; yes-or-no questions.
    **options
        See `fastbp.models`.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.
    """
    return _single_layer(n_inputs, n_outputs, "sigmoid", "binary_cross_entropy", **options)


def softmax_regression(n_inputs: int, n_classes: int, **options: Any) -> Trainer:
    """Return softmax outputs with "cross_entropy": logistic regression for several classes.

    Parameters
    ----------
    n_inputs, n_classes : int
        Columns of x; classes, at least 2.
    **options
        See `fastbp.models`.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.
    """
    return _single_layer(n_inputs, n_classes, "softmax", "cross_entropy", **options)


def _single_layer(
    n_inputs: int,
    n_outputs: int,
    activation: str,
    loss: str,
    dtype: DTypeLike = "float32",
    preprocessing: Affine | None = None,
    **options: Any,
) -> Trainer:
    layer = Dense(_check.positive_int(n_outputs, "n_outputs"), activation, Zeros())
    network = Network(n_inputs, [layer], dtype, preprocessing=preprocessing)
    try:
        return Trainer(network, loss, **{"batch_size": None, **options})
    except TypeError as error:
        raise ConfigError(f"options: got {sorted(options)}, wanted those of Trainer") from error
