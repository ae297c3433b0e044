"""The gate for options: what it refuses, with which error, and that a refusal changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()


@pytest.fixture(scope="module")
def trained():
    """A trainer with a history: a velocity that is not zero and a random state that has moved."""
    owner = trainer()
    owner.fit(X, Y, epochs=2)
    assert owner._state.memory.values.any()
    return owner


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "2", None, True])
def test_bad_epochs(trained, epochs):
    refused = errors.ConfigError, "epochs: got .*, wanted an integer"
    assert_refuses(trained, lambda: trained.fit(X, Y, epochs=epochs), *refused)


@pytest.mark.parametrize("data", [X, (X,), (X, Y, Y, Y), "xy", 3])
def test_validation_data_is_a_pair(trained, data):
    refused = errors.ConfigError, "validation_data: got .* wanted a pair"
    assert_refuses(trained, lambda: trained.fit(X, Y, validation_data=data), *refused)


@pytest.mark.parametrize("callbacks", [[fb.EarlyStopping], [None], ["on_epoch_end"], 3])
def test_callbacks_have_a_method_or_are_functions(trained, callbacks):
    refused = errors.ConfigError, "callbacks: got .* on_epoch_end"
    assert_refuses(trained, lambda: trained.fit(X, Y, callbacks=callbacks), *refused)


def test_progress_is_a_bool(trained):
    refused = errors.ConfigError, "progress"
    assert_refuses(trained, lambda: trained.fit(X, Y, progress=1), *refused)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        *(({"batch_size": b}, "batch_size: got") for b in (0, -1, 2.5, 32.0, "32", True, 2**31)),
        *(({"n_threads": n}, "n_threads: got") for n in (0, -2, 1.5, "all", False)),
        *(({"l2": v}, "l2: got") for v in (-1e-9, np.nan, np.inf, "0", None, True)),
        *(({"l1": v}, "l1: got") for v in (-1e-9, np.nan, np.inf, "0", None, True)),
        *(({"penalize_bias": v}, "penalize_bias: got") for v in (0, None, "no")),
        *(({"seed": v}, "seed: got") for v in (-1, 0.5, "a", True)),
        *(({"shuffle": v}, "shuffle: got") for v in (0, None, "no")),
        *(({"loss": v}, "loss: got .* squared_error") for v in ("crossentropy", None, 3)),
        *(({"optimizer": v}, "optimizer: got .* SGD") for v in ("sgd", 0.1, fb.SGD)),
        ({"network": "net"}, "network: got"),
    ],
)
def test_bad_trainer_options(options, match):
    network = classifier()
    before = parameters(network)
    with pytest.raises(errors.ConfigError, match=match):
        fb.Trainer(**{"network": network, "loss": "cross_entropy", **options})
    assert parameters(network) == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        *(({"n_inputs": n}, "n_inputs: got") for n in (0, -3, 2.0, "4", None, 2**40)),
        *(({"layers": v}, "layers: got") for v in ([], None, 3, [3], "ab", fb.Dense(2))),
        *(({"dtype": v}, "dtype: got") for v in ("float16", int, None, "x", 3)),
        *(({"seed": v}, "seed: got") for v in (-1, 0.5, "a", True)),
    ],
)
def test_bad_network_options(options, match):
    with pytest.raises(errors.ConfigError, match=match):
        fb.Network(**{"n_inputs": 4, "layers": [fb.Dense(2)], **options})


@pytest.mark.parametrize("n", [0, -1, 2**31, 2**70, 1.5, "two", True])
def test_bad_num_threads(n):
    before = fb.get_num_threads()
    with pytest.raises(errors.ConfigError, match=r"got .*, wanted"):
        fb.set_num_threads(n)
    assert fb.get_num_threads() == before


def test_errors_are_also_the_builtin_ones():
    assert issubclass(errors.DTypeError, TypeError)
    assert issubclass(errors.MissingDependencyError, ImportError)
    for name in ("InputError", "LabelError", "ShapeError", "ConfigError", "CorruptModelError"):
        assert issubclass(getattr(errors, name), ValueError)
    for name in ("DivergenceError", "BusyError"):
        assert issubclass(getattr(errors, name), RuntimeError)
    assert all(issubclass(getattr(errors, n), errors.FastbpError) for n in errors.__all__)
