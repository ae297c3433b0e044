"""Time of each C kernel on one thread: ``python bench/kernels.py``.

A kernel is called again and again on the same arrays, which lie as the engine lays them out, for
some milliseconds; the cases take turns in rounds. Arrays that fit a cache are therefore in it.
Reported are the median time of a call, the spread (half the interquartile range over the median),
and, where they mean something:

    GFLOP/s     2 * batch * n_in * n_out / time; twice that for stream_backward, which is delta
                and update. The peak is that of fused multiply-adds in registers.
    GB/s        bytes that the call must read and write / time: weights for the streaming kernels,
                which visit no weight row whose input is zero; rows or elements for the others.
    ns per row  time / batch
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import numpy as np
import options
import report
from timing import PEAK_MILLISECONDS, ROUNDS, repeats_in, rounds, seconds_of, spread

from fastbp.engine import probe, runtime
from fastbp.engine.probe import KernelCalls

DENSE = [(64, 784, 128), (64, 128, 10), (100, 784, 50), (256, 256, 256), (128, 512, 512)]
DENSE += [(128, 1024, 1024), (256, 1024, 1024), (128, 4096, 4096)]
STREAM = [(1, 784, 128), (8, 784, 128), (1, 1024, 1024), (8, 1024, 1024)]
MNIST_DENSITY = 0.19  # of the pixels that are not paper
GATHER = [(64, 784), (256, 1024)]
GATHERED_FROM = 4096  # rows, in random order
LOSSES = [("cross_entropy", "softmax", 10, 64), ("cross_entropy", "softmax", 1000, 64)]
LOSSES += [("binary_cross_entropy", "sigmoid", 1, 256), ("mse", "linear", 6, 256)]
ACTIVATIONS = ["relu", "sigmoid", "tanh"]
TITLES = ["kernel", "shape", "µs", "spread", "GFLOP/s", "of peak", "GB/s", "ns per row"]


@dataclass(frozen=True)
class Case:
    """A kernel on arrays of one size, and what one call of it comes to."""

    kernel: str
    shape: str
    batch: int
    run: Callable[[int], object]  # so many calls
    flops: int = 0
    bytes: int = 0

    def seconds(self, times: int) -> float:
        return seconds_of(lambda: self.run(times))


def layer_calls(
    dtype: str, batch: int, n_in: int, n_out: int, isa: str | None = None, density: float = 1.0
) -> KernelCalls:
    """Return a dense layer of random numbers; of its inputs, `density` are not zero.

    Its targets are the first class, or what else a loss makes of a 1 and zeros.
    """
    rng = np.random.default_rng(0)
    calls = KernelCalls(dtype, batch, n_in, n_out, isa)
    for array, n in [(calls.x, n_in), (calls.y, n_out), (calls.dy, n_out), (calls.weight, n_out)]:
        array[:, :n] = rng.standard_normal((len(array), n), np.float32)
    calls.target[:, 0] = 1
    calls.x[:, :n_in] *= rng.permutation(n_in) < round(density * n_in)
    calls.list_inputs()
    return calls


def main() -> None:
    arguments = _arguments()
    every = cases(arguments.dtype, arguments.isa)
    chosen = options.choose(arguments.only, {f"{case.kernel} {case.shape}": case for case in every})
    facts = report.here(1, arguments.dtype, arguments.isa) | {"dtype": arguments.dtype}
    report.show(facts)
    print(report.head(TITLES, text_columns=2))
    results = _measure(chosen, arguments, facts["peak GFLOP/s"])
    for record in results:
        print(_row(record))
    report.write(arguments.json, facts, results)


def _arguments() -> argparse.Namespace:
    parser = options.parser(__doc__, only="", dtype="float32", seconds=0.15)
    parser.add_argument("--isa", choices=runtime.isas(), help="default: the one in use")
    return parser.parse_args()


def cases(dtype: str, isa: str | None) -> Iterator[Case]:
    """Give every case; those of one size share their arrays, made when they are first called."""
    layer = cache(lambda *sizes, density=1.0: layer_calls(dtype, *sizes, isa, density))
    item = np.dtype(dtype).itemsize
    for sizes in DENSE:
        yield from _dense(sizes, partial(layer, *sizes))
    for sizes in STREAM:
        yield from _stream(sizes, 1.0, item, partial(layer, *sizes))
    sparse = partial(layer, *STREAM[0], density=MNIST_DENSITY)
    yield from _stream(STREAM[0], MNIST_DENSITY, item, sparse)
    for batch, n_in in GATHER:
        yield _gather(batch, n_in, dtype, partial(layer, batch, n_in, 1))
    for loss, activation, n_out, batch in LOSSES:
        options = {"rows": batch, "loss": loss, "activation": activation}
        run = _run(partial(layer, batch, 1, n_out), "loss_delta", **options)
        yield Case("loss_delta", f"{loss} {n_out} b{batch}", batch, run)
    for activation in ACTIVATIONS:
        run = _run(partial(layer, 64, 1, 128), "activate", activation=activation)
        moved = 2 * 64 * runtime.leading_dimension(128, dtype) * item
        yield Case("activate", f"{activation} 128 b64", 64, run, bytes=moved)


def _run(layer: Callable[[], KernelCalls], kernel: str, **options: Any) -> Callable[[int], object]:
    return lambda times: getattr(layer(), kernel)(times, **options)


def _dense(sizes: tuple[int, int, int], layer: Callable[[], KernelCalls]) -> Iterator[Case]:
    batch, n_in, n_out = sizes
    size, flops = (f"{n_in}x{n_out} b{batch}", batch), 2 * batch * n_in * n_out
    for kernel in ("dense_forward", "dense_delta"):
        yield Case(kernel, *size, _run(layer, kernel, rows=batch, activation="relu"), flops)
    yield Case("dense_update", *size, _run(layer, "dense_update", rows=n_in), flops)


def _stream(
    sizes: tuple[int, int, int], density: float, item: int, layer: Callable[[], KernelCalls]
) -> Iterator[Case]:
    batch, n_in, n_out = sizes
    shape = f"{n_in}x{n_out} b{batch}" + (f", {density:.0%} of inputs" if density < 1 else "")
    weights = round(density * n_in) * n_out
    flops, read = 2 * batch * weights, weights * item
    forward = _run(layer, "stream_forward", activation="relu")
    yield Case("stream_forward", shape, batch, forward, flops, read)
    backward = _run(layer, "stream_backward")
    yield Case("stream_backward", shape, batch, backward, 2 * flops, 2 * read)


def _gather(batch: int, n_in: int, dtype: str, layer: Callable[[], KernelCalls]) -> Case:
    rng = np.random.default_rng(1)
    source, order = rng.random((GATHERED_FROM, n_in), dtype), rng.permutation(GATHERED_FROM)
    run = _run(layer, "gather_rows", rows=batch, source=source, order=order)
    return Case("gather_rows", f"{n_in} b{batch}", batch, run, bytes=2 * batch * source[0].nbytes)


def _measure(
    chosen: list[Case], arguments: argparse.Namespace, peak: float
) -> list[dict[str, Any]]:
    """Return a record for each case; the peak is the best of the probes, as in train.py."""
    for case in chosen:
        case.run(1)  # makes and fills the arrays
    times = {case: repeats_in(arguments.seconds / ROUNDS, case.seconds) for case in chosen}
    measures: dict[Case | str, Callable[[], float]] = {
        case: lambda case=case, n=n: case.seconds(n) / n for case, n in times.items()
    }
    measures["peak"] = lambda: probe.fma_peak(arguments.isa, 1, PEAK_MILLISECONDS, arguments.dtype)
    samples = rounds(measures)
    peak = max(peak, *samples.pop("peak"))
    return [_record(case, taken, peak) for case, taken in samples.items()]


def _record(case: Case, samples: list[float], peak: float) -> dict[str, Any]:
    seconds = median(samples)
    record: dict[str, Any] = {"kernel": case.kernel, "shape": case.shape, "batch": case.batch}
    record |= {"microseconds": 1e6 * seconds, "spread": spread(samples)}
    record["ns_per_row"] = 1e9 * seconds / case.batch
    if case.flops:
        gflops = case.flops / seconds / 1e9
        record |= {"flops": case.flops, "gflops": gflops, "percent_of_peak": 100 * gflops / peak}
    if case.bytes:
        record |= {"bytes": case.bytes, "gb_per_second": case.bytes / seconds / 1e9}
    return record | {"peak_gflops": peak, "samples": [1e6 * s for s in samples]}


def _row(record: dict[str, Any]) -> str:
    flops = "gflops" in record
    return report.row(
        [
            record["kernel"],
            record["shape"],
            report.number(record["microseconds"]),
            f"{record['spread']:.1%}",
            report.number(record["gflops"]) if flops else "-",
            f"{record['percent_of_peak']:.3g}%" if flops else "-",
            report.number(record["gb_per_second"]) if "bytes" in record else "-",
            report.number(record["ns_per_row"]),
        ]
    )


if __name__ == "__main__":
    main()
