"""`fit` on batches that come one by one: the steps of `fit` on arrays; errors that name them."""

from __future__ import annotations

import numpy as np
import pytest
from training import N_CLASSES, N_INPUTS, assert_refuses, classes, trainer

import fastbp as fb
from fastbp.errors import ConfigError, DivergenceError, InputError, LabelError, ShapeError

SIZE = 16


def cut(x, y, weights=None, size=SIZE):
    """Batches of an epoch, the last one shorter."""
    arrays = (x, y) if weights is None else (x, y, weights)
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(x), size)]


def bits(owner):
    return [layer.weight.tobytes() + layer.bias.tobytes() for layer in owner.network.layers]


SOURCES = {
    "list": lambda batches: batches,
    "function": lambda batches: lambda: iter(batches),
    "iterable": lambda batches: Again(batches),
}


class Again:
    """An iterable without a length."""

    def __init__(self, batches):
        self._batches = batches

    def __iter__(self):
        yield from self._batches


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("optimizer", [fb.SGD(0.1, momentum=0.9), fb.Adam(0.01)])
@pytest.mark.parametrize("source", SOURCES)
def test_the_steps_are_those_of_arrays_in_order(source, optimizer, weighted):
    x, y = classes(61)
    weights = np.random.default_rng(1).uniform(0, 2, len(x)) if weighted else None
    options = {"batch_size": SIZE, "shuffle": False}
    rate = fb.schedules.Step(optimizer.learning_rate, 3, 0.5, per="step")
    a = trainer(optimizer=type(optimizer)(rate), **options)
    b = trainer(optimizer=type(optimizer)(rate), **options)
    a.fit(x, y, 3, (x, y), sample_weight=weights)
    b.fit(SOURCES[source](cut(x, y, weights)), epochs=3, validation_data=(x, y))
    assert bits(a) == bits(b)
    assert a.n_steps == b.n_steps == 12
    assert list(a.history) == list(b.history)
    assert a.history["val_loss"] == b.history["val_loss"]
    np.testing.assert_allclose(a.history["accuracy"], b.history["accuracy"], rtol=1e-12)
    assert a.history["learning_rate"] == b.history["learning_rate"]
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-12)


def test_batches_of_any_sizes_and_types():
    x, y = classes(120)
    x = (x * 30).astype(np.int8)
    batches = [(x[:3], y[:3]), (x[3:100].astype(float), y[3:100]), (x[100:], y[100:])]
    owner, twin = trainer(), trainer()
    owner.fit(batches, epochs=2)
    for _ in range(2):
        for batch in batches:
            twin.step(*batch)
    assert bits(owner) == bits(twin)


def test_dropout_and_a_custom_loss_go_on_from_step_to_step():
    x, y = classes(64)
    layers = [fb.Dense(9, "tanh", dropout=0.3), fb.Dense(N_CLASSES, "softmax")]
    pair = [trainer(fb.Network(N_INPUTS, layers, seed=2), shuffle=False) for _ in range(2)]
    pair[0].fit(x, y, 2)
    pair[1].fit(cut(x, y), epochs=2)
    assert bits(pair[0]) == bits(pair[1])

    def squares(outputs, targets):
        d = outputs - np.eye(N_CLASSES, dtype=outputs.dtype)[targets]
        return (d * d).sum(axis=1), 2 * d

    pair = [trainer(loss=squares, shuffle=False) for _ in range(2)]
    pair[0].fit(x, y, 2)
    pair[1].fit(cut(x, y), epochs=2)
    assert bits(pair[0]) == bits(pair[1])


def test_an_iterator_does_for_one_epoch_and_no_more():
    batches = cut(*classes())
    owner = trainer()
    assert_refuses(owner, lambda: owner.fit(iter(batches), epochs=2), ConfigError, "iterator")
    assert owner.fit(iter(batches)).epochs == 1


