"""Networks as PyTorch's modules, and chains of its modules as networks.

What PyTorch has no module for is one of those below; each is a plain sum, product or largest value
of linear layers, which autograd knows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..activations import resolve
from ..errors import ConfigError, ConversionError, MissingDependencyError
from ..gates import Gated as GatedLayer
from ..gates import Maxout as MaxoutLayer
from ..gates import Residual as ResidualLayer
from ..layers import Dense, Layer, Weighted
from .chain import Chain, Described
from .modelfile import Tensors

try:
    import torch
    from torch import nn
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise MissingDependencyError(
        "to_torch and from_torch need PyTorch, which is not installed: pip install torch"
    ) from error

__all__ = ["Gated", "Maxout", "Preprocessing", "Residual", "Sign", "Step", "of_module", "to_module"]

TAKEN = (
    "wanted an nn.Sequential of Linear, Dropout, Flatten, Identity, and the activations ReLU, "
    "LeakyReLU, ELU, SELU, Softplus, GELU, SiLU, Sigmoid, Tanh, Softmax and LogSoftmax"
)
# Beyond it z is log(1 + e^z) in float32, and to 2e-9 in float64.
SOFTPLUS_THRESHOLD = 20.0


class Preprocessing(nn.Module):  # type: ignore[misc]
    """``(x - mean) * matrix``, or ``@``, in float64 and rounded once to the network's dtype."""

    def __init__(self, mean: Any, matrix: Any, dtype: Any) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)
        self.register_buffer("like", torch.empty(0, dtype=dtype))  # follows .float() and .double()

    def forward(self, x: Any) -> Any:
        """Map the rows."""
        centred = x.to(self.mean.dtype) - self.mean
        mapped = centred * self.matrix if self.matrix.ndim == 1 else centred @ self.matrix
        return mapped.to(self.like.dtype)


class Maxout(nn.Module):  # type: ignore[misc]
    """The largest of several linear units for each output."""

    def __init__(self, pieces: list[Any]) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(pieces)

    def forward(self, x: Any) -> Any:
        """Return the largest piece of each output."""
        return torch.stack([piece(x) for piece in self.pieces]).amax(dim=0)


class Gated(nn.Module):  # type: ignore[misc]
    """``a * f(b)`` of two linear layers and an activation."""

    def __init__(self, a: Any, b: Any, gate: Any) -> None:
        super().__init__()
        self.a, self.b, self.gate = a, b, gate

    def forward(self, x: Any) -> Any:
        """Return the product."""
        return self.a(x) * self.gate(self.b(x))


class Residual(nn.Module):  # type: ignore[misc]
    """``P(x) + F(x)``; P is an Identity where the widths are equal."""

    def __init__(self, inner: Any, projection: Any) -> None:
        super().__init__()
        self.inner, self.projection = inner, projection

    def forward(self, x: Any) -> Any:
        """Return the sum."""
        return self.projection(x) + self.inner(x)


class Sign(nn.Module):  # type: ignore[misc]
    """-1, 0 or 1."""

    def forward(self, z: Any) -> Any:
        """Return the signs."""
        return torch.sign(z)


class Step(nn.Module):  # type: ignore[misc]
    """1 above 0, else 0."""

    def forward(self, z: Any) -> Any:
        """Return the steps."""
        return (z > 0).to(z.dtype)


_ACTIVATIONS: dict[str, Any] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sign": Sign,
    "step": Step,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
}


def to_module(network: Described) -> Any:
    """Return an nn.Sequential in evaluation mode that gives what the network predicts."""
    parts: list[Any] = []
    if network.preprocessing is not None:
        affine = network.preprocessing
        mean, matrix = (torch.from_numpy(np.array(a)) for a in (affine.mean, affine.matrix))
        parts.append(Preprocessing(mean, matrix, getattr(torch, network.dtype.name)))
    for layer in network.layers:
        parts.extend(_modules(layer))
    return nn.Sequential(*parts).eval()


