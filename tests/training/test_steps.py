"""`step` is as strong as `fit`: what both refuse and undo, and epochs that are made of steps."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import errors, testing

X, Y = classes()
T = X[:, :1] - X[:, 1:2]
VALIDATION = classes(30, seed=1)
CALLS = {"fit": lambda owner: owner.fit, "step": lambda owner: owner.step}


def regression(optimizer, loss="squared_error", **options):
    network = fb.Network(5, [fb.Dense(4, "tanh"), fb.Dense(1)], seed=0)
    return trainer(network, loss, optimizer=optimizer, batch_size=None, **options)


class Steep:
    """A loss of 0 whose gradient by the outputs is as told."""

    slope = 0.0

    def __call__(self, outputs, targets):
        return np.zeros(len(outputs)), np.full_like(outputs, self.slope)


OVERFLOWS = {
    # the optimizer, the gradient, what is not finite after the update
    "weights": (lambda: fb.SGD(1e30), 1e10, "weights"),
    "weights, with a velocity": (lambda: fb.SGD(1e30, momentum=0.9), 1e10, "weights"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize(("optimizer", "slope", "what"), OVERFLOWS.values(), ids=OVERFLOWS)
def test_an_update_that_is_not_finite_is_undone(optimizer, slope, what, n_before, call):
    loss = Steep()
    owner = regression(optimizer(), loss)
    loss.slope = 1e-20
    for _ in range(n_before):
        owner.step(X, T)
    loss.slope = slope
    named = "a weight of layers" if what == "weights" else "the optimizer state is not finite"
    wanted = f"step {n_before} at learning rate .*{named}.*try a smaller learning rate or clip_norm"
    assert_refuses(owner, partial(call(owner), X, T), errors.DivergenceError, wanted)
    loss.slope = 1e-20
    twin = regression(optimizer(), loss)
    for _ in range(n_before):
        twin.step(X, T)
    for one in (owner, twin):
        one.step(X, T)
    assert state(owner) == state(twin)


@pytest.mark.parametrize("kind", [fb.Adagrad, fb.RMSprop, fb.Adam])
def test_squares_that_are_not_finite_are_noticed_in_the_step_after(kind):
    owner = regression(kind(0.01))
    owner.step(X, T)
    owner._state.memory.values[-1] = np.inf
    text = "the optimizer state is not finite"
    assert_refuses(owner, partial(owner.step, X, T), errors.DivergenceError, text)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_new_optimizer_whose_first_update_is_undone_leaves_the_memory_of_the_last(call):
    loss = Steep()
    owner = regression(fb.SGD(0.1, momentum=0.9), loss)
    loss.slope = 1.0
    owner.step(X, T)
    owner.optimizer = fb.Adam(1e39)
    assert_refuses(owner, partial(call(owner), X, T), errors.DivergenceError, "a weight")


SIZES = [10.0**power for power in range(0, 40, 6)]
RULES = {
    "sgd": lambda: fb.SGD(1.0),
    "momentum": lambda: fb.SGD(1.0, momentum=0.9),
    "adam": lambda: fb.Adam(1.0),
    "adagrad": lambda: fb.Adagrad(1.0),
    "rmsprop": lambda: fb.RMSprop(1.0),
}


PROOFS = [(rule, "batch-split", 40, 1) for rule in RULES]
PROOFS += [(rule, "streaming", 4, 1) for rule in RULES]
PROOFS += [("adam", "streaming", 4, 2), ("adam", "batch-split", 40, 2), ("sgd", "wide", 12, 2)]


@pytest.mark.parametrize(("rule", "regime", "rows", "n_threads"), PROOFS)
def test_an_update_that_is_proved_to_be_finite_is(rule, regime, rows, n_threads):
    """Of inputs and targets of any size; and what is not proved is undone if it is not finite."""
    proofs = []
    for size in SIZES:
        layers = [fb.Dense(130, "leaky_relu"), fb.Dense(9, "tanh", dropout=0.5), fb.Dense(1)]
        network = fb.Network(5, layers, seed=0)
        options = {"n_threads": n_threads, "l2": 1e-3, "average": "rows"}
        owner = trainer(network, "mae", optimizer=RULES[rule](), **options)
        weights = np.full(rows, min(size, 1e38))
        with testing.forced(regime) as seen:
            owner.step(X[:rows], T[:rows])
            before = state(owner)
            try:
                owner.step(X[:rows], T[:rows], weights)
            except errors.DivergenceError:
                proofs.append("undone")
                assert state(owner) == before
                continue
        assert {cell.regime for cell in seen} == {regime}
        proofs.append("proved" if owner._runs._of_step[0].proved else "looked at")
        assert np.isfinite(owner.network.parameters).all()
        assert np.isfinite(owner._state.memory.values).all()
    assert proofs[:2] == ["proved"] * 2
    assert proofs[-1] != "proved"
    assert proofs == sorted(proofs, key=["proved", "looked at", "undone"].index)


def test_the_loss_of_the_engine_too():
    owner = regression(fb.SGD(1e30))
    y = np.full((60, 1), 7e9)
    match = r"a weight of layers\[0\], Dense.* scale the targets, which reach 7e\+09"
    assert_refuses(owner, partial(owner.step, X, y), errors.DivergenceError, match)
    assert owner.n_steps == 0


SCALES = {
    # the scale of inputs and targets, what the advice is and is not about
    "targets": (1, 1e6, "scale the targets, which reach", "inputs"),
    "inputs": (1e6, 1, "scale the inputs, which reach", "targets"),
    "both": (1e6, 1e6, "scale the inputs, .* and scale the targets", "nothing"),
    "neither": (1, 1, "not finite; try a smaller learning rate or clip_norm", "scale"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("inputs", "targets", "advice", "other"), SCALES.values(), ids=SCALES)
def test_the_advice_is_about_what_is_large(inputs, targets, advice, other, call):
    network = fb.Network(5, [fb.Dense(1)], seed=0)
    owner = trainer(network, "squared_error", optimizer=fb.SGD(1e19), batch_size=None)
    with pytest.raises(errors.DivergenceError, match=advice) as caught:
        for _ in range(9):
            call(owner)(X * inputs, T * targets)
    assert other not in str(caught.value)
    assert caught.value.what in ("loss", "weights", "outputs")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_rows_and_targets_that_are_written_to_meanwhile_are_named(call):
    for name in ("inputs", "targets"):
        x, t = X.copy(), T.copy()

        def spoil(step, array=x if name == "inputs" else t):
            array[3] = np.nan
            return 0.1

        owner = regression(fb.SGD(spoil))
        match = f"one of the {name} is not finite; they were when the call began"
        assert_refuses(owner, partial(call(owner), x, t), errors.DivergenceError, match)


@pytest.mark.parametrize("region_steps", [1, 4])
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda: -1.0, errors.ConfigError),
        (lambda: float("nan"), errors.ConfigError),
        (lambda: float("inf"), errors.ConfigError),
        (lambda: "fast", errors.ConfigError),
        (lambda: 1 / 0, ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("step", [1, 9, 11])
def test_a_bad_rate_puts_all_back_to_the_start_of_its_epoch(step, bad, error, region_steps):
    """However many steps go into a region: four are an epoch."""
    rate = lambda number: 0.1 if number != step else bad()  # noqa: E731
    owner, twin = trainer(optimizer=fb.SGD(rate, 0.9)), trainer()
    with pytest.raises(error), testing.forced(region_steps=region_steps):
        owner.fit(X, Y, 5)
    if step // 4:
        twin.fit(X, Y, step // 4)
    assert (owner.n_steps, owner.history.epochs) == (step // 4 * 4, step // 4)
    owner.optimizer = fb.SGD(0.1, momentum=0.9)
    for one in (owner, twin):
        one.fit(X, Y)
    assert parameters(owner.network) == parameters(twin.network)
    assert owner.history["loss"] == twin.history["loss"]


@pytest.mark.parametrize("hook", ["on_region_end", "validation"])
def test_an_error_within_an_epoch_undoes_it(hook):
    class Failing:
        def on_region_end(self, owner):
            if hook == "on_region_end" and owner.n_steps > 4:
                raise ZeroDivisionError

    def loss(outputs, targets):
        if hook == "validation" and len(targets) == 30 and owner.n_steps > 4:
            raise ZeroDivisionError
        values = outputs - np.eye(3, dtype=outputs.dtype)[targets]
        return (values**2).sum(axis=1), 2 * values

    owner, twin = trainer(loss=loss), trainer(loss=loss)
    with pytest.raises(ZeroDivisionError):
        owner.fit(X, Y, 3, VALIDATION, [Failing()])
    hook = ""
    twin.fit(X, Y, 1, VALIDATION)
    assert owner.history["val_loss"] == twin.history["val_loss"]
    assert (owner.n_steps, parameters(owner.network)) == (4, parameters(twin.network))


def batches():
    return [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 60, 16)]


SCHEDULES = {
    "exponential": lambda: fb.Exponential(0.4, 0.5, per="epoch"),
    "plateau": lambda: fb.ReduceOnPlateau(0.4, 0.5, patience=0, threshold=0.2),
    "plateau on validation": lambda: fb.ReduceOnPlateau(0.4, 0.5, 0, monitor="val_accuracy"),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_epochs_of_steps_equal_those_of_fit(schedule):
    fitted, stepped = (trainer(optimizer=fb.SGD(schedule(), 0.9)) for _ in range(2))
    stops = [fb.EarlyStopping(4, min_delta=1e-3) for _ in range(2)]
    fitted.fit(batches, epochs=40, validation_data=VALIDATION, callbacks=[stops[0]])
    for _ in range(40):
        for batch in batches():
            stepped.step(*batch)
        reason = stepped.end_epoch(VALIDATION, callbacks=[stops[1]])
        if reason:
            break
    assert reason == fitted.history.stopped == stepped.history.stopped
    assert 4 < stepped.history.epochs < 40
    assert fitted.history["learning_rate"][-1] < 0.4
    assert fitted.history.keys() == stepped.history.keys()
    for name in fitted.history.keys() - {"seconds"}:
        assert fitted.history[name] == pytest.approx(stepped.history[name], rel=1e-12)
    assert parameters(fitted.network) == parameters(stepped.network)
    assert stepped.evaluate(*VALIDATION)["loss"] == stops[1].best


def test_callbacks_of_epochs_of_steps():
    calls = []

    class Recorder:
        def __init__(self, name):
            self.name = name

        def __getattr__(self, hook):
            if not hook.startswith("on_"):
                raise AttributeError(hook)
            return lambda owner, *arguments: calls.append(f"{self.name}.{hook[3:]}")

    owner, first, second = trainer(), Recorder("1"), Recorder("2")
    for callbacks in ([first], [first, second], [first, lambda *_: "enough"], [first]):
        owner.step(X, Y)
        owner.end_epoch(callbacks=callbacks)
    epoch = ["1.epoch_end", "1.epoch_recorded"]
    assert calls == [
        *("1.fit_begin", *epoch, "1.checkpoint", "2.fit_begin", "1.epoch_end", "2.epoch_end"),
        *("1.epoch_recorded", "2.epoch_recorded", "1.checkpoint", "2.checkpoint"),
        *(*epoch, "1.restore", "1.fit_end", "1.checkpoint"),
        *("1.fit_begin", *epoch, "1.checkpoint"),
    ]


def test_an_epoch_of_one_step_has_the_weights_from_before_it():
    owner = trainer()
    before = parameters(owner.network)
    loss = owner.step(X, Y)
    assert owner.end_epoch(callbacks=[fb.TargetLoss(loss)]) == f"loss {loss:.4g} <= {loss:g}"
    assert parameters(owner.network) == before


def test_what_ends_no_epoch():
    owner = trainer()
    refused = errors.ConfigError, "end_epoch: got no step"
    assert_refuses(owner, owner.end_epoch, *refused)
    owner.step(X, Y)
    bad = fb.EarlyStopping(3, monitor="val_loss")
    call = partial(owner.end_epoch, callbacks=[bad])
    assert_refuses(owner, call, errors.ConfigError, "without validation_data")
    call = partial(owner.end_epoch, callbacks=[fb.GradientNorm(1.0)])
    assert_refuses(owner, call, errors.ConfigError, "got GradientNorm with batches")
    owner.end_epoch()
    assert_refuses(owner, owner.end_epoch, *refused)


def test_an_open_epoch_is_saved(tmp_path):
    owner = trainer(classifier(), optimizer=fb.SGD(0.1))
    losses = [owner.step(X[:16], Y[:16])]
    owner.save(tmp_path / "run")
    for twin in (fb.Trainer.load(tmp_path / "run"), owner):
        losses[1:] = [twin.step(X[16:20], Y[16:20])]
        twin.end_epoch()
        mean = (16 * losses[0] + 4 * losses[1]) / 20
        assert twin.history["loss"] == [pytest.approx(mean, rel=1e-12)]
