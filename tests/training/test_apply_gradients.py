"""`Trainer.apply_gradients`: the step of gradients that the caller gives."""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import network

import fastbp as fb
from fastbp import Dense

OPTIMIZERS = [
    fb.SGD(0.1),
    fb.SGD(0.1, momentum=0.9),
    fb.SGD(0.1, momentum=0.9, nesterov=True),
    fb.Adagrad(0.1),
    fb.RMSprop(0.01),
    fb.Adam(0.01),
    fb.AdamW(fb.Exponential(0.01, 0.9), weight_decay=0.1),
]
OPTIONS = [
    {},
    {"l2": 1e-2, "l1": 1e-3, "penalize_bias": True},
    {"clip_value": 0.01},
    {"clip_norm": 0.05, "l2": 1e-2},
    {"max_norm": 0.8},
    {"clip_norm": 0.05, "clip_value": 0.02, "max_norm": 0.8},
]


def examples(n=20, n_in=5, seed=0):
    rng = np.random.default_rng([seed, n])
    return rng.normal(size=(n, n_in)), rng.integers(0, 3, n)


def trainers(optimizer=None, dtype="float64", make=None, **options):
    """Two equal trainers."""
    made = []
    for _ in range(2):
        net = make() if make else fb.Network(5, [Dense(9, "tanh"), Dense(3, "softmax")], dtype, 0)
        loss = "cross_entropy" if make is None else "squared_error"
        made.append(fb.Trainer(net, loss, optimizer, seed=0, **options))
    return made


def same(a, b):
    """Whether two trainers have the same weights and remember the same."""
    return (
        a.network.parameters.tobytes() == b.network.parameters.tobytes()
        and a._state.memory.values.tobytes() == b._state.memory.values.tobytes()
        and a.n_steps == b.n_steps
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: repr(o)[:12])
def test_it_is_the_step_bit_for_bit(optimizer, dtype):
    for options in OPTIONS:
        stepped, applied = trainers(optimizer, dtype, **options)
        for n in (20, 3, 8, 100, 20):
            x, y = examples(n, seed=n)
            stepped.step(x, y)
            _, gradients = applied.network.gradients(x, y, "cross_entropy")
            applied.apply_gradients(gradients)
            assert same(stepped, applied), (options, n)


def test_groups_and_gates_and_weights_of_rows():
    stepped, applied = trainers(fb.Adam(0.01), make=lambda: network("projection"), l2=0.01)
    x = examples(12)[0]
    y, weights = x[:, :3], np.arange(12) % 4
    for step in range(6):
        for one in (stepped, applied):
            layers = one.network.weighted_layers
            layers[0].trainable = step % 3 != 1
            layers[1].learning_rate_factor, layers[1].decay_factor = 0.5, 2.0
        stepped.step(x, y, weights)
        _, pairs = applied.network.gradients(x, y, "squared_error", sample_weight=weights)
        applied.apply_gradients(pairs)
        assert same(stepped, applied)


def test_a_wide_gradient_has_the_norm_of_its_parts():
    """Of weights with more rows than a block of a step has."""
    made = trainers(
        make=lambda: fb.Network(300, [Dense(40, "tanh"), Dense(3)], "float32", 0),
        clip_norm=0.1,
        max_norm=0.3,
    )
    x = examples(64, 300)[0].astype("float32")
    for _ in range(3):
        made[0].step(x, x[:, :3])
        made[1].apply_gradients(made[1].network.gradients(x, x[:, :3], "squared_error")[1])
        assert same(*made)


def test_flat_gradients_are_the_pairs():
    a, b = trainers(fb.Adam(0.01))
    x, y = examples()
    _, pairs = a.network.gradients(x, y, "cross_entropy")
    a.apply_gradients(pairs)
    b.apply_gradients(np.concatenate([array.ravel() for pair in pairs for array in pair]))
    assert same(a, b)


def test_it_mixes_with_steps_and_resumes(tmp_path):
    stepped, mixed = trainers(fb.Adam(0.01))
    for i in range(6):
        x, y = examples(seed=i)
        stepped.step(x, y)
        if i % 2:
            mixed.step(x, y)
        else:
            mixed.apply_gradients(mixed.network.gradients(x, y, "cross_entropy")[1])
        if i == 2:
            mixed.save(tmp_path / "cut")
            mixed = fb.Trainer.load(tmp_path / "cut")
        assert same(stepped, mixed)


def test_the_record_has_the_means_of_the_steps_alone():
    trainer, _ = trainers()
    x, y = examples()
    loss = trainer.step(x, y)
    trainer.apply_gradients(np.zeros(trainer.network.n_parameters))
    trainer.end_epoch()
    trainer.apply_gradients(np.zeros(trainer.network.n_parameters))
    trainer.end_epoch((x, y))
    losses = trainer.history["loss"]
    assert losses[0] == pytest.approx(loss)
    assert np.isnan(losses[1])
    assert np.isfinite(trainer.history["val_loss"][1])
    assert trainer.n_steps == 3


def test_an_update_that_is_not_finite_changes_nothing():
    trainer, twin = trainers(fb.SGD(1e10, momentum=0.5), "float32")
    for one in (trainer, twin):
        one.apply_gradients(np.full(one.network.n_parameters, 1e-10))
    with pytest.raises(fb.errors.DivergenceError, match=r"step 1 at learning rate 1e[+]10"):
        trainer.apply_gradients(np.full(trainer.network.n_parameters, 1e30))
    assert same(trainer, twin)
    for one in (trainer, twin):
        one.apply_gradients(np.full(one.network.n_parameters, 1e-10))
    assert same(trainer, twin)


@pytest.mark.parametrize(
    "bad, text",
    [
        (lambda g: g[:1], r"gradients: got .*, wanted a pair \(dW, db\) for each of the 2"),
        (lambda g: [g[0], (g[1][0],)], "gradients: got"),
        (lambda g: [g[1], g[0]], r"gradients\[0\]\[0\]: got shape \(9, 3\), wanted \(5, 9\)"),
        (lambda g: [g[0], (g[1][0], g[1][1] * np.nan)], r"gradients\[1\]\[1\]: got nan"),
        (lambda g: np.zeros(3), r"gradients: got shape \(3,\), wanted \(84,\)"),
        (lambda g: None, "gradients: got"),
        (lambda g: [], "gradients: got"),
        (lambda g: "abc", "gradients: got"),
    ],
)
def test_bad_gradients_are_named_and_nothing_changes(bad, text):
    trainer, twin = trainers(fb.Adam(0.01))
    pairs = trainer.network.gradients(*examples(), "cross_entropy")[1]
    with pytest.raises(fb.errors.FastbpError, match=text):
        trainer.apply_gradients(bad(pairs))
    assert same(trainer, twin)


def test_lbfgs_and_a_callback_of_another_thread():
    x, y = examples()
    net = fb.Network(5, [Dense(3, "softmax")], seed=0)
    with pytest.raises(fb.errors.ConfigError, match="LBFGS in apply_gradients"):
        fb.Trainer(net, "cross_entropy", fb.LBFGS(), batch_size=None).apply_gradients(
            np.zeros(net.n_parameters)
        )
    trainer = fb.Trainer(net, "cross_entropy")

    def busy(trainer, history):
        with pytest.raises(fb.errors.BusyError):
            trainer.apply_gradients(np.zeros(net.n_parameters))

    trainer.fit(x, y, callbacks=[busy])
