"""Chains of dense layers in NumPy: forward, backward, steps.

Rows of ``x`` are samples and ``weight`` is ``[n_in, n_out]``, so a layer is ``f(x @ W + b)``.

.. [1] Rumelhart, Hinton & Williams, "Learning representations by back-propagating errors",
       Nature 323, 1986.
.. [2] Nielsen, "Neural Networks and Deep Learning", 2015, chapter 2.
.. [3] Goodfellow, Bengio & Courville, "Deep Learning", 2016, chapters 6 and 7.
.. [4] Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum in
       deep learning", ICML 2013.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import rules
from .activations import activation_of
from .losses import LOSSES, smooth_rows, weigh_rows

Array = NDArray[np.floating]
Arrays = Sequence[Array]
Pair = tuple[Array, Array]
Name = str | tuple[str, float]  # of an activation, or with its parameter


def dense_forward(x: Array, weight: Array, bias: Array, activation: Name) -> Array:
    """Return f(x @ W + b), [batch, n_out]: one layer's outputs [1]_ (eq. 1, 2), [2]_ (eq. 25).

    Parameters
    ----------
    x, weight, bias : [batch, n_in], [n_in, n_out], [n_out]
    activation : a key of ``ACTIVATIONS``, or a pair of it and its parameter
    """
    return activation_of(activation).f(x @ weight + bias)


def dense_delta(dy: Array, weight: Array, x: Array, activation: Name) -> Array:
    """Return (dy @ W.T) * f'(x), [batch, n_in]: the delta below [1]_ (eq. 7), [2]_ (BP2).

    Parameters
    ----------
    dy, weight : [batch, n_out], dL/dz of this layer, and its [n_in, n_out]
    x : [batch, n_in], this layer's input: the output of the layer below, or its z (``from_z``)
    activation : the activation of the layer below
    """
    return activation_of(activation).delta(dy @ weight.T, x)


def dense_update(
    weight: Array,
    bias: Array,
    velocity: Pair,
    x: Array,
    dy: Array,
    rule: str,
    learning_rate: float = 0.0,
    momentum: float = 0.0,
    l2: float = 0.0,
) -> tuple[Array, Array, Pair]:
    """Return one layer's weight, bias and velocity after one step.

    With g = x.T @ dy + 2 l2 W (for the bias the column sums of dy, without l2) [2]_ (BP3, BP4),
    [3]_ (7.1.1):

    - ``"gradient"``: g in place of the parameters
    - ``"sgd"``: w - lr g [1]_ (eq. 8)
    - ``"momentum"``: v = mu v + g, then w - lr v [1]_ (eq. 9)
    - ``"nesterov"``: v = mu v + g, then w - lr (g + mu v) [4]_ (with w taken one look ahead)

    `rules.descend` has these and the other rules.

    Parameters
    ----------
    weight, bias : [n_in, n_out], [n_out]
    velocity : v of the weight and of the bias; momentum and nesterov read and renew it
    x, dy : [batch, n_in], [batch, n_out]; dy carries the 1/batch of the mean over rows
    """

    def descend(w: Array, v: Array, g: Array) -> Pair:
        return rules.descend(rule, w, v, v, g, learning_rate, momentum)[:2]

    weight, v_weight = descend(weight, velocity[0], x.T @ dy + 2 * l2 * weight)
    bias, v_bias = descend(bias, velocity[1], dy.sum(axis=0))
    return weight, bias, (v_weight, v_bias)


def loss_delta(
    output: Array,
    target: Array,
    loss: str,
    activation: Name,
    scale: float = 1.0,
    parameter: float = 0.0,
    z: Array | None = None,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return each row's loss and its derivative by the output layer's z [2]_ (BP1), [3]_ (6.2).

    Parameters
    ----------
    output, target : [batch, n_out], y of the output layer (z for a fused loss) and what is wanted
    loss, activation : keys of ``LOSSES`` and ``ACTIVATIONS``
    scale : factor of the delta, 1/batch for the mean over rows
    parameter : of the loss, if it has one; the targets of cross_entropy come smoothed
    z : of the output layer, where its activation is ``from_z``

    Returns
    -------
    delta, row_loss : scale * dL/dz, [batch, n_out]; the loss without the scale, [batch]
    correct : [batch], where the predicted class (first largest output; y > 0.5 if single) is right,
        for losses of signs every sign, for binary_cross_entropy every output's side of one half; a
        NaN is never right
    """
    row = LOSSES[loss]
    slope, half = row.slope(output, target, parameter), 0.0  # the logit of one half
    if row.fused_with is None:
        f, half = activation_of(activation), 0.5
        slope = f.delta(slope, z if f.from_z and z is not None else output)
    elif activation != row.fused_with:
        raise ValueError(f"{loss} needs a {row.fused_with} output, got {activation}")
    row_loss = row.rows(output, target, parameter)
    if row.correct is not None:
        return scale * slope, row_loss, row.correct(output, target, parameter)
    single = output.shape[1] == 1
    predicted = output[:, 0] > half if single else output.argmax(axis=1)
    wanted = target[:, 0] > 0.5 if single else target.argmax(axis=1)
    correct = (predicted == wanted) & ~np.isnan(output).any(axis=1)
    return scale * slope, row_loss, correct


