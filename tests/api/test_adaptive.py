"""Every optimizer over 100 steps: against its formula in NumPy, and a slow test against torch."""

from __future__ import annotations

import numpy as np
import pytest
from arrays import same_bits
from training import classes, moved_by, trainer

import fastbp as fb
from fastbp import errors, reference
from fastbp.reference import rules as reference_rules

STEPS = 100
X, Y = classes(96, dtype="float64")


def rate(step):
    """A schedule that torch can be given as factors."""
    return 0.02 * 0.98**step


OPTIMIZERS = {
    "sgd": lambda r: fb.SGD(r),
    "momentum": lambda r: fb.SGD(r, momentum=0.9),
    "nesterov": lambda r: fb.SGD(r, momentum=0.9, nesterov=True),
    "adagrad": lambda r: fb.Adagrad(r),
    "rmsprop": lambda r: fb.RMSprop(r),
    "adam": lambda r: fb.Adam(r),
    "adamw": lambda r: fb.AdamW(r, weight_decay=0.1, decay_bias=True),
    "adam, other betas": lambda r: fb.Adam(r, betas=(0.5, 0.9), eps=1e-3),
}
TORCH = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {"weight_decay": 0.1}),
    "adam, other betas": ("Adam", {"betas": (0.5, 0.9), "eps": 1e-3}),
}


def network(dtype="float64"):
    layers = [fb.Dense(17, "tanh"), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, dtype=dtype, seed=3)


def parameters(net):
    return [p.copy() for layer in net.layers for p in (layer.weight, layer.bias)]


def batches(batch):
    return [np.arange(i * batch, (i + 1) * batch) % len(X) for i in range(STEPS)]


def trained(name, batch, **options):
    """Parameters after 100 steps, `batch` rows each: 8 and fewer stream."""
    net = network()
    owner = trainer(net, optimizer=OPTIMIZERS[name](rate), **options)
    for rows in batches(batch):
        owner.step(X[rows], Y[rows])
    return parameters(net)


def by_formula(name, batch):
    """The same in NumPy."""
    net, optimizer = network(), OPTIMIZERS[name](rate)
    values, activations = parameters(net), ["tanh", "softmax"]
    ms, vs = [[0 * p for p in values] for _ in range(2)]
    numbers = {k: v for k, v in optimizer.hyperparameters.items() if k != "decay_bias"}
    for step, rows in enumerate(batches(batch)):
        targets = np.eye(3)[Y[rows]]
        pairs = reference.gradients(
            values[0::2], values[1::2], activations, X[rows], targets, "cross_entropy"
        )[1]
        for i, g in enumerate([g for pair in pairs for g in pair]):
            values[i], ms[i], vs[i] = reference_rules.descend(
                optimizer.rule, values[i], ms[i], vs[i], g, rate(step), t=step + 1, **numbers
            )
    return values


def assert_close(got, want, rtol=1e-9):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * abs(b).max())


@pytest.mark.parametrize("batch", [1, 5, 32])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_hundred_steps_are_those_of_the_formula(name, batch):
    got = trained(name, batch)
    start = parameters(network())
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(got, start, strict=True))
    assert_close(got, by_formula(name, batch))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(TORCH))
def test_a_hundred_steps_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    kind, options = TORCH[name]
    values = [torch.tensor(p, requires_grad=True) for p in parameters(network())]
    optimizer = getattr(torch.optim, kind)(values, lr=rate(0), **options)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.98)
    for rows in batches(32):
        x, y = torch.tensor(X[rows]), torch.tensor(Y[rows])
        logits = torch.tanh(x @ values[0] + values[1]) @ values[2] + values[3]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, y).backward()
        optimizer.step()
        schedule.step()
    assert_close(trained(name, 32), [v.detach().numpy() for v in values])


# Squares of these leave float32, their means go from one side of its range to the other.
ADAPTIVE = {
    "adagrad": fb.Adagrad(0.1, eps=1e-25),
    "rmsprop": fb.RMSprop(0.1, eps=1e-25),
    "adam": fb.Adam(0.1, eps=1e-25),
    "adam, usual eps": fb.Adam(0.1),
}
PATHS = {
    "tiny": [1e-18, 2e-18, 0.0, -1e-18],
    "tiny and less": [1e-18, 1e-24, 1e-30],
    "tiny, then one": [1e-18, 1.0, 1e-18],
    "large": [1e30, -2e30, 1e36],
    "large, then one": [1e30, 1.0, 1e-18],
    "at the end of the range": [1e-15, 1.1e-15, 0.9e-15, 1e-15],
    "the largest": [3e38],
}


