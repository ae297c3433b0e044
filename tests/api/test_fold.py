"""Network.fold where the first layer is a gate: the same outputs for raw rows, or a named error."""

from __future__ import annotations

import numpy as np
import pytest
from gate_networks import SEED, dense, gated, maxout

import fastbp as fb
from fastbp import errors
from fastbp.preprocess import PCA, Affine, Center, MinMax, Standardize, Whiten

N_INPUTS = 5
_rng = np.random.default_rng(3)
X = _rng.standard_normal((50, N_INPUTS)) @ _rng.standard_normal((N_INPUTS, N_INPUTS)) * 3 + 1
MAPS = {"diagonal": Standardize().fit(X), "square": Whiten().fit(X), "narrow": PCA(3).fit(X)}


def inner(units):
    return fb.Residual([gated(4), dense(units)])


# By what reads raw rows; the last of a Residual is of neither 5 nor 3 units: it has a projection.
FIRST = {
    "maxout": maxout(4, 3),
    "gated": gated(4),
    "residual of dense": fb.Residual([dense(6), maxout(4)]),
    "residual of pieces": fb.Residual([maxout(6), dense(4)]),
    "residual in residual": fb.Residual([inner(6), dense(4)]),
    "three deep": fb.Residual([fb.Residual([inner(2), maxout(6)]), gated(7)]),
    "wider": fb.Residual([gated(8)]),
}


def network(first, ahead, dtype="float64"):
    """With a map ahead, and no bias that is 0."""
    layers = [first, fb.Residual([dense(first.units)]), dense(2, "linear")]
    net = fb.Network(N_INPUTS, layers, dtype, SEED, preprocessing=ahead)
    for layer in net.weighted_layers:
        layer.bias = layer.bias + 0.1
    net.metadata["a"] = "b"
    return net


