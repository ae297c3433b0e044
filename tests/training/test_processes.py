"""Processes and threads around a training: the same bits, named errors, and no hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from scenarios import SCENARIOS, work

from fastbp.engine import runtime

CHEAP = ("few predictions", "two trainers", "one network in two threads", "calls beside training")
CHEAP += ("fork", "fork beside training", "thread pool", "exit beside a daemon")
IMPORTS = [name for name in SCENARIOS if "after" in name or "before" in name]  # take seconds
NEEDS = {"torch": "torch", "joblib": "joblib", "scikit-learn": "sklearn"}

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(not runtime.has_threads(), reason="built without threads"),
]


def assert_right(names: Sequence[str], repeats: int, deadline: int) -> None:
    options = "--repeats", str(repeats), "--deadline", str(deadline)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "scenarios", *names, *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert set(result.stdout.splitlines()) <= {work(n_threads=1), "no wrong row", "end"}


def test_cheap_ones_once():
    assert_right(CHEAP, 1, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_twenty_times(name):
    for word, module in NEEDS.items():
        if word in name:
            pytest.importorskip(module)
    assert_right([name], 20, 10 if name not in IMPORTS else 60)
