"""a * b + c rounded once by src/fma.c, where no instruction does it: against exact fractions."""

from __future__ import annotations

import ctypes
import math
import random
import shutil
import struct
import subprocess
import sys
import sysconfig
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

SRC = Path(__file__).parents[2] / "src"
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
FLAGS = ["-std=gnu11", "-O2", "-ffp-contract=off", "-fPIC", "-shared", f"-I{SRC}"]
LEAST = {32: float(np.finfo(np.float32).tiny), 64: sys.float_info.min}
FRACTION_BITS, BIAS = {32: 23, 64: 52}, {32: 127, 64: 1023}

# Products and sums that two roundings, a lost bit or a shift by a whole word get wrong.
HARD = [
    (1 + 2.0**-52, 1 - 2.0**-52, -1.0),
    (1 + 2.0**-30, 1 + 2.0**-30, 2.0**60),
    (2.0**53 - 1, 2.0**53 - 1, -(2.0**106) + 2.0**55),
    (1.5, 2.0**-53, 1.0),
    (1 + 2.0**-52, 2.0**-53, 1.0),
    (2.0**-600, 2.0**-474, 0.0),
    (2.0**-600, 2.0**-475, 0.0),
    (2.0**-600, 1.5 * 2.0**-475, 0.0),
    (2.0**-1074, 0.5, 2.0**-1074),
    (2.0**-1074, 2.0**1000, -(2.0**-74)),
    (1e308, 10.0, -1e308),
    (1e308, 1e308, -math.inf),
    (3.0, 5.0, -15.0),
    (-3.0, 5.0, 15.0),
    (-0.0, 5.0, 0.0),
    (-0.0, 5.0, -0.0),
    (math.inf, 0.0, 1.0),
    (1.0, math.nan, 1.0),
]
# Of glibc's fma without the instruction, while denormals are flushed: an error of 91 ulp.
SMALL = (
    float.fromhex("-0x1.1a812a765f1p-22"),
    float.fromhex("0x1.552b4cf5a9961p-1000"),
    float.fromhex("-0x1.7bfffffffffffp-1005"),
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which(COMPILER), reason=f"no {COMPILER}"
)


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    path = tmp_path_factory.mktemp("fma") / "fma.so"
    sources = [SRC / "fma.c", SRC / "threads.c"]
    subprocess.run([COMPILER, *FLAGS, *sources, "-o", path, "-pthread"], check=True)
    library = ctypes.CDLL(path)
    for name in ("fbp_fma", "fbp_exact_fma"):
        getattr(library, name).argtypes = [ctypes.c_double] * 3
        getattr(library, name).restype = ctypes.c_double
        getattr(library, f"{name}f").argtypes = [ctypes.c_float] * 3
        getattr(library, f"{name}f").restype = ctypes.c_float
    library.fbp_flush_denormals.restype = ctypes.c_uint64
    library.fbp_restore_denormals.argtypes = [ctypes.c_uint64]
    return library


def rounded(exact, bits):
    """The nearest number to a fraction, a half to even; denormals too."""
    if bits == 64:
        return float(exact)  # Python rounds fractions so
    with np.errstate(all="ignore"):
        near = np.float32(float(abs(exact)))
        around = [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf))]
    # Infinity stands for the next power of two, as in the rule of IEEE 754.
    errors = [abs(Fraction(2.0**128 if np.isinf(x) else float(x)) - abs(exact)) for x in around]
    nearest = min(zip(errors, (x.view(np.uint32) & 1 for x in around), around, strict=True))
    return math.copysign(float(nearest[2]), exact)


def wanted(a, b, c, bits):
    if not (math.isfinite(a) and math.isfinite(b)) or 0 in (a, b):
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return rounded(exact, bits) if exact else 0.0
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def cases(bits, n=1000):
    """Numbers of all sizes, many of them near each other or near the least normal one."""
    draw = random.Random(bits)
    most = 2 * BIAS[bits] + 1

    def number(exponent):
        fraction = draw.getrandbits(FRACTION_BITS[bits])
        if draw.random() < 0.5:  # long runs of equal bits make ties
            fraction >>= draw.randrange(FRACTION_BITS[bits])
        exponent = min(max(exponent, 0), most - 1)
        raw = draw.getrandbits(1) << (bits - 1) | exponent << FRACTION_BITS[bits] | fraction
        return struct.unpack("<f" if bits == 32 else "<d", raw.to_bytes(bits // 8, "little"))[0]

    for _ in range(n):
        ea, eb = draw.randrange(most), draw.randrange(most)
        if draw.random() < 0.5:
            eb = BIAS[bits] - ea + draw.randrange(-30, 30)  # the product is near the least normal
        ec = ea + eb - BIAS[bits] + draw.randrange(-2 * FRACTION_BITS[bits], FRACTION_BITS[bits])
        yield number(ea), number(eb), number(ec)


def same(got, right):
    if math.isnan(right):
        return math.isnan(got)
    return got == right and math.copysign(1, got) == math.copysign(1, right)


@pytest.mark.parametrize("bits", [32, 64])
def test_it_is_rounded_once(core, bits):
    exact = core.fbp_exact_fma if bits == 64 else core.fbp_exact_fmaf
    chosen = core.fbp_fma if bits == 64 else core.fbp_fmaf
    hard = [tuple(float(np.float32(x)) for x in case) if bits == 32 else case for case in HARD
            if bits == 64 or max(abs(x) for x in case if math.isfinite(x)) < 1e38]  # fmt: skip
    for a, b, c in [*hard, *cases(bits)]:
        right = wanted(a, b, c, bits)
        assert same(exact(a, b, c), right), (a.hex(), b.hex(), c.hex())
        assert same(chosen(a, b, c), right), (a.hex(), b.hex(), c.hex())


@pytest.mark.parametrize("bits", [32, 64])
def test_it_flushes_denormals_where_the_instruction_does(core, bits):
    exact = core.fbp_exact_fma if bits == 64 else core.fbp_exact_fmaf
    least = LEAST[bits]
    found = [(*case, wanted(*case, bits)) for case in [SMALL, *cases(bits)][bits == 32 :]]
    # What is below the least normal number in these is zero then.
    usual = [case for case in found if all(x == 0 or abs(x) > 2 * least for x in case)]
    small = [(least, 0.5, 0.0), (least / 2, 2.0, 0.0), (least, 0.75, -least), (least, 1.0, least)]
    mode = core.fbp_flush_denormals()
    try:
        got = [exact(a, b, c) for a, b, c, _ in usual]
        flushed = [exact(a, b, c) for a, b, c in small]
    finally:
        core.fbp_restore_denormals(mode)
    assert len(usual) > 100
    for (a, b, c, right), value in zip(usual, got, strict=True):
        assert same(value, right), (a.hex(), b.hex(), c.hex())
    assert flushed == [0, 0, 0, 2 * least]
