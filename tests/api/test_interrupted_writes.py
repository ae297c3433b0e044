"""An interrupt at any line of what writes parameters or a map: the old values or the new, whole.

So of a step of training too, alone or as the last batch of an accumulated one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import digests
import numpy as np
import pytest

import fastbp as fb
from fastbp.preprocess import PCA, Affine, Center, MinMax, Standardize, Whiten

HERE = str(Path(fb.__file__).parent)
ROWS = np.random.default_rng(0).standard_normal((6, 3))
OTHER = 2 * ROWS[:5] + 1


def network(seed: int = 0) -> fb.Network:
    return fb.Network(3, [fb.Dense(4, "tanh"), fb.Dense(3)], seed=seed)


def trainer() -> fb.Trainer:
    made = fb.Trainer(network(), "mse", fb.SGD(0.1, momentum=0.5), seed=0)
    made.step(ROWS, ROWS)
    return made


WRITES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "parameters": (network, lambda o: setattr(o, "parameters", network(1).parameters)),
    "weight": (network, lambda o: setattr(o.layers[0], "weight", np.ones((3, 4)))),
    "lerp": (network, lambda o: o.lerp(network(1), 0.25)),
    "fold_into_outputs": (network, lambda o: Affine([1, 2, 3], [4, 5, 6]).fold_into_outputs(o)),
    "preprocessing": (network, lambda o: setattr(o, "preprocessing", Center().fit(ROWS))),
    "optimizer": (trainer, lambda o: setattr(o, "optimizer", fb.Adam(0.1))),
} | {
    f"{kind.__name__}.fit": (lambda kind=kind: kind().fit(ROWS), lambda o: o.fit(OTHER))
    for kind in (Center, MinMax, PCA, Standardize, Whiten)
}


def interrupted_at(n: int, write: Callable[[Any], Any], owner: Any) -> bool:
    """Whether the write was interrupted: it is at the n-th line of the library that it comes to."""
    lines = 0

    def look(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if event == "line":
            lines += 1
            if lines == n:
                raise KeyboardInterrupt
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        write(owner)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("name", WRITES)
def test_an_interrupt_leaves_the_old_or_the_new_values(name):
    make, write = WRITES[name]
    old = digests.parts(make())
    changed = make()
    write(changed)
    new = digests.parts(changed)
    assert new != old
    n, owner = 1, make()
    while interrupted_at(n, write, owner):
        assert digests.parts(owner) in (old, new), f"at line {n}"
        n, owner = n + 1, make()
    assert digests.parts(owner) == new
    assert n > 3


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_an_interrupted_step_is_done_or_not(accumulate):
    def made() -> fb.Trainer:
        owner = fb.Trainer(network(), "mse", fb.SGD(0.1, momentum=0.5), accumulate=accumulate)
        for _ in range(2 * accumulate - 1):
            owner.step(ROWS, ROWS)
        return owner

    def goes_on(owner: fb.Trainer) -> tuple[int, bytes]:
        for rows in (ROWS[1:], ROWS[2:4], ROWS[3:], ROWS[:3], ROWS[4:]):
            owner.step(rows, rows)
        return owner.n_steps, owner.network.parameters.tobytes()

    def write(owner: fb.Trainer) -> None:
        owner.step(OTHER, OTHER)

    old, new = made(), made()
    write(new)
    allowed = goes_on(old), goes_on(new)
    found = set()
    n, owner = 1, made()
    while interrupted_at(n, write, owner):
        ending = goes_on(owner)
        assert ending in allowed, f"at line {n}"
        found.add(ending)
        n, owner = n + 1, made()
    assert found == set(allowed)
