"""The regressor: numbers, counts and quantiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin  # type: ignore[import-untyped]
from sklearn.utils import column_or_1d  # type: ignore[import-untyped]
from sklearn.utils._param_validation import StrOptions  # type: ignore[import-untyped]

from ..layers import Dense, Layer
from ..losses import Loss, LossFunction, Poisson, SquaredError
from ..metrics import MetricFunction, r2
from ..optimizers import Optimizer
from ..training.fit import Callback
from .base import BaseMLP, Head
from .compat import available_if, validated

__all__ = ["MLPRegressor"]

# scikit-learn's names of losses, and fastbp's where they differ.
LOSSES = {
    "squared_error": "squared_error",
    "absolute_error": "mae",
    "huber": "huber",
    "quantile": "quantile",
    "poisson": "poisson",
}


def r2_of_rates(
    y: ArrayLike, outputs: NDArray[Any], sample_weight: ArrayLike | None = None
) -> float:
    """Return `r2` of counts, of whose rates the outputs are the logarithms."""
    return r2(y, np.exp(outputs), sample_weight)


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron for numbers, with the interface of scikit-learn's.

    All parameters of `sklearn.neural_network.MLPRegressor` mean what they mean there, and with a
    `random_state` the initial weights and the validation rows are the same; the order of the rows
    in an epoch is drawn by fastbp. docs/sklearn.md lists the differences.

    Parameters
    ----------
    loss : str, Loss or callable
        "squared_error", "poisson" (of counts >= 0; the network gives the logarithm of the rate),
        "absolute_error", "huber", "quantile" (the median); a loss of fastbp with options, such as
        ``fb.losses.Quantile(0.9)``; or a function of your own, see `fastbp.losses`.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, \
    power_t, max_iter, shuffle, random_state, tol, verbose, warm_start, momentum, \
    nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, \
    n_iter_no_change, max_fun, dropout, layers, metrics, callbacks, n_threads, transform_layer
        As for `MLPClassifier`. Early stopping watches R2.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, \
    best_validation_score_, validation_loss_curve_, n_iter_, t_, n_features_in_, \
    feature_names_in_, n_layers_, n_outputs_, out_activation_, network_, history_
        As of `MLPClassifier`; the scores are R2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.sklearn import MLPRegressor
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> model = MLPRegressor(activation="tanh", solver="lbfgs", random_state=1)
    >>> model.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({*LOSSES}), Loss, callable],
    }

    def __init__(
        self,
        loss: str | Loss | LossFunction = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        layers: Sequence[Layer] | None = None,
        metrics: Sequence[str | MetricFunction] = (),
        callbacks: Sequence[Callback] = (),
        n_threads: int | None = None,
        transform_layer: int = -1,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.layers = layers
        self.metrics = metrics
        self.callbacks = callbacks
        self.n_threads = n_threads
        self.transform_layer = transform_layer

    def _validate_input(
        self, X: Any, y: Any, first: bool, incremental: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y = validated(self, X, y, multi_output=True, y_numeric=True, reset=first)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y.reshape(len(y), -1)

    def _validation_targets(self, y: Any) -> NDArray[Any]:
        targets = np.asarray(y, np.float64)
        return targets.reshape(len(targets), -1)

    def _head(self, y: NDArray[Any], weights: NDArray[Any] | None) -> Head:
        output, loss = Dense(y.shape[1]), self.loss
        if self._counts:
            with np.errstate(divide="ignore", invalid="ignore"):
                most_likely = np.where(y > 0, y * np.log(np.maximum(y, 1e-300)), 0) - y
            offset = float(np.average(most_likely.sum(axis=1), weights=weights))
            return Head(output, loss, "exp", r2_of_rates, 1.0, offset)
        loss = LOSSES[loss] if isinstance(loss, str) else loss
        squares = loss == "squared_error" or isinstance(loss, SquaredError)
        return Head(output, loss, "identity", "r2", 1 / y.shape[1] if squares else 1.0)

    @property
    def _counts(self) -> bool:
        return self.loss == "poisson" or isinstance(self.loss, Poisson)

    @available_if(lambda self: self._is_stochastic())
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on these rows, going on from the last call.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val
            As for `fit`. With ``early_stopping=True`` the network has the best weights so far after
            each call, and the next one goes on from the last ones; `history_`.stopped says why
            training should end.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`.
        """
        self._validate_params()
        return self._partial_fit(X, y, sample_weight, X_val, y_val)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the prediction for each row, [n_samples], or [n_samples, n_outputs]."""
        outputs = self._outputs(X)
        if self._counts:
            outputs = np.exp(outputs)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def _slope_of(
        self, output: int | None
    ) -> tuple[int, Callable[[NDArray[Any]], NDArray[Any] | float]]:
        column = self._column(output, self.n_outputs_)
        return column, np.exp if self._counts else lambda y: 1.0
