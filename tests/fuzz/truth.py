"""What a network and its gradients are, by `fastbp.reference`, and how far rounding may go from it.

The values are the twin's, in float64; the bounds come from `layers` and `losses`, which follow the
same expression with an error beside every number and must agree with the twin on the values.
"""

from __future__ import annotations

from typing import NamedTuple

import gate_networks
import numpy as np

import fastbp as fb
from fastbp import reference
from fastbp.engine.rows import Rows as EngineRows
from fastbp.losses import CustomLoss
from fastbp.reference import losses as reference_losses
from fuzz import losses
from fuzz.cases import Case, Rows
from fuzz.known import FLUSHED, UNITS, Known
from fuzz.layers import stack

TWINS_AGREE = 1e-9  # of the largest value: both are float64
OWN = reference_losses.Loss(
    lambda y, t, _: ((y - t) ** 2).sum(axis=-1), lambda y, t, _: 2 * (y - t)
)


class Bounded(NamedTuple):
    """A name, what the engine has, what is true, and how far they may be apart."""

    name: str
    got: np.ndarray
    true: np.ndarray
    bound: np.ndarray

    @property
    def share(self) -> float:
        """The largest error as a share of its bound."""
        error = np.abs(self.got - self.true)
        with np.errstate(invalid="ignore"):
            return float(np.max(np.where(error == 0, 0, error / self.bound), initial=0))

    @property
    def says_something(self) -> bool:
        """Whether the bound is well below the values, both as norms."""
        return bool(np.linalg.norm(self.bound) <= 0.1 * np.linalg.norm(self.true))


def differences(case: Case, network: fb.Network) -> list[str]:
    """Where the network's loss and gradients of a batch are further off than rounding explains."""
    return [
        f"{found.name} is off by {found.share:.3g} times the bound of rounding"
        for found in measure(case, network, case.batches[0])
        if not found.share <= 1
    ]


def measure(case: Case, network: fb.Network, rows: Rows) -> list[Bounded]:
    """Outputs, loss and gradients beside the truth; nothing if the truth is not finite."""
    x, y, weight = rows
    loss = network._loss(case.loss)
    with np.errstate(all="ignore"):
        seen, targets, _ = network._weighted_examples(x, y, loss, None)
        if isinstance(seen, EngineRows):
            seen = seen.converted(case.dtype)
        true, bounds = _truths(network, loss, seen, targets, weight)
    if not all(np.isfinite(value).all() for value in true.values()):
        return []
    value, pairs, dx = network.gradients(x, y, case.loss, inputs=True, sample_weight=weight)
    got = {"loss": np.array(value), "outputs": network.predict(x)}
    if network.preprocessing is None:
        got["gradient by the rows"] = dx
    for i, pair in enumerate(pairs):
        got |= {f"gradient by weight {i}": pair[0], f"gradient by bias {i}": pair[1]}
    flushed = FLUSHED[case.dtype] * 2.0**40
    return [
        Bounded(name, values, true[name], bounds[name] + flushed) for name, values in got.items()
    ]


def _truths(network, loss, x, y, weight) -> tuple[dict, dict]:
    """By name, the twin's values and the bounds."""
    x = x.astype(np.float64)
    if y.ndim == 1:
        y = np.eye(network.n_outputs)[y]
    t, given = y.astype(np.float64), isinstance(loss, CustomLoss)
    row = OWN if given else reference.LOSSES[loss.name]
    if loss.name == "cross_entropy" and loss.parameter:
        t = reference_losses.smooth_rows(t, loss.parameter)
    layers = [gate_networks.described(layer) for layer in network.copy("float64").layers]
    top = layers[-1][3]
    if row.fused_with is not None:
        layers[-1] = (*layers[-1][:3], "linear")  # the loss takes z
    share = 1 / len(x) if weight is None else weight / weight.sum()

    output, back = reference.stack(x, layers)
    values = row.rows(output, t, loss.parameter)
    slope = row.slope(output, t, loss.parameter) * np.reshape(share, (-1, 1))
    dx, pairs = back(slope)
    outputs = reference.ACTIVATIONS[top].f(output) if row.fused_with else output
    true = _named(np.sum(values * share), outputs, dx, pairs)

    known, back = stack(Known(x, UNITS[network.dtype.name]), layers)
    function = losses.own if given else losses.LOSSES[loss.name]
    values, slope = function(known, t, loss.parameter)
    known_dx, known_pairs = back((slope * np.reshape(share, (-1, 1))).rounded(4))
    outputs, _ = stack(Known(x, known.u), [*layers[:-1], (*layers[-1][:3], top)])
    found = _named((values * share).sum(0), outputs, known_dx, known_pairs)
    for name, value in true.items():
        assert_twins_agree(name, value, found[name])
    return true, {name: k.error for name, k in found.items()}


def _named(loss, outputs, dx, pairs) -> dict:
    found = {"loss": loss, "outputs": outputs, "gradient by the rows": dx}
    for i, (dw, db) in enumerate(pairs):
        found |= {f"gradient by weight {i}": dw, f"gradient by bias {i}": db}
    return found


def assert_twins_agree(name: str, value: np.ndarray, known: Known) -> None:
    """To within what they are known to, and as much as float64 lets them."""
    apart, size = np.abs(value - known.value), np.max(np.abs(value), initial=0)
    assert not np.isfinite(size) or np.all(apart <= TWINS_AGREE * size + known.error), name