def test_what_is_no_source_is_refused():
    x, y = classes()
    owner = trainer()
    assert_refuses(owner, lambda: owner.fit(x), ConfigError, "y: got None")
    assert_refuses(owner, lambda: owner.fit(3), ConfigError, "y: got None")
    weighted = lambda: owner.fit(cut(x, y), sample_weight=np.ones(60))  # noqa: E731
    assert_refuses(owner, weighted, ConfigError, "sample_weight")
    norm = [fb.callbacks.GradientNorm(0.1)]
    assert_refuses(owner, lambda: owner.fit(cut(x, y), callbacks=norm), ConfigError, "GradientNorm")


BAD = {
    "nan": (lambda x, y: (x * np.nan, y), InputError, "batch 2: x: got nan"),
    "columns": (lambda x, y: (x[:, 1:], y), ShapeError, "batch 2: x: got shape"),
    "class": (lambda x, y: (x, y + 9), LabelError, "batch 2: y: got class"),
    "weight": (lambda x, y: (x, y, -np.ones(len(x))), InputError, "batch 2: sample_weight"),
    "pair": (lambda x, y: {"x": x}, ConfigError, "batch 2: got dict"),
}


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_batch_is_named_and_its_epoch_undone(bad, epoch):
    spoil, error, match = BAD[bad]
    batches = cut(*classes())
    epochs = iter([batches, batches])
    wrong = [*batches[:2], spoil(*batches[2]), batches[3]]
    order = [wrong] if epoch == 0 else [batches, wrong]
    owner, twin = trainer(optimizer=fb.Adam(0.01)), trainer(optimizer=fb.Adam(0.01))
    epochs = iter(order)
    with pytest.raises(error, match=match):
        owner.fit(lambda: next(epochs), epochs=2)
    if epoch:
        twin.fit(batches)
    assert bits(owner) == bits(twin)
    assert owner.n_steps == twin.n_steps
    owner.fit(batches)
    twin.fit(batches)
    assert bits(owner) == bits(twin)


def test_an_error_of_the_source_undoes_the_epoch():
    batches = cut(*classes())

    def source():
        yield from batches[:2]
        raise OSError("the disk is gone")

    def nothing():
        yield from ()

    for wrong, error, match in [
        (source, OSError, "the disk is gone"),
        (nothing, InputError, "no batch"),
        (lambda: 3, ConfigError, "x: got 3 from the function"),
        ([batches[0][0]], ConfigError, "batch 0: got ndarray"),
    ]:
        owner = trainer()
        with pytest.raises(error, match=match):
            owner.fit(wrong)
        assert owner.n_steps == owner.history.epochs == 0
        assert bits(owner) == bits(trainer())


def test_divergence_goes_back_to_a_good_start():
    x, y = classes()
    batches = cut(x, y)
    huge = [(np.full_like(x[:SIZE], 3e38), y[:SIZE])]
    net = fb.Network(N_INPUTS, [fb.Dense(7, "relu"), fb.Dense(1)], seed=0)
    owner = fb.Trainer(net, "mse", fb.SGD(0.01), seed=0)
    twin = fb.Trainer(net.copy(), "mse", fb.SGD(0.01), seed=0)
    regression = [(a, b.astype(float)) for a, b in batches]
    order = iter([regression, [(a, b.astype(float)) for a, b in huge]])
    with pytest.raises(DivergenceError, match="epoch 2, step 4"):
        owner.fit(lambda: next(order), epochs=2)
    # The first loss of epoch 2 was not finite: back at the start of epoch 1.
    assert bits(owner) == bits(twin)
    assert owner.n_steps == 0


def test_callbacks_and_progress(capsys):
    batches = cut(*classes())
    regions = []

    class Count:
        def on_region_end(self, owner):
            regions.append(owner.n_steps)
            return "enough" if len(regions) == 6 else None

        def on_epoch_end(self, owner, history):
            return None

    owner = trainer()
    history = owner.fit(Again(batches), epochs=3, callbacks=[Count()], progress=True)
    assert regions == [1, 2, 3, 4, 5, 6]
    assert history.epochs == 2
    assert history.stopped == "enough"
    assert "6step" in capsys.readouterr().err
