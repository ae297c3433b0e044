"""The C functions beside those of Python: the same bits; for bad input a code, nothing written."""

from __future__ import annotations

import ctypes
import threading
from functools import partial

import gate_networks
import numpy as np
import pytest
from c_api import VERSION, Handle, Sizes, address, api, code, dtype_of

import fastbp as fb
from fastbp import embedding
from fastbp.engine import runtime

DTYPES = "float32", "float64"


def network(dtype="float32", out="linear", n_out=3, seed=1):
    layers = [fb.Dense(7, "tanh"), fb.Dense(n_out, out)]
    return fb.Network(5, layers, dtype=dtype, seed=seed)


def with_map(dtype):
    net = network(dtype)
    net.preprocessing = fb.preprocess.Standardize().fit(rows(network("float64"), 40) * 3 + 1)
    return net


def rows(net, n, seed=0, columns=None):
    shape = n, net.n_inputs if columns is None else columns
    return np.random.default_rng([seed, n]).standard_normal(shape).astype(net.dtype)


def flat(pairs):
    return np.concatenate([array.ravel() for pair in pairs for array in pair])


NETWORKS = {
    **{name: partial(gate_networks.network, name) for name in gate_networks.STACKS},
    "chain": network,
    "gelu": lambda dtype: fb.Network(5, [fb.Dense(70, "gelu"), fb.Dense(1, "sigmoid")], dtype, 0),
    "one layer": lambda dtype: fb.Network(5, [fb.Dense(3, "softmax")], dtype, 0),
    "map": with_map,
}  # fmt: skip


# Values


def test_the_table_is_as_the_header_says():
    assert api.size == ctypes.sizeof(type(api))
    assert (api.abi_major, api.abi_minor) == VERSION
    assert api.version.decode() == fb.__version__


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_gives_the_bits_of_python(name, dtype):
    net = NETWORKS[name](dtype)
    door = Handle(net, 64)
    assert door.opened == "OK"
    sizes = Sizes()
    assert door.sizes(sizes) == "OK"
    wanted = net.n_inputs, net.n_outputs, net.n_parameters, 64
    assert wanted == (sizes.n_inputs, sizes.n_outputs, sizes.n_parameters, sizes.max_rows)
    for n in (1, 9, 128, 129, 300):
        x, y = rows(net, n), np.full((n, net.n_outputs), 7, dtype)
        assert door.predict(x, n, y) == "OK"
        np.testing.assert_array_equal(y, net.predict(x))
        size = door.scratch_bytes(n)
        room = np.full(size + 1, 0xFF, np.uint8)  # NaN in either dtype, and odd
        y[:] = 7
        assert door.predict_with(x, n, y, address(room) + 1, size) == "OK"
        np.testing.assert_array_equal(y, net.predict(x))
    w = np.empty(net.n_parameters, dtype)
    assert door.get_parameters(w, w.size) == "OK"
    np.testing.assert_array_equal(w, net.parameters)
    for n in (1, 4, 32):  # powers of two: the mean of Python's gradients is exact
        x, dy = rows(net, n), rows(net, n, 1, net.n_outputs)
        _, pairs, wanted_dx = net.gradients(
            x, np.zeros_like(dy), lambda out, _, dy=dy, n=n: (np.zeros(n), dy * n), inputs=True
        )
        dw, dx = np.empty(net.n_parameters, dtype), np.empty_like(x)
        assert door.backward(x, dy, n, dw, dx) == "OK"
        np.testing.assert_array_equal(dw, flat(pairs))
        np.testing.assert_array_equal(dx, wanted_dx)
        only = np.empty_like(dx)
        assert door.backward(x, dy, n, None, only) == "OK"
        assert door.backward(x, dy, n, dw[:], None) == "OK"
        np.testing.assert_array_equal(only, dx)
    assert door.set_parameters(w * 2, w.size) == "OK"
    np.testing.assert_array_equal(net.parameters, w * 2)
    assert door.close() == "OK"


@pytest.mark.parametrize("n", [3, 40])
def test_the_gradient_from_dy_is_that_of_central_differences(n):
    net = NETWORKS["depth 2"]("float64")
    door, x, dy = Handle(net), rows(net, n), rows(net, n, 1, net.n_outputs)
    w, dw, dx = net.parameters, np.empty(net.n_parameters), np.empty_like(x)
    assert door.backward(x, dy, n, dw, dx) == "OK"

    def value(step, of_x):
        net.parameters = w + step * dw * (not of_x)
        return float(np.sum(net.predict(x + step * dx * of_x) * dy))

    for of_x, slope in ((False, dw @ dw), (True, np.sum(dx * dx))):
        step = 1e-6 / np.sqrt(slope)
        found = (value(step, of_x) - value(-step, of_x)) / (2 * step)
        assert found == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("name", ["chain", "map", "one layer"])
