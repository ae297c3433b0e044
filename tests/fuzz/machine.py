"""Random sequences of calls on one network and its trainer, beside the plain model of their state.

After every call weights, steps and epochs are what the model says, whatever ended the call; and at
the end the network can be trained still.
"""

from __future__ import annotations

import copy
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from training import parameters

import fastbp as fb
from fastbp import errors, losses, testing
from fuzz import hooks, plain
from fuzz.cases import Rows
from fuzz.hooks import DeliberateError, Explosive, Hook
from fuzz.recipes import own_loss

N_INPUTS, N_CLASSES, N_ROWS = 5, 3, 40
RATE = 0.01
SEED = 3
FAR = 100.0  # no weight gets there but by a divergence

STACKS = {
    "no hidden layer": [],
    "chain": [fb.Dense(7, "tanh")],
    "wider": [fb.Dense(40, "relu"), fb.Dense(33, "gelu")],
    "dropout": [fb.Dense(9, "elu", dropout=0.5)],
    "gates": [fb.Maxout(6), fb.Residual([fb.Gated(4)])],
}
LIMITS = [{}, {"l2": 0.01}, {"clip_norm": 0.3}, {"max_norm": 0.7, "clip_value": 0.1}]
OPTIMIZERS = {
    "sgd": lambda: fb.SGD(RATE),
    "momentum": lambda: fb.SGD(RATE, momentum=0.6),
    "nesterov": lambda: fb.SGD(RATE, momentum=0.5, nesterov=True),
    "adagrad": lambda: fb.Adagrad(0.01),
    "rmsprop": lambda: fb.RMSprop(0.01),
    "adam": lambda: fb.Adam(0.01),
}
RATES = [0.0, 0.02, fb.schedules.Exponential(RATE, 0.95), fb.schedules.Warmup(RATE, 6)]
ACTIONS = {
    "interrupt": (hooks.interrupt, KeyboardInterrupt),
    "signal": (hooks.send_signal, KeyboardInterrupt),
    "error": (hooks.fail, DeliberateError),
}


def dataset(seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N_ROWS, N_INPUTS))
    return Rows(x, x[:, :N_CLASSES].argmax(axis=1), rng.uniform(0.5, 2, N_ROWS))


ROWS = dataset()
SOME_ROWS = st.builds(lambda a, n: slice(a, a + n), st.integers(0, 30), st.integers(1, 10))
EPOCHS = st.integers(1, 3)


def bad_calls(trainer: fb.Trainer) -> dict[str, Callable[[], Any]]:
    """Calls with rows that are refused, each with an error of its own."""
    x, y, weight = ROWS
    network, spoiled = trainer.network, x.copy()
    spoiled[17, 2] = np.nan
    labels = y.copy()
    labels[3] = N_CLASSES
    return {
        "fit, NaN": lambda: trainer.fit(spoiled, y),
        "fit, shape": lambda: trainer.fit(x[:, 1:], y),
        "fit, label": lambda: trainer.fit(x, labels),
        "fit, validation": lambda: trainer.fit(x, y, validation_data=(x, labels)),
        "fit, weight": lambda: trainer.fit(x, y, sample_weight=-weight),
        "step, NaN": lambda: trainer.step(spoiled, y),
        "step, rows": lambda: trainer.step(x, y[:-1]),
        "evaluate, label": lambda: trainer.evaluate(x, labels),
        "predict, NaN": lambda: network.predict(spoiled),
        "gradients, NaN": lambda: network.gradients(spoiled, y, "mse"),
        "weight, NaN": lambda: setattr(network.weighted_layers[0], "bias", np.nan),
        "weight, shape": lambda: setattr(network.weighted_layers[0], "bias", np.zeros(99)),
    }


@contextmanager
def heard_interrupts() -> Iterator[None]:
    """A shell may have started the tests with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def pickled(original: Any) -> Any:
    return pickle.loads(pickle.dumps(original))


def saved_and_loaded(network: fb.Network) -> fb.Network:
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / "network")
        return fb.load(Path(folder) / "network")


def trainer_from_its_file(trainer: fb.Trainer) -> fb.Trainer:
    """A file holds no function of one's own."""
    loss = trainer._loss
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder) / "trainer")
        own = {"loss": loss.function} if isinstance(loss, losses.CustomLoss) else {}
        return fb.Trainer.load(Path(folder) / "trainer", **own)


