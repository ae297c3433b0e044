"""Rows of other types than the network's: the engine converts them as it gathers, to the same bits.

The truth is the call on rows that NumPy has converted, and mapped, beforehand.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastbp as fb
from fastbp.engine.rows import Rows, usable
from fastbp.engine.runtime import NUMBERS

N_INPUTS, N_ROWS, CLASSES = 19, 150, 4
REALS = ["float32", "float64"]
MAPS = {
    "plain": lambda: None,
    "center": fb.preprocess.Center,
    "standardize": fb.preprocess.Standardize,
    "min-max": fb.preprocess.MinMax,
}


def rows_of(name: str, n: int = N_ROWS) -> np.ndarray:
    """Numbers over a wide part of the type's range, no two columns alike."""
    rng = np.random.default_rng(5)
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return (rng.standard_normal((n, N_INPUTS)) * 3 + 1).astype(dtype)
    if dtype.kind == "b":
        return rng.random((n, N_INPUTS)) < 0.4
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (n, N_INPUTS), dtype, endpoint=True)


def labels() -> np.ndarray:
    return np.random.default_rng(6).integers(0, CLASSES, N_ROWS)


def network(dtype: str, preprocessing=None, scale: float = 1.0) -> fb.Network:
    layers = [fb.Dense(24, "tanh"), fb.Dense(CLASSES, "softmax")]
    net = fb.Network(N_INPUTS, layers, dtype, seed=3, preprocessing=preprocessing)
    net.layers[0].weight *= scale
    return net


def pair(name: str, kind: str, dtype: str):
    """Rows and a network; the rows that NumPy makes of them and a network that takes those."""
    x = rows_of(name)
    affine = MAPS[kind]()
    # Without a map the numbers may be huge: then the weights are tiny.
    scale = 1 / max(1.0, float(np.abs(x.astype(float)).max())) if affine is None else 1.0
    if affine is None:
        return x, network(dtype, scale=scale), x.astype(dtype), network(dtype, scale=scale)
    affine.fit(x)
    mapped = ((x - affine.mean) * affine.matrix).astype(dtype)
    return x, network(dtype, affine), mapped, network(dtype)


def trainer(net: fb.Network, batch_size: int = 32, loss="cross_entropy", n_threads: int = 2):
    return fb.Trainer(net, loss, fb.SGD(1e-3), batch_size, seed=1, n_threads=n_threads)


def same(a, b) -> bool:
    """Whether two trees of arrays and numbers have the same bits."""
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(*both) for both in zip(a, b, strict=True))
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("name", NUMBERS)
def test_every_call_has_the_bits_of_converted_rows(name, kind):
    turn = list(NUMBERS).index(name) + list(MAPS).index(kind)
    x, net, converted, twin = pair(name, kind, REALS[turn % 2])
    y = labels()
    assert usable(x)
    assert same(net.predict(x), twin.predict(converted))
    assert same(net.activations(x), twin.activations(converted))
    found, wanted = (
        n.gradients(rows, y, "cross_entropy") for n, rows in [(net, x), (twin, converted)]
    )
    assert same(found, wanted)
    a, b = trainer(net), trainer(twin)
    assert a.evaluate(x, y) == b.evaluate(converted, y)
    a.fit(x, y, epochs=2, validation_data=(x, y))
    b.fit(converted, y, epochs=2, validation_data=(converted, y))
    assert a.step(x[:9], y[:9]) == b.step(converted[:9], y[:9])
    for key in ("loss", "val_loss"):
        assert a.history[key] == b.history[key]
    assert same(net.layers[0].weight, twin.layers[0].weight)
    assert len(np.unique(net.layers[0].weight)) > 1


def test_kernel_sets_agree(dtype, isa, use_isa):
    use_isa(isa)
    scale, chosen = np.linspace(0.5, 2, N_INPUTS), np.array([3, 140, 0])
    for name in NUMBERS:
        x = rows_of(name)
        centre = x.astype(float).mean(axis=0)
        assert same(Rows(x).converted(dtype), x.astype(dtype)), name
        wanted = ((x - centre) * scale).astype(dtype)
        assert same(Rows(x, centre, scale).converted(dtype), wanted), name
        assert same(Rows(x, centre, scale)[chosen].converted(dtype), wanted[chosen]), name