@pytest.mark.parametrize("path", list(PATHS))
@pytest.mark.parametrize("name", list(ADAPTIVE))
def test_squares_beyond_float32_give_the_step_of_the_formula(isa, use_isa, name, path):
    use_isa(isa)
    optimizer, w, m, v = ADAPTIVE[name], *(np.zeros(1) for _ in range(3))
    for t, g in enumerate(PATHS[path], 1):
        g = np.float64(np.float32(g))
        numbers = optimizer.hyperparameters
        w, m, v = reference_rules.descend(optimizer.rule, w, m, v, g, 0.1, t=t, **numbers)
    gradients = np.outer(PATHS[path], [1.0, -1.0, 0.0])
    moved = moved_by(gradients, optimizer=optimizer, batch_size=1)
    np.testing.assert_allclose(moved, [w[0], -w[0], 0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam"])
def test_float32_follows_float64(name):
    nets = [network(dtype) for dtype in ("float32", "float64")]
    nets[1].layers[0].weight, nets[1].layers[1].weight = (layer.weight for layer in nets[0].layers)
    for net in nets:
        trainer(net, optimizer=OPTIMIZERS[name](0.01)).fit(X, Y, epochs=5)
    assert_close(parameters(nets[0]), parameters(nets[1]), rtol=2e-4)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam"])
def test_fit_goes_on_with_the_state(name):
    whole, parts = (trainer(network(), optimizer=OPTIMIZERS[name](0.01)) for _ in range(2))
    whole.fit(X, Y, epochs=4)
    for epochs in (1, 2, 1):
        parts.fit(X, Y, epochs=epochs)
    pairs = zip(parameters(whole.network), parameters(parts.network), strict=True)
    assert all(same_bits(a, b) for a, b in pairs)


def test_another_rule_begins_with_a_state_of_its_own():
    mixed, pure = trainer(network()), trainer(network(), optimizer=fb.Adam(0.01))
    mixed.fit(X, Y, epochs=2)
    for a, b in zip(pure.network.layers, mixed.network.layers, strict=True):
        a.weight, a.bias = b.weight, b.bias
    mixed.optimizer = fb.Adam(0.01)
    for owner in (mixed, pure):
        owner.step(X[:20], Y[:20])
        owner.step(X[20:40], Y[20:40])
    pairs = zip(parameters(mixed.network), parameters(pure.network), strict=True)
    assert all(same_bits(a, b) for a, b in pairs)
    mixed.optimizer = fb.RMSprop(0.01)
    mixed.step(X, Y)
    assert mixed._state.memory.values.size == mixed.network._model.arena.size


def test_divergence_restores_the_state_of_adam():
    net = fb.Network(5, [fb.Dense(6, "relu"), fb.Dense(3, "softmax")], dtype="float64", seed=0)
    owner = trainer(net, optimizer=fb.Adam(0.01))
    owner.fit(X, Y, epochs=1)
    before = owner._state.memory.values.copy(), owner.n_steps
    owner.optimizer.learning_rate = 1e300
    with pytest.raises(errors.DivergenceError):
        owner.fit(X, Y, epochs=1)
    assert same_bits(owner._state.memory.values, before[0])
    assert owner.n_steps == before[1]


def test_weight_decay_leaves_biases_out_unless_asked():
    def after(**options):
        net = network()
        for layer in net.layers:
            layer.bias[...] = 1
        trainer(net, optimizer=fb.AdamW(0.1, **options)).step(X, Y)
        return parameters(net)

    plain, decayed, with_bias = after(weight_decay=0), after(), after(decay_bias=True)
    for i, (a, b, c) in enumerate(zip(plain, decayed, with_bias, strict=True)):
        bias = i % 2
        assert same_bits(a, b) == bool(bias)
        assert same_bits(b, c) != bool(bias)
        if bias:
            np.testing.assert_allclose(a - c, np.full(a.shape, 0.1 * 0.01), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        *((lambda v=v: fb.Adam(0.1, betas=v), "betas: got") for v in (0.9, (0.9,), None, "ab")),
        *((lambda v=v: fb.Adam(betas=v), r"betas\[1\]: got") for v in ((0, 1), (0.9, -0.1))),
        (lambda: fb.Adam(betas=(1.0, 0.9)), r"betas\[0\]: got 1.0, wanted a number in \[0, 1\)"),
        *((lambda v=v: fb.Adam(eps=v), "eps: got") for v in (0, -1, 1e-31, np.nan, None)),
        *((lambda v=v: fb.Adagrad(eps=v), "eps: got") for v in (0, "a")),
        *((lambda v=v: fb.RMSprop(alpha=v), "alpha: got") for v in (1, -0.1, True)),
        *((lambda v=v: fb.AdamW(weight_decay=v), "weight_decay: got") for v in (-1, np.inf)),
        (lambda: fb.AdamW(decay_bias=1), "decay_bias: got"),
        *((lambda o=o: o(-1), "learning_rate: got") for o in (fb.Adam, fb.RMSprop, fb.Adagrad)),
    ],
)
def test_bad_options(make, match):
    with pytest.raises(errors.ConfigError, match=match):
        make()


def test_repr_is_the_call():
    for text in (
        "Adam(0.001, betas=(0.9, 0.999), eps=1e-08)",
        "AdamW(0.1, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.5, decay_bias=True)",
        "RMSprop(0.01, alpha=0.9, eps=1e-08)",
        "Adagrad(0.01, eps=1e-10)",
    ):
        assert repr(eval(f"fb.{text}")) == text