def test_rows_of_float64_are_rounded_as_python_does(name):
    net = NETWORKS[name]("float32")
    door = Handle(net, 64, x_dtype="float64")
    x = rows(net, 150).astype(np.float64) + 1e-9
    y = np.empty((150, net.n_outputs), np.float32)
    assert door.predict(x, 150, y) == "OK"
    np.testing.assert_array_equal(y, net.predict(x))
    x[149] = 1e300  # no float32
    if name != "map":
        before = y.copy()
        y[:] = 7
        assert door.predict(x, 150, y) == "INPUT"
        assert (y == 7).all() and before.size


LOSSES = {
    "squared_error": ("linear", 3), "mse": ("tanh", 3), "mae": ("linear", 3),
    fb.losses.Huber(0.5): ("linear", 3), fb.losses.Quantile(0.2): ("linear", 3),
    "poisson": ("linear", 3), "cross_entropy": ("softmax", 3),
    fb.losses.CrossEntropy(0.1): ("softmax", 3), "binary_cross_entropy": ("sigmoid", 3),
    "hinge": ("linear", 3), "multiclass_hinge": ("linear", 3), "perceptron": ("step", 2),
}  # fmt: skip


def targets(net, loss, n):
    """Labels if the loss takes them, else targets in its domain."""
    rng = np.random.default_rng(n)
    kind, shape = net._loss(loss).targets, (n, net.n_outputs)
    if kind in ("distribution", "one_hot"):
        return rng.integers(0, net.n_outputs, n)
    found = {
        "real": rng.normal(size=shape), "unit": rng.random(shape),
        "count": rng.integers(0, 5, shape), "sign": rng.choice([-1, 1], shape),
        "bit": rng.integers(0, 2, shape),
    }  # fmt: skip
    return found[kind].astype(net.dtype)


def given(y):
    """Targets and labels as the functions take them."""
    return (None, y) if y.ndim == 1 else (y, None)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_gradients_and_steps(loss, dtype):
    net = network(dtype, *LOSSES[loss])
    twin = fb.Trainer(net.copy(), loss, fb.SGD(0.05, momentum=0.5), seed=0)
    trainer = fb.Trainer(net, loss, fb.SGD(0.05, momentum=0.5), seed=0)
    door, value = Handle(trainer), ctypes.c_double()
    assert door.opened == "OK"
    for n in (1, 7, 40):
        x, y = rows(net, n), targets(net, loss, n)
        for weights in (None, np.linspace(0, 2, n) + (n == 1)):
            dw, dx = np.empty(net.n_parameters, dtype), np.empty_like(x)
            wanted = net.gradients(x, y, loss, True, weights)
            assert door.gradient(x, *given(y), weights, n, value, dw, dx) == "OK"
            assert value.value == wanted[0]
            np.testing.assert_array_equal(dw, flat(wanted[1]))
            np.testing.assert_array_equal(dx, wanted[2])
            assert door.step(x, *given(y), weights, n, value) == "OK"
            assert value.value == twin.step(x, y, weights)
            np.testing.assert_array_equal(net.parameters, twin.network.parameters)
    trainer.end_epoch(), twin.end_epoch()
    for name in set(twin.history) - {"seconds"}:
        assert trainer.history[name] == twin.history[name], name


def frozen(net):
    net.layers[0].trainable = False


def groups(net):
    net.layers[0].learning_rate_factor = 0.5
    net.layers[1].decay_factor = 0


