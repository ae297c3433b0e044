"""The memory of a run goes from one fit to the next."""

from __future__ import annotations

import numpy as np
import pytest
from networks import Net
from training import classes, parameters, trainer

import fastbp as fb
from fastbp.engine import runtime
from fastbp.engine.run import Run

X, Y = classes()


def test_a_second_fit_asks_for_no_memory_and_gives_the_same_bits():
    owner, fresh = (trainer(optimizer=fb.SGD(0.1)) for _ in range(2))
    owner.fit(X, Y)
    held = runtime.live_bytes()
    runtime.fail_allocation(1)
    try:
        owner.fit(X, Y)
    finally:
        runtime.fail_allocation(0)
    assert runtime.live_bytes() == held
    fresh.fit(X, Y, epochs=2)
    assert parameters(owner.network) == parameters(fresh.network)


def test_what_a_failed_step_left_is_not_seen_by_the_next_run(dtype):
    net, twin = (Net([6, 17, 3], ["relu", "linear"], dtype) for _ in range(2))
    x, y = net.rows(64)
    run = Run(net.model, "mse", "momentum", 0.9, 0.0, 8, 2)
    run.bind(np.full_like(x, np.nan), y)
    assert run.steps(0, 8, np.full(8, 0.1))[2] == 0
    for model, spare in [(net.model, run.release()), (twin.model, None)]:
        run = Run(model, "mse", "momentum", 0.9, 0.0, 8, 2)
        run.reuse_workspace = spare
        run.bind(x, y)
        assert run.steps(0, 8, np.full(8, 0.1))[2] == 8
    assert net.digest() == twin.digest()


@pytest.mark.parametrize("sizes", [(8, 8), (8, 64), (64, 8)])
def test_a_released_workspace_serves_another_run(dtype, sizes):
    net, twin = (Net([6, 17, 3], ["relu", "linear"], dtype) for _ in range(2))
    x, y = net.rows(64)
    spare = None
    for batch in sizes:
        count = 64 // batch
        run = Run(net.model, "mse", "momentum", 0.9, 0.0, batch, 2)
        run.reuse_workspace = spare
        run.bind(x, y)
        run.steps(0, count, np.full(count, 0.1))
        alone = Run(twin.model, "mse", "momentum", 0.9, 0.0, batch, 2)
        alone.bind(x, y)
        alone.steps(0, count, np.full(count, 0.1))
        assert net.digest() == twin.digest()
        before, spare = spare, run.release()
        assert before is None or before is spare
        assert run.release() is None
