"""What a failure undoes is all of it, and its error tells of the rows that it came from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from training import N_INPUTS, classes, trainer

import fastbp as fb
from fastbp import errors, testing

X, Y = classes()
T = X[:, :1] - X[:, 1:2]


def everything(owner):
    """All that a file holds of the training, as bytes, but for the history."""
    described, tensors = owner._state.pack()
    kept = {k: v for k, v in described.items() if k not in ("history", "n_watched", "open_epoch")}
    arrays = {k: v.tobytes() for k, v in tensors.items() if not k.startswith("history.")}
    parameters = owner.network.parameters.tobytes()
    return repr((kept, owner.optimizer.progress)), arrays, parameters


def after_bad_epoch(**options):
    """A trainer whose first loss of an epoch is infinite, and how it was an epoch before."""
    owner = trainer(fb.Network(N_INPUTS, [fb.Dense(4), fb.Dense(1)], seed=0), "mse", **options)
    owner.fit(X, T, epochs=2)
    before = everything(owner)
    seen = []

    def spoil(owner, history):
        seen.append(everything(owner))
        owner.network.layers[1].bias[...] = np.inf

    with pytest.raises(errors.DivergenceError):
        owner.fit(X, T, epochs=2, callbacks=[SimpleNamespace(on_epoch_end=spoil)])
    return owner, before, seen[0]


@pytest.mark.parametrize("kind", [fb.Adam, fb.RMSprop, fb.Adagrad])
def test_a_divergence_undoes_both_parts_of_the_memory_and_the_schedule(kind):
    falling = fb.ReduceOnPlateau(0.01, factor=0.5, patience=0, threshold=0.99)
    owner, before, spoilt = after_bad_epoch(optimizer=kind(falling))
    assert before[0] != spoilt[0]  # the schedule has gone on
    assert all(before[1][name] != spoilt[1][name] for name in before[1])
    assert everything(owner) == before


def test_the_advice_of_a_divergence_is_about_the_rows_of_its_step():
    x = X.copy()
    x[32:48] *= 1e25
    owner = trainer(fb.Network(N_INPUTS, [fb.Dense(1)], seed=0), "mse", shuffle=False)
    with pytest.raises(errors.DivergenceError, match=r"scale the inputs, which reach 3.11e\+25"):
        owner.fit(x, T)


def test_steps_since_the_last_epoch_are_in_its_means_after_a_resume(tmp_path):
    owner, twin = trainer(), trainer()
    for one in (owner, twin):
        one.step(X[:20], Y[:20])
        one.step(X[20:40], Y[20:40])
    owner.save(tmp_path / "file")
    owner = fb.Trainer.load(tmp_path / "file")
    for one in (owner, twin):
        one.step(X[40:], Y[40:])
        one.end_epoch()
    for column in ("loss", "accuracy", "learning_rate"):
        assert owner.history[column] == twin.history[column]


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_a_unit_whose_output_is_zero_by_chance_is_trained(activation):
    """A fit leaves out weights of inputs that are 0; their delta is 0 below a ReLU alone."""

    def made():
        layers = [fb.Dense(64, activation), fb.Dense(3, "linear")]
        owner = trainer(
            fb.Network(N_INPUTS, layers, seed=0), "mse",
            optimizer=fb.SGD(0.01), batch_size=1, shuffle=False,
        )  # fmt: skip
        owner.network.layers[0].weight[:, ::2] = 0
        return owner

    t = np.eye(3, dtype=np.float32)[Y]
    owner, twin = made(), made()
    with testing.forced(region_steps=len(X)):
        owner.fit(X, t)
    for i in range(len(X)):  # no call of 16 steps, so that nothing is left out
        twin.step(X[i : i + 1], t[i : i + 1])
    assert owner.network.layers[0].weight[:, ::2].all()
    assert owner.network.parameters.tobytes() == twin.network.parameters.tobytes()
