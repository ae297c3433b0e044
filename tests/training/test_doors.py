"""Many threads at the same door: one of them at a time comes in, or all, and nothing is torn.

Without a GIL they are there at the same time; with one it changes hands as often as it can.
"""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress

import numpy as np
import pytest
from digests import state
from together import together
from training import N_INPUTS, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp.errors import BusyError

X, Y = classes()
ROUNDS = 20
EPOCHS = 30


def succeeded(found):
    return [outcome for outcome in found if not isinstance(outcome, BusyError)]


def test_fits_at_once_are_refused_or_one_after_another():
    owner, twin, refused = trainer(), trainer(), 0
    for _ in range(ROUNDS):
        found = together([lambda: owner.fit(X, Y)] * 4, BusyError)
        done = len(succeeded(found))
        assert done >= 1
        twin.fit(X, Y, epochs=done)
        assert owner.history.epochs == twin.history.epochs
        assert state(owner) == state(twin)
        refused += 4 - done
    assert refused  # else there was no crowd


def test_trainers_of_one_network_are_refused_or_one_after_another():
    network = classifier()
    owners = [trainer(network) for _ in range(4)]
    for _ in range(ROUNDS):
        before = [owner.n_steps for owner in owners]
        found = together([lambda owner=owner: owner.step(X, Y) for owner in owners], BusyError)
        assert succeeded(found)
        for owner, n_steps, outcome in zip(owners, before, found, strict=True):
            assert owner.n_steps == n_steps + (not isinstance(outcome, BusyError))
    assert np.isfinite(network.parameters).all()


def test_steps_at_once_are_all_counted():
    owner, twin = trainer(), trainer()

    def steps():
        done = 0
        for _ in range(50):
            try:
                owner.step(X, Y)
                done += 1
            except BusyError:
                pass
        return done

    done = sum(together([steps] * 4))
    for _ in range(done):
        twin.step(X, Y)
    assert owner.n_steps == done
    assert state(owner) == state(twin)


