"""The network that an ONNX file of a multi-layer perceptron is.

From the output back to the input, every node is known here as a part of a chain, or named in an
error. What PyTorch, Keras, skl2onnx and fastbp write for such networks is known.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from ... import _check
from ...activations import resolve
from ...errors import ConfigError, ConversionError, CorruptModelError
from ..atomicfile import FilePath
from ..chain import Chain
from ..modelfile import Tensors
from .functions import DOMAIN, SELU_ALPHA, SELU_SCALE, is_own
from .graph import ML, Graph, parsed
from .writing import MATRIX, METADATA

__all__ = ["read"]

TAKEN = (
    "wanted a chain of Gemm, MatMul, Add, Sub, Mul and Div with constants, the activations of "
    "fastbp, Identity, Flatten, Reshape, Dropout and Cast, as PyTorch, Keras and skl2onnx write "
    "multi-layer perceptrons: see docs/interchange.md"
)
# Beyond it z is log(1 + e^z) in float32, and to 2e-9 in float64.
SOFTPLUS_THRESHOLD = 20.0
# Of a product of a net input and its sigmoid, or of numbers and an erf, however it is bracketed.
MOST_FACTORS = 6

_PLAIN = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Sign": "sign"}
_PLAIN |= {"Softplus": "softplus"}
_SAME = {"Identity", "Cast", "Reshape", "Squeeze", "Flatten"}


def read(path: FilePath) -> tuple[dict[str, Any], Tensors]:
    """Return architecture and tensors of the network, as `modelfile.read` does.

    Raises
    ------
    ConversionError
        A node, or its place, has no counterpart; the message names it.
    CorruptModelError
        The file is no ONNX file, or is cut or changed.
    OSError
        The file does not exist or cannot be read.
    """
    model = parsed(path)
    graph = Graph(model, _check.path(path))
    return _Reading(graph).network()


class _Reading:
    """The steps of a chain, found from the output back to the input."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._steps: list[Callable[[Chain], None]] = []
        self._flattens = self._is_pair = False
        self._classes: list[Any] | None = None

    def network(self) -> tuple[dict[str, Any], Tensors]:
        """Return architecture and tensors."""
        graph = self._graph
        main, labels = self._outputs()
        self._back(main)
        self._require_labels(main, labels)
        chain = Chain()
        for step in reversed(self._steps):
            step(chain)
        if self._is_pair and chain.width != 1:
            raise ConversionError(
                f"{graph.path}: got p and 1 - p of {chain.width} outputs, wanted of one"
            )
        notes = _notes(graph)
        return chain.finish(graph.path, notes.get("columns"), self._classes, notes.get("metadata"))

    def _outputs(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the value that is the network's output, and of what the labels beside it are.

        These give the classes their names.
        """
        main: list[str] = []
        labels: list[tuple[str, str]] = []
        for output in self._graph.proto.output:
            name = self._mapped(output.name)
            source = self._labelled(name)
            if source is None:
                main.append(self._same(name))
            else:
                labels.append((output.name, self._same(source)))
        if not main or len(set(main)) > 1:
            found = [output.name[:100] for output in self._graph.proto.output]
            raise ConversionError(
                f"{self._graph.path}: got the outputs {found}, wanted one with numbers, and labels "
                "of it beside"
            )
        return main[0], labels

    def _require_labels(self, main: str, labels: list[tuple[str, str]]) -> None:
        for name, source in labels:
            if source not in (main, self._same(self._scores(main))):
                raise ConversionError(
                    f"{self._graph.path}: output {name[:100]!r}: got labels of {source[:100]!r}, "
                    f"wanted of {main[:100]!r}, the network's output"
                )

    def _mapped(self, name: str) -> str:
        """Return what a ZipMap is made of, which pairs numbers with classes; others as they are."""
        graph, node = self._graph, self._graph.node(name)
        if node is None or (node.domain, node.op_type) != (ML, "ZipMap"):
            return name
        for key, kind in (("classlabels_strings", str), ("classlabels_int64s", int)):
            labels = graph.listed(node, key, kind)
            if labels:
                self._name_classes(node, labels)
        return _input(graph, node)

    def _name_classes(self, node: NodeProto, labels: list[Any]) -> None:
        if self._classes is not None and self._classes != labels:
            raise self._graph.error(node, "got other classes than a node before, wanted the same")
        self._classes = labels

    def _same(self, name: str) -> str:
        """Return the value that this is by another name."""
        for _ in self._graph.proto.node:
            node = self._graph.node(name)
            if node is None or node.op_type != "Identity" or not node.input:
                break
            name = node.input[0]
        return name

    def _scores(self, name: str) -> str:
        """Return the scores of a LinearClassifier, if a value is these made probabilities."""
        node = self._graph.node(name)
        if node is None or node.op_type != "Normalizer":
            return name
        return _input(self._graph, node)

    def _labelled(self, name: str) -> str | None:
        """Return the value whose labels these are; None if they are none."""
        graph, is_label = self._graph, False
        for _ in graph.proto.node:
            node = graph.node(name)
            if node is None or not node.input:
                break
            op = node.op_type
            if op == "LinearClassifier" and len(node.output) == 2 and name == node.output[0]:
                return str(node.output[1])
            if op in ("ArrayFeatureExtractor", "Gather") and len(node.input) == 2:
                labels = graph.constant(node.input[0])
                if labels is None or labels.squeeze().ndim != 1:
                    break
                self._name_classes(node, labels.ravel().tolist())
                is_label, name = True, node.input[1]
            elif op in ("ArgMax", "Binarizer"):
                return str(node.input[0])
            elif op == "Greater" and is_label:
                return self._above(node)
            elif op in _SAME:
                name = node.input[0]
            else:
                break
        if is_label:
            raise ConversionError(
                f"{graph.path}: got labels of {name[:100]!r}, wanted of the largest output"
            )
        return None

    def _above(self, node: NodeProto) -> str:
        """Return the one output whose side of a number is the label."""
        x, threshold = _input(self._graph, node), self._scalar(node, 1)
        below = self._graph.node(self._same(x))
        sided = below is not None and below.op_type in ("Sigmoid", "Cast")
        if threshold != (0.5 if sided else 0.0):
            raise self._graph.error(node, f"got labels above {threshold}, wanted 0.5 of a sigmoid")
        return x

    def _back(self, name: str) -> None:
        """Note the steps from a value back to the input."""
        graph, count = self._graph, 0
        while (node := graph.node(name)) is not None:
            count += 1
            if count > len(graph.proto.node):
                raise CorruptModelError(f"{graph.path} is no ONNX graph: it goes in a circle")
            name = self._step(node)
        if [i.name for i in graph.inputs] != [name]:
            if name not in {i.name for i in graph.inputs}:
                raise CorruptModelError(
                    f"{graph.path} is no ONNX graph: nothing gives {name[:100]!r}"
                )
            found = [i.name[:100] for i in graph.inputs]
            raise ConversionError(f"{graph.path}: got the inputs {found}, wanted one")
        self._require_rows()

    def _require_rows(self) -> None:
        """Refuse an input that has another number of axes than rows have."""
        graph, kind = self._graph, self._graph.inputs[0].type.tensor_type
        if not kind.HasField("shape") or self._flattens:
            return
        sizes = [axis.dim_value for axis in kind.shape.dim]
        if len(sizes) != 2:
            raise ConversionError(
                f"{graph.path}: got an input of {len(sizes)} axes, wanted rows, [rows, n_inputs], "
                "or a Flatten"
            )
        if sizes[1] > 0:
            where = f"{graph.path}: input {graph.inputs[0].name[:100]!r}"
            self._steps.append(lambda chain: chain.require_width(sizes[1], where))

    def _step(self, node: NodeProto) -> str:
        """Note what a node does, and return the value that it does it to."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain == DOMAIN:
            return self._function(node)
        plain = _PLAIN.get(node.op_type) if domain == "" else None
        step = _STEPS.get((domain, node.op_type))
        if plain is None and step is None:
            raise self._graph.error(node, f"has no counterpart in fastbp, {TAKEN}")
        self._graph.require_form(node)
        if plain is not None:
            return self._activated(node, plain)
        assert step is not None
        return step(self, node)

    def _note(self, node: NodeProto, step: Callable[[Chain, str], None]) -> None:
        where = f"{self._graph.path}: {self._graph.called(node)}"
        self._steps.append(lambda chain: step(chain, where))

    # Activations

    def _activated(
        self, node: NodeProto, name: str, parameter: float | None = None, x: str = ""
    ) -> str:
        self._note(node, lambda chain, where: chain.activation(name, where, parameter))
        return x or _input(self._graph, node)

    def _attributed(self, node: NodeProto) -> str:
        """Note an Elu or a LeakyRelu; its attribute is a float32, taken as the shortest decimal."""
        name, default = {"Elu": ("elu", 1.0), "LeakyRelu": ("leaky_relu", 0.01)}[node.op_type]
        value = self._graph.number(node, "alpha", default)
        return self._activated(
            node, name, self._parameter(node, name, float(str(np.float32(value))))
        )

    def _parameter(self, node: NodeProto, name: str, value: float) -> float:
        try:
            resolve(name, value)
        except ConfigError as error:
            raise self._graph.error(node, str(error)) from error
        return value

    def _prelu(self, node: NodeProto) -> str:
        slope = self._scalar(node, 1)
        return self._activated(node, "leaky_relu", self._parameter(node, "leaky_relu", slope))

    def _selu(self, node: NodeProto) -> str:
        wanted = {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}
        found = [self._graph.number(node, name, default) for name, default in wanted.items()]
        if not np.allclose(found, list(wanted.values()), rtol=1e-6, atol=0):
            raise self._graph.error(node, f"got alpha and gamma {found}, wanted those of SELU")
        return self._activated(node, "selu")

    def _softmax(self, node: NodeProto) -> str:
        # Of two axes; before opset 13 the default was 1.
        axis = self._graph.number(node, "axis", -1)
        if axis not in (-1, 1):
            raise self._graph.error(node, f"got axis {axis}, wanted -1, the outputs of a row")
        if node.op_type == "LogSoftmax":
            warnings.warn(
                f"{self._graph.path}: {self._graph.called(node)} gives logarithms; the network "
                "gives the probabilities, by softmax",
                UserWarning,
                stacklevel=6,
            )
        return self._activated(node, "softmax")

    def _gelu(self, node: NodeProto) -> str:
        how = self._graph.word(node, "approximate", "none")
        if how != "none":
            raise self._graph.error(node, f"got the approximation {how!r}, wanted none: erf")
        return self._activated(node, "gelu")

    def _function(self, node: NodeProto) -> str:
        """Note an activation that `functions` writes."""
        name, graph = node.op_type, self._graph
        same = [f for f in graph.model.functions if (f.domain, f.name) == (DOMAIN, name)]
        if len(same) != 1 or not is_own(same[0]):
            raise graph.error(node, f"is no function that fastbp writes, {TAKEN}")
        alpha = self._parameter(node, name, self._scalar(node, 1)) if name == "elu" else None
        return self._activated(node, name, alpha)

    def _where(self, node: NodeProto) -> str:
        """Note Where(z > threshold, z, Softplus(z)), as PyTorch writes softplus."""
        graph = self._graph
        if len(node.input) == 3:
            above, z, below = graph.node(node.input[0]), node.input[1], graph.node(node.input[2])
            if (
                above is not None
                and below is not None
                and (above.op_type, below.op_type) == ("Greater", "Softplus")
                and [*above.input[:1], *below.input] == [z, z]
                and self._scalar(above, 1) >= SOFTPLUS_THRESHOLD
            ):
                return self._activated(node, "softplus", x=z)
        raise graph.error(node, "is no softplus as PyTorch writes it, " + TAKEN)

    # Products and sums

    def _mul(self, node: NodeProto) -> str:
        found = self._curved(node)
        return self._scaled(node) if found is None else self._activated(node, found[0], x=found[1])

    def _curved(self, node: NodeProto) -> tuple[str, str] | None:
        """Return activation and z of ``z sigmoid(z)``, or of ``z (1 + erf(z / sqrt 2)) / 2``."""
        graph = self._graph
        for name in self._factors(node.output[0], "")[1]:
            inner = graph.node(name)
            if inner is None:
                continue
            if inner.op_type == "Sigmoid" and len(inner.input) == 1:
                z = inner.input[0]
                if self._factors(node.output[0], z) == (1.0, sorted([z, name])):
                    return "silu", z
            z = self._under_erf(inner)
            if z:
                coefficient, names = self._factors(node.output[0], z)
                if names == sorted([z, name]) and math.isclose(coefficient, 0.5, rel_tol=1e-6):
                    return "gelu", z
        return None

    def _under_erf(self, node: NodeProto) -> str:
        """Return z of ``1 + erf(z / sqrt 2)``, or ""."""
        graph = self._graph
        if node.op_type != "Add" or len(node.input) != 2:
            return ""
        one, erf = self._split(node)
        inner = graph.node(erf)
        if one is None or one.size != 1 or one.item() != 1 or inner is None:
            return ""
        if inner.op_type != "Erf" or len(inner.input) != 1:
            return ""
        scaled = graph.node(inner.input[0])
        if scaled is None or scaled.op_type not in ("Mul", "Div") or len(scaled.input) != 2:
            return ""
        _, z = self._split(scaled)
        coefficient, names = self._factors(inner.input[0], z)
        if names == [z] and math.isclose(coefficient, math.sqrt(0.5), rel_tol=1e-6):
            return z
        return ""

    def _factors(self, name: str, stop: str) -> tuple[float, list[str]]:
        """Return a product as its number and the sorted names of its factors; `stop` is one."""
        graph, coefficient, names, todo = self._graph, 1.0, list[str](), [name]
        while todo:
            name = todo.pop()
            node = None if name == stop else graph.node(name)
            value = graph.constant(name)
            op = "" if node is None or len(node.input) != 2 else node.op_type
            divisor = graph.constant(node.input[1]) if node is not None and op == "Div" else None
            if value is not None and value.size == 1 and value.dtype != object:
                coefficient *= float(value.item())
            elif node is not None and op == "Mul" and len(todo) + len(names) < MOST_FACTORS:
                todo += node.input
            elif node is not None and divisor is not None and divisor.size == 1 and divisor.any():
                coefficient /= float(divisor.item())
                todo.append(node.input[0])
            else:
                names.append(name)
        return coefficient, sorted(names)

    def _split(self, node: NodeProto) -> tuple[NDArray[Any] | None, str]:
        """Return the constant of two inputs, and the name of the other one."""
        if len(node.input) != 2:
            raise self._graph.error(node, f"got {len(node.input)} inputs, wanted 2")
        for constant, other in ((1, 0), (0, 1)):
            value = self._graph.constant(node.input[constant])
            if value is not None:
                return value, node.input[other]
        return None, node.input[0]

    def _scaled(self, node: NodeProto) -> str:
        """Note an Add, Sub, Mul or Div with a constant."""
        value, x = self._split(node)
        if value is None or value.dtype == object:
            raise self._graph.error(
                node,
                "got two values that are computed, wanted one of them constant: sums and "
                f"products of branches are not read; {TAKEN}",
            )
        value, constant_first = value.astype(np.float64), node.input[0] != x
        factor: Any
        shift: Any
        with np.errstate(divide="ignore"):
            match node.op_type:
                case "Add":
                    factor, shift = 1.0, value
                case "Sub":
                    factor, shift = (-1.0, value) if constant_first else (1.0, -value)
                case "Mul":
                    factor, shift = value, 0.0
                case _:
                    factor, shift = 1 / value, 0.0
        if node.op_type == "Div" and constant_first:
            raise self._graph.error(node, "got a division by a value that is computed, " + TAKEN)
        self._note(node, lambda chain, where: chain.scale(factor, shift, where))
        return x

    def _scalar(self, node: NodeProto, i: int) -> float:
        """Return an input that is one number; of a float32 the shortest decimal."""
        value = self._graph.constant(node.input[i]) if i < len(node.input) else None
        if value is None or value.size != 1 or value.dtype == object:
            raise self._graph.error(node, f"input {i}: wanted one number that is constant")
        return float(str(value.item() if value.dtype == np.float64 else np.float32(value.item())))

    # Layers

    def _gemm(self, node: NodeProto) -> str:
        graph = self._graph
        alpha, beta = (graph.number(node, name, 1.0) for name in ("alpha", "beta"))
        if graph.number(node, "transA", 0):
            raise graph.error(node, "got transA, wanted rows as they are")
        weight = self._weight(node)
        weight = weight.T if graph.number(node, "transB", 0) else weight
        bias = np.zeros((), weight.dtype)
        if len(node.input) > 2 and node.input[2]:
            found = graph.constant(node.input[2])
            if found is None or found.dtype == object:
                raise graph.error(node, f"got the bias {node.input[2][:100]!r}, wanted a constant")
            bias = (beta * found).astype(weight.dtype)
        with np.errstate(over="ignore"):
            weight = (alpha * weight).astype(weight.dtype)
        return self._layer(node, weight, bias)

    def _matmul(self, node: NodeProto) -> str:
        weight = self._weight(node)
        if node.input[1] == MATRIX:
            self._note(node, lambda chain, where: chain.project(weight, where))
            return _input(self._graph, node)
        return self._layer(node, weight, np.zeros((), weight.dtype))

    def _weight(self, node: NodeProto) -> NDArray[Any]:
        value = self._graph.constant(node.input[1]) if len(node.input) > 1 else None
        if value is None:
            raise self._graph.error(
                node,
                f"got the weight {_shown(node.input, 1)}, which is computed or an input, "
                "wanted a constant",
            )
        if value.ndim != 2 or value.dtype.kind != "f":
            raise self._graph.error(
                node,
                f"got a weight of {value.dtype} and shape {value.shape}, wanted two axes of "
                "float32 or float64",
            )
        return value

    def _layer(self, node: NodeProto, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        self._note(node, lambda chain, where: chain.linear(weight, bias, where))
        return _input(self._graph, node)

    def _linear_of_ml(self, node: NodeProto) -> str:
        """Note a LinearRegressor, or the scores of a LinearClassifier."""
        graph = self._graph
        coefficients, intercepts = (
            np.asarray(graph.listed(node, name, float), np.float32)
            for name in ("coefficients", "intercepts")
        )
        if node.op_type == "LinearClassifier":
            labels = graph.listed(node, "classlabels_strings", str)
            labels = labels or graph.listed(node, "classlabels_ints", int)
            n = len(labels)
            self._name_classes(node, labels)
        else:
            n = graph.number(node, "targets", 1)
        if n < 1 or coefficients.ndim != 1 or coefficients.size % n or not coefficients.size:
            raise graph.error(node, f"got {coefficients.size} coefficients for {n} outputs")
        if intercepts.size not in (0, n):
            raise graph.error(node, f"got {intercepts.size} intercepts for {n} outputs")
        weight = coefficients.reshape(n, -1).T
        bias = intercepts if intercepts.size else np.zeros(n, np.float32)
        kind = graph.word(node, "post_transform", "NONE")
        if (
            kind == "LOGISTIC"
            and n == 2
            and (weight[:, 0] == -weight[:, 1]).all()
            and (bias[0] == -bias[1])
        ):
            self._activated(node, "sigmoid")
            self._is_pair = True
            weight, bias = weight[:, 1:], bias[1:]
        elif kind == "SOFTMAX":
            self._activated(node, "softmax")
        elif kind != "NONE":
            raise graph.error(
                node,
                f"got the transform {kind} of {n} outputs, wanted NONE, SOFTMAX, or LOGISTIC "
                "of two classes",
            )
        return self._layer(node, weight, bias)

    def _normalizer(self, node: NodeProto) -> str:
        """Pass over what divides by a sum that is 1: that of a softmax."""
        x = _input(self._graph, node)
        below, norm = self._graph.node(x), self._graph.word(node, "norm", "MAX")
        kind = None
        if below is not None and below.op_type == "LinearClassifier":
            kind = self._graph.word(below, "post_transform", "NONE")
        if norm != "L1" or kind != "SOFTMAX":
            raise self._graph.error(
                node,
                f"got the norm {norm} of outputs whose transform is {kind}, wanted L1 of "
                "SOFTMAX, which changes nothing",
            )
        return x

    def _scaler(self, node: NodeProto) -> str:
        offset, factor = (
            np.asarray(self._graph.listed(node, name, float) or [default])
            for name, default in (("offset", 0.0), ("scale", 1.0))
        )

        def step(chain: Chain, where: str) -> None:
            chain.scale(1.0, -offset, where)
            chain.scale(factor, 0.0, where)

        self._note(node, step)
        return _input(self._graph, node)

    # What changes no number

    def _identity(self, node: NodeProto) -> str:
        return _input(self._graph, node)

    def _cast(self, node: NodeProto) -> str:
        to = self._graph.number(node, "to", 0)
        x = _input(self._graph, node)
        above = self._graph.node(x)
        if above is not None and above.op_type == "Greater":
            if self._scalar(above, 1) != 0:
                raise self._graph.error(above, "got a threshold, wanted 0: a step")
            return self._activated(node, "step", x=_input(self._graph, above))
        if to not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            raise self._graph.error(node, "got a cast to another type, wanted FLOAT or DOUBLE")
        return x

    def _dropout(self, node: NodeProto) -> str:
        if len(node.input) > 2 and node.input[2]:
            training = self._graph.constant(node.input[2])
            if training is None or training.any():
                raise self._graph.error(
                    node, "got it in training mode, wanted a model that predicts"
                )
        return _input(self._graph, node)

    def _flatten(self, node: NodeProto) -> str:
        if self._graph.number(node, "axis", 1) != 1:
            raise self._graph.error(node, "got another axis, wanted 1: a row for each example")
        self._flattens = True
        return _input(self._graph, node)

    def _reshape(self, node: NodeProto) -> str:
        """Pass over a Reshape to rows as wide as they are, or, at the end, of one output."""
        shape = self._graph.constant(node.input[1]) if len(node.input) > 1 else None
        if shape is None or shape.dtype == object or shape.ndim != 1:
            raise self._graph.error(node, "got a shape that is computed, wanted a constant")
        wanted, at_end = shape.tolist(), not self._steps
        self._flattens = True
        if len(wanted) == 2 and wanted[0] in (0, -1) and wanted[1] > 0:
            self._note(node, lambda chain, where: chain.require_width(wanted[1], where))
        elif wanted == [-1] and at_end:
            self._note(node, lambda chain, where: chain.require_width(1, where))
        elif wanted != [0, -1]:
            raise self._graph.error(
                node, f"got the shape {wanted}, wanted rows: [-1, n_inputs] or [0, -1]"
            )
        return _input(self._graph, node)

    def _concat(self, node: NodeProto) -> str:
        """Pass over Concat(1 - p, p), as skl2onnx writes two classes."""
        graph = self._graph
        below, p = graph.node(_input(graph, node)), str(node.input[-1])
        if below is not None and below.op_type == "Sub" and len(below.input) == 2:
            one, sigmoid = graph.constant(below.input[0]), graph.node(p)
            if (
                not self._steps
                and [*node.input[1:], below.input[1]] == [p, p]
                and one is not None
                and one.size == 1
                and one.item() == 1
                and sigmoid is not None
                and sigmoid.op_type == "Sigmoid"
            ):
                self._is_pair = True
                return p
        raise graph.error(node, "is no 1 - p beside p of one sigmoid at the end, " + TAKEN)


def _input(graph: Graph, node: NodeProto) -> str:
    """Return the name of the first input of a node."""
    if not node.input or not node.input[0]:
        raise graph.error(node, "got no input, wanted one")
    return str(node.input[0])


def _shown(names: Any, i: int) -> str:
    return repr(str(names[i])[:100]) if i < len(names) else "nothing"


def _notes(graph: Graph) -> dict[str, Any]:
    """Return what a file of fastbp has in its metadata."""
    found: dict[str, Any] = {}
    kinds = {"columns": list, "metadata": dict}
    for key, text in graph.metadata(METADATA):
        if key not in kinds:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorruptModelError(f"{graph.path}: metadata {key!r}: {error}") from error
        within = value.values() if isinstance(value, dict) else value
        if not isinstance(value, kinds[key]) or not all(isinstance(v, str) for v in within):
            raise CorruptModelError(f"{graph.path}: metadata {key!r}: got no names")
        found[key] = value
    return found


_STEPS: dict[tuple[str, str], Callable[[_Reading, NodeProto], str]] = {
    ("", "Elu"): _Reading._attributed,
    ("", "LeakyRelu"): _Reading._attributed,
    ("", "PRelu"): _Reading._prelu,
    ("", "Selu"): _Reading._selu,
    ("", "Softmax"): _Reading._softmax,
    ("", "LogSoftmax"): _Reading._softmax,
    ("", "Gelu"): _Reading._gelu,
    ("", "Where"): _Reading._where,
    ("", "Mul"): _Reading._mul,
    ("", "Add"): _Reading._scaled,
    ("", "Sub"): _Reading._scaled,
    ("", "Div"): _Reading._scaled,
    ("", "Gemm"): _Reading._gemm,
    ("", "MatMul"): _Reading._matmul,
    ("", "Identity"): _Reading._identity,
    ("", "Cast"): _Reading._cast,
    ("", "Dropout"): _Reading._dropout,
    ("", "Flatten"): _Reading._flatten,
    ("", "Reshape"): _Reading._reshape,
    ("", "Concat"): _Reading._concat,
    (ML, "LinearRegressor"): _Reading._linear_of_ml,
    (ML, "LinearClassifier"): _Reading._linear_of_ml,
    (ML, "Normalizer"): _Reading._normalizer,
    (ML, "Scaler"): _Reading._scaler,
}
