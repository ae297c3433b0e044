"""The ready-made rules for when to stop, and the hooks that they use."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from training import assert_refuses, classes, classifier, parameters, trainer

import fastbp as fb
from fastbp import errors, testing

X, Y = classes()
XV, YV = classes(seed=1)


class Recorder:
    """Notes the digest of the weights after each epoch, and the calls of its hooks."""

    def __init__(self, region_stop=None):
        self.digests, self.calls, self.region_stop = [], [], region_stop

    def on_fit_begin(self, trainer, x, y, validation_data):
        self.calls.append(("begin", trainer.n_steps, x is X, y is Y, validation_data))

    def on_region_end(self, trainer):
        self.calls.append(("region", trainer.n_steps))
        return trainer.n_steps == self.region_stop

    def on_epoch_end(self, trainer, history):
        self.calls.append(("epoch", trainer.n_steps))
        self.digests.append(parameters(trainer.network))

    def on_fit_end(self, trainer, history):
        self.calls.append(("end", trainer.n_steps))


def overfitting():
    """A trainer whose validation loss falls, then rises; 60 rows, many weights, a high rate."""
    network = fb.Network(5, [fb.Dense(40, "relu"), fb.Dense(3, "softmax")], seed=0)
    return trainer(network, optimizer=fb.SGD(0.3, momentum=0.9))


class TestHooks:
    @testing.forced(region_steps=1)
    def test_order(self):
        recorder = Recorder()
        history = trainer().fit(X, Y, epochs=2, callbacks=[recorder])
        regions = [[("region", 4 * e + s) for s in (1, 2, 3, 4)] for e in (0, 1)]
        wanted = [("begin", 0, True, True, None), *regions[0], ("epoch", 4), *regions[1]]
        assert recorder.calls == [*wanted, ("epoch", 8), ("end", 8)]
        assert history.stopped is None

    @testing.forced(region_steps=1)
    def test_a_region_may_cut_an_epoch(self):
        owner, other = trainer(shuffle=False), trainer(shuffle=False)
        history = owner.fit(X, Y, epochs=9, validation_data=(XV, YV), callbacks=[Recorder(6)])
        assert (owner.n_steps, history.epochs, history.stopped) == (6, 2, "Recorder")
        other.fit(X, Y)
        losses = [other.step(X[i : i + 16], Y[i : i + 16]) for i in (0, 16)]
        assert parameters(owner.network) == parameters(other.network)
        assert history["loss"][1] == pytest.approx(np.mean(losses), rel=1e-6)
        assert history["val_loss"][1] == owner.evaluate(XV, YV)["loss"]

    @testing.forced(region_steps=1)
    def test_divergence_in_a_cut_epoch_names_its_last_step(self):

        def spoil(owner):
            owner.network.layers[0].weight[0, 0] = np.nan
            return True

        recorder = Recorder()
        recorder.on_region_end = spoil
        with pytest.raises(errors.DivergenceError, match="epoch 1, step 0"):
            trainer().fit(X, Y, epochs=9, callbacks=[recorder])

    def test_stopped_is_of_the_last_call(self):
        owner = trainer()
        assert owner.history.stopped is None
        assert owner.fit(X, Y, 5, callbacks=[fb.TargetLoss(99)]).stopped.startswith("loss ")
        assert owner.fit(X, Y, 5).stopped is None

    def test_all_are_called_and_the_first_reason_counts(self):
        first, second, recorder = fb.TargetLoss(99), fb.TargetLoss(98), Recorder()
        history = trainer().fit(X, Y, 5, callbacks=[first, second, recorder])
        assert history.stopped.endswith("<= 99")
        assert len(recorder.digests) == history.epochs == 1


class TestEarlyStopping:
    def test_stops_and_takes_back_the_best_weights(self):
        owner, recorder = overfitting(), Recorder()
        stop = fb.EarlyStopping(patience=4)
        history = owner.fit(X, Y, 200, (XV, YV), [stop, recorder])
        losses = history["val_loss"]
        best = int(np.argmin(losses))
        assert 0 < best < history.epochs - 1 == best + 4
        assert (stop.best, stop.best_epoch) == (losses[best], best + 1)
        wanted = f"val_loss no better than {losses[best]:.4g} of epoch {best + 1} for 4 epochs"
        assert history.stopped == wanted
        assert parameters(owner.network) == recorder.digests[best] != recorder.digests[-1]
        assert owner.evaluate(XV, YV)["loss"] == losses[best]

    def test_the_best_weights_come_back_when_the_epochs_are_over_too(self):
        owner, recorder = overfitting(), Recorder()
        history = owner.fit(X, Y, 40, (XV, YV), [fb.EarlyStopping(99), recorder])
        best = int(np.argmin(history["val_loss"]))
        assert history.epochs == 40 != best + 1
        assert history.stopped is None
        assert parameters(owner.network) == recorder.digests[best]

    def test_the_last_weights_may_stay(self):
        owner, recorder = overfitting(), Recorder()
        owner.fit(X, Y, 200, (XV, YV), [fb.EarlyStopping(4, restore_best=False), recorder])
        assert parameters(owner.network) == recorder.digests[-1]

    def test_training_loss_without_validation_data(self):
        owner = trainer(optimizer=fb.SGD(0.0))
        history = owner.fit(X, Y, 20, callbacks=[fb.EarlyStopping(3, min_delta=1e-3)])
        assert history.epochs == 4
        assert history.stopped.startswith("loss no better")

    def test_the_other_loss_on_request(self):
        owner = overfitting()
        stop = fb.EarlyStopping(4, monitor="loss")
        history = owner.fit(X, Y, 30, (XV, YV), [stop])
        assert stop.best == min(history["loss"])

    def test_a_small_improvement_is_none(self):
        history = trainer().fit(X, Y, 50, callbacks=[fb.EarlyStopping(2, min_delta=10.0)])
        assert history.epochs == 3
        assert history["loss"][2] < history["loss"][0]

    def test_each_call_begins_anew(self):
        owner, stop = trainer(optimizer=fb.SGD(0.0)), fb.EarlyStopping(3, min_delta=1e-3)
        for epochs in (4, 8):
            assert owner.fit(X, Y, 20, callbacks=[stop]).epochs == epochs


class TestTargetLoss:
    @pytest.mark.parametrize("monitor", [None, "loss", "val_loss"])
    def test_stops_at_the_first_epoch_that_reaches_it(self, monitor):
        owner = trainer()
        history = owner.fit(X, Y, 300, (XV, YV), [fb.TargetLoss(0.5, monitor=monitor)])
        name = monitor or "val_loss"
        assert 1 < history.epochs < 300
        assert history[name][-1] <= 0.5 < min(history[name][:-1])
        assert history.stopped == f"{name} {history[name][-1]:.4g} <= 0.5"


class TestTimeLimit:
    def test_stops_within_an_epoch(self):
        network = fb.Network(300, [fb.Dense(300, "tanh"), fb.Dense(1)], seed=0)
        x = np.random.default_rng(0).standard_normal((20_000, 300), dtype=np.float32)
        owner = trainer(network, "mse", optimizer=fb.SGD(1e-3), batch_size=1)
        begin = perf_counter()
        history = owner.fit(x, x[:, :1], 1000, callbacks=[fb.TimeLimit(0.15)])
        assert perf_counter() - begin >= 0.15
        assert 0 < owner.n_steps < 20_000  # they would take a second or so
        assert (history.epochs, history.stopped) == (1, "0.15 s are over")

    def test_stops_between_epochs(self):
        history = trainer().fit(X, Y, 10**6, callbacks=[fb.TimeLimit(0.05)])
        assert 1 < history.epochs < 10**6


class TestNoImprovement:
    """Columns of values that a callback records, and what follows by hand."""

    @staticmethod
    def fit(owner, values, rule):
        found = iter(values)
        record = lambda trainer, history: history.record("my_loss", next(found))  # noqa: E731
        return owner.fit(X, Y, len(values), callbacks=[record, rule])

    def test_small_improvements_do_not_add_up(self):
        """EarlyStopping compares with 9, the last that counted, and sees 7.9 as an improvement."""
        values = [9, 8.6, 8.3, 7.9, 7.6, 7.2]
        rule = fb.NoImprovement(2, 1.0, "my_loss")
        history = self.fit(trainer(), values, rule)
        text = "my_loss not better than the best before by 1 for 3 epochs"
        assert (history.epochs, history.stopped) == (4, text)
        assert (rule.best, rule.wait) == (7.9, 3)
        assert self.fit(trainer(), values, fb.EarlyStopping(3, "my_loss", 1.0)).stopped is None

    def test_an_improvement_of_tol_itself_counts(self):
        rule = fb.NoImprovement(0, 1.0, "my_loss")
        assert self.fit(trainer(), [5, 4, 3, 2.5, 0], rule).epochs == 4
        up = fb.NoImprovement(0, 1.0, "my_loss", mode="max")
        assert self.fit(trainer(), [1, 2, 3, 3.5, 9], up).epochs == 4

    def test_the_rate_falls_before_training_stops(self):
        owner = trainer(optimizer=fb.SGD(0.4))
        rule = fb.NoImprovement(1, 0.0, "my_loss", factor=0.25, min_rate=0.05)
        history = self.fit(owner, [1, *[2] * 20], rule)
        # Each two epochs without an improvement: 0.4, 0.1, 0.025, and then the end.
        assert history["learning_rate"] == pytest.approx([0.4] * 3 + [0.1] * 2 + [0.025] * 2)
        assert history.epochs == 7

    def test_it_goes_on_with_the_same_trainer_and_from_what_is_assigned(self):
        owner, rule = trainer(), fb.NoImprovement(2, 0.0, "my_loss")
        for values in ([3, 4], [4, 4, 4]):
            history = self.fit(owner, values, rule)
        assert history.epochs == 4
        later = fb.NoImprovement(2, 0.0, "my_loss")
        later.best, later.wait = rule.best, 2
        assert self.fit(trainer(), [4, 4, 4], later).epochs == 1
        assert self.fit(trainer(), [4, 4, 5, 5, 5], later).epochs == 5  # begins anew with another

    def test_the_rate_has_to_be_a_number(self):
        owner = trainer(optimizer=fb.SGD(fb.Cosine(0.1, 5)))
        call = lambda: owner.fit(X, Y, callbacks=[fb.NoImprovement(1, factor=0.5)])  # noqa: E731
        assert_refuses(owner, call, errors.ConfigError, "learning rate Cosine")


class TestGradientNorm:
    @pytest.mark.parametrize("l2", [0.0, 0.01])
    def test_stops_where_the_gradient_is_short(self, l2):
        network = fb.Network(5, [fb.Dense(3, "softmax")], "float64", seed=0)
        owner = fb.Trainer(network, "cross_entropy", fb.SGD(1.0), batch_size=None, l2=l2)
        stop = fb.GradientNorm(0.02)
        norms = []

        class Norms(Recorder):
            def on_epoch_end(self, trainer, history):
                _, [(dw, db)] = network.gradients(X, Y, "cross_entropy")
                dw = dw + 2 * l2 * network.layers[0].weight
                norms.append(np.sqrt((dw**2).sum() + (db**2).sum()))

        history = owner.fit(X, Y, 5000, callbacks=[stop, Norms()])
        assert 1 < history.epochs < 5000
        assert norms[-1] < 0.02 <= min(norms[:-1])
        assert stop.norm == pytest.approx(norms[-1], rel=1e-12)
        assert history.stopped == f"gradient norm {stop.norm:.4g} < 0.02"

    @pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
    def test_of_any_size(self, size):
        stop, net = fb.GradientNorm(1e-250), fb.Network(1, [fb.Dense(2)], "float64", seed=0)
        loss = lambda y, t: (np.zeros(len(y)), np.full_like(y, size))  # noqa: E731
        fb.Trainer(net, loss, fb.SGD(0.0)).fit([[1.0]], [[0.0, 0.0]], callbacks=[stop])
        assert stop.norm / size == pytest.approx(2, rel=1e-14)  # two weights and two biases

    def test_is_of_what_is_minimised(self):
        """By hand: x^T (w (p - t)) / n with the penalties, of the layers that are trained."""
        weights = np.random.default_rng(5).uniform(0.5, 2, len(X))
        of_class = np.array([3.0, 1.0, 0.5])
        scale = len(X) / (weights * of_class[Y]).sum()  # so that their mean is 1
        weights *= scale
        network = fb.Network(5, [fb.Dense(4, "tanh"), fb.Dense(3, "softmax")], "float64", seed=0)
        network.layers[0].trainable = False
        options = {"class_weight": dict(enumerate(of_class.tolist())), "batch_size": None}
        owner = fb.Trainer(network, "cross_entropy", fb.SGD(0.1), l2=0.02, l1=0.01, **options)
        stop, seen = fb.GradientNorm(1e-9), []
        see = lambda owner, history: seen.append(owner.row_weights)  # noqa: E731
        owner.fit(X, Y, 3, callbacks=[stop, see], sample_weight=weights)
        both = weights * of_class[Y]
        np.testing.assert_allclose(seen[-1], both, rtol=1e-15)
        assert owner.row_weights is None
        hidden, p = network.activations(X)
        error = both[:, None] * (p - np.eye(3)[Y]) / len(X)
        w = network.layers[1].weight
        dw = hidden.T @ error + 2 * 0.02 * w + 0.01 * np.sign(w)
        wanted = np.sqrt((dw**2).sum() + (error.sum(axis=0) ** 2).sum())
        assert stop.norm == pytest.approx(wanted, rel=1e-9)

    def test_changes_nothing_else(self):
        owner, other = trainer(), trainer()
        owner.fit(X, Y, 3, callbacks=[fb.GradientNorm(1e-9)])
        other.fit(X, Y, 3)
        assert parameters(owner.network) == parameters(other.network)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: fb.EarlyStopping(-1), "patience: got -1"),
        (lambda: fb.EarlyStopping(3, monitor=3), "monitor: got 3"),
        (lambda: fb.EarlyStopping(3, monitor="speed"), "mode: got None with monitor='speed'"),
        (lambda: fb.EarlyStopping(3, mode="least"), "mode: got 'least'"),
        (lambda: fb.EarlyStopping(3, baseline=np.inf), "baseline: got inf"),
        (lambda: fb.EarlyStopping(3, min_delta=-1), "min_delta: got -1"),
        (lambda: fb.EarlyStopping(3, restore_best=1), "restore_best: got 1"),
        (lambda: fb.NoImprovement(-1), "patience: got -1"),
        (lambda: fb.NoImprovement(1, -1), "tol: got -1"),
        (lambda: fb.NoImprovement(1, factor=1.5), "factor: got 1.5"),
        (lambda: fb.NoImprovement(1, min_rate=-1), "min_rate: got -1"),
        (lambda: fb.TargetLoss(np.nan), "value: got nan"),
        (lambda: fb.TimeLimit(0), "seconds: got 0"),
        (lambda: fb.GradientNorm(0), "bound: got 0"),
    ],
)
def test_bad_options(make, match):
    with pytest.raises(errors.ConfigError, match=match):
        make()


@pytest.mark.parametrize("kind", [fb.EarlyStopping, fb.TargetLoss])
def test_val_loss_needs_validation_data(kind):
    owner = trainer(classifier())
    callbacks = [kind(1, monitor="val_loss")]
    call = lambda: owner.fit(X, Y, callbacks=callbacks)  # noqa: E731
    assert_refuses(owner, call, errors.ConfigError, "monitor: got 'val_loss' without")
