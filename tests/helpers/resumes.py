"""Trainings that are cut in two, so that the second half may be done elsewhere.

`python -m resumes FOLDER` does the second half of every checkpoint and every pickle in a folder, on
the kernel set and with the threads that its environment names, and prints what each came to;
`forced` after it lets the whole team do every step, however small.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from training import classes, parameters, trainer

import fastbp as fb
from fastbp import testing

X, Y = classes()
VALIDATION = classes(30, seed=1)
WEIGHTS = np.random.default_rng(3).uniform(0.2, 2, len(X))
LABELS = np.array(["one", "three", "two"])[Y]
N = 3  # epochs of each half


class Scenario(NamedTuple):
    """A trainer; what it does up to the cut, or past it; and what it does after the cut."""

    made: Callable[[], fb.Trainer]
    first: Callable[[fb.Trainer, Callable[[], None]], None]
    second: Callable[[fb.Trainer], None]
    whole: Callable[[fb.Trainer], None] | None = None  # if it is more than first and second

    def uncut(self) -> str:
        owner = self.made()
        if self.whole is None:
            self.first(owner, lambda: None)
            self.second(owner)
        else:
            self.whole(owner)
        return outcome(owner)


def outcome(owner):
    """A digest of all that training changes, without the times."""
    state = owner._state
    digest = hashlib.sha256(parameters(owner.network).encode())
    digest.update(state.memory.values.tobytes())
    history = {name: column for name, column in owner.history.items() if name != "seconds"}
    net = owner.network
    names = net.columns, None if net.classes is None else net.classes.tolist(), net.metadata
    counts = owner.n_steps, state.memory.missed(owner.n_steps), owner.history.stopped
    generator = {k: np.asarray(v).tolist() for k, v in state.generator.state["state"].items()}
    rule = type(owner.optimizer).__name__, owner.optimizer.hyperparameters
    measured = owner.optimizer.progress, [metric.name for metric in owner._metrics]
    known = (
        names,
        counts,
        history,
        owner.history._last_names,
        generator,
        rule,
        measured,
        owner._options(),
    )
    digest.update(repr(known).encode())
    return digest.hexdigest()


def network(dtype="float32", **options):
    layers = [fb.Dense(9, "relu", dropout=0.3), fb.Dense(4, "tanh"), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, dtype=dtype, seed=2, **options)


def gates():
    layers = [fb.Maxout(6), fb.Residual([fb.Gated(4)]), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, seed=2)


def grouped():
    made = network()
    made.layers[0].trainable = False
    made.layers[1].learning_rate_factor, made.layers[1].decay_factor = 0.5, 3.0
    return made


def wide():
    layers = [fb.Dense(120, "relu"), fb.Dense(70, "tanh", dropout=0.1), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, seed=2)


def halves(step):
    return 0.5 ** (2 + step // 7)


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


def own_metric(y, outputs):
    return float(outputs[:, 0].mean())


OWN = {"loss": own_loss, "learning_rate": halves, "metrics": [own_metric]}


def epochs(made, labels=Y, x=X, callbacks=tuple, **options):
    """2 N epochs in one call, or N and N."""

    def fit(owner, count):
        owner.fit(x, labels, count, callbacks=callbacks(), **options)

    def first(owner, save):
        fit(owner, N)
        save()

    return Scenario(made, first, lambda owner: fit(owner, N), lambda owner: fit(owner, 2 * N))


def within(made, rules, last=14):
    """A fit that is cut when all callbacks have seen an epoch, the way `Checkpoint` does it."""

    class Cut:
        def __init__(self, save):
            self._save = save

        def on_checkpoint(self, trainer, history):
            if history.epochs == N:
                self._save()

    def fit(owner, count, *more):
        if count:
            owner.fit(X, Y, count, VALIDATION, [*rules(), *more])

    return Scenario(
        made,
        lambda owner, save: fit(owner, last, Cut(save)),
        lambda owner: fit(owner, last - owner.history.epochs),
        lambda owner: fit(owner, last),
    )


def interrupted(made):
    """A fit that an interrupt ends in the middle of its second epoch."""

    class Interrupt:
        def on_region_end(self, trainer):
            if trainer.n_steps == 6:
                raise KeyboardInterrupt

    def first(owner, save):
        with testing.forced(region_steps=1), contextlib.suppress(KeyboardInterrupt):
            owner.fit(X, Y, N, VALIDATION, [fb.EarlyStopping(2), Interrupt()])
        assert owner.n_steps == 6
        save()

    def second(owner):
        owner.fit(X, Y, N, VALIDATION, [fb.EarlyStopping(2)])

    return Scenario(made, first, second)


def stepping(made, cut=6, rules=tuple):
    """Steps in a loop of one's own, 4 to an epoch, cut in the middle of one."""

    def steps(owner, begin, end):
        callbacks = rules()
        for i in range(begin, end):
            rows = np.arange(7 * i, 7 * i + 11) % len(X)
            owner.step(X[rows], Y[rows], WEIGHTS[rows])
            if i % 4 == 3 and owner.end_epoch(VALIDATION, callbacks):
                break

    def first(owner, save):
        steps(owner, 0, cut)
        save()

    return Scenario(
        made,
        first,
        lambda owner: steps(owner, cut, 2 * cut),
        lambda owner: steps(owner, 0, 2 * cut),
    )


