"""Short fits in every regime with limits and without, for ThreadSanitizer to look at.

    tests/sanitize.sh tsan -m races [--alone]

With --alone no thread computes again what another has claimed.
"""

from __future__ import annotations

import sys

import numpy as np

import fastbp as fb
from fastbp import testing

EPOCHS = 6
LIMITS = {}, {"clip_norm": 0.1}, {"max_norm": 1.0}
CASES = [("batch-split", 40, limit) for limit in LIMITS] + [("wide", 40, limit) for limit in LIMITS]
CASES += [("streaming", 5, {})]


def train(regime: str, batch_size: int, limit: dict[str, float], n_threads: int) -> None:
    rng = np.random.default_rng(0)
    layers = [fb.Dense(64, "relu"), fb.Dense(40, "tanh"), fb.Dense(4, "softmax")]
    net = fb.Network(30, layers, seed=0)
    x, y = rng.standard_normal((400, 30)).astype(np.float32), rng.integers(0, 4, 400)
    options = {"batch_size": batch_size, "n_threads": n_threads, "seed": 0, **limit}
    owner = fb.Trainer(net, "cross_entropy", fb.SGD(0.1, momentum=0.9), **options)
    with testing.forced(regime=regime, helps="--alone" not in sys.argv):
        owner.fit(x, y, epochs=EPOCHS)
    fb.set_num_threads(n_threads)
    net.predict(np.repeat(x, 50, axis=0))
    net.gradients(x, y, "cross_entropy")


if __name__ == "__main__":
    for case in CASES:
        for n_threads in (2, 3):
            train(*case, n_threads)
    print(f"{2 * len(CASES)} fits")