def forward(weights: Arrays, biases: Arrays, activations: Sequence[Name], x: Array) -> list[Array]:
    """Return the outputs of all layers, first to last: each is the input of the next."""
    outputs = [x]
    for weight, bias, activation in zip(weights, biases, activations, strict=True):
        outputs.append(dense_forward(outputs[-1], weight, bias, activation))
    return outputs[1:]


def backward(
    weights: Arrays,
    biases: Arrays,
    activations: Sequence[Name],
    x: Array,
    target: Array,
    loss: str,
    parameter: float = 0.0,
    weights_of_rows: Array | None = None,
) -> tuple[float, list[Array], list[Array]]:
    """Return the (weighted) mean loss over the rows, every layer's input, and every dL/dz.

    BP1 at the output, then BP2 down to the data [2]_ (ch. 2). The data has no activation, so
    ``deltas[0]`` is dL/dx; ``deltas[i + 1]`` belongs to layer i.
    """
    last = "linear" if LOSSES[loss].fused_with else activations[-1]
    *inputs, output = x, *forward(weights, biases, [*activations[:-1], last], x)
    zs = [x @ w + b for x, w, b in zip(inputs, weights, biases, strict=True)]
    if loss == "cross_entropy" and parameter:
        target = smooth_rows(target, parameter)
    scale = 1 / len(x)
    delta, row_loss, _ = loss_delta(output, target, loss, activations[-1], scale, parameter, zs[-1])
    weight = float(len(x))
    if weights_of_rows is not None:
        weight = float(weights_of_rows.sum())
        delta, row_loss = weigh_rows(delta, row_loss, weights_of_rows, len(x), weight)
    deltas = [delta]
    below = ["linear", *activations[:-1]]
    for i in reversed(range(len(weights))):
        kept = zs[i - 1] if activation_of(below[i]).from_z else inputs[i]
        deltas.insert(0, dense_delta(deltas[0], weights[i], kept, below[i]))
    return float(row_loss.sum()) / weight, inputs, deltas


def gradients(
    weights: Arrays,
    biases: Arrays,
    activations: Sequence[Name],
    x: Array,
    target: Array,
    loss: str,
    parameter: float = 0.0,
    weights_of_rows: Array | None = None,
) -> tuple[float, list[tuple[Array, Array]], Array]:
    """Return the mean loss, the pair (dW, db) of every layer, and dX [batch, n_inputs].

    One row through one linear unit with ``squared_error``, for example, has dW = (y - t) x,
    db = y - t and dX = (y - t) w.
    """
    mean_loss, inputs, deltas = backward(
        weights, biases, activations, x, target, loss, parameter, weights_of_rows
    )
    layers = zip(inputs, deltas[1:], strict=True)
    return mean_loss, [(x.T @ dy, np.sum(dy, axis=0)) for x, dy in layers], deltas[0]


def sgd_step(
    weights: Arrays,
    biases: Arrays,
    velocities: Sequence[Pair],
    activations: Sequence[Name],
    x: Array,
    target: Array,
    loss: str,
    rule: str = "sgd",
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    l2: float = 0.0,
    parameter: float = 0.0,
) -> tuple[float, list[Array], list[Array], list[Pair]]:
    """Take one step down mean loss + l2 sum W^2 on these rows (``dense_update``); new arrays."""
    mean_loss, inputs, deltas = backward(weights, biases, activations, x, target, loss, parameter)
    layers = [
        dense_update(*layer, rule, learning_rate, momentum, l2)
        for layer in zip(weights, biases, velocities, inputs, deltas[1:], strict=True)
    ]
    return mean_loss, [w for w, _, _ in layers], [b for _, b, _ in layers], [v for *_, v in layers]
