"""examples/worker_thread.py: the bits of a training without a thread, stopping, errors."""

from __future__ import annotations

import numpy as np
import pytest
from worker_thread import Background

import fastbp as fb

X = np.random.default_rng(0).normal(size=(64, 3))
Y = X[:, :1] * X[:, 1:2]


def trainer():
    net = fb.Network(3, [fb.Dense(8, "tanh"), fb.Dense(1)], seed=0)
    return fb.Trainer(net, "mse", fb.Adam(0.01), batch_size=16, seed=0)


def test_the_bits_of_a_training_without_a_thread():
    alone, other = trainer(), trainer()
    wanted = alone.fit(X, Y, epochs=6)
    training = Background(other, X, Y, epochs=6)
    assert training.latest[1] == 0
    history = training.start().result(30)
    assert history["loss"] == wanted["loss"]
    network, epoch, loss = training.latest
    assert (epoch, loss) == (6, wanted["loss"][-1])
    assert network.predict(X).tobytes() == alone.network.predict(X).tobytes()
    assert network is not other.network


def test_stopping_and_a_state_of_one_epoch():
    """The copies that are seen are those of ends of epochs of the same training alone."""
    alone, states = trainer(), {}
    training = Background(trainer(), X, Y, epochs=10**6).start()
    while len(states) < 3:
        network, epoch, _ = training.latest
        states[epoch] = network.parameters
    training.stop("enough")
    assert training.result(30).stopped == "enough"
    assert not training.running
    for epoch in sorted(states):
        alone.fit(X, Y, epochs=epoch - alone.history.epochs) if epoch else None
        assert alone.network.parameters.tobytes() == states[epoch].tobytes()
        if epoch > 2000:
            break


def test_an_error_comes_to_the_program():
    training = Background(trainer(), X, Y[:3], epochs=2).start()
    with pytest.raises(fb.errors.ShapeError, match="y: got"):
        training.result(30)


def test_waiting_has_an_end():
    training = Background(trainer(), X, Y, epochs=10**6).start()
    with pytest.raises(TimeoutError):
        training.result(0.01)
    training.stop("end")
    training.result(30)
