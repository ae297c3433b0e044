"""ONNX files as networks: what other libraries write, what is refused, what is damaged."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import onnx_golden
import pytest
from interchange import (
    EVERY_ACTIVATION,
    TOLERANCE,
    difference,
    every_map,
    helper,
    made,
    network,
    onnx,
    reference,
    rows,
    run,
)

import fastbp as fb
from fastbp import errors

GOLDEN = Path(__file__).parent / "golden"
W = np.array([[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0]], np.float32)
B = np.array([0.5, -1.0], np.float32)
X = np.array([[0.25, -1.5, 2.0], [1.0, 0.5, -0.75], [-2.0, 1.75, 0.25], [3.0, 2.0, -1.0]])
LAST = ("Gemm", ["t", "w", "b"], "y", {})
GEMM = ("Gemm", ["x", "w", "b"], "y", {})
LINEAR = ("Gemm", ["x", "w", "b"], "z", {})


def read(path, content=None):
    if content is not None:
        path.write_bytes(content)
    return fb.from_onnx(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def assert_comes_back(net, path):
    net.to_onnx(path)
    back = read(path)
    assert repr(back) == repr(net)
    np.testing.assert_array_equal(back.parameters, net.parameters)
    np.testing.assert_array_equal(back.predict(rows(net)), net.predict(rows(net)))
    assert (back.columns, back.metadata) == (net.columns, net.metadata)
    assert back.classes.tolist() == net.classes.tolist()
    if net.preprocessing is not None:
        np.testing.assert_array_equal(back.preprocessing.matrix, net.preprocessing.matrix)
        np.testing.assert_array_equal(back.preprocessing.mean, net.preprocessing.mean)


def test_what_fastbp_writes_comes_back_bit_for_bit(dtype, path):
    names = {"classes": ["a", "b", "ü"], "columns": list("pqrst"), "metadata": {"by": "me"}}
    for activation in EVERY_ACTIVATION.values():
        layers = [fb.Dense(4, activation), fb.Dense(3, activation)]
        assert_comes_back(network(layers, dtype, **names), path)
    for affine in every_map().values():
        assert_comes_back(network([fb.Dense(3, "tanh")], dtype, affine, **names), path)


def assert_as_run(path):
    """Compare network and file; the labels come first from skl2onnx, last from fastbp."""
    net, x = read(path), np.random.default_rng(3).uniform(-1, 1, (40, 3))
    found = run(path, x)
    if path.name.startswith("skl2onnx"):
        found.reverse()
    outputs, labels = (*found, None)[:2]
    if isinstance(outputs, list):  # a ZipMap's dicts
        outputs = np.array([list(chances.values()) for chances in outputs])
    if net.n_outputs == 1 and outputs.shape[1] == 2:
        outputs = outputs[:, 1:]
    assert np.ptp(outputs) > 0
    assert difference(net.predict(x), outputs) <= TOLERANCE[net.dtype.name]
    assert (net.classes is None) == (labels is None)
    if labels is not None:
        assert net.predict_classes(x).tolist() == labels.tolist()


@pytest.mark.parametrize("name", sorted(p.name for p in GOLDEN.glob("*.onnx")))
def test_files_of_other_libraries(name):
    """Of the version in the name; tests/helpers/onnx_golden.py makes them."""
    assert_as_run(GOLDEN / name)


@pytest.mark.slow
@pytest.mark.parametrize("library", onnx_golden.WRITERS)
@pytest.mark.filterwarnings("ignore")
def test_files_of_the_exporters_that_are_installed(library, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(library)
    onnx_golden.WRITERS[library](tmp_path)
    assert list(tmp_path.glob("*.onnx"))
    for path in tmp_path.glob("*.onnx"):
        assert_as_run(path)


GELU = [
    ("Div", ["z", "root"], "a", {}),
    ("Erf", ["a"], "e", {}),
    ("Add", ["e", "one"], "f", {}),
    ("Mul", ["z", "f"], "m", {}),
    ("Mul", ["m", "half"], "y", {}),
]
SCALED = {"c": np.float32([2, 4, 0.5]), "d": np.float32([0.5, -1, 1000])}
ONE = {"one": np.float32(1), "half": np.float32(0.5), "root": np.float32(np.sqrt(2))}
LABEL = ("Identity", ["p"], "y", {})
# Nodes, then constants beside w and b: chains as exporters write them, with what they become.
CHAINS = {
    "Gemm": ([GEMM], {}, "Dense(2, 'linear')"),
    "transB, alpha and beta": (
        [("Gemm", ["x", "v", "b"], "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        {"v": W.T.copy()},
        "Dense(2, 'linear')",
    ),
    "no bias": ([("Gemm", ["x", "w"], "y", {})], {}, "Dense(2, 'linear')"),
    "a number as bias": (
        [("Gemm", ["x", "w", "half"], "y", {})], ONE, "Dense(2, 'linear')"),
    "MatMul and Add": (
        [("MatMul", ["x", "w"], "m", {}), ("Add", ["b", "m"], "y", {})], {}, "Dense(2, 'linear')"),
    "the weight is transposed": (
        [("Transpose", ["v"], "u", {"perm": [1, 0]}), ("Identity", ["u"], "t", {}),
         ("MatMul", ["x", "t"], "y", {})], {"v": W.T.copy()}, "Dense(2, 'linear')"),
    "a Constant": (
        [("Constant", [], "k", {"value": onnx.numpy_helper.from_array(W)}),
         ("MatMul", ["x", "k"], "y", {})], {}, "Dense(2, 'linear')"),
    "a scaler before": (
        [("Sub", ["x", "d"], "s", {}), ("Div", ["s", "c"], "t", {}), LAST],
        SCALED, "Dense(2, 'linear')"),
    "Mul, then Add": (
        [("Mul", ["x", "c"], "s", {}), ("Add", ["s", "d"], "t", {}), LAST],
        SCALED, "Dense(2, 'linear')"),
    "a column times 0": (
        [("Mul", ["x", "c"], "s", {}), ("Sub", ["d", "s"], "t", {}), LAST],
        {"c": np.float32([0, 1, 2]), "d": SCALED["d"]}, "Dense(2, 'linear')"),
    "a scaler behind": (
        [("MatMul", ["x", "w"], "m", {}), ("Mul", ["m", "b"], "n", {}),
         ("Sub", ["b", "n"], "y", {})], {}, "Dense(2, 'linear')"),
    "a scaler between": (
        [LINEAR, ("Tanh", ["z"], "t", {}), ("Mul", ["t", "b"], "s", {}),
         ("Add", ["s", "b"], "u", {}), ("MatMul", ["u", "q"], "y", {})],
        {"q": np.float32([[1], [-3]])}, "Dense(2, 'tanh'), Dense(1, 'linear')"),
    "Dropout, Cast, Flatten, Reshape": (
        [("Cast", ["x"], "a", {"to": 1}), ("Flatten", ["a"], "f", {}), ("Dropout", ["f"], "d", {}),
         ("Gemm", ["d", "w", "b"], "z", {}), ("Reshape", ["z", "sizes"], "y", {})],
        {"sizes": np.array([-1, 2])}, "Dense(2, 'linear')"),
    "gelu of erf": ([LINEAR, *GELU], ONE, "Dense(2, 'gelu')"),
    "silu": (
        [LINEAR, ("Sigmoid", ["z"], "s", {}), ("Mul", ["s", "z"], "y", {})],
        {}, "Dense(2, 'silu')"),
    "twice silu": (
        [LINEAR, ("Sigmoid", ["z"], "s", {}), ("Mul", ["s", "z"], "u", {}),
         ("Mul", ["u", "b"], "v", {}), ("MatMul", ["v", "q"], "y", {})],
        {"q": np.float32([[1], [-3]])}, "Dense(2, 'silu'), Dense(1, 'linear')"),
    "softplus as PyTorch writes it": (
        [LINEAR, ("Softplus", ["z"], "s", {}),
         ("Greater", ["z", "twenty"], "g", {}), ("Where", ["g", "z", "s"], "y", {})],
        {"twenty": np.float32(20)}, "Dense(2, 'softplus')"),
    "Elu and LeakyRelu": (
        [LINEAR, ("Elu", ["z"], "e", {"alpha": 0.3}),
         ("MatMul", ["e", "q"], "m", {}), ("LeakyRelu", ["m"], "y", {"alpha": 0.1})],
        {"q": np.float32([[1], [-3]])}, "Dense(2, ELU(alpha=0.3)), Dense(1, LeakyReLU(slope=0.1))"),
    "Softmax of axis 1": (
        [LINEAR, ("Softmax", ["z"], "y", {"axis": 1})], {},
        "Dense(2, 'softmax')"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_known_nodes(name, path):
    nodes, constants, layers = CHAINS[name]
    opset = 17 if name != "gelu of erf" else 13
    path.write_bytes(made(*nodes, w=W, b=B, opset=opset, **constants))
    net = read(path)
    assert f"[{layers}]" in repr(net)
    model = onnx.load(path)
    (wanted,) = reference.ReferenceEvaluator(model).run(None, {"x": X.astype(np.float32)})
    assert difference(net.predict(X), wanted) < 1e-6


def test_a_column_of_unix_times_keeps_its_digits_behind_a_scaler(path):
    mean, scale = np.array([1.7e9, 0, 0]), np.array([1e5, 1, 1])
    nodes = [
        ("Sub", ["x", "m"], "s", {}),
        ("Div", ["s", "c"], "t", {}),
        ("Cast", ["t"], "u", {"to": 1}),
        ("Gemm", ["u", "w", "b"], "y", {}),
    ]
    net = read(path, made(*nodes, w=W, b=B, m=mean, c=scale))
    assert net.preprocessing.mean.tolist() == mean.tolist()
    assert net.dtype == np.float32
    raw = mean + X * scale
    assert difference(net.predict(raw), X.astype(np.float32) @ W + B) < 1e-6


def test_log_softmax_is_a_softmax_with_a_warning(path):
    nodes = [LINEAR, ("LogSoftmax", ["z"], "y", {"axis": -1})]
    with pytest.warns(UserWarning, match=r"'LogSoftmax of y' \(LogSoftmax\) gives logarithms"):
        net = read(path, made(*nodes, w=W, b=B))
    logits = X @ W + B
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.predict(X), wanted, rtol=1e-5)


KERNEL = np.zeros((1, 1, 1, 1), np.float32)
REFUSED = {
    "a convolution": (
        [("Conv", ["x", "k"], "y", {})], {"k": KERNEL},
        r"node 'Conv of y' \(Conv\): has no counterpart in fastbp, wanted a chain of Gemm"),
    "a dynamic weight": (
        [("MatMul", ["x", "x"], "y", {})], {},
        r"node 'MatMul of y' \(MatMul\): got the weight 'x', which is computed or an input"),
    "a sum of branches": (
        [LINEAR, ("Tanh", ["z"], "t", {}), ("Add", ["z", "t"], "y", {})], {},
        r"\(Add\): got two values that are computed"),
    "another opset's operator": (
        [LINEAR, ("Gelu", ["z"], "y", {})], {},
        r"\(Gelu\): is no operator of the file's opset, 17"),
    "an unknown attribute": (
        [LINEAR, ("Relu", ["z"], "y", {"alpha": 1.0})], {}, r"\(Relu\): got the attribute 'alpha'"),
    "too many inputs": (
        [LINEAR, ("Relu", ["z", "z"], "y", {})], {}, r"\(Relu\): got 2 inputs, wanted 1 to 1"),
    "no layer": ([("Add", ["x", "half"], "y", {})], ONE, r"got no linear layer"),
    "an activation first": (
        [("Tanh", ["x"], "y", {})], {}, r"\(Tanh\): got it before the first layer"),
    "two activations": (
        [LINEAR, ("Tanh", ["z"], "t", {}), ("Relu", ["t"], "y", {})], {},
        r"\(Relu\): got it after .*\(Gemm\), with no linear layer between"),
    "scaled outputs": (
        [LINEAR, ("Tanh", ["z"], "t", {}), ("Mul", ["t", "half"], "y", {})], ONE,
        r"got outputs that are scaled after"),
    "a scaler of another width": (
        [("Mul", ["x", "b"], "s", {}), ("Gemm", ["s", "w", "b"], "y", {})], {},
        r"\(Mul\): got 2 numbers for 3 columns"),
    "layers that do not fit": (
        [LINEAR, ("Gemm", ["z", "w", "b"], "y", {})], {},
        r"\(Gemm\): got 3 columns after 2, wanted the same"),
    "another axis": (
        [LINEAR, ("Softmax", ["z"], "y", {"axis": 0})], {}, r"\(Softmax\): got axis 0"),
    "transA": ([("Gemm", ["x", "w"], "y", {"transA": 1})], {}, r"\(Gemm\): got transA"),
    "a steep slope": (
        [LINEAR, ("LeakyRelu", ["z"], "y", {"alpha": 2.0})], {}, r"\(LeakyRelu\): slope: got 2.0"),
    "not selu": (
        [LINEAR, ("Selu", ["z"], "y", {"alpha": 1.0})], {}, r"\(Selu\): got alpha and gamma"),
    "not gelu": (
        [LINEAR, *[(op, i, o, a) for op, i, o, a in GELU]], ONE | {"root": np.float32(2)},
        r"\(Mul\): got two values that are computed"),
    "integers": (
        [("MatMul", ["x", "n"], "y", {})], {"n": np.ones((3, 2), np.int64)},
        r"\(MatMul\): got a weight of int64"),
    "half precision": (
        [("MatMul", ["x", "n"], "y", {})], {"n": np.ones((3, 2), np.float16)},
        r"tensor 'n': got FLOAT16, wanted FLOAT or DOUBLE"),
    "infinite weights": (
        [("MatMul", ["x", "n"], "y", {})], {"n": np.full((3, 2), np.inf, np.float32)},
        r"\(MatMul\), weight: got numbers that are not finite"),
    "a cast to integers": (
        [LINEAR, ("Cast", ["z"], "y", {"to": 7})], {}, r"\(Cast\): got a cast to another type"),
    "dropout in training": (
        [LINEAR, ("Dropout", ["z", "half", "yes"], "y", {})], ONE | {"yes": np.array(True)},
        r"\(Dropout\): got it in training mode"),
    "rows that change their meaning": (
        [LINEAR, ("Reshape", ["z", "sizes"], "y", {})], {"sizes": np.array([-1, 1])},
        r"\(Reshape\): got 1 columns after 2"),
    "part of the rows": (
        [LINEAR, ("Flatten", ["z"], "y", {"axis": 0})], {}, r"\(Flatten\): got another axis"),
    "a threshold": (
        [LINEAR, ("Greater", ["z", "half"], "g", {}), ("Cast", ["g"], "y", {"to": 1})], ONE,
        r"\(Greater\): got a threshold"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_named(name, path):
    nodes, constants, message = REFUSED[name]
    with pytest.raises(errors.ConversionError, match=message) as caught:
        read(path, made(*nodes, w=W, b=B, **constants))
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"opset": 6}, r"got opset 6 of ai.onnx, wanted 7 to \d+"),
        ({"opset": 1000}, r"got opset 1000 of ai.onnx, wanted 7 to \d+"),
        ({"outputs": ("y", "x")}, r"got the outputs \['y', 'x'\], wanted one"),
        ({"inputs": ("x", "x2")}, r"got the inputs \['x', 'x2'\], wanted one"),
        ({"shape": ["n", 3, 3]}, r"got an input of 3 axes, wanted rows"),
        ({"n_in": 4}, r"\(Gemm\): got 3 columns after 4"),
    ],
)
def test_a_file_of_another_form_is_named(options, message, path):
    with pytest.raises(errors.ConversionError, match=message):
        read(path, made(GEMM, w=W, b=B, **options))


def test_numbers_beside_the_file_are_read_and_nothing_outside_of_its_folder(path):
    model = onnx.ModelProto.FromString(made(GEMM, w=W, b=B))
    (path.parent / "data").write_bytes(b"8 bytes." + W.tobytes())

    def placed(**entries):
        (tensor,) = (t for t in model.graph.initializer if t.name == "w")
        tensor.ClearField("raw_data")
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        return model.SerializeToString()

    net = read(path, placed(location="data", offset="8", length="24"))
    np.testing.assert_array_equal(net.layers[0].weight, W)
    for location in ("", "..", "../data", "/etc/hostname", "no\0thing", "a/b"):
        with pytest.raises(errors.ConversionError, match=r"tensor 'w': got its numbers in"):
            read(path, placed(location=location))
    for entries in ({"offset": "9"}, {"offset": "-1"}, {"length": "23"}, {"offset": "x"}):
        with pytest.raises(errors.CorruptModelError, match="tensor 'w': its numbers are in 'data'"):
            read(path, placed(location="data", **entries))
    with pytest.raises(errors.CorruptModelError, match="No such file"):
        read(path, placed(location="nothing"))
    (path.parent / "folder").mkdir()
    with pytest.raises(errors.CorruptModelError, match="tensor 'w'"):
        read(path, placed(location="folder"))


def test_no_file_and_no_onnx_file(path):
    with pytest.raises(FileNotFoundError):
        read(path)
    with pytest.raises(IsADirectoryError):
        read(path.parent)
    with pytest.raises(OSError, match="not a regular file"):
        read("/dev/null")
    for content in (b"", b"\x00", b"not an ONNX file", b"\x89PNG\r\n", b"{}"):
        with pytest.raises(errors.CorruptModelError, match="is not a readable ONNX file"):
            read(path, content)


def test_a_circle_and_a_gap(path):
    around = [("Tanh", ["z"], "y", {}), ("Relu", ["y"], "z", {})]
    with pytest.raises(errors.CorruptModelError, match="it goes in a circle"):
        read(path, made(*around))
    with pytest.raises(errors.CorruptModelError, match="nothing gives 'nowhere'"):
        read(path, made(("Gemm", ["nowhere", "w"], "y", {}), w=W))
    with pytest.raises(errors.CorruptModelError, match="two nodes give 'y'"):
        read(path, made(GEMM, GEMM, w=W, b=B))


def test_a_function_under_our_name_that_is_another_one(path):
    net = network([fb.Dense(2, "elu")], "float64")
    net.to_onnx(path)
    model = onnx.load(path)
    model.functions[0].node[0].op_type = "Sin"
    with pytest.raises(errors.ConversionError, match=r"\(fastbp.elu\): is no function that fastbp"):
        read(path, model.SerializeToString())


def damaged(content, rng):
    """A file with a bit changed, a cut, or a node or a tensor that is another one."""
    choice = rng.randrange(4)
    if choice == 0:
        place = rng.randrange(len(content))
        return (
            content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        )
    if choice == 1:
        return content[: rng.randrange(len(content))]
    graph = (model := onnx.ModelProto.FromString(content)).graph
    node, tensor = rng.choice(graph.node), rng.choice([*graph.initializer, onnx.TensorProto()])
    names = [o for n in graph.node for o in n.output] + [t.name for t in graph.initializer]
    match rng.randrange(7):
        case 0:
            node.input[:] = [rng.choice([*names, ""]) for _ in range(rng.randrange(4))]
        case 1:
            node.op_type = rng.choice(
                ["Gemm", "Where", "Concat", "Gather", "Reshape", "Cast", "Mul"]
            )
        case 2:
            value = rng.choice([1, -5, 2.5, "x", [1, 2], [1.5], ["a"]])
            name = rng.choice(["axis", "alpha", "to", "perm", "post_transform", "coefficients"])
            node.attribute.append(helper.make_attribute(name, value))
        case 3:
            tensor.data_type = rng.randrange(-1, 30)
        case 4:
            tensor.dims.append(rng.choice([-1, 0, 2, 2**40, 2**62]))
        case 5:
            rng.choice(graph.output).name = rng.choice(names)
        case 6:
            node.domain = rng.choice(["ai.onnx", "ai.onnx.ml", "fastbp", "x"])
    return model.SerializeToString()


def attack(path, times, seed):
    contents = [p.read_bytes() for p in sorted(GOLDEN.glob("*.onnx"))]
    rng, refused = random.Random(seed), 0
    for _ in range(times):
        content = damaged(rng.choice(contents), rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path, content)
        except errors.FastbpError:
            refused += 1
    return refused


def test_damaged_files_are_named_errors(path):
    assert attack(path, 100, seed=1) > 50


@pytest.mark.slow
def test_many_damaged_files_are_named_errors(path):
    assert attack(path, 5000, seed=2) > 2500


@pytest.mark.parametrize(("change", "known"), [(1e-11, True), (1e-8, False)])
def test_a_function_of_fastbp_is_known_if_its_numbers_are_nearly_the_same(tmp_path, change, known):
    """Those of one NumPy differ from those of another."""
    net = fb.Network(3, [fb.Dense(2, "gelu")], dtype="float64", seed=0)
    net.to_onnx(tmp_path / "n.onnx")
    model = onnx.load(tmp_path / "n.onnx")
    *_, tensor = (
        node.attribute[0].t
        for node in model.functions[0].node
        if node.op_type == "Constant" and list(node.attribute[0].t.dims) == [40]
    )
    values = onnx.numpy_helper.to_array(tensor) * (1 + change)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values))
    onnx.save(model, tmp_path / "n.onnx")
    if known:
        same = fb.from_onnx(tmp_path / "n.onnx")
        assert same.parameters.tobytes() == net.parameters.tobytes()
    else:
        with pytest.raises(fb.errors.ConversionError, match="no function that fastbp writes"):
            fb.from_onnx(tmp_path / "n.onnx")
