"""Jacobians, their products with vectors, gradients from dL/dy: beside autograd and differences."""

from __future__ import annotations

import gc
import threading

import c_exports
import numpy as np
import pytest
from gate_networks import STACKS, network

import fastbp as fb
from fastbp import preprocess
from fastbp.activations import ELU, LeakyReLU
from fastbp.engine import runtime

N, N_IN = 5, 4
ACTIVATIONS_OF = [*runtime.ACTIVATIONS, LeakyReLU(0.3), ELU(0.7)]
MAPS = {
    "standardize": preprocess.Standardize,
    "minmax": preprocess.MinMax,
    "whiten": preprocess.Whiten,
    "pca": lambda: preprocess.PCA(3),
}


def raw(n=N, n_in=N_IN, seed=0):
    return np.random.default_rng([seed, n]).normal(size=(n, n_in)) * 2 + 1


def networks(dtype):
    """Networks of every activation, hidden and last, of every kind of layer, and of every map."""
    for f in ACTIVATIONS_OF:
        layers = [fb.Dense(7, f, dropout=0 if f == "softmax" else 0.5), fb.Dense(3, f)]
        yield fb.Network(N_IN, layers, dtype, seed=3)
    yield fb.Network(N_IN, [fb.Dense(1, "sigmoid", trainable=False)], dtype, seed=3)
    yield fb.Network(N_IN, [fb.Residual([fb.Dense(N_IN, "tanh")]), fb.Gated(2)], dtype, seed=3)
    for name in STACKS:
        yield network(name, dtype, N_IN)
    for make in MAPS.values():
        affine = make().fit(raw(40))
        yield fb.Network(N_IN, [fb.Dense(5, "silu"), fb.Dense(3, "softmax")], dtype, 3, affine)


def products(net, x):
    """J, v J and J u of PyTorch, in float64."""
    torch = pytest.importorskip("torch")
    module = net.to_torch().double()
    v = np.random.default_rng(0).normal(size=(len(x), net.n_outputs))
    u = np.random.default_rng(1).normal(size=x.shape)
    rows = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    sums = module(rows).sum(dim=0)  # a row's outputs depend on it alone
    j = np.zeros((*v.shape, x.shape[1]))  # what sign and step have
    for i, one in enumerate(sums if sums.requires_grad else ()):
        j[:, i] = torch.autograd.grad(one, rows, retain_graph=True)[0].numpy()
    return j, v, np.einsum("bji,bj->bi", j, v), u, np.einsum("bji,bi->bj", j, u)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 2e-5)])
def test_they_are_those_of_autograd(dtype, tolerance):
    for net in networks(dtype):
        x = raw()
        j, v, vj, u, ju = products(net, x)
        within = {"atol": tolerance * max(1, abs(j).max()), "rtol": tolerance}
        np.testing.assert_allclose(net.jacobian(x), j, **within, err_msg=repr(net))
        np.testing.assert_allclose(net.vjp(x, v), vj, **within, err_msg=repr(net))
        np.testing.assert_allclose(net.jvp(x, u), ju, **within, err_msg=repr(net))
        _, dx = net.gradients_from(x, v, inputs=True)
        np.testing.assert_allclose(dx, vj, **within, err_msg=repr(net))
        assert net.jacobian(x).dtype == net.vjp(x, v).dtype == net.jvp(x, u).dtype == net.dtype


def test_they_are_those_of_differences():
    net = fb.Network(N_IN, [fb.Dense(6, "gelu"), fb.Gated(3), fb.Dense(3, "softmax")], "float64", 1)
    net.preprocessing = preprocess.Whiten().fit(raw(40))
    x, eps = raw(), 1e-6
    ahead, behind = (
        np.stack([net.predict(x + step * e) for e in np.eye(N_IN)], 2) for step in (eps, -eps)
    )
    np.testing.assert_allclose(net.jacobian(x), (ahead - behind) / (2 * eps), atol=1e-9)


