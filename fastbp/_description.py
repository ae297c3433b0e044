"""What a network tells of itself: sizes, its preprocessing, table, file and pickle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ._affine import Affine, attached

if TYPE_CHECKING:
    from ._layer import Layer, Weighted
    from .engine.model import Model
    from .network import Network

__all__ = ["Described"]


class Described:
    """The part of `Network` that does not compute."""

    layers: tuple[Layer, ...]
    weighted_layers: tuple[Weighted, ...]
    metadata: dict[str, str]
    _n_inputs: int  # of the first layer
    _n_outputs: int
    _dtype: np.dtype[Any]
    _ahead: Affine | None
    _model: Model

    @property
    def n_inputs(self) -> int:
        """Number of features of a row: of what `preprocessing` takes, if there is one."""
        return self._n_inputs if self._ahead is None else self._ahead.n_inputs

    @property
    def n_outputs(self) -> int:
        """Number of outputs."""
        return self._n_outputs

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters and of all arithmetic."""
        return self._dtype

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return sum(layer.weight.size + layer.bias.size for layer in self.weighted_layers)

    @property
    def preprocessing(self) -> Affine | None:
        """The map that is applied to all rows first, or None; assigning takes a copy.

        While a call trains the network, whose rows are mapped already, assigning is a BusyError.
        """
        return self._ahead

    @preprocessing.setter
    def preprocessing(self, value: Affine | None) -> None:
        with self._model.claim():
            self._ahead = attached(value, self._n_inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a safetensors file; `fastbp.load` reads it back, bit for bit.

        A file already there stays whole until the new one is: the write is atomic.

        Raises
        ------
        ConfigError
            `metadata` holds something else than strings.
        OSError
            The folder does not exist, is not writable or is full.
        """
        from . import io

        io.save(cast("Network", self), path)

    def summary(self) -> str:
        """Return a table of the layers, their shapes and their numbers of parameters."""
        lines = [f"{'layer':<7}{'shape':<15}{'activation':<12}{'parameters':>10}"]
        if self._ahead is not None:
            name = f"{self._ahead.n_inputs} to {self._ahead.n_outputs}"
            lines.append(f"{'ahead':<7}{name:<15}{'affine map':<22}")
        for i, layer in enumerate(self.weighted_layers):
            shape, count = layer.weight.shape, layer.weight.size + layer.bias.size
            name = " x ".join(map(str, shape))
            lines.append(f"{i:<7}{name:<15}{layer._what():<12}{count:>10,}")
        lines.append(f"{self._dtype.name:<34}{self.n_parameters:>10,}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the architecture, as given."""
        ahead = "" if self._ahead is None else f", preprocessing={self._ahead}"
        return f"Network({self.n_inputs}, {list(self.layers)}, dtype={self._dtype.name!r}{ahead})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as description and tensors, for copies and worker processes."""
        from . import io

        network = cast("Network", self)
        return io.rebuild, (io.architecture(network), io.tensors(network))
