"""The NumPy twin of the engine: the documentation of the maths and the oracle of the tests.

Clear and slow on purpose, in the dtype of its input, with the op names of the compiled kernels.
It takes plain arrays, checks nothing and returns new arrays; nothing at run time imports it.
"""

from .activations import ACTIVATIONS, activation_of
from .dropout import dropout_factors
from .gates import layer, maxout, product, stack
from .losses import LOSSES, smooth_rows, weigh_rows
from .network import (
    backward,
    dense_delta,
    dense_forward,
    dense_update,
    forward,
    gradients,
    loss_delta,
    sgd_step,
)

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "activation_of",
    "backward",
    "dense_delta",
    "dense_forward",
    "dense_update",
    "dropout_factors",
    "forward",
    "gradients",
    "layer",
    "loss_delta",
    "maxout",
    "product",
    "sgd_step",
    "smooth_rows",
    "stack",
    "weigh_rows",
]