def test_a_custom_loss_sees_the_rows_too():
    def squares(outputs, targets):
        d = outputs - np.eye(CLASSES, dtype=outputs.dtype)[targets]
        return (d * d).sum(axis=1), 2 * d

    x, net, converted, twin = pair("uint8", "standardize", "float32")
    y = labels()
    a, b = trainer(net, loss=squares), trainer(twin, loss=squares)
    a.fit(x, y, epochs=2)
    b.fit(converted, y, epochs=2)
    assert same(net.layers[0].weight, twin.layers[0].weight)
    assert a.evaluate(x, y) == b.evaluate(converted, y)


def test_a_read_only_memmap_is_used_in_place(tmp_path):
    x, net, converted, twin = pair("int16", "center", "float32")
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = net._weighted_examples(mapped, labels(), net._loss("cross_entropy"), None)[0]
    assert np.shares_memory(rows.data, mapped)
    trainer(net).fit(mapped, labels())
    trainer(twin).fit(converted, labels())
    assert same(net.layers[0].weight, twin.layers[0].weight)


@pytest.mark.parametrize(
    "form",
    [
        np.asfortranarray,
        lambda x: x.astype(x.dtype.newbyteorder()),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x.tolist(),
    ],
    ids=["fortran", "swapped", "strided", "list"],
)
@pytest.mark.parametrize("kind", ["plain", "standardize"])
def test_other_forms_are_converted_first(form, kind):
    x, net, converted, twin = pair("float64", kind, "float32")
    assert not usable(form(x))
    assert same(net.predict(form(x)), twin.predict(converted))


CALLS = {
    "fit": lambda net, x: trainer(net).fit(x, labels()),
    "step": lambda net, x: trainer(net).step(x, labels()),
    "evaluate": lambda net, x: trainer(net).evaluate(x, labels()),
    "predict": lambda net, x: net.predict(x),
    "activations": lambda net, x: net.activations(x),
    "gradients": lambda net, x: net.gradients(x, labels(), "cross_entropy"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (np.nan, "plain", r"^x: got nan at \[137, 5\]"),
        (1e300, "plain", r"^x: got inf at \[137, 5\] \(as float32\)"),
        (-np.inf, "center", r"^x: got -inf at \[137, 5\]"),
        (1e300, "center", r"^preprocessed x: got inf at \[137, 5\] \(as float32\)"),
    ],
)
def test_a_number_that_is_not_finite_in_the_network_is_named(call, value, kind, message):
    x = rows_of("float64")
    affine = MAPS[kind]()
    net = network("float32", None if affine is None else affine.fit(x))
    before = net.layers[0].weight.copy()
    x[137, 5] = value
    with pytest.raises(fb.errors.InputError, match=message):
        CALLS[call](net, x)
    assert same(net.layers[0].weight, before)


def wide_rows(name: str) -> np.ndarray:
    """450 rows so wide that a map takes them in four blocks."""
    return np.tile(rows_of(name, 450), (1, 220))


def wide_map(x: np.ndarray, n_outputs: int = 9) -> fb.preprocess.Affine:
    rng = np.random.default_rng(8)
    matrix = rng.standard_normal((x.shape[1], n_outputs)) / np.sqrt(x.shape[1])
    return fb.preprocess.Affine(
        x.astype(float).mean(axis=0), matrix / max(1.0, x.astype(float).std())
    )


