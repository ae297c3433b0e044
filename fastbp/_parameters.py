"""The parameters of a network in the engine's memory, by name and place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from . import _check
from .engine.model import Model
from .errors import ConfigError, brief
from .layers import Weighted

__all__ = ["FlatParameters"]


class FlatParameters(Mapping[str, NDArray[Any]]):
    """The weights and biases by their names, and the block of memory that holds them all.

    A mapping: ``flat["layers.0.weight"]`` is a writable view of the engine's memory, which the next
    call of the network sees; it is that of ``weighted_layers[0].weight``, and the names are those
    of the files. Views stay valid as long as anybody has them, also without the network.

    In memory each row of a weight is padded with zeros to whole cache lines, so `array`, the whole
    block, has more elements than there are parameters. It is read-only, because the padding has
    to stay zero. The vector without padding, for optimizers such as SciPy's, is
    `Network.parameters`: get it, and assign it; `slices` are the places of the names in it.

    Attributes
    ----------
    array : ndarray
        The block, 1-D; also what ``np.asarray`` gives. Read-only.
    names : tuple of str
        ``layers.<i>.weight`` and ``layers.<i>.bias``, i counting `Network.weighted_layers`, in the
        order of `Network.parameters`.
    offsets : dict of str to int
        Where in `array` the first element of each is.
    strides : dict of str to tuple of int
        How many elements of `array` are between neighbours along each axis:
        ``flat["layers.0.weight"][i, j]`` is ``array[offset + i * strides[0] + j * strides[1]]``.
    slices : dict of str to slice
        The places of each in `Network.parameters`, row after row.

    Examples
    --------
    >>> import fastbp as fb
    >>> net = fb.Network(2, [fb.Dense(3, "tanh"), fb.Dense(1)], seed=0)
    >>> flat = net.flat_parameters
    >>> flat.names
    ('layers.0.weight', 'layers.0.bias', 'layers.1.weight', 'layers.1.bias')
    >>> flat.slices["layers.1.weight"]
    slice(9, 12, None)
    >>> flat["layers.1.bias"][:] = 0.5
    >>> net.parameters[flat.slices["layers.1.bias"]]
    array([0.5], dtype=float32)
    """

    def __init__(self, model: Model, layers: Sequence[Weighted]) -> None:
        self._layers = layers
        # A memory that is read-only itself: the flag of a view of it cannot be changed.
        arena = model.arena
        self.array: NDArray[Any] = np.frombuffer(arena.data.toreadonly(), arena.dtype)
        item, address = arena.itemsize, arena.ctypes.data
        self.offsets: dict[str, int] = {}
        self.strides: dict[str, tuple[int, ...]] = {}
        self.slices: dict[str, slice] = {}
        begin = 0
        for name, view in self.items():
            self.offsets[name] = (view.ctypes.data - address) // item
            self.strides[name] = tuple(step // item for step in view.strides)
            self.slices[name] = slice(begin, begin + view.size)
            begin += view.size

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of `Network.parameters`."""
        return tuple(self)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        for i in range(len(self._layers)):
            yield f"layers.{i}.weight"
            yield f"layers.{i}.bias"

    def __len__(self) -> int:
        """Return how many arrays there are."""
        return 2 * len(self._layers)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a writable view."""
        layer, attribute = self._place(name)
        view: NDArray[Any] = getattr(layer, attribute)
        return view

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        """Copy values in, as an assignment to the layer's weight or bias does."""
        layer, attribute = self._place(name)
        setattr(layer, attribute, value)

    def _place(self, name: str) -> tuple[Weighted, str]:
        parts = (_check.text(name) or "").split(".")
        if len(parts) == 3 and parts[0] == "layers" and parts[2] in ("weight", "bias"):
            for i, layer in enumerate(self._layers):
                if parts[1] == str(i):
                    return layer, parts[2]
        raise KeyError(f"name: got {brief(name)}, wanted one of {', '.join(self)}")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the block for NumPy."""
        return np.array(self.array, dtype, copy=copy) if copy else np.asarray(self.array, dtype)

    def flatten(self, gradients: Sequence[Sequence[ArrayLike]]) -> NDArray[Any]:
        """Return gradients as one vector in the order of `Network.parameters`.

        Parameters
        ----------
        gradients : list of (ndarray, ndarray)
            As `Network.gradients` and `Network.gradients_from` return them.

        Raises
        ------
        ConfigError
            They are no pair for each of `Network.weighted_layers`.
        InputError, ShapeError, DTypeError
            An array is not a finite one of the shape of its parameter.
        """
        arrays, dtype = pairs_of(gradients, self._layers), self.array.dtype
        return np.concatenate(
            [
                _check.parameter(array, view.shape, dtype, name_of(i)).ravel()
                for i, (array, view) in enumerate(zip(arrays, self.values(), strict=True))
            ]
        )

    def __repr__(self) -> str:
        """Return the names with the shapes."""
        shapes = ", ".join(f"{name} {view.shape}" for name, view in self.items())
        return f"FlatParameters({shapes})"


def pairs_of(gradients: Any, layers: Sequence[Weighted]) -> list[Any]:
    """Return the arrays of pairs (dW, db), which are not looked at.

    Raises
    ------
    ConfigError
        There is not one pair for each layer.
    """
    if (
        not isinstance(gradients, list | tuple)
        or len(gradients) != len(layers)
        or not all([isinstance(pair, list | tuple) and len(pair) == 2 for pair in gradients])
    ):
        got = type(gradients).__name__
        if isinstance(gradients, list | tuple):
            got += f" of {len(gradients)}"
        raise ConfigError(
            f"gradients: got a {got}, wanted a pair (dW, db) for each of the {len(layers)} "
            "network.weighted_layers, or an array [n_parameters]"
        )
    return [array for pair in gradients for array in pair]


def name_of(i: int) -> str:
    """Return what errors call an array of `pairs_of`."""
    return f"gradients[{i // 2}][{i % 2}]"
