"""A model of another library as a chain of its parts, and the network that this is.

Scalers before the first layer become the preprocessing; those after a linear layer, or before the
next, are folded into its weights. All is computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._affine import Affine
from ..errors import ConversionError
from ..layers import Layer
from .modelfile import Tensors

__all__ = ["Chain", "Described"]

Array = NDArray[Any]
# Dropout before them is dropout after them: they keep zeros and positive factors.
_HOMOGENEOUS = ("relu", "leaky_relu")


class Described(Protocol):
    """What is written of a network."""

    @property
    def n_inputs(self) -> int:
        """Of a row as the user has it."""

    @property
    def layers(self) -> Sequence[Layer]:
        """With their weights."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic."""

    @property
    def preprocessing(self) -> Affine | None:
        """What is applied to the rows first."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns."""

    @property
    def classes(self) -> Array | None:
        """The labels of the classes."""


@dataclass
class _Part:
    """A layer: its description as of `modelfile`, and its pairs of weight and bias."""

    where: str
    description: dict[str, Any]
    pairs: list[tuple[Array, Array]]
    n_in: int
    n_out: int
    dtype: np.dtype[Any]
    dense: bool = True
    open: bool = True  # whether an activation may follow, or a factor of its sums

    @property
    def activation(self) -> str:
        return str(self.description.get("activation", ""))


@dataclass
class _Front:
    """What comes before the first layer: ``(x - mean) * matrix + rest``, or ``@`` a matrix."""

    width: int | None = None
    mean: Array = field(default_factory=lambda: np.zeros(()))
    matrix: Array = field(default_factory=lambda: np.ones(()))
    rest: Array = field(default_factory=lambda: np.zeros(()))

    def scale(self, factor: Array, shift: Array) -> None:
        """Multiply by the one, then add the other."""
        self.matrix, self.rest = self.matrix * factor, self.rest * factor
        if self.matrix.ndim == 2:
            self.rest = self.rest + shift
            return
        # In the mean the shift costs no digits of columns that are far from zero.
        lost = self.matrix == 0
        self.mean = self.mean - np.where(lost, 0.0, shift / np.where(lost, 1.0, self.matrix))
        self.rest = self.rest + np.where(lost, shift, 0.0)

    def apply(self, matrix: Array) -> None:
        """Multiply by a matrix."""
        n = len(matrix)
        if self.matrix.ndim == 2:
            self.matrix = self.matrix @ matrix
        else:
            self.matrix = np.broadcast_to(self.matrix, (n,))[:, None] * matrix
        self.rest = np.broadcast_to(self.rest, (n,)) @ matrix
        self.width = matrix.shape[1]

    def is_nothing(self) -> bool:
        return self.matrix.ndim < 2 and not (
            self.mean.any() or self.rest.any() or (self.matrix != 1).any()
        )


