"""Metrics: how good outputs are, by the definitions of scikit-learn.

Each is a function ``(y, outputs, sample_weight=None)``, computed in float64. ``y`` are integer
classes [n], or targets [n, n_outputs] ([n] for one output); ``outputs`` [n, n_outputs] are what
`Network.predict` gives. ``fb.Trainer(..., metrics=["f1"])`` measures them by name, in `evaluate`
and after every epoch of `fit`.

=================  ======================================================================  ====
name               value                                                                   best
=================  ======================================================================  ====
accuracy           share of the rows that are right                                        max
binary_accuracy    share of the single yes-or-no outputs that are right                    max
top_k              share of the rows whose class is among the k largest outputs            max
precision          of the rows predicted to be of a class, the share that are              max
recall             of the rows of a class, the share predicted to be                       max
f1                 2 precision recall / (precision + recall)                               max
auc                area under the ROC curve; several classes: each against the rest        max
log_loss           minus the mean log of the probability given to what is true             min
mse, rmse, mae     mean squared error, its root, mean absolute error, mean over outputs    min
r2                 1 - squared error / variance of the targets, mean over outputs          max
confusion          rows of class i that were predicted to be of class j                    -
=================  ======================================================================  ====

What a row predicts follows from the targets. Classes: the first of the largest outputs. Targets -1
and 1: the sign of each output, where zero has none. Other targets are yes-or-no: an output above
`threshold`, 0.5, is a yes, and a row is right if all its outputs are. Targets [n, n_outputs] are
several questions, unless ``exclusive=True`` says that each row is one class, one-hot or soft. A
`Trainer` takes both from its loss: the threshold 0 for hinge and perceptron, exclusive targets for
cross_entropy and multiclass_hinge.

`precision`, `recall` and `f1` take the answers to one question as classes, no and yes; of several
questions the yes of each counts. They are the plain mean (macro) over the classes that occur among
targets or predictions; ``average=None`` gives the array over all classes. Where a share is of no
rows it is 0.

With `sample_weight` all means are weighted, and rows of weight 0 have no influence, whatever their
targets and outputs. A row with a NaN among its outputs is never right: it predicts no class.

A metric of your own is a function ``(y, outputs)`` that returns a number; its name is that of the
column. It sees int64 classes [n] or float64 targets [n, n_outputs], and the outputs [n, n_outputs]
in the network's dtype. If it has a parameter `sample_weight`, it is given the weights by that name;
else it sees the rows whose weight is not 0, all alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError, InputError, LabelError, ShapeError, brief

__all__ = [
    "Metric",
    "MetricFunction",
    "accuracy",
    "auc",
    "binary_accuracy",
    "confusion",
    "direction",
    "f1",
    "log_loss",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "resolve",
    "rmse",
    "top_k",
]

MetricFunction = Callable[..., Any]
Array = NDArray[np.float64]
Integers = NDArray[np.int64]
HALF = 0.5


class _Rows(NamedTuple):
    """Rows with a weight: classes int64 [n] or targets float64 [n, k], outputs [n, k], weights."""

    y: NDArray[Any]
    outputs: Array
    weights: Array
    eps: float

    @property
    def targets(self) -> Array:
        """The targets [n, k]; classes are one-hot."""
        one_hot: Array = np.eye(self.outputs.shape[1])
        return self.y if self.y.ndim == 2 else one_hot[self.y]


def accuracy(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    threshold: float = HALF,
    exclusive: bool = False,
) -> float:
    """Return the share of the rows that are right: for several yes-or-no outputs in all of them."""
    rows, threshold = _rows(y, outputs, sample_weight, exclusive), _threshold(threshold)
    return _mean(right_rows(rows.y, rows.outputs, threshold), rows.weights)


def binary_accuracy(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    threshold: float = HALF,
) -> float:
    """Return the share of the single outputs that are right, each a yes-or-no; classes one-hot."""
    rows, threshold = _rows(y, outputs, sample_weight), _threshold(threshold)
    return _mean(_right_sides(rows.targets, rows.outputs, threshold).mean(axis=1), rows.weights)


def top_k(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    k: int = 2,
    exclusive: bool = False,
) -> float:
    """Return the share of the rows whose class is among the `k` largest outputs.

    Of equal outputs the first is the larger one, as in `accuracy`. By name in a `Trainer`:
    ``"top_k"`` for k = 2, ``"top_5"`` for another k.
    """
    rows, k = _rows(y, outputs, sample_weight, exclusive), _check.positive_int(k, "k")
    classes = _classes(rows)
    own = rows.outputs[np.arange(len(classes)), classes][:, None]
    before = np.arange(rows.outputs.shape[1]) < classes[:, None]
    ahead = (rows.outputs > own) | ((rows.outputs == own) & before)
    numbers = ~np.isnan(rows.outputs).any(axis=1)
    return _mean(numbers & (ahead.sum(axis=1) < k), rows.weights)


def precision(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: Literal["macro"] | None = "macro",
    threshold: float = HALF,
    exclusive: bool = False,
) -> Any:
    """Return the share of true ones among the predictions of a class; see `fastbp.metrics`."""
    both, _, predicted, occurs = _counts(_rows(y, outputs, sample_weight, exclusive), threshold)
    return _averaged(_ratio(both, predicted), occurs, average)


def recall(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: Literal["macro"] | None = "macro",
    threshold: float = HALF,
    exclusive: bool = False,
) -> Any:
    """Return the share of the rows of a class that are predicted so; see `fastbp.metrics`."""
    both, wanted, _, occurs = _counts(_rows(y, outputs, sample_weight, exclusive), threshold)
    return _averaged(_ratio(both, wanted), occurs, average)


def f1(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    average: Literal["macro"] | None = "macro",
    threshold: float = HALF,
    exclusive: bool = False,
) -> Any:
    """Return the harmonic mean of precision and recall; see `fastbp.metrics`."""
    both, wanted, predicted, occurs = _counts(
        _rows(y, outputs, sample_weight, exclusive), threshold
    )
    return _averaged(_ratio(2 * both, wanted + predicted), occurs, average)


def auc(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    exclusive: bool = False,
) -> float:
    """Return how often an output is larger for a yes than for a no, equal ones counting half.

    The area under the ROC curve (Mann & Whitney, 1947). Of several classes, or several
    yes-or-no outputs, the mean over those that have both; NaN if none has.
    """
    rows = _rows(y, outputs, sample_weight, exclusive)
    if np.isnan(rows.outputs).any():
        return np.nan
    yes = rows.targets > (0 if _is_signs(rows.y) else HALF)
    areas = [_area(yes[:, j], rows.outputs[:, j], rows.weights) for j in range(yes.shape[1])]
    found = [area for area in areas if area == area]
    return float(np.mean(found)) if found else np.nan


def log_loss(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    exclusive: bool = False,
) -> float:
    """Return minus the mean log of the probability that the outputs give to what is true.

    Of classes and exclusive targets minus the sum of t log y, of other targets the mean over the
    outputs of -t log y - (1 - t) log(1 - y). Probabilities are brought into [eps, 1 - eps], eps
    that of the outputs' dtype, as scikit-learn does.
    """
    rows = _rows(y, outputs, sample_weight)
    exclusive = _check.flag(exclusive, "exclusive")
    low, high = rows.outputs.min(), rows.outputs.max()
    if low < 0 or high > 1:
        raise InputError(f"outputs: got values from {low:g} to {high:g}, wanted probabilities")
    t, p = rows.targets, np.clip(rows.outputs, rows.eps, 1 - rows.eps)
    if t.shape[1] > 1 and (exclusive or rows.y.ndim == 1):
        return _mean(-(t * np.log(p)).sum(axis=1), rows.weights)
    return _mean(-(t * np.log(p) + (1 - t) * np.log1p(-p)).mean(axis=1), rows.weights)


def mse(y: ArrayLike, outputs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean squared error."""
    return float(_squared_errors(_rows(y, outputs, sample_weight)).mean())


