"""bench/numerics.py and what it measures: the error of every elementary function in float32."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastbp.engine import kernels, runtime

SCRIPT = Path(__file__).parents[2] / "bench" / "numerics.py"
# The largest over all 2^32 inputs, rounded up; promised are 2.
ULPS = {"exp": 1.05, "log": 0.96, "log1p": 0.97, "tanh": 1.47, "sigmoid": 1.99}
ULPS |= {"softplus": 1.35, "erf": 1.06, "expm1": 1.57}
SPREAD = 50021  # a prime: a stride that visits all mantissas


@pytest.fixture(scope="module")
def numerics():
    spec = importlib.util.spec_from_file_location("numerics", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spread_inputs():
    """Some 86,000 numbers of every sign and size, and those on both sides of what matters."""
    bits = np.arange(0, 2**32, SPREAD, dtype=np.uint64).astype(np.uint32)
    edges = [0, 1e-45, 1.2e-38, 6e-8, 0.5, 0.5**0.5, 0.55, 0.875, 1, 2**0.5, 3.9, 4, 9, 17, 44]
    edges = np.array([*edges, 87.3, 88.72, 89, 103.9, 104, 3.4e38, np.inf, np.nan], np.float32)
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.float32(1e38))])
    narrow = np.linspace(-104, 89, 20001).astype(np.float32)
    return np.concatenate([bits.view(np.float32), edges, -edges, narrow])


@pytest.mark.parametrize("function", list(runtime.FUNCTIONS))
def test_float32_is_within_two_ulp(isa, numerics, function):
    worst = numerics.worst_of(function, spread_inputs(), [isa, "scalar"])
    assert 0.5 < worst.ulp <= ULPS[function] <= 2
    assert not worst.differing


@pytest.mark.slow
@pytest.mark.parametrize("function", list(runtime.FUNCTIONS))
def test_float32_is_within_two_ulp_everywhere(function, numerics):
    worst = numerics.sweep(function, 1, runtime.isas(), runtime.get_num_threads())
    assert ULPS[function] - 0.01 <= worst.ulp <= ULPS[function]
    assert not worst.differing


def test_every_function_has_its_truth(numerics):
    assert set(numerics.TRUTH) == set(runtime.FUNCTIONS) == set(ULPS)


def test_errors_are_counted_in_units_of_the_true_value(numerics):
    x = np.array([1, 1, 2, -104, 89, np.nan, 3, 0], np.float32)
    with np.errstate(over="ignore"):
        y = np.exp(x.astype(np.float64)).astype(np.float32)
    y[1] = np.nextafter(y[1], np.float32(9))
    y[2] = np.nextafter(np.nextafter(y[2], np.float32(0)), np.float32(0))
    y[3] = 1e-45
    y[6] = np.inf
    y[7] = np.nan
    error = numerics.ulps(y, "exp", x)
    assert error[0] < 0.5 < error[1] < 1.5 < error[2] < 2.5
    assert error[3] == pytest.approx(0.515, abs=0.01)  # e^-104 is half the smallest denormal
    assert error[4:].tolist() == [0, 0, np.inf, np.inf]
    zeros = numerics.ulps(np.array([0, -0.0], np.float32), "erf", np.zeros(2, np.float32))
    assert zeros.tolist() == [0, np.inf]


def test_bits_that_differ_are_seen(numerics, monkeypatch):
    right = kernels.elementary

    def wrong_on_scalar(function, x, isa):
        y = right(function, x, isa)
        if isa == "scalar":
            y[5] = np.nextafter(y[5], np.float32(9))
        return y

    monkeypatch.setattr(kernels, "elementary", wrong_on_scalar)
    x = np.linspace(-2, 2, 33).astype(np.float32)
    worst = numerics.worst_of("tanh", x, [runtime.isas()[0], "scalar"])
    assert worst.differing == ({"scalar"} if runtime.isas()[0] != "scalar" else set())
    monkeypatch.setattr(sys, "argv", ["numerics.py", "--function", "tanh", "--stride", "9999991"])
    assert numerics.main() == (len(runtime.isas()) > 1)


def test_any_nan_is_like_another(numerics):
    a, b, c = np.array([[np.nan, 1], [-np.nan, 1], [np.nan, 1 + 2**-23]], np.float32)
    assert a.tobytes() != b.tobytes()
    assert numerics.same_bits(a, b)
    assert not numerics.same_bits(a, c)


@pytest.mark.slow
def test_command(tmp_path):
    path = tmp_path / "report.json"
    command = [sys.executable, str(SCRIPT), "--stride", "1000003", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(runtime.FUNCTIONS)
    report = json.loads(path.read_text())
    assert report["stride"] == 1000003
    for line, result in zip(lines, report["results"], strict=True):
        assert f"{result['ulp']:.4f} ulp at x = {result['x']:.9g} ({result['bits']})" in line
        assert line.endswith(f"same bits on {', '.join(runtime.isas())}")
        assert 0.5 < result["ulp"] <= ULPS[result["function"]]
    wrong = subprocess.run([*command, "--isa", "sse9"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "no 'sse9'" in wrong.stderr