class Chain:
    """The parts in the order in which the data go through them.

    Every method takes `where`, what an error calls the part, and raises a ConversionError if the
    part has no counterpart where it stands.
    """

    def __init__(self) -> None:
        self._front = _Front()
        self._parts: list[_Part] = []
        self._factor, self._shift = np.ones(()), np.zeros(())  # before the next layer

    @property
    def width(self) -> int | None:
        """Columns so far; None before anything has said it."""
        return self._parts[-1].n_out if self._parts else self._front.width

    def require_width(self, n: int, where: str) -> None:
        """Refuse another number of columns than `n`."""
        if self.width is None:
            self._front.width = n
        elif self.width != n:
            raise ConversionError(f"{where}: got {n} columns after {self.width}, wanted the same")

    def linear(self, weight: Array, bias: Array, where: str, **group: Any) -> None:
        """Take a layer ``x @ weight + bias``; `group` is how it is trained."""
        weight, bias = np.asarray(weight), np.asarray(bias)
        if weight.ndim != 2 or 0 in weight.shape:
            raise ConversionError(
                f"{where}: got a weight of shape {weight.shape}, wanted (n_inputs, n_outputs)"
            )
        n_in, n_out = weight.shape
        self.require_width(n_in, where)
        dtype = _own_dtype(where, weight, bias)
        factor, shift = (np.broadcast_to(a, (n_in,)) for a in self._pending())
        exact = weight.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = _vector(bias, n_out, where) + shift @ exact
            exact = factor[:, None] * exact
        described = {"units": n_out, "activation": "linear", **group}
        pair = exact, np.broadcast_to(sums, (n_out,)).astype(np.float64)
        self._parts.append(_Part(where, described, [pair], n_in, n_out, dtype))

    def block(
        self, description: dict[str, Any], pairs: list[tuple[Array, Array]], n_in: int, where: str
    ) -> None:
        """Take a layer of fastbp's own, as `modelfile.description` has it, with its parameters."""
        self.require_width(n_in, where)
        if self._is_scaled():
            raise ConversionError(f"{where}: got a factor or a sum before it, wanted none")
        dtype = _own_dtype(where, *(array for pair in pairs for array in pair))
        units = pairs[-1][1].shape[-1]
        part = _Part(where, description, pairs, n_in, int(units), dtype, dense=False, open=False)
        self._parts.append(part)

    def scale(self, factor: Any, shift: Any, where: str) -> None:
        """Take ``x * factor + shift``, numbers or vectors of one for each column."""
        factor, shift = _vector(factor, self.width, where), _vector(shift, self.width, where)
        for size in {factor.size, shift.size} - {1}:
            self.require_width(size, where)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if not self._parts:
                self._front.scale(factor, shift)
            elif self._parts[-1].open:
                part = self._parts[-1]
                (weight, bias), n = part.pairs[0], part.n_out
                part.pairs[0] = weight * factor, np.broadcast_to(bias * factor + shift, (n,))
            else:
                self._factor = self._factor * factor
                self._shift = self._shift * factor + shift

    def project(self, matrix: Array, where: str) -> None:
        """Take ``x @ matrix`` of a preprocessing, such as principal components."""
        if self._parts:
            raise ConversionError(f"{where}: got it behind a layer, wanted it before the first one")
        self.require_width(len(matrix), where)
        self._front.apply(np.asarray(matrix, np.float64))

    def activation(self, name: str, where: str, parameter: float | None = None) -> None:
        """Take an activation by its name here."""
        if name == "linear":
            return
        if not self._parts:
            raise ConversionError(f"{where}: got it before the first layer, wanted a linear layer")
        part = self._parts[-1]
        dropped = part.dense and part.activation == "linear" and not self._is_scaled()
        if not part.open and not (dropped and name in _HOMOGENEOUS):
            raise ConversionError(
                f"{where}: got it after {part.where}, with no linear layer between the two, wanted "
                "one activation for each layer"
            )
        part.description["activation"] = name
        if parameter is not None:
            part.description["activation_parameter"] = parameter
        part.open = False

    def dropout(self, rate: float, where: str) -> None:
        """Take dropout of the outputs of a hidden layer."""
        if not rate:
            return
        part = self._parts[-1] if self._parts else None
        if part is None or not part.dense or part.activation == "softmax":
            raise ConversionError(
                f"{where}: got dropout {'of the inputs' if part is None else 'of ' + part.where}, "
                "wanted it after a Dense hidden layer whose activation is element-wise"
            )
        keep = (1 - rate) * (1 - part.description.get("dropout", 0.0))
        part.description["dropout"], part.open = 1 - keep, False

    def finish(
        self,
        what: str,
        columns: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        metadata: dict[str, str] | None = None,
    ) -> tuple[dict[str, Any], Tensors]:
        """Return architecture and tensors of the network, as `modelfile.read` does.

        Raises
        ------
        ConversionError
            There is no layer, or a number is not finite.
        """
        if not self._parts:
            raise ConversionError(f"{what}: got no linear layer, wanted one at least")
        first, last = self._parts[0], self._parts[-1]
        if self._is_scaled():
            raise ConversionError(
                f"{what}: got outputs that are scaled after {last.where}, wanted its activation to "
                "be the last"
            )
        if last.description.get("dropout"):
            raise ConversionError(f"{what}: got dropout of the outputs, wanted it before a layer")
        dtype = np.result_type(*(part.dtype for part in self._parts))
        preprocessing = self._preprocessing(first)
        architecture: dict[str, Any] = {
            "n_inputs": first.n_in,
            "layers": [part.description for part in self._parts],
            "dtype": dtype.name,
            "metadata": metadata or {},
        }
        pairs = [(p.where, pair) for p in self._parts for pair in p.pairs]
        tensors = {
            f"layers.{i}.{name}": _finite(array, dtype, f"{where}, {name}")
            for i, (where, pair) in enumerate(pairs)
            for name, array in zip(("weight", "bias"), pair, strict=True)
        }
        if preprocessing is not None:
            architecture["preprocessing"] = list(preprocessing["preprocessing.matrix"].shape)
            tensors |= preprocessing
        if columns is not None:
            architecture["columns"] = list(columns)
        if classes is not None:
            architecture["classes"] = list(classes)
        return architecture, tensors

    def layers(self, what: str) -> tuple[int, list[dict[str, Any]], list[tuple[Array, Array]]]:
        """Return width, descriptions and parameters of a branch, which has no preprocessing."""
        if not self._parts or not self._front.is_nothing() or self._is_scaled():
            raise ConversionError(f"{what}: got a branch that is no chain of layers, wanted one")
        described = [part.description for part in self._parts]
        pairs = [
            (weight.astype(part.dtype), bias.astype(part.dtype))
            for part in self._parts
            for weight, bias in part.pairs
        ]
        return self._parts[0].n_in, described, pairs

    def _is_scaled(self) -> bool:
        """Return whether there is a factor or a shift that no layer has taken yet."""
        return bool((self._factor != 1).any() or self._shift.any())

    def _pending(self) -> tuple[Array, Array]:
        """Return factor and shift that no layer has taken yet, and forget them."""
        found = self._factor, self._shift
        self._factor, self._shift = np.ones(()), np.zeros(())
        return found

    def _preprocessing(self, first: _Part) -> Tensors | None:
        """Return the tensors of what comes before the first layer, whose bias takes the rest."""
        front, n = self._front, first.n_in
        if front.is_nothing():
            return None
        if front.rest.any():
            if not first.dense:
                raise ConversionError(
                    f"{first.where}: got a sum before it that is no mean of the raw columns, "
                    "wanted none"
                )
            weight, bias = first.pairs[0]
            first.pairs[0] = weight, bias + np.broadcast_to(front.rest, (n,)) @ weight
        raw = len(front.matrix) if front.matrix.ndim == 2 else n
        matrix = front.matrix if front.matrix.ndim == 2 else np.broadcast_to(front.matrix, (n,))
        found = {"mean": np.broadcast_to(front.mean, (raw,)), "matrix": matrix}
        float64 = np.dtype(np.float64)
        return {
            f"preprocessing.{name}": _finite(array, float64, f"preprocessing, {name}")
            for name, array in found.items()
        }


def _own_dtype(where: str, *arrays: Array) -> np.dtype[Any]:
    found = np.result_type(*arrays)
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ConversionError(f"{where}: got weights of {found}, wanted float32 or float64")
    return found


def _vector(value: Any, n: int | None, where: str) -> Array:
    """Return one number for all columns, or a vector with one for each, in float64."""
    array = np.asarray(value, np.float64)
    if array.size == 1:
        return array.reshape(())
    if array.size != max(array.shape, default=1) or array.shape[-1] != array.size:
        raise ConversionError(
            f"{where}: got numbers of shape {array.shape}, wanted one, or one for each column"
        )
    if n is not None and array.size != n:
        raise ConversionError(
            f"{where}: got {array.size} numbers for {n} columns, wanted as many, or one"
        )
    return array.reshape(-1)


def _finite(array: Array, dtype: np.dtype[Any], where: str) -> Array:
    with np.errstate(over="ignore"):
        found = np.array(array, dtype, order="C")
    if not np.isfinite(found).all():
        raise ConversionError(f"{where}: got numbers that are not finite in {dtype}, wanted finite")
    return found