@pytest.mark.parametrize("name", ["float32", "float64", "uint8", "int64", "bool"])
@pytest.mark.parametrize("loss", ["cross_entropy", None])
def test_a_whole_matrix_is_applied_block_by_block(name, loss):
    def squares(outputs, targets):
        d = outputs - np.eye(CLASSES, dtype=outputs.dtype)[targets]
        return (d * d).sum(axis=1), 2 * d

    x, y = wide_rows(name), np.tile(labels(), 3)
    affine = wide_map(x)
    layers = [fb.Dense(24, "tanh"), fb.Dense(CLASSES, "softmax")]
    net = fb.Network(x.shape[1], layers, seed=3, preprocessing=affine)
    twin = fb.Network(9, layers, seed=3)
    assert len(list(net._mapped(x).blocks())) == 4
    mapped = affine._transform(x, net.dtype, "x")
    np.testing.assert_allclose(mapped, (x - affine.mean) @ affine.matrix, rtol=0, atol=1e-5)
    weights = np.linspace(0, 2, len(x))
    assert same(net.predict(x), twin.predict(mapped))
    assert same(net.activations(x), twin.activations(mapped))
    a, b = trainer(net, loss=loss or squares), trainer(twin, loss=loss or squares)
    assert a.evaluate(x, y) == b.evaluate(mapped, y)
    assert a.evaluate(x, y, weights) == b.evaluate(mapped, y, weights)
    a.fit(x, y)
    b.fit(mapped, y)
    assert same(net.layers[0].weight, twin.layers[0].weight)


def test_blocks_name_rows_as_the_array_counts_them():
    x = wide_rows("float64")
    net = fb.Network(x.shape[1], [fb.Dense(2)], preprocessing=wide_map(x))
    x[290, 2] = 1e200
    with pytest.raises(fb.errors.InputError, match=r"^preprocessed x: got -?inf at \[290, "):
        net.predict(x)
    x[290, 2] = np.nan
    with pytest.raises(fb.errors.InputError, match=r"^x: got nan at \[290, 2\]"):
        net.predict(x)


def test_integers_that_are_not_finite_after_the_preprocessing_are_refused():
    scale = fb.preprocess.Affine([0.0], [1e30])
    owner = fb.Trainer(fb.Network(1, [fb.Dense(1)], preprocessing=scale), "mse")
    for call in (owner.fit, owner.step, owner.evaluate):
        with pytest.raises(fb.errors.InputError, match=r"^preprocessed x: got inf at \[1, 0\]"):
            call(np.array([[1], [10**9]]), [[0.0], [0.0]])


@pytest.mark.parametrize("kind", ["center", "standardize", "min-max"])
def test_maps_are_fitted_in_place_to_the_bits_of_float64(kind):
    for name in NUMBERS:
        x = rows_of(name)
        found, wanted = MAPS[kind]().fit(x), MAPS[kind]().fit(x.astype(float))
        if name != "float32":
            assert same(found.mean, wanted.mean), name
        np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-12, err_msg=name)


def test_shapes_are_checked_before_anything():
    net = network("float32")
    with pytest.raises(fb.errors.ShapeError, match="wanted \\(n, 19\\)"):
        net.predict(np.zeros((3, 18), np.uint8))
    with pytest.raises(fb.errors.ShapeError, match="reshape"):
        net.predict(np.zeros(19, np.uint8))
    with pytest.raises(fb.errors.InputError, match="no rows"):
        net.predict(np.zeros((0, 19), np.uint8))


def test_divergence_names_the_layer_from_converted_rows():
    x, y = rows_of("int32"), labels().astype(float)
    messages = []
    for rows in (x, x.astype("float32")):
        net = fb.Network(N_INPUTS, [fb.Dense(8), fb.Dense(1)], seed=0)
        with pytest.raises(fb.errors.DivergenceError) as caught:
            fb.Trainer(net, "mse", fb.SGD(1.0), seed=0).fit(rows, y, epochs=3)
        messages.append(str(caught.value))
    assert "layers[1]" in messages[0]
    assert messages[0] == messages[1]


def test_unix_times_keep_their_digits():
    rng = np.random.default_rng(0)
    seconds = rng.uniform(0, 600, (400, 1))
    y = np.sin(seconds / 100)
    histories = []
    for x in (1.7e9 + seconds, seconds):
        affine = fb.preprocess.Standardize().fit(x)
        layers = [fb.Dense(16, "tanh"), fb.Dense(1)]
        net = fb.Network(1, layers, seed=0, preprocessing=affine)
        histories.append(fb.Trainer(net, "mse", fb.Adam(0.01), seed=0).fit(x, y, epochs=30))
    times, centred = (history["loss"] for history in histories)
    assert times[-1] < 0.5 * times[0]
    np.testing.assert_allclose(times, centred, rtol=1e-2)