@pytest.mark.parametrize("name", ["maxout", "gated", "projection", "softmax below", "depth 3"])
@pytest.mark.parametrize("n", [3, 12])
def test_gradients_from_are_those_of_differences(name, n):
    net = network(name)
    x = np.random.default_rng(n).normal(size=(n, net.n_inputs))
    dy, theta = np.cos(3 * net.predict(x)), net.parameters
    found = np.concatenate([a.ravel() for pair in net.gradients_from(x, dy) for a in pair])
    wanted, eps = np.empty_like(theta), 1e-6
    for i in range(theta.size):
        sides = []
        for step in (eps, -eps):
            moved = theta.copy()
            moved[i] += step
            net.parameters = moved
            sides.append((dy * net.predict(x)).sum())
        wanted[i] = (sides[0] - sides[1]) / (2 * eps)
    np.testing.assert_allclose(found, wanted, atol=3e-8)
    assert abs(found).max() > 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 8, 16, 256])
def test_gradients_of_a_loss_are_those_from_its_slope(n, dtype):
    """With n a power of two, so that a division by n is exact: the bits of `gradients`."""
    rng = np.random.default_rng(n)
    net = fb.Network(N_IN, [fb.Dense(9, "tanh"), fb.Dense(3)], dtype, seed=0)
    x, t = raw(n).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)
    _, wanted, dx = net.gradients(x, t, "squared_error", inputs=True)
    found, of_x = net.gradients_from(x, (net.predict(x) - t) / np.dtype(dtype).type(n), inputs=True)
    assert of_x.tobytes() == dx.tobytes()
    for (w, b), (dw, db) in zip(wanted, found, strict=True):
        assert (w.tobytes(), b.tobytes()) == (dw.tobytes(), db.tobytes())


def test_a_row_is_alone_and_threads_do_not_show():
    net = network("depth 2")
    x = np.random.default_rng(0).normal(size=(150, net.n_inputs))
    v, u = np.cos(net.predict(x)), np.sin(x)
    calls = [net.jacobian, lambda x: net.vjp(x, v[-len(x) :]), lambda x: net.jvp(x, u[-len(x) :])]
    before = fb.get_num_threads()
    try:
        for call in calls:
            fb.set_num_threads(1)
            whole = call(x)
            fb.set_num_threads(2)
            assert call(x).tobytes() == whole.tobytes()
            for n in (1, 7, 64, 65):
                assert call(x[-n:]).tobytes() == whole[-n:].tobytes()
        for i in range(0, 150, 13):  # those of a batch of the row alone
            _, dx = net.gradients_from(x[i : i + 1], v[i : i + 1], inputs=True)
            assert net.vjp(x, v)[i].tobytes() == dx.tobytes()
    finally:
        fb.set_num_threads(before)


def test_kernel_sets_do_not_show(isa, use_isa):
    net = network("depth 3", "float32")
    x = np.random.default_rng(0).normal(size=(9, net.n_inputs)).astype("float32")
    found = []
    for one in ("scalar", isa):
        use_isa(one)
        found.append([net.jacobian(x), net.vjp(x, net.activations(x)[-1]), net.jvp(x, x)])
    for a, b in zip(*found, strict=True):
        assert a.tobytes() == b.tobytes()


def test_sparse_rows_and_integers_are_those_of_the_array():
    sparse = pytest.importorskip("scipy.sparse")
    net = fb.Network(N_IN, [fb.Dense(5, "tanh"), fb.Dense(2)], "float64", seed=0)
    x = np.array([[0, 0, 3, 0], [0, 0, 0, 0], [1, 0, 0, 0.0]])
    v, u = np.ones((3, 2)), np.ones((3, N_IN))
    for form in (sparse.csr_matrix(x), x.astype(np.int8), x.tolist()):
        np.testing.assert_array_equal(net.jacobian(form), net.jacobian(x))
        np.testing.assert_array_equal(net.vjp(form, v), net.vjp(x, v))
        np.testing.assert_array_equal(net.jvp(form, u), net.jvp(x, u))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda n: n.vjp(raw(3), np.ones((3, 3))), r"v: got shape \(3, 3\), wanted \(3, 2\)"),
        (lambda n: n.vjp(raw(3), np.ones(2)), r"v: got shape \(2,\), wanted \(3, 2\)"),
        (lambda n: n.vjp(raw(3), np.full((3, 2), np.nan)), "v: got nan"),
        (lambda n: n.jvp(raw(3), raw(2)), r"u: got shape \(2, 4\), wanted \(3, 4\)"),
        (lambda n: n.jvp(raw(3), [["a"] * 4] * 3), "u: got"),
        (lambda n: n.jacobian(np.full((1, 4), np.inf)), "x: got inf"),
        (lambda n: n.jacobian(np.ones((2, 5))), "x: got"),
        (lambda n: n.gradients_from(raw(3), np.ones((2, 2))), "dL_dy: got shape"),
        (lambda n: n.gradients_from(raw(3), np.full((3, 2), np.inf)), "dL_dy: got inf"),
        (lambda n: n.gradients_from(raw(3), np.ones((3, 2)), inputs=2), "inputs: got 2"),
    ],
)
def test_bad_input_is_named(call, text):
    net = fb.Network(N_IN, [fb.Dense(5, "tanh"), fb.Dense(2)], seed=0)
    with pytest.raises(fb.errors.FastbpError, match=text):
        call(net)


