"""What the layers of a network ask of the engine, collected before there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Model
from .runtime import LINE_BYTES

__all__ = ["Wiring"]

EngineActivation = str | tuple[str, float]


class Wiring:
    """The steps of a network from its inputs up; step -1 is the data.

    Attributes
    ----------
    tops : list of int
        The step with the outputs of each of the network's layers.
    shapes : list of (tuple, tuple)
        Of the weight and the bias of everything that has them, in order of appearance.
    """

    def __init__(self, n_inputs: int, dtype: np.dtype) -> None:
        self.tops: list[int] = []
        self.shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self._n_inputs, self._dtype = n_inputs, dtype
        self._units: list[int] = []
        self._activations: list[EngineActivation] = []
        self._dropout: list[float] = []
        self._nodes: list[tuple[Any, ...]] = []

    def width(self, step: int) -> int:
        """Return how many outputs a step has."""
        return self._units[step] if step >= 0 else self._n_inputs

    def dense(
        self, below: int, units: int, activation: EngineActivation, dropout: float = 0.0
    ) -> int:
        """Add ``f(x W + b)`` above a step, and return its own."""
        self.shapes.append(((self.width(below), units), (units,)))
        return self._add(units, ("dense", below), activation, dropout)

    def gate(
        self, below: int, units: int, pieces: int, gate: str, activation: EngineActivation
    ) -> int:
        """Add a weight for all the pieces, side by side in whole lines, and the gate above it."""
        line = LINE_BYTES // self._dtype.itemsize
        padded = (units + line - 1) // line * line
        self.shapes.append(((self.width(below), pieces, units), (pieces, units)))
        z = self._add(pieces * padded, ("dense", below))
        return self._add(units, ("gate", z, -1, pieces, gate, activation))

    def branch(self, below: int) -> int:
        """Add a second way up from a step, before any other; the data needs none."""
        return below if below < 0 else self._add(self.width(below), ("branch", below))

    def add(self, below: int, other: int) -> int:
        """Add the sum of two steps; `below` may have a branch or be the data, `other` may not."""
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
