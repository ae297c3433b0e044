"""Arrays that another thread changes during a call: other results or a named error, no crash.

A call looks at an array through a view of its own, which keeps the shape, the type and the memory.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from training import N_CLASSES, N_INPUTS, classes, classifier, trainer

import fastbp as fb
from fastbp.engine.arrays import held
from fastbp.errors import FastbpError

ROUNDS = 10

needs_gil = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="without a GIL NumPy frees the shape that another thread reads",
)

# NumPy 2.5 warns of what the other thread does.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the (shape|dtype) on:DeprecationWarning")


def values(a):
    """Write numbers that are not finite, no classes and no weights, then others."""
    kept = a.copy()
    for value in (np.nan, -7, 1e30) if a.dtype.kind == "f" else (-1, 2**62, 1000):
        a.fill(value)
        a[...] = kept


def shapes(a):
    shape = a.shape
    for other in ((a.size, 1), (1, a.size), (a.size,), shape):
        a.shape = other


def types(a):
    dtype = a.dtype
    for other in (np.int64, np.uint8, np.float32, dtype):
        a.dtype = other


def sizes(a):
    shape = a.shape
    for other in ((1, 1), (20_000, *shape[1:]), shape):
        with suppress(ValueError):  # a call is looking at it
            a.resize(other, refcheck=False)


@contextmanager
def changing(change, array):
    """Let another thread change an array within the block, and put its form back at the end."""
    over, turns, faults = threading.Event(), [], []

    def run():
        try:
            while not over.is_set():
                change(array)
                turns.append(None)
        except Exception as error:
            faults.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert turns
    assert not faults


def calls(x, y, w):
    """What reads each array while the other thread has its way."""
    network = classifier(dtype="float64")
    scaled = classifier(dtype="float64")
    scaled.preprocessing = fb.preprocess.Standardize().fit(x.copy())
    whitened = fb.Network(
        N_INPUTS,
        [fb.Dense(N_CLASSES, "softmax")],
        seed=0,
        preprocessing=fb.preprocess.PCA().fit(x.copy()),
    )
    owner = trainer(network, batch_size=70)
    accumulating = trainer(classifier(dtype="float64"), batch_size=35, accumulate=2)
    return {
        "predict": lambda: network.predict(x),
        "predict in float32": lambda: classifier().predict(x),
        "predict, scaled": lambda: scaled.predict(x),
        "predict, whitened": lambda: whitened.predict(x),
        "activations": lambda: network.activations(x),
        "gradients": lambda: network.gradients(x, y, "cross_entropy", True, w),
        "fit": lambda: owner.fit(x, y, sample_weight=w),
        "fit, validated": lambda: owner.fit(x, y, validation_data=(x, y, w)),
        "step": lambda: owner.step(x, y, w),
        "evaluate": lambda: owner.evaluate(x, y, w),
        "end_epoch": lambda: (owner.step(x, y), owner.end_epoch((x, y))),
        "fit a map": lambda: fb.preprocess.Standardize().fit(x),
        "trace": lambda: network.trace(x[:1], y[:1], "cross_entropy"),
        "no mistakes": lambda: owner.fit(x, y, callbacks=[fb.models.NoMistakes()]),
        "gradient norm": lambda: owner.fit(x, y, callbacks=[fb.GradientNorm(1e-9)]),
        "average": lambda: owner.fit(x, y, validation_data=(x, y), callbacks=[fb.Average(0.9)]),
        "split": lambda: owner.fit(x, y, sample_weight=w, validation_split=0.3),
        "accumulate": lambda: accumulating.fit(x, y, sample_weight=w),
        "jacobian": lambda: network.jacobian(x),
        "vjp": lambda: network.vjp(x, np.ones((len(x), N_CLASSES))),
        "jvp": lambda: network.jvp(x, x),
        "transform": lambda: scaled.preprocessing.transform(x),
        "predict_classes": lambda: network.predict_classes(x),
        "gradients_from": lambda: network.gradients_from(x, np.ones((len(x), N_CLASSES))),
        "one_hot": lambda: fb.one_hot(y),
        "f1": lambda: fb.metrics.f1(y, np.eye(3)[np.arange(len(x)) % 3], w),
    }


@pytest.fixture
def one_thread():
    """The other thread has a core of its own."""
    fb.set_num_threads(1)
    yield
    fb.set_num_threads(None)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("which", ["x", "y", "sample_weight"])
@pytest.mark.parametrize(
    "change",
    [values, *(pytest.param(change, marks=needs_gil) for change in (shapes, types, sizes))],
)
def test_a_change_by_another_thread_ends_in_a_result_or_a_named_error(change, which):
    x, y = classes(200, dtype="float64")
    w = np.linspace(0, 1, len(x))
    array = {"x": x, "y": y, "sample_weight": w}[which]
    own = array.copy()
    done = calls(*(own if a is array else a for a in (x, y, w)))
    with np.errstate(all="ignore"), changing(change, own):
        for _ in range(3 if change is sizes else ROUNDS):
            for name, call in done.items():
                try:
                    call()
                except FastbpError:
                    pass
                except Exception as error:
                    raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error


def test_a_view_keeps_the_form_and_the_memory():
    a = np.arange(12.0).reshape(3, 4).copy()
    view = held(a)
    assert type(view) is np.ndarray
    assert np.shares_memory(view, a)
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="resize"):
        a.resize((10**6, 4), refcheck=False)
    a.shape = (4, 3)
    a.dtype = np.int64
    assert (view.shape, view.dtype) == ((3, 4), np.float64)
    del view
    a.resize((10, 4), refcheck=False)
    assert a.shape == (10, 4)


def test_rows_that_are_the_weights_are_copied():
    """Training writes to the weights; the rows are what they were when the call began."""
    for name in ("x", "y", "sample_weight"):
        owners = []
        for copies in (False, True):
            net = fb.Network(16, [fb.Dense(16, weight_init=ones)], "float64", seed=0)
            weight = net.layers[0].weight
            given = {"x": np.eye(16), "y": np.eye(16), "sample_weight": np.ones(16)}
            given[name] = weight[3] if name == "sample_weight" else weight
            assert np.shares_memory(given[name], weight)
            if copies:
                given[name] = given[name].copy()
            owner = fb.Trainer(net, "mse", fb.SGD(0.1), batch_size=4, seed=0)
            owner.fit(**given, epochs=3)
            owners.append(owner)
        a, b = (owner.network.parameters for owner in owners)
        assert a.tobytes() == b.tobytes(), name


def ones(rng, shape):
    return rng.uniform(0.5, 1, shape)


@pytest.mark.parametrize("kind", [fb.models.NoMistakes, lambda: fb.GradientNorm(1e-9)])
def test_a_callback_looks_at_the_rows_as_they_were_when_the_call_began(kind):
    found = []
    for changes in (False, True):
        x, y = classes(60, dtype="float64")

        class Reshape:
            def on_epoch_end(self, trainer, history, x=x, y=y, changes=changes):
                if changes:
                    x.shape, y.shape = (1, x.size), (y.size, 1)

        callback, owner = kind(), trainer(classifier(dtype="float64"), batch_size=20)
        owner.fit(x, y, epochs=3, callbacks=[Reshape(), callback])
        found.append((owner.network.parameters.tobytes(), getattr(callback, "norm", None)))
        assert owner.history.epochs == 3
    assert found[0] == found[1]
