"""``accumulate=k``: k batches make one update."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gate_networks import network

import fastbp as fb
from fastbp import Dense

LAYERS = [Dense(9, "tanh"), Dense(3, "softmax")]


def examples(n, n_in=5, seed=0):
    rng = np.random.default_rng([seed, n])
    return rng.normal(size=(n, n_in)), rng.integers(0, 3, n)


def trainer(dtype="float64", layers=LAYERS, optimizer=None, loss="cross_entropy", **options):
    net = fb.Network(5, layers, dtype, seed=0)
    return fb.Trainer(net, loss, optimizer or fb.SGD(0.1, momentum=0.9), seed=0, **options)


def bits(trainer):
    history = {k: v for k, v in trainer.history.items() if k != "seconds"}
    state = trainer._state.memory.values.tobytes()
    return trainer.network.parameters.tobytes(), state, trainer.n_steps, history


def half_square(y, t):
    error = y - np.eye(3)[t]
    return (error**2).sum(axis=1) / 2, error


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dtype": "float32", "optimizer": fb.AdamW(fb.Exponential(0.01, 0.9, per="epoch"))},
        {"clip_norm": 0.1, "max_norm": 0.5, "l2": 0.01, "l1": 0.001},
        {"clip_value": 0.001, "average": "rows", "class_weight": {0: 2.0, 2: 0.0}},
        {"layers": [Dense(40, "gelu", dropout=0.3), Dense(8, "relu", dropout=0.5), Dense(3)],
         "loss": "squared_error"},
        {"layers": [Dense(9, "tanh", trainable=False), Dense(3, "softmax")]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("batch, k, n", [(256, 3, 1800), (100, 4, 1005), (3, 2, 20), (7, 50, 620)])
def test_fit_has_the_bits_of_a_larger_batch(options, batch, k, n):
    """Also of an incomplete last group, and of parts that are cut elsewhere than the batches."""
    x, y = examples(n)
    weights = np.random.default_rng(0).integers(0, 3, n) / 2 + (np.arange(n) == 0)
    made = [
        trainer(batch_size=batch, accumulate=k, **options),
        trainer(batch_size=batch * k, **options),
    ]
    for one in made:
        one.fit(x, y, epochs=2)
        one.fit(x, y, epochs=1, sample_weight=weights)
    assert bits(made[0]) == bits(made[1])
    assert made[0].n_steps == 3 * -(-n // (batch * k))


@pytest.mark.parametrize("name", ["projection", "maxout"])
def test_gates_and_sparse_rows_have_the_bits(name):
    sparse = pytest.importorskip("scipy.sparse")
    x = examples(700)[0]
    x[np.random.default_rng(0).random(x.shape) < 0.95] = 0
    for rows, make in (
        (x, lambda: network(name)),
        (sparse.csr_matrix(x), lambda: network("depth 1")),
    ):
        nets = [make(), make()]
        for net, options in zip(
            nets, ({"batch_size": 150, "accumulate": 4}, {"batch_size": 600}), strict=True
        ):
            fb.Trainer(net, "squared_error", seed=0, **options).fit(rows, x[:, :3], 2)
        assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()
    plain, whole = (
        fb.Trainer(
            fb.Network(40, LAYERS, seed=0), "cross_entropy", seed=0, batch_size=b, accumulate=k
        )
        for b, k in ((150, 4), (600, 1))
    )
    rows = sparse.random(1300, 40, 0.02, "csr", random_state=0)
    for one in (plain, whole):
        one.fit(rows, np.arange(1300) % 3, 2)
    assert bits(plain) == bits(whole)


def test_threads_do_not_show():
    x, y = examples(1500)
    made = [trainer(batch_size=250, accumulate=3, n_threads=n) for n in (1, 2)]
    for one in made:
        one.fit(x, y, epochs=2)
    assert bits(made[0]) == bits(made[1])


@pytest.mark.parametrize("custom", [False, True])
def test_batches_and_steps_have_the_update_of_a_larger_batch(custom):
    """Of groups of unequal batches, with weights, the last group incomplete."""
    x, y = examples(100)
    weights = np.random.default_rng(0).uniform(0, 2, 100)
    cuts = [slice(0, 13), slice(13, 40), slice(40, 45), slice(45, 80), slice(80, 100)]
    loss = half_square if custom else "cross_entropy"
    batches = [(x[c], y[c], weights[c]) for c in cuts]
    groups = [slice(0, 45), slice(45, 100)]
    whole, streamed, stepped = (trainer(loss=loss, accumulate=k, l2=0.1) for k in (1, 3, 3))
    for _ in range(3):
        for g in groups:
            whole.step(x[g], y[g], weights[g])
        whole.end_epoch()
    streamed.fit(batches, epochs=3)
    for c in [*cuts[:3]] * 2:
        stepped.step(x[c], y[c], weights[c])
    assert (whole.n_steps, streamed.n_steps, stepped.n_steps) == (6, 6, 2)
    np.testing.assert_allclose(streamed.network.parameters, whole.network.parameters, rtol=1e-12)
    np.testing.assert_allclose(streamed.history["loss"], whole.history["loss"], rtol=1e-12)
    twice = trainer(loss=loss, l2=0.1)
    for _ in range(2):
        twice.step(x[:45], y[:45], weights[:45])
    np.testing.assert_allclose(stepped.network.parameters, twice.network.parameters, rtol=1e-12)


def test_a_part_returns_its_loss_and_changes_nothing():
    x, y = examples(30)
    one, twin = trainer(accumulate=2), trainer()
    start = one.network.parameters
    assert one.step(x[:10], y[:10]) == twin.network.gradients(x[:10], y[:10], "cross_entropy")[0]
    assert one.network.parameters.tobytes() == start.tobytes()
    assert one.n_steps == 0
    with pytest.raises(fb.errors.ConfigError, match="no step since the last epoch"):
        one.end_epoch()
    one.step(x[10:], y[10:])
    assert one.n_steps == 1
    assert one.network.parameters.tobytes() != start.tobytes()


@pytest.mark.parametrize("how", ["file", "pickle"])
@pytest.mark.parametrize("cut", range(1, 6))
def test_it_resumes_within_a_step(tmp_path, how, cut):
    layers = [Dense(9, "tanh", dropout=0.4), Dense(3, "softmax")]
    whole, part = (trainer(layers=layers, accumulate=3, optimizer=fb.Adam(0.01)) for _ in range(2))
    for i in range(7):
        x, y = examples(10 + i)
        whole.step(x, y)
        if i == cut and how == "file":
            part.save(tmp_path / "cut")
            part = fb.Trainer.load(tmp_path / "cut")
        elif i == cut:
            part = pickle.loads(pickle.dumps(part))
        part.step(x, y)
    assert bits(whole) == bits(part)
    assert part.accumulate == 3
    for one in (whole, part):
        one.end_epoch()
        one.fit(*examples(50), epochs=2)  # drops the one that is open
    assert bits(whole) == bits(part)


def test_a_loss_that_is_not_finite_leaves_the_parts():
    x, y = (a.astype(np.float64) for a in examples(10))
    made = [trainer(loss="squared_error", layers=[Dense(1)], accumulate=2) for _ in range(2)]
    for one in made:
        one.step(x, y)
    with pytest.raises(fb.errors.DivergenceError):
        made[0].step(x, y * 1e200)
    for one in made:
        one.step(x, y)
    assert bits(made[0]) == bits(made[1])


def test_an_update_that_is_not_finite_leaves_the_parts():
    x, y = (a.astype(np.float32) for a in examples(10))
    make = {"dtype": "float32", "loss": "squared_error", "layers": [Dense(1)], "accumulate": 2}
    made = [trainer(optimizer=fb.SGD(1e22, momentum=0.5), **make) for _ in range(2)]
    for one in made:
        one.step(x * 1e-18, y * 1e-18)
    with pytest.raises(fb.errors.DivergenceError):
        made[0].step(x, y * 1e18)
    assert made[0].network.parameters.tobytes() == made[1].network.parameters.tobytes()
    for one in made:
        one.step(x * 1e-18, y * 1e-18)
    assert bits(made[0]) == bits(made[1])


def test_diverging_epochs_are_undone():
    x, y = (a.astype(np.float64) for a in examples(600))
    one = trainer(
        loss="squared_error",
        layers=[Dense(1)],
        optimizer=fb.SGD(1e200),
        batch_size=100,
        accumulate=3,
    )
    before = one.network.parameters
    with pytest.raises(fb.errors.DivergenceError):
        one.fit(x, y, epochs=3)
    assert one.network.parameters.tobytes() == before.tobytes()
    assert one.n_steps == 0


def test_stops_and_callbacks_see_updates():
    x, y = examples(600)
    seen = []
    one = trainer(batch_size=100, accumulate=3)
    one.fit(x, y, epochs=3, callbacks=[lambda t, h: seen.append(t.n_steps)])
    assert seen == [2, 4, 6]
    streamed = trainer(accumulate=2)

    class Stop:
        def on_region_end(self, trainer):
            return "enough"

    streamed.fit([(x[:50], y[:50])] * 6, epochs=2, callbacks=[Stop()])
    assert (streamed.history.stopped, streamed.n_steps) == ("enough", 1)


def test_it_is_an_option_like_others():
    one = trainer(accumulate=4)
    assert "accumulate=4" in repr(one)
    assert "accumulate" not in repr(trainer())
    one.accumulate = 2
    assert one.accumulate == 2
    for bad in (0, -1, 1.5, "2", None):
        with pytest.raises(fb.errors.ConfigError, match="accumulate: got"):
            one.accumulate = bad
    with pytest.raises(fb.errors.ConfigError, match="accumulate: got 2 with LBFGS"):
        trainer(optimizer=fb.LBFGS(), batch_size=None, accumulate=2).fit(*examples(10))