def test_gradients_after_others_are_as_alone():
    """The engine's run of one call is used by the next one that is like it."""
    layers = [fb.Dense(9, "tanh"), fb.Residual([fb.Gated(4)]), fb.Dense(3, "softmax")]
    net = fb.Network(N_IN, layers, seed=0)
    rng = np.random.default_rng(0)

    def calls():
        """Calls that differ from the one before in one thing."""
        for n, inputs in ((3, True), (3, False), (5, False), (1, True)):
            x, t = raw(n).astype("float32"), rng.dirichlet(np.ones(3), n).astype("float32")
            t /= t.sum(axis=1, keepdims=True)
            for weights in (None, np.arange(1.0, n + 1)):
                for loss in ("cross_entropy", "mse", fb.losses.Huber(0.5), fb.losses.Huber(0.1)):
                    yield lambda net, a=(x, t, loss, inputs, weights): net.gradients(*a)
            yield lambda net, a=(x, t, inputs): net.gradients_from(*a)

    listed = list(calls())
    results = [call(net) for call in listed]
    alone = [call(net.copy()) for call in listed]
    again = [call(net) for call in reversed(listed)][::-1]
    for found in (alone, again):
        assert [bits_of(one) for one in found] == [bits_of(one) for one in results]
    net.parameters = (
        net.parameters * 2
    )  # what was returned is not written to, and weights are read anew
    assert [bits_of(one) for one in again] == [bits_of(one) for one in results]
    assert bits_of(listed[0](net)) == bits_of(listed[0](net.copy())) != bits_of(results[0])


def bits_of(found):
    if isinstance(found, list | tuple):
        return [bits_of(one) for one in found]
    return np.asarray(found).tobytes()


def test_threads_do_not_share_a_run():
    net = fb.Network(N_IN, [fb.Dense(30, "tanh"), fb.Dense(3)], seed=0)
    inputs = [raw(4, seed=i).astype("float32") for i in range(4)]
    wanted = [bits_of(net.copy().gradients(x, x[:, :3], "mse", inputs=True)) for x in inputs]
    wrong = []

    def work(i):
        for _ in range(200):
            if bits_of(net.gradients(inputs[i], inputs[i][:, :3], "mse", inputs=True)) != wanted[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_networks_go_when_they_are_dropped():
    gc.collect()
    before = runtime.live_bytes()
    net = fb.Network(N_IN, [fb.Dense(30, "tanh"), fb.Dense(3)], seed=0)
    net.gradients(raw(), raw()[:, :3], "mse")
    del net
    assert runtime.live_bytes() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_export_to_c_has_the_bits(tmp_path, dtype):
    layers = [fb.Dense(6, "gelu"), fb.Residual([fb.Maxout(4, 3)]), fb.Gated(5, "silu")]
    net = fb.Network(N_IN, [*layers, fb.Dense(3, "softmax")], dtype, seed=0)
    exported = c_exports.compiled(tmp_path, {"net": net})["net"]
    for row in raw().astype(dtype):
        assert exported.jacobian(row)[1].tobytes() == net.jacobian(row[None]).tobytes()
