"""The float32 engine against the float64 twin: no error is above what rounding alone explains.

The standard model of floating point (Higham, "Accuracy and Stability of Numerical Algorithms",
2002, 2.2 and 3.1): an operation is rounded once, fl(a op b) = (a op b)(1 + d), |d| <= u, and k
roundings on the way of a term change it by a factor within 1 +- gamma(k), with u = 2^-24 and
gamma(k) = k u / (1 - k u). A chain of n fused multiply-adds rounds each term at most n times,
whatever its order:

    |fl(s + sum_k a_k b_k) - (s + sum_k a_k b_k)| <= gamma(n) (|s| + sum_k |a_k| |b_k|)

Write E for the bound of |computed - true|. Inputs, weights and targets are exact, E(x) = 0, and
errors that come in travel on through the absolute values of what they are multiplied with:

forward   E(z) = E(x) |W| + gamma(n_in) (|b| + (|x| + E(x)) |W|), E(y) = E(z), as |f(z) - f(z')| <=
          |z - z'| for linear and relu, which round nothing
loss      d = y - t is rounded, squared, summed in n / 16 + 4 steps (a line of lanes, then its fold)
          and scaled: E(L) = sum of |d| E(y) + E(y)^2 / 2 + gamma(n / 16 + 8) (|d| + E(y))^2 / 2
output    dL/dz = (y - t) / batch, at most 4 roundings: E = (E(y) + gamma(4) (|d| + E(y))) / batch
delta     a = dz W^T as a chain of n_out terms, or n_out / 16 and 4 folds up to 8 rows:
          E(a) = E(dz) |W|^T + gamma(n) (|dz| + E(dz)) |W|^T. Below a relu it is passed on or not:
          where |z| <= E(z) the engine may have decided otherwise, and all of it is error
gradient  dW = x^T dz: chains of at most 256 rows, then sums of these,
          n = min(256, batch) + batch / 256:
          E(dW) = E(x)^T |dz| + X^T E(dz) + gamma(n) X^T (|dz| + E(dz)) with X = |x| + E(x), and the
          same for db, with x = 1

Products in a chain are not rounded and sums do not underflow. The float64 twin's own error is 2^-29
of this.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import fastbp as fb
from fastbp import reference

U = 2.0**-24
LANES, FOLDS, BLOCK = 16, 4, 256  # of a 64-byte line of float32, of the contract's gradient blocks

SHAPES = {
    "5-3": (5, [(3, "linear")]),
    "3-7-2": (3, [(7, "relu"), (2, "linear")]),
    "17-33-1": (17, [(33, "relu"), (1, "linear")]),
    "8-6-5-4": (8, [(6, "relu"), (5, "linear"), (4, "relu")]),
    "64-32-10": (64, [(32, "relu"), (10, "linear")]),
    "784-10": (784, [(10, "linear")]),
    "300-40-10": (300, [(40, "relu"), (10, "linear")]),
    "30-60-40-2": (30, [(60, "relu"), (40, "relu"), (2, "linear")]),
}
BATCHES = [1, 8, 9, 64, 257, 600]
LEAST_SHARE = 5e-4  # of its bound that some error of a network reaches
LARGEST_BOUND = 0.1  # of the values, both as norms


class Bounded(NamedTuple):
    """A name, what the engine has, what is true, and how far they may be apart."""

    name: str
    got: np.ndarray
    true: np.ndarray
    bound: np.ndarray


def gamma(k):
    return k * U / (1 - k * U)


def forward_bounds(weights, biases, inputs):
    """E(x) of every layer's input and E(z) = E(y) of its output."""
    errors = [np.zeros_like(inputs[0])]
    for x, weight, bias in zip(inputs, weights, biases, strict=True):
        w, e = np.abs(weight), errors[-1]
        errors.append(e @ w + gamma(len(w)) * (np.abs(bias) + (np.abs(x) + e) @ w))
    return errors


