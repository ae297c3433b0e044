"""Largest error of the elementary functions in float32: ``python bench/numerics.py``.

Every float32 number, all 2^32 of them or each ``--stride``-th, goes through the kernels. The result
is compared with NumPy's or SciPy's in float64, whose own error is a millionth of what is seen here:

    error in ulp = |result - true value| / spacing of float32 at the true value

where the spacing of denormals is that of the smallest. Infinities, NaN and the sign of zero must
be the true ones; a wrong one counts as an infinite error. Denormals are not flushed here. The
accuracy is that of the first kernel set; the others must have its bits, any NaN being like another.
The exit status is 1 if they have not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray
from tqdm import tqdm

from fastbp.engine import kernels, runtime

CHUNK = 1 << 18  # numbers at a time: their float64 is in L2
INPUTS = 1 << 32

TRUTH: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": scipy.special.erf,
    "expm1": np.expm1,
}


class Worst(NamedTuple):
    """The largest error of some inputs, where it is, and the kernel sets that differ there."""

    ulp: float
    x: float
    differing: frozenset[str]


def main() -> int:
    arguments = _arguments()
    results = []
    for function in [arguments.function] if arguments.function else TRUTH:
        worst = sweep(function, arguments.stride, arguments.isa, arguments.threads)
        results.append(
            {"function": function, "ulp": worst.ulp, "x": worst.x, "bits": _bits(worst.x),
             "isas": arguments.isa, "differing": sorted(worst.differing)}
        )  # fmt: skip
        print(_line(results[-1]), flush=True)
    if arguments.json:
        report = {"stride": arguments.stride, "numpy": np.__version__, "results": results}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    return int(any(result["differing"] for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--function", choices=list(TRUTH), help="default: all of them")
    add("--stride", type=_at_least_one, default=1, metavar="N", help="each N-th input only")
    add("--isa", type=_isas, default=",".join(runtime.isas()), help="of %(default)s")
    add("--threads", type=_at_least_one, default=runtime.get_num_threads(), metavar="N")
    add("--json", metavar="FILE", help="write the results there")
    return parser.parse_args()


def _isas(text: str) -> list[str]:
    for name in text.split(","):
        if name not in runtime.isas():
            raise argparse.ArgumentTypeError(f"no {name!r}; there are {', '.join(runtime.isas())}")
    return text.split(",")


def _at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, wanted at least 1")
    return int(text)


def sweep(function: str, stride: int, isas: list[str], n_threads: int) -> Worst:
    """Return the largest error of a function over each `stride`-th float32 number."""
    starts = range(0, INPUTS, CHUNK * stride)

    def of_chunk(start: int) -> Worst:
        stop = min(start + CHUNK * stride, INPUTS)
        bits = np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32)
        return worst_of(function, bits.view(np.float32), isas)

    with ThreadPoolExecutor(n_threads) as pool:
        return _worst(tqdm(pool.map(of_chunk, starts), function, len(starts), leave=False))


def _worst(parts: Iterable[Worst]) -> Worst:
    worst = Worst(-1.0, np.nan, frozenset())
    for part in parts:
        worse = part if part.ulp > worst.ulp else worst
        worst = worse._replace(differing=worst.differing | part.differing)
    return worst


def worst_of(function: str, x: NDArray[np.float32], isas: list[str]) -> Worst:
    """Return the largest error of a function over the numbers x."""
    first, *others = (kernels.elementary(function, x, isa) for isa in isas)
    differing = {isa for isa, y in zip(isas[1:], others, strict=True) if not same_bits(first, y)}
    error = ulps(first, function, x)
    at = int(error.argmax())
    return Worst(float(error[at]), float(x[at]), frozenset(differing))


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Return whether all bits are equal, any NaN being like another."""
    different = a.view(np.uint32) != b.view(np.uint32)
    return not (different & ~(np.isnan(a) & np.isnan(b))).any()


def ulps(y: NDArray[np.float32], function: str, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the error of every y in units of float32's spacing at the true value."""
    with np.errstate(all="ignore"):
        true = TRUTH[function](x.astype(np.float64))
        nearest = true.astype(np.float32)
        _, exponent = np.frexp(true)
        error = np.ldexp(abs(y - true), 24 - np.maximum(exponent, -125))
    error[np.isinf(y) & (y == nearest) | np.isnan(y) & np.isnan(true)] = 0
    wrong = np.isnan(error) | ((true == 0) & (np.signbit(y) != np.signbit(true)))
    error[wrong] = np.inf
    return error


def _bits(x: float) -> str:
    return f"0x{np.float32(x).view(np.uint32):08x}"


def _line(result: dict) -> str:
    bits = f"other bits on {', '.join(result['differing'])}"
    if not result["differing"]:
        bits = f"same bits on {', '.join(result['isas'])}"
    where = f"x = {result['x']:.9g} ({result['bits']})"
    return f"{result['function']:8} {result['ulp']:.4f} ulp at {where}; {bits}"


if __name__ == "__main__":
    sys.exit(main())
