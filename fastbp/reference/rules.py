"""The update rules in NumPy: what becomes of a finished gradient. Part of `fastbp.reference`.

.. [1] Duchi, Hazan & Singer, "Adaptive subgradient methods", 2011.
.. [2] Tieleman & Hinton, "Lecture 6.5: RMSprop", 2012.
.. [3] Kingma & Ba, "Adam: a method for stochastic optimization", 2015.
.. [4] Loshchilov & Hutter, "Decoupled weight decay regularization", 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["descend", "penalised"]

Array = NDArray[np.floating]


def penalised(
    g: Array, w: Array, l1: float = 0.0, l2: float = 0.0, clip_value: float = 0.0
) -> Array:
    """Return g, clipped by value, and the slope of l1 sum|w| + l2 sum w^2, which is 0 at w = 0."""
    if clip_value:
        g = np.clip(g, -clip_value, clip_value)
    return g + 2 * l2 * w + l1 * np.sign(w)


def descend(
    rule: str,
    w: Array,
    m: Array,
    v: Array,
    g: Array,
    learning_rate: float = 0.0,
    momentum: float = 0.0,
    square_decay: float = 0.0,
    eps: float = 0.0,
    weight_decay: float = 0.0,
    t: int = 1,
) -> tuple[Array, Array, Array]:
    """Return the weights and their state m, v after step t = 1, 2, ... with the gradient g.

    - ``"gradient"``: g in place of the weights
    - ``"sgd"``: w - lr g
    - ``"momentum"``: m = mu m + g, then w - lr m
    - ``"nesterov"``: m = mu m + g, then w - lr (g + mu m)
    - ``"adagrad"``: v += g^2, then w - lr g / (sqrt v + eps) [1]_
    - ``"rmsprop"``: v = a v + (1 - a) g^2, then w - lr g / (sqrt v + eps) [2]_
    - ``"adam"``: m = mu m + (1 - mu) g, v as in rmsprop, both divided by 1 - decay^t for the
      step, w (1 - lr weight_decay) - lr m / (sqrt v + eps) [3]_, [4]_
    """
    lr, mu, a = learning_rate, momentum, square_decay
    if rule == "gradient":
        return g, m, v
    if rule == "sgd":
        return w - lr * g, m, v
    if rule in ("momentum", "nesterov"):
        m = mu * m + g
        return w - lr * (g + mu * m if rule == "nesterov" else m), m, v
    v = v + g * g if rule == "adagrad" else a * v + (1 - a) * g * g
    if rule != "adam":
        return w - lr * g / (np.sqrt(v) + eps), m, v
    m = mu * m + (1 - mu) * g
    step = m / (1 - mu**t) / (np.sqrt(v / (1 - a**t)) + eps)
    return w * (1 - lr * weight_decay) - lr * step, m, v