TRAINER_TWINS = {"deepcopy": copy.deepcopy, "pickle": pickled, "file": trainer_from_its_file}
TWINS = {
    "copy": fb.Network.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickled,
    "file": saved_and_loaded,
}


class Calls(RuleBasedStateMachine):
    """A trainer on a team of three, and the plain one."""

    @initialize(
        stack=st.sampled_from(list(STACKS)),
        dtype=st.sampled_from(["float32", "float64"]),
        batch_size=st.sampled_from([1, 4, 12, 16, None]),
        optimizer=st.sampled_from(list(OPTIMIZERS)),
        limits=st.sampled_from(LIMITS),
        shuffle=st.booleans(),
        loss=st.sampled_from(["cross_entropy", "mse", "own"]),
    )
    def begin(self, stack, dtype, batch_size, optimizer, limits, shuffle, loss):
        output = "softmax" if loss == "cross_entropy" else "linear"
        layers = [*STACKS[stack], fb.Dense(N_CLASSES, output)]
        # a loss of one's own does not go with dropout
        self.loss_name = "mse" if (loss, stack) == ("own", "dropout") else loss
        self.options = {"batch_size": batch_size, "shuffle": shuffle, "seed": SEED, **limits}
        self.left: list[tuple[fb.Network, str]] = []
        self._take(fb.Network(N_INPUTS, layers, dtype, seed=1), OPTIMIZERS[optimizer])

    def _take(self, network: fb.Network, optimizer: Callable) -> None:
        """Go on with a new trainer of this network."""
        start, options, own = network.copy(), self.options, self.loss_name == "own"
        self.loss = Explosive(own_loss) if own else self.loss_name

        def plain_trainer():
            loss = own_loss if own else self.loss_name
            return fb.Trainer(start.copy(), loss, optimizer(), n_threads=1, **options)

        self.trainer = fb.Trainer(network, self.loss, optimizer(), n_threads=3, **options)
        batch = options["batch_size"] or N_ROWS
        self.plain = plain.Plain(plain_trainer, ROWS, batch, SEED if options["shuffle"] else None)
        self.make_optimizer = optimizer

    # Calls that end well.

    @rule(epochs=EPOCHS, weighted=st.booleans(), validated=st.booleans())
    def fit(self, epochs, weighted, validated):
        self._fit(epochs, weighted, validation_data=ROWS[:2] if validated else None)
        assert self.trainer.n_steps - self.before[0] == epochs * self.plain.steps_of_an_epoch

    @rule(which=SOME_ROWS, weighted=st.booleans())
    def step(self, which, weighted):
        x, y, weight = rows = ROWS.part(which)
        with testing.forced():
            loss = self.trainer.step(x, y, weight if weighted else None)
        assert loss == self.plain.do(plain.step, rows, weighted)

    @rule(which=SOME_ROWS)
    def look(self, which):
        """Evaluate, predict and gradients are bit for bit the plain trainer's."""
        x, y, weight = ROWS.part(which)
        mine, its = self.trainer, self.plain.trainer
        assert mine.evaluate(x, y, weight) == its.evaluate(x, y, weight)
        assert mine.network.predict(x).tobytes() == its.network.predict(x).tobytes()
        found, wanted = (t.network.gradients(x, y, "mse", inputs=True) for t in (mine, its))
        assert found[0] == wanted[0]
        assert found[2].tobytes() == wanted[2].tobytes()

    @rule(layer=st.integers(0, 9), name=st.sampled_from(["weight", "bias"]), seed=st.integers(0, 5))
    def assign(self, layer, name, seed):
        layers = self.trainer.network.weighted_layers
        layer %= len(layers)
        shape = getattr(layers[layer], name).shape
        values = 0.3 * np.random.default_rng(seed).standard_normal(shape)
        setattr(layers[layer], name, values)
        self.plain.do(plain.assign, layer, name, values)

    @rule(rate=st.sampled_from(RATES))
    def change_rate(self, rate):
        self._set_rate(rate)

    @rule(name=st.sampled_from(list(OPTIMIZERS)))
    def replace_optimizer(self, name):
        self.make_optimizer = OPTIMIZERS[name]
        self.trainer.optimizer = self.make_optimizer()
        self.plain.do(plain.set_optimizer, self.make_optimizer)

    @rule(how=st.sampled_from(list(TWINS)))
    def go_on_with_a_twin(self, how):
        """What is left behind stays as it is."""
        network = self.trainer.network
        self.left.append((network, parameters(network)))
        self._take(TWINS[how](network), self.make_optimizer)

    @rule(how=st.sampled_from(list(TRAINER_TWINS)))
    def go_on_with_a_twin_of_the_trainer(self, how):
        """Its next steps are the plain trainer's, as if nothing had happened."""
        left, twin = self.trainer, TRAINER_TWINS[how](self.trainer)
        self.left.append((left.network, parameters(left.network)))
        self.trainer = twin
        if self.loss_name == "own":
            self.loss = twin._loss.function

    # Calls that are cut short, by a callback or from within.

    @rule(epochs=EPOCHS, at=st.integers(1, 3), when=st.sampled_from(["region", "epoch"]))
    def stop(self, epochs, at, when):
        self._fit(epochs, callbacks=[Hook(when, at, hooks.stop)])

    @rule(
        epochs=EPOCHS,
        at=st.integers(1, 3),
        when=st.sampled_from(["region", "epoch"]),
        action=st.sampled_from(list(ACTIONS)),
    )
    def break_off(self, epochs, at, when, action):
        do, error = ACTIONS[action]
        hook = Hook(when, at, do)
        with heard_interrupts():
            self._fit(epochs, error=error, callbacks=[hook])
        if hook.fired is not None:
            steps, done = hook.fired
            if when == "region" and error is DeliberateError:  # the epoch is undone
                steps = self.before[0] + (done - self.before[1]) * self.plain.steps_of_an_epoch
            assert (steps, done) == (self.trainer.n_steps, self.trainer.history.epochs)

    @rule(epochs=EPOCHS, after=st.integers(0, 50), action=st.sampled_from(list(ACTIONS)))
    def break_off_in_the_rate(self, epochs, after, action):
        error = ACTIONS[action][1]
        self.trainer.optimizer.learning_rate = hooks.Trap(RATE, self.trainer.n_steps + after, error)
        self.plain.do(plain.set_rate, RATE)
        try:
            self._fit(epochs, error=error, within=True)
        finally:
            self._set_rate(RATE)

    @precondition(lambda self: self.loss_name == "own")
    @rule(epochs=EPOCHS, fuse=st.integers(1, 20), action=st.sampled_from(list(ACTIONS)))
    def break_off_in_the_loss(self, epochs, fuse, action):
        self.loss.fuse, self.loss.error = fuse, ACTIONS[action][1]
        try:
            self._fit(epochs, error=self.loss.error, within=True)
        finally:
            self.loss.fuse = 0

    @rule(epochs=EPOCHS, at=st.integers(1, 2), when=st.sampled_from(["region", "epoch"]))
    def train_while_it_trains(self, epochs, at, when):
        def second_call(trainer):
            for call in (trainer.step, trainer.fit):
                with pytest.raises(errors.BusyError):
                    call(*ROWS[:2])
            with pytest.raises(errors.BusyError):
                trainer.optimizer = fb.Adagrad()
            assert np.isfinite(trainer.network.predict(ROWS.x)).all()

        self._fit(epochs, callbacks=[Hook(when, at, second_call)])

    @rule(
        epochs=EPOCHS,
        at=st.integers(1, 3),
        when=st.sampled_from(["region", "epoch"]),
        value=st.sampled_from([N_CLASSES, 10**6, -1]),
    )
    def spoil_a_label(self, epochs, at, when, value):
        """A callback writes to labels in use: the epoch that meets them is undone."""
        y = ROWS.y.copy()

        def spoil(trainer):
            y[17] = value

        self._fit(epochs, y=y, error=errors.LabelError, callbacks=[Hook(when, at, spoil)])

    @rule(action=st.sampled_from(list(ACTIONS)))
    def fail_before_the_first_step(self, action):
        hook = Hook("epoch", 1, lambda trainer: None)
        hook.on_fit_begin = lambda trainer, *_: ACTIONS[action][0](trainer)
        with heard_interrupts(), pytest.raises(ACTIONS[action][1]):
            self.trainer.fit(*ROWS[:2], callbacks=[hook])

    @rule(data=st.data())
    def ask_for_the_impossible(self, data):
        calls = bad_calls(self.trainer)
        name = data.draw(st.sampled_from(list(calls)))
        with pytest.raises(errors.FastbpError):
            calls[name]()

    @rule(epochs=EPOCHS, after=st.integers(0, 100))
    def diverge(self, epochs, after):
        """A huge rate in one step; where it goes back to is where the plain trainer does."""
        self._set_rate(hooks.Spike(RATE, self.trainer.n_steps + after))
        with np.errstate(all="ignore"):
            failure = self.plain.fit(epochs)
            if failure is None:
                self._call_fit(epochs)
            else:
                with pytest.raises(errors.DivergenceError) as caught:
                    self._call_fit(epochs)
                assert caught.value.epoch == failure.epoch
                assert failure.step <= caught.value.step <= failure.last
        self._set_rate(RATE)
        self._mend()

    @rule(which=SOME_ROWS, size=st.sampled_from([1e20, 1e35]))
    def step_on_huge_rows(self, which, size):
        """Either both do it, or neither."""
        x, y, weight = ROWS.part(which)
        huge, steps = Rows(x * size, y, weight), self.plain.trainer.n_steps
        with np.errstate(all="ignore"):
            for call in (
                lambda: self.plain.do(plain.step, huge, False),
                lambda: self.trainer.step(huge.x, y),
            ):
                try:
                    call()
                except errors.DivergenceError as error:
                    assert error.step == steps
        self._mend()

    @rule(in_fit=st.booleans())
    def diverge_at_once(self, in_fit):
        """All is as it was, also what was not finite."""
        layer = self.trainer.network.weighted_layers[-1]
        before = layer.bias.copy()
        layer.bias[0] = np.nan
        spoiled = parameters(self.trainer.network)
        with pytest.raises(errors.DivergenceError):
            (self.trainer.fit if in_fit else self.trainer.step)(*ROWS[:2])
        assert parameters(self.trainer.network) == spoiled
        layer.bias[...] = before

    # What all of them have in common.

    def _mend(self) -> None:
        """Numbers to go on with, if these are far out; they have been compared."""
        self.state_is_the_plain_trainers()
        with np.errstate(over="ignore"):
            size = np.max(np.abs(self.trainer.network._model.arena))
        if not size < FAR or not np.isfinite(self.trainer._state.memory.values).all():
            self.replace_optimizer("sgd")
            for i in range(len(self.trainer.network.weighted_layers)):
                self.assign(i, "weight", i)
                self.assign(i, "bias", i)

    def _set_rate(self, rate: Any) -> None:
        self.trainer.optimizer.learning_rate = rate
        self.plain.do(plain.set_rate, rate)

    def _call_fit(
        self, epochs: int, weighted: bool = False, y: np.ndarray = ROWS.y, **options: Any
    ) -> None:
        weight = ROWS.sample_weight if weighted else None
        with testing.forced():
            self.trainer.fit(ROWS.x, y, epochs, sample_weight=weight, **options)

    def _fit(
        self,
        epochs: int,
        weighted: bool = False,
        error: type[BaseException] | None = None,
        within: bool = False,
        **options: Any,
    ) -> None:
        """Fit, and let the plain trainer do the steps that were done.

        `error` is what may end it; `within` an epoch, though that has not done a step yet. One
        that is no interrupt undoes the epoch, and the drawing of its order.
        """
        self.before = self.trainer.n_steps, self.trainer.history.epochs
        broken = False
        try:
            self._call_fit(epochs, weighted, **options)
        except (DeliberateError, KeyboardInterrupt, errors.LabelError) as caught:
            assert type(caught) is error
            broken = True
        steps = self.trainer.n_steps - self.before[0]
        done = self.trainer.history.epochs - self.before[1]
        losses = []
        for _ in range(done):
            count = min(self.plain.steps_of_an_epoch, steps)
            losses.append(self.plain.epoch(count, weighted))
            steps -= count
        assert 0 <= steps <= (self.plain.steps_of_an_epoch if broken else 0)
        if steps or (broken and within and error is KeyboardInterrupt):
            self.plain.epoch(steps, weighted)
        self.plain.epochs += done
        if done:
            assert self.trainer.history["loss"][-done:] == pytest.approx(losses, rel=1e-9)

    @invariant()
    def state_is_the_plain_trainers(self):
        mine, its = self.trainer, self.plain.trainer
        assert (mine.n_steps, mine.history.epochs) == (its.n_steps, self.plain.epochs)
        assert parameters(mine.network) == parameters(its.network)

    @invariant()
    def networks_left_behind_stay_as_they_are(self):
        for network, digest in self.left:
            assert parameters(network) == digest

    def teardown(self):
        """Nothing is busy, and the optimizer remembers what it should."""
        if hasattr(self, "trainer"):
            self.step(slice(0, 9), False)
            self.fit(1, False, True)
            self.look(slice(0, 40))
            self.state_is_the_plain_trainers()