FAR = np.random.default_rng(1).random((200, 4)) * [1, 1, 1e-3, 0] + [2.4e6, 0.5, 0, 2.4e6]
FITTED = [Standardize(), Center(), MinMax(), PCA(), Whiten(), Whiten(zca=True)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ahead", FITTED, ids=repr)
def test_a_mean_far_above_the_deviation_is_folded_only_where_digits_allow(ahead, dtype, tmp_path):
    layers = [fb.Dense(8, "tanh"), fb.Dense(1)]
    net = fb.Network(4, layers, dtype, seed=0, preprocessing=ahead.fit(FAR))
    net.save(tmp_path / "net")
    for each in (net, net.copy(), fb.load(tmp_path / "net")):
        if dtype == "float32":
            with pytest.warns(RuntimeWarning, match="fold: the copy keeps its preprocessing"):
                folded = each.fold()
            assert (folded is not each, folded.preprocessing is not None) == (True, True)
            assert np.array_equal(folded.predict(FAR), net.predict(FAR))
        else:
            folded = each.fold()
            assert folded.preprocessing is None
            np.testing.assert_allclose(folded.predict(FAR), net.predict(FAR), rtol=0, atol=1e-8)


@pytest.mark.parametrize("ahead", [*FITTED, Standardize(shared=True)], ids=repr)
def test_a_constant_column_gets_the_weight_zero(ahead):
    x = FAR - [2.4e6, 0, 0, 2.4e6 - 7]
    net = fb.Network(4, [fb.Dense(8, "tanh"), fb.Dense(1)], seed=0, preprocessing=ahead.fit(x))
    folded = net.fold()
    np.testing.assert_allclose(folded.layers[0].weight[3], 0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(folded.predict(x), net.predict(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e44])
def test_weights_that_float32_cannot_hold_are_not_folded(scale):
    net = fb.Network(2, [fb.Dense(3)], seed=0, preprocessing=Affine([0, 0], [scale, scale]))
    if scale == 1e-30:  # small, but normal
        assert net.fold().preprocessing is None
    else:
        with pytest.warns(RuntimeWarning, match="keeps its preprocessing"):
            assert net.fold().preprocessing is not None


@pytest.mark.parametrize(
    ("mean", "scale", "error"),
    [([0.0], [1e-44], errors.InputError), ([0.0, 0.0], [1.0, 1.0], errors.ShapeError)],
)
def test_a_fold_into_outputs_that_cannot_be_changes_nothing(mean, scale, error):
    net = fb.Network(2, [fb.Dense(1)], seed=0)
    before = net.parameters
    with pytest.raises(error):
        Affine(mean, scale).fold_into_outputs(net)
    assert np.array_equal(net.parameters, before)


def assert_folds(net, tolerance=1e-12):
    before = [p.copy() for layer in net.weighted_layers for p in (layer.weight, layer.bias)]
    folded, wanted = net.fold(), net.predict(X)
    after = [p for layer in net.weighted_layers for p in (layer.weight, layer.bias)]
    assert all(map(np.array_equal, before, after))
    assert (folded.preprocessing, folded.n_inputs, folded.metadata) == (None, 5, {"a": "b"})
    assert repr(folded.layers) == repr(net.layers)
    assert np.ptp(wanted, axis=0).min() > 0.5
    np.testing.assert_allclose(folded.predict(X), wanted, rtol=0, atol=tolerance)
    return folded


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("ahead", list(MAPS))
@pytest.mark.parametrize("first", list(FIRST))
def test_into_every_kind_of_first_layer(first, ahead, dtype, tolerance, tmp_path):
    folded = assert_folds(network(FIRST[first], MAPS[ahead], dtype), tolerance)
    folded.save(tmp_path / "net")
    assert fb.load(tmp_path / "net").predict(X).tobytes() == folded.predict(X).tobytes()


@pytest.mark.parametrize("ahead", ["diagonal", "square"])
def test_the_projection_takes_the_map(ahead):
    net = network(FIRST["residual of dense"], MAPS[ahead])
    folded, mean, matrix = assert_folds(net), MAPS[ahead].mean, MAPS[ahead].matrix
    matrix = np.diag(matrix) if matrix.ndim == 1 else matrix
    for one, other in zip(net.weighted_layers, folded.weighted_layers, strict=True):
        reads_rows = one in (net.layers[0].layers[0], net.layers[0].projection)
        weight = matrix @ one.weight if reads_rows else one.weight
        bias = one.bias - mean @ weight if reads_rows else one.bias
        np.testing.assert_allclose(other.weight, weight, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(other.bias, bias, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "first", [fb.Residual([dense(3)]), fb.Residual([fb.Residual([maxout(3)]), dense(3)])]
)
def test_what_was_added_as_it_is_becomes_a_projection(first, tmp_path):
    """A map from 5 columns to 3: the sum of 3 units is behind it without a projection."""
    ahead = MAPS["narrow"]
    net = network(first, ahead)
    assert net.layers[0].projection is None
    folded = assert_folds(net)
    projection = folded.layers[0].projection
    np.testing.assert_allclose(projection.weight, ahead.matrix, rtol=1e-12)
    np.testing.assert_allclose(projection.bias, -ahead.mean @ ahead.matrix, rtol=1e-12)
    folded.save(tmp_path / "net")
    assert fb.load(tmp_path / "net").predict(X).tobytes() == folded.predict(X).tobytes()


@pytest.mark.parametrize(
    ("first", "ahead", "place"),
    [
        (fb.Residual([dense(5)]), "diagonal", r"layers\[0\]"),
        (fb.Residual([dense(5)]), "narrow", r"layers\[0\]"),  # with a projection, before
        (fb.Residual([fb.Residual([dense(5)]), dense(4)]), "square", r"layers\[0\]\.layers\[0\]"),
    ],
)
def test_what_would_add_raw_rows_is_refused(first, ahead, place):
    net = network(first, MAPS[ahead])
    before = net.predict(X)
    with pytest.raises(errors.ConfigError, match=rf"^{place}: got Residual.*a raw row \(5\)"):
        net.fold()
    assert np.array_equal(net.predict(X), before)


def test_a_layer_before_it_takes_the_map():
    layers = [gated(5), fb.Residual([dense(5)])]
    net = fb.Network(N_INPUTS, layers, "float64", SEED, preprocessing=MAPS["square"])
    np.testing.assert_allclose(net.fold().predict(X), net.predict(X), rtol=0, atol=1e-12)
