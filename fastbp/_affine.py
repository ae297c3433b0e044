"""The affine map x' = (x - mean) M before the first layer: applied, pulled back, folded.

A map of each column by itself keeps only the diagonal of M. All is computed in float64, matrix
products by the engine, so that the map of a row depends neither on the rows around it nor on
the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _check, _frames
from .engine.arrays import all_finite
from .engine.model import Model
from .engine.rows import Rows
from .engine.runtime import get_num_threads
from .errors import ConfigError, InputError, ShapeError, brief
from .gates import Residual
from .layers import Dense, Layer, Weighted

__all__ = [
    "Affine",
    "MappedRows",
    "attached",
    "centred",
    "first_layer_inputs",
    "fold",
    "folding_error",
    "rows_of",
]

Parameters = tuple[NDArray[Any], NDArray[Any]]

# Entries that are mapped at a time: 4 MiB in float64, in whole passes of the engine.
BLOCK, PASS_ROWS = 2**19, 128


class _Layered(Protocol):
    @property
    def layers(self) -> Sequence[Layer]: ...


class Affine:
    """The map ``x' = (x - mean) M``.

    Parameters
    ----------
    mean : array_like
        [n_inputs].
    matrix : array_like
        M, [n_inputs, n_outputs], or its diagonal [n_inputs].

    Attributes
    ----------
    columns : tuple of str or None
        The names of the columns, if it was fitted to a data frame: other frames are taken by them,
        also by a network that it is attached to.

    Raises
    ------
    ShapeError, InputError, DTypeError
        The two are not finite arrays of these shapes.
    """

    columns: _frames.Columns = None
    _mean: NDArray[np.float64] | None = None
    _matrix: NDArray[np.float64] | None = None
    _image: NDArray[np.float64] | None = None

    def __init__(self, mean: ArrayLike, matrix: ArrayLike) -> None:
        self._set(mean, matrix)

    def _set(
        self,
        mean: ArrayLike,
        matrix: ArrayLike,
        image: ArrayLike | None = None,
        **others: Any,
    ) -> None:
        """Set the map, and other attributes, all at once.

        `image` [2, n_outputs] is the mean and deviation of the mapped columns.
        """
        float64 = np.dtype(np.float64)
        n, shape = math.prod(_check.shape(mean, "mean")), _check.shape(matrix, "matrix")
        mean = _check.parameter(mean, (max(n, 1),), float64, "mean")
        if not shape or shape[0] != n or len(shape) > 2 or 0 in shape:
            raise ShapeError(f"matrix: got shape {shape}, wanted ({n}, n_outputs) or ({n},)")
        checked = mean, _check.parameter(matrix, shape, float64, "matrix")
        mean, matrix = (np.array(array, order="C") for array in checked)
        if image is not None:
            image = np.array(_check.parameter(image, (2, shape[-1]), float64, "image"), order="C")
        self._protect(mean, matrix)
        self.__dict__.pop("_model", None)
        # One call, which no interrupt divides.
        vars(self).update(others, _mean=mean, _matrix=matrix, _image=image)

    @staticmethod
    def _protect(*arrays: NDArray[Any] | None) -> None:
        """Make mean and matrix read-only: others are computed from them."""
        for array in arrays:
            if array is not None:
                array.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: not the engine's copy of the matrix."""
        return {name: value for name, value in vars(self).items() if name != "_model"}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Take what a pickle holds."""
        vars(self).update(values)
        self._protect(self._mean, self._matrix)

    @classmethod
    def _of(cls, mean: ArrayLike, matrix: ArrayLike, image: ArrayLike | None) -> Affine:
        """Return a map with its image; see `_set`."""
        own = object.__new__(cls)
        own._set(mean, matrix, image)
        return own

    @property
    def mean(self) -> NDArray[np.float64]:
        """The vector that is subtracted, float64 [n_inputs]; read-only."""
        return self._fitted()[0]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """M, float64 [n_inputs, n_outputs], or its diagonal [n_inputs]; read-only."""
        return self._fitted()[1]

    @property
    def n_inputs(self) -> int:
        """Number of columns that the map takes."""
        return len(self.mean)

    @property
    def n_outputs(self) -> int:
        """Number of columns that it gives."""
        return int(self.matrix.shape[-1])

    def transform(self, x: ArrayLike) -> NDArray[Any]:
        """Return the mapped rows [n, n_outputs] of `x` [n, n_inputs], float32 if `x` is.

        Raises
        ------
        InputError, ShapeError, DTypeError
            `x` is not a finite [n, n_inputs] array of numbers, or what it becomes is not finite.
        ConfigError
            The map has not been fitted.
        """
        if _frames.is_frame(x):
            x = _frames.by_name(x, self.columns, "x")[0]
        return self._transform(x, None, "x")

    def fold_into_outputs(self, network: _Layered) -> None:
        """Change the last layer so that the network gives ``y`` where it gave ``(y - mean) M``.

        Parameters
        ----------
        network : Network

        Raises
        ------
        ConfigError
            The last layer is not linear, or M is not diagonal.
        InputError, ShapeError
            The new weights are not finite in the network's dtype, or M has not a number for each
            output; nothing has changed.
        """
        layers = getattr(network, "layers", None)
        if not isinstance(layers, tuple):
            raise ConfigError(f"network: got {brief(network)}, wanted a Network")
        layer = layers[-1]
        if not isinstance(layer, Dense) or layer.activation != "linear":
            raise ConfigError(f"last layer: got {layer!r}, wanted a linear Dense")
        if self.matrix.ndim != 1:
            raise ConfigError(f"matrix: got shape {self.matrix.shape}, wanted a diagonal")
        if len(self.matrix) != layer.units:
            raise ShapeError(
                f"matrix: got {len(self.matrix)} columns, wanted {layer.units}, one per output"
            )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            weight, bias = layer.weight / self.matrix, layer.bias / self.matrix + self.mean
        dtype = layer.weight.dtype
        bias = _check.parameter(bias, bias.shape, dtype, "folded bias")
        weight = _check.parameter(weight, weight.shape, dtype, "folded weight")
        before = layer.weight.copy(), layer.bias.copy()
        try:
            layer.weight, layer.bias = weight, bias
        except BaseException:  # an interrupt between the two
            layer.weight, layer.bias = before
            raise

    def __repr__(self) -> str:
        """Return how many columns go in and out."""
        return f"Affine({self.n_inputs} to {self.n_outputs})"

    def _fitted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self._mean is None or self._matrix is None:
            raise ConfigError(f"preprocessing: got {self!r} without a fit, wanted .fit(x) before")
        return self._mean, self._matrix

    @cached_property
    def _model(self) -> Model:
        return _linear(self.matrix)

    @property
    def _mapped(self) -> NDArray[np.float64]:
        """Mean and deviation of x', [2, n_outputs]: 0 and 1 if the map was not fitted."""
        if self._image is not None:
            return self._image
        return np.repeat([[0.0], [1.0]], self.n_outputs, axis=1)

    def _diagonal(self) -> Parameters | None:
        """Return mean and diagonal, which the engine applies while it gathers; None without one."""
        mean, matrix = self._fitted()
        return (mean, matrix) if matrix.ndim == 1 else None

    def _transform(self, x: ArrayLike, dtype: np.dtype[Any] | None, name: str) -> NDArray[Any]:
        """Return the mapped rows in `dtype`, None for that of `x`; errors call them `name`."""
        mapped = MappedRows(self, x, dtype, name)
        out = np.empty((len(mapped), self.n_outputs), mapped.dtype)
        for part, rows in mapped.blocks():
            out[part] = rows
        return out

    def _pushed_forward(self, u: NDArray[Any]) -> NDArray[np.float64]:
        """Return how fast x' changes when x moves along u."""
        return u * self.matrix if self.matrix.ndim == 1 else _product(u, self.matrix)

    def _pulled_back(self, dx: NDArray[Any]) -> NDArray[Any]:
        """Return the gradient with respect to x from that with respect to x'."""
        if self.matrix.ndim == 1:
            return (dx * self.matrix).astype(dx.dtype)
        return _product(dx, self.matrix.T).astype(dx.dtype)