COPIES = {
    "save": lambda owner, path: (owner.save(path), fb.Trainer.load(path))[1],
    "pickle": lambda owner, path: pickle.loads(pickle.dumps(owner)),
    "deepcopy": lambda owner, path: copy.deepcopy(owner),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_beside_fits_is_of_one_moment(how, tmp_path):
    """The copy goes on as its original did."""

    def fits():
        for _ in range(EPOCHS):
            owner.fit(X, Y)

    def copies():
        made = []
        for _ in range(EPOCHS):
            with suppress(BusyError):
                made.append(COPIES[how](owner, tmp_path / "file"))
        return made

    owner, twin, states = trainer(), trainer(), {}
    for _ in range(EPOCHS + 1):
        states[twin.history.epochs] = parameters(twin.network)
        twin.fit(X, Y)
    _, made = together([fits, copies])
    for one in made:
        epochs = one.history.epochs
        assert one.n_steps == epochs * 4
        assert parameters(one.network) == states[epochs]
        if epochs < EPOCHS:
            one.fit(X, Y)
            assert parameters(one.network) == states[epochs + 1]


WRITES = {
    "parameters": lambda network, other: setattr(network, "parameters", other.parameters),
    "lerp": lambda network, other: network.lerp(other, 1),
    "weight": lambda network, other: setattr(network.layers[1], "weight", other.layers[1].weight),
}


@pytest.mark.parametrize("how", WRITES)
def test_writers_of_all_parameters_do_not_mix(how):
    network = fb.Network(N_INPUTS, [fb.Dense(300), fb.Dense(300)], seed=0)
    ones, twos = network.copy(), network.copy()
    for number, other in enumerate((ones, twos), start=1):
        other.parameters = np.full(network.n_parameters, number)
    network.parameters = ones.parameters

    def write(other):
        for _ in range(ROUNDS):
            with suppress(BusyError):
                WRITES[how](network, other)

    def read():
        found = set()
        for _ in range(ROUNDS):
            with suppress(BusyError):
                found.add(tuple(np.unique(network.copy().layers[1].weight)))
        return found

    found = together([lambda: write(ones), lambda: write(twos), read, read])
    assert found[2] | found[3] <= {(1,), (2,)}
    assert len(np.unique(network.layers[1].weight)) == 1


MAPS = {"none": None, "diagonal": fb.preprocess.Standardize, "full": fb.preprocess.PCA}


@pytest.mark.parametrize("kind", MAPS)
def test_the_first_calls_of_a_fresh_network_may_be_many(kind):
    for seed in range(ROUNDS // 2):
        preprocessing = None if MAPS[kind] is None else MAPS[kind]().fit(X)
        layers = [fb.Dense(7, "tanh"), fb.Dense(3, "softmax")]
        network = fb.Network(N_INPUTS, layers, seed=seed, preprocessing=preprocessing)
        twin = copy.deepcopy(network)
        found = together([lambda network=network: network.predict(X)] * 8)
        assert {outputs.tobytes() for outputs in found} == {twin.predict(X).tobytes()}
        calls = [
            lambda network=network: network.gradients(X, Y, "cross_entropy")[0],
            lambda network=network: fb.Trainer(network, "cross_entropy").evaluate(X, Y)["loss"],
        ]
        assert len(set(together(calls * 4))) <= 2


def test_an_optimizer_may_be_shared_by_trainers_of_several_networks():
    """It keeps an array of a constant rate, for as many steps as anybody has asked for."""
    shared = fb.SGD(0.0)

    def assign():
        for i in range(1000):
            shared.learning_rate = i / 1000
            for _ in range(9):
                assert shared.learning_rates(0, 1).tolist() == [i / 1000]

    def ask(count):
        for i in range(3000):
            rates = shared.learning_rates(0, count + i)
            assert rates.shape == (count + i,)
            assert rates[0] == rates[-1]

    together([assign, lambda: ask(1), lambda: ask(2000), lambda: ask(3)])


def test_the_number_of_threads_that_is_set_is_not_lost():
    def default():
        for _ in range(20):
            fb.set_num_threads(None)
            assert fb.get_num_threads() >= 1

    try:
        together([default] * 4)
        for _ in range(ROUNDS):
            fb.set_num_threads(None)
            together([fb.get_num_threads, lambda: fb.set_num_threads(3), fb.get_num_threads])
            assert fb.get_num_threads() == 3
    finally:
        fb.set_num_threads(None)


def test_a_residual_is_frozen_whole_or_not_at_all():
    layers = [fb.Residual([fb.Dense(4), fb.Residual([fb.Dense(4), fb.Dense(6)])]), fb.Dense(3)]
    owner = trainer(fb.Network(N_INPUTS, layers, seed=0), "mse", optimizer=fb.SGD(1e-6))
    residual, targets = owner.network.layers[0], np.eye(3, dtype=np.float32)[Y]

    def freezes():
        states = []
        for i in range(10 * ROUNDS):
            with suppress(BusyError):
                residual.trainable = bool(i % 2)
            states.append({layer.trainable for layer in residual._weighted()})
        return states

    def steps():
        for _ in range(10 * ROUNDS):
            with suppress(BusyError):
                owner.step(X, targets)

    states, _ = together([freezes, steps])
    assert all(len(one) == 1 for one in states)


def test_a_pickle_that_training_begins_in_is_refused():
    """What is pickled first would be of another moment than what is pickled last."""

    class Trains:
        def __reduce__(self):
            if owner.n_steps == 4:
                owner.step(X, Y)
            return str, ()

    owner = trainer()
    owner.fit(X, Y)
    owner.network.metadata = {}
    owner.optimizer.note = Trains()
    with pytest.raises(BusyError):
        pickle.dumps(owner)
    assert pickle.loads(pickle.dumps(owner)).n_steps == 5
