"""Schedules: each formula at times worked by hand, steps and epochs, torch's, bad options."""

from __future__ import annotations

import math

import numpy as np
import pytest
from training import classes, trainer

import fastbp as fb
from fastbp import errors

X, Y = classes()  # four steps an epoch


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (fb.Step(0.8, 3, factor=0.5), {0: 0.8, 2: 0.8, 3: 0.4, 5: 0.4, 6: 0.2, 30: 0.8 / 1024}),
        (fb.Step(1, 10), {9: 1, 10: 0.1}),
        (fb.Exponential(0.1, 0.95), {0: 0.1, 1: 0.095, 2: 0.09025, 10: 0.1 * 0.95**10}),
        (fb.InverseTime(0.6, 0.5), {0: 0.6, 1: 0.4, 2: 0.3, 4: 0.2, 10: 0.1}),
        (fb.InverseTime(0.6, 1, power=0.5), {0: 0.6, 3: 0.3, 8: 0.2, 35: 0.1}),
        (fb.Polynomial(0.8, 4), {0: 0.8, 1: 0.6, 3: 0.2, 4: 0, 5: 0, 99: 0}),
        (fb.Polynomial(1.1, 4, power=2, end=0.1), {0: 1.1, 1: 0.6625, 2: 0.35, 4: 0.1, 9: 0.1}),
        (fb.Cosine(2, 4), {0: 2, 1: 1 + math.sqrt(0.5), 2: 1, 4: 0, 5: 0}),
        (fb.Cosine(2, 3, end=1), {0: 2, 1: 1.75, 2: 1.25, 3: 1, 9: 1}),
        # log2(1 + 3 t / 12) is 0 at 0, 1 at 4 and 2 at 12.
        (fb.LogCosine(2, 12, cycles=2), {0: 0, 4: 0, 12: 0, 99: 0}),
        (
            fb.LogCosine(2, 6, cycles=1),
            {0: 0, 3: 2 * math.sin(math.pi * math.log2(1.5)) ** 2, 6: 0},
        ),
        (fb.Warmup(0.5, 4), {0: 0.1, 1: 0.2, 3: 0.4, 4: 0.5, 99: 0.5}),
        (fb.Warmup(fb.Polynomial(0.8, 4), 3), {0: 0.2, 2: 0.6, 3: 0.8, 4: 0.6, 7: 0}),
        (fb.Warmup(math.exp, 1), {0: 0.5, 1: 1, 2: math.e, 4: math.exp(3)}),
    ],
    ids=repr,
)
def test_rates_by_hand(schedule, wanted):
    got = {time: schedule(time) for time in wanted}
    assert got == pytest.approx(wanted, rel=1e-14, abs=1e-15)
    steps = fb.SGD(schedule).learning_rates(0, max(wanted) + 1, 7)
    assert [steps[t] for t in wanted] == list(got.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda per: fb.Step(0.1, 2, per=per),
        lambda per: fb.Exponential(0.1, 0.9, per=per),
        lambda per: fb.InverseTime(0.1, 0.5, per=per),
        lambda per: fb.Polynomial(0.1, 10, per=per),
        lambda per: fb.Cosine(0.1, 10, per=per),
        lambda per: fb.LogCosine(0.1, 10, per=per),
        lambda per: fb.Warmup(fb.Exponential(0.1, 0.9, per=per), 2),
    ],
)
def test_steps_or_epochs(make):
    by_step = trainer(optimizer=fb.SGD(make("step")))
    by_epoch = trainer(optimizer=fb.Adam(make("epoch")))
    for owner in (by_step, by_epoch):
        owner.fit(X, Y, epochs=2)
        owner.fit(X, Y)
    schedule = make("step")
    assert by_step.history["learning_rate"] == [schedule(3), schedule(7), schedule(11)]
    assert by_epoch.history["learning_rate"] == [schedule(0), schedule(1), schedule(2)]
    assert by_epoch.optimizer.learning_rates(100, 3, 5).tolist() == [schedule(5)] * 3


def test_a_step_takes_the_rate_of_the_epochs_so_far():
    network = fb.Network(1, [fb.Dense(1)], dtype="float64", seed=0)
    owner = trainer(network, "squared_error", optimizer=fb.SGD(fb.Exponential(0.1, 0.5, "epoch")))
    owner.fit([[1.0]], [0.0], epochs=2)
    layer = network.layers[0]
    layer.weight[...], layer.bias[...] = 1, 0
    owner.step([[1.0]], [0.0])  # y = 1, dw = 1, the rate is 0.1 / 4
    assert layer.weight.item() == pytest.approx(1 - 0.025, rel=1e-14)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("schedule", "name", "options"),
    [
        (fb.Step(0.1, 7, factor=0.3), "StepLR", {"step_size": 7, "gamma": 0.3}),
        (fb.Exponential(0.1, 0.9), "ExponentialLR", {"gamma": 0.9}),
        (fb.Polynomial(0.1, 20, power=2), "PolynomialLR", {"total_iters": 20, "power": 2}),
        (fb.Cosine(0.1, 30, end=0.01), "CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
    ],
    ids=repr,
)
def test_rates_are_torchs(schedule, name, options):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    theirs = getattr(torch.optim.lr_scheduler, name)(optimizer, **options)
    for time in range(30):
        assert schedule(time) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9, abs=1e-12)
        optimizer.step()
        theirs.step()


