"""A trainer that is copied at any moment goes on to the same bits as the one that is not."""

from __future__ import annotations

import copy
import pickle
import signal

import numpy as np
import pytest
from training import classes, classifier, state, trainer

import fastbp as fb
from fastbp import schedules

X, Y = classes()
WEIGHTS = np.random.default_rng(3).uniform(0.2, 2, len(X))
VALIDATION = classes(30, seed=1)


def dropout_network(dtype="float32"):
    layers = [fb.Dense(9, "relu", dropout=0.4), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, dtype=dtype, seed=2)


def gated_network():
    layers = [fb.Maxout(6), fb.Residual([fb.Gated(4)]), fb.Dense(3, "softmax")]
    return fb.Network(5, layers, seed=2)


def halves(step):
    return 0.5 ** (1 + step // 7)


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3, dtype=outputs.dtype)[labels]
    return (gradient**2).sum(axis=1), gradient


SCENARIOS = {
    "sgd": lambda: trainer(optimizer=fb.SGD(0.1)),
    "momentum": lambda: trainer(dropout_network()),
    "nesterov, all rows": lambda: trainer(
        optimizer=fb.SGD(fb.Step(0.2, 3), momentum=0.5, nesterov=True), batch_size=None
    ),
    "adagrad": lambda: trainer(gated_network(), optimizer=fb.Adagrad(fb.Exponential(0.1, 0.9))),
    "rmsprop": lambda: trainer(
        optimizer=fb.RMSprop(fb.InverseTime(0.01, 0.1, per="epoch"), alpha=0.9), max_norm=0.8
    ),
    "adam": lambda: trainer(
        dropout_network(), optimizer=fb.Adam(fb.Warmup(fb.Cosine(0.1, 20), 5)), batch_size=1
    ),
    "adamw": lambda: trainer(
        classifier(dtype="float64"), optimizer=fb.AdamW(0.02, weight_decay=0.1), clip_norm=0.3
    ),
    "plateau": lambda: trainer(
        optimizer=fb.SGD(fb.Warmup(fb.ReduceOnPlateau(0.3, patience=1, threshold=0.3), 2), 0.9)
    ),
    "function of the step": lambda: trainer(
        dropout_network("float64"), optimizer=fb.SGD(halves), l1=1e-3, l2=1e-3
    ),
    "loss of one's own": lambda: trainer(loss=own_loss, shuffle=False),
    "options": lambda: trainer(
        loss=fb.losses.CrossEntropy(0.1), class_weight={0: 2.0, 2: 0.5}, penalize_bias=True, l2=0.01
    ),
}


def saved_and_loaded(owner, folder):
    """Give the functions that a file cannot hold."""
    path, rate = folder / "run.ckpt", owner.optimizer.learning_rate
    owner.save(path)
    given = {"loss": own_loss} if owner._loss.name == "custom" else {}
    return fb.Trainer.load(path, **given | ({"learning_rate": halves} if rate is halves else {}))


WAYS = {
    "pickle": lambda trainer, _: pickle.loads(pickle.dumps(trainer)),
    "deepcopy": lambda trainer, _: copy.deepcopy(trainer),
    "file": saved_and_loaded,
}
ACTS = {
    "fit": lambda trainer: trainer.fit(X, Y, 2),
    "weighted": lambda trainer: trainer.fit(X, Y, sample_weight=WEIGHTS),
    "validated": lambda trainer: trainer.fit(X, Y, 3, VALIDATION),
    "step": lambda trainer: trainer.step(X[:7], Y[:7]),
    "adam": lambda trainer: setattr(trainer, "optimizer", fb.Adam(0.01)),
}


def outcome(trainer):
    """All that training changes, without the times."""
    seconds = trainer.history.pop("seconds", None)
    found = state(trainer), trainer.history.stopped
    if seconds is not None:
        trainer.history.update(seconds=seconds)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_same_bits_after_a_copy_at_any_moment(name, way, tmp_path):
    rng = np.random.default_rng(list(map(ord, name + way)))
    alone, copied = SCENARIOS[name](), SCENARIOS[name]()
    copied = WAYS[way](copied, tmp_path)
    for act in rng.choice(list(ACTS), 6, p=[0.3, 0.2, 0.2, 0.2, 0.1]):
        for each in (alone, copied):
            ACTS[act](each)
        left, copied = copied, WAYS[way](copied, tmp_path)
        assert copied.network is not left.network
        assert outcome(copied) == outcome(left) == outcome(alone)
    assert alone.n_steps > 0


@pytest.mark.parametrize("way", WAYS)
def test_the_copy_and_the_original_do_not_touch_each_other(way, tmp_path):
    owner = trainer()
    owner.fit(X, Y, 2)
    before = state(owner)
    twin = WAYS[way](owner, tmp_path)
    twin.fit(X, Y, 2)
    assert state(owner) == before
    assert state(twin) != before
    with pytest.raises(fb.errors.ConfigError):
        twin.optimizer = 0.1
    twin.optimizer = fb.Adam(0.3)
    assert "SGD" in repr(owner)


class Copying:
    """Copies the trainer when an epoch is over, and notes how the copy began."""

    def __init__(self, way, at, folder):
        self._way, self._at, self._folder = way, at, folder
        self.twin = None

    def on_epoch_end(self, trainer, history):
        pass

    def on_checkpoint(self, trainer, history):
        if history.epochs == self._at:
            self.twin = WAYS[self._way](trainer, self._folder)