def _modules(layer: Layer) -> Iterator[Any]:
    """Iterate over the modules of a layer, one after the other."""
    match layer:
        case ResidualLayer():
            inner = [module for part in layer.layers for module in _modules(part)]
            if layer.projection is None:
                projection: Any = nn.Identity()
            else:
                (projection,) = _modules(layer.projection)
            yield Residual(nn.Sequential(*inner), projection)
        case MaxoutLayer():
            yield Maxout(_pieces(layer))
        case GatedLayer():
            a, b = _pieces(layer)
            yield Gated(a, b, _activation(layer.gate, layer.gate_parameter))
        case Dense():
            yield _linear(layer, layer.weight, layer.bias)
            if layer.activation != "linear":
                yield _activation(layer.activation, layer.activation_parameter)
            if layer.dropout:
                yield nn.Dropout(layer.dropout)


def _pieces(layer: MaxoutLayer | GatedLayer) -> list[Any]:
    return [_linear(layer, layer.weight[:, i], layer.bias[i]) for i in range(layer.pieces)]


def _linear(layer: Weighted, weight: NDArray[Any], bias: NDArray[Any]) -> Any:
    # Without drawing numbers that are not wanted: the host's generator stays as it is.
    made = nn.utils.skip_init(nn.Linear, *weight.shape, dtype=getattr(torch, weight.dtype.name))
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))
        made.bias.copy_(torch.from_numpy(np.array(bias)))
    return made.requires_grad_(layer.trainable)


def _activation(name: str, parameter: float | None) -> Any:
    if name == "linear":
        return nn.Identity()
    if name == "softmax":
        return nn.Softmax(dim=-1)
    return _ACTIVATIONS[name](*() if parameter is None else (parameter,))


def of_module(module: Any) -> tuple[dict[str, Any], Tensors]:
    """Return architecture and tensors of a chain of modules, as `modelfile.read` does.

    Raises
    ------
    ConversionError
        A module, or its place, has no counterpart; the message names it.
    """
    if not isinstance(module, nn.Module):
        raise ConversionError(f"module: got {type(module).__name__}, {TAKEN}")
    chain = Chain()
    for path, part in _flat(module, "module"):
        _take(chain, path, part)
    return chain.finish("module")


