"""The soak finds what grows, and in a short run nothing does."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import soak

from fastbp.engine.model import Model

SCRIPT = Path(__file__).parents[1] / "soak.py"
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="counts in /proc")


@pytest.mark.slow
def test_nothing_grows_in_a_short_soak():
    """Memory within the noise of so few rounds; the whole soak takes minutes."""
    given = ["--scale", "0.004", "--seed", "1", "--quiet", "--most-growth", "8192"]
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *given], capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("passed: nothing has grown\n")


@pytest.mark.slow
def test_what_grows_is_named():
    kept, gate = [], threading.Event()

    def thread(_):
        kept.append(threading.Thread(target=gate.wait))
        kept[-1].start()

    def pages(_):  # new ones, whatever the heap has free
        kept.append(mmap.mmap(-1, 1 << 20))
        kept[-1].write(b"1" * (1 << 20))

    leaks = {
        "live_bytes": lambda _: kept.append(Model(3, [4], ["linear"], "float32")),
        "files": lambda _: kept.append(socket.socket()),
        "threads": thread,
        "resident": pages,
    }
    try:
        for name, leak in leaks.items():
            found = soak.measured(leak, rounds=10, quiet=True)
            assert name in soak.grown(found[0], found[-1])
    finally:
        gate.set()
        for one in kept:
            if hasattr(one, "close"):
                one.close()
            if hasattr(one, "join"):
                one.join()