def watched(schedule, losses, name="loss"):
    rates = []
    for loss in losses:
        rates.append(schedule(0))
        schedule.watch({"loss": 1.0, name: loss})
    return rates


def test_plateau_by_hand():
    schedule = fb.ReduceOnPlateau(0.8, factor=0.5, patience=2, min_rate=0.3)
    # 5 is the best; two bad epochs pass, the third reduces; NaN is no improvement.
    losses = [5, 5, 6, 5 * (1 - 1e-5), 4, 5, np.nan, 5, 5, 5, 5, 3]
    assert watched(schedule, losses) == [0.8] * 4 + [0.4] * 4 + [0.3] * 0 + [0.3] * 4
    assert (schedule.current, schedule.best, schedule.bad_epochs) == (0.3, 3, 0)


PLATEAUS = {  # options of fastbp, options of torch, what is added to the losses
    "defaults": ({}, {}, 0),
    "no patience": ({"patience": 0}, {"patience": 0}, 0),
    "cooldown": ({"cooldown": 2, "patience": 1}, {"cooldown": 2, "patience": 1}, 0),
    "negative, min_delta": (
        {"threshold": 0.0, "min_delta": 0.03},
        {"threshold_mode": "abs", "threshold": 0.03},
        -40,
    ),
    "negative, no margin": ({"threshold": 0.0}, {"threshold": 0.0}, -40),
    "max": ({"monitor": "loss", "mode": "max"}, {"mode": "max"}, 0),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ours", "torchs", "shift"), PLATEAUS.values(), ids=PLATEAUS)
def test_plateau_is_torchs(ours, torchs, shift):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    losses = np.exp(-np.arange(60) / 20) + 0.2 * rng.random(60) + shift
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    options = {"factor": 0.5, "patience": 3}
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0, **options | torchs)
    wanted = []
    for loss in losses:
        wanted.append(optimizer.param_groups[0]["lr"])
        theirs.step(loss)
    assert len(set(wanted)) > 3
    schedule = fb.ReduceOnPlateau(0.1, **options | ours)
    assert watched(schedule, losses) == pytest.approx(wanted, rel=1e-12)


def test_a_plateau_goes_on_from_the_progress_of_another_wherever_that_is():
    losses = [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    for first in range(len(losses)):  # in a cooldown, out of it, and before it
        one, two = (fb.ReduceOnPlateau(1.0, 0.5, patience=0, cooldown=3) for _ in range(2))
        watched(one, losses[:first])
        two.progress = one.progress
        assert watched(one, losses[first:]) == watched(two, losses[first:])


def test_the_threshold_of_a_plateau_is_a_share_of_the_absolute_loss():
    """Where torch's best * (1 - threshold) would take a worse loss than -10 for a better one."""
    schedule = fb.ReduceOnPlateau(1.0, patience=0, threshold=0.1, factor=0.5)
    assert watched(schedule, [-10, -10.5, -11.5, -11.6, -13]) == [1, 1, 0.5, 0.5, 0.25]
    assert schedule.best == -13


def test_plateau_prefers_the_validation_loss():
    schedule = fb.ReduceOnPlateau(1.0, patience=1)
    assert watched(schedule, [3, 2, 1], "val_loss") == [1, 1, 1]
    assert schedule.best == 1
    schedule.watch({"loss": 7.0})  # another column shares no best with it
    assert (schedule.best, schedule.bad_epochs) == (7.0, 0)


def test_plateau_on_a_column_that_a_callback_records():
    plateau = fb.ReduceOnPlateau(0.1, patience=0, monitor="score")
    record = lambda owner, history: history.record("score", -history.epochs)  # noqa: E731
    history = trainer(optimizer=fb.SGD(plateau)).fit(X, Y, epochs=4, callbacks=[record])
    assert history["learning_rate"] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    assert plateau.current == pytest.approx(1e-4)
    assert repr(plateau).endswith("min_rate=0.0, monitor='score')")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: fb.Warmup(s, 1)])
