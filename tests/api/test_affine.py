"""A map ahead of a network: applied by whatever takes x, saved, copied, folded."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from training import N_INPUTS, assert_refuses, classes, parameters

import fastbp as fb
from fastbp import errors
from fastbp.network import _rebuilt
from fastbp.preprocess import PCA, Affine, Center, Standardize, Whiten

X, Y = classes(dtype="float64")
X = X @ np.random.default_rng(3).standard_normal((N_INPUTS, N_INPUTS)) * 10 + np.arange(5)
MAPS = {"diagonal": Standardize().fit(X), "square": Whiten().fit(X), "narrow": PCA(3).fit(X)}


def layers():
    return [fb.Dense(7, "tanh"), fb.Dense(3, "softmax")]


@pytest.fixture(params=list(MAPS))
def ahead(request):
    return MAPS[request.param]


def pair(ahead, dtype="float64"):
    """A network with the map, and the same one for rows already mapped."""
    mapped = fb.Network(N_INPUTS, layers(), dtype, seed=0, preprocessing=ahead)
    plain = fb.Network(ahead.n_outputs, layers(), dtype, seed=0)
    assert parameters(mapped) == parameters(plain)
    return mapped, plain


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_that_take_x_map_it_first_and_once(ahead, dtype):
    mapped, plain = pair(ahead, dtype)
    z = ahead.transform(X).astype(dtype)
    assert mapped.n_inputs == N_INPUTS
    assert mapped.predict(X).tobytes() == plain.predict(z).tobytes()
    assert mapped.predict(X[3:4]).tobytes() == plain.predict(z)[3].tobytes()
    for one, other in zip(mapped.activations(X), plain.activations(z), strict=True):
        assert one.tobytes() == other.tobytes()
    a, b = (
        net.gradients(x, Y, "cross_entropy", inputs=True) for net, x in ((mapped, X), (plain, z))
    )
    assert a[0] == b[0]
    assert all(np.array_equal(p, q) for p, q in zip(sum(a[1], ()), sum(b[1], ()), strict=True))
    matrix = np.diag(ahead.matrix) if ahead.matrix.ndim == 1 else ahead.matrix
    assert a[2] == pytest.approx(b[2] @ matrix.T, rel=1e-5, abs=1e-12)
    assert a[2].dtype == dtype
    owners = [fb.Trainer(net, "cross_entropy", seed=0) for net in (mapped, plain)]
    histories = [
        owner.fit(x, Y, 3, validation_data=(x, Y), callbacks=[fb.GradientNorm(1e-9)])
        for owner, x in zip(owners, (X, z), strict=True)
    ]
    assert histories[0]["val_loss"] == histories[1]["val_loss"]
    assert owners[0].evaluate(X, Y) == owners[1].evaluate(z, Y)
    assert owners[0].step(X, Y) == owners[1].step(z, Y)
    assert parameters(mapped) == parameters(plain)


def test_gradients_by_central_differences(ahead):
    mapped, _ = pair(ahead)
    assert fb.gradient_check(mapped, X, Y, "cross_entropy").passed
    _, _, dx = mapped.gradients(X, Y, "cross_entropy", inputs=True)
    owner, step = fb.Trainer(mapped, "cross_entropy"), np.zeros_like(X)
    step[4, 2] = 1e-5
    upper, lower = (owner.evaluate(x, Y)["loss"] for x in (X + step, X - step))
    assert dx[4, 2] == pytest.approx((upper - lower) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_and_copied_with_the_network(ahead, dtype, tmp_path):
    mapped, _ = pair(ahead, dtype)
    mapped.save(tmp_path / "net")
    twins = [fb.load(tmp_path / "net"), mapped.copy(), copy.copy(mapped), copy.deepcopy(mapped)]
    for twin in [*twins, pickle.loads(pickle.dumps(mapped))]:
        assert twin.preprocessing.mean.tobytes() == ahead.mean.tobytes()
        assert twin.preprocessing.matrix.tobytes() == ahead.matrix.tobytes()
        assert twin.predict(X).tobytes() == mapped.predict(X).tobytes()
        assert repr(twin) == repr(mapped)


def test_a_forged_map_is_refused():
    mapped, _ = pair(MAPS["narrow"])
    description, tensors = mapped._architecture(), mapped._tensors()
    _rebuilt(description, tensors)
    for shape in ([5], [5, 2], [3, 3], [], [5, 3, 1]):
        with pytest.raises((ValueError, LookupError, TypeError)):
            _rebuilt(description | {"preprocessing": shape}, tensors)
    del description["preprocessing"]
    with pytest.raises(ValueError, match="do not fit"):
        _rebuilt(description, tensors)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 3e-5)])
def test_folded(ahead, dtype, tolerance):
    mapped, _ = pair(ahead, dtype)
    mapped.layers[0].bias[...] = np.linspace(-1, 1, 7)
    mapped.metadata["a"] = "b"
    before = parameters(mapped)
    folded = mapped.fold()
    assert parameters(mapped) == before
    assert (folded.preprocessing, folded.n_inputs) == (None, N_INPUTS)
    assert (folded.dtype, folded.metadata) == (mapped.dtype, mapped.metadata)
    wanted = mapped.predict(X)
    assert np.ptp(wanted[:, 0]) > 0.05
    assert folded.predict(X) == pytest.approx(wanted, abs=tolerance)
    matrix = np.diag(ahead.matrix) if ahead.matrix.ndim == 1 else ahead.matrix
    first = mapped.layers[0]
    weight = matrix @ first.weight.astype(np.float64)
    bias = first.bias - ahead.mean @ weight
    assert folded.layers[0].weight == pytest.approx(weight, rel=10 * tolerance, abs=tolerance)
    assert folded.layers[0].bias == pytest.approx(bias, rel=10 * tolerance, abs=tolerance)
    folded.layers[0].weight[...] = 0
    assert parameters(mapped) == before


def test_folding_without_a_map_is_a_copy():
    plain = fb.Network(N_INPUTS, layers(), seed=0)
    assert parameters(plain.fold()) == parameters(plain)
    assert plain.fold() is not plain


def test_a_map_may_be_attached_changed_and_taken_away():
    net = fb.Network(N_INPUTS, layers(), seed=0)
    plain = net.predict(X).tobytes()
    p = Center().fit(X)
    net.preprocessing = p
    attached = net.predict(X).tobytes()
    assert attached != plain
    p.fit(X + 1)
    assert net.predict(X).tobytes() == attached
    net.preprocessing = None
    assert net.predict(X).tobytes() == plain


def test_it_shows():
    mapped, plain = pair(MAPS["narrow"])
    assert repr(mapped).endswith("dtype='float64', preprocessing=Affine(5 to 3))")
    ahead, *rest = mapped.summary().splitlines()[1:]
    assert ahead.split() == ["input", "5", "to", "3", "affine", "map"]
    assert rest == plain.summary().splitlines()[1:]


def test_the_bits_do_not_depend_on_the_threads():
    ahead = Whiten().fit(np.random.default_rng(0).standard_normal((2000, 130)))
    x = np.random.default_rng(1).standard_normal((3000, 130))
    before, found = fb.get_num_threads(), set()
    try:
        for n in (1, 2, 3):
            fb.set_num_threads(n)
            found.add(ahead.transform(x).tobytes())
    finally:
        fb.set_num_threads(before)
    assert len(found) == 1


def test_what_cannot_be_attached():
    net = fb.Network(N_INPUTS, layers(), seed=0)
    for value, error, match in (
        ("zscore", errors.ConfigError, "preprocessing: got 'zscore'"),
        (Center(), errors.ConfigError, r"preprocessing: got Center\(\) without a fit"),
        (MAPS["narrow"], errors.ShapeError, "preprocessing: got a map to 3 columns, wanted 5"),
    ):
        with pytest.raises(error, match=match):
            net.preprocessing = value
    assert net.preprocessing is None
    with pytest.raises(errors.ShapeError, match="n_inputs: got 4 with a preprocessing of 5"):
        fb.Network(4, layers(), preprocessing=MAPS["narrow"])
    with pytest.raises(errors.ConfigError, match="preprocessing: got 'zscore'"):
        fb.Network(5, layers(), preprocessing="zscore")


def test_bad_rows_change_nothing():
    owner = fb.Trainer(pair(MAPS["diagonal"], "float32")[0], "cross_entropy", seed=0)
    owner.fit(X, Y)
    bad = X.copy()
    bad[3, 1] = np.nan
    assert_refuses(owner, lambda: owner.fit(bad, Y), errors.InputError, r"x: got nan at \[3, 1\]")
    assert_refuses(owner, lambda: owner.step(X[:, :3], Y), errors.ShapeError, "x: got shape")
    huge = lambda: owner.fit(X * 1e300, Y)  # noqa: E731
    assert_refuses(owner, huge, errors.InputError, "preprocessed x: got")
    with pytest.raises(errors.InputError, match="validation x: got nan"):
        owner.fit(X, Y, validation_data=(bad, Y))


class TestOutputs:
    def test_folded(self):
        network = fb.Network(3, [fb.Dense(5, "tanh"), fb.Dense(2)], "float64", seed=0)
        p = Standardize().fit([[1.0, 100], [3, 900], [8, 400]])
        x = np.random.default_rng(0).standard_normal((20, 3))
        wanted = network.predict(x) / p.matrix + p.mean
        p.fold_into_outputs(network)
        assert network.predict(x) == pytest.approx(wanted, rel=1e-9)

    def test_only_a_linear_output_and_a_diagonal_will_do(self):
        network = fb.Network(3, [fb.Dense(1, "sigmoid")], seed=0)
        with pytest.raises(errors.ConfigError, match=r"last layer: got Dense.*sigmoid"):
            Affine([0], [1]).fold_into_outputs(network)
        network = fb.Network(3, [fb.Dense(1)], seed=0)
        with pytest.raises(errors.ConfigError, match="matrix: got shape"):
            Affine([0], [[1]]).fold_into_outputs(network)
