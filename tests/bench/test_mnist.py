"""The two networks of bench/mnist.py reach their marks; needs the files of MNIST and a minute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "mnist.py"


@pytest.mark.slow
@pytest.mark.skipif("FASTBP_DATA" not in os.environ, reason="FASTBP_DATA names no folder")
@pytest.mark.parametrize("network", ["784-128-10", "784-50-10"])
def test_accuracy(network):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", network], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test accuracy" in done.stdout
