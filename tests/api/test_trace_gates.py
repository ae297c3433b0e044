"""net.trace of Maxout, Gated and Residual, nested: the numbers, what ties them, the table."""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import STACKS, dense, described, gated, maxout, network, rows

import fastbp as fb
from fastbp import reference
from fastbp.trace import GatedTrace, LayerTrace, MaxoutTrace, ResidualTrace

KINDS = {fb.Dense: LayerTrace, fb.Maxout: MaxoutTrace, fb.Gated: GatedTrace}


def traced(net):
    x, y = rows(net, 1)
    return net.trace(x, y, "mse"), x, y


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def compare(traces, layers, x, dy):
    """Compare the traces of layers above each other with the reference's numbers; dL/dx."""
    inputs, backs = [x], []
    for layer in layers:
        y, back = reference.layer(inputs[-1], *described(layer))
        inputs.append(y)
        backs.append(back)
    for i in reversed(range(len(layers))):
        compare_one(traces[i], layers[i], inputs[i], inputs[i + 1], dy, backs[i])
        dy, _ = backs[i](dy)
    assert len(traces) == len(layers)
    return dy


def compare_one(trace, layer, x, y, dy, back):
    close(trace.x, x[0])
    close(trace.y, y[0])
    assert trace.layer == repr(layer)
    if isinstance(layer, fb.Residual):
        assert type(trace) is ResidualTrace
        close(trace.dy, dy[0])
        compare(trace.layers, layer.layers, x, dy)
        assert (trace.projection is None) == (layer.projection is None)
        if layer.projection is not None:
            compare([trace.projection], [layer.projection], x, dy)
        return
    assert type(trace) is KINDS[type(layer)]
    _, [(dw, db)] = back(dy)
    assert trace.u.shape == trace.delta.shape == layer.bias.shape
    close(trace.u, (np.tensordot(x, layer.weight, axes=1) + layer.bias)[0])
    close(trace.delta, db)  # the sum over one row
    close(trace.db, db)
    close(trace.dW, dw)


@pytest.mark.parametrize("name", list(STACKS))
def test_all_numbers_are_those_of_the_reference(name):
    net = network(name)
    trace, x, y = traced(net)
    output, _ = reference.stack(x, [described(layer) for layer in net.layers])
    dx = compare(trace.layers, net.layers, x, 2 * (output - y) / output.size)
    assert abs(dx).min() > 1e-6
    close(trace.dx, dx[0])


def inside_out(traces):
    """All traces: those of weighted layers in the order of `weighted_layers`, sums after them."""
    for trace in traces:
        if isinstance(trace, ResidualTrace):
            yield from inside_out(trace.layers)
            yield from inside_out([] if trace.projection is None else [trace.projection])
        yield trace


WIDE = [maxout(131, 3), fb.Residual([gated(70, "gelu"), fb.Dense(131, "relu", dropout=0.3)])]


@pytest.mark.parametrize("name", [*STACKS, "wide"])
def test_to_the_last_bit(name, dtype):
    net = fb.Network(301, WIDE, dtype, 0) if name == "wide" else network(name, dtype)
    trace, x, y = traced(net)
    value, pairs, dx = net.gradients(x, y, "mse", inputs=True)
    assert trace.loss == value
    assert np.array_equal(trace.dx, dx[0])
    for layer, output in zip(trace.layers, net.activations(x), strict=True):
        assert np.array_equal(layer.y, output[0])
    found = list(inside_out(trace.layers))
    weighted = [layer for layer in found if not isinstance(layer, ResidualTrace)]
    for layer, (dw, db) in zip(weighted, pairs, strict=True):
        assert layer.u.dtype == layer.y.dtype == layer.dW.dtype == dtype
        assert np.array_equal(layer.dW, dw)
        assert np.array_equal(layer.db, db)
        assert np.array_equal(layer.delta, db)
    for layer in found:
        ties(layer)


def ties(trace):
    """What one number of a trace says of another, exactly."""
    if isinstance(trace, MaxoutTrace):
        assert np.array_equal(trace.u.max(axis=0), trace.y)
        lost = np.arange(len(trace.u))[:, None] != trace.won
        assert lost.sum() == trace.u.size - trace.y.size
        assert not trace.delta[lost].any()
        assert trace.delta[~lost].all()
    elif isinstance(trace, ResidualTrace):
        assert np.array_equal(trace.branch + trace.shortcut, trace.y)
        assert trace.branch is trace.layers[-1].y
        last = trace.layers[-1]
        if trace.projection is None:
            assert trace.shortcut is trace.x
        else:
            assert np.array_equal(trace.projection.delta, trace.dy)
        if isinstance(last, ResidualTrace):
            assert np.array_equal(last.dy, trace.dy)


def test_a_plain_product_hands_each_factor_the_other(dtype):
    net = fb.Network(5, [gated(4, "linear"), dense(2, "linear")], dtype, seed=3)
    trace, _, _ = traced(net)
    product = trace.layers[0]
    a, b = product.u
    assert np.array_equal(a * b, product.y)
    dy = net.layers[1].weight @ trace.layers[1].delta
    np.testing.assert_allclose(product.delta, [dy * b, dy * a], rtol=1e-5)


