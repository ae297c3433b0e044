"""Ready trainers, each as one call: the classical models without a hidden layer, and `tabular`.

Each returns a `Trainer`; its ``network`` predicts. `tabular` is the network for tables, with tuned
defaults. The weights of the others begin at zero, since the problems are convex, and by default a
step takes all rows: plain gradient descent.

>>> import fastbp as fb
>>> trainer = fb.models.logistic_regression(2, optimizer=fb.SGD(1.0))
>>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1], epochs=100)
>>> trainer.network.predict([[1, 1]]).item() > 0.5
True

The classical models take the options of `Network` and `Trainer` by name: ``dtype``,
``preprocessing``; ``optimizer``, ``batch_size``, ``l2``, ``shuffle``, ``seed`` and ``n_threads``.
The penalty
``l2 * sum(weight ** 2)`` is added to a mean over the rows and leaves the bias out: scikit-learn's
``C`` for n rows is ``l2 = 1 / (2 * C * n)``; with `sample_weight` their sum takes the place of n.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import _check
from ._affine import Affine
from .activations import Activation
from .engine.arrays import held
from .errors import ConfigError, brief
from .history import History
from .initializers import Zeros
from .layers import Dense
from .losses import CrossEntropy, Loss, LossFunction
from .network import Network
from .optimizers import LBFGS, SGD, Adagrad, Adam, AdamW, LearningRate, Optimizer, RMSprop
from .schedules import LogCosine
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

# What `tabular` takes by default: measured on real tables, see docs/tables.md.
_DROPOUT = {"classification": 0.3, "regression": 0.15}
_HIDDEN = (64, 64)
_ACTIVATION = "silu"
_CLIP_NORM = 1.0
_WEIGHT_DECAY = 0.3
_BATCH_SIZE = 32
_EPOCHS = 100
# The crest of the rate, by the name of the optimizer.
_RATES = {"adamw": 0.004, "adam": 0.004, "rmsprop": 0.004, "adagrad": 0.02, "sgd": 0.1}


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


def tabular_epochs(n_rows: int) -> int:
    """Return how many epochs a `tabular` network takes by default.

    Parameters
    ----------
    n_rows : int
        Rows that are trained on.

    Raises
    ------
    ConfigError
        It is no integer of at least 1.
    """
    _check.positive_int(n_rows, "n_rows")
    return _EPOCHS


def tabular(
    n_inputs: int,
    n_outputs: int,
    task: str,
    *,
    n_rows: int,
    epochs: int | None = None,
    hidden: Sequence[int] | None = None,
    activation: Activation | None = None,
    dropout: float | None = None,
    loss: str | Loss | LossFunction | None = None,
    label_smoothing: float | None = None,
    optimizer: str | Optimizer | None = None,
    learning_rate: LearningRate | None = None,
    rate_factor: float = 1.0,
    momentum: float | None = None,
    batch_size: int | None = None,
    l2: float | None = None,
    clip_norm: float | None = _CLIP_NORM,
    dtype: DTypeLike = "float32",
    preprocessing: Affine | None = None,
    seed: int | None = None,
    **options: Any,
) -> Trainer:
    """Return a network for a table, with defaults that were tuned on real tables.

    The candidates were the defaults of RealMLP (Holzmüller, Grinsztajn & Steinwart, "Better by
    default: strong pre-tuned MLPs and boosted trees on tabular data", 2024). What helped there is
    a default here: docs/tables.md has the measurements. Columns should have about unit scale and
    no far values, as `fb.tables` makes them, and the targets of a regression mean 0 and standard
    deviation 1. `fit` it for `epochs` with validation data and ``fb.EarlyStopping``, which keeps
    the best of them.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Columns of x; classes, at least 2, or targets.
    task : {"classification", "regression"}
        Softmax outputs with "cross_entropy", or linear outputs with "mse".
    n_rows : int
        Rows that it is trained on: the learning rate is a function of the steps to come.
    epochs : int, optional
        For which `fit` will be called. Default: ``tabular_epochs(n_rows)``.
    hidden : sequence of int, optional
        Units of the hidden layers, none at all for a linear model. Default: (64, 64).
    activation, dropout : optional
        Of the hidden layers, as for `Dense`. Default: "silu", and 0.3 for classes or 0.15.
    loss : str, Loss or callable, optional
        Another loss that suits the outputs.
    label_smoothing : float, optional
        Of "cross_entropy", where no loss is given. Default: 0.
    optimizer : str or Optimizer, optional
        "adamw", the default, "adam", "rmsprop", "adagrad" or "sgd"; or one with its own rate.
    learning_rate : float, schedule or callable, optional
        A number is the crest of the waves of `fastbp.LogCosine`. Default: that of the optimizer.
    rate_factor : float
        Multiplies a rate that is a number: 0.1 to try again after a divergence.
    momentum : float, optional
        Of "sgd". Default: 0.9.
    batch_size : int, optional
        Default: 32.
    l2, clip_norm, dtype, preprocessing, seed, **options
        As for `Network` and `Trainer`, but that the norm is clipped to 1 by default.

    Raises
    ------
    ConfigError
        An option is unknown, out of its range, or means nothing beside another one.

    Examples
    --------
    >>> import fastbp as fb
    >>> x = [[i / 50 - 1, (i * 37 % 101) / 50 - 1] for i in range(101)]
    >>> y = [2 * a * b for a, b in x]
    >>> trainer = fb.models.tabular(2, 1, "regression", n_rows=101, dropout=0, seed=0)
    >>> history = trainer.fit(x, y, epochs=fb.models.tabular_epochs(101))
    >>> history["loss"][-1] < 0.01
    True
    """
    classes = _check.choice(task, _DROPOUT, "task") == "classification"
    n_outputs = _check.positive_int(n_outputs, "n_outputs")
    if classes and n_outputs == 1:
        raise ConfigError("n_outputs: got 1, wanted the number of classes, at least 2")
    n_rows = _check.positive_int(n_rows, "n_rows")
    epochs = tabular_epochs(n_rows) if epochs is None else _check.positive_int(epochs, "epochs")
    batch_size = _check.optional_int(batch_size, "batch_size") or _BATCH_SIZE
    steps = min(epochs * -(-n_rows // batch_size), 2**31 - 1)
    rule = _optimizer(optimizer, learning_rate, rate_factor, momentum, steps)
    activation = _ACTIVATION if activation is None else activation
    dropout = _DROPOUT[task] if dropout is None else dropout
    layers = [Dense(units, activation, dropout=dropout) for units in _hidden(hidden)]
    layers.append(Dense(n_outputs, "softmax" if classes else "linear"))
    network = Network(n_inputs, layers, dtype, seed, preprocessing=preprocessing)
    try:
        return Trainer(
            network,
            _loss(loss, label_smoothing, classes),
            rule,
            batch_size,
            0.0 if l2 is None else l2,
            seed=seed,
            clip_norm=clip_norm,
            **options,
        )
    except TypeError as error:
        raise ConfigError(f"options: got {sorted(options)}, wanted those of Trainer") from error


def _hidden(hidden: Any) -> Sequence[int]:
    if hidden is None:
        return _HIDDEN
    if isinstance(hidden, str | bytes) or not isinstance(hidden, Sequence):
        raise ConfigError(f"hidden: got {brief(hidden)}, wanted a sequence of numbers of units")
    return [_check.positive_int(units, f"hidden[{i}]") for i, units in enumerate(hidden)]


def _loss(loss: Any, label_smoothing: float | None, classes: bool) -> Any:
    if label_smoothing is not None and (loss is not None or not classes):
        raise ConfigError(
            f"label_smoothing: got {brief(label_smoothing)} where the loss is not the default of a "
            "classification, wanted None"
        )
    if loss is not None:
        return loss
    if not classes:
        return "mse"
    return CrossEntropy(0.0 if label_smoothing is None else label_smoothing)


def _optimizer(
    optimizer: Any, learning_rate: Any, rate_factor: float, momentum: float | None, steps: int
) -> Optimizer:
    """Return the optimizer, with the waves of the rate over all steps if it is a number."""
    factor = _check.positive(rate_factor, "rate_factor")
    chosen = "adamw" if optimizer is None else optimizer
    name = "" if isinstance(optimizer, Optimizer) else _check.choice(chosen, _RATES, "optimizer")
    if momentum is not None and name != "sgd":
        raise ConfigError(f"momentum: got {brief(momentum)} without optimizer 'sgd', wanted None")
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ConfigError(
                "learning_rate: got one beside an optimizer with its own, wanted None"
            )
        if factor == 1:
            return optimizer
        if isinstance(optimizer, LBFGS):
            raise ConfigError(
                f"rate_factor: got {factor:g} with LBFGS, which has no rate, wanted 1"
            )
        slower = copy(optimizer)
        slower.learning_rate = _slower(slower.learning_rate, factor)
        return slower
    rate = _slower(_RATES[name] if learning_rate is None else learning_rate, factor)
    rate = rate if callable(rate) else LogCosine(rate, steps)
    match name:
        case "adamw":
            return AdamW(rate, weight_decay=_WEIGHT_DECAY)
        case "adam":
            return Adam(rate)
        case "rmsprop":
            return RMSprop(rate)
        case "adagrad":
            return Adagrad(rate)
    return SGD(rate, 0.9 if momentum is None else momentum)


def _slower(rate: Any, factor: float) -> LearningRate:
    if not callable(rate) or isinstance(rate, type):
        return _check.number(rate, "learning_rate") * factor
    if factor != 1:
        raise ConfigError(
            f"rate_factor: got {factor:g} with a learning rate that is a function, wanted a number"
        )
    own: LearningRate = rate
    return own


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
        self._x = held(x)  # of this shape, whatever others do to it
        targets = trainer.network._targets(y, len(self._x), trainer._loss, weights)
        self._y = targets.copy()  # that nobody writes to
        self._counted = np.full(len(targets), True) if weights is None else weights != 0
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
