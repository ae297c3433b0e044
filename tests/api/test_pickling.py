"""Every public object can be pickled and copied, before its use and after, and is the same then."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from training import classes, classifier, trainer

import fastbp as fb
from fastbp import (
    callbacks,
    initializers,
    losses,
    metrics,
    models,
    optimizers,
    preprocess,
    schedules,
)

X, Y = classes()
VALIDATION = classes(30, seed=1)
WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, 0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
MAPS = {
    "Affine": lambda: preprocess.Affine(X[0], np.eye(5)),
    "Center": preprocess.Center,
    "MinMax": lambda: preprocess.MinMax(0, 2),
    "PCA": lambda: preprocess.PCA(3),
    "Standardize": lambda: preprocess.Standardize(farthest=3.0),
    "Whiten": lambda: preprocess.Whiten(zca=True),
}
RATES = {
    "Cosine": lambda: schedules.Cosine(0.1, 20),
    "Exponential": lambda: schedules.Exponential(0.1, 0.9),
    "InverseTime": lambda: schedules.InverseTime(0.1, 0.2),
    "LogCosine": lambda: schedules.LogCosine(0.1, 20),
    "Polynomial": lambda: schedules.Polynomial(0.1, 20),
    "ReduceOnPlateau": lambda: schedules.ReduceOnPlateau(0.1),
    "Step": lambda: schedules.Step(0.1, 3),
    "Warmup": lambda: schedules.Warmup(0.1, 3),
}
RULES = {
    "EarlyStopping": lambda _: fb.EarlyStopping(3),
    "NoImprovement": lambda _: fb.NoImprovement(3),
    "TargetLoss": lambda _: fb.TargetLoss(0.0),
    "TimeLimit": lambda _: fb.TimeLimit(100),
    "Checkpoint": lambda folder: fb.Checkpoint(folder / "run.ckpt"),
    "Average": lambda _: fb.Average(0.9),
    "GradientNorm": lambda _: fb.GradientNorm(1e-9),
}


def kinds_of(module, base):
    """Names of the public classes of a module that are of one kind."""
    found = {name for name in module.__all__ if isinstance(kind := getattr(module, name), type)
             and issubclass(kind, base)}  # fmt: skip
    return found - {base.__name__}


def network():
    layers = [fb.Maxout(4), fb.Residual([fb.Gated(4), fb.Dense(3, "tanh")]), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, seed=0)


def assert_copies(value, same):
    """`same` compares a copy of every kind with the value."""
    for name, way in WAYS.items():
        assert same(way(value), value), name


def test_the_tables_name_every_kind():
    assert set(MAPS) == kinds_of(preprocess, preprocess.Affine) | {"Affine"}
    assert set(RATES) == kinds_of(schedules, schedules.Schedule)
    assert set(RULES) == set(callbacks.__all__) - {"Callback"}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name):
    def same(other, affine):
        assert not any(a.flags.writeable for a in (other.mean, other.matrix))
        return repr(other) == repr(affine) and np.array_equal(
            other.transform(X), affine.transform(X)
        )

    made = MAPS[name]()
    if name != "Affine":
        assert_copies(made, lambda other, one: repr(other) == repr(one) and other._mean is None)
        made.fit(X)
    assert_copies(made, same)
    made.transform(X)
    assert_copies(made, same)
    with_map = (
        fb.Network(5, [fb.Dense(3)], seed=0, preprocessing=made) if made.n_outputs == 5 else None
    )
    if with_map is not None:
        with_map.predict(X)
        assert_copies(with_map, lambda other, one: np.array_equal(other.predict(X), one.predict(X)))


def test_a_map_that_is_fitted_again_after_a_copy_is_another():
    affine = preprocess.PCA().fit(X)
    affine.transform(X)
    twin = copy.deepcopy(affine)
    wanted = affine.transform(X)
    assert not np.array_equal(twin.fit(X[:10]).transform(X), wanted)
    assert np.array_equal(affine.transform(X), wanted)


@pytest.mark.parametrize("kind", sorted(kinds_of(optimizers, optimizers.Optimizer) - {"LBFGS"}))
def test_optimizers_and_their_schedules(kind):
    def same(other, one):
        rates = [o.learning_rates(0, 9, 2).tobytes() for o in (other, one)]
        return repr(other) == repr(one) and rates[0] == rates[1] and other.progress == one.progress

    for rate in (*RATES.values(), lambda: 0.1):
        optimizer = getattr(optimizers, kind)(rate())
        assert_copies(optimizer, same)
        trainer(optimizer=optimizer).fit(X, Y, 2)
        assert_copies(optimizer, same)


def test_losses_metrics_and_initializers():
    some = [*losses.LOSSES.values(), losses.Huber(0.3), *metrics.resolve(["f1", metrics.recall])]
    options = {"Constant": (2,), "Normal": (0.1,), "Uniform": (0.1,)}
    for name in initializers.__all__:
        kind = getattr(initializers, name)
        some += [kind(*options.get(name, ()))] if isinstance(kind, type) else []
    assert len(some) > 20
    for value in some:
        assert_copies(value, lambda other, one: repr(other) == repr(one))


@pytest.mark.parametrize("name", RULES)
def test_callbacks(name, tmp_path):
    rule = RULES[name](tmp_path)
    assert_copies(rule, lambda other, one: vars(other).keys() == vars(one).keys())
    owner = trainer()
    owner.fit(X, Y, 3, VALIDATION, [rule])
    for way in ("pickle", "old pickle", "deepcopy"):
        # Together, so that the rule knows the trainer: both go on as the two do.
        twins, again = (WAYS[w]((owner, rule)) for w in (way, "pickle"))
        for one, its_rule in (twins, again):
            one.fit(X, Y, 3, VALIDATION, [its_rule])
        assert twins[0].network.parameters.tobytes() == again[0].network.parameters.tobytes()
        if name == "EarlyStopping":
            assert twins[1].resume_state.keys() == again[1].resume_state.keys()
            assert (twins[1].best, twins[1].best_epoch) == (again[1].best, again[1].best_epoch)


def test_history_and_trainers_of_every_model():
    owner = trainer()
    for _ in range(2):
        assert_copies(owner.history, lambda other, one: dict(other) == dict(one))
        owner.fit(X, Y, 2)
    made = [models.tabular(5, 3, "regression", n_rows=100)]
    made += [
        getattr(models, name)(5, 3)
        for name in models.__all__
        if name.islower() and not name.startswith("tabular")
    ]
    for owner in made:
        assert_copies(owner, lambda other, one: repr(other) == repr(one))


def test_errors_traces_and_checks():
    found = [network().trace(X[0], Y[0], "cross_entropy")]
    found.append(fb.gradient_check(network(), X[:3], Y[:3], "cross_entropy"))
    found += [getattr(fb.errors, name)("text") for name in fb.errors.__all__]
    for value in found:
        assert_copies(value, lambda other, one: str(other) == str(one))


def test_layers_of_a_network_are_copied_with_their_weights():
    owner = network()
    owner.weighted_layers[0].weight[0, 0, 0] = np.nan  # a copy asks for no finite weights
    owner.layers[0].trainable = False

    def same(other, layer):
        pairs = zip(other._weighted(), layer._weighted(), strict=True)
        return repr(other) == repr(layer) and all(
            np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
            for a, b in pairs
            for name in ("weight", "bias")
        )

    for layer in owner.layers:
        assert_copies(layer, same)
    owner.weighted_layers[0].weight[0, 0, 0] = 0
    before = owner.parameters
    for way in ("pickle", "deepcopy"):
        twins = WAYS[way](owner.layers)
        again = fb.Network(5, twins, keep_weights=True)
        assert np.array_equal(again.parameters, before)
        assert not again.layers[0].trainable
        for twin in twins:
            for inner in twin._weighted():
                inner.weight[...] = 7
        assert np.array_equal(owner.parameters, before)


def test_layers_outside_a_network():
    for layer in (
        fb.Dense(3, fb.activations.LeakyReLU(0.2)),
        fb.Maxout(2),
        fb.Residual([fb.Gated(2)]),
    ):
        assert_copies(layer, lambda other, one: repr(other) == repr(one))
    shared = fb.Dense(3)
    twin = copy.copy(shared)
    twin.trainable = False
    assert shared.trainable


def test_networks_and_trainers():
    owner = trainer(classifier())
    owner.step(X[:5], Y[:5])
    for value in (owner.network, owner):
        assert_copies(value, lambda other, one: repr(other) == repr(one))
