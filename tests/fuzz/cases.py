"""Random cases: a network, a trainer and rows, all from one integer."""

from __future__ import annotations

import copy
import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import fastbp as fb
from fuzz import architectures, recipes

MOST_BATCH = 600
FLOPS = (1e5, 1e7)  # of one call of fit: up to 2.5 ms on one core
MOST_STEPS, MOST_STREAMED = 24, 12  # a team of seven on two cores meets at a barrier in 0.1 ms
EDGES = [1, 2, 3, 7, 8, 9, 12, 16, 31, 64, 96, 128, 129, 256, 257, 600]


class Rows(NamedTuple):
    """What `fit` is given."""

    x: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None

    def part(self, which: slice) -> Rows:
        weight = None if self.sample_weight is None else self.sample_weight[which]
        return Rows(self.x[which], self.y[which], weight)


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """All that is needed to train a network, but for how: see `ways`."""

    seed: int
    n_inputs: int
    layers: list
    dtype: str
    loss: Any
    optimizer: fb.optimizers.Optimizer
    batch_size: int | None
    n_rows: int
    epochs: int
    shuffle: bool
    zeros: float = 0.0  # share of the inputs
    weighted: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> Rows:
        rng = np.random.default_rng([self.seed, 1])
        x = rng.standard_normal((self.n_rows, self.n_inputs)).astype(self.dtype)
        x[rng.random(x.shape) < self.zeros] = 0
        x = recipes.of_another_type(np.random.default_rng([self.seed, 4]), x)
        output, units = self.layers[-1].activation, self.layers[-1].units
        y = recipes.targets(rng, self.loss, output, self.n_rows, units, self.dtype)
        weight = rng.uniform(0, 2, self.n_rows) if self.weighted else None
        return Rows(x, y, weight)

    @cached_property
    def preprocessing(self) -> Any:
        return recipes.preprocessing(np.random.default_rng([self.seed, 2]), self.rows.x)

    @cached_property
    def class_weight(self) -> Any:
        return recipes.class_weight(np.random.default_rng([self.seed, 3]), self.rows.y)

    @property
    def batch(self) -> int:
        """Rows of a step but for the last of an epoch."""
        return min(self.batch_size or self.n_rows, self.n_rows)

    @property
    def batches(self) -> list[Rows]:
        """Those of an epoch in the order of the rows."""
        firsts = range(0, self.n_rows, self.batch)
        return [self.rows.part(slice(first, first + self.batch)) for first in firsts]

    @property
    def is_chain(self) -> bool:
        return all(isinstance(layer, fb.Dense) for layer in self.layers)

    @property
    def drops(self) -> bool:
        return any(layer.dropout for layer in self.network().weighted_layers)

    def network(self) -> fb.Network:
        preprocessing = self.preprocessing
        return fb.Network(self.n_inputs, self.layers, self.dtype, self.seed, preprocessing)

    def trainer(self, network: fb.Network, n_threads: int) -> fb.Trainer:
        """A new one: a schedule may have learnt something, so the optimizer is a copy."""
        return fb.Trainer(
            network,
            self.loss,
            copy.deepcopy(self.optimizer),
            self.batch_size,
            shuffle=self.shuffle,
            seed=self.seed,
            n_threads=n_threads,
            class_weight=self.class_weight,
            **self.options,
        )

    def __repr__(self) -> str:
        """A recipe to read; its seed makes it again."""
        x, y, weight = self.rows
        lines = [
            f"Case {self.seed}:",
            repr(self.trainer(self.network(), n_threads=1)),
            f"class_weight={self.class_weight}, shuffle={self.shuffle}, epochs={self.epochs}",
            f"x {x.shape}, {x.dtype}, {self.zeros:.0%} zeros; y {y.shape}, {y.dtype}; "
            f"{'no ' if weight is None else ''}sample_weight",
        ]
        return "\n  ".join(textwrap.fill(line, 96, subsequent_indent="    ") for line in lines)


def case_of(seed: int) -> Case:
    """The random case of a seed."""
    rng = np.random.default_rng([seed, 0])
    flops = float(np.exp(rng.uniform(*np.log(FLOPS))))
    n_inputs, layers, loss, batch = _affordable(rng, flops)
    architectures.group(np.random.default_rng([seed, 6]), layers)
    epochs = int(rng.integers(1, 6))
    steps = (MOST_STREAMED if batch <= 8 else MOST_STEPS) // epochs
    rows = int(flops / (epochs * architectures.cost(n_inputs, layers)))
    rows = max(1, min(rows, steps * batch))
    if rng.random() < 0.4:
        rows = max(1, rows // batch) * batch  # no short batch at the end
    return Case(
        seed,
        n_inputs,
        layers,
        dtype=str(rng.choice(["float32", "float64"])),
        loss=loss,
        optimizer=recipes.optimizer(rng, max(n_inputs, *(layer.units for layer in layers))),
        batch_size=None if rng.random() < 0.08 else batch,
        n_rows=rows,
        epochs=epochs,
        shuffle=bool(rng.random() < 0.6),
        zeros=float(rng.choice([0.0, 0.5, 0.95], p=[0.6, 0.2, 0.2])),
        weighted=bool(rng.random() < 0.25),
        options=recipes.options(rng),
    )


def _affordable(rng: np.random.Generator, flops: float) -> tuple[int, list, Any, int]:
    """Inputs, layers, loss and batch of which two steps cost no more than that."""
    drawn = rng.choice(EDGES) if rng.random() < 0.5 else np.exp(rng.uniform(0, np.log(MOST_BATCH)))
    batch = int(drawn)
    while True:
        n_inputs, loss = architectures.width(rng), recipes.loss(rng)
        layers = architectures.hidden_layers(rng, n_inputs, loss is not recipes.own_loss)
        layers.append(recipes.last_layer(rng, loss, architectures.width(rng)))
        if 2 * batch * architectures.cost(n_inputs, layers) <= flops:
            return n_inputs, layers, loss, batch
        batch = max(1, batch * 3 // 4)
