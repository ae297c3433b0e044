"""Activations in float64 that onnxruntime has in float32 alone, as functions of plain operators.

A file holds the functions that it uses, in the domain "fastbp", by the names of the activations.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import FunctionProto, NodeProto, helper, numpy_helper

__all__ = ["DOMAIN", "FUNCTIONS", "OPSET", "function", "is_own"]

DOMAIN = "fastbp"
# The oldest with all that is used: as many programs as can be shall read the files.
OPSET = 17
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
# Of the integral that erf is: with 40 points its error is below 1e-15 up to 6, where erf is 1.
POINTS, END = 40, 6.0


class _Body:
    """Nodes of a function of z, each an operator with its inputs: names, or numbers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []

    def constant(self, value: Any) -> str:
        tensor = numpy_helper.from_array(np.asarray(value, np.float64))
        return self._add("Constant", [], value=tensor)

    def __call__(self, op: str, *inputs: Any, output: str = "", **attributes: Any) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        return self._add(op, names, output, **attributes)

    def _add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output


def _elu(body: _Body, alpha: Any, scale: float) -> None:
    below = body("Sub", body("Exp", body("Min", "z", 0.0)), 1.0)
    y = body("Add", body("Max", "z", 0.0), body("Mul", alpha, below))
    body("Mul", y, scale, output="y")


def _softplus(body: _Body) -> None:
    """max(z, 0) + log(1 + e^-|z|)."""
    rest = body("Log", body("Add", body("Exp", body("Neg", body("Abs", "z"))), 1.0))
    body("Add", body("Max", "z", 0.0), rest, output="y")


def _gelu(body: _Body) -> None:
    """GELU: z (1 + erf(z / sqrt 2)) / 2, erf(x) = 2 x / sqrt(pi) times an integral.

    That is of e^-(x t)^2, t from 0 to 1, by Gauss and Legendre: onnxruntime has no erf of float64.
    """
    t, weights = np.polynomial.legendre.leggauss(POINTS)
    x = body("Max", body("Min", body("Div", "z", math.sqrt(2)), END), -END)
    axis = body._add("Constant", [], value=numpy_helper.from_array(np.array([-1], np.int64)))
    xt = body("Mul", body("Unsqueeze", x, axis), (t + 1) / 2)
    integral = body("MatMul", body("Exp", body("Neg", body("Mul", xt, xt))), weights / 2)
    erf = body("Mul", body("Mul", x, integral), 2 / math.sqrt(math.pi))
    body("Mul", "z", body("Mul", body("Add", erf, 1.0), 0.5), output="y")


def _silu(body: _Body) -> None:
    """SiLU: z sigmoid(z), with two signs that cancel each other exactly.

    Many versions of onnxruntime replace the plain product by QuickGelu, which they have in float32
    alone.
    """
    body("Neg", body("Mul", body("Neg", "z"), body("Sigmoid", "z")), output="y")


def function(name: str) -> FunctionProto:
    """Return the function of an activation; elu has alpha as a second input."""
    body, inputs = _Body(), ["z", "alpha"] if name == "elu" else ["z"]
    FUNCTIONS[name](body)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_function(DOMAIN, name, inputs, ["y"], body.nodes, opset)


def is_own(found: FunctionProto) -> bool:
    """Return whether a function of a file is what `function` gives of that name.

    Its numbers may differ a little, as those of `leggauss` do by 2e-12 from NumPy 1.26 to 2.
    """
    if found.name not in FUNCTIONS:
        return False
    wanted = function(found.name)
    same = len(found.node) == len(wanted.node) and all(map(_is_same, found.node, wanted.node))
    bare = FunctionProto(), FunctionProto()
    for copy, original in zip(bare, (found, wanted), strict=True):
        copy.CopyFrom(original)
        copy.ClearField("node")
    return same and bare[0] == bare[1]


def _is_same(found: NodeProto, wanted: NodeProto) -> bool:
    if found.op_type != "Constant" or wanted.op_type != "Constant":
        return bool(found == wanted)
    if found.output != wanted.output or [a.name for a in found.attribute] != ["value"]:
        return False
    tensors = [node.attribute[0].t for node in (found, wanted)]
    if tensors[0].dims != tensors[1].dims or tensors[0].data_type != tensors[1].data_type:
        return False
    try:
        mine, theirs = map(numpy_helper.to_array, tensors)
    except (ValueError, TypeError):
        return False
    return np.allclose(mine, theirs, rtol=1e-10, atol=0)


FUNCTIONS = {
    "elu": lambda body: _elu(body, "alpha", 1.0),
    "selu": lambda body: _elu(body, SELU_ALPHA, SELU_SCALE),
    "softplus": _softplus,
    "silu": _silu,
    "gelu": _gelu,
}
