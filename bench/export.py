"""Networks exported to C beside onnxruntime and `predict`: ``python bench/export.py``.

Each network is written by `fastbp.formats.to_c`, compiled by CC (default: gcc) with --flags, and
written as an ONNX file by `Network.to_onnx`. Sizes are in bytes: of the object's code and numbers,
with the functions of gradients too, of the file of C, and of the ONNX file, whose runtime is
printed above.

Times are microseconds of one row on one thread, medians of rounds in which all take turns: of the C
function called in a loop of C, and of the C function by ctypes, of `Network.predict` and of
`InferenceSession.run`, each called from Python; then how many times as long onnxruntime takes.
Outputs are compared first: the exit status is 1 if those of C are not the bits of `predict` (in an
object that has an instruction for fma) or those of onnxruntime are further off than 1e-5.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import options
import report
import timing

import fastbp as fb

FLAGS = "-O3 -mfma" if os.uname().machine == "x86_64" else "-O3"
RUN = """
void run(const float *x, float *y, size_t repeats)
{
    size_t i;
    for (i = 0; i < repeats; i++)
        net_predict(x, y);
}
"""
NETWORKS: dict[str, tuple[int, list[tuple[int, str]]]] = {
    "4-64-64-2 tanh": (4, [(64, "tanh"), (64, "tanh"), (2, "linear")]),
    "17-256-256-6 relu": (17, [(256, "relu"), (256, "relu"), (6, "linear")]),
    "64-32-10 sigmoid, softmax": (64, [(32, "sigmoid"), (10, "softmax")]),
    "784-128-10 relu, softmax": (784, [(128, "relu"), (10, "softmax")]),
}
CALLERS = ("C loop", "ctypes", "predict", "onnxruntime")
SIZES = ("weights", "object", "with gradients", "C file", "ONNX file")
# How many times as long onnxruntime takes: beside a C program, and called from Python as it is.
RATIOS = {"x C loop": "C loop", "x ctypes": "ctypes"}
TITLES = ["network", *SIZES, *CALLERS, *RATIOS]
ALLOWED = 1e-5


def main() -> int:
    arguments = _arguments()
    fb.set_num_threads(1)
    facts = report.here(1) | {"compiler": _compiler(), "flags": arguments.flags}
    facts["versions"] += f", onnxruntime {version('onnxruntime')}"
    facts["onnxruntime"] = f"{_library_bytes():,} bytes of its library"
    report.show(facts)
    print(report.head(TITLES))
    names = options.choose(arguments.only, {name: name for name in NETWORKS})
    results = [measure(name, arguments.flags, arguments.seconds) for name in names]
    report.write(arguments.json, facts, results)
    return int(not all(result["same"] for result in results))


def _arguments() -> Any:
    parser = options.parser(__doc__, only="", seconds=0.2)
    parser.add_argument("--flags", default=FLAGS, help="of the compiler (%(default)s)")
    return parser.parse_args()


def _library_bytes() -> int:
    """Return the size of the library that runs ONNX files."""
    folder = Path(import_module("onnxruntime").__file__ or "").parent / "capi"
    return max(path.stat().st_size for path in folder.iterdir())


def _compiler() -> str:
    return _run(*_cc(), "--version").splitlines()[0]


def _cc() -> list[str]:
    return shlex.split(os.environ.get("CC", "gcc"))


def measure(name: str, flags: str, seconds: float) -> dict[str, Any]:
    """Return the record of a network, and print its row."""
    n_inputs, layers = NETWORKS[name]
    net = fb.Network(n_inputs, [fb.Dense(*layer) for layer in layers], seed=0)
    x = np.random.default_rng(0).standard_normal((1, n_inputs)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        library, sizes = compiled(net, Path(folder), flags)
        model = onnx_model(net)
        onnx = session(model)
        y = np.empty((1, net.n_outputs), np.float32)
        pointers = x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p)
        feed = {"x": x}
        calls: dict[str, Callable[[], Any]] = {
            "ctypes": lambda: library.net_predict(*pointers),
            "predict": lambda: net.predict(x),
            "onnxruntime": lambda: onnx.run(None, feed),
        }
        library.net_predict(*pointers)
        wanted, other = net.predict(x), onnx.run(None, feed)[0]
        off = float(np.abs(other - wanted).max())
        same = y.tobytes() == wanted.tobytes() and off <= ALLOWED
        measures = {key: _timer(call, seconds) for key, call in calls.items()}
        measures["C loop"] = _loop_timer(library, pointers, seconds)
        samples = timing.rounds({key: measures[key] for key in CALLERS})
    sizes["ONNX file"] = len(model)
    record = {"name": name, "sizes": sizes, "samples": samples, "same": same, "onnx off": off}
    medians = {key: statistics.median(samples[key]) for key in CALLERS}
    record["ratios"] = {ratio: medians["onnxruntime"] / medians[c] for ratio, c in RATIOS.items()}
    cells = [f"{sizes[kind]:,}" for kind in SIZES]
    cells += [report.number(1e6 * seconds) for seconds in medians.values()]
    cells += [f"{ratio:.1f}x" for ratio in record["ratios"].values()]
    print(report.row([name, *cells]), flush=True)
    return record


def compiled(net: fb.Network, folder: Path, flags: str) -> tuple[ctypes.CDLL, dict[str, int]]:
    """Return a library with the network's functions and a loop over one, and the sizes."""
    sizes = {"weights": 4 * net.n_parameters}
    for kind, gradients in (("with gradients", True), ("object", False)):
        source, target = folder / "net.c", folder / "net.o"
        source.write_text(fb.formats.to_c(net, "net", gradients=gradients))
        _run(*_cc(), *shlex.split(flags), "-c", source, "-o", target)
        text, data, bss = _run("size", target).splitlines()[1].split()[:3]
        sizes[kind] = int(text) + int(data) + int(bss)
    sizes["C file"] = source.stat().st_size
    source.write_text(fb.formats.to_c(net, "net") + RUN)
    library = folder / "net.so"
    _run(*_cc(), *shlex.split(flags), "-shared", "-fPIC", source, "-o", library, "-lm")
    loaded = ctypes.CDLL(str(library))
    loaded.run.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    return loaded, sizes


def _run(*command: Any) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def onnx_model(net: fb.Network) -> bytes:
    """Return the content of an ONNX file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        net.to_onnx(path)
        return path.read_bytes()


def session(model: bytes) -> Any:
    """Return the session of onnxruntime for an ONNX file, on one thread."""
    import onnxruntime

    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, chosen, providers=["CPUExecutionProvider"])


def _timer(call: Callable[[], Any], seconds: float) -> Callable[[], float]:
    """Return what times one call: the median of as many as take so long."""
    n = timing.repeats_in(seconds, lambda n: timing.seconds_of(lambda: [call() for _ in range(n)]))

    def measured() -> float:
        found = []
        for _ in range(n):
            begin = perf_counter()
            call()
            found.append(perf_counter() - begin)
        return statistics.median(found)

    return measured


def _loop_timer(
    library: ctypes.CDLL, pointers: tuple[Any, Any], seconds: float
) -> Callable[[], float]:
    def run(n: int) -> float:
        return timing.seconds_of(lambda: library.run(*pointers, n))

    n = timing.repeats_in(seconds, run)
    return lambda: run(n) / n


if __name__ == "__main__":
    sys.exit(main())