def delta_bound(delta, error, weight, rows):
    """a = dz W^T and E(a)."""
    n_out = weight.shape[1]
    terms = n_out if rows > 8 else -(-n_out // LANES) + FOLDS
    w = np.abs(weight).T
    return delta @ weight.T, error @ w + gamma(terms) * ((np.abs(delta) + error) @ w)


def gradient_bound(x, x_error, delta, error):
    """E(dW) and E(db)."""
    size, rows = np.abs(delta), len(x)
    chain = gamma(min(rows, BLOCK) + -(-rows // BLOCK))
    reach = np.abs(x) + x_error
    weight = x_error.T @ size + reach.T @ error + chain * (reach.T @ (size + error))
    return weight, error.sum(axis=0) + chain * (size + error).sum(axis=0)


def backward_bounds(weights, functions, zs, inputs, errors, deltas, d):
    """E(L), then [E(dW), E(db)] of every layer, then E(dx), from d = |y - t|."""
    (rows, n_out), e = d.shape, errors[-1]
    loss = d * e + e**2 / 2 + gamma(-(-n_out // LANES) + FOLDS + 4) * (d + e) ** 2 / 2
    slope, error = d / rows, (e + gamma(4) * (d + e)) / rows
    found = []
    for i in reversed(range(len(weights))):
        if functions[i] == "relu":
            error = np.where(np.abs(zs[i]) <= errors[i + 1], slope + error, error * (zs[i] > 0))
        found.append(gradient_bound(inputs[i], errors[i], deltas[i + 1], error))
        a, error = delta_bound(deltas[i + 1], error, weights[i], rows)
        slope = np.abs(a)
    return loss.sum() / rows, found[::-1], error


def measure(shape, rows, seed=0, fault=0.0):
    """Everything the engine computes for some rows, beside the truth and the bound.

    With a fault, the engine's first weight is off by that much of itself.
    """
    n_inputs, layers = SHAPES[shape]
    bias = fb.initializers.Normal(0.5)
    dense = [fb.Dense(units, function, bias_init=bias) for units, function in layers]
    net = fb.Network(n_inputs, dense, dtype="float32", seed=seed)
    rng = np.random.default_rng([seed, rows])
    x = rng.standard_normal((rows, n_inputs)).astype(np.float32)
    target = rng.standard_normal((rows, net.n_outputs)).astype(np.float32)

    weights = [layer.weight.astype(np.float64) for layer in net.layers]
    biases = [layer.bias.astype(np.float64) for layer in net.layers]
    functions = [layer.activation for layer in net.layers]
    exact = (weights, biases, functions, x.astype(np.float64), target.astype(np.float64))
    true_loss, inputs, deltas = reference.backward(*exact, "squared_error")
    _, true_pairs, true_dx = reference.gradients(*exact, "squared_error")
    outputs = reference.forward(*exact[:4])
    zs = [x @ w + b for x, w, b in zip(inputs, weights, biases, strict=True)]
    errors = forward_bounds(weights, biases, inputs)
    of_loss, of_pairs, of_dx = backward_bounds(
        weights, functions, zs, inputs, errors, deltas, np.abs(outputs[-1] - target)
    )

    net.layers[0].weight[0, 0] *= 1 + fault
    value, pairs, dx = net.gradients(x, target, "squared_error", inputs=True)
    activations = net.activations(x)
    found = [Bounded("loss", np.array(value), np.array(true_loss), np.array(of_loss))]
    found.append(Bounded("dx", dx, true_dx, of_dx))
    for i in range(len(layers)):
        found.append(Bounded(f"y{i}", activations[i], outputs[i], errors[i + 1]))
        found.append(Bounded(f"dW{i}", pairs[i][0], true_pairs[i][0], of_pairs[i][0]))
        found.append(Bounded(f"db{i}", pairs[i][1], true_pairs[i][1], of_pairs[i][1]))
    return found


@pytest.mark.parametrize("shape", list(SHAPES))
def test_no_error_is_above_its_bound_and_no_bound_is_vacuous(shape):
    for rows in BATCHES:
        found = measure(shape, rows)
        for name, got, true, bound in found:
            assert got.shape == true.shape == bound.shape, (rows, name)
            assert (np.abs(got - true) <= bound).all(), (rows, name)
            assert np.linalg.norm(bound) <= LARGEST_BOUND * np.linalg.norm(true), (rows, name)
        share = max(np.max(np.abs(b.got - b.true) / (b.bound + U**4)) for b in found)
        assert share >= LEAST_SHARE, rows


@pytest.mark.parametrize("shape", list(SHAPES))
def test_one_weight_off_by_a_twentieth_is_above_the_bound(shape):
    found = {b.name: b for b in measure(shape, 64, fault=5e-2)}
    assert (np.abs(found["y0"].got - found["y0"].true) > found["y0"].bound).any()
