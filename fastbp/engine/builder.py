"""Collects the engine's nodes from the layers of a network, then makes the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Model
from .runtime import LINE_BYTES

__all__ = ["Wiring"]

EngineActivation = str | tuple[str, float]


class Wiring:
    """The nodes of a network from its inputs up; node -1 is the data.

    Attributes
    ----------
    tops : list of int
        The node with the outputs of each of the network's layers.
    shapes : list of (tuple, tuple)
        Of the weight and the bias of each dense node, in order.
    """

    def __init__(self, n_inputs: int, dtype: np.dtype) -> None:
        self.tops: list[int] = []
        self.shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self._n_inputs, self._dtype = n_inputs, dtype
        self._units: list[int] = []
        self._activations: list[EngineActivation] = []
        self._dropout: list[float] = []
        self._nodes: list[tuple[Any, ...]] = []

    def width(self, node: int) -> int:
        """Return the number of outputs of a node."""
        return self._units[node] if node >= 0 else self._n_inputs

    def dense(
        self, below: int, units: int, activation: EngineActivation, dropout: float = 0.0
    ) -> int:
        """Add a node ``f(x W + b)`` above another and return its number."""
        self.shapes.append(((self.width(below), units), (units,)))
        return self._add(units, ("dense", below), activation, dropout)

    def gate(
        self, below: int, units: int, pieces: int, gate: str, activation: EngineActivation
    ) -> int:
        """Add a dense node with all pieces side by side, in whole lines, and the gate above it."""
        line = LINE_BYTES // self._dtype.itemsize
        padded = (units + line - 1) // line * line
        self.shapes.append(((self.width(below), pieces, units), (pieces, units)))
        z = self._add(pieces * padded, ("dense", below))
        return self._add(units, ("gate", z, -1, pieces, gate, activation))

    def branch(self, below: int) -> int:
        """Add a second path from a node, before any other above it; the data needs no branch."""
        return below if below < 0 else self._add(self.width(below), ("branch", below))

    def add(self, below: int, other: int) -> int:
        """Add the sum of two nodes; `below` may have a branch or be the data, `other` may not."""
        return self._add(self.width(other), ("add", below, other))

    def n_weights(self) -> int:
        """Return the number of weights, padding between pieces included."""
        return sum(
            self.width(node[1]) * units
            for node, units in zip(self._nodes, self._units, strict=True)
            if node[0] == "dense"
        )

    def model(self) -> Model:
        """Return the engine's model, with all parameters zero."""
        chain = all(node == ("dense", i - 1) for i, node in enumerate(self._nodes))
        wiring = None if chain else (self._nodes, self.tops)
        parts = self._units, self._activations, self._dtype.name, self._dropout
        return Model(self._n_inputs, *parts, wiring)

    def _add(
        self,
        units: int,
        node: tuple[Any, ...],
        activation: EngineActivation = "linear",
        dropout: float = 0.0,
    ) -> int:
        self._units.append(units)
        self._nodes.append(node)
        self._activations.append(activation)
        self._dropout.append(dropout)
        return len(self._units) - 1
