"""Maxout, Gated and Residual: files, copies, views, tables, bad options."""

from __future__ import annotations

import copy
import json
import pickle
import re

import numpy as np
import pytest
from gate_networks import STACKS, network, rows, twin
from networks import digest

import fastbp as fb
from fastbp import errors
from fastbp.network import _rebuilt


@pytest.mark.parametrize("name", list(STACKS))
def test_saved_copied_and_pickled_to_the_bit(name, tmp_path):
    net = network(name, "float32")
    net.save(tmp_path / "net.safetensors")
    copies = [
        fb.load(tmp_path / "net.safetensors"),
        net.copy(),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ]
    for other in copies:
        assert repr(other) == repr(net)
        assert digest(other._model.arena) == digest(net._model.arena)
        assert other.layers[0] is not net.layers[0]


def test_files_say_what_kind_and_older_ones_hold_dense_layers():
    gates = [fb.Maxout(4, 3), fb.Gated(2, fb.activations.ELU(0.5)), fb.Residual([fb.Dense(2)])]
    net = fb.Network(3, [*gates, fb.Dense(1)], seed=0)
    found = json.loads(json.dumps(net._architecture()))["layers"]
    assert found == [
        {"kind": "maxout", "units": 4, "pieces": 3},
        {"kind": "gated", "units": 2, "gate": "elu", "gate_parameter": 0.5},
        {"kind": "residual", "layers": [{"units": 2, "activation": "linear"}]},
        {"units": 1, "activation": "linear"},
    ]
    assert list(net._tensors())[:2] == ["layers.0.weight", "layers.0.bias"]
    assert net._tensors()["layers.0.weight"].shape == (3, 3, 4)
    with pytest.raises(ValueError, match="kind"):
        tensors = dict(list(net._tensors().items())[:2])
        _rebuilt({**net._architecture(), "layers": [{"kind": "conv", "units": 1}]}, tensors)


def test_a_projection_only_where_widths_differ():
    net = fb.Network(4, [fb.Residual([fb.Dense(4)]), fb.Residual([fb.Dense(3)])], seed=0)
    same, other = net.layers
    assert same.projection is None
    assert other.projection.weight.shape == (4, 3)
    assert not other.projection.bias.any()
    assert net.weighted_layers == (*same.layers, *other.layers, other.projection)


def test_views_write_through():
    net = network("gated")
    x, _ = rows(net)
    before = net.predict(x)
    net.layers[0].bias[1, 2] += 1
    net.layers[0].weight = 2 * net.layers[0].weight
    assert not np.array_equal(net.predict(x), before)
    np.testing.assert_allclose(net.predict(x), twin(net, x, 0)[0], rtol=0, atol=1e-12)


def test_errors_say_where_a_layer_is():
    inner = fb.Residual([fb.Maxout(3)])
    net = fb.Network(2, [fb.Dense(2), fb.Residual([fb.Dense(2), inner])], seed=0)
    outer = net.layers[1]
    for layer, place in [
        (net.layers[0], "layers[0].weight"),
        (outer.layers[1].layers[0], "layers[1].layers[1].layers[0].weight"),
        (outer.projection, "layers[1].projection.weight"),
    ]:
        with pytest.raises(errors.ShapeError, match=f"^{re.escape(place)}: got"):
            layer.weight = [[1.0]]


def test_a_layer_that_diverged_is_named():
    net = fb.Network(2, [fb.Dense(2), fb.Residual([fb.Maxout(2)]), fb.Dense(1)], seed=0)
    net.layers[1].layers[0].weight[0, 1, 1] = np.nan
    with pytest.raises(errors.DivergenceError, match=r"layers\[1\], Residual"):
        fb.Trainer(net, "mse", fb.SGD(0.1)).fit(np.ones((4, 2)), np.ones((4, 1)), epochs=1)


def test_summary_and_repr_name_the_gates():
    net = fb.Network(3, [fb.Maxout(4, 2), fb.Residual([fb.Gated(2, "tanh")])], seed=0)
    assert repr(net).startswith("Network(3, [Maxout(4, 2), Residual([Gated(2, 'tanh')])]")
    lines = net.summary().splitlines()
    assert [line.split()[:-1] for line in lines[1:4]] == [
        ["0", "3", "x", "2", "x", "4", "maxout"],
        ["1", "4", "x", "2", "x", "2", "gated"],
        ["2", "4", "x", "2", "linear"],
    ]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: fb.Maxout(0), "units: got 0"),
        (lambda: fb.Maxout(3, 0), "pieces: got 0"),
        (lambda: fb.Maxout(3, 2.0), r"pieces: got 2\.0"),
        (lambda: fb.Gated(-1), "units: got -1"),
        (lambda: fb.Gated(3, "swish"), "gate: got 'swish', wanted one of linear"),
        (lambda: fb.Gated(3, "softmax"), "gate: got 'softmax', wanted one of linear"),
        (lambda: fb.Gated(3, weight_init="he"), "weight_init: got 'he'"),
        (lambda: fb.Residual([]), r"layers: got \[\]"),
        (lambda: fb.Residual(["relu"]), "layers: got .* Residual"),
        (lambda: fb.Residual(fb.Dense(3)), "layers: got Dense"),
        (lambda: fb.Residual([fb.Dense(3)], projection_init=1), "projection_init: got 1"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(errors.ConfigError, match=text):
        make()


@pytest.mark.parametrize("last", [fb.Maxout(3), fb.Gated(3), fb.Residual([fb.Dense(3)])])
def test_losses_that_need_an_activation_need_a_dense_output(last):
    net = fb.Network(2, [last], seed=0)
    with pytest.raises(errors.ConfigError, match="softmax"):
        net.gradients([[1, 2]], [0], "cross_entropy")
