"""A network to and from its plain description, and so to and from a file.

The description is the architecture, a dict that JSON can hold, and the tensors by name. The
file library is imported when a file is touched, not with the package.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _check
from ._affine import Affine
from ._layer import Layer
from .activations import resolve
from .engine.builder import Wiring
from .errors import ConfigError, CorruptModelError
from .gates import Gated, Maxout, Residual
from .layers import Dense, network_layers
from .network import Network

__all__ = ["architecture", "load", "rebuild", "save", "tensors"]


def save(network: Network, path: str | os.PathLike[str]) -> None:
    """Write `network` to a safetensors file; see `Network.save`."""
    from .formats import modelfile as _modelfile

    _modelfile.write(path, architecture(network), tensors(network))


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that `Network.save` wrote to `path`.

    Raises
    ------
    CorruptModelError
        The file is not a whole, unchanged fastbp model.
    OSError
        The file does not exist or cannot be read.
    """
    from .formats import modelfile as _modelfile

    description, arrays = _modelfile.read(path)
    try:
        return rebuild(description, arrays)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise CorruptModelError(f"{path} describes no usable network: {error}") from error


def architecture(network: Network) -> dict[str, Any]:
    """Return what `rebuild` needs besides the tensors, as JSON can hold it."""
    if not all(isinstance(text, str) for item in network.metadata.items() for text in item):
        raise ConfigError(f"metadata: got {network.metadata!r}, wanted strings by strings")
    described = {
        "n_inputs": network._n_inputs,
        "layers": [_describe(layer) for layer in network.layers],
        "dtype": network.dtype.name,
        "metadata": network.metadata,
    }
    if network.preprocessing is not None:
        described["preprocessing"] = list(network.preprocessing.matrix.shape)
    return described


def tensors(network: Network) -> dict[str, NDArray[Any]]:
    """Return copies of the parameters: ``layers.<i>.weight`` and ``layers.<i>.bias``.

    i counts those layers that have them, as `Network.weighted_layers` does.

    Of a preprocessing also ``preprocessing.mean`` and ``preprocessing.matrix``, in float64.
    """
    found = {
        f"layers.{i}.{name}": np.array(getattr(layer, name), order="C")
        for i, layer in enumerate(network.weighted_layers)
        for name in ("weight", "bias")
    }
    ahead = network.preprocessing
    if ahead is not None:
        found |= {"preprocessing.mean": ahead.mean, "preprocessing.matrix": ahead.matrix}
    return found


def rebuild(architecture: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> Network:
    """Return a new network of this architecture with these parameters.

    Raises
    ------
    LookupError, TypeError, ValueError
        The two do not describe a network.
    """
    n_inputs = _check.positive_int(architecture["n_inputs"], "n_inputs")
    dtype = _check.floating_dtype(architecture["dtype"])
    layers = network_layers([_layer(**layer) for layer in architecture["layers"]])
    wanted = {name: (shape, dtype) for name, shape in _shapes(n_inputs, dtype, layers).items()}
    if "preprocessing" in architecture:
        shape, float64 = tuple(architecture["preprocessing"]), np.dtype(np.float64)
        wanted["preprocessing.mean"] = (shape[:1], float64)
        wanted["preprocessing.matrix"] = (shape, float64)
    # Compared before anything is allocated: a forged architecture may ask for any size.
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    if found != wanted:
        raise ValueError("the tensors do not fit the architecture")
    network = Network._unset(n_inputs, layers, dtype)
    network.metadata = dict(architecture["metadata"])
    for i, layer in enumerate(network.weighted_layers):
        layer.weight[...] = tensors[f"layers.{i}.weight"]
        layer.bias[...] = tensors[f"layers.{i}.bias"]
    if "preprocessing" in architecture:
        maps = tensors["preprocessing.mean"], tensors["preprocessing.matrix"]
        network.preprocessing = Affine(*maps)
    return network


def _describe(layer: Layer) -> dict[str, Any]:
    """Return the options of a layer; those that it does not use are left out."""
    match layer:
        case Residual():
            return {"kind": "residual", "layers": [_describe(inner) for inner in layer.layers]}
        case Maxout():
            return {"kind": "maxout", "units": layer.units, "pieces": layer.pieces}
        case Gated():
            described = {"kind": "gated", "units": layer.units, "gate": layer.gate}
            return described | _given(gate_parameter=layer.gate_parameter)
        case Dense():
            described = {"units": layer.units, "activation": layer.activation}
            options = {"activation_parameter": layer.activation_parameter}
            return described | _given(**options, dropout=layer.dropout or None)
    raise TypeError(f"got {layer!r}, wanted a layer of fastbp")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _layer(kind: str = "dense", **options: Any) -> Layer:
    """Return the layer that `_describe` described; a Dense has no kind."""
    if kind == "residual":
        return Residual([_layer(**inner) for inner in options.pop("layers")], **options)
    if kind == "maxout":
        return Maxout(**options)
    if kind == "gated":
        gate = resolve(options.pop("gate"), options.pop("gate_parameter", None))
        return Gated(gate=gate, **options)
    if kind != "dense":
        raise ValueError(f"kind: got {kind!r}, wanted dense, maxout, gated or residual")
    parameter = options.pop("activation_parameter", None)
    return Dense(activation=resolve(options.pop("activation"), parameter), **options)


def _shapes(n_inputs: int, dtype: np.dtype, layers: list[Layer]) -> dict[str, tuple[int, ...]]:
    wiring, top = Wiring(n_inputs, dtype), -1
    for layer in layers:
        _, top = layer._place(wiring, top)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (weight, bias) in enumerate(wiring.shapes):
        shapes[f"layers.{i}.weight"], shapes[f"layers.{i}.bias"] = weight, bias
    return shapes
