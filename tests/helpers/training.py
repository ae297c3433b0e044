"""Small trainers on random data, and a digest of all that training may change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from digests import state

import fastbp as fb

N_INPUTS, N_CLASSES = 5, 3


def classes(n=60, seed=0, dtype="float32"):
    """Random x [n, N_INPUTS] and integer classes that depend on it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, N_INPUTS)).astype(dtype)
    y = (x[:, :N_CLASSES] + 0.3 * rng.standard_normal((n, N_CLASSES))).argmax(axis=1)
    assert len(np.unique(y)) == N_CLASSES
    return x, y


def classifier(seed=0, dtype="float32", hidden="tanh"):
    layers = [fb.Dense(7, hidden), fb.Dense(N_CLASSES, "softmax")]
    return fb.Network(N_INPUTS, layers, dtype=dtype, seed=seed)


def trainer(network=None, loss="cross_entropy", **options):
    """A trainer with a velocity, 16 rows a step and fixed seeds."""
    network = classifier() if network is None else network
    options = {"optimizer": fb.SGD(0.1, momentum=0.9), "batch_size": 16, "seed": 1, **options}
    return fb.Trainer(network, loss, **options)


def parameters(network) -> str:
    """SHA-256 of the weights and biases."""
    digest = hashlib.sha256()
    for layer in network.weighted_layers:
        digest.update(layer.weight.tobytes() + layer.bias.tobytes())
    return digest.hexdigest()


def assert_refuses(owner, call, error, match):
    """`call` raises the named error, and the trainer `owner` is as it was."""
    before = state(owner)
    with pytest.raises(error, match=match) as caught:
        call()
    assert isinstance(caught.value, fb.errors.FastbpError)
    assert state(owner) == before


def moved_by(gradients, dtype="float32", **options):
    """Weights, zero at first, after a step with each of these gradients [n_steps, n_outputs]."""
    gradients = np.atleast_2d(gradients)
    layer = fb.Dense(gradients.shape[1], weight_init=fb.initializers.Zeros())
    net, steps = fb.Network(1, [layer], dtype), iter(gradients)
    owner = fb.Trainer(net, lambda y, t: (np.zeros(1), next(steps)[None, :]), **options)
    for _ in gradients:
        owner.step([[1.0]], np.zeros((1, gradients.shape[1])))
    return net.layers[0].weight[0].astype(np.float64)