RUNS = {
    "sgd": (fb.SGD(0.1), {}, None),
    "nesterov": (fb.SGD(0.1, 0.9, True), {"l2": 1e-3, "l1": 1e-4}, None),
    "adagrad": (fb.Adagrad(0.1), {"clip_value": 0.1}, None),
    "rmsprop": (fb.RMSprop(0.01), {"max_norm": 0.8}, None),
    "adam": (fb.Adam(0.01), {"clip_norm": 0.1}, None),
    "adamw": (fb.AdamW(0.01), {"penalize_bias": True, "l2": 1e-3}, groups),
    "frozen": (fb.Adam(0.01), {"average": "rows"}, frozen),
    "schedule": (fb.Adam(fb.Exponential(0.1, 0.9)), {}, None),
    "epochs": (fb.SGD(fb.Exponential(0.1, 0.5, per="epoch")), {}, None),
    "function": (fb.SGD(lambda step: 0.1 / (1 + step)), {}, None),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_c_and_python_go_on_from_each_other(name, dtype):
    """Steps from C, from Python, epochs of fit, in turn; the twin makes all of them in Python."""
    optimizer, options, change = RUNS[name]
    trainers = []
    for _ in range(2):
        layers = [fb.Dense(9, "relu", dropout=0.3), fb.Dense(7, "gelu"), fb.Dense(3, "softmax")]
        net = fb.Network(5, layers, dtype=dtype, seed=3)
        if change:
            change(net)
        trainers.append(fb.Trainer(net, "cross_entropy", optimizer, 16, seed=4, **options))
    trainer, twin = trainers
    net, doors = trainer.network, [Handle(trainer, rows) for rows in (4, 50)]
    x, labels = rows(net, 50), np.arange(50) % 3
    for turn in range(3):
        for door, sizes in zip(doors, ([1, 4, 3], [50, 8, 9, 33]), strict=True):
            # The other handle, or Python, has trained since.
            assert door.step(x, None, labels, None, 2, None) == "CHANGED" or not (turn or sizes)
            assert door.refresh() == "OK"
            for n in sizes:
                assert door.step(x, None, labels, None, n, None) == "OK"
                twin.step(x[:n], labels[:n])
                np.testing.assert_array_equal(net.parameters, twin.network.parameters)
        for one in trainers:
            if turn == 0:
                one.step(x[:20], labels[:20])
                one.end_epoch()
            else:
                one.fit(x, labels, epochs=2)
        np.testing.assert_array_equal(net.parameters, twin.network.parameters)
    assert trainer.n_steps == twin.n_steps
    assert trainer.history["loss"] == twin.history["loss"]
    assert trainer.history["learning_rate"] == twin.history["learning_rate"]
    memory, twins = trainer._state.memory.last, twin._state.memory.last
    np.testing.assert_array_equal(memory.values, twins.values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_from_c_are_in_a_file_and_a_pickle(dtype, tmp_path):
    net = network(dtype, "softmax")
    trainer = fb.Trainer(net, "cross_entropy", fb.Adam(0.01), seed=0)
    x, labels = rows(net, 12), np.arange(12) % 3
    door = Handle(trainer)
    for _ in range(3):
        assert door.step(x, None, labels, None, 12, None) == "OK"
    trainer.save(tmp_path / "run")
    again = ctypes.c_void_p()
    out, dtype = ctypes.addressof(again), dtype_of(dtype)
    path = str(tmp_path / "run").encode()
    assert code(api.load_trainer(path, dtype, dtype, 12, out)) == "OK"
    own = ctypes.c_void_p()
    assert code(api.trainer_network(again, ctypes.addressof(own))) == "OK"
    assert code(api.close_trainer(again)) == "OK"  # the network lives on
    w = np.empty(net.n_parameters, net.dtype)
    assert code(api.get_parameters(own, address(w), w.size)) == "OK"
    np.testing.assert_array_equal(w, net.parameters)
    assert code(api.close_network(own)) == "OK"
    loaded = fb.Trainer.load(tmp_path / "run")
    assert door.step(x, None, labels, None, 12, None) == "OK"
    loaded.step(x, labels)
    np.testing.assert_array_equal(loaded.network.parameters, net.parameters)
    loaded.end_epoch(), trainer.end_epoch()
    assert loaded.history["accuracy"] == trainer.history["accuracy"]
    assert code(api.load_network(path, dtype, dtype, 0, out)) == "OK"
    y = np.empty((12, 3), net.dtype)
    assert code(api.predict(again, address(x), 12, address(y))) == "OK"


def test_a_step_along_dy_is_that_of_a_custom_loss():
    net = network("float64")
    x, dy = rows(net, 4), rows(net, 4, 1, 3)
    trainer = fb.Trainer(net, "mse", fb.Adam(0.01), seed=0)

    def own(outputs, _):
        return np.full(4, 2.5), dy * 4

    twin = fb.Trainer(net.copy(), own, fb.Adam(0.01), seed=0)
    door = Handle(trainer)
    for _ in range(3):
        assert door.step_from(x, dy, 4, 2.5) == "OK"
        twin.step(x, np.zeros((4, 3)))
        np.testing.assert_array_equal(net.parameters, twin.network.parameters)
    assert door.step_from(x, dy, 4, np.nan) == "OK"  # no share in the mean
    trainer.end_epoch(), twin.end_epoch()
    assert trainer.history["loss"] == twin.history["loss"] == [2.5]


@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_and_lerp(dtype):
    net, other, target = network(dtype), network(dtype, seed=2), network(dtype, seed=3)
    from_door, door, twin = Handle(other, 0), Handle(net, 0), net.copy()
    for tau in (0.0, 0.005, 0.3, 1.0):
        assert door.lerp(from_door, tau) == "OK"
        twin.lerp(other, tau)
        np.testing.assert_array_equal(net.parameters, twin.parameters)
    assert Handle(target, 0).copy_parameters(from_door) == "OK"
    np.testing.assert_array_equal(target.parameters, other.parameters)
    assert door.copy_parameters(door) == "OK" == door.lerp(door, 0.5)
    for tau in (-0.1, 1.1, np.nan):
        assert door.lerp(from_door, tau) == "VALUE"
    before = net.parameters
    for unlike in (
        network(dtype, "tanh"),
        network(dtype, n_out=4),
        network("float64" if dtype == "float32" else "float32"),
        with_map(dtype).fold(),
    )[:3]:
        assert (
            door.copy_parameters(Handle(unlike, 0)) == "FORM" == door.lerp(Handle(unlike, 0), 0.5)
        )
    np.testing.assert_array_equal(net.parameters, before)


def test_threads_predict_on_one_handle_each_in_its_own_scratch():
    net = fb.Network(20, [fb.Dense(64, "gelu"), fb.Dense(10, "softmax")], seed=0)
    door, x = Handle(net, 0), rows(net, 700)
    wanted, found = net.predict(x), [np.zeros((700, 10), np.float32) for _ in range(4)]
    results = []

    def work(y):
        room = np.zeros(door.scratch_bytes(700), np.uint8)
        for _ in range(20):
            results.append(door.predict_with(x, 700, y, room, room.size))

    threads = [threading.Thread(target=work, args=(y,)) for y in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {"OK"}
    for y in found:
        np.testing.assert_array_equal(y, wanted)
    assert door.close() == "OK"


# What is refused


BAD = {
    "network": {  # calls on good arrays and what is changed about them, by their place
        "predict": [({0: None}, "NULL"), ({2: None}, "NULL"), ({1: 0}, "SIZE"),
                    ({1: 2**62}, "SIZE")],
        "predict_with": [({0: None}, "NULL"), ({2: None}, "NULL"), ({3: None}, "NULL"),
                         ({1: 0}, "SIZE"), ({4: 100}, "SIZE"), ({4: -1}, "SIZE")],
        "backward": [({0: None}, "NULL"), ({1: None}, "NULL"), ({2: 0}, "SIZE"), ({2: 65}, "SIZE")],
        "get_parameters": [({0: None}, "NULL"), ({1: 5}, "SIZE")],
        "set_parameters": [({0: None}, "NULL"), ({1: 5}, "SIZE")],
        "copy_parameters": [({0: None}, "NULL")],
        "lerp": [({0: None}, "NULL")],
        "sizes": [({0: None}, "NULL")],
        "object": [({0: None}, "NULL")],
        "scratch_bytes": [({0: 0}, "SIZE"), ({0: -3}, "SIZE")],
    },
    "trainer": {
        "gradient": [({0: None}, "NULL"), ({2: None}, "NULL"), ({4: 0}, "SIZE"), ({4: 65}, "SIZE")],
        "step": [({0: None}, "NULL"), ({2: None}, "NULL"), ({4: 0}, "SIZE"), ({4: 65}, "SIZE")],
        "step_from": [({0: None}, "NULL"), ({1: None}, "NULL"), ({2: 65}, "SIZE")],
        "sizes": [({0: None}, "NULL")],
        "steps": [({0: None}, "NULL")],
        "object": [({0: None}, "NULL")],
        "network": [({0: None}, "NULL")],
    },
}  # fmt: skip


def arrays(net):
    """Arguments of each function that are right, on arrays that would show what is written."""
    n, k = 6, net.n_outputs
    x, dy, y = rows(net, n), rows(net, n, 1, k), np.full((n, k), 7, net.dtype)
    labels, weights = np.arange(n) % k, np.ones(n)
    dw, dx = np.full(net.n_parameters, 7, net.dtype), np.full_like(x, 7)
    room, loss = np.zeros(1 << 16, np.uint8), ctypes.c_double(7)
    other, pointer = Handle(net.copy(), 0), ctypes.c_void_p(7)
    return {
        "predict": [x, n, y],
        "predict_with": [x, n, y, room, room.size],
        "backward": [x, dy, n, dw, dx],
        "get_parameters": [dw, dw.size],
        "set_parameters": [net.parameters, dw.size],
        "copy_parameters": [other],
        "lerp": [other, 0.5],
        "sizes": [Sizes()],
        "object": [pointer],
        "network": [pointer],
        "scratch_bytes": [n],
        "steps": [ctypes.c_int64(7)],
        "gradient": [x, None, labels, weights, n, loss, dw, dx],
        "step": [x, None, labels, weights, n, loss],
        "step_from": [x, dy, n, 0.5],
    }


def untouched(net, before, arguments):
    """Nothing was written."""
    np.testing.assert_array_equal(net.parameters, before)
    for one in arguments:
        if isinstance(one, np.ndarray) and one.dtype.kind == "f" and (one == 7).any():
            assert (one == 7).all()
        elif isinstance(one, ctypes.c_double | ctypes.c_int64 | ctypes.c_void_p):
            assert one.value == 7


@pytest.mark.parametrize("kind", BAD)
def test_bad_arguments_are_codes_and_nothing_is_written(kind):
    net = network("float32", "softmax")
    trainer = fb.Trainer(net, "cross_entropy", seed=0)
    door = Handle(trainer if kind == "trainer" else net)
    other = Handle(net if kind == "trainer" else trainer)
    before, closed = net.parameters, Handle(net.copy())
    if kind == "trainer":
        closed = Handle(fb.Trainer(net.copy(), "cross_entropy"))
    null = Handle(net)
    null.pointer, null.kind = ctypes.c_void_p(), kind
    assert closed.close() == "OK"
    for name, cases in BAD[kind].items():
        for changed, wanted in cases:
            arguments = arrays(net)[name]
            for place, value in changed.items():
                arguments[place] = value
            assert getattr(door, name)(*arguments) == wanted, (name, changed)
            untouched(net, before, arguments)
        arguments = arrays(net)[name]
        other.kind = kind
        assert getattr(null, name)(*arguments) == "NULL", name
        assert getattr(closed, name)(*arguments) == "HANDLE", name
        assert getattr(other, name)(*arguments) == "HANDLE", name
        untouched(net, before, arguments)
    for name in ("close", "refresh"):
        assert getattr(null, name)() == "NULL"
        assert getattr(closed, name)() == "HANDLE" == getattr(other, name)()
    assert trainer.n_steps == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", ["predict", "predict_with", "backward", "gradient", "step", "step_from"]
)
def test_rows_that_are_not_finite(name, bad):
    for net in (network("float32", "softmax"), with_map("float64")):
        trainer = fb.Trainer(net, "mse", seed=0)
        door = Handle(net if hasattr(api, name) and name[:2] in ("pr", "ba") else trainer, 200)
        before, arguments = net.parameters, arrays(net)[name]
        arguments[0][5, 4] = bad
        assert getattr(door, name)(*arguments) == "INPUT"
        untouched(net, before, arguments)
        assert trainer.n_steps == 0
    if name == "predict":
        x, y = rows(net, 300), np.full((300, 3), 7.0)
        x[299, 0] = bad
        assert door.predict(x, 300, y) == "INPUT"
        assert (y == 7).all()


@pytest.mark.parametrize("name", ["backward", "step_from"])
def test_dy_that_is_not_finite(name):
    net = network("float32")
    door = Handle(net if name == "backward" else fb.Trainer(net, "mse", seed=0))
    before, arguments = net.parameters, arrays(net)[name]
    arguments[1][0, 0] = np.nan
    assert getattr(door, name)(*arguments) == "TARGET"
    untouched(net, before, arguments)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_targets_are_refused_where_python_refuses_them(loss):
    net = network("float64", *LOSSES[loss])
    trainer = fb.Trainer(net, loss, fb.SGD(1e-3), seed=0)
    door, twin = Handle(trainer), fb.Trainer(net.copy(), loss, fb.SGD(1e-3), seed=0)
    n, k = 4, net.n_outputs
    x, one_hot = rows(net, n), np.eye(k)[np.arange(n) % k]
    cases = [one_hot, one_hot * 2 - 1, one_hot * 0.5 + 0.25, one_hot * 1.002, one_hot + 1e-4,
             one_hot * 0, one_hot - 0.1, one_hot * 3, one_hot * np.nan, one_hot + np.inf,
             np.full((n, k), 1 / k), np.full((n, k), 0.3), np.ones((n, k))]  # fmt: skip
    cases += [np.arange(n) % k, np.array([0, 1, 0, -1]), np.array([0, k, 0, 1])]
    refused = []
    for y in cases:
        y = np.array(y, np.float64 if y.ndim == 2 else np.int64)
        wanted = "OK"
        try:
            with np.errstate(invalid="ignore"):
                twin.step(x, y)
        except fb.errors.FastbpError:
            wanted = "TARGET"
        assert door.step(x, *given(y), None, n, None) == wanted, y
        np.testing.assert_array_equal(net.parameters, twin.network.parameters)
        refused.append(wanted == "TARGET")
    assert {True, False} == set(refused)


def test_weights_of_rows():
    net = network("float32", "softmax")
    trainer = fb.Trainer(net, "cross_entropy", seed=0)
    door, before = Handle(trainer), net.parameters
    for weights in ([-1, 1, 1, 1, 1, 1], [np.nan] * 6, [np.inf] + [1] * 5, [1e39] * 6):
        for name in ("gradient", "step"):
            arguments = arrays(net)[name]
            arguments[3] = np.array(weights, np.float64)
            assert getattr(door, name)(*arguments) == "WEIGHT"
            untouched(net, before, arguments)
    for name, wanted in (("gradient", "WEIGHT"), ("step", "OK")):
        arguments = arrays(net)[name]
        arguments[3] = np.zeros(6)
        assert getattr(door, name)(*arguments) == wanted
    assert np.isnan(arguments[5].value)
    arguments = arrays(net)["step"]
    arguments[2], arguments[3] = np.array([0, 1, 2, 0, 1, -1]), np.array([1.0, 1, 1, 1, 1, 0])
    assert door.step(*arguments) == "OK"  # what a row of weight 0 has does not matter


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "optimizer", [fb.SGD(1e38, momentum=0.9), fb.Adam(1e38), fb.Adagrad(1e300)], ids=repr
)
def test_a_step_that_is_not_finite_leaves_all_as_it_was(optimizer, dtype):
    net = fb.Network(5, [fb.Dense(3)], dtype=dtype, seed=0)
    big = np.float64(1e30) if dtype == "float32" else 1e300
    trainer = fb.Trainer(net, "mse", optimizer, seed=0)
    x, y = rows(net, 6), np.zeros((6, 3), dtype)
    door = Handle(trainer)
    codes = []
    for scale in (1, 1, 1e3, 1e6, big, 1):
        before, steps, held = net.parameters, trainer.n_steps, trainer._state.memory.values.copy()
        value = ctypes.c_double(7)
        with np.errstate(all="ignore"):
            rows_of_step = (x * scale).astype(dtype)
        codes.append(door.step(rows_of_step, y, None, None, 6, value))
        if codes[-1] != "OK":
            np.testing.assert_array_equal(net.parameters, before)
            np.testing.assert_array_equal(trainer._state.memory.values, held)
            assert (trainer.n_steps, value.value) == (steps, 7)
    assert set(codes) <= {"OK", "DIVERGED"}
    assert "DIVERGED" in codes
    assert np.isfinite(net.parameters).all()
    with pytest.raises(fb.errors.DivergenceError):  # Python finds the same
        for scale in (1e6, big):
            trainer.step((x * scale).astype(dtype), y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [partial(fb.SGD, momentum=0.9), fb.Adam, fb.RMSprop])
def test_an_update_that_is_not_finite_is_undone(kind, dtype):
    """Its loss is finite, so that parameters and state have been written."""
    most = float(np.finfo(dtype).max)
    net = network(dtype)
    own, twin = (
        fb.Trainer(one, "mse", kind(lambda step: 0.01 if step < 2 else most), seed=0)
        for one in (net, net.copy())
    )
    door, x, y = Handle(own), rows(net, 6) * 10, rows(net, 6, 1, 3) * 10
    for _ in range(2):
        assert door.step(x, y, None, None, 6, None) == "OK"
        twin.step(x, y)
    before, held = net.parameters, own._state.memory.values.copy()
    assert held.any()
    for _ in range(2):
        assert door.step(x, y, None, None, 6, None) == "DIVERGED"
        with pytest.raises(fb.errors.DivergenceError):
            twin.step(x, y)
        np.testing.assert_array_equal(net.parameters, before)
        np.testing.assert_array_equal(net.parameters, twin.network.parameters)
        np.testing.assert_array_equal(own._state.memory.values, held)
        assert own.n_steps == twin.n_steps == 2
    for one in (own, twin):
        one.optimizer = kind(0.01)
    assert door.refresh() == "OK" == door.step(x, y, None, None, 6, None)
    twin.step(x, y)
    np.testing.assert_array_equal(net.parameters, twin.network.parameters)


def test_learning_rates_are_computed_ahead(monkeypatch):
    monkeypatch.setattr(embedding, "RATES_AHEAD", 3)

    def rate(step):
        if step == 7:
            raise fb.errors.ConfigError("over")
        return 0.1

    net = network("float32")
    trainer = fb.Trainer(net, "mse", fb.SGD(rate), seed=0)
    door, x, y = Handle(trainer), rows(net, 2), rows(net, 2, 1, 3)
    found = []
    for _ in range(2):
        found += [door.step(x, y, None, None, 2, None) for _ in range(4)]
        assert door.refresh() == "OK"
    assert found == ["OK", "OK", "OK", "RATES"] * 2
    assert [door.step(x, y, None, None, 2, None) for _ in range(2)] == ["OK", "RATES"]
    assert door.refresh() == "UNSUPPORTED"
    assert b"over" in api.message()
    assert trainer.n_steps == 7


CHANGES = {
    "trainable": lambda trainer: setattr(trainer.network.layers[0], "trainable", False),
    "preprocessing": lambda trainer: setattr(
        trainer.network, "preprocessing", with_map("float32").preprocessing
    ),
    "l2": lambda trainer: setattr(trainer, "l2", 0.1),
    "optimizer": lambda trainer: setattr(trainer, "optimizer", fb.Adam(0.01)),
    "step": lambda trainer: trainer.step(np.zeros((3, 5)), np.zeros((3, 3))),
    "parameters": lambda trainer: setattr(
        trainer.network, "parameters", trainer.network.parameters / 2
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_python_changes_is_noticed(name):
    trainers = [fb.Trainer(network("float32"), "mse", fb.SGD(0.1, 0.9), seed=0) for _ in range(2)]
    trainer, twin = trainers
    net, x, y = trainer.network, rows(trainer.network, 8), rows(trainer.network, 8, 1, 3)
    door, predicting, out = Handle(trainer), Handle(net, 8), np.full((8, 3), 7, np.float32)
    assert door.step(x, y, None, None, 8, None) == "OK"
    twin.step(x, y)
    for one in trainers:
        CHANGES[name](one)
    before = net.parameters
    assert door.step(x, y, None, None, 8, None) == "CHANGED"
    np.testing.assert_array_equal(net.parameters, before)
    of_layers = name in ("trainable", "preprocessing")
    assert predicting.predict(x, 8, out) == ("CHANGED" if of_layers else "OK")
    assert predicting.refresh() == "OK" == predicting.predict(x, 8, out) == door.refresh()
    np.testing.assert_array_equal(out, net.predict(x))
    assert door.step(x, y, None, None, 8, None) == "OK"
    twin.step(x, y)
    np.testing.assert_array_equal(net.parameters, twin.network.parameters)


def test_while_python_trains_nobody_else_writes():
    net = network("float32")
    trainer = fb.Trainer(net, "mse", seed=0)
    door, own, other = Handle(trainer), Handle(net), Handle(net.copy(), 0)
    x, y, w = rows(net, 8), rows(net, 8, 1, 3), net.parameters
    found = []

    def look(trainer, history):
        found.append(
            [door.step(x, y, None, None, 8, None), door.refresh(), own.get_parameters(w, w.size),
             own.set_parameters(w, w.size), own.lerp(other, 0.5), other.copy_parameters(own)]
        )  # fmt: skip
        found.append(
            [own.predict(x, 8, y.copy()), door.gradient(x, y, None, None, 8, None, w, None)]
        )

    trainer.fit(x, y, epochs=1, callbacks=[look])
    assert found == [["BUSY"] * 6, ["OK", "OK"]]


def own_loss(outputs, targets):
    return np.zeros(len(outputs)), outputs - targets


def whole_map():
    net = network("float32")
    net.preprocessing = fb.preprocess.PCA().fit(rows(net, 50))
    return net


OPENING = {  # what is opened and how, the code and a word of the message
    "a list": (lambda: [], {}, "HANDLE", "wanted a Network"),
    "another dtype": (network, {"dtype": "float64"}, "DTYPE", "wanted float32"),
    "no rows": (lambda: fb.Trainer(network(), "mse"), {"max_rows": 0}, "SIZE", "at least 1"),
    "fewer rows": (network, {"max_rows": -1}, "SIZE", "at least 0"),
    "too many rows": (network, {"max_rows": 2**62}, "SIZE", "below 2**31"),
    "own loss": (lambda: fb.Trainer(network(), own_loss), {}, "UNSUPPORTED", "own_loss"),
    "LBFGS": (lambda: fb.Trainer(network(), "mse", fb.LBFGS(), None), {}, "UNSUPPORTED", "LBFGS"),
    "accumulate": (
        lambda: fb.Trainer(network(), "mse", accumulate=2), {}, "UNSUPPORTED", "accumulate: got 2",
    ),
    "classes": (
        lambda: fb.Trainer(network(out="softmax"), "cross_entropy", class_weight="balanced"), {},
        "UNSUPPORTED", "class_weight",
    ),
    "whole map": (whole_map, {}, "UNSUPPORTED", "fold"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPENING)
def test_what_cannot_be_opened(name):
    make, options, wanted, words = OPENING[name]
    made = make()
    if isinstance(made, list):
        pointer = ctypes.c_void_p(7)
        assert code(api.open_network(id(made), 1, 1, 5, ctypes.addressof(pointer))) == wanted
        assert pointer.value == 7
    else:
        door = Handle(made, **options)
        assert (door.opened, door.pointer.value) == (wanted, None)
    assert words in api.message().decode()


def test_opening_by_bad_pointers_and_files(tmp_path):
    net, pointer = network(), ctypes.c_void_p(7)
    out = ctypes.addressof(pointer)
    for open_, given in ((api.open_network, id(net)), (api.load_network, b"no file")):
        assert code(open_(None, 1, 1, 5, out)) == "NULL" == code(open_(given, 1, 1, 5, None))
        assert code(open_(given, 3, 1, 5, out)) == "DTYPE" == code(open_(given, 1, 0, 5, out))
    assert code(api.load_network(str(tmp_path / "none").encode(), 1, 1, 5, out)) == "FILE"
    (tmp_path / "other").write_bytes(b"a text")
    assert code(api.load_trainer(str(tmp_path / "other").encode(), 1, 1, 5, out)) == "FILE"
    assert pointer.value == 7
    x, dy = rows(net, 1), rows(net, 1, 1, 3)
    assert Handle(net, 0).backward(x, dy, 1, None, None) == "UNSUPPORTED"


def test_a_handle_holds_its_network_and_lets_it_go():
    import gc
    import sys
    import weakref

    net = network()
    before = sys.getrefcount(net)
    door = Handle(net)
    assert sys.getrefcount(net) > before
    alive = weakref.ref(net)
    x = rows(net, 3)
    wanted = net.predict(x)
    del net
    gc.collect()
    y = np.empty((3, 3), np.float32)
    assert door.predict(x, 3, y) == "OK"
    np.testing.assert_array_equal(y, wanted)
    out = ctypes.py_object()
    assert door.object(out) == "OK"
    assert out.value is alive()
    ctypes.pythonapi.Py_DecRef(out)
    del out
    assert door.close() == "OK" != door.close()
    gc.collect()
    assert alive() is None


def test_limits_need_rows_of_their_own_block():
    """Sums of squares depend on how many rows of a weight a block has: no other bits in silence."""
    small = fb.Network(128, [fb.Dense(3)], seed=0)  # one block in any case
    trainer = fb.Trainer(small, "mse", fb.SGD(0.1), clip_norm=0.1, seed=0)
    twin = fb.Trainer(small.copy(), "mse", fb.SGD(0.1), clip_norm=0.1, seed=0)
    x, y = rows(small, 5), rows(small, 5, 1, 3)
    assert Handle(trainer, 300).step(x, y, None, None, 5, None) == "OK"
    twin.step(x, y)
    np.testing.assert_array_equal(small.parameters, twin.network.parameters)
    net = fb.Network(200, [fb.Dense(3)], seed=0)
    trainer = fb.Trainer(net, "mse", fb.SGD(0.1), clip_norm=0.1, seed=0)
    x, y = rows(net, 129), rows(net, 129, 1, 3)
    door, before = Handle(trainer, 129), net.parameters
    assert door.step(x, y, None, None, 128, None) == "SIZE"
    np.testing.assert_array_equal(net.parameters, before)
    twin = fb.Trainer(net.copy(), "mse", fb.SGD(0.1), clip_norm=0.1, seed=0)
    assert door.step(x, y, None, None, 129, None) == "OK"
    twin.step(x, y)
    np.testing.assert_array_equal(net.parameters, twin.network.parameters)


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_behind_a_map_on_rows_of_float64(dtype):
    trainer = fb.Trainer(with_map(dtype), "mse", fb.Adam(0.01), seed=0)
    twin = fb.Trainer(with_map(dtype), "mse", fb.Adam(0.01), seed=0)
    net, value = trainer.network, ctypes.c_double()
    x = rows(net, 30).astype(np.float64) * 3 + 1e-9
    y, dx = rows(net, 30, 1, 3), np.empty((30, 5), dtype)
    door = Handle(trainer, x_dtype="float64")
    for n in (30, 3, 12):
        wanted = net.gradients(x[:n], y[:n], "mse", inputs=True)
        assert door.gradient(x, y, None, None, n, value, None, dx) == "OK"
        assert value.value == wanted[0]
        np.testing.assert_array_equal(dx[:n], wanted[2])
        assert door.step(x, y, None, None, n, value) == "OK"
        assert value.value == twin.step(x[:n], y[:n])
        np.testing.assert_array_equal(net.parameters, twin.network.parameters)


def test_the_best_weights_of_epochs_of_one_step():
    """Those from before it: the loss of a step is that of the weights it begins with."""
    own, twin = (fb.Trainer(network("float64"), "mse", fb.SGD(0.9), seed=0) for _ in range(2))
    x, y = rows(own.network, 8), rows(own.network, 8, 1, 3)
    stops = [[fb.EarlyStopping(2, monitor="loss")] for _ in range(2)]
    door = Handle(own)
    for _ in range(60):
        assert door.step(x, y, None, None, 8, None) == "OK"
        twin.step(x, y)
        reasons = own.end_epoch(callbacks=stops[0]), twin.end_epoch(callbacks=stops[1])
        np.testing.assert_array_equal(own.network.parameters, twin.network.parameters)
        if any(reasons):
            break
        assert door.refresh() == "OK"
    assert all(reasons)


def test_calls_allocate_nothing_and_opening_without_memory_is_a_code():
    net = network("float32", "softmax")
    trainer = fb.Trainer(net, "cross_entropy", fb.Adam(0.01), seed=0)
    opened = {"network": Handle(net), "trainer": Handle(trainer)}
    arguments = arrays(net)  # with handles of its own
    before = runtime.live_bytes()
    for kind, door in opened.items():
        for name in BAD[kind]:
            if name in ("object", "network"):
                continue
            try:
                runtime.fail_allocation(1)
                found = getattr(door, name)(*arguments[name])
            finally:
                runtime.fail_allocation(0)
            assert found == "OK" or name == "scratch_bytes", name
    assert runtime.live_bytes() == before
    parameters, codes = net.parameters, set()
    for given in (net, trainer):
        for n in range(1, 40):
            try:
                runtime.fail_allocation(n)
                door = Handle(given)
            finally:
                runtime.fail_allocation(0)
            codes.add(door.opened)
            if door.opened == "OK":
                assert door.close() == "OK"
                break
            assert door.pointer.value is None
    assert codes == {"OK", "MEMORY"}
    np.testing.assert_array_equal(net.parameters, parameters)
    assert opened["trainer"].refresh() == "OK"
    assert opened["trainer"].step(*arrays(net)["step"]) == "OK"


def test_two_calls_in_the_memory_of_one_handle():
    """One of them is refused, and a handle in use is not closed."""
    net = fb.Network(50, [fb.Dense(200, "tanh"), fb.Dense(3)], seed=0)
    door, x = Handle(net, 0), rows(net, 4000)
    found, wanted = [], net.predict(x)

    def work():
        y = np.zeros_like(wanted)
        for _ in range(10):
            result = door.predict(x, len(x), y)
            found.append(result)
            assert result != "OK" or (y == wanted).all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    closed = [door.close()]
    for thread in threads:
        thread.join()
    assert set(found) <= {"OK", "BUSY", "HANDLE"}
    assert closed[0] in ("OK", "BUSY")
    assert (closed[0] == "OK") == (door.close() == "HANDLE")
