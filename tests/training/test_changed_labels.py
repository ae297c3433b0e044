"""Labels that are written to while a call uses them in place: a named error, never a wild write."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier, parameters, state, trainer

import fastbp as fb
from fastbp import errors
from fastbp.engine.model import Model
from fastbp.engine.run import Run, gradients

BAD = [3, 1000, 10**5, 10**15, -1, -(10**6)]


class Spoiler:
    """Writes a value into labels after some epoch."""

    def __init__(self, y, value, after=2):
        self._y, self._value, self._after = y, value, after
        self.digest = None

    def on_epoch_end(self, trainer, history):
        if history.epochs == self._after:
            self.digest = state(trainer)
            self._y[17] = self._value


def own_loss(outputs, labels):
    gradient = outputs - np.eye(3)[labels]
    return (gradient**2).sum(axis=1), gradient


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("batch_size", [4, 16, 60])
def test_a_callback_that_spoils_a_label(batch_size, value):
    for loss in ("cross_entropy", "multiclass_hinge", own_loss):
        x, y = classes()
        if loss == "multiclass_hinge":
            network = fb.Network(5, [fb.Dense(7, "tanh"), fb.Dense(3)], seed=0)
        else:
            network = classifier()
        owner, spoiler = trainer(network, loss, batch_size=batch_size), Spoiler(y, value)
        with pytest.raises(errors.LabelError, match=rf"y: got the class {value} in row 17") as info:
            owner.fit(x, y, epochs=5, callbacks=[spoiler])
        assert "copy" in str(info.value)
        assert owner.history.epochs == 2
        assert state(owner) == spoiler.digest
        y[17] = 0
        owner.fit(x, y)  # not busy, and nothing but the label was wrong


def test_training_goes_on_from_the_start_of_the_epoch():
    x, y = classes()
    owner, twin = trainer(), trainer()
    right = y[17]
    with pytest.raises(errors.LabelError):
        owner.fit(x, y, epochs=5, callbacks=[Spoiler(y, 3)])
    y[17] = right
    owner.fit(x, y, epochs=2)
    twin.fit(x, y, epochs=4)
    assert parameters(owner.network) == parameters(twin.network)
    assert owner.n_steps == twin.n_steps


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize(("sizes", "batch"), [([6, 9, 4], 3), ([6, 9, 4], 40), ([90, 700, 4], 40)])
def test_the_engine_writes_nothing_for_a_label_that_is_no_class(sizes, batch, n_threads):
    model = Model(sizes[0], sizes[1:], ["tanh", "softmax"], "float32")
    x = np.ones((4 * batch, sizes[0]), np.float32)
    y = np.zeros(len(x), np.int64)
    run = Run(model, "cross_entropy", "sgd", 0.0, 0.0, batch, n_threads)
    run.bind(x, y)
    y[3 * batch] = 2**62
    assert run.steps(0, 4, np.full(4, 0.1))[2] == 3
    assert run.fault == "label"
    assert model.evaluate("cross_entropy", x, y, n_threads) is None
    assert gradients(model, "cross_entropy", x, y, n_threads, True) is None
    y[3 * batch] = 1
    assert run.steps(3, 1, np.full(1, 0.1))[2] == 1
    assert run.fault == ""


def test_labels_spoiled_by_another_thread_end_in_an_error_or_not_at_all():
    import threading

    x, y = classes(600)
    owner, over = trainer(batch_size=4), threading.Event()

    def spoil():
        while not over.is_set():
            y[:] = 10**9
            y[:] = 0

    thread = threading.Thread(target=spoil)
    thread.start()
    caught = 0
    try:
        for _ in range(20):
            try:
                owner.fit(x, y, epochs=20)
                owner.evaluate(x, y)
                owner.network.gradients(x, y, "cross_entropy")
            except errors.LabelError:
                caught += 1
    finally:
        over.set()
        thread.join()
    assert caught
    assert np.isfinite(owner.network.predict(x)).all()


def test_the_order_of_rows_cannot_be_written():
    x, y = classes()
    run = trainer()._runs.new(4, 1)
    run.bind(x, y)
    with pytest.raises(ValueError, match="read-only"):
        run.order[0] = 10**9
