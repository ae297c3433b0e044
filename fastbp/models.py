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
``C`` for n rows is ``l2 = 1 / (2 * C * n)``; with `sample_weight` their sum takes the place of n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _check
from ._affine import Affine
from .errors import ConfigError
from .history import History
from .initializers import Zeros
from .layers import Dense
from .network import Network
from .optimizers import SGD
from .trainer import Trainer

__all__ = [
    "NoMistakes",
    "linear_regression",
    "logistic_regression",
    "multiclass_svm",
    "perceptron",
    "softmax_regression",
    "tabular",
    "tabular_epochs",
]


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
    n_outputs = _check.positive_int(n_outputs, "n_outputs")
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
    n_outputs = _check.positive_int(n_outputs, "n_outputs")
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
    n_classes = _check.positive_int(n_classes, "n_classes")
    return _single_layer(n_inputs, n_classes, "softmax", "cross_entropy", **options)


def multiclass_svm(n_inputs: int, n_classes: int, **options: Any) -> Trainer:
    """Return the linear support vector machine: linear scores with "multiclass_hinge", margin 1.

    The loss has kinks, so that only a falling learning rate reaches the minimum.

    Parameters
    ----------
    n_inputs, n_classes : int
        Columns of x; classes, at least 2.
    **options
        See `fastbp.models`; ``l2`` is what makes the margin wide.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.
    """
    n_classes = _check.positive_int(n_classes, "n_classes")
    return _single_layer(n_inputs, n_classes, "linear", "multiclass_hinge", **options)


def perceptron(n_inputs: int, n_outputs: int = 1, **options: Any) -> Trainer:
    """Return Rosenblatt's perceptron: a row a step, and w += t x after a mistake.

    On rows that a plane separates it makes finitely many mistakes, at most (R / gamma)^2 for one
    output, R the length of the longest row with a 1 for the bias, gamma its distance from the
    plane (Novikoff, 1962); `NoMistakes` stops it then. The steps have length 1 by default, and
    the rows their order.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Columns of x and of the targets -1 and 1.
    **options
        See `fastbp.models`.

    Raises
    ------
    ConfigError
        An option is unknown or out of its range.

    Examples
    --------
    >>> import fastbp as fb
    >>> x, t = [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, 1, 1, 1]
    >>> stop = [fb.models.NoMistakes()]
    >>> fb.models.perceptron(2).fit(x, t, epochs=100, callbacks=stop).stopped
    'no mistakes on 4 rows'
    """
    rule = {"batch_size": 1, "shuffle": False, "optimizer": SGD(1.0), **options}
    n_outputs = _check.positive_int(n_outputs, "n_outputs")
    return _single_layer(n_inputs, n_outputs, "linear", "perceptron", **rule)


class NoMistakes:
    """Stop when all outputs are on the side of their targets, on all rows whose weight is not 0.

    That is the sign of a target -1 or 1, the side of 1/2 of a target 0 or 1, and for integer
    classes or one-hot rows the class of the largest output. An output on the border is a mistake.
    """

    def on_fit_begin(self, trainer: Trainer, x: Any, y: Any, validation_data: Any) -> None:
        """Note the rows, and what is right.

        Raises
        ------
        ConfigError
            The targets are no classes, or there are batches in place of rows.
        """
        if y is None:
            raise ConfigError("callbacks: got NoMistakes with batches, wanted x and y as arrays")
        weights = trainer._state.moment.row_weights
        targets = trainer.network._targets(y, len(x), trainer._loss, weights)
        self._x, self._y = x, targets.copy()  # that nobody writes to
        self._counted = np.full(len(x), True) if weights is None else weights != 0
        self._border = _border(self._y, trainer._loss.targets, trainer.network.n_outputs)

    def on_epoch_recorded(self, trainer: Trainer, history: History) -> str | None:
        """Look for mistakes."""
        outputs, y = trainer.network.predict(self._x)[self._counted], self._y[self._counted]
        if self._border is None:
            labels = y if y.ndim == 1 else y.argmax(axis=1)
            mine = np.take_along_axis(outputs, labels[:, None], axis=1)
            right = ((outputs >= mine).sum(axis=1) == 1).all()
        else:
            above = y.reshape(outputs.shape) > self._border
            right = np.where(above, outputs > self._border, outputs < self._border).all()
        return f"no mistakes on {len(y)} rows" if right else None

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Let go of the rows."""
        del self._x, self._y, self._counted


def _border(y: NDArray[Any], domain: str, n_outputs: int) -> float | None:
    """Return what divides the two sides of an output; None if the largest output is the class."""
    if n_outputs > 1 and (y.ndim == 1 or domain in ("one_hot", "distribution")):
        return None
    values = set(np.unique(y).tolist())
    if domain == "sign" or -1 in values:
        sides, border = {-1, 1}, 0.0
    else:
        sides, border = {0, 1}, 0.5
    if values <= sides:
        return border
    raise ConfigError(
        f"callbacks: got NoMistakes with targets from {min(values):g} to {max(values):g}, wanted "
        "-1 and 1, 0 and 1, or classes"
    )


def _single_layer(
    n_inputs: int,
    n_outputs: int,
    activation: str,
    loss: str,
    dtype: DTypeLike = "float32",
    preprocessing: Affine | None = None,
    **options: Any,
) -> Trainer:
    layer = Dense(n_outputs, activation, Zeros())
    network = Network(n_inputs, [layer], dtype, preprocessing=preprocessing)
    try:
        return Trainer(network, loss, **{"batch_size": None, **options})
    except TypeError as error:
        raise ConfigError(f"options: got {sorted(options)}, wanted those of Trainer") from error


def tabular_epochs(n_rows: int) -> int:
    """Return how many epochs suit a table."""
    return 30


def tabular(
    n_inputs: int,
    n_outputs: int,
    task: str,
    *,
    n_rows: int,
    epochs: int | None = None,
    hidden: Any = None,
    activation: str | None = None,
    dropout: float | None = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    rate_factor: float = 1.0,
    momentum: float | None = None,
    batch_size: int | None = None,
    l2: float | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    preprocessing: Affine | None = None,
) -> Trainer:
    """Return a plain trainer with Adam."""
    from .optimizers import AdamW
    from .schedules import Cosine

    classes = task == "classification"
    layers = [Dense(units, activation or "relu", dropout=dropout or 0) for units in hidden or [128]]
    layers.append(Dense(n_outputs, "softmax" if classes else "linear"))
    network = Network(n_inputs, layers, seed=seed, preprocessing=preprocessing)
    batch = batch_size or 32
    rate = (0.003 if learning_rate is None else learning_rate) * rate_factor
    steps = (epochs or tabular_epochs(n_rows)) * -(-n_rows // batch)
    schedule = Cosine(rate, steps)
    kind = {"sgd": SGD, None: AdamW, "adamw": AdamW}[optimizer]
    more = {"momentum": momentum or 0.9} if kind is SGD else {}
    return Trainer(
        network,
        loss or ("cross_entropy" if classes else "mse"),
        kind(schedule, **more),
        batch_size=batch,
        l2=l2 or 0.0,
        seed=seed,
        n_threads=n_threads,
    )
