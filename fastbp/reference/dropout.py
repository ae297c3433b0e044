"""Dropout in NumPy: the twin of the engine's counter-based random numbers.

.. [1] Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
       Journal of Machine Learning Research 15, 2014.
.. [2] Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15


def _random(key: int, index: int) -> int:
    """Return word `index` of a stream: SplitMix64 [2]_ of the key plus so many increments."""
    z = (key + (index + 1) * _GAMMA) & _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _WORD
    return z ^ (z >> 31)


def dropout_factors(
    seed: int, step: int, layer: int, rows: int, units: int, rate: float
) -> NDArray[np.float64]:
    """Return 0 or 1 / (1 - rate) for each output [rows, units] of a layer in a step [1]_.

    Each depends on seed, step, layer, row and unit alone.
    """
    key = _random(_random(seed, layer), step)
    words = np.array([_random(key, row) for row in range(rows)], np.uint64).reshape(-1, 1)
    low, high = words.astype(np.uint32), (words >> np.uint64(32)).astype(np.uint32)
    h = np.arange(units, dtype=np.uint32) * np.uint32(0x9E3779B1) + low
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= (h >> np.uint32(15)) ^ high
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    return np.where(h >> np.uint32(1) < int(rate * 2**31), 0, 1 / (1 - rate))
