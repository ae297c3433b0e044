"""From the parameters of an estimator to a network and an optimizer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..activations import Activation
from ..errors import ConfigError, brief
from ..layers import Dense, Layer
from ..network import Network
from ..optimizers import LBFGS, SGD, Adam, LearningRate, Optimizer
from ..schedules import InverseTime

__all__ = ["NAMES", "network_of", "optimizer_of", "rate_factor", "sizes_of"]

# scikit-learn's names of activations, and fastbp's.
NAMES = {"identity": "linear", "logistic": "sigmoid"}
# Of the learning rate, when learning_rate="adaptive" lowers it, and the rate at which it is over.
ADAPTIVE_FACTOR, LEAST_RATE = 0.2, 1e-6


def sizes_of(estimator: Any) -> list[int]:
    """Return the widths of the hidden layers.

    Raises
    ------
    ValueError
        One is not positive.
    """
    given = estimator.hidden_layer_sizes
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return sizes


def _per_layer(value: Any, n: int, name: str) -> list[Any]:
    """Return an option for each hidden layer: the one for all, or those of a list."""
    if not isinstance(value, list | tuple | np.ndarray):
        return [value] * n
    if len(value) != n:
        raise ConfigError(
            f"{name}: got {brief(value)} for {n} hidden layers, wanted one value for all, or one "
            "for each"
        )
    return list(value)


def network_of(
    estimator: Any,
    n_inputs: int,
    output: Dense,
    dtype: np.dtype[Any],
    random_state: np.random.RandomState,
) -> Network:
    """Return a network with initial weights.

    Those of hidden layers that are given by their sizes, and of their output layer, are drawn as
    scikit-learn draws them, from the same stream; fastbp draws the others.
    """
    if estimator.layers is not None:
        layers: list[Layer] = [*estimator.layers, output]
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        return Network(n_inputs, layers, dtype, seed, keep_weights=True)
    sizes = sizes_of(estimator)
    names: list[Activation] = [
        NAMES.get(name, name) if isinstance(name, str) else name
        for name in _per_layer(estimator.activation, len(sizes), "activation")
    ]
    rates = _per_layer(estimator.dropout, len(sizes), "dropout")
    hidden = [
        Dense(int(size), name, dropout=rate)
        for size, name, rate in zip(sizes, names, rates, strict=True)
    ]
    network = Network._unset(n_inputs, [*hidden, output], dtype)
    _draw(network, [*names, names[-1] if names else "linear"], random_state)
    return network


def _draw(
    network: Network, names: Sequence[Activation], random_state: np.random.RandomState
) -> None:
    """Set weights and biases: uniform after Glorot and Bengio, the bound by the activation."""
    for layer, name in zip(network.weighted_layers, names, strict=True):
        bound = np.sqrt((2 if name == "sigmoid" else 6) / sum(layer.weight.shape))
        for array in (layer.weight, layer.bias):
            array[...] = random_state.uniform(-bound, bound, array.shape)


def optimizer_of(estimator: Any, n_rows: int) -> Optimizer:
    """Return the optimizer of the parameters; a copy of one that is given."""
    given = estimator.solver
    if isinstance(given, Optimizer):
        return copy.deepcopy(given)
    if given == "lbfgs":
        return LBFGS(estimator.tol, max_evaluations=int(estimator.max_fun))
    rate: LearningRate = float(estimator.learning_rate_init)
    if given == "adam":
        return Adam(rate, (estimator.beta_1, estimator.beta_2), estimator.epsilon)
    if estimator.learning_rate == "invscaling" and estimator.power_t:
        rate = InverseTime(float(estimator.learning_rate_init), n_rows, "epoch", estimator.power_t)
    momentum = float(estimator.momentum)
    return SGD(rate, momentum, bool(estimator.nesterovs_momentum) and momentum > 0)


def rate_factor(estimator: Any) -> float | None:
    """Return what the learning rate is multiplied by when training stalls, if it is at all."""
    adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
    return ADAPTIVE_FACTOR if adaptive else None
