"""The support vector machine beside SciPy's minimiser, and the perceptron beside its theorem."""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp import models, testing

minimize = pytest.importorskip("scipy.optimize").minimize


def clouds(n=36, seed=0):
    """Three classes of points in the plane that overlap a little."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.array([[0, 1.5], [1.5, -1], [-1.5, -1]])
    return centres[y] + 0.8 * rng.standard_normal((n, 2)), y


def hinge_minimum(x, y, l2):
    """The least value of the objective, and its weight: a quadratic program with slacks."""
    n, others = len(x), np.array([[j for j in range(3) if j != c] for c in y])
    rows = np.arange(n)[:, None]
    ones = np.column_stack([x, np.ones(n)])

    def objective(v):
        return v[9:].sum() / n + l2 * (v[:6] ** 2).sum()

    def slope(v):
        return np.concatenate([2 * l2 * v[:6], np.zeros(3), np.full(2 * n, 1 / n)])

    # slack - (z_j - z_c + 1) >= 0 is linear in v = weight, bias, slacks.
    scores = np.zeros((n, 3, 9))
    for j in range(3):
        scores[:, j, [j, 3 + j, 6 + j]] = ones
    gaps = scores[rows, others] - scores[rows, y[:, None]]
    matrix = np.hstack([-gaps.reshape(2 * n, 9), np.eye(2 * n)])
    constraint = {"type": "ineq", "fun": lambda v: matrix @ v - 1, "jac": lambda v: matrix}
    found = minimize(
        objective,
        np.concatenate([np.zeros(9), np.ones(2 * n)]),
        jac=slope,
        method="SLSQP",
        bounds=[(None, None)] * 9 + [(0, None)] * (2 * n),
        constraints=[constraint],
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    assert found.success
    return found.fun, found.x[:6].reshape(2, 3)


def test_multiclass_svm_is_the_minimum():
    x, y = clouds()
    l2 = 0.05
    value, weight = hinge_minimum(x, y, l2)
    # The rate of strongly convex objectives, 1 / (2 l2 step).
    falling = fb.SGD(lambda step: 1 / (2 * l2 * (step + 20)))
    trainer = models.multiclass_svm(2, 3, l2=l2, dtype="float64", optimizer=falling)
    trainer.fit(x, y, 20_000)
    layer = trainer.network.layers[0]
    reached = trainer.evaluate(x, y)["loss"] + l2 * np.sum(layer.weight**2)
    assert value * (1 - 1e-6) <= reached <= value * (1 + 1e-4)
    assert layer.weight == pytest.approx(weight, abs=1e-3)


def separable(n=60, gap=0.2, seed=0):
    """Points on both sides of a line that keep away from it, and its unit normal and offset."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (10 * n, 2))
    plane = np.array([0.6, -0.8, 0.1])
    distance = np.column_stack([x, np.ones(len(x))]) @ plane
    kept = np.flatnonzero(np.abs(distance) > gap)[:n]
    return x[kept], np.sign(distance[kept]), plane / np.linalg.norm(plane)


class Mistakes:
    """Counts the steps that change the weights."""

    def __init__(self, network):
        self.network, self.count = network, 0
        self.last = self.parameters()

    def parameters(self):
        layer = self.network.layers[0]
        return [*layer.weight.ravel().tolist(), *layer.bias.tolist()]

    def on_region_end(self, trainer):
        now = self.parameters()
        self.count, self.last = self.count + (now != self.last), now

    def on_epoch_end(self, trainer, history):
        pass


@testing.forced(region_steps=1)
def test_perceptron_stops_after_finitely_many_mistakes():
    x, t, plane = separable()
    rows = np.column_stack([x, np.ones(len(x))])
    bound = (rows**2).sum(axis=1).max() / (t * (rows @ plane)).min() ** 2
    trainer = models.perceptron(2, dtype="float64")
    mistakes = Mistakes(trainer.network)
    history = trainer.fit(x, t, 1000, callbacks=[models.NoMistakes(), mistakes])
    assert history.stopped == "no mistakes on 60 rows"
    assert 1 < mistakes.count <= bound
    assert history.epochs <= mistakes.count + 1
    assert np.array_equal(np.sign(trainer.network.predict(x).ravel()), t)
    # The rule itself, row by row.
    w = np.zeros(3)
    for _ in range(history.epochs):
        for row, target in zip(rows, t, strict=True):
            w += target * row * (target * (row @ w) <= 0)
    assert mistakes.last == pytest.approx(w, abs=1e-12)


def test_perceptron_goes_on_where_no_plane_separates():
    history = models.perceptron(2).fit(
        [[0, 0], [0, 1], [1, 0], [1, 1]], [-1, 1, 1, -1], 50, callbacks=[models.NoMistakes()]
    )
    assert (history.epochs, history.stopped) == (50, None)


AND = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
SIDES = {
    "sigmoid": (lambda: models.logistic_regression(2), np.array(AND[1])),
    "sigmoid, bool": (lambda: models.logistic_regression(2), np.array(AND[1], bool)),
    "sign": (lambda: models.perceptron(2), 2 * np.array(AND[1]) - 1),
    "step": (lambda: step_perceptron(), np.array(AND[1])),
    "classes": (lambda: models.softmax_regression(2, 2), np.array(AND[1])),
    "one-hot": (lambda: models.softmax_regression(2, 2), np.eye(2)[AND[1]]),
    "least squares of 0 and 1": (lambda: models.linear_regression(2), np.array(AND[1])),
    "least squares of -1 and 1": (lambda: models.linear_regression(2), 2 * np.array(AND[1]) - 1),
}


def step_perceptron():
    network = fb.Network(2, [fb.Dense(1, "step", fb.initializers.Zeros())])
    return fb.Trainer(network, "perceptron", fb.SGD(1.0), batch_size=1, shuffle=False)


@pytest.mark.parametrize(("make", "targets"), SIDES.values(), ids=SIDES)
def test_no_mistakes_of_any_form_of_targets(make, targets):
    trainer, found = make(), []
    wrong = lambda trainer, history: found.append(mistakes(trainer, targets))  # noqa: E731
    trainer.optimizer.learning_rate = 0.5
    history = trainer.fit(AND[0], targets, 300, callbacks=[models.NoMistakes(), wrong])
    assert history.stopped == "no mistakes on 4 rows"
    assert found[-1] == 0 < min(found[:-1], default=1)


def mistakes(trainer, targets):
    outputs = trainer.network.predict(AND[0])
    if outputs.shape[1] == 2:
        above = outputs[:, 1] - outputs[:, 0]
    else:
        above = outputs[:, 0] - (0.0 if targets.min() < 0 else 0.5)
    return int((above * (2 * np.array(AND[1]) - 1) <= 0).sum())


def test_targets_without_sides_are_refused():
    trainer = models.linear_regression(2)
    with pytest.raises(fb.errors.ConfigError, match="targets from 0 to 3, wanted -1 and 1, 0 and"):
        trainer.fit(AND[0], [0, 1, 2, 3.0], callbacks=[models.NoMistakes()])
    with pytest.raises(fb.errors.ConfigError, match="NoMistakes with batches"):
        trainer.fit([(AND[0], AND[1])], callbacks=[models.NoMistakes()])
    assert trainer.n_steps == 0
