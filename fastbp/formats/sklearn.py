"""Fitted estimators of scikit-learn as networks, and networks as its multi-layer perceptrons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._affine import Affine
from ..errors import ConversionError, MissingDependencyError
from ..layers import Dense
from .chain import Chain, Described
from .modelfile import Tensors, description

try:
    from sklearn import (  # type: ignore[import-untyped]
        decomposition,
        linear_model,
        neural_network,
        pipeline,
        preprocessing,
        svm,
    )
    from sklearn.exceptions import NotFittedError  # type: ignore[import-untyped]
    from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise MissingDependencyError(
        "to_sklearn and from_sklearn need scikit-learn, which is not installed: "
        'pip install "fastbp[sklearn]"'
    ) from error

__all__ = ["of_estimator", "to_estimator"]

_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_THEIRS = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
# A class of one's own may do something else than what it is derived from.
_REGRESSORS = [
    linear_model.LinearRegression,
    linear_model.Ridge,
    linear_model.RidgeCV,
    linear_model.Lasso,
    linear_model.LassoCV,
    linear_model.ElasticNet,
    linear_model.ElasticNetCV,
    linear_model.HuberRegressor,
    linear_model.SGDRegressor,
    svm.LinearSVR,
]
TAKEN = (
    "wanted a fitted MLPClassifier or MLPRegressor, a linear model ("
    + ", ".join(kind.__name__ for kind in _REGRESSORS)
    + ", LogisticRegression, LogisticRegressionCV, SGDClassifier, Perceptron, "
    "LinearSVC), or a Pipeline of StandardScaler, MinMaxScaler, RobustScaler, MaxAbsScaler or PCA "
    "that ends in one of these"
)


def of_estimator(estimator: Any) -> tuple[dict[str, Any], Tensors]:
    """Return architecture and tensors of a fitted estimator, as `modelfile.read` does.

    Raises
    ------
    ConversionError
        It is not fitted, or has no counterpart; the message names it.
    """
    steps = list(_steps(estimator, "estimator"))
    chain = Chain()
    for where, step in steps[:-1]:
        _scale(chain, where, step)
    where, last = steps[-1]
    classes = _predict(chain, where, last)
    columns = getattr(steps[0][1], "feature_names_in_", None)
    if columns is not None:
        columns = [str(name) for name in columns]
    labels = None if classes is None else np.asarray(classes).tolist()
    return chain.finish(where, columns, labels)


def _steps(estimator: Any, where: str) -> list[tuple[str, Any]]:
    """Return the steps of a Pipeline and of those within, each with what an error calls it."""
    found, todo = [], [(where, estimator)]
    while todo:
        path, step = todo.pop()
        if type(step) is pipeline.Pipeline:
            todo += [(f"step {name!r}", part) for name, part in reversed(step.steps)]
        elif step is not None and not (isinstance(step, str) and step == "passthrough"):
            where = f"{path} ({type(step).__name__})"
            _require_fitted(step, path)
            found.append((where, step))
    if not found:
        raise ConversionError(f"{where}: got a Pipeline that does nothing, {TAKEN}")
    return found


def _require_fitted(step: Any, path: str) -> None:
    try:
        check_is_fitted(step)
    except NotFittedError as error:
        raise ConversionError(
            f"{path}: got {type(step).__name__} without a fit, wanted it fitted"
        ) from error
    except TypeError as error:  # no estimator at all
        raise ConversionError(f"{path}: got {type(step).__name__}, {TAKEN}") from error


def _scale(chain: Chain, where: str, step: Any) -> None:
    """Add a step before the last one."""
    kind = type(step)
    if getattr(step, "clip", False):
        raise ConversionError(f"{where}: got clip=True, wanted a map without it")
    if kind is preprocessing.StandardScaler:
        _centre(chain, where, step.mean_, step.scale_)
    elif kind is preprocessing.RobustScaler:
        _centre(chain, where, step.center_, step.scale_)
    elif kind is preprocessing.MaxAbsScaler:
        _centre(chain, where, None, step.scale_)
    elif kind is preprocessing.MinMaxScaler:
        # The least of each column is known, so that nothing is lost where it is far from zero.
        low = step.feature_range[0]
        chain.scale(1.0, -step.data_min_, where)
        chain.scale(step.scale_, low, where)
    elif kind is decomposition.PCA:
        chain.scale(1.0, -step.mean_, where)
        matrix = np.asarray(step.components_, np.float64).T
        if step.whiten:
            deviation = np.sqrt(step.explained_variance_)
            matrix = matrix / np.maximum(deviation, np.finfo(deviation.dtype).eps)
        chain.project(matrix, where)
    else:
        raise ConversionError(f"{where}: has no counterpart in fastbp as a map of rows, {TAKEN}")


def _centre(chain: Chain, where: str, mean: Any, scale: Any) -> None:
    if mean is not None:
        chain.scale(1.0, -np.asarray(mean, np.float64), where)
    if scale is not None:
        chain.scale(1 / np.asarray(scale, np.float64), 0.0, where)


def _predict(chain: Chain, where: str, last: Any) -> Any:
    """Add the estimator at the end; return its classes, None for numbers."""
    kind = type(last)
    if kind in (neural_network.MLPClassifier, neural_network.MLPRegressor):
        return _perceptron(chain, where, last)
    if kind in _REGRESSORS:
        _linear(chain, where, last)
        return None
    if kind in (linear_model.LogisticRegression, linear_model.LogisticRegressionCV):
        several = len(last.classes_) > 2
        # Before scikit-learn 1.8 there were others than these two.
        form = getattr(last, "multi_class", "auto")
        if (several and (form == "ovr" or last.solver == "liblinear")) or (
            not several and form == "multinomial"
        ):
            raise ConversionError(
                f"{where}: got multi_class={form!r} and solver={last.solver!r} for "
                f"{len(last.classes_)} classes, wanted softmax for three or more, one sigmoid for "
                "two"
            )
        _linear(chain, where, last, "softmax" if several else "sigmoid")
        return last.classes_
    if kind is linear_model.SGDClassifier and last.loss == "log_loss":
        if len(last.classes_) > 2:
            raise ConversionError(
                f"{where}: got loss='log_loss' for {len(last.classes_)} classes, whose "
                "probabilities are sigmoids divided by their sum; wanted two classes, or "
                "LogisticRegression"
            )
        _linear(chain, where, last, "sigmoid")
        return last.classes_
    if kind in (linear_model.Perceptron, svm.LinearSVC, linear_model.SGDClassifier):
        _linear(chain, where, last)
        return last.classes_
    if kind.__module__.startswith("fastbp.sklearn."):
        return _own(chain, where, last)
    raise ConversionError(f"{where}: has no counterpart in fastbp, {TAKEN}")


def _own(chain: Chain, where: str, last: Any) -> Any:
    """Add an estimator of fastbp.sklearn."""
    for i, layer in enumerate(last.network_.layers):
        path, pairs = f"{where}, layer {i}", [(w.weight, w.bias) for w in layer._weighted()]
        if isinstance(layer, Dense):
            chain.linear(*pairs[0], path)
            chain.activation(layer.activation, path, layer.activation_parameter)
            chain.dropout(layer.dropout, path)
        else:
            chain.block(description(layer), pairs, len(pairs[0][0]), path)
    return _classes(last)


def _classes(last: Any) -> Any:
    """Return the classes of an estimator; of several yes-or-no questions they are their numbers."""
    is_multilabel = last.out_activation_ == "logistic" and last.n_outputs_ > 1
    return None if is_multilabel else getattr(last, "classes_", None)


def _perceptron(chain: Chain, where: str, last: Any) -> Any:
    hidden, output = last.activation, last.out_activation_
    n = len(last.coefs_) - 1
    names = {**_ACTIVATIONS, "softmax": "softmax"}
    for i, (weight, bias) in enumerate(zip(last.coefs_, last.intercepts_, strict=True)):
        name = output if i == n else hidden
        if name not in names:
            raise ConversionError(
                f"{where}: got the activation {name!r} of layer {i}, wanted one of "
                f"{', '.join(names)}"
            )
        chain.linear(weight, bias, f"{where}, layer {i}")
        chain.activation(names[name], where)
    return _classes(last)


def _linear(chain: Chain, where: str, last: Any, activation: str = "linear") -> None:
    coef = last.coef_.toarray() if hasattr(last.coef_, "toarray") else last.coef_  # sparsify()
    weight = np.atleast_2d(np.asarray(coef)).T
    bias = np.asarray(last.intercept_, weight.dtype)
    chain.linear(weight, bias, where)
    chain.activation(activation, where)


def to_estimator(network: Described) -> Any:
    """Return a fitted MLPClassifier or MLPRegressor, behind a map in a Pipeline if there is one.

    Raises
    ------
    ConversionError
        scikit-learn has no such network; the message says what.
    """
    layers = network.layers
    for i, layer in enumerate(layers):
        if not isinstance(layer, Dense):
            raise ConversionError(
                f"layers[{i}]: got {layer!r}, wanted Dense: scikit-learn's networks have no gates"
            )
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    hidden = {layer.activation for layer in dense[:-1]}
    if len(hidden) > 1 or not hidden <= _THEIRS.keys():
        raise ConversionError(
            f"layers: got the hidden activations {', '.join(sorted(hidden))}, wanted one of "
            f"{', '.join(_THEIRS)} for all: scikit-learn's networks have no others"
        )
    name = _THEIRS[hidden.pop()] if hidden else "relu"
    sizes = tuple(layer.units for layer in dense[:-1])
    parameters = [(np.array(a.weight), np.array(a.bias)) for a in dense]
    n_in = len(parameters[0][0])
    made = _fitted(dense[-1], network.classes, parameters, n_in, (sizes, name))
    affine = network.preprocessing
    first = made
    if affine is not None:
        first = _map(affine)
        made = pipeline.Pipeline([("preprocessing", first), ("network", made)])
    if network.columns is not None:
        first.feature_names_in_ = np.array(network.columns, object)
    return made


Parameters = list[tuple[NDArray[Any], NDArray[Any]]]


def _fitted(
    last: Dense,
    classes: NDArray[Any] | None,
    parameters: Parameters,
    n_in: int,
    form: tuple[tuple[int, ...], str],
) -> Any:
    """Return an estimator with these parameters, all else as after no step of training."""
    options = {"hidden_layer_sizes": form[0], "activation": form[1]}
    dtype, n_out = parameters[0][0].dtype, last.units
    x = np.zeros((1, n_in), dtype)
    if last.activation == "linear" and classes is None:
        made = neural_network.MLPRegressor(**options)
        made.partial_fit(x, np.zeros((1, n_out) if n_out > 1 else 1, dtype))
    elif last.activation == "softmax" and n_out > 1:
        made = neural_network.MLPClassifier(**options)
        labels = _sorted(np.arange(n_out) if classes is None else classes, parameters)
        made.partial_fit(x, labels[:1], classes=labels)
    elif last.activation == "sigmoid" and n_out == 1:
        made = neural_network.MLPClassifier(**options)
        labels = _sorted(np.arange(2) if classes is None else classes, parameters)
        made.partial_fit(x, labels[:1], classes=labels)
    elif last.activation == "sigmoid" and classes is None:
        made = neural_network.MLPClassifier(**options)
        made.partial_fit(x, np.zeros((1, n_out), int), classes=np.arange(n_out))
    else:
        named = "" if classes is None else " with classes"
        raise ConversionError(
            f"last layer: got {last!r}{named}, wanted linear without classes for MLPRegressor, "
            "softmax or sigmoid for MLPClassifier"
        )
    # What the step above, which set the attributes of this version, has left behind.
    del made._optimizer
    made.n_iter_ = made.t_ = made._no_improvement_count = 0
    made.loss_curve_, made.best_loss_ = [], np.inf
    made.coefs_ = [weight for weight, _ in parameters]
    made.intercepts_ = [bias for _, bias in parameters]
    return made


def _sorted(classes: NDArray[Any], parameters: Parameters) -> NDArray[Any]:
    """Return the classes in the order that scikit-learn wants, the last layer's outputs moved too.

    One output stands for the second class, so that with both classes changed it changes its sign;
    two outputs of a softmax are one sigmoid of their difference.
    """
    order = np.argsort(classes, kind="stable")
    weight, bias = parameters[-1]
    if len(bias) == 1:
        sign = 1 if order[0] == 0 else -1
        parameters[-1] = sign * weight, sign * bias
    else:
        weight, bias = weight[:, order], bias[order]
        if len(bias) == 2:
            weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        parameters[-1] = np.ascontiguousarray(weight), bias
    return classes[order]


def _map(affine: Affine) -> Any:
    """Return a fitted scaler, or principal components, that map as this does."""
    mean, matrix = np.array(affine.mean), np.array(affine.matrix)
    made: Any
    if matrix.ndim == 1:
        if not matrix.all():
            raise ConversionError(
                "preprocessing: got a column that it multiplies by 0, wanted none: a "
                "StandardScaler divides"
            )
        made = preprocessing.StandardScaler()
        made.mean_, made.scale_ = mean, 1 / matrix
        made.var_, made.n_samples_seen_ = made.scale_**2, 1
    else:
        made = decomposition.PCA(matrix.shape[1])
        made.mean_, made.components_ = mean, matrix.T
        made.n_components_, made.n_samples_ = matrix.shape[1], 1
        made.explained_variance_ = np.ones(matrix.shape[1])
        made.explained_variance_ratio_ = made.explained_variance_ / matrix.shape[1]
        made.singular_values_, made.noise_variance_ = made.explained_variance_, 0.0
    made.n_features_in_ = len(mean)
    return made
