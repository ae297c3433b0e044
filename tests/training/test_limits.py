"""Clipping and max_norm: against NumPy, alone and together."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import same_bits
from training import classes, classifier, moved_by, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes(dtype="float64")
LIMITS = {
    "value": {"clip_value": 0.02},
    "norm": {"clip_norm": 0.3},
    "both": {"clip_value": 0.05, "clip_norm": 0.3},
    "max_norm": {"max_norm": 0.7},
    "all": {"clip_value": 0.05, "clip_norm": 0.3, "max_norm": 0.7, "l1": 0.01, "l2": 0.02},
    "loose": {"clip_value": 1e6, "clip_norm": 1e6, "max_norm": 1e6},
}


def limited(values, gradients, rate, limits):
    """Parameters [W, b, W, b, ...] after a step of SGD with these limits."""
    clip = limits.get("clip_value", np.inf)
    gradients = [np.clip(g, -clip, clip) for g in gradients]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    scale = min(1, limits.get("clip_norm", np.inf) / norm)
    new = []
    for i, (p, g) in enumerate(zip(values, gradients, strict=True)):
        weight = i % 2 == 0
        slope = 2 * limits.get("l2", 0) * p + limits.get("l1", 0) * np.sign(p)
        p = p - rate * (scale * g + weight * slope)
        if weight:
            p = p * np.minimum(1, limits.get("max_norm", np.inf) / np.linalg.norm(p, axis=0))
        new.append(p)
    return new


def parameters(network):
    return [p.copy() for layer in network.layers for p in (layer.weight, layer.bias)]


@pytest.mark.parametrize("rows", [1, 5, 60])
@pytest.mark.parametrize("name", list(LIMITS))
def test_steps_are_those_of_the_formula(name, rows):
    network, limits = classifier(dtype="float64"), LIMITS[name]
    network.layers[0].weight *= 3
    owner = trainer(network, optimizer=fb.SGD(0.5), **limits)
    x, y = X[:rows], Y[:rows]
    for _ in range(5):
        _, pairs = network.gradients(x, y, "cross_entropy")
        before, gradients = parameters(network), [g for pair in pairs for g in pair]
        want = limited(before, gradients, 0.5, limits)
        free = limited(before, gradients, 0.5, {})
        owner.step(x, y)
        for got, w in zip(parameters(network), want, strict=True):
            np.testing.assert_allclose(got, w, rtol=0, atol=1e-12)
        same = [np.array_equal(a, b) for a, b in zip(want, free, strict=True)]
        assert all(same) == (name == "loose")
        if "max_norm" in limits:
            norms = [np.linalg.norm(layer.weight, axis=0).max() for layer in network.layers]
            assert max(norms) < limits["max_norm"] * (1 + 1e-12)


# Sizes of gradients and weights, and limits; between them the squares of either leave the dtype.
SIZES_AND_LIMITS = {
    "float32": ([1e-30, 1e-18, 1.0, 1e30, 1e38], [1e-30, 1e-9, 1.0]),
    "float64": ([1e-300, 1e-200, 1e-160, 1.0, 1e160, 1e200, 1.7e308], [1e-250, 1e-9, 1.0, 1e200]),
}
EXTREMES = [(d, s, m) for d, (sizes, most) in SIZES_AND_LIMITS.items() for s in sizes for m in most]
EXTREMES = [(d, s, m) for d, s, m in EXTREMES if m / s > np.finfo(d).tiny or d == "float32"]


@pytest.mark.parametrize(("dtype", "size", "limit"), EXTREMES)
def test_norms_of_any_size_are_limited_to_the_limit(dtype, size, limit):
    shares = np.array([1.0, -1.0, 0.5, 0.25])
    moved = moved_by(size * shares, dtype, optimizer=fb.SGD(1.0), clip_norm=limit)
    norm = np.sqrt(2 * np.sum(shares**2))  # of weights and biases, in units of size
    wanted = -shares / norm * min(limit / size, norm) * size
    np.testing.assert_allclose(moved, wanted, rtol=8 * np.finfo(dtype).eps)

    network = fb.Network(4, [fb.Dense(1)], dtype)
    network.layers[0].weight = (size * shares)[:, None]
    trainer(network, "mse", optimizer=fb.SGD(0.0), max_norm=limit).step(np.zeros((1, 4)), [0.0])
    norm /= np.sqrt(2)
    wanted = shares / norm * min(limit / size, norm) * size
    np.testing.assert_allclose(network.layers[0].weight[:, 0], wanted, rtol=8 * np.finfo(dtype).eps)


def test_columns_of_other_sizes_share_one_norm():
    gradient = np.array([1e-200, 1.0, 3e200, 4e200, 0.0])
    moved = moved_by(gradient, "float64", optimizer=fb.SGD(1.0), clip_norm=1e150)
    np.testing.assert_allclose(moved, -gradient / (5e50 * np.sqrt(2)), rtol=1e-14)


def test_squares_beyond_float64_are_limited_to_the_same_bits(use_isa):
    rng = np.random.default_rng(0)
    gradient = 10.0 ** rng.uniform(-300, 250, 40) * rng.choice([-1, 0, 1], 40)
    found = set()
    for isa in fb.engine.runtime.isas():
        use_isa(isa)
        found.add(moved_by(gradient, "float64", clip_norm=1e-20, max_norm=1e-22).tobytes())
    assert len(found) == 1


def test_limits_that_bind_nowhere_change_no_bit():
    plain, loose = trainer(), trainer(**LIMITS["loose"])
    for owner in (plain, loose):
        owner.fit(X, Y, epochs=3)
    pairs = zip(parameters(plain.network), parameters(loose.network), strict=True)
    assert all(same_bits(a, b) for a, b in pairs)


def test_torch_clips_the_same():
    torch = pytest.importorskip("torch")
    network = classifier(dtype="float64")
    _, pairs = network.gradients(X, Y, "cross_entropy")
    tensors = [torch.zeros(g.shape, dtype=torch.float64) for pair in pairs for g in pair]
    for tensor, g in zip(tensors, [g for pair in pairs for g in pair], strict=True):
        tensor.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(tensors, 0.2)
    before = parameters(network)
    trainer(network, optimizer=fb.SGD(1.0), clip_norm=0.2).step(X, Y)
    for a, b, tensor in zip(before, parameters(network), tensors, strict=True):
        # torch adds 1e-6 to the norm
        np.testing.assert_allclose(a - b, tensor.grad.numpy(), rtol=1e-5, atol=1e-14)


@pytest.mark.parametrize("rows", [4, 96])
def test_divergence_goes_back_to_the_start_of_the_epoch(rows):
    network = fb.Network(300, [fb.Dense(200, "relu"), fb.Dense(3)], seed=0)
    x = np.random.default_rng(0).standard_normal((192, 300)).astype("float32")
    y = x[:, :3].copy()
    options = {"batch_size": rows, "clip_norm": 1e30, "max_norm": 1e30, "optimizer": fb.SGD(0.001)}
    owner = trainer(network, "mse", **options)
    owner.fit(x, y)
    before = parameters(network)
    owner.optimizer = fb.SGD(1e30)
    with pytest.raises(errors.DivergenceError):
        owner.fit(x, y)
    assert all(same_bits(a, b) for a, b in zip(before, parameters(network), strict=True))


def test_a_gradient_that_is_not_finite_is_not_clipped_away():
    network = fb.Network(2, [fb.Dense(2)], seed=0)
    owner = trainer(network, "squared_error", optimizer=fb.SGD(0.1), clip_value=1.0)
    x = np.array([[1e30, 1e30]] * 2, np.float32)
    with pytest.raises(errors.DivergenceError):
        owner.fit(x, np.full((2, 2), 1e30), epochs=3)


@pytest.mark.parametrize("name", ["clip_value", "clip_norm", "max_norm"])
@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, "1", True])
def test_bad_limits(name, bad):
    with pytest.raises(errors.ConfigError, match=f"{name}: got"):
        trainer(**{name: bad})


def test_repr():
    assert repr(trainer(clip_norm=1.5, max_norm=3)).endswith("clip_norm=1.5, max_norm=3.0)")
