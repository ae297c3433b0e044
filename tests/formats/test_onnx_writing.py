"""Networks as ONNX files: the checker takes them, and onnxruntime gives what they predict."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from gate_networks import STACKS
from interchange import (
    EVERY_ACTIVATION,
    TOLERANCE,
    difference,
    every_map,
    layers_with,
    network,
    onnx,
    rows,
    run,
    table,
)

import fastbp as fb
from fastbp import errors


def assert_same(net, path):
    net.to_onnx(path)
    (y,) = run(path, rows(net))
    wanted = net.predict(rows(net))
    assert y.dtype == wanted.dtype
    assert np.ptp(wanted) > 0
    assert difference(y, wanted) <= TOLERANCE[net.dtype.name], net


def test_every_activation(dtype, tmp_path):
    for activation in EVERY_ACTIVATION.values():
        assert_same(network(layers_with(activation), dtype), tmp_path / "net.onnx")


def test_every_preprocessing(dtype, tmp_path):
    for affine in every_map().values():
        assert_same(network(layers_with("gelu"), dtype, affine), tmp_path / "net.onnx")


def test_gates_in_each_other(dtype, tmp_path):
    for layers in STACKS.values():
        assert_same(network(layers, dtype), tmp_path / "net.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("activation", EVERY_ACTIVATION)
def test_every_activation_with_every_preprocessing(activation, dtype, tmp_path):
    for affine in every_map().values():
        layers = layers_with(EVERY_ACTIVATION[activation])
        assert_same(network(layers, dtype, affine), tmp_path / "net.onnx")


def test_float64_is_as_near_as_float64_can_be_far_from_zero(tmp_path):
    z = np.linspace(-12, 12, 400)[:, None]
    for activation in ("gelu", "elu", "selu", "softplus"):
        net = fb.Network(1, [fb.Dense(1, activation)], dtype="float64")
        net.parameters = [1.0, 0.0]
        net.to_onnx(tmp_path / "net.onnx")
        found = run(tmp_path / "net.onnx", z)[0]
        np.testing.assert_allclose(found, net.predict(z), rtol=0, atol=1e-13)


def test_float32_rows_are_taken_where_they_are_asked_for(tmp_path):
    affine = every_map()["standardize"]
    net = network(layers_with("tanh"), "float32", affine)
    near = (table() - affine.mean).astype(np.float32)
    net.preprocessing = fb.preprocess.Affine(np.zeros(5), affine.matrix)
    net.to_onnx(tmp_path / "net.onnx", input_dtype="float32")
    kind = onnx.load(tmp_path / "net.onnx").graph.input[0].type.tensor_type.elem_type
    assert kind == onnx.TensorProto.FLOAT
    assert difference(run(tmp_path / "net.onnx", near)[0], net.predict(near)) <= 1e-5
    net.preprocessing = None
    net.to_onnx(tmp_path / "net.onnx", input_dtype="float64")
    x = np.asarray(near, np.float64) / 1e5
    assert difference(run(tmp_path / "net.onnx", x)[0], net.predict(x)) <= 1e-5


@pytest.mark.parametrize(
    "activation, classes",
    [
        ("softmax", ["no", "yes", "größer"]),
        ("linear", [30, -10, 20]),
        ("sigmoid", ["no", "yes"]),
        ("linear", [False, True]),
        ("step", [1.0, 2.0]),
        ("tanh", [7, 5]),
    ],
)
def test_labels_are_a_second_output(activation, classes, tmp_path):
    net = network([fb.Dense(len(classes) if len(classes) > 2 else 1, activation)])
    net.classes = classes
    net.to_onnx(tmp_path / "net.onnx")
    y, label = run(tmp_path / "net.onnx", rows(net))
    assert y.shape == net.predict(rows(net)).shape
    assert label.tolist() == net.predict_classes(rows(net)).tolist()
    assert len(set(label.tolist())) > 1


def test_names_and_notes_are_in_the_metadata(tmp_path):
    net = network([fb.Dense(3, "softmax")], classes=["a", "b", "ü"], columns=list("pqrst"))
    net.metadata = {"made by": "me"}
    net.to_onnx(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    found = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert found == {
        "fastbp.classes": ["a", "b", "ü"],
        "fastbp.columns": ["p", "q", "r", "s", "t"],
        "fastbp.metadata": {"made by": "me"},
    }
    assert [axis.dim_param for axis in model.graph.input[0].type.tensor_type.shape.dim] == [
        "rows",
        "",
    ]
    assert model.producer_name == "fastbp"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    net, path = network([fb.Dense(2)]), tmp_path / "net.onnx"
    net.to_onnx(path)
    before = path.read_bytes()
    net.classes = [2**70, 1]
    with pytest.raises(errors.ConversionError, match=r"classes: got integers beyond int64"):
        net.to_onnx(path)
    net.classes, net.metadata = None, {"a": 1}
    with pytest.raises(errors.ConfigError, match=r"metadata: got \{'a': 1\}"):
        net.to_onnx(path)
    net.metadata = {}
    with pytest.raises(IsADirectoryError):
        net.to_onnx(tmp_path)
    with pytest.raises(OSError, match="not a regular file"):
        net.to_onnx(os.devnull)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_what_no_file_can_hold_is_named(tmp_path, monkeypatch):
    from fastbp.formats.onnx import writing

    monkeypatch.setattr(writing, "MOST_BYTES", 47)
    with pytest.raises(errors.ConfigError, match=r"network: got 48 bytes of parameters, .* 47"):
        network([fb.Dense(2)]).to_onnx(tmp_path / "net.onnx")