def about_to_end(made):
    """Steps that are an epoch only after the cut."""

    def first(owner, save):
        for _ in range(3):
            owner.step(X, Y)
        save()

    return Scenario(made, first, lambda owner: owner.end_epoch(VALIDATION))


def batches():
    return [(X[i : i + 9], Y[i : i + 9], WEIGHTS[i : i + 9]) for i in range(0, len(X), 9)]


def changed(made, first_change, second_change):
    """Something about the trainer is changed before the cut, and after it."""

    def fit(owner, change):
        change(owner)
        owner.fit(X, Y, N)

    def first(owner, save):
        owner.fit(X, Y, 1)
        fit(owner, first_change)
        save()

    return Scenario(made, first, lambda owner: fit(owner, second_change))


OPTIMIZERS = {
    "sgd": lambda: fb.SGD(0.1),
    "momentum": lambda: fb.SGD(0.1, momentum=0.9),
    "nesterov": lambda: fb.SGD(0.1, momentum=0.9, nesterov=True),
    "adagrad": lambda: fb.Adagrad(0.1),
    "rmsprop": lambda: fb.RMSprop(0.01),
    "adam": lambda: fb.Adam(0.01),
    "adamw": lambda: fb.AdamW(0.01, weight_decay=0.1),
}
RATES = {
    "step": lambda per: fb.Step(0.1, 2, per=per),
    "exponential": lambda per: fb.Exponential(0.1, 0.9, per=per),
    "inverse time": lambda per: fb.InverseTime(0.1, 0.1, per=per),
    "polynomial": lambda per: fb.Polynomial(0.1, 30, per=per),
    "log cosine": lambda per: fb.LogCosine(0.1, 30, per=per),
    "cosine": lambda per: fb.Cosine(0.1, 30, per=per),
    "warmup": lambda per: fb.Warmup(fb.Cosine(0.1, 30, per=per), 2),
}


def set_to(**values):
    def change(owner):
        for name, value in values.items():
            setattr(owner, name, value)

    return change


def freeze(value):
    return lambda owner: setattr(owner.network.layers[1], "trainable", not value)


def plateau():
    rate = fb.Warmup(fb.ReduceOnPlateau(0.5, patience=1, threshold=0.3), 2)
    return trainer(network(), optimizer=fb.SGD(rate, 0.9))


def adam(made=network, **options):
    return lambda: trainer(made(), optimizer=fb.Adam(0.02), **options)


def scaled(kind):
    return lambda: network(preprocessing=kind.fit(X + 3))


def rename(owner):
    owner.network.columns, owner.network.classes = list("abcde"), ["x", "y", "z"]
    owner.network.metadata["by"] = "me"
    owner.network.layers[0].learning_rate_factor = 0.5
    owner.network.classes = None


OTHER_OPTIONS = set_to(
    l1=0.01, l2=0.02, penalize_bias=True, clip_value=0.5, clip_norm=0.4, max_norm=0.9, batch_size=7,
    accumulate=2, shuffle=False, class_weight={0: 2.0}, average="rows", metrics=["f1"], n_threads=1,
)  # fmt: skip


def stop():
    return [fb.EarlyStopping(4, min_delta=0.5)]  # the best epoch is before the cut