def _flat(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Iterate over the modules within Sequentials, however deep, and how a user reaches them."""
    todo = [(path, module)]
    while todo:
        path, module = todo.pop()
        if _is(module, nn.Sequential):
            _require_plain(path, module)
            todo += [(f"{path}[{i}]", part) for i, part in enumerate(module)][::-1]
        else:
            yield path, module


def _is(module: Any, kind: Any) -> bool:
    """Return whether a module does what its class does: a subclass may do something else."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _require_plain(path: str, module: Any) -> None:
    if module._forward_hooks or module._forward_pre_hooks:
        raise ConversionError(
            f"{path}: got {type(module).__name__} with forward hooks, which may change what it "
            "gives; wanted none: remove them"
        )


def _take(chain: Chain, path: str, module: Any) -> None:
    """Add a module that is no Sequential to a chain."""
    _require_plain(path, module)
    where = f"{path} ({type(module).__name__})"
    if _is(module, nn.Linear):
        weight, bias = _parameters(module, where)
        chain.linear(weight, bias, where, **_group(module))
    elif _is(module, nn.Dropout):
        chain.dropout(float(module.p), where)
    elif _is(module, nn.Flatten):
        if (module.start_dim, module.end_dim) not in ((1, -1), (1, 1)):
            raise ConversionError(f"{where}: got {module}, wanted start_dim 1 and end_dim -1")
    elif _is(module, Preprocessing):
        mean, matrix = (tensor.detach().cpu().numpy() for tensor in (module.mean, module.matrix))
        chain.scale(1.0, -mean, where)
        if matrix.ndim == 1:
            chain.scale(matrix, 0.0, where)
        else:
            chain.project(matrix, where)
    elif isinstance(module, Maxout | Gated | Residual):
        n_in, described, pairs = _gate(module, where)
        chain.block(described, pairs, n_in, where)
    elif not _is(module, nn.Identity):
        name, parameter = _named(module, where)
        chain.activation(name, where, parameter)


def _named(module: Any, where: str) -> tuple[str, float | None]:
    """Return the name and the parameter of an activation."""
    if _is(module, nn.Softmax) or _is(module, nn.LogSoftmax):
        if module.dim not in (-1, 1, None):
            raise ConversionError(f"{where}: got dim {module.dim}, wanted -1, the outputs of a row")
        if _is(module, nn.LogSoftmax):
            warnings.warn(
                f"{where} gives logarithms; the network gives the probabilities, by softmax",
                UserWarning,
                stacklevel=6,
            )
        return "softmax", None
    name = next((name for name, kind in _ACTIVATIONS.items() if _is(module, kind)), None)
    if name is None:
        raise ConversionError(f"{where}: has no counterpart in fastbp, {TAKEN}")
    if name == "gelu" and module.approximate != "none":
        raise ConversionError(f"{where}: got {module}, wanted approximate='none'")
    if name == "softplus" and (module.beta != 1 or module.threshold < SOFTPLUS_THRESHOLD):
        raise ConversionError(f"{where}: got {module}, wanted beta 1 and a threshold of 20 or more")
    given = {"leaky_relu": "negative_slope", "elu": "alpha"}.get(name)
    if given is None:
        return name, None
    try:
        resolve(name, getattr(module, given))
    except ConfigError as error:
        raise ConversionError(f"{where}: {error}") from error
    return name, float(getattr(module, given))


def _parameters(module: Any, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight [n_in, n_out] and bias of a Linear."""
    given = module.weight, module.bias
    for tensor in given:
        if tensor is not None and tensor.dtype not in (torch.float32, torch.float64):
            raise ConversionError(f"{where}: got {tensor.dtype}, wanted torch.float32 or float64")
    try:
        weight, bias = (None if t is None else t.detach().cpu().numpy() for t in given)
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise ConversionError(f"{where}: its weights cannot be read: {error}") from error
    assert weight is not None
    return weight.T, np.zeros(len(weight), weight.dtype) if bias is None else bias


def _group(module: Any) -> dict[str, Any]:
    frozen = not any(p.requires_grad for p in module.parameters())
    return {"trainable": False} if frozen else {}


Pairs = list[tuple[NDArray[Any], NDArray[Any]]]


def _gate(module: Any, where: str) -> tuple[int, dict[str, Any], Pairs]:
    """Return the number of inputs of a gate, its description, and its parameters."""
    if isinstance(module, Residual):
        inner = Chain()
        for path, part in _flat(module.inner, f"{where}.inner"):
            _take(inner, path, part)
        n_in, described, pairs = inner.layers(where)
        if not _is(module.projection, nn.Identity):
            pairs.append(_parameters(module.projection, f"{where}.projection"))
        group = {} if _is(module.projection, nn.Identity) else _group(module.projection)
        projection = {"projection": group} if group else {}
        return n_in, {"kind": "residual", "layers": described, **projection}, pairs
    pieces = list(module.pieces) if isinstance(module, Maxout) else [module.a, module.b]
    parameters = [_parameters(piece, where) for piece in pieces]
    weight = np.stack([weight for weight, _ in parameters], axis=1)
    bias = np.stack([bias for _, bias in parameters])
    own: dict[str, Any] = {"units": bias.shape[1], **_group(module)}
    if isinstance(module, Maxout):
        return len(weight), {"kind": "maxout", "pieces": len(pieces), **own}, [(weight, bias)]
    gate, parameter = "linear", None
    if not _is(module.gate, nn.Identity):
        gate, parameter = _named(module.gate, f"{where}.gate")
    if parameter is not None:
        own["gate_parameter"] = parameter
    return len(weight), {"kind": "gated", "gate": gate, **own}, [(weight, bias)]
