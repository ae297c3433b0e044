"""apply_gradient: every rule with penalties and clipping, on every kernel set."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from arrays import Padded, same_bits

from fastbp.engine import kernels
from fastbp.reference import rules as reference_rules

# In eps of the dtype, of the sum of absolute terms behind each element.
TOLERANCE = 16
RULES = ["gradient", "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"]
NUMBERS = {"learning_rate": 0.3, "momentum": 0.7, "square_decay": 0.8, "eps": 1e-3}
EXTRAS = [{}, {"l2": 0.2}, {"l1": 0.3}, {"clip_value": 0.5}]
EXTRAS.append({"l1": 0.3, "l2": 0.2, "clip_value": 1})
WIDTHS = [1, 3, 16, 17, 33]
T = 3


def arrays(n, dtype):
    """Weights, some of them zero, m, v and gradients [5, n]."""
    rng = np.random.default_rng(n)
    w, m, g = rng.standard_normal((3, 5, n)).astype(dtype)
    w[rng.random((5, n)) < 0.2] = 0
    return w, m, rng.random((5, n)).astype(dtype), g


def numbers_of(rule, extras):
    numbers = {**NUMBERS, **extras}
    if rule == "adam":
        mu, a = NUMBERS["momentum"], NUMBERS["square_decay"]
        numbers |= {"step_correction": 1 / (1 - mu**T), "root_correction": (1 - a**T) ** -0.5}
        numbers |= {"weight_decay": 0.1}
    return numbers


def applied(isa, n, dtype, rule, extras):
    """Padded weights, m and v after the kernel."""
    w, m, v, g = (Padded(a) for a in arrays(n, dtype))
    numbers = numbers_of(rule, extras)
    kernels.apply_gradient(w.array, m.array, v.array, g.array, rule, isa, **numbers)
    g.assert_unwritten()
    for a in (w, m, v):
        a.assert_written_inside()
    return w, m, v


@pytest.mark.parametrize("rule", RULES)
def test_scalar_rule_agrees_with_reference(dtype, rule):
    for extras, n in product(EXTRAS, WIDTHS):
        w, m, v, g = (a.astype(np.float64) for a in arrays(n, dtype))
        if rule == "gradient":  # as it is asked for, penalties are the business of others
            g = reference_rules.penalised(g, w, clip_value=extras.get("clip_value", 0))
        else:
            g = reference_rules.penalised(g, w, **extras)
        decay = {"weight_decay": 0.1} if rule == "adam" else {}
        want = reference_rules.descend(rule, w, m, v, g, **NUMBERS, **decay, t=T)
        scale = 1 + abs(w) + abs(m) + abs(v) + abs(g) + g * g
        for got, wanted in zip(applied("scalar", n, dtype, rule, extras), want, strict=True):
            error = abs(got.values - wanted) / (np.finfo(dtype).eps * scale)
            assert error.max() < TOLERANCE, (extras, n, error.max())


@pytest.mark.parametrize("rule", RULES)
def test_bits_are_those_of_the_scalar_kernels_and_the_padding_stays_zero(isa, dtype, rule):
    for extras, n in product(EXTRAS, WIDTHS):
        got = applied(isa, n, dtype, rule, extras)
        for a, b in zip(got, applied("scalar", n, dtype, rule, extras), strict=True):
            assert same_bits(a.array, b.array), (extras, n)


# Beside these squares overflow, underflow, or their mean crosses the range of the type.
EXTREME = {"float32": [0, 1e-37, 1e-25, 1e-18, 1e-15, 1, 1e19, 1e30, 3e38]}
EXTREME["float64"] = [0, 1e-300, 1e-200, 1e-150, 1, 1e154, 1e200, 1e308]


@pytest.mark.parametrize("rule", ["adagrad", "rmsprop", "adam"])
def test_extreme_gradients_give_the_bits_of_the_scalar_kernels(isa, dtype, rule):
    numbers = {**numbers_of(rule, {}), "eps": 1e-25}
    sizes = np.array(EXTREME[dtype], dtype)
    first, second = (a.ravel() for a in np.meshgrid(sizes, -sizes))
    found = []
    for name in (isa, "scalar"):
        w, m, v = (Padded(np.zeros((1, first.size), dtype)) for _ in range(3))
        for g in (first, second):
            g = Padded(g[None, :])
            kernels.apply_gradient(w.array, m.array, v.array, g.array, rule, name, **numbers)
        assert np.isfinite(w.values).all()
        found.append([a.array for a in (w, m, v)])
    assert all(same_bits(a, b) for a, b in zip(*found, strict=True))


def test_clipping_lets_nan_through(isa, dtype):
    w, g = np.zeros((2, 1, 64), dtype)
    g[0, :3] = np.nan, np.inf, -np.inf
    kernels.apply_gradient(w, None, None, g, "sgd", isa, learning_rate=1.0, clip_value=2.0)
    assert np.isnan(w[0, 0])
    assert w[0, 1:].tolist() == [-2, 2] + [0] * 61
