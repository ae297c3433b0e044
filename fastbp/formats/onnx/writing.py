"""A network as an ONNX file: one node or a few for each part of a layer.

The graph takes "x" [rows, n_inputs] and gives "y" [rows, n_outputs] and, if the network knows its
classes, the "label" [rows] of each row. Names of columns and classes, and the network's notes, are
in the metadata, as JSON.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from ..._affine import Affine
from ..._labels import threshold_of
from ...engine.config import __version__
from ...errors import ConfigError, ConversionError
from ...gates import Gated, Maxout, Residual
from ...layers import Dense, Layer
from ..chain import Described
from .functions import DOMAIN, FUNCTIONS, OPSET, function

__all__ = ["MATRIX", "METADATA", "content"]

IR_VERSION = 8  # of opset 17 and of functions in a file
# What protocol buffers can hold, less what is not weights.
MOST_BYTES = (1 << 31) - (1 << 22)
METADATA = "fastbp."  # before each key of ours
# By this name the reader knows it from the weight of a layer.
MATRIX = "preprocessing.matrix"

_PLAIN = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "sign": "Sign"}
_OF_FLOAT32 = {"softplus": "Softplus", "selu": "Selu"}


def content(network: Described, notes: dict[str, str], input_dtype: np.dtype[Any] | None) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ConfigError
        The network does not fit one.
    ConversionError
        Its classes are integers beyond int64.
    """
    weighted = [own for layer in network.layers for own in layer._weighted()]
    n_bytes = sum(own.weight.nbytes + own.bias.nbytes for own in weighted)
    if n_bytes > MOST_BYTES:
        raise ConfigError(
            f"network: got {n_bytes:,} bytes of parameters, wanted at most {MOST_BYTES:,}, which "
            "an ONNX file can hold"
        )
    written: bytes = _model(network, notes, input_dtype).SerializeToString()
    return written


def _model(
    network: Described, notes: dict[str, str], input_dtype: np.dtype[Any] | None
) -> ModelProto:
    graph = _Graph(network.dtype)
    given = input_dtype or (
        network.dtype if network.preprocessing is None else np.dtype(np.float64)
    )
    top = graph.preprocessed("x", given, network.preprocessing)
    for i, layer in enumerate(network.layers):
        top = graph.layer(f"layers.{i}", layer, top)
    graph.node("Identity", [top], output="y")
    n_outputs = network.layers[-1].units
    outputs = [_value("y", network.dtype, n_outputs)]
    if network.classes is not None:
        outputs.append(graph.label(network.classes, n_outputs, network.layers[-1].activation))
    made = helper.make_graph(
        graph.nodes, "network", [_value("x", given, network.n_inputs)], outputs, graph.tensors
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if graph.functions:
        opsets.append(helper.make_opsetid(DOMAIN, 1))
    model = helper.make_model(
        made,
        opset_imports=opsets,
        functions=[function(name) for name in sorted(graph.functions)],
        ir_version=IR_VERSION,
        producer_name="fastbp",
        producer_version=__version__,
    )
    noted: dict[str, Any] = {"columns": network.columns, "metadata": notes or None}
    if network.classes is not None:
        noted["classes"] = network.classes.tolist()
    helper.set_model_props(
        model, {METADATA + k: json.dumps(v) for k, v in noted.items() if v is not None}
    )
    return model


def _value(name: str, dtype: Any, n: int) -> Any:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), ["rows", n])


