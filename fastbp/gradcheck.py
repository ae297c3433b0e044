"""Backpropagation, and the gradient of a custom loss, checked against central differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check
from .errors import ConfigError, ShapeError, brief
from .losses import CustomLoss, Loss, LossFunction, total_weight
from .network import Network
from .training.objective import Objective

__all__ = ["GradientCheck", "LayerCheck", "check_loss", "gradient_check"]

# A difference quotient carries the rounding error of the whole loss, so a gradient far smaller
# than its layer's largest is measured against this share of the largest.
_FLOOR = 1e-2


@dataclass(frozen=True)
class LayerCheck:
    """One layer: its largest relative error, and the parameter that has it.

    Attributes
    ----------
    layer : str
        Index and layer.
    max_error : float
        The largest relative error.
    worst : str
        The parameter that has it.
    analytic, numerical : float
        Its gradient by backpropagation and by the central difference.
    wrong, checked : int
        Parameters with an error above the tolerance, and all of them.
    nonzero : int
        Parameters of which one of the two gradients is not zero; only these say anything.
    """

    layer: str
    max_error: float
    worst: str
    analytic: float
    numerical: float
    wrong: int
    checked: int
    nonzero: int

    def _hint(self) -> str:
        """Return what the pattern of the wrong gradients says about their cause."""
        if not np.isfinite(self.max_error):
            return "a gradient or a loss is not a number: look for an overflow, a log of 0"
        if 2 * self.wrong > self.checked:
            ratio = self.analytic / self.numerical if self.numerical else np.inf
            return f"most are wrong, the worst by the factor {ratio:.4g}: look at the formula"
        return "few are wrong: a kink within eps of a net input (try other rows), or an index"


@dataclass(frozen=True)
class GradientCheck:
    """The result of `gradient_check`; ``str`` gives it as a table.

    Where all gradients are zero, as of a network whose units are dead, there is nothing to be
    wrong: the check passes, `all_zero` is true, and the table says so, of single layers too.
    """

    layers: tuple[LayerCheck, ...]
    tolerance: float

    @property
    def max_error(self) -> float:
        """The largest relative error of all layers."""
        return max(layer.max_error for layer in self.layers)

    @property
    def passed(self) -> bool:
        """Whether no error is above the tolerance."""
        return self.max_error <= self.tolerance

    @property
    def all_zero(self) -> bool:
        """Whether no gradient, by either way, is anything but zero."""
        return not any(layer.nonzero for layer in self.layers)

    def __str__(self) -> str:
        """Return the verdict and one line per layer."""
        verdict = "passed" if self.passed else "FAILED"
        if self.all_zero:
            verdict += ", but ALL GRADIENTS ARE ZERO, which shows nothing"
        lines = [
            f"gradient check {verdict}: largest relative error "
            f"{self.max_error:.1e}, tolerance {self.tolerance:.1e}",
            f"{'layer':<26}{'wrong':>13}{'error':>9}  {'worst':<16}"
            f"{'analytic':>14}{'numerical':>14}",
        ]
        for row in self.layers:
            count = f"{row.wrong:,} of {row.checked:,}"
            lines.append(
                f"{row.layer:<26}{count:>13}{row.max_error:>9.1e}  {row.worst:<16}"
                f"{row.analytic:>14.6e}{row.numerical:>14.6e}"
            )
        # A wrong delta spoils all layers below it, so the cause is in the last wrong one.
        failed = [row for row in self.layers if row.wrong]
        lines += [f"start at {row.layer}: {row._hint()}" for row in failed[-1:]]
        # What stops the gradient stops it for all layers below.
        zero = [row for row in self.layers if not row.nonzero]
        lines += [
            f"all gradients of {row.layer} are zero: look for dead or saturated units above its "
            "weights, weights of zero, or rows at the minimum"
            for row in zero[-1:]
        ]
        return "\n".join(lines)


def gradient_check(
    network: Network,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | Loss | LossFunction,
    l2: float = 0.0,
    eps: float = 1e-6,
    tolerance: float = 1e-5,
    *,
    l1: float = 0.0,
    penalize_bias: bool = False,
    sample_weight: ArrayLike | None = None,
) -> GradientCheck:
    """Compare the gradients of backpropagation with central differences, weight by weight.

    Both are computed in float64 on a copy of the network, which is left as it is. Two
    evaluations per weight: meant for small networks and few rows. A relu whose input is within
    `eps` of zero has no derivative there and shows as an error.

    Parameters
    ----------
    network : Network
        Of any dtype.
    x, y : array_like
        Rows and targets, as for `Network.gradients`.
    loss : str, Loss or callable
        A name, a loss with options, or a function of your own: see `fastbp.losses`.
    l2, l1, penalize_bias
        Penalties added to the loss, as `Trainer` minimises it. A weight closer to zero than `eps`
        has no derivative with `l1` and shows as an error.
    eps : float
        The central difference is ``(L(w + eps) - L(w - eps)) / (2 eps)``.
    tolerance : float
        Of the relative error ``|a - n| / max(|a|, |n|, layer's largest / 100)``, a being the
        analytic and n the numerical gradient.
    sample_weight : array_like, optional
        [n], as for `Network.gradients`.

    Returns
    -------
    GradientCheck
        With ``max_error``, ``passed``, one entry per layer, and a table as its ``str``.

    Raises
    ------
    InputError, LabelError, ShapeError, DTypeError, ConfigError
        An argument cannot be used.
    """
    penalties = Objective(l1=l1, l2=l2, penalize_bias=penalize_bias)
    eps, tolerance = _check.positive(eps, "eps"), _check.positive(tolerance, "tolerance")
    if not isinstance(network, Network):
        raise ConfigError(f"network: got {brief(network)}, wanted a Network")
    net = network.copy("float64")
    resolved = net._loss(loss)
    _, pairs = net.gradients(x, y, loss, sample_weight=sample_weight)
    rows, y, weights = net._weighted_examples(x, y, resolved, sample_weight)
    weight = total_weight(weights, len(rows))

    def objective() -> float:
        total, _ = resolved._evaluate(net._model, rows, y, weights, 1)
        return total / weight + penalties.value(net)

    checks = []
    for i, (layer, (dw, db)) in enumerate(zip(net.weighted_layers, pairs, strict=True)):
        numerical = [_central_differences(objective, p, eps) for p in (layer.weight, layer.bias)]
        slopes = penalties.slopes(layer)
        dw, db = dw + slopes[0], db + slopes[1]
        names = ("weight", "bias")
        checks.append(_compare(f"{i} {layer!r}", names, [dw, db], numerical, tolerance))
    return GradientCheck(tuple(checks), tolerance)


def check_loss(
    function: LossFunction,
    outputs: ArrayLike,
    targets: ArrayLike,
    eps: float = 1e-6,
    tolerance: float = 1e-5,
) -> GradientCheck:
    """Compare the gradient that a loss of your own gives with central differences of its values.

    Parameters
    ----------
    function : callable
        ``f(outputs, targets)``, as in `fastbp.losses`.
    outputs : array_like
        [n, n_outputs], away from kinks; taken as float64.
    targets : array_like
        [n, ...], what the function takes for them.
    eps, tolerance : float
        As for `gradient_check`.

    Returns
    -------
    GradientCheck
        With one entry, for the outputs, and a table as its ``str``.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, InputError
        An argument cannot be used, or the function gives something else than a pair of arrays of
        these shapes.

    Examples
    --------
    >>> import fastbp as fb
    >>> half_square = lambda y, t: (((y - t) ** 2).sum(axis=1) / 2, y - t)
    >>> fb.check_loss(half_square, [[0.5, 2.0]], [[1.0, 0.0]]).passed
    True
    """
    eps, tolerance = _check.positive(eps, "eps"), _check.positive(tolerance, "tolerance")
    loss, shape = CustomLoss(function), _check.shape(outputs, "outputs")
    y = np.array(_check.parameter(outputs, shape, np.dtype(np.float64), "outputs"))
    if y.ndim != 2 or not y.size:
        raise ShapeError(f"outputs: got shape {y.shape}, wanted (n, n_outputs)")
    t = _check.numeric(targets, "targets")
    if t.shape[:1] != y.shape[:1]:
        raise ShapeError(f"targets: got shape {t.shape}, wanted {len(y)} rows, as outputs has")
    analytic = loss.measure(y, t)[1]

    def objective() -> float:
        return float(loss.measure(y, t)[0].sum())

    numerical = _central_differences(objective, y, eps)
    check = _compare("loss", ("outputs",), [analytic], [numerical], tolerance)
    return GradientCheck((check,), tolerance)


def _central_differences(
    objective: Callable[[], float], values: NDArray[Any], eps: float
) -> NDArray[Any]:
    result = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        value = values[index]
        values[index] = value + eps
        above, upper = values[index], objective()
        values[index] = value - eps
        below, lower = values[index], objective()
        values[index] = value
        # The distance as rounded, not 2 eps.
        result[index] = (upper - lower) / (above - below)
    return result


def _compare(
    layer: str,
    names: tuple[str, ...],
    analytic: list[NDArray[Any]],
    numerical: list[NDArray[Any]],
    tolerance: float,
) -> LayerCheck:
    """Return the worst entry of the named arrays."""
    floor = _FLOOR * max(float(np.abs(a).max()) for a in analytic + numerical)
    found, wrong, checked, nonzero = [], 0, 0, 0
    for name, a, n in zip(names, analytic, numerical, strict=True):
        scale = np.maximum(np.maximum(np.abs(a), np.abs(n)), max(floor, np.finfo(float).tiny))
        # A NaN compares as smaller than anything; it must count as the largest error.
        error = np.nan_to_num(np.abs(a - n) / scale, nan=np.inf)
        index = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
        place = f"{name}[{', '.join(map(str, index))}]"
        found.append((float(error[index]), place, float(a[index]), float(n[index])))
        wrong += int(np.count_nonzero(error > tolerance))
        checked += error.size
        nonzero += int(np.count_nonzero((a != 0) | (n != 0)))
    return LayerCheck(layer, *max(found, key=lambda entry: entry[0]), wrong, checked, nonzero)
