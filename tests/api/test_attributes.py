"""Attributes of trainers and layers: options that can be changed between two calls, no others."""

from __future__ import annotations

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp.errors import BusyError, ConfigError

# Of each option a value that is not the default of `training.trainer`, and one that is refused.
OPTIONS = {
    "l1": (0.01, -1),
    "l2": (0.02, "much"),
    "batch_size": (7, 0),
    "shuffle": (False, 0),
    "n_threads": (2, 1.5),
    "clip_value": (1e-3, 0),
    "clip_norm": (0.01, -0.1),
    "max_norm": (0.1, np.nan),
    "penalize_bias": (True, "no"),
    "class_weight": ({0: 3.0}, {0: -1.0}),
}


def bits(owner):
    return parameters(owner.network), owner._state.memory.values.tobytes()


def options_of(name):
    """Others that an option needs to show."""
    return {"l2": 0.1} if name == "penalize_bias" else {}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_an_option_that_is_changed_counts_from_the_next_call_on(name):
    value, rest = OPTIONS[name][0], options_of(name)
    x, y = classes()
    changed, made, plain = trainer(**rest), trainer(**rest, **{name: value}), trainer(**rest)
    setattr(changed, name, value)
    assert getattr(changed, name) == value
    assert f"{name}={value!r}" in repr(changed)
    for owner in (changed, made, plain):
        owner.fit(x, y)
        for rows in (slice(0, 9), slice(9, 18)):
            owner.step(x[rows], y[rows])
    assert bits(changed) == bits(made)
    assert (bits(changed) == bits(plain)) == (name == "n_threads")


@pytest.mark.parametrize("name", sorted({*OPTIONS} - {"batch_size", "shuffle", "n_threads"}))
def test_an_option_counts_for_the_next_step_too(name):
    """The run of the last step is used again for the next, but not with other options."""
    x, y = classes(16)
    one, other = (trainer(**options_of(name)) for _ in range(2))
    for owner in (one, other):
        owner.step(x, y)
    setattr(one, name, OPTIONS[name][0])
    for owner in (one, other):
        owner.step(x, y)
    assert bits(one) != bits(other)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_value_that_cannot_be_used_changes_nothing(name):
    owner = trainer()
    before = repr(owner)
    assert_refuses(owner, lambda: setattr(owner, name, OPTIONS[name][1]), ConfigError, name)
    assert repr(owner) == before


def test_no_option_changes_while_a_call_trains():
    owner = trainer()
    refused = []

    class Change:
        def on_epoch_end(self, owner, history):
            for name, (value, _) in OPTIONS.items():
                with pytest.raises(BusyError):
                    setattr(owner, name, value)
                refused.append(name)

    before = repr(owner)
    owner.fit(*classes(), callbacks=[Change()])
    assert refused == list(OPTIONS)
    assert repr(owner) == before


@pytest.mark.parametrize("name", ["clip_value", "clip_norm", "max_norm", "class_weight"])
def test_an_option_can_be_taken_away(name):
    x, y = classes()
    ends = []
    for owner in (trainer(**{name: OPTIONS[name][0]}), trainer()):
        setattr(owner, name, None)
        assert getattr(owner, name) is None
        owner.fit(x, y)
        ends.append(bits(owner))
    assert ends[0] == ends[1]


def test_class_weights_are_not_changed_in_place():
    owner = trainer(class_weight={0: 2.0})
    owner.class_weight[0] = -1.0
    assert owner.class_weight == {0: 2.0}


RESIDUAL = fb.Residual([fb.Dense(3)])
UNKNOWN = [
    (trainer(), "network", "batch_size"),
    (trainer(), "learning_rate", "optimizer"),
    (trainer(), "l3", "l2"),
    (trainer(), "n_steps", "l1"),
    (classifier().layers[0], "weights", "weight"),
    (classifier().layers[0], "units", "trainable"),
    (fb.Dense(3), "activation", "learning_rate_factor"),
    (fb.Maxout(3), "dropout", "decay_factor"),
    (fb.Gated(3), "frozen", "trainable"),
    (RESIDUAL, "layers", "trainable"),
    (fb.Network(2, [RESIDUAL]).layers[0], "projection", "trainable"),
]


@pytest.mark.parametrize(("owner", "name", "known"), UNKNOWN)
def test_other_attributes_cannot_be_assigned(owner, name, known):
    before = getattr(owner, name, None)
    with pytest.raises(AttributeError, match=rf"'{name}'.*\b{known}\b"):
        setattr(owner, name, 1)
    assert getattr(owner, name, None) is before