class MappedRows:
    """Rows behind a map, computed block by block.

    Parameters
    ----------
    affine : Affine
    x : array_like
        Raw rows; an array of a type that the engine converts is used in place.
    dtype : dtype or None
        Of the mapped rows; None for float32 if `x` is, else float64.
    name : str
        Of `x` in errors.

    Raises
    ------
    InputError, ShapeError, DTypeError
        `x` is not a finite [n, n_inputs] array of numbers; in `blocks`, what it becomes is not
        finite.
    """

    def __init__(
        self, affine: Affine, x: ArrayLike, dtype: np.dtype[Any] | None, name: str
    ) -> None:
        self._affine, self._name = affine, name
        self._x = _check.raw_rows(x, affine.n_inputs, name)
        own = _check.DTYPES["float32" if self._x.dtype == np.float32 else "float64"]
        self.dtype = own if dtype is None else dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._x)

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Iterate over blocks of rows: their place, and the mapped rows."""
        affine = self._affine
        diagonal = affine.matrix.ndim == 1
        for part, block in centred(self._x, affine.mean):
            with np.errstate(over="ignore"):
                mapped = block * affine.matrix if diagonal else _rows_by(affine._model, block)
                mapped = mapped.astype(self.dtype, copy=False)
            if not all_finite(mapped):
                found = _check.not_finite(mapped, self._name, part.start)
                raise InputError(f"preprocessed {found}")
            yield part, mapped


def rows_of(x: ArrayLike, n_inputs: int, name: str = "x") -> NDArray[Any]:
    """Return `x` as a finite array [n >= 1, n_inputs], in float32 if that is what it is."""
    float32 = _check.DTYPES["float32"]
    dtype = float32 if getattr(x, "dtype", None) == float32 else _check.DTYPES["float64"]
    return _check.inputs(x, n_inputs, dtype, name)


def centred(
    x: _check.AnyRows, mean: NDArray[np.float64], least: int = 1
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Iterate over blocks of rows, `least` or more: their place, and ``x - mean`` in float64."""
    rows = max(1, BLOCK // x.shape[1] // PASS_ROWS) * PASS_ROWS
    rows = max(rows, least)
    for first in range(0, len(x), rows):
        part = slice(first, first + rows)
        block = x[part]
        yield part, (block.unmapped() if isinstance(block, Rows) else block) - mean


def first_layer_inputs(n_inputs: int, affine: Any) -> int:
    """Return how many columns the first layer takes behind a map, or None, for `n_inputs`."""
    if not isinstance(affine, Affine):
        return n_inputs
    if affine.n_inputs != n_inputs:
        raise ShapeError(
            f"n_inputs: got {n_inputs} with a preprocessing of {affine.n_inputs} columns, wanted "
            "the same"
        )
    return affine.n_outputs


def attached(value: Any, n_outputs: int) -> Affine | None:
    """Return `value`, a fitted map to `n_outputs` columns or None, as a copy of its own."""
    if value is None:
        return None
    if not isinstance(value, Affine):
        raise ConfigError(
            f"preprocessing: got {brief(value)}, wanted one of fastbp.preprocess, or None"
        )
    if value.n_outputs != n_outputs:
        raise ShapeError(
            f"preprocessing: got a map to {value.n_outputs} columns, wanted {n_outputs}, as many "
            "as the first layer takes"
        )
    copied = Affine._of(value.mean, value.matrix, value._image)
    copied.columns = value.columns
    return copied


def fold(affine: Affine, layers: Iterable[Layer], twins: Iterable[Layer]) -> None:
    """Set the parameters of `twins`, which take raw rows, to those of `layers` behind the map.

    ``((x - mean) M) W + b`` is ``x (M W) + (b - mean (M W))``. Of a Residual both ways take raw
    rows: the first layer within, and the projection. Where there is none, x' itself is the other
    summand, as if W were 1 and b 0, and the folded sum needs a projection of its own.

    Raises
    ------
    ConfigError
        A raw row is as wide as the sum, which has no projection then.
    """
    _fold_first(affine, layers, twins, "layers")


def folding_error(affine: Affine, layers: Iterable[Layer], dtype: np.dtype[Any]) -> float:
    """Return the largest share of a net input that rounding may take in folded `layers` of `dtype`.

    With u the unit roundoff, the sum over raw columns ``x W'`` and ``b'`` are each rounded to u of
    their terms, and W' and b' once more; against it stands the size of the net input itself, the
    same sum over ``x' W`` and b. Columns are taken at their mean and deviation in the rows that
    the map was fitted to; of a map that was not fitted, x' has mean 0 and deviation 1.
    """
    return max(
        _rounding_share(affine, weight, bias, dtype) for weight, bias in _first_parameters(layers)
    )


def _first_parameters(layers: Iterable[Layer]) -> Iterator[Parameters]:
    """Iterate over weights and biases that take what the map gives."""
    first = next(iter(layers))
    if isinstance(first, Residual):
        n, sum_of = first.units, first.projection
        yield (np.eye(n), np.zeros(n)) if sum_of is None else (sum_of.weight, sum_of.bias)
        yield from _first_parameters(first.layers)
    else:
        own = cast(Weighted, first)
        yield own.weight, own.bias


def _rounding_share(
    affine: Affine, weight: NDArray[Any], bias: NDArray[Any], dtype: np.dtype[Any]
) -> float:
    info = np.finfo(dtype)
    centre, spread = affine._mapped
    mapped_size = (np.abs(centre) + spread)[None, :]
    raw_size = _raw_size(affine)[None, :]
    flat, offset = (
        np.abs(a).astype(np.float64).reshape(n, -1) for a, n in ((weight, len(weight)), (bias, 1))
    )
    size = (_product(mapped_size, flat) + offset)[0]
    folded = [a.reshape(-1, size.size) for a in _through(affine, weight, bias)]
    with np.errstate(over="ignore", under="ignore"):
        stored = [a.astype(dtype).astype(np.float64) for a in folded]
    if not all(np.isfinite(a).all() for a in stored):
        return np.inf
    lost = [  # the engine takes denormal numbers for zero
        np.abs(np.where(np.abs(s) < info.tiny, 0.0, s) - f) + info.eps / 2 * np.abs(f)
        for s, f in zip(stored, folded, strict=True)
    ]
    error = (_product(raw_size, lost[0]) + lost[1])[0]
    return float(np.max(error / np.where(size > 0, size, 1.0)))


def _raw_size(affine: Affine) -> NDArray[np.float64]:
    """Return |mean| + deviation of each raw column, the deviation of those that vary in x'."""
    mean, matrix, (centre, spread) = affine.mean, affine.matrix, affine._mapped
    if matrix.ndim == 1:
        inverse = 1 / np.where(matrix == 0, np.inf, matrix)
        size: NDArray[np.float64] = np.abs(mean + centre * inverse) + np.abs(spread * inverse)
        return size
    back: NDArray[np.float64] = np.linalg.pinv(matrix * (spread > 0))
    deviation: NDArray[np.float64] = np.sqrt(np.square(back * spread[:, None]).sum(axis=0))
    return np.abs(mean) + deviation


def _fold_first(affine: Affine, mine: Iterable[Layer], twin: Iterable[Layer], path: str) -> None:
    """Set the parameters of layers one above the other, the first of which takes raw rows."""
    (first, *rest), (first_twin, *rest_twin) = mine, twin
    if isinstance(first, Residual):
        _fold_sum(affine, first, cast(Residual, first_twin), f"{path}[0]")
    else:
        own = cast(Weighted, first)
        _set(first_twin, [_through(affine, own.weight, own.bias)])
    for layer, other in zip(rest, rest_twin, strict=True):
        _set(other, [(own.weight, own.bias) for own in layer._weighted()])


def _fold_sum(affine: Affine, mine: Residual, twin: Residual, path: str) -> None:
    n, own = mine.units, mine.projection
    if twin.projection is None:
        raise ConfigError(
            f"{path}: got {mine!r}, as wide as a raw row ({n}), which it would add as it is, with "
            "no projection to take the map; wanted another width, a Dense, Maxout or Gated before "
            "it, or no fold: predict applies the map by itself"
        )
    parameters = (np.eye(n), np.zeros(n)) if own is None else (own.weight, own.bias)
    _set(twin.projection, [_through(affine, *parameters)])
    _fold_first(affine, mine.layers, twin.layers, f"{path}.layers")


def _through(affine: Affine, weight: NDArray[Any], bias: NDArray[Any]) -> Parameters:
    """Return M W and b - mean M W, computed in float64; a constant x' is part of the bias alone."""
    flat, matrix = weight.astype(np.float64).reshape(len(weight), -1), affine.matrix
    centre, spread = affine._mapped
    varies = spread > 0
    constant = _product(np.where(varies, 0.0, centre)[None, :], flat)[0]
    matrix = matrix * varies
    flat = matrix[:, None] * flat if matrix.ndim == 1 else _product(matrix, flat)
    shift = _product(affine.mean[None, :], flat)[0] - constant
    return flat.reshape(len(flat), *weight.shape[1:]), bias - shift.reshape(bias.shape)


def _set(layer: Layer, parameters: Iterable[Parameters]) -> None:
    for own, (weight, bias) in zip(layer._weighted(), parameters, strict=True):
        own.weight, own.bias = weight, bias


def _linear(matrix: NDArray[Any]) -> Model:
    """Return an engine's layer that multiplies by `matrix`."""
    n_in, n_out = matrix.shape
    model = Model(n_in, [n_out], ["linear"], "float64")
    model.weight(0)[...] = matrix
    return model


def _rows_by(model: Model, rows: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    return model.activations(rows, get_num_threads())[0]


def _product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    return _rows_by(_linear(b), a)
