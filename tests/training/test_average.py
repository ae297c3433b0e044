"""`fb.Average`: beside PyTorch's AveragedModel, and through stops, resumes and divergences."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fastbp as fb
from fastbp import Dense, testing


def examples(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    return x, (x[:, :3] + 0.5 * rng.normal(size=(n, 3))).argmax(axis=1)


def trainer(dtype="float64", optimizer=None, **options):
    net = fb.Network(5, [Dense(9, "tanh"), Dense(3, "softmax")], dtype, seed=0)
    options = {"batch_size": 10, "seed": 0, **options}
    return fb.Trainer(net, "cross_entropy", optimizer or fb.Adam(0.05), **options)


def trail(make, epochs, x, y):
    """The parameters after each step of a trainer."""
    found = []

    class Region:
        def on_region_end(self, trainer):
            found.append(trainer.network.parameters)

    with testing.forced(region_steps=1):
        make().fit(x, y, epochs, callbacks=[Region()])
    return found


def averaged(trail, decay, warmup=False):
    """By hand, in the dtype of the parameters."""
    mean = trail[0]
    kind = mean.dtype.type
    for n, now in enumerate(trail[1:], 1):
        d = min(decay, (1 + n) / (10 + n)) if warmup else decay
        mean = kind(d) * mean + kind(1 - d) * now
    return mean


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"n_threads": 2, "clip_norm": 0.5}])
def test_it_is_the_average_of_the_steps(dtype, options):
    x, y = examples()
    steps = trail(lambda: trainer(dtype, **options), 3, x, y)
    for warmup in (False, True):
        one, average = trainer(dtype, **options), fb.Average(0.9, warmup)
        one.fit(x, y, 3, callbacks=[average])
        assert one.n_steps == len(steps) == (9 if "accumulate" in options else 18)
        assert average.network.parameters.tobytes() == averaged(steps, 0.9, warmup).tobytes()
        assert one.network.parameters.tobytes() == steps[-1].tobytes()


def test_steps_of_several_parts_count_once():
    x, y = examples(1300)
    found = []
    for options in ({"accumulate": 4}, {"batch_size": 600}):
        one, average = trainer(**{"batch_size": 150, **options}), fb.Average(0.7)
        one.fit(x, y, 3, callbacks=[average])
        for _ in range(2 * one.accumulate):
            one.step(x, y)
        assert one.n_steps == 11
        found.append(average.network.parameters.tobytes())
    assert found[0] == found[1]


def test_it_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    x, y = examples()
    twin = torch.nn.Linear(len(trainer().network.parameters), 1, bias=False).double()
    mean = AveragedModel(twin, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for now in trail(trainer, 4, x, y):
        with torch.no_grad():
            twin.weight.copy_(torch.tensor(now)[None])
        mean.update_parameters(twin)
    one, average = trainer(), fb.Average(0.9)
    one.fit(x, y, 4, callbacks=[average])
    expected = mean.module.weight.detach().numpy()[0]
    np.testing.assert_allclose(average.network.parameters, expected, rtol=1e-12)


def test_validation_measures_it_too_and_the_best_average_is_kept():
    x, y = examples()
    held = examples(40, 1)
    one, average = trainer(metrics=["f1"]), fb.Average(0.8)
    stopping = fb.EarlyStopping(50, "val_average_loss", mode="min")
    seen = []

    def look(trainer, history):
        seen.append(average.network.parameters)

    one.fit(x, y, 12, held, callbacks=[stopping, average, look])
    losses = one.history["val_average_loss"]
    assert set(one.history) >= {"val_average_accuracy", "val_average_f1", "val_loss"}
    best = int(np.argmin(losses))
    assert 0 < best < 11
    assert one.network.parameters.tobytes() == seen[best].tobytes()
    assert one.evaluate(*held)["loss"] == losses[best]
    assert average.network.parameters.tobytes() == seen[-1].tobytes()
    of_average = fb.Trainer(average.network, "cross_entropy").evaluate(*held)
    assert of_average["loss"] == losses[-1]


def test_several_calls_are_one():
    x, y = examples()
    whole, parts = trainer(), trainer()
    a, b = fb.Average(0.9), fb.Average(0.9)
    stops = [fb.EarlyStopping(50, "loss") for _ in range(2)]
    whole.fit(x, y, 6, callbacks=[a, stops[0]])
    for _ in range(3):
        parts.fit(x, y, 2, callbacks=[stops[1], b])
    assert a.network.parameters.tobytes() == b.network.parameters.tobytes()


class CutError(Exception):
    """Ends a fit."""


@pytest.mark.parametrize("how", ["file", "pickle", "same"])
def test_it_resumes_to_the_same_bits(tmp_path, how):
    x, y = examples()
    whole, part = (trainer(optimizer=fb.SGD(0.3, momentum=0.9)) for _ in range(2))
    a, b = fb.Average(0.9, warmup=True), fb.Average(0.9, warmup=True)
    whole.fit(x, y, 6, callbacks=[a])

    class Stop:
        def on_checkpoint(self, trainer, history):
            if history.epochs == 2:
                trainer.save(tmp_path / "cut")
                self.pickled = pickle.dumps(trainer)
            if history.epochs == 3:
                raise CutError

    stop = Stop()
    with pytest.raises(CutError):
        part.fit(x, y, 6, callbacks=[b, stop])
    left = 3
    if how == "file":
        part, b, left = fb.Trainer.load(tmp_path / "cut"), fb.Average(0.9, warmup=True), 4
    elif how == "pickle":
        part, b, left = pickle.loads(stop.pickled), fb.Average(0.9, warmup=True), 4
    part.fit(x, y, left, callbacks=[b])
    assert part.network.parameters.tobytes() == whole.network.parameters.tobytes()
    assert b.network.parameters.tobytes() == a.network.parameters.tobytes()


def test_a_divergence_takes_the_average_back():
    x, y = examples()
    rate = lambda step: 0.1 if step < 15 else 3e38  # noqa: E731
    one, twin = (trainer("float32", fb.SGD(rate)) for _ in range(2))
    a, b = fb.Average(0.9), fb.Average(0.9)
    with pytest.raises(fb.errors.DivergenceError):
        one.fit(x, y, 5, callbacks=[a])
    assert one.n_steps in (6, 12)
    twin.fit(x, y, one.n_steps // 6, callbacks=[b])
    assert a.network.parameters.tobytes() == b.network.parameters.tobytes()


def test_loops_of_steps_take_it_from_the_first_end_of_an_epoch():
    x, y = examples()
    one, average = trainer(), fb.Average(0.5)
    one.step(x, y)
    one.end_epoch(callbacks=[average])
    steps = []
    for _ in range(4):
        one.step(x, y)
        steps.append(one.network.parameters)
    one.apply_gradients(np.full(one.network.n_parameters, 0.1))
    steps.append(one.network.parameters)
    assert average.network.parameters.tobytes() == averaged(steps, 0.5).tobytes()
    one.end_epoch(callbacks=[average])


def test_it_can_be_pickled_and_copied_and_reset():
    x, y = examples()
    one, average = trainer(), fb.Average(0.9, True, "mean")
    pickle.loads(pickle.dumps(average))
    one.fit(x, y, 2, callbacks=[average])
    for twin in (pickle.loads(pickle.dumps(average)), copy.deepcopy(average)):
        assert twin.network.parameters.tobytes() == average.network.parameters.tobytes()
    average.reset()
    with pytest.raises(fb.errors.ConfigError, match="network: got none before training"):
        _ = average.network


def test_two_averages_and_what_is_refused():
    x, y = examples()
    one = trainer()
    slow, fast = fb.Average(0.99, name="slow"), fb.Average(0.5)
    one.fit(x, y, 3, (x, y), callbacks=[slow, fast])
    assert {"val_slow_loss", "val_average_loss"} <= set(one.history)
    with pytest.raises(fb.errors.ConfigError, match="two Average of the columns val_average_"):
        one.fit(x, y, callbacks=[fb.Average(0.9), fb.Average(0.5)])
    with pytest.raises(fb.errors.ConfigError, match="Average with LBFGS"):
        fb.Trainer(one.network, "cross_entropy", fb.LBFGS(), None).fit(x, y, callbacks=[slow])
    for bad in (1, -0.1, "0.9", np.nan):
        with pytest.raises(fb.errors.ConfigError, match="decay: got"):
            fb.Average(bad)
