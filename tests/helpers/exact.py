"""Fused multiply-add in NumPy, exactly rounded: what the arithmetic contract is tested against.

Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
odd", IEEE Trans. Computers 57, 2008. Valid away from overflow and denormals.
"""

from __future__ import annotations

import numpy as np


def _two_sum(a, b):
    """s + e == a + b exactly, s the rounded sum (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _two_product(a, b):
    """p + e == a * b exactly, p the rounded product (Dekker, Veltkamp splitting)."""

    def split(v):
        c = v * 134217729.0  # 2^27 + 1
        high = c - (c - v)
        return high, v - high

    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _odd_sum(a, b):
    """a + b in float64, rounded to odd: an inexact sum never ends in a zero bit."""
    s, e = _two_sum(a, b)
    even = (s.view(np.int64) & 1) == 0
    return np.where((e != 0) & even, np.nextafter(s, np.where(e > 0, np.inf, -np.inf)), s)


def fma(a, b, c):
    """a * b + c of equal-dtype float32 or float64 arrays, rounded once."""
    dtype = np.result_type(a, b, c)
    a, b, c = (np.asarray(v, np.float64) for v in np.broadcast_arrays(a, b, c))
    if dtype == np.float32:  # the product of two 24-bit numbers is exact in float64
        return _odd_sum(a * b, c).astype(np.float32)
    product_high, product_low = _two_product(a, b)
    low_sum, low_rest = _two_sum(c, product_low)
    high, rest = _two_sum(product_high, low_sum)
    return high + _odd_sum(low_rest, rest)


def chain(a, b, start):
    """Matrix product a[m, k] @ b[k, n] + start, one FMA chain over k ascending per element."""
    total = np.broadcast_to(start, (a.shape[0], b.shape[1]))
    for k in range(a.shape[1]):
        total = fma(a[:, k, None], b[None, k, :], total)
    return total


def blocked_chain(a, b, block):
    """Matrix product a @ b: FMA chains from zero inside blocks of k, the sums added ascending."""
    zero = a.dtype.type(0)
    sums = [chain(a[:, i : i + block], b[i : i + block], zero) for i in range(0, len(b), block)]
    total = sums[0]
    for block_sum in sums[1:]:
        total = total + block_sum
    return total