class _Graph:
    """Nodes and constants; each method adds some and returns the name of what they give."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.functions: set[str] = set()

    def constant(self, name: str, value: Any) -> str:
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str = "", **options: Any) -> str:
        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **options))
        return output

    def number(self, value: float) -> str:
        """Return a constant of the network's dtype."""
        return self.constant(f"number_{len(self.tensors)}", np.array(value, self.dtype))

    def cast(self, name: str, dtype: Any) -> str:
        return self.node("Cast", [name], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def preprocessed(self, x: str, given: np.dtype[Any], affine: Affine | None) -> str:
        """Map the rows in float64, and round once, as the engine does."""
        if affine is None:
            return x if given == self.dtype else self.cast(x, self.dtype)
        if given != np.float64:
            x = self.cast(x, np.float64)
        x = self.node("Sub", [x, self.constant("preprocessing.mean", affine.mean)])
        op = "Mul" if affine.matrix.ndim == 1 else "MatMul"
        x = self.node(op, [x, self.constant(MATRIX, affine.matrix)])
        return x if self.dtype == np.float64 else self.cast(x, self.dtype)

    def layer(self, path: str, layer: Layer, x: str) -> str:
        match layer:
            case Residual():
                top = x
                for i, inner in enumerate(layer.layers):
                    top = self.layer(f"{path}.layers.{i}", inner, top)
                if layer.projection is not None:
                    x = self.layer(f"{path}.projection", layer.projection, x)
                return self.node("Add", [x, top])
            case Maxout():
                pieces = self.pieces(path, layer, x)
                return pieces[0] if len(pieces) == 1 else self.node("Max", pieces)
            case Gated():
                a, b = self.pieces(path, layer, x)
                b = self.activation(layer.gate, layer.gate_parameter, b)
                return self.node("Mul", [a, b])
            case Dense():
                z = self.linear(path, layer.weight, layer.bias, x)
                return self.activation(layer.activation, layer.activation_parameter, z)
        raise TypeError(f"got {layer!r}, wanted a layer of fastbp")

    def pieces(self, path: str, layer: Maxout | Gated, x: str) -> list[str]:
        return [
            self.linear(f"{path}.pieces.{i}", layer.weight[:, i], layer.bias[i], x)
            for i in range(layer.pieces)
        ]

    def linear(self, path: str, weight: NDArray[Any], bias: NDArray[Any], x: str) -> str:
        names = self.constant(f"{path}.weight", weight), self.constant(f"{path}.bias", bias)
        return self.node("Gemm", [x, *names])

    def activation(self, name: str, parameter: float | None, z: str) -> str:
        double = self.dtype == np.float64
        if name == "linear":
            return z
        if name in _PLAIN:
            return self.node(_PLAIN[name], [z])
        if name == "softmax":
            return self.node("Softmax", [z], axis=-1)
        if name == "step":
            return self.cast(self.node("Greater", [z, self.number(0)]), self.dtype)
        if name == "leaky_relu":  # not LeakyRelu, whose slope is a float32
            return self.node("PRelu", [z, self.number(parameter or 0.0)])
        if double and name in FUNCTIONS:
            self.functions.add(name)
            inputs = [z] if parameter is None else [z, self.number(parameter)]
            return self.node(name, inputs, domain=DOMAIN)
        if name == "silu":
            return self.node("Mul", [z, self.node("Sigmoid", [z])])
        if name == "elu":
            return self.node("Elu", [z], alpha=parameter)
        if name == "gelu":
            erf = self.node("Erf", [self.node("Mul", [z, self.number(math.sqrt(0.5))])])
            share = self.node("Mul", [self.node("Add", [erf, self.number(1)]), self.number(0.5)])
            return self.node("Mul", [z, share])
        return self.node(_OF_FLOAT32[name], [z])

    def label(self, classes: NDArray[Any], n_outputs: int, activation: str) -> Any:
        """Add the label of each row as `Network.predict_classes` has it; return the output."""
        if classes.dtype == object and not isinstance(classes[0], str):
            raise ConversionError("classes: got integers beyond int64, wanted labels within it")
        if n_outputs > 1:
            code = self.node("ArgMax", ["y"], axis=1, keepdims=0)
        else:
            above = self.node("Greater", ["y", self.number(threshold_of(activation))])
            axis = self.constant("axis", np.array([1], np.int64))
            code = self.node("Squeeze", [self.cast(above, np.int64), axis])
        labels = self.constant("classes", classes)
        self.node("Gather", [labels, code], output="label", axis=0)
        kind = self.tensors[-1].data_type
        return helper.make_tensor_value_info("label", kind, ["rows"])
