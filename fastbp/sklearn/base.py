"""What both estimators share: parameters, training, fitted attributes, hidden layers, files."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (  # type: ignore[import-untyped]
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils._param_validation import (  # type: ignore[import-untyped]
    Interval,
    Options,
    StrOptions,
)
from sklearn.utils.validation import (  # type: ignore[import-untyped]
    _check_sample_weight,
    check_is_fitted,
)

from ..activations import ELU, LeakyReLU
from ..callbacks import Callback, EarlyStopping, NoImprovement
from ..engine.runtime import ACTIVATIONS
from ..errors import ConfigError, CorruptModelError, DivergenceError, InputError, brief
from ..formats import checkpoint
from ..layers import Dense, Weighted
from ..losses import Loss, LossFunction
from ..metrics import MetricFunction
from ..network import Network
from ..optimizers import LBFGS, Optimizer
from ..trainer import Trainer
from .building import LEAST_RATE, NAMES, network_of, optimizer_of, rate_factor, sizes_of
from .compat import validated
from .recording import OBJECTIVE, Recorder

__all__ = ["BaseMLP", "Head", "Parameters"]

AUTO_BATCH = 200
# More epochs without an improvement than there will ever be.
FOREVER = 2**31 - 1
# Of a file, in the metadata of its network.
METADATA = "fastbp.sklearn"


class Head(NamedTuple):
    """The last layer and the loss, in fastbp's terms, and what scikit-learn makes of them.

    Attributes
    ----------
    output : Dense
    loss : str, Loss or callable
    out_activation : str
        scikit-learn's name of what turns the last sums into predictions.
    scale, offset : float
        The loss that scikit-learn reports is ``scale * loss + offset``.
    metric : str or callable
        What early stopping watches on the validation rows.
    """

    output: Dense
    loss: str | Loss | LossFunction
    out_activation: str
    metric: str | MetricFunction
    scale: float = 1.0
    offset: float = 0.0


class Parameters(list[NDArray[Any]]):
    """Weights or biases of a network, layer by layer: views; assigning an item copies it in."""

    def __init__(self, layers: tuple[Weighted, ...], name: str) -> None:
        super().__init__(getattr(layer, name) for layer in layers)
        self._layers, self._name = layers, name

    def __setitem__(self, index: Any, value: Any) -> None:
        """Copy an array into the network."""
        setattr(self._layers[index], self._name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain list of arrays."""
        return list, ([np.array(array) for array in self],)