def rmse(y: ArrayLike, outputs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the root of the mean squared error of each output, and the mean over these."""
    return float(np.sqrt(_squared_errors(_rows(y, outputs, sample_weight))).mean())


def mae(y: ArrayLike, outputs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean absolute error."""
    rows = _rows(y, outputs, sample_weight)
    return _mean(np.abs(rows.outputs - rows.targets).mean(axis=1), rows.weights)


def r2(y: ArrayLike, outputs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the coefficient of determination of each output, and the mean over these.

    Of an output whose targets are all the same: 1 if every row is met exactly, else 0. NaN for
    fewer than two rows.
    """
    rows = _rows(y, outputs, sample_weight)
    if len(rows.y) < 2:
        return np.nan
    t, w = rows.targets, rows.weights[:, None]
    error = (w * (t - rows.outputs) ** 2).sum(axis=0)
    spread = (w * (t - np.average(t, axis=0, weights=rows.weights)) ** 2).sum(axis=0)
    constant = np.where(error == 0, 1.0, np.where(np.isnan(error), np.nan, 0.0))
    values = np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), constant)
    return float(values.mean())


def confusion(
    y: ArrayLike,
    outputs: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    threshold: float = HALF,
    exclusive: bool = False,
) -> NDArray[Any]:
    """Return how many rows of class i were predicted to be of class j, [n_classes, n_classes].

    Weights instead of numbers of rows with `sample_weight`. One output has the classes no and yes.
    A row with a NaN output is in no column.
    """
    rows, threshold = _rows(y, outputs, sample_weight, exclusive), _threshold(threshold)
    wanted, predicted, n_classes = _as_classes(rows, threshold)
    table = np.zeros((n_classes, n_classes))
    known = predicted >= 0
    np.add.at(table, (wanted[known], predicted[known]), rows.weights[known])
    return table if sample_weight is not None else table.astype(np.int64)


FUNCTIONS: dict[str, MetricFunction] = {
    function.__name__: function
    for function in (
        accuracy, binary_accuracy, top_k, precision, recall, f1, auc, log_loss, mse, rmse, mae, r2,
    )
}  # fmt: skip
_LEAST = {"loss", "log_loss", "mse", "rmse", "mae"}
_TAKEN = {"loss", "learning_rate", "seconds", "epoch"}  # other columns of a history


def direction(name: str) -> Literal["max", "min"] | None:
    """Return whether the largest or the least value of a column of a `History` is the best.

    Parameters
    ----------
    name : str
        Of a metric or "loss", with or without "val_" before it, or a name of your own that ends
        like one of these, or in "error" or "score": "train_loss", "my_score".

    Returns
    -------
    {"max", "min"} or None
        None if that is not known, as for a metric of the user's own.
    """
    plain = name.removeprefix("val_")
    last = plain.rpartition("_")[2]
    if plain in _LEAST or last in (*_LEAST, "error"):
        return "min"
    known = plain in FUNCTIONS or last in (*FUNCTIONS, "score")
    return "max" if known or _top(plain) else None


class Metric(NamedTuple):
    """A metric of a `Trainer`: its name, the function, and whether that is known by the name."""

    name: str
    function: MetricFunction
    known: bool

    @property
    def given(self) -> str | MetricFunction:
        """What the trainer was given: a name, or the user's own function."""
        return self.name if self.known else self.function

    @property
    def shown(self) -> str:
        """As it looks in a list: the name, in quotes unless it is a function's own."""
        return repr(self.name) if self.known else self.name

    def require(
        self, y: NDArray[Any], n_outputs: int, exclusive: bool, output_activation: str
    ) -> None:
        """Refuse targets and outputs that the metric cannot take, before they are measured.

        Raises
        ------
        ConfigError
            It is of classes and there are none, or of probabilities and there are none.
        """
        plain = getattr(self.function, "func", self.function)
        if plain is top_k and (n_outputs == 1 or (y.ndim == 2 and not exclusive)):
            raise ConfigError(
                f"metrics: got {self.name!r} for targets of shape {y.shape}, wanted classes"
            )
        if plain is log_loss and output_activation not in ("sigmoid", "softmax"):
            raise ConfigError(
                f"metrics: got {self.name!r} for a {output_activation} output layer, wanted a "
                "sigmoid or softmax one, whose outputs are probabilities"
            )

    def measure(
        self,
        y: NDArray[Any],
        outputs: NDArray[Any],
        weights: NDArray[np.float64] | None,
        **options: Any,
    ) -> float:
        """Return the value for rows as the engine takes them, with weights if there are any.

        `options` are those of the functions here, for those that have them.
        """
        named = _parameters(self.function)
        options = {k: v for k, v in options.items() if k in named and _is_own(self.function)}
        if weights is not None and "sample_weight" in named:
            options["sample_weight"] = weights
        elif weights is not None:
            y, outputs = y[weights != 0], outputs[weights != 0]
        value = self.function(y, outputs, **options)
        try:
            return float(value)
        except Exception as error:  # what the value raises
            raise ConfigError(
                f"metrics: got {type(value).__name__} from {self.name}, wanted a number"
            ) from error


def resolve(given: Any) -> tuple[Metric, ...]:
    """Return the metrics that a `Trainer` is given as names and functions.

    Raises
    ------
    ConfigError
        One is neither, or two have the same name.
    """
    if isinstance(given, str | np.ma.MaskedArray) or not isinstance(given, Iterable):
        raise ConfigError(f"metrics: got {brief(given)}, wanted a list of names and functions")
    found = tuple(_resolved(metric) for metric in given)
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"metrics: got two of the name {name!r}, wanted a name for each")
    return found


def _resolved(given: Any) -> Metric:
    known = _check.text(given)
    if known is not None:
        k = _top(known)
        if k:
            return Metric(known, partial(top_k, k=k), True)
        return Metric(known, FUNCTIONS[_check.choice(known, FUNCTIONS, "metrics")], True)
    name = str(getattr(given, "__name__", type(given).__name__))
    if not callable(given) or isinstance(given, type):
        raise ConfigError(f"metrics: got {brief(given)}, wanted a name or a function f(y, outputs)")
    if any(given is function for function in FUNCTIONS.values()):
        return Metric(name, given, True)
    if name in _TAKEN or name.startswith("val_") or name in FUNCTIONS or _top(name):
        raise ConfigError(
            f"metrics: got a function of the name {name!r}, which is taken: rename it"
        )
    return Metric(name, given, False)


def _top(name: str) -> int | None:
    """Return k of a name like "top_5"."""
    k = name.removeprefix("top_")
    return int(k) if k != name and k.isdecimal() and k.isascii() and int(k) else None


def _parameters(function: MetricFunction) -> Iterable[str]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # of a function in C
        return ()


def _is_own(function: MetricFunction) -> bool:
    """Return whether the function is one of this module."""
    return getattr(function, "func", function) in FUNCTIONS.values()


def right_rows(
    y: NDArray[Any], outputs: NDArray[Any], threshold: float = HALF
) -> NDArray[np.bool_]:
    """Return which rows are right, of classes [n] or targets [n, k]."""
    if y.ndim == 1:
        return np.asarray(_largest(outputs) == y)
    return np.asarray(_right_sides(y, outputs, threshold).all(axis=1))


def _rows(
    y: ArrayLike, outputs: ArrayLike, sample_weight: ArrayLike | None, exclusive: bool = False
) -> _Rows:
    """Return the rows whose weight is not 0; `exclusive` targets of several outputs as classes.

    Raises
    ------
    ShapeError, LabelError, InputError, DTypeError
        The arrays are not such rows.
    """
    exclusive = _check.flag(exclusive, "exclusive")
    given = _check.numeric(outputs, "outputs")
    if given.ndim not in (1, 2) or not given.size:
        raise ShapeError(f"outputs: got shape {given.shape}, wanted (n, n_outputs)")
    n, k = given.shape if given.ndim == 2 else (len(given), 1)
    array = _check.numeric(y, "y")
    if (
        len(array.shape) not in (1, 2)
        or len(array) != n
        or (array.ndim == 2 and array.shape[1] != k)
    ):
        raise ShapeError(f"y: got shape {array.shape}, wanted ({n}, {k}), or classes ({n},)")
    array = np.array(array)  # that nobody writes to
    values = given.astype(np.float64).reshape(n, k)
    weights = np.ones(n)
    if sample_weight is not None:
        weights = _check.weights(sample_weight, n, _check.DTYPES["float64"], "sample_weight")
        kept = weights != 0
        if not kept.any():
            raise InputError("sample_weight: got only zeros, wanted a weight > 0")
        array, values, weights = array[kept], values[kept], weights[kept]
    if array.ndim == 1 and k == 1:
        array = array[:, None]
    eps = (
        float(np.finfo(given.dtype).eps) if given.dtype.kind == "f" else float(np.finfo(float).eps)
    )
    if array.ndim == 2:
        targets = array.astype(np.float64)
        if not np.isfinite(targets).all():
            raise LabelError(_check.not_finite(targets, "y"))
        if exclusive and k > 1:
            return _Rows(targets.argmax(axis=1), values, weights, eps)
        return _Rows(targets, values, weights, eps)
    return _Rows(_check.classes(array, k, "y"), values, weights, eps)


def _threshold(value: Any) -> float:
    return _check.real(value, "threshold")


def _classes(rows: _Rows) -> Integers:
    """Return the class of each row of several outputs."""
    if rows.y.ndim == 2:
        raise LabelError(
            f"y: got targets of shape {rows.y.shape}, questions of their own, wanted a class for "
            "each row; for one-hot rows exclusive=True"
        )
    return rows.y


def _is_signs(y: NDArray[Any]) -> bool:
    return y.ndim == 2 and bool((np.abs(y) == 1).all() and (y == -1).any())


def _sides(t: Array, outputs: Array, threshold: float) -> tuple[Any, Any, Any]:
    """Return which targets are a yes, and which outputs are a yes and which a no."""
    if threshold == 0 or _is_signs(t):
        return t > 0, outputs > 0, outputs < 0
    return t > HALF, outputs > threshold, outputs <= threshold


def _right_sides(t: Array, outputs: Array, threshold: float) -> NDArray[np.bool_]:
    yes, above, below = _sides(t, outputs, threshold)
    right: NDArray[np.bool_] = np.where(yes, above, below)
    return right


def _largest(outputs: NDArray[Any]) -> Integers:
    """Return the first of the largest outputs of each row, -1 for one with a NaN."""
    return np.where(np.isnan(outputs).any(axis=1), -1, outputs.argmax(axis=1))


def _as_classes(rows: _Rows, threshold: float) -> tuple[Integers, Integers, int]:
    """Return the class of each row, the predicted one (-1: none), and how many there are."""
    n_classes = rows.outputs.shape[1]
    if n_classes > 1:
        return _classes(rows), _largest(rows.outputs), n_classes
    yes, above, below = _sides(rows.y, rows.outputs, threshold)
    predicted = np.where(above[:, 0], 1, np.where(below[:, 0], 0, -1))
    return yes[:, 0].astype(np.int64), predicted, 2


def _counts(rows: _Rows, threshold: float) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Return, by class, weights of right rows, of rows, of predictions, and whether it occurs."""
    threshold = _threshold(threshold)
    if rows.y.ndim == 2 and rows.y.shape[1] > 1:
        wanted, predicted, _ = _sides(rows.y, rows.outputs, threshold)
        occurs = np.ones(rows.y.shape[1], bool)
    else:
        of, to, n_classes = _as_classes(rows, threshold)
        wanted = of[:, None] == np.arange(n_classes)
        predicted = to[:, None] == np.arange(n_classes)
        occurs = (wanted | predicted).any(axis=0)
    both, rows_of, rows_to = (
        rows.weights @ mask.astype(np.float64) for mask in (wanted & predicted, wanted, predicted)
    )
    return both, rows_of, rows_to, occurs


def _ratio(part: Array, whole: Array) -> Array:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def _averaged(values: Array, occurs: NDArray[np.bool_], average: Any) -> Any:
    if average is None:
        return values
    _check.choice(average, ("macro",), "average")
    return float(values[occurs].mean())


def _mean(values: NDArray[Any], weights: Array) -> float:
    return float(np.average(values, weights=weights))


def _squared_errors(rows: _Rows) -> Array:
    """Return the mean squared error of each output."""
    return np.average((rows.outputs - rows.targets) ** 2, axis=0, weights=rows.weights)


def _area(yes: NDArray[np.bool_], scores: Array, weights: Array) -> float:
    """Return the weighted share of pairs of a yes and a no whose scores are in that order."""
    places = np.unique(scores, return_inverse=True)[1]
    of_yes = np.bincount(places, weights * yes)
    of_no = np.bincount(places, weights * ~yes)
    pairs = of_yes.sum() * of_no.sum()
    if not pairs:
        return np.nan
    below = np.cumsum(of_no) - of_no
    return float((of_yes * (below + HALF * of_no)).sum() / pairs)
