"""Makes ONNX files with the exporters that are installed: `python -m onnx_golden FOLDER`.

Those in tests/formats/golden are of the versions in their names.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np

N_INPUTS = 3
SHORT = {"max_iter": 30, "random_state": 0}


def write_torch(folder: Path) -> None:
    """An nn.Sequential of every activation, by both exporters of PyTorch."""
    import onnx
    import torch
    from torch import nn

    torch.manual_seed(0)
    activations = [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.SELU(), nn.Softplus(), nn.GELU()]
    activations += [nn.SiLU(), nn.Sigmoid(), nn.Tanh()]
    hidden = [module for f in activations for module in (nn.Linear(2, 2), f)]
    head = [nn.Dropout(0.1), nn.Linear(2, 3, bias=False), nn.Softmax(1)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(N_INPUTS, 2), nn.Tanh(), *hidden, *head).eval()
    x, version = (torch.randn(2, N_INPUTS),), torch.__version__.partition("+")[0]
    path = folder / f"torch-{version}-torchscript.onnx"
    names = {"input_names": ["input"], "dynamic_axes": {"input": {0: "n"}}}
    torch.onnx.export(model, x, path, dynamo=False, opset_version=17, **names)
    path = folder / f"torch-{version}-dynamo.onnx"
    shapes = ({0: torch.export.Dim("n")},)
    torch.onnx.export(model, x, path, dynamo=True, external_data=False, dynamic_shapes=shapes)
    made = onnx.load(path)
    for node in made.graph.node:  # which have the stack where each was traced
        node.ClearField("metadata_props")
    made.graph.ClearField("value_info")
    path.write_bytes(made.SerializeToString())


def write_keras(folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    hidden = [dense(2, activation=name) for name in ("relu", "gelu", "silu", "leaky_relu")]
    head = [keras.layers.Dropout(0.1), dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((N_INPUTS,)), *hidden, *head])
    model(np.ones((2, N_INPUTS), np.float32))
    path = folder / f"keras-{keras.__version__}.onnx"
    model.export(path, format="onnx", verbose=False)


def write_skl2onnx(folder: Path) -> None:
    import skl2onnx
    from sklearn.datasets import load_iris
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    x, y = load_iris(return_X_y=True)
    x, names = x[:, :N_INPUTS], np.array(["a", "b", "c"])[y]
    binary = MLPClassifier((3,), "tanh", **SHORT)
    regressor = MLPRegressor(hidden_layer_sizes=(3,), activation="logistic", **SHORT)
    models = {
        "classifier": (make_pipeline(StandardScaler(), MLPClassifier((4,), **SHORT)), names),
        "binary": (make_pipeline(MinMaxScaler(), binary), y > 0),
        "regressor": (make_pipeline(RobustScaler(), PCA(2), regressor), x[:, 0]),
        "logistic": (LogisticRegression(max_iter=500), names),
        "logistic-binary": (LogisticRegression(), y > 0),
        "linear": (LinearRegression(), x[:, :2]),
    }
    for name, (model, target) in models.items():
        made = skl2onnx.to_onnx(model.fit(x, target), x[:1].astype(np.float32))
        path = folder / f"skl2onnx-{skl2onnx.__version__}-{name}.onnx"
        path.write_bytes(made.SerializeToString())


def write_fastbp(folder: Path) -> None:
    import fastbp as fb

    names = ("step", "elu", "selu", "softplus", "gelu", "silu", "leaky_relu")
    layers = [*(fb.Dense(2, name) for name in names), fb.Dense(1, "sigmoid")]
    affine = fb.preprocess.PCA(2).fit(np.random.default_rng(0).normal(size=(9, N_INPUTS)))
    for dtype in ("float32", "float64"):
        net = fb.Network(N_INPUTS, layers, dtype=dtype, seed=0, preprocessing=affine)
        net.classes, net.columns = ["no", "yes"], ["a", "b", "c"]
        net.to_onnx(folder / f"fastbp-{fb.__version__}-{dtype}.onnx")


WRITERS = {
    "torch": write_torch,
    "keras": write_keras,
    "skl2onnx": write_skl2onnx,
    "fastbp": write_fastbp,
}


def main(folder: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters
        for write in WRITERS.values():
            write(Path(folder))


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "torch"
    main(sys.argv[1])
