"""Networks with gates, nested in each other, beside the reference's idea of them."""

from __future__ import annotations

import numpy as np

import fastbp as fb
from fastbp import reference

BIAS = fb.initializers.Normal(0.5)
# Away from kinks in the rows below: test_gates.py asserts it.
SEED, ROWS = 5, 6


def dense(units, activation="tanh"):
    return fb.Dense(units, activation, bias_init=BIAS)


def maxout(units, pieces=3):
    return fb.Maxout(units, pieces, bias_init=BIAS)


def gated(units, gate="sigmoid"):
    return fb.Gated(units, gate, bias_init=BIAS)


def nested(depth):
    """Residual in Residual, so deep, each with a Maxout, a Gated and a Dense that is curved."""
    if depth == 0:
        return [dense(4, "gelu")]
    inner = fb.Residual(nested(depth - 1))
    return [[inner, gated(4)], [maxout(5), inner], [gated(3, "tanh"), inner]][depth % 3]


STACKS = {
    "maxout": [maxout(4), dense(3, "linear")],
    "gated": [gated(5), dense(3, "linear")],
    "gates alone": [gated(4, "silu"), maxout(3)],
    "same width": [fb.Residual([dense(5)]), dense(3, "linear")],
    "projection": [fb.Residual([dense(4, "sigmoid"), maxout(6, 2)]), dense(3, "linear")],
    "last": [dense(6, "silu"), fb.Residual([gated(3, "elu")])],
    "slope of a branch": [dense(6, "sigmoid"), fb.Residual([gated(6), dense(6, "silu")]), dense(3)],
    "kept slope": [dense(6, "gelu"), fb.Residual([dense(6)]), fb.Residual([maxout(3)])],
    "softmax below": [dense(6, "softmax"), fb.Residual([gated(6)]), dense(3)],
    "first inside": [dense(4), fb.Residual([fb.Residual([dense(4)]), gated(2)]), dense(3)],
    **{f"depth {n}": [dense(4), fb.Residual(nested(n)), dense(3, "linear")] for n in range(1, 5)},
}


def network(name, dtype="float64", n_inputs=5):
    return fb.Network(n_inputs, STACKS[name], dtype=dtype, seed=SEED)


def rows(net, n=ROWS):
    rng = np.random.default_rng([SEED, n])
    x, y = rng.standard_normal((n, net.n_inputs)), rng.standard_normal((n, net.n_outputs))
    return x.astype(net.dtype), y.astype(net.dtype)


def described(layer):
    """A bound layer as reference.layer takes it."""
    match layer:
        case fb.Residual():
            projection = None if layer.projection is None else described(layer.projection)
            return "residual", [described(inner) for inner in layer.layers], projection
        case fb.Maxout():
            return "maxout", layer.weight, layer.bias
        case fb.Gated():
            gate = with_parameter(layer.gate, layer.gate_parameter)
            return "gated", layer.weight, layer.bias, gate
    activation = with_parameter(layer.activation, layer.activation_parameter)
    return "dense", layer.weight, layer.bias, activation


def with_parameter(name, parameter):
    return name if parameter is None else (name, parameter)


def twin(net, x, y):
    """Output, pairs and dX of the mean mse, by the reference."""
    output, back = reference.stack(x, [described(layer) for layer in net.layers])
    dx, pairs = back(2 * (output - y) / output.size)
    return output, pairs, dx