def test_of_equal_pieces_the_first_wins():
    net = fb.Network(5, [maxout(4, 3)], "float64", seed=3)
    net.layers[0].weight[:, 1:] = net.layers[0].weight[:, :1]
    net.layers[0].bias = np.zeros((3, 4))
    layer = traced(net)[0].layers[0]
    assert layer.won.tolist() == [0] * 4
    assert layer.delta[0].all()
    assert not layer.delta[1:].any()


def test_a_loss_of_ones_own():
    net = network("depth 2")
    x, y = rows(net, 1)
    given = net.trace(x, y, lambda o, t: (((o - t) ** 2).mean(axis=1), 2 * (o - t) / o.shape[1]))
    trace = net.trace(x, y, "mse")
    for one, other in zip(*(inside_out(t.layers) for t in (given, trace)), strict=True):
        close(one.y, other.y)
        if isinstance(one, ResidualTrace):
            close(one.dy, other.dy)
        else:
            close(one.delta, other.delta)


def test_with_a_map_ahead_and_a_class():
    x = np.random.default_rng(0).standard_normal((20, 6)) * 3 + 1
    ahead = fb.preprocess.PCA(5).fit(x)
    layers = [fb.Residual([gated(5)]), fb.Residual([maxout(4)]), fb.Dense(3, "softmax")]
    net = fb.Network(6, layers, "float64", 1, preprocessing=ahead)
    plain = fb.Network(5, layers, "float64", 1)
    z = ahead.transform(x)[0]
    behind, beside = net.trace(x[0], 2, "cross_entropy"), plain.trace(z, 2, "cross_entropy")
    assert np.array_equal(behind.x, x[0])
    assert np.array_equal(behind.layers[0].x, z)
    for one, other in zip(*(inside_out(t.layers) for t in (behind, beside)), strict=True):
        assert np.array_equal(one.y, other.y)
    assert np.array_equal(behind.layers[0].dy, beside.layers[0].dy)


def lines_of(layers):
    trace, _, _ = traced(fb.Network(2, layers, "float64", seed=3))
    return trace, str(trace).splitlines()[4:]


def test_pieces_are_lines_and_one_says_that_it_won():
    trace, lines = lines_of([maxout(2, 3)])
    layer = trace.layers[0]
    gradients = ["dW[0]", "dW[1]"]
    columns = ["unit", "piece", "u", "y", "target", "delta", "db", *gradients]
    assert (lines[0], lines[1].split()) == ("layer 0: Maxout(2, 3)", columns)
    assert len(lines) == 2 + 2 * 3
    for unit, won in enumerate(layer.won.tolist()):
        for i, line in enumerate(lines[2 + 3 * unit : 5 + 3 * unit]):
            numbers = [layer.delta[i, unit], layer.db[i, unit], *layer.dW[:, i, unit]]
            words = [f"{unit}"] * (i == 0) + [f"{i}"] + ["(won)"] * (i == won)
            shown = [layer.u[i, unit], *[layer.y[unit], trace.target[unit]] * (i == won), *numbers]
            assert line.split() == words + [f"{v:.6f}" for v in shown]
            assert len(line) == len(lines[1])


def test_factors_are_lines():
    trace, lines = lines_of([gated(1), dense(1)])
    layer = trace.layers[0]
    assert lines[0] == "layer 0: Gated(1, 'sigmoid')"
    for i, words in enumerate((["0", "a"], ["b"])):
        numbers = [layer.delta[i, 0], layer.db[i, 0], *layer.dW[:, i, 0]]
        shown = [layer.u[i, 0], *[layer.y[0]] * (i == 0), *numbers]
        assert lines[2 + i].split() == words + [f"{v:.6f}" for v in shown]
    assert lines[4] == "layer 1: Dense(1, 'tanh')"


def test_what_is_within_is_indented():
    inner = fb.Residual([dense(2)])
    trace, lines = lines_of([dense(2), fb.Residual([inner, dense(3)])])
    titles = [line for line in lines if ":" in line or line.strip() == "sum"]
    assert titles == [
        "layer 0: Dense(2, 'tanh')",
        "layer 1: Residual([Residual([Dense(2, 'tanh')]), Dense(3, 'tanh')])",
        "  layer 1.0: Residual([Dense(2, 'tanh')])",
        "    layer 1.0.0: Dense(2, 'tanh')",
        "    sum",
        "  layer 1.1: Dense(3, 'tanh')",
        "  projection: Dense(3, 'linear')",
        "  sum",
    ]
    outer = trace.layers[1]
    assert lines[-4].split() == ["unit", "branch", "shortcut", "y", "target", "dL/dy"]
    shown = outer.branch, outer.shortcut, outer.y, trace.target, outer.dy
    assert lines[-1].split() == ["2", *(f"{column[2]:.6f}" for column in shown)]
    assert lines[11].split() == ["unit", "branch", "shortcut", "y", "dL/dy"]  # no target within
    assert lines[11].startswith("     unit ")


def test_many_pieces_show_fewer_units():
    _, lines = lines_of([maxout(30, 7), gated(12), dense(1)])
    assert sum("(won)" in line for line in lines) == 2
    assert "      (28 more units)" in lines
    assert sum(" b " in line for line in lines) == 10
    assert "      (2 more units)" in lines
