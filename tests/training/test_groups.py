"""Groups of parameters: frozen layers, and factors of learning rate and decay."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from training import classes, parameters

import fastbp as fb
from fastbp import reference, testing
from fastbp.errors import BusyError, ConfigError, DivergenceError
from fastbp.reference import rules

N_INPUTS, N_CLASSES = 5, 3
FACTORS = [(1.0, 1.0), (0.1, 3.0), (0.5, 0.0)]  # of learning rate and decay, layer by layer
OPTIMIZERS = {
    "sgd": fb.SGD(0.1),
    "momentum": fb.SGD(0.05, momentum=0.9),
    "adam": fb.Adam(0.01),
    "adamw": fb.AdamW(0.01, weight_decay=0.1, decay_bias=True),
}


def network(frozen=(), factors=FACTORS, dtype="float64"):
    """A chain of three layers; those of the indices `frozen` are."""
    units = [(9, "tanh"), (7, "tanh"), (N_CLASSES, "softmax")]
    bias = fb.initializers.Normal(0.3)
    layers = [
        fb.Dense(
            n, f, bias_init=bias, trainable=i not in frozen,
            learning_rate_factor=factors[i][0], decay_factor=factors[i][1],
        )
        for i, (n, f) in enumerate(units)
    ]  # fmt: skip
    return fb.Network(N_INPUTS, layers, dtype=dtype, seed=2)


def examples(n, dtype="float64"):
    x, y = classes(300, dtype=dtype)
    return x[:n], y[:n]


class Twin:
    """The same in NumPy: every parameter with its own rate, decay, state and age."""

    def __init__(self, net, rule, **numbers):
        self.net, self.rule, self.numbers = net, rule, numbers
        self.arrays = [[layer.weight.copy(), layer.bias.copy()] for layer in net.weighted_layers]
        self.states = [[[0 * a, 0 * a] for a in pair] for pair in self.arrays]
        self.ages = [0] * len(self.arrays)

    def step(self, x, y, rate, l1, l2, weight_decay=0.0):
        weights, biases = ([pair[k] for pair in self.arrays] for k in (0, 1))
        activations = [layer.activation for layer in self.net.layers]
        _, pairs, _ = reference.gradients(weights, biases, activations, x, y, "cross_entropy")
        for i, layer in enumerate(self.net.layers):
            if not layer.trainable:
                continue
            self.ages[i] += 1
            for k, g in enumerate(pairs[i]):
                decay = layer.decay_factor
                w, (m, v) = self.arrays[i][k], self.states[i][k]
                if k == 0:
                    g = rules.penalised(g, w, l1 * decay, l2 * decay)
                w, m, v = rules.descend(
                    self.rule, w, m, v, g, rate * layer.learning_rate_factor,
                    weight_decay=weight_decay * decay, t=self.ages[i], **self.numbers,
                )  # fmt: skip
                self.arrays[i][k], self.states[i][k] = w, [m, v]


@pytest.mark.parametrize("rows", [4, 40])
@pytest.mark.parametrize("kind", list(OPTIMIZERS))
def test_a_hundred_steps_are_those_of_the_reference(kind, rows):
    """Layers are frozen and trained again on the way, so each has an age of its own."""
    net, optimizer = network(frozen=[1]), OPTIMIZERS[kind]
    numbers = dict(optimizer.hyperparameters)
    decay = numbers.pop("weight_decay", 0.0)
    numbers.pop("decay_bias", None)
    twin = Twin(net, optimizer.rule, **numbers)
    trainer = fb.Trainer(net, "cross_entropy", optimizer, batch_size=rows, l1=1e-4, l2=1e-3)
    start = copy.deepcopy(twin.arrays)
    x, y = examples(rows, dtype="float64")
    for step in range(100):
        if step % 20 == 10:
            net.layers[1].trainable = not net.layers[1].trainable
            net.layers[0].trainable = step != 30
            net.layers[2].learning_rate_factor = 0.25 + 0.01 * step
        trainer.step(x, y)
        rate = float(optimizer.learning_rates(step, 1, 0)[0])
        twin.step(x, np.eye(N_CLASSES)[y], rate, 1e-4, 1e-3, decay)
    for layer, wanted, first in zip(net.layers, twin.arrays, start, strict=True):
        assert abs(layer.weight - first[0]).max() > 1e-3
        np.testing.assert_allclose(layer.weight, wanted[0], rtol=0, atol=1e-9)
        np.testing.assert_allclose(layer.bias, wanted[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 9, 70])
@pytest.mark.parametrize("frozen", [[0], [1], [2], [0, 1], [0, 2], [1, 2]], ids=str)
def test_frozen_layers_rest_and_the_others_do_not(rows, frozen):
    x, y = examples(70, "float32")
    net = network(dtype="float32")
    trainer = fb.Trainer(net, "cross_entropy", fb.Adam(0.01), rows, l2=1e-3, seed=1, n_threads=2)
    trainer.fit(x, y)
    for i in frozen:
        net.layers[i].trainable = False
    before = arrays(trainer)
    with testing.forced():
        trainer.fit(x, y)
    for i, (then, now) in enumerate(zip(before, arrays(trainer), strict=True)):
        assert all((a == b).all() == (i in frozen) for a, b in zip(then, now, strict=True))


def arrays(trainer):
    """Weight, its m and v of each layer."""
    model, values = trainer.network._model, trainer._state.memory.values
    found = [[layer.weight.copy()] for layer in trainer.network.layers]
    saved = model.arena.copy()
    for part in np.split(values, 2):
        model.arena[...] = part
        for arrays_of_layer, layer in zip(found, trainer.network.layers, strict=True):
            arrays_of_layer.append(layer.weight.copy())
    model.arena[...] = saved
    return found


def test_a_chain_with_a_frozen_layer_does_not_stream():
    x, y = examples(8)
    trainer = fb.Trainer(network([0]), "cross_entropy", batch_size=4)
    with testing.forced("streaming"), pytest.raises(ConfigError, match="regime"):
        trainer.fit(x, y)


@pytest.mark.parametrize("rows", [4, 40])
def test_limits_see_trainable_layers_only(rows):
    """One step at rate 1 moves the parameters by the gradient, whose norm is clip_norm then."""
    net = network([1], [(1.0, 1.0)] * 3)
    net.layers[1].weight *= 5
    x, y = examples(rows, dtype="float64")
    before = [(layer.weight.copy(), layer.bias.copy()) for layer in net.layers]
    fb.Trainer(net, "cross_entropy", fb.SGD(1.0), clip_norm=0.01, max_norm=1e-3).step(x, y)
    assert (net.layers[1].weight == before[1][0]).all()
    for i in (0, 2):
        np.testing.assert_allclose(np.linalg.norm(net.layers[i].weight, axis=0), 1e-3)
    moved = [net.layers[i].bias - before[i][1] for i in (0, 2)]
    _, pairs = unclipped(before, x, y)
    norm = np.sqrt(sum(np.sum(g**2) for i in (0, 2) for g in pairs[i]))
    for i, change in zip((0, 2), moved, strict=True):
        np.testing.assert_allclose(change, -pairs[i][1] * 0.01 / norm, rtol=1e-3)


def unclipped(pairs, x, y):
    net = network([1])
    for layer, (weight, bias) in zip(net.layers, pairs, strict=True):
        layer.weight, layer.bias = weight, bias
    return net.gradients(x, y, "cross_entropy")


def test_gradients_are_of_all_layers():
    x, y = classes(20, dtype="float64")
    frozen, free = network([0, 2]), network()
    one, other = (net.gradients(x, y, "cross_entropy", inputs=True) for net in (frozen, free))
    assert (one[2] == other[2]).all()
    for a, b in zip(one[1], other[1], strict=True):
        assert a[0].any()
        assert all((p == q).all() for p, q in zip(a, b, strict=True))


GATES = [
    fb.Gated(6),
    fb.Residual([fb.Dense(8, "tanh"), fb.Residual([fb.Maxout(8)])]),
    fb.Maxout(5),
    fb.Dense(N_CLASSES, "softmax"),
]


@pytest.mark.parametrize("frozen", range(6))
def test_layers_with_gates(frozen):
    """The first of six weighted layers are frozen: the others move as without, all at once."""
    x, y = classes(40, dtype="float64")
    nets = [fb.Network(N_INPUTS, GATES, "float64", seed=3) for _ in range(2)]
    for layer in nets[0].weighted_layers[: frozen + 1]:
        layer.trainable = False
    if frozen == 5:
        nets[0].weighted_layers[0].trainable = True
    before = [layer.weight.copy() for layer in nets[0].weighted_layers]
    for net in nets:
        fb.Trainer(net, "cross_entropy", n_threads=2).step(x, y)
    for layer, free, weight in zip(*(n.weighted_layers for n in nets), before, strict=True):
        assert ((layer.weight == weight).all() and (free.weight != weight).any()) == (
            not layer.trainable
        )
        assert (layer.weight == (free.weight if layer.trainable else weight)).all()


def test_a_network_without_a_trainable_layer_is_refused():
    trainer = fb.Trainer(network([0, 1, 2]), "cross_entropy")
    x, y = classes()
    for call in (trainer.fit, trainer.step):
        with pytest.raises(ConfigError, match="trainable"):
            call(x, y)
    trainer.network.layers[1].trainable = True
    trainer.step(x, y)
    trainer.network.layers[1].trainable = False
    with pytest.raises(ConfigError, match="trainable"):
        trainer.step(x, y)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("rows", [4, 20])
def test_divergence_gives_frozen_layers_back_too(rows, n_threads):
    x, y = classes(40, dtype="float64")
    net = network([0])
    trainer = fb.Trainer(
        net, "cross_entropy", fb.Adam(0.01), rows, shuffle=False, n_threads=n_threads
    )

    class Spoil:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                self.before = parameters(net)
                net.layers[0].weight[0, 0] = np.nan

    spoil = Spoil()
    first = []
    with testing.forced(), pytest.raises(DivergenceError):
        trainer.fit(x, y, 3, callbacks=[Note(first), spoil])
    assert parameters(net) == first[0]


class Note:
    """The parameters at the end of each epoch."""

    def __init__(self, found):
        self.found = found

    def on_epoch_end(self, trainer, history):
        self.found.append(parameters(trainer.network))


def test_groups_are_set_between_calls_only():
    net = network()
    x, y = classes()

    class Change:
        def on_epoch_end(self, trainer, history):
            for name in ("trainable", "learning_rate_factor", "decay_factor"):
                with pytest.raises(BusyError):
                    setattr(net.layers[0], name, 0)

    with pytest.raises(ConfigError):  # 0 is no flag
        fb.Trainer(net, "cross_entropy").fit(x, y, callbacks=[Change()])
    assert net.layers[0].trainable
    assert net.layers[0].learning_rate_factor == 1


@pytest.mark.parametrize("value", [-1, np.nan, "one", None])
@pytest.mark.parametrize("name", ["learning_rate_factor", "decay_factor"])
def test_unusable_factors(name, value):
    for call in (
        lambda: fb.Gated(2, **{name: value}),
        lambda: setattr(network().layers[0], name, value),
    ):
        with pytest.raises(ConfigError, match=name):
            call()


def grouped():
    residual = fb.Residual([fb.Dense(4), fb.Maxout(6, learning_rate_factor=0.5)])
    layers = [fb.Gated(4, decay_factor=0.0), residual, fb.Dense(N_CLASSES, "softmax")]
    net = fb.Network(N_INPUTS, layers, seed=1)
    net.layers[1].projection.learning_rate_factor = 0.25
    net.layers[0].trainable = False
    return net


def groups(net):
    return [layer._group for layer in net.weighted_layers]


@pytest.mark.parametrize("way", ["save", "copy", "pickle", "deepcopy", "fold"])
def test_groups_are_kept(way, tmp_path):
    net = grouped()
    if way == "save":
        net.save(tmp_path / "net")
        twin = fb.load(tmp_path / "net")
    else:
        twin = {
            "copy": net.copy,
            "pickle": lambda: pickle.loads(pickle.dumps(net)),
            "deepcopy": lambda: copy.deepcopy(net),
            "fold": net.fold,
        }[way]()
    assert groups(twin) == groups(net)
    assert repr(twin) == repr(net)
    assert twin.summary() == net.summary()
    x, y = classes()
    for one in (net, twin):
        fb.Trainer(one, "cross_entropy", fb.Adam(0.1)).step(x, y)
    assert parameters(twin) == parameters(net)
    net.layers[0].trainable = True
    assert not twin.layers[0].trainable


def test_a_residual_freezes_all_within():
    for net in (grouped(), grouped().copy()):
        residual = net.layers[1]
        assert residual.trainable
        residual.trainable = False
        assert [layer.trainable for layer in residual._weighted()] == [False] * 3
        residual.projection.trainable = True
        assert not residual.trainable
    outside = fb.Residual([fb.Dense(4)])
    outside.trainable = False
    net = fb.Network(N_INPUTS, [outside])
    assert not net.layers[0].projection.trainable
    assert not outside.trainable


def test_groups_are_shown():
    text = grouped().summary().splitlines()
    assert "trainable=False  decay_factor=0.0" in text[1]
    assert repr(fb.Dense(2, "tanh", learning_rate_factor=0.5)) == (
        "Dense(2, 'tanh', learning_rate_factor=0.5)"
    )
    assert repr(fb.Dense(2)) == "Dense(2, 'linear')"


def test_the_norm_of_the_gradient_is_that_of_trainable_layers():
    x, y = classes(30, dtype="float64")
    net = network([0])
    norm = fb.callbacks.GradientNorm(1e-9)
    trainer = fb.Trainer(net, "cross_entropy", batch_size=None, l2=0.1)
    trainer.fit(x, y, callbacks=[norm])
    _, pairs = net.gradients(x, y, "cross_entropy")
    total = 0.0
    for i in (1, 2):
        dw, db = pairs[i]
        dw = dw + 0.2 * FACTORS[i][1] * net.layers[i].weight
        total += np.sum(dw**2) + np.sum(db**2)
    assert norm.norm == pytest.approx(np.sqrt(total), rel=1e-12)
    assert trainer._objective.value(net) == pytest.approx(
        0.1 * sum(FACTORS[i][1] * np.sum(net.layers[i].weight ** 2) for i in (1, 2))
    )
    assert fb.gradient_check(net, x, y, "cross_entropy", l2=0.1).passed


@pytest.mark.parametrize("way", ["pickle", "file"])
def test_a_saved_trainer_knows_how_long_layers_were_frozen(way, tmp_path):
    """Adam corrects its means by the steps of each layer: they go on after a layer is trained."""
    x, y = examples(40)
    trainer = fb.Trainer(network([0]), "cross_entropy", fb.Adam(0.01), seed=1)
    trainer.fit(x, y, 2)
    trainer.network.layers[1].trainable = False
    trainer.fit(x, y, 2)
    if way == "pickle":
        twin = pickle.loads(pickle.dumps(trainer))
    else:
        trainer.save(tmp_path / "checkpoint")
        twin = fb.Trainer.load(tmp_path / "checkpoint")
    for one in (trainer, twin):
        for layer in one.network.layers:
            layer.trainable = True
        one.fit(x, y)
    assert trainer._state.memory.missed(trainer.n_steps) == (8, 4, 0)
    assert parameters(twin.network) == parameters(trainer.network)
    states = [one._state.memory.values.tobytes() for one in (twin, trainer)]
    assert states[0] == states[1]