def test_fit_tells_the_plateau(wrap):
    plateau = fb.ReduceOnPlateau(1e-9, patience=1)  # a rate at which nothing improves
    owner = trainer(optimizer=fb.SGD(wrap(plateau)), shuffle=False)
    history = owner.fit(X, Y, epochs=5, validation_data=(X[:20], Y[:20]))
    assert history["learning_rate"][1:] == pytest.approx([1e-9] * 2 + [1e-10] * 2, rel=1e-12)
    assert plateau.current == pytest.approx(1e-11, rel=1e-12)
    assert plateau.best == min(history["val_loss"])
    assert owner.optimizer.progress == plateau.progress


def test_divergence_takes_back_what_the_plateau_saw():
    net = fb.Network(1, [fb.Dense(1)], dtype="float64", seed=0)
    rates = fb.ReduceOnPlateau(0.1)
    owner = trainer(net, "squared_error", optimizer=fb.SGD(rates), batch_size=None)
    x, y = [[1.0], [2.0]], [1.0, 2.0]
    owner.fit(x, y, epochs=2)
    before = owner.optimizer.progress
    rates.current = 1e200
    with pytest.raises(errors.DivergenceError):
        owner.fit(x, y, epochs=9)
    assert owner.optimizer.progress["best"] == before["best"]
    assert owner.optimizer.progress["bad_epochs"] == before["bad_epochs"]


@pytest.mark.parametrize("bad", [-1, np.nan, np.inf, None, "0.1", True])
def test_bad_rates(bad):
    for make in (fb.Step, fb.Exponential, fb.InverseTime, fb.Polynomial, fb.Cosine, fb.LogCosine):
        with pytest.raises(errors.ConfigError, match="rate: got"):
            make(bad, 1)
    with pytest.raises(errors.ConfigError, match="rate: got"):
        fb.ReduceOnPlateau(bad)
    with pytest.raises(errors.ConfigError, match="after: got"):
        fb.Warmup(bad, 3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: fb.Step(0.1, 0), "every: got"),
        (lambda: fb.Step(0.1, 2.5), "every: got"),
        (lambda: fb.Step(0.1, 2, factor=-1), "factor: got"),
        (lambda: fb.Exponential(0.1, -0.5), "factor: got"),
        (lambda: fb.Exponential(0.1, 0.5, per="batch"), "per: got 'batch', wanted one of step"),
        (lambda: fb.InverseTime(0.1, -1), "decay: got"),
        (lambda: fb.InverseTime(0.1, 1, power=0), "power: got 0"),
        (lambda: fb.Polynomial(0.1, 0), "total: got"),
        (lambda: fb.Polynomial(0.1, 3, power=0), "power: got"),
        (lambda: fb.Polynomial(0.1, 3, end=-1), "end: got"),
        (lambda: fb.Cosine(0.1, None), "total: got"),
        (lambda: fb.Cosine(0.1, 3, end="x"), "end: got"),
        (lambda: fb.LogCosine(0.1, 3, cycles=0), "cycles: got"),
        (lambda: fb.LogCosine(0.1, 3, cycles=31), "from 1 to 30"),
        (lambda: fb.Warmup(0.1, 0), "total: got"),
        (lambda: fb.ReduceOnPlateau(0.1, factor=1), "factor: got"),
        (lambda: fb.ReduceOnPlateau(0.1, patience=-1), "patience: got"),
        (lambda: fb.ReduceOnPlateau(0.1, cooldown=-1), "cooldown: got"),
        (lambda: fb.ReduceOnPlateau(0.1, min_delta=-1), "min_delta: got"),
        (lambda: fb.ReduceOnPlateau(0.1, monitor="speed"), "mode: got"),
        (lambda: fb.ReduceOnPlateau(0.1, threshold=1), "threshold: got"),
        (lambda: fb.ReduceOnPlateau(0.1, min_rate=-1), "min_rate: got"),
        (lambda: fb.SGD(fb.Cosine), "learning_rate: got"),
    ],
)
def test_bad_options(make, match):
    with pytest.raises(errors.ConfigError, match=match):
        make()


def test_repr_is_the_call():
    for schedule in (
        fb.Step(0.1, 5), fb.Exponential(0.1, 0.9, "epoch"), fb.InverseTime(0.1, 2),
        fb.Polynomial(0.1, 5), fb.Cosine(0.1, 5), fb.LogCosine(0.1, 5),
        fb.ReduceOnPlateau(0.1, patience=3), fb.Warmup(fb.Cosine(0.1, 5), 3), fb.Warmup(0.2, 3),
    ):  # fmt: skip
        again = eval(repr(schedule), vars(fb))
        assert repr(again) == repr(schedule)
        assert [again(t) for t in range(8)] == [schedule(t) for t in range(8)]
