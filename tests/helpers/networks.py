"""Small random networks of the engine, beside their float64 copies for the reference."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
from loss_cases import LOSSES, PARAMETERS, targets

from fastbp import reference, testing
from fastbp.engine import runtime
from fastbp.engine.model import Model
from fastbp.engine.run import Run

FLAT = {"sign", "step"}  # their slope is 0: no gradient trains them
SLOPED = [name for name in reference.ACTIVATIONS if name not in FLAT]
PAIRS = [
    (loss, activation)
    for loss, row in reference.LOSSES.items()
    for activation in SLOPED
    if row.fused_with in (None, activation)
]
LOSSES_OF_PAIRS = list(dict.fromkeys(loss for loss, _ in PAIRS))


def outputs_of(loss):
    """The output activations of the pairs of a loss."""
    return [activation for name, activation in PAIRS if name == loss]


class Net:
    """A `Model` with random parameters; `weights` and `biases` copy them out in float64."""

    def __init__(self, sizes, activations, dtype="float64", seed=0):
        self.sizes, self.activations, self.dtype = sizes, activations, dtype
        self.model = Model(sizes[0], sizes[1:], activations, dtype)
        self.layers = range(len(activations))
        rng = np.random.default_rng([seed, *sizes])
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            self.model.weight(i)[...] = rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)
            self.model.bias(i)[...] = 0.5 * rng.standard_normal(n_out)

    @property
    def weights(self):
        return [self.model.weight(i).astype(np.float64) for i in self.layers]

    @property
    def biases(self):
        return [self.model.bias(i).astype(np.float64) for i in self.layers]

    def reference(self):
        """Weights, biases and activations, as the functions of the reference take them."""
        return self.weights, self.biases, self.activations

    def rows(self, n, loss="squared_error", seed=1):
        """Random x [n, n_inputs] and targets [n, n_outputs] that fit the loss."""
        rng = np.random.default_rng([seed, n, *self.sizes])
        x = rng.standard_normal((n, self.sizes[0])).astype(self.dtype)
        y = rng.standard_normal((n, self.sizes[-1]))
        if LOSSES[loss].targets != "real":
            y = targets(loss, y.shape, rng)
        return x, y.astype(self.dtype)

    def digest(self):
        return digest(self.model.arena)


def digest(array) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def train(net, x, y, loss, steps, rule="sgd", rate=0.05, batch=32, n_threads=1, seed=3, **options):
    """Shuffled epochs until `steps` steps are done; the run, for what a test asks it next.

    With a `regime` every step is done in it, by the whole team, however small it is.
    """
    regime = options.pop("regime", None)
    options = {"parameter": PARAMETERS[loss], **options}
    run = Run(net.model, loss, rule, batch_size=batch, n_threads=n_threads, **options)
    with testing.forced(regime) if regime else nullcontext():
        run.bind(x, y)
        bits = np.random.SFC64(seed)
        per_epoch = -(-len(x) // batch)
        done = 0
        while done < steps:
            count = min(per_epoch, steps - done)
            run.shuffle(bits)
            assert run.steps(0, count, np.full(count, rate))[2] == count
            done += count
    return run


def all_threads():
    """Thread counts that the bits must not depend on; more than the cores, and an odd number."""
    return [1, 2, 3, 4, 7] if runtime.has_threads() else [1]
