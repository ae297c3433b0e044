"""The classifier: labels to classes and back, and what is predicted of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin  # type: ignore[import-untyped]
from sklearn.utils import column_or_1d  # type: ignore[import-untyped]
from sklearn.utils._param_validation import StrOptions  # type: ignore[import-untyped]
from sklearn.utils.class_weight import (  # type: ignore[import-untyped]
    compute_class_weight,
    compute_sample_weight,
)
from sklearn.utils.multiclass import (  # type: ignore[import-untyped]
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]

from ..errors import ConfigError, brief
from ..layers import Dense, Layer
from ..losses import BinaryCrossEntropy, CrossEntropy, Hinge, Loss, MulticlassHinge
from ..metrics import MetricFunction
from ..optimizers import Optimizer
from ..training.fit import Callback
from .base import BaseMLP, Head
from .compat import available_if, dense, validated

__all__ = ["MLPClassifier"]

HALF = 0.5


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A multi-layer perceptron for classes, with the interface of scikit-learn's.

    All parameters of `sklearn.neural_network.MLPClassifier` mean what they mean there, and with a
    `random_state` the initial weights and the validation rows are the same; the order of the rows
    in an epoch is drawn by fastbp. docs/sklearn.md lists the differences.

    Parameters
    ----------
    hidden_layer_sizes : array_like of int
        Units of the hidden layers.
    activation : str, LeakyReLU, ELU or list of these
        Of the hidden layers, one for all or one for each: "identity", "logistic", "tanh", "relu",
        or another of `fastbp.Dense`.
    solver : {"lbfgs", "sgd", "adam"} or Optimizer
        An optimizer of fastbp, such as ``fb.AdamW(fb.Cosine(1e-3, 5000))``, is copied for each
        `fit`; the parameters of "sgd" and "adam" do not change it.
    alpha : float
        ``alpha / (2 n)`` times the sum of squared weights is added to the loss; n is the number of
        rows of a step, or the sum of their weights.
    batch_size : int or "auto"
        Rows of a step; "auto" is 200, or all if they are fewer. "lbfgs" takes all.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Of "sgd": constant; divided by ``(1 + rows seen) ** power_t`` after each epoch; or divided
        by 5 when training stalls.
    learning_rate_init : float
        Of "sgd" and "adam".
    power_t : float
        See `learning_rate`.
    max_iter : int
        Most epochs; of "lbfgs", most iterations.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState or None
        Of all that is drawn.
    tol : float
        An epoch improves if its loss, or with `early_stopping` its score, is better than the best
        before by `tol`. Of "lbfgs", the largest element of the gradient at which it has converged.
    verbose : bool
        Whether each epoch prints a line.
    warm_start : bool
        Whether `fit` goes on from the weights of the last one.
    momentum, nesterovs_momentum : float, bool
        Of "sgd".
    early_stopping : bool
        Whether a share of the rows is held out, training stops by their score, and the best weights
        are restored.
    validation_fraction : float
        The share that is held out; of two classes each has its share.
    beta_1, beta_2, epsilon : float
        Of "adam".
    n_iter_no_change : int
        Epochs in a row without an improvement after which training stops.
    max_fun : int
        Most evaluations of "lbfgs".
    loss : str or Loss
        "log_loss"; "hinge", for several classes that of Weston and Watkins; or a loss of fastbp for
        classes with options, such as ``fb.losses.CrossEntropy(label_smoothing=0.1)``.
    class_weight : dict, "balanced" or None
        Weights of the rows by label, 1 for those left out; "balanced" gives each class the same
        weight in all.
    dropout : float or list of float
        Chance of each output of a hidden layer to be left out of a step, one for all layers or one
        for each.
    layers : list of layers, optional
        Hidden layers of fastbp in place of `hidden_layer_sizes`, `activation` and `dropout`: gates,
        residuals, frozen ones; layers of a network keep their weights.
    metrics : list
        Metrics of fastbp that `history_` has of each epoch.
    callbacks : list
        Called as by `Trainer.fit`.
    n_threads : int, optional
        Default: `fastbp.get_num_threads`.
    transform_layer : int
        The hidden layer that `transform` returns.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted, in the order of the outputs.
    coefs_, intercepts_ : list of ndarray
        Weights and biases of each layer, views of those of `network_`.
    loss_, best_loss_, loss_curve_
        The loss of the last epoch, the least, and of all epochs, with the penalty; `best_loss_` is
        None with `early_stopping`.
    validation_scores_, best_validation_score_
        The accuracy on the validation rows after each epoch, if there are any, else None.
    validation_loss_curve_ : list of float or None
        The loss on these.
    n_iter_, t_ : int
        Epochs of the last fit; rows seen by all.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As scikit-learn has them.
    network_ : Network
        What was trained.
    history_ : History
        All columns that were recorded.

    Examples
    --------
    >>> from fastbp.sklearn import MLPClassifier
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> MLPClassifier(8, "tanh", solver="lbfgs", random_state=1).fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", "hinge"}), Loss],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }
    _saved_too = ("classes_", "_multilabel")

    def __init__(
        self,
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
        loss: str | Loss = "log_loss",
        class_weight: Any = None,
        dropout: Any = 0.0,
        layers: Sequence[Layer] | None = None,
        metrics: Sequence[str | MetricFunction] = (),
        callbacks: Sequence[Callback] = (),
        n_threads: int | None = None,
        transform_layer: int = -1,
    ) -> None:
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
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.layers = layers
        self.metrics = metrics
        self.callbacks = callbacks
        self.n_threads = n_threads
        self.transform_layer = transform_layer

    def _validate_input(
        self, X: Any, y: Any, first: bool, incremental: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y = validated(self, X, y, multi_output=True, reset=first)
        y = self._labels(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self.classes_ = unique_labels(y)
            self._multilabel = y.ndim == 2
        else:
            self._require_known(unique_labels(y))
        return X, self._encoded(y)

    def _labels(self, y: Any) -> NDArray[Any]:
        """Return labels [n], or for several yes-or-no questions [n, n_classes]."""
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if type_of_target(y) == "multiclass-multioutput":
            raise ValueError(
                "Multioutput target data is not supported: wanted a label for each row, or 0 and 1 "
                "for each row and class"
            )
        labels: NDArray[Any] = y
        return labels

    def _require_known(self, labels: NDArray[Any]) -> None:
        if self.warm_start:
            if set(labels) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {labels}"
                )
        elif len(np.setdiff1d(labels, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {labels}."
            )

    def _validation_targets(self, y: Any) -> NDArray[Any]:
        labels = self._labels(dense(y if hasattr(y, "toarray") else np.asarray(y)))
        unknown = np.setdiff1d(unique_labels(labels), self.classes_)
        if len(unknown) or (labels.ndim == 2) != self._multilabel:
            raise ValueError(f"y_val: got {brief(unknown)}, wanted labels of {self.classes_}")
        return self._encoded(labels)

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return classes [n] of three labels or more, else targets [n, n_outputs]."""
        low = -1 if self._hinge else 0
        if self._multilabel:
            return np.where(y, 1, low)
        codes = np.searchsorted(self.classes_, y)
        return codes if self._several else np.where(codes, 1, low)[:, None]

    @property
    def _several(self) -> bool:
        """Whether one of three classes or more is predicted, not a yes or no."""
        return not self._multilabel and len(self.classes_) > 2

    @property
    def _hinge(self) -> bool:
        return self.loss == "hinge" or isinstance(self.loss, Hinge)

    def _head(self, y: NDArray[Any], weights: NDArray[Any] | None) -> Head:
        loss: str | Loss
        if self._hinge:
            wanted: tuple[type[Loss], ...] = (MulticlassHinge,) if self._several else (Hinge,)
            loss, activation, name = wanted[0].name, "linear", "identity"
        elif self._several:
            wanted, loss, activation, name = (
                (CrossEntropy,),
                CrossEntropy.name,
                "softmax",
                "softmax",
            )
        else:
            wanted, loss = (BinaryCrossEntropy,), BinaryCrossEntropy.name
            activation, name = "sigmoid", "logistic"
        if isinstance(self.loss, Loss):
            if type(self.loss) not in wanted:
                raise ConfigError(f"loss: got {self.loss!r} for {len(self.classes_)} classes, "
                                  f"wanted {wanted[0].__name__}")  # fmt: skip
            loss = self.loss
        units = len(self.classes_) if self._several or self._multilabel else 1
        return Head(Dense(units, activation), loss, name, "accuracy")

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return None if y.ndim == 1 or y.shape[1] > 1 else y > 0

    def _class_weights(self, y: NDArray[Any], incremental: bool) -> NDArray[np.float64] | None:
        of_rows: NDArray[np.float64]
        if self.class_weight is None:
            return None
        if incremental and self.class_weight == "balanced":
            raise ConfigError(
                "class_weight: got 'balanced' in partial_fit, which does not see all rows, wanted "
                "weights by label: sklearn.utils.class_weight.compute_class_weight gives them"
            )
        if self._multilabel:
            of_rows = compute_sample_weight(self.class_weight, y > 0)
            return of_rows
        codes = y if y.ndim == 1 else (y[:, 0] > 0).astype(int)
        labels = self.classes_[codes]
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=labels)
        of_rows = np.asarray(weights, np.float64)[codes]
        return of_rows

    @available_if(lambda self: self._is_stochastic())
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
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
        classes : array_like, optional
            All labels, in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As for `fit`; or the first call has no `classes`.
        """
        self._validate_params()
        if _check_partial_fit_first_call(self, classes):
            self._multilabel = type_of_target(y).startswith("multilabel")
            if self._multilabel:
                self.classes_ = np.arange(np.shape(y)[1])
        return self._partial_fit(X, y, sample_weight, X_val, y_val)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each row, or yes (1) or no (0) for each row and class."""
        outputs = self._outputs(X)
        labels: NDArray[Any]
        if self._several:
            labels = self.classes_[outputs.argmax(axis=1)]
            return labels
        yes = outputs > (0 if self._hinge else HALF)
        if self._multilabel:
            return yes.astype(int)
        codes = yes[:, 0].astype(int)
        labels = self.classes_[np.minimum(codes, len(self.classes_) - 1)]
        return labels

    def _gives_probabilities(self) -> bool:
        if self._hinge:
            raise AttributeError("predict_proba is not available with the hinge loss")
        return True

    @available_if(lambda self: self._gives_probabilities())
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, [n_samples, n_classes]."""
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    @available_if(lambda self: self._gives_probabilities())
    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            found: NDArray[Any] = np.log(self.predict_proba(X))
        return found

    @available_if(lambda self: self._hinge)
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return the scores of the hinge loss: [n_samples] for two classes, else of each class."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def _slope_of(
        self, output: int | None
    ) -> tuple[int, Callable[[NDArray[Any]], NDArray[Any] | float]]:
        if self.n_outputs_ > 1:
            return self._column(output, self.n_outputs_), lambda y: 1.0
        sign = 2 * self._column(1 if output is None else output, 2) - 1
        return 0, lambda y: float(sign)

    def _more_tags(self) -> dict[str, bool]:
        """Return what scikit-learn has to know, before version 1.6."""
        return {"multilabel": True}

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn has to know, from version 1.6 on."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy; for several questions, the share of rows with all answers right."""
        check_is_fitted(self)
        return float(super().score(X, y, sample_weight))
