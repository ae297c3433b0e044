"""Random networks: widths that catch kernels at their edges, layers of all kinds."""

from __future__ import annotations

import numpy as np
from layer_shapes import SIZES
from networks import SLOPED

import fastbp as fb
from fastbp.activations import ELU, Activation, LeakyReLU

MOST_UNITS = 900
DEPTHS = [0.22, 0.26, 0.22, 0.15, 0.1, 0.05]  # chances of 1, 2, ... layers
FLOPS_OF_A_WEIGHT, FLOPS_OF_AN_OUTPUT = 6, 60  # of forward, delta and gradient; of an exponential
ELEMENTWISE = [name for name in SLOPED if name != "softmax"]
BIAS = fb.initializers.Normal(0.3)


def narrow(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 41))


def width(rng: np.random.Generator) -> int:
    """Mostly small and odd, now and then wide."""
    kind = rng.random()
    if kind < 0.5:
        return narrow(rng)
    if kind < 0.75:
        return int(rng.choice(SIZES))
    return int(np.exp(rng.uniform(0, np.log(MOST_UNITS + 1))))


def activation(rng: np.random.Generator, names: list[str] = SLOPED) -> Activation:
    """A name, or an activation whose parameter is not the default."""
    name = str(rng.choice(names))
    if rng.random() < 0.5:
        return {"leaky_relu": LeakyReLU(0.2), "elu": ELU(0.6)}.get(name, name)
    return name


def dense(rng: np.random.Generator, units: int, dropout: float) -> fb.Dense:
    f = activation(rng)
    return fb.Dense(units, f, bias_init=BIAS, dropout=0.0 if f == "softmax" else dropout)


def residual(rng: np.random.Generator, below: int, units: int, dropout: float, depth: int):
    inner = [dense(rng, narrow(rng), dropout)] if rng.random() < 0.5 else []
    above = below if rng.random() < 0.5 else units  # the same width needs no projection
    top = inner[-1].units if inner else below
    return fb.Residual([*inner, any_layer(rng, top, above, dropout, depth + 1)])


def any_layer(rng: np.random.Generator, below: int, units: int, dropout: float, depth: int = 0):
    """A layer of any kind above `below` units; a `Residual` in another chooses its own width."""
    kind = rng.choice(["dense", "maxout", "gated", "residual"], p=[0.4, 0.2, 0.2, 0.2])
    if kind == "maxout":
        return fb.Maxout(units, int(rng.integers(1, 4)), bias_init=BIAS)
    if kind == "gated":
        return fb.Gated(units, activation(rng, ELEMENTWISE), bias_init=BIAS)
    if kind == "residual" and depth < 2:
        return residual(rng, below, units, dropout, depth)
    return dense(rng, units, dropout)


def hidden_layers(rng: np.random.Generator, n_inputs: int, may_drop: bool) -> list:
    """The layers below the last; mostly a chain of dense ones, which all regimes do."""
    dropout = float(rng.choice([0.1, 0.5])) if may_drop and rng.random() < 0.25 else 0.0
    chain = rng.random() < 0.6
    layers, below = [], n_inputs
    for _ in range(rng.choice(len(DEPTHS), p=DEPTHS)):
        units = width(rng)
        layers.append(
            dense(rng, units, dropout) if chain else any_layer(rng, below, units, dropout)
        )
        below = layers[-1].units
    return layers


def group(rng: np.random.Generator, layers: list) -> None:
    """Freeze some layers of one network in three, and scale rates and decays; one is trained."""
    inner = [weighted for layer in layers for weighted in layer._weighted()]
    if rng.random() < 0.67:
        return
    for layer in inner:
        layer.trainable = bool(rng.random() < 0.6)
        if rng.random() < 0.4:
            layer.learning_rate_factor = float(rng.choice([0.0, 0.1, 0.7]))
        if rng.random() < 0.4:
            layer.decay_factor = float(rng.choice([0.0, 0.5, 3.0]))
    inner[rng.integers(len(inner))].trainable = True


def cost(n_inputs: int, layers: list) -> float:
    """About the floating-point operations of a row in a step: of its weights and its outputs."""
    total, below = 0, n_inputs
    for one in layers:
        if isinstance(one, fb.Residual):
            total += cost(below, list(one.layers))
            total += FLOPS_OF_A_WEIGHT * below * one.units if below != one.units else 0
        else:
            units = one.units * getattr(one, "pieces", 1)
            total += (FLOPS_OF_A_WEIGHT * below + FLOPS_OF_AN_OUTPUT) * units
        below = one.units
    return total
