"""A pool of processes, forked or spawned, each on one thread, with the bits of one process."""

import argparse
import multiprocessing

import numpy as np

import fastbp as fb
from fastbp.datasets import load_digits

SEEDS = range(4)


def begin():
    """Let each process of a pool take one core: the pool has as many of them as there are cores."""
    fb.set_num_threads(1)


def trained(seed, epochs=20):
    """Return the accuracy and the parameters of a network that has this seed."""
    x, y = load_digits()
    net = fb.Network(64, [fb.Dense(32, "tanh"), fb.Dense(10, "softmax")], seed=seed)
    trainer = fb.Trainer(net, "cross_entropy", fb.Adam(0.003), batch_size=32, seed=seed)
    trainer.fit(x[:1400], y[:1400], epochs=epochs)
    return float((net.predict_classes(x[1400:]) == y[1400:]).mean()), net.parameters


def in_pool(method, n_processes=2, task=trained):
    """Return what the task gives for each seed, from a pool that is started by this method."""
    # Named, as the default differs between systems and versions of Python. What goes to a spawned
    # process is pickled, so the task is a function of a module, and main() is guarded below.
    context = multiprocessing.get_context(method)
    with context.Pool(n_processes, initializer=begin) as pool:
        return pool.map(task, SEEDS)


def main():
    """Train the same networks one after another and in pools, and compare the bits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["spawn", "fork"])
    methods = set(parser.parse_args().methods) & set(multiprocessing.get_all_start_methods())
    alone = [trained(seed) for seed in SEEDS]
    for seed, (accuracy, _) in zip(SEEDS, alone, strict=True):
        print(f"seed {seed}: accuracy {accuracy:.1%}")
    for method in sorted(methods):
        same = [
            mine[0] == other[0] and np.array_equal(mine[1], other[1])
            for mine, other in zip(in_pool(method), alone, strict=True)
        ]
        print(f"{method}: {sum(same)} of {len(same)} networks have the same bits")
        assert all(same)


if __name__ == "__main__":
    main()
