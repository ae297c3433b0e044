"""For each loss: options that are not the defaults, and random targets in its domain."""

from __future__ import annotations

import numpy as np

from fastbp import losses

# Away from the defaults, so that a parameter that gets lost on its way shows.
LOSSES = {
    **losses.LOSSES,
    "huber": losses.Huber(0.8),
    "quantile": losses.Quantile(0.7),
    "hinge": losses.Hinge(0.9),
    "multiclass_hinge": losses.MulticlassHinge(1.25),
}
PARAMETERS = {name: loss.parameter for name, loss in LOSSES.items()}


def targets(loss, shape, rng):
    """Random rows [n, n_outputs] in the domain of the named loss, float64."""
    domain = LOSSES[loss].targets
    if domain in ("distribution", "one_hot"):
        return np.eye(shape[1])[rng.integers(0, shape[1], shape[0])]
    if domain == "unit":
        return rng.random(shape)
    if domain == "sign":
        return rng.choice([-1.0, 1.0], shape)
    if domain == "count":
        return rng.poisson(1.5, shape).astype(float)
    return rng.standard_normal(shape)


def needed(loss, otherwise):
    """The output activation that the named loss needs, or `otherwise`."""
    return next(iter(LOSSES[loss].outputs), otherwise)


def right_rows(loss, outputs, rows):
    """Which rows of outputs are right, in a network of several outputs."""
    if loss in ("hinge", "perceptron"):
        return (rows * outputs > 0).all(axis=1)
    if loss == "binary_cross_entropy":
        return ((outputs > 0.5) == (rows > 0.5)).all(axis=1)
    return outputs.argmax(axis=1) == rows.argmax(axis=1)
