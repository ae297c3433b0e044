"""The bits of some short training runs, which every build must give on every machine.

Compilers and flags can break the contract of bits without a message, so that packagers and users
can ask: ``fastbp info --check``.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastbp as fb

from ..engine import runtime

__all__ = ["EXPECTED", "digest", "results"]

# Of the runs below in each dtype.
EXPECTED = {
    "float32": "675eb556f54e3b934aad115c7328ecff692b630e5004bebf1ff4604eb81d39c3",
    "float64": "950b9246e4084a580060614e2e5240f1002174e54f92c07c5a819096f1811c2d",
}


def digest(dtype: str, n_threads: int) -> str:
    """Return the SHA-256 of parameters, outputs and losses after the runs, in little-endian order.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    n_threads : int
        Of the steps; the result does not depend on it.
    """
    found = sha256()
    for n_inputs, layers, loss, optimizer, batch in _runs():
        net = fb.Network(n_inputs, layers, dtype, seed=0)
        net.parameters = _numbers(net.n_parameters, 1) / 4
        x = _numbers(90 * n_inputs, 2).reshape(90, n_inputs)
        y = np.abs(_numbers(90 * net.n_outputs, 3)).reshape(90, net.n_outputs)
        if loss == "cross_entropy":
            y = y.argmax(axis=1)
        trainer = fb.Trainer(
            net, loss, optimizer, batch, l2=1e-3, seed=5, n_threads=n_threads, clip_norm=2.0
        )
        history = trainer.fit(x, y, epochs=4)
        for array in (net.parameters, net.predict(x), np.array(history["loss"])):
            found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def results() -> Iterator[tuple[str, str, int, bool]]:
    """Iterate over kernel sets of this machine, dtypes and threads, and whether all is right."""
    before = runtime.isa()
    try:
        for isa in runtime.isas():
            runtime.use_isa(isa)
            for dtype, wanted in EXPECTED.items():
                for n_threads in sorted({1, 2, fb.get_num_threads()}):
                    yield isa, dtype, n_threads, digest(dtype, n_threads) == wanted
    finally:
        runtime.use_isa(before)


def _runs() -> Iterator[tuple[int, list[Any], str, Any, int]]:
    """Iterate over inputs, layers, loss, optimizer and rows of a batch.

    The batches are those that stream through one core and those that a team shares.
    """
    dense = fb.Dense
    small = [dense(8, "tanh"), dense(1, "sigmoid")]
    yield 2, small, "binary_cross_entropy", fb.SGD(0.5), 4
    classes = [dense(47, "gelu"), dense(33, "silu", dropout=0.25), dense(5, "softmax")]
    yield 30, classes, "cross_entropy", fb.Adam(0.01), 64
    gates = [fb.Maxout(17, 3), fb.Residual([fb.Gated(17)]), dense(3)]
    yield 9, gates, "huber", fb.SGD(0.02, momentum=0.9, nesterov=True), 32
    wide = [dense(97, "elu"), dense(40, "softplus"), dense(2, "leaky_relu")]
    yield 70, wide, "mse", fb.RMSprop(0.001), 90


def _numbers(n: int, seed: int) -> NDArray[np.float64]:
    """Return n multiples of 1 / 64 in [-1, 1), the same ones with every version of NumPy."""
    state, found = seed, []
    for _ in range(n):
        state = (state * 1103515245 + 12345) % 2**31  # rand of ISO C
        found.append((state >> 16) % 128 / 64 - 1)
    return np.array(found)