PLATEAU = {"optimizer": lambda: fb.SGD(fb.ReduceOnPlateau(0.9, patience=1), momentum=0.9)}
EPOCHS = 40


def stopping(patience=4):
    return fb.EarlyStopping(patience, min_delta=0.01)


def plateau_trainer():
    return trainer(dropout_network(), optimizer=PLATEAU["optimizer"]())


def fit(owner, epochs, callbacks):
    owner.fit(X, Y, epochs, VALIDATION, callbacks, sample_weight=WEIGHTS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [1, 3, -1, 0])
def test_a_copy_from_within_a_fit_goes_on_with_early_stopping_and_plateau(way, at, tmp_path):
    """`at` 0 and below: epochs before the last one."""
    alone, stop = plateau_trainer(), stopping()
    fit(alone, EPOCHS, [stop])
    assert alone.history.stopped
    assert alone.optimizer.learning_rate.current < 0.9
    assert 4 < alone.history.epochs < EPOCHS
    at = at if at > 0 else alone.history.epochs + at

    owner, copying, again = plateau_trainer(), Copying(way, at, tmp_path), stopping()
    fit(owner, EPOCHS, [copying, stopping()])
    assert outcome(owner) == outcome(alone)
    twin = copying.twin
    if at < alone.history.epochs:
        fit(twin, EPOCHS - twin.history.epochs, [again])
        assert (again.best, again.best_epoch) == (stop.best, stop.best_epoch)
    assert outcome(twin) == outcome(alone)


def test_an_interrupted_fit_is_gone_on_with_and_one_that_ended_is_not():
    owner, stop = plateau_trainer(), stopping(10)

    class Interrupting:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(owner, 5, [stop, Interrupting()])
    fit(owner, 2, [again := stopping(10)])
    assert again.best_epoch == 1 + int(np.argmin(owner.history["val_loss"]))
    assert owner._state.unfinished == {}
    fit(owner, 1, [fresh := stopping(10)])
    assert (fresh.best_epoch, fresh.best) == (6, owner.history["val_loss"][-1])


def test_early_stopping_takes_nothing_of_another_monitor_and_shares_nothing():
    stop = fb.EarlyStopping(3, monitor="loss")
    first, second = trainer(), trainer(classifier(seed=5))

    class Failing:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first.fit(X, Y, 5, callbacks=[stop, Failing()])
    with pytest.raises(ZeroDivisionError):
        second.fit(X, Y, 5, callbacks=[stop, Failing()])
    other = fb.EarlyStopping(3)
    first.fit(X, Y, 1, VALIDATION, [other])
    assert other.best == first.history["val_loss"][-1]
    again = fb.EarlyStopping(30, monitor="loss")
    second.fit(X, Y, 1, callbacks=[again])
    assert again.best == min(second.history["loss"])


class Counting:
    """Stops in the epoch `last`, which it counts by itself."""

    def __init__(self, last):
        self._last, self.resume_state = last, {"epochs": 0}

    def on_epoch_end(self, trainer, history):
        self.resume_state = {"epochs": self.resume_state["epochs"] + 1}
        return self.resume_state["epochs"] == self._last


@pytest.mark.parametrize("way", WAYS)
def test_each_callback_gets_its_own_back(way, tmp_path):
    def callbacks():
        losses = [fb.EarlyStopping(30, monitor=name) for name in ("loss", "val_loss")]
        return [losses[0], Counting(6), losses[1], Counting(5)]

    copying = Copying(way, 3, tmp_path)
    owner, found, again = plateau_trainer(), callbacks(), callbacks()
    fit(owner, EPOCHS, [*found, copying])
    fit(copying.twin, EPOCHS, again)
    assert outcome(copying.twin) == outcome(owner)
    assert owner.history.epochs == 5
    states = [[dict(callback.resume_state) for callback in some] for some in (again, found)]
    weights = [[state.pop("best_weights", None) for state in some] for some in states]
    assert states[0] == states[1]
    assert sum(w is not None for w in weights[0]) == 2
    assert all(np.array_equal(*pair) for pair in zip(*weights, strict=True))


class Unlucky(schedules.ReduceOnPlateau):
    """Is interrupted when it has seen an epoch."""

    armed = False

    def watch(self, measured):
        super().watch(measured)
        if self.armed:
            raise KeyboardInterrupt


def test_an_epoch_that_an_interrupt_kept_from_the_schedule_is_shown_to_it_once():
    rate = Unlucky(0.1)
    owner = trainer(optimizer=fb.SGD(rate))
    owner.fit(X, Y)
    before = rate.progress
    rate.armed = True
    with pytest.raises(KeyboardInterrupt):
        owner.fit(X, Y)
    assert rate.progress == before
    assert owner.history.epochs == 2
    rate.armed, seen = False, []
    rate.watch = lambda measured: seen.append(measured["loss"])
    owner.fit(X, Y)
    assert seen == owner.history["loss"][1:]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
def test_whenever_an_interrupt_comes_history_and_schedule_have_seen_the_same_epochs():
    x, y = classes(6)
    rate = fb.ReduceOnPlateau(0.5, factor=0.99, patience=1)
    owner = trainer(optimizer=fb.SGD(rate))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for i in range(100):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 1e-3 + 1e-5 * i)
                owner.fit(x, y, 10**8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    owner.fit(x, y)  # an epoch that only the history has seen is shown to the schedule now
    again = fb.ReduceOnPlateau(0.5, factor=0.99, patience=1)
    for loss in owner.history["loss"]:
        again.watch({"loss": loss})
    assert owner.history.epochs > 100
    assert again.progress == rate.progress