SCENARIOS: dict[str, Scenario] = {
    **{
        f"{kind.__name__}, {name}": kind(lambda make=make: trainer(network(), optimizer=make()))
        for name, make in OPTIMIZERS.items()
        for kind in (epochs, interrupted, stepping)
    },
    **{
        f"{name} per {per}": epochs(
            lambda make=make, per=per: trainer(network(), optimizer=fb.SGD(make(per), 0.9))
        )
        for name, make in RATES.items()
        for per in ("step", "epoch")
    },
    "plateau": epochs(plateau, validation_data=VALIDATION),
    "plateau, stepping": stepping(plateau),
    "early stopping, stepping": stepping(adam(), 6, lambda: [fb.EarlyStopping(2, min_delta=0.5)]),
    "no improvement, stepping": stepping(adam(), 6, lambda: [fb.NoImprovement(2, 0.5)]),
    "no improvement": within(
        adam(), lambda: [fb.NoImprovement(4, 0.5, factor=0.5), fb.NoImprovement(5, 0.1)]
    ),
    "early stopping between epochs": stepping(
        adam(), 8, lambda: [fb.EarlyStopping(3, min_delta=0.5), fb.EarlyStopping(9, "loss")]
    ),
    "plateau and early stopping": within(plateau, stop),
    "two rules": within(adam(), lambda: [*stop(), fb.EarlyStopping(9, "loss"), fb.TargetLoss(0.1)]),
    "best weights at the end": within(plateau, lambda: [fb.EarlyStopping(2, min_delta=0.5)], N),
    "stopped": epochs(adam(), callbacks=lambda: [fb.TargetLoss(1e9)])._replace(whole=None),
    "one step": stepping(adam(), 1),
    "one epoch of steps": stepping(adam(), 4),
    "before the end of an epoch": about_to_end(lambda: trainer(network())),
    "before its end, of classes": about_to_end(lambda: trainer(gates(), "mse")),
    "function of the step": epochs(lambda: trainer(network(), optimizer=fb.SGD(halves))),
    "own loss": epochs(lambda: trainer(loss=own_loss)),
    "own metric": epochs(adam(metrics=["f1", own_metric, "top_2"])),
    "frozen": epochs(adam(grouped, l2=0.01)),
    "frozen, then not": changed(adam(), freeze(True), freeze(False)),
    "not frozen, then": changed(adam(), freeze(False), freeze(True)),
    "another optimizer": changed(adam(), set_to(optimizer=fb.SGD(0.1, 0.9)), set_to(l1=0.01)),
    "a younger memory": changed(
        lambda: trainer(network()), set_to(optimizer=fb.Adam(0.02)), set_to()
    ),
    "another rule, same memory": changed(
        adam(), set_to(optimizer=fb.AdamW(0.1)), set_to(optimizer=fb.Adam(0.1))
    ),
    "frozen for good": changed(adam(), freeze(True), set_to()),
    "other options": changed(adam(), OTHER_OPTIONS, set_to()),
    "names": changed(adam(), rename, set_to()),
    "options": epochs(
        adam(loss=fb.losses.CrossEntropy(0.1), l1=1e-3, l2=1e-3, penalize_bias=True, clip_value=0.1)
    ),
    "clip_norm": epochs(adam(clip_norm=0.1)),
    "max_norm": epochs(adam(max_norm=0.8)),
    "weights": epochs(adam(average="rows"), sample_weight=WEIGHTS),
    "class weights": epochs(adam(class_weight={0: 2.0, 2: 0.5})),
    "class weights of labels": epochs(adam(class_weight={"one": 2.0, "two": 0.5}), LABELS),
    "balanced": epochs(adam(class_weight="balanced")),
    "validation split": epochs(adam(), validation_split=0.2),
    "batches": epochs(adam(), None, batches),
    "average": within(adam(), lambda: [fb.Average(0.9, warmup=True)]),
    "accumulating": epochs(adam(accumulate=3)),
    "accumulating batches": epochs(adam(accumulate=2), None, batches),
    "accumulating steps": stepping(adam(accumulate=3), 4),
    "all rows": epochs(adam(batch_size=None)),
    "single rows": epochs(adam(batch_size=1)),
    "in order": epochs(adam(shuffle=False)),
    "float64": interrupted(adam(lambda: network("float64"))),
    "gates": interrupted(adam(gates)),
    "standardized": epochs(adam(scaled(fb.preprocess.Standardize()))),
    "principal components": epochs(adam(scaled(fb.preprocess.PCA()))),
    "wide layers": epochs(adam(wide, batch_size=40)),
}


def functions_of(name):
    """The functions that a checkpoint of this scenario cannot hold."""
    wanted = {"own loss": "loss", "function of the step": "learning_rate", "own metric": "metrics"}
    return {wanted[name]: OWN[wanted[name]]} if name in wanted else {}


WAYS: dict[str, tuple[Callable[[fb.Trainer, Path], Any], Callable[[Path, str], fb.Trainer]]] = {
    "file": (
        lambda owner, path: owner.save(path),
        lambda path, name: fb.Trainer.load(path, **functions_of(name)),
    ),
    "pickle of a deepcopy": (
        lambda owner, path: path.write_bytes(pickle.dumps(copy.deepcopy(owner))),
        lambda path, name: pickle.loads(path.read_bytes()),
    ),
}


def cut(name, folder):
    """Do the first half; save it in every way. Return what the trainer comes to from there."""
    scenario, saved = SCENARIOS[name], []

    def save():
        for way, (write, _) in WAYS.items():
            write(owner, folder / f"{name}.{way}")
        saved.append(owner.n_steps)

    owner = scenario.made()
    scenario.first(owner, save)
    assert len(saved) == 1


def loaded(path):
    """The trainer of a file."""
    name, way = path.name.rsplit(".", 1)
    return WAYS[way][1](path, name)


def resumed(path):
    """What the trainer of a file comes to, by its second half."""
    owner = loaded(path)
    SCENARIOS[path.name.rsplit(".", 1)[0]].second(owner)
    return outcome(owner)


def main(folder, *forced):
    with testing.forced() if forced else contextlib.nullcontext():
        print(json.dumps({path.name: resumed(path) for path in sorted(Path(folder).iterdir())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