class BaseMLP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Training and all that does not depend on what is predicted."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 (scikit-learn's own form)
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({*NAMES, *ACTIVATIONS}), list, tuple, LeakyReLU, ELU],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"}), Optimizer],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "layers": ["array-like", None],
        "metrics": [list, tuple],
        "callbacks": [list, tuple],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "transform_layer": [Integral],
    }

    network_: Network
    n_iter_: int
    t_: int

    def _head(self, y: NDArray[Any], weights: NDArray[Any] | None) -> Head:
        """Return the last layer and the loss for these targets."""
        raise NotImplementedError

    def _validate_input(
        self, X: Any, y: Any, first: bool, incremental: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows and targets [n, n_outputs], or classes [n], and note the classes."""
        raise NotImplementedError

    def _validation_targets(self, y: Any) -> NDArray[Any]:
        """Return the targets of validation rows as `_validate_input` does."""
        raise NotImplementedError

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return what the validation rows are to have their share of."""
        return None

    def _class_weights(self, y: NDArray[Any], incremental: bool) -> NDArray[np.float64] | None:
        """Return the weight of each row by its class."""
        return None

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train on rows `X` and targets `y`.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n_samples, n_features)
            float32 is trained in float32, all else in float64. Sparse rows stay sparse, as CSR.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels, or targets.
        sample_weight : array_like of shape (n_samples,), optional
            >= 0; of the rows' losses, and of the score of validation rows held out of them.
        X_val, y_val : array_like, optional
            Validation rows: their loss is in `validation_loss_curve_`, their scores in
            `validation_scores_`, and with ``early_stopping=True`` they are used in place of a share
            of `X`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            A parameter or an argument cannot be used, or training has left the finite numbers.
        """
        self._validate_params()
        return self._fit(X, y, sample_weight, X_val, y_val, False)

    def _partial_fit(
        self, X: Any, y: Any, sample_weight: Any, X_val: Any = None, y_val: Any = None
    ) -> Self:
        return self._fit(X, y, sample_weight, X_val, y_val, True)

    def _is_stochastic(self) -> bool:
        if self.solver == "lbfgs" or isinstance(self.solver, LBFGS):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not "
                "stochastic."
            )
        return True

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, incremental: bool
    ) -> Self:
        sizes_of(self)
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, first, incremental)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        by_class = self._class_weights(y, incremental)
        if by_class is not None:
            weights = by_class if weights is None else weights * by_class
        random_state = check_random_state(self.random_state)
        head = self._head(y, weights)
        if first:
            self._begin(network_of(self, X.shape[1], head.output, X.dtype, random_state), head)
        elif not hasattr(self, "network_"):
            self._begin(self._assigned(X, head), head)
        X, y, weights, held = self._held_out(X, y, weights, X_val, y_val, random_state)
        if not incremental or not hasattr(self, "_trainer"):
            self._make_trainer(head, X.shape[0], random_state)
        self._metric, self._scaling = head.metric, (head.scale, head.offset)
        self._set_options(X.shape[0], weights)
        with self._continued(incremental, held is not None):
            self._train(X, y, weights, held, incremental)
        return self

    def _begin(self, network: Network, head: Head) -> None:
        """Take a network with initial weights, and forget what was recorded of another one."""
        self.__dict__.pop("_assigned_parameters", None)
        self.network_ = network
        self.n_layers_, self.n_outputs_ = len(network.layers) + 1, network.n_outputs
        self.out_activation_ = head.out_activation
        self.n_iter_ = self.t_ = self._no_improvement_count = 0
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self.best_loss_: float | None = None
        self.__dict__.pop("_trainer", None)

    def _assigned(self, X: NDArray[Any], head: Head) -> Network:
        """Return a network with the weights that were assigned before there was one."""
        weights, biases = self.coefs_, self.intercepts_
        network = network_of(self, X.shape[1], head.output, X.dtype, check_random_state(0))
        for layer, weight, bias in zip(network.weighted_layers, weights, biases, strict=True):
            layer.weight, layer.bias = weight, bias
        return network

    def _held_out(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[Any] | None,
        X_val: Any,
        y_val: Any,
        random_state: np.random.RandomState,
    ) -> tuple[Any, Any, Any, tuple[Any, ...] | None]:
        """Return rows, targets and weights to train on, and those to validate on."""
        if (X_val is None) != (y_val is None):
            raise ConfigError("X_val: got one of X_val and y_val, wanted both or neither")
        if X_val is not None:
            rows = validated(self, X_val, reset=False)
            targets = self._validation_targets(y_val)
            if len(targets) != rows.shape[0]:
                raise ValueError(f"y_val: got {len(targets)} rows, wanted {rows.shape[0]}")
            return X, y, weights, (rows, targets)
        if not self.early_stopping or isinstance(self._optimizer_kind, LBFGS):
            return X, y, weights, None
        train, held = train_test_split(
            np.arange(X.shape[0]),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(y),
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        of_held = () if weights is None else (weights[held],)
        rest = None if weights is None else weights[train]
        return X[train], y[train], rest, (X[held], y[held], *of_held)

    @property
    def _optimizer_kind(self) -> Optimizer:
        return LBFGS() if self.solver == "lbfgs" else self.solver

    def _make_trainer(self, head: Head, n_rows: int, random_state: np.random.RandomState) -> None:
        """Make a trainer, and the rules of early stopping, for what may be many calls."""
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        optimizer, threads = optimizer_of(self, n_rows), self.n_threads
        options = {"batch_size": None, "seed": seed, "n_threads": threads}
        self._trainer = Trainer(self.network_, head.loss, optimizer, **options)
        self._rules: dict[str | None, tuple[Any, ...]] = {}

    def _set_options(self, n_rows: int, weights: NDArray[Any] | None) -> None:
        """Set what may change from call to call: batches, and what `alpha` means for them."""
        trainer = self._trainer
        rows = min(AUTO_BATCH, n_rows) if self.batch_size == "auto" else int(self.batch_size)
        if rows > n_rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=4,
            )
        whole = rows >= n_rows or isinstance(trainer.optimizer, LBFGS)
        trainer.batch_size = None if whole else rows
        trainer.shuffle = bool(self.shuffle)
        mean = 1.0 if weights is None else float(np.sum(weights, dtype=np.float64)) / n_rows
        per_step = (n_rows if whole else rows) * mean
        trainer.l2 = float(self.alpha) / (2 * per_step) if per_step else 0.0
        trainer._objective.l2_weight = per_step  # a shorter or heavier batch has its own

    def _watched(self, validated: bool) -> str | None:
        """Return the column with the score of validation rows."""
        if not validated:
            return None
        return f"val_{self._metric if isinstance(self._metric, str) else self._metric.__name__}"

    @contextmanager
    def _continued(self, incremental: bool, validated: bool) -> Iterator[None]:
        """Let what early stopping has found hold for a training that goes on from the weights."""
        best, before = self.best_validation_score_, None
        if not incremental and self.early_stopping and validated and best is not None:
            before = self.network_.parameters
        yield
        found = self.best_validation_score_
        if before is not None and best is not None and (found is None or not found > best):
            self.network_.parameters = before

    def _callbacks(self, score: str | None, incremental: bool) -> list[Callback]:
        """Return the recorder, the rule that ends training, and what restores the best weights."""
        if score not in self._rules:
            patience = FOREVER
            if self.n_iter_no_change < FOREVER and not isinstance(self._trainer.optimizer, LBFGS):
                patience = int(self.n_iter_no_change)
            factor, stops = rate_factor(self), bool(self.early_stopping and score)
            watched, mode = (score, "max") if stops else (OBJECTIVE, "min")
            rule = NoImprovement(patience, self.tol, watched, mode, factor, LEAST_RATE)
            best = self.best_validation_score_ if stops else self.best_loss_
            if best is not None:
                rule.best, rule.wait = best, self._no_improvement_count
            restore = [EarlyStopping(FOREVER, score, mode="max")] if stops else []
            self._rules[score] = (rule, *restore)
        recorder = Recorder(*self._scaling, score, bool(self.verbose))
        return [recorder, *self._rules[score], *self.callbacks]

    def _train(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[Any] | None,
        held: tuple[Any, ...] | None,
        incremental: bool,
    ) -> None:
        trainer, score = self._trainer, self._watched(held is not None)
        trainer.metrics = self._metrics(held is not None)
        callbacks, history = self._callbacks(score, incremental), trainer.history
        first, epochs = history.epochs, 1 if incremental else int(self.max_iter)
        failed = False
        try:
            trainer.fit(X, y, epochs, held, callbacks, sample_weight=weights)
        except DivergenceError as error:
            failed = True
            self._diverged(error, callbacks, score)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
            self._restore(callbacks)
        self._note(first, X.shape[0], score, failed)
        self._no_improvement_count = self._rules[score][0].wait
        if not incremental:
            self._warn_unless_converged()

    def _metrics(self, validated: bool) -> list[str | MetricFunction]:
        wanted = list(self.metrics)
        if validated and self._metric != "accuracy" and self._metric not in wanted:
            wanted.append(self._metric)
        return wanted

    def _diverged(
        self, error: DivergenceError, callbacks: list[Callback], score: str | None
    ) -> None:
        """Keep the best weights if there are validation rows to tell them, else fail."""
        if score is None or not self.early_stopping:
            raise InputError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                f"values and need to be preprocessed. {error}"
            ) from error
        self._restore(callbacks)
        warnings.warn(f"{error}; the best weights are kept", ConvergenceWarning, stacklevel=6)

    def _restore(self, callbacks: list[Callback]) -> None:
        for rule in callbacks:
            best = rule.best_weights if isinstance(rule, EarlyStopping) else None
            if best is not None:
                self.network_.parameters = best

    def _note(self, first: int, n_rows: int, score: str | None, failed: bool) -> None:
        """Set the attributes that tell how training went."""
        history, scale, offset = self._trainer.history, *self._scaling
        self.n_iter_ = history.epochs - first
        if not isinstance(self._trainer.optimizer, LBFGS):
            self.t_ += n_rows * self.n_iter_
        if self.n_iter_:
            self.loss_curve_ += history[OBJECTIVE][first:]
            self.loss_ = self.loss_curve_[-1]
        if score is not None:
            curve = (
                [scale * v + offset for v in history["val_loss"][first:]] if self.n_iter_ else []
            )
            self.validation_loss_curve_ = (self.validation_loss_curve_ or []) + curve
            scores = list(history[score][first:]) if self.n_iter_ else []
            scores += [float("nan")] * failed
            self.validation_scores_ = (self.validation_scores_ or []) + scores
            finite = [value for value in self.validation_scores_ if value == value]
            self.best_validation_score_ = max(finite, default=None)
        if self.loss_curve_:
            stops = self.early_stopping and score is not None
            self.best_loss_ = None if stops else min(self.loss_curve_)

    def _warn_unless_converged(self) -> None:
        optimizer, stopped = self._trainer.optimizer, self.history_.stopped
        if isinstance(optimizer, LBFGS):
            if not optimizer.converged:
                why = stopped or "the maximum of iterations is reached"
                warnings.warn(
                    f"lbfgs failed to converge after {self.n_iter_} iteration(s): {why}. Increase "
                    "the number of iterations (max_iter) or scale the data.",
                    ConvergenceWarning,
                    stacklevel=5,
                )
        elif self.n_iter_ == self.max_iter and not stopped:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )

    @property
    def history_(self) -> Any:
        """The `History` of the training: all columns, one value an epoch."""
        return self._fitted("_trainer").history

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weights of each layer, [n_in, n_out]: views of `network_`."""
        return self._parameters("weight", "coefs_")

    @coefs_.setter
    def coefs_(self, value: list[Any]) -> None:
        self._assign("weight", value)

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The biases of each layer, [n_out]: views of `network_`."""
        return self._parameters("bias", "intercepts_")

    @intercepts_.setter
    def intercepts_(self, value: list[Any]) -> None:
        self._assign("bias", value)

    def _fitted(self, name: str) -> Any:
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} is not fitted yet")
        return self.__dict__[name]

    def _parameters(self, name: str, attribute: str) -> list[NDArray[Any]]:
        if "network_" in self.__dict__:
            return Parameters(self.network_.weighted_layers, name)
        given = self.__dict__.get("_assigned_parameters", {})
        if name not in given:
            raise AttributeError(f"{type(self).__name__} has no {attribute} before it is fitted")
        parameters: list[NDArray[Any]] = given[name]
        return parameters

    def _assign(self, name: str, value: list[Any]) -> None:
        """Copy arrays into the network, or keep them for the network to come."""
        if "network_" not in self.__dict__:
            self.__dict__.setdefault("_assigned_parameters", {})[name] = value
            return
        layers = self.network_.weighted_layers
        if len(value) != len(layers):
            raise ConfigError(f"{name}: got {len(value)} arrays, wanted {len(layers)}")
        for layer, array in zip(layers, value, strict=True):
            setattr(layer, name, array)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there are weights to predict with."""
        return hasattr(self, "network_")

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Return what the network gives for rows."""
        check_is_fitted(self)
        return self.network_.predict(validated(self, X, reset=False))

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the outputs of the hidden layer `transform_layer`, [n_samples, units].

        Raises
        ------
        ConfigError
            There is no such hidden layer.
        """
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        index = self._hidden_layer()
        return self.network_.activations(X)[index]

    def _hidden_layer(self) -> int:
        n = len(self.network_.layers) - 1
        index: int = self.transform_layer
        if not -n <= index < n:
            raise ConfigError(f"transform_layer: got {index} for {n} hidden layers, wanted one")
        return index % n

    @property
    def _n_features_out(self) -> int:
        return self.network_.layers[self._hidden_layer()].units

    def gradient(self, X: ArrayLike, output: int | None = None) -> NDArray[Any]:
        """Return the derivative of a prediction with respect to each input, by backpropagation.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Rows.
        output : int, optional
            The output whose derivative is taken: of a classifier, the place of the class in
            `classes_`, and its probability (its score for hinge); of a regressor, the target.
            Default: the only one, or the second of two classes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ConfigError
            There is no such output, or several to choose from.
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        column, slope = self._slope_of(output)

        def prediction(y: NDArray[Any], t: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
            gradient = np.zeros_like(y)
            gradient[:, column] = slope(y[:, column])
            return y[:, column], gradient

        # The function has no targets; the mean over rows is undone.
        n: int = rows.shape[0]
        targets = np.zeros((n, self.n_outputs_))
        _, _, found = self.network_.gradients(rows, targets, prediction, inputs=True)
        return found * n

    def _slope_of(
        self, output: int | None
    ) -> tuple[int, Callable[[NDArray[Any]], NDArray[Any] | float]]:
        """Return the network's output of a prediction, and the derivative of one by the other."""
        raise NotImplementedError

    def _column(self, output: int | None, n: int) -> int:
        if output is None and n == 1:
            return 0
        if isinstance(output, Integral) and not isinstance(output, bool) and 0 <= output < n:
            return int(output)
        raise ConfigError(f"output: got {brief(output)}, wanted an integer from 0 to {n - 1}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a safetensors file; `load` reads it back, and runs no code.

        It holds parameters, weights, and the state of the training, which goes on to the same bits
        with ``warm_start`` or `partial_fit`. What early stopping has found between two calls of
        `partial_fit` is not in it: training goes on from the best weights. `fastbp.load` reads the
        network.

        Raises
        ------
        ConfigError
            A parameter is no plain value and no optimizer of fastbp; pickle the estimator then.
        NotFittedError
            It is not fitted.
        OSError
            The folder does not exist, is not writable or is full.
        """
        check_is_fitted(self)
        noted: dict[str, Any] = {"class": type(self).__name__, "parameters": {}, "attributes": {}}
        for name, value in self.get_params(deep=False).items():
            noted["parameters"][name] = _described(name, value)
        for name in (*self._saved, *self._saved_too):
            if name in self.__dict__:
                noted["attributes"][name] = _described(name, self.__dict__[name])
        metadata, metrics = self.network_.metadata, self._trainer.metrics
        try:
            self.network_.metadata = {**metadata, METADATA: json.dumps(noted)}
            self._trainer.metrics = ()  # each call sets those of the parameters
            self._trainer.save(path)
        finally:
            self.network_.metadata, self._trainer.metrics = metadata, metrics

    _saved = (
        "n_features_in_", "feature_names_in_", "n_layers_", "n_outputs_", "out_activation_",
        "n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_loss_curve_",
        "validation_scores_", "best_validation_score_", "_no_improvement_count", "_scaling",
    )  # fmt: skip
    _saved_too: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the estimator that `save` wrote to `path`.

        Raises
        ------
        CorruptModelError
            The file is not a whole, unchanged estimator of this class.
        OSError
            The file does not exist or cannot be read.
        """
        trainer = Trainer.load(path)
        network = trainer.network
        try:
            noted = json.loads(network.metadata.pop(METADATA))
            if noted["class"] != cls.__name__:
                raise ValueError(f"it is of class {noted['class']}")
            parameters = {name: _read(value) for name, value in noted["parameters"].items()}
            attributes = {name: _read(value) for name, value in noted["attributes"].items()}
            estimator = cls(**parameters)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CorruptModelError(
                f"{os.fspath(path)!r} holds no {cls.__name__}: {error}"
            ) from error
        estimator.__dict__.update(attributes, network_=network, _trainer=trainer, _rules={})
        scale, offset = estimator._scaling
        estimator._scaling = scale, offset
        return estimator

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn has to know, from version 1.6 on."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _described(name: str, value: Any) -> Any:
    """Return a value as JSON can hold it.

    Raises
    ------
    ConfigError
        It cannot.
    """
    if isinstance(value, Optimizer):
        return {"optimizer": checkpoint.describe_optimizer(value)}
    if isinstance(value, np.ndarray):
        return {
            "array": value.tolist(),
            "dtype": "object" if value.dtype == object else str(value.dtype),
        }
    if isinstance(value, tuple):
        return {"tuple": [_described(name, item) for item in value]}
    if isinstance(value, list):
        return [_described(name, item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {"dict": [[_described(name, k), _described(name, v)] for k, v in value.items()]}
    raise ConfigError(
        f"{name}: got {brief(value)}, wanted a number, text, list, dict or an optimizer of fastbp "
        "to be saved; pickle the estimator instead"
    )


def _read(value: Any) -> Any:
    """Return what `_described` has described."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_read(item) for item in value["tuple"])
    if "dict" in value:
        return {_read(key): _read(item) for key, item in value["dict"]}
    if "array" in value:
        return np.array(value["array"], dtype=np.dtype(value["dtype"]))
    return checkpoint.optimizer_of(value["optimizer"], None)
