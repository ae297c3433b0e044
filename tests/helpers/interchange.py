"""Networks that go to other libraries and come back, and ONNX files made by hand.

Whoever imports this is skipped where onnx is absent.
"""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import BIAS

import fastbp as fb
from fastbp.engine.runtime import ACTIVATIONS

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
helper = onnx.helper

N_INPUTS = 5
# What rounding may take from an output, relative to the largest one if that is above 1.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
WITH_PARAMETER = {"an elu": fb.activations.ELU(0.25), "a leaky relu": fb.activations.LeakyReLU(0.2)}
EVERY_ACTIVATION = {name: name for name in ACTIVATIONS} | WITH_PARAMETER


def table(n=30):
    """Rows of which a column is a Unix time, and another very small."""
    x = np.random.default_rng(11).standard_normal((n, N_INPUTS))
    x[:, 0] = 1.7e9 + 1e5 * x[:, 0]
    x[:, 1] *= 1e-3
    return x


def every_map():
    """A fitted map of each kind that gives numbers near 1 for the rows of `table`."""
    x, p = table(), fb.preprocess
    scale = [1e-5, 1e3, -1.0, 2.0, 0.5]
    return {
        "none": None,
        "center": p.Affine(p.Center().fit(x).mean, scale),
        "standardize": p.Standardize().fit(x),
        "minmax": p.MinMax().fit(x),
        "pca": p.PCA(3).fit(x / x.std(0)),
        "whiten": p.Whiten(zca=True).fit(x),
        "affine": p.Affine([1.7e9, 0, 1, 2, 3], scale),
    }


def layers_with(activation):
    """Layers of every kind with an activation."""
    gate = "tanh" if activation == "softmax" else activation
    residual = fb.Residual([fb.Dense(4, activation, bias_init=BIAS)])
    projected = fb.Residual([fb.Maxout(3, bias_init=BIAS)])
    gated = fb.Gated(4, gate, bias_init=BIAS)
    return [fb.Dense(6, activation, bias_init=BIAS), gated, residual, projected, fb.Dense(3)]


def network(layers, dtype="float32", affine=None, **names):
    made = fb.Network(N_INPUTS, layers, dtype=dtype, seed=1, preprocessing=affine)
    for name, value in names.items():
        setattr(made, name, value)
    return made


def rows(net):
    """Rows for a network: raw ones if it has a map."""
    x = table()
    return x if net.preprocessing is not None else (x / 10 + [-1.7e8, 0, 0, 0, 0]).clip(-3, 3)


def run(path, x):
    """All outputs of a file, by onnxruntime or, where that is absent, by onnx itself."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    kind = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    given = {model.graph.input[0].name: np.asarray(x, kind)}
    try:
        import onnxruntime
    except ImportError:
        return reference.ReferenceEvaluator(model).run(None, given)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, given)


def difference(found, wanted):
    """The largest one, relative to the largest wanted number if that is above 1."""
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())


def made(*nodes, n_in=3, outputs=("y",), opset=17, shape=None, inputs=("x",), **constants):
    """The bytes of a file of these nodes: (op, inputs, output, attributes) each."""
    graph = helper.make_graph(
        [
            helper.make_node(op, list(given), [given_name], name=f"{op} of {given_name}", **options)
            for op, given, given_name, options in nodes
        ],
        "graph",
        [helper.make_tensor_value_info(name, 1, shape or ["n", n_in]) for name in inputs],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
