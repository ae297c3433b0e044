"""Networks without a hidden layer, whose only layer is the first and the last at once."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Net, all_threads, digest, train

import fastbp as fb
from fastbp import testing

SHAPES = {"few outputs": ([592, 7], 94), "few inputs": ([14, 250], 84), "square": ([463, 159], 14)}


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_threads_gives_the_same_bits(dtype, shape, rule):
    sizes, batch = SHAPES[shape]
    numbers = {"momentum": 0.9, "square_decay": 0.99, "eps": 1e-8} if rule == "adam" else {}
    found = set()
    for n_threads in all_threads():
        net = Net(sizes, ["linear"], dtype)
        start = digest(net.model.arena)
        x, y = net.rows(batch * 20)
        run = train(net, x, y, "mse", 60, rule, 0.01, batch, n_threads, share=True, **numbers)
        assert run.regime == "batch-split"
        found.add((digest(net.model.arena), digest(run.state)))
        assert digest(net.model.arena) != start
    assert len(found) == 1


def test_softmax_regression_trains_as_on_one_thread():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 784)).astype(np.float32)
    y = (x[:, :10]).argmax(axis=1)
    losses = {}
    for n_threads in all_threads():
        trainer = fb.models.softmax_regression(784, 10, batch_size=64, n_threads=n_threads, seed=0)
        with testing.forced():
            losses[n_threads] = trainer.fit(x, y, epochs=3)["loss"]
    assert losses[1][-1] < 0.7 * losses[1][0]
    assert all(found == losses[1] for found in losses.values())
