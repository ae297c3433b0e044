"""Sparse matrices as rows: the bits of the dense ones, for every form, map and rule.

That regimes, threads and kernel sets do not show is in test_same_bits.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import fastbp as fb
from fastbp import testing
from fastbp.engine.rows import SparseRows
from fastbp.engine.runtime import NUMBERS
from fastbp.errors import DTypeError, InputError, ShapeError

N, INPUTS, CLASSES = 150, 40, 3
FORMS = [
    kind
    for name in ("csr", "csc", "coo")
    for kind in (
        getattr(scipy.sparse, f"{name}_matrix"),
        getattr(scipy.sparse, f"{name}_array"),
    )
]
RULES = {
    "sgd": fb.SGD(0.1),
    "momentum": fb.SGD(0.1, momentum=0.9),
    "adagrad": fb.Adagrad(0.05),
    "adamw": fb.AdamW(0.01, weight_decay=0.1),
}


def dense(dtype="float32", n=N, density=0.06):
    rng = np.random.default_rng(3)
    values = rng.integers(1, 100, (n, INPUTS)) * (rng.random((n, INPUTS)) < density)
    if np.dtype(dtype).kind == "f":
        values = values / 50 * rng.choice([-1, 1], values.shape)
    return values.astype(dtype)


def labels(n=N):
    return np.random.default_rng(4).integers(0, CLASSES, n)


def network(preprocessing=None, dtype="float32", hidden=17):
    layers = [fb.Dense(hidden, "tanh"), fb.Dense(CLASSES, "softmax")]
    return fb.Network(INPUTS, layers, dtype, seed=1, preprocessing=preprocessing)


def trainer(net, optimizer=None, batch_size=32, loss="cross_entropy", **options):
    return fb.Trainer(net, loss, optimizer, batch_size, seed=2, **options)


def outcome(x, make=network, fit=None, **options):
    """Everything that training on these rows gives, as bytes and numbers."""
    net, y = make(), labels(x.shape[0])
    owner = trainer(net, **options)
    history = owner.fit(x, y, epochs=2, **(fit or {}))
    part = scipy.sparse.csr_array(x)[:20] if scipy.sparse.issparse(x) else x[:20]
    loss, pairs = net.gradients(x, y, "cross_entropy")
    _, more, dx = net.gradients(x, y, "cross_entropy", inputs=True)
    found = [owner.step(part, y[:20]), owner.evaluate(x, y, np.arange(len(y)) + 0.5), loss]
    arrays = [net.parameters, net.predict(x), dx, *net.activations(x)]
    arrays += [a for pair in [*pairs, *more] for a in pair]
    columns = {name: values for name, values in history.items() if name != "seconds"}
    return found, columns, [a.tobytes() for a in arrays]


@pytest.mark.parametrize("rule", RULES)
def test_training_has_the_bits_of_dense_rows(rule):
    x = dense()
    held = {"validation_data": (x, labels())}
    wanted = outcome(x, optimizer=RULES[rule], fit=held)
    sparse = scipy.sparse.csr_array(x)
    with testing.forced() as seen:
        found = outcome(sparse, optimizer=RULES[rule], fit={"validation_data": (sparse, labels())})
    assert "sparse" in {cell.regime for cell in seen}
    assert found == wanted


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_index_and_form(name):
    x, net = dense(name), network(dtype="float64" if NUMBERS[name] % 2 else "float32")
    wanted = net.predict(x)
    for form in FORMS:
        assert net.predict(form(x)).tobytes() == wanted.tobytes(), form
    wide = scipy.sparse.csr_array(x)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert net.predict(wide).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16", "longdouble", ">f8", "int8", "bool"])
def test_columns_in_any_order_and_several_numbers_in_a_place(dtype):
    rng = np.random.default_rng(5)
    at, numbers = rng.integers(0, [[N], [INPUTS]], (2, 400)), rng.integers(1, 9, 400)
    coo = scipy.sparse.coo_array((numbers, at), shape=(N, INPUTS))
    coo.data = coo.data.astype(dtype)
    assert not coo.has_canonical_format
    order = np.argsort(at[0], kind="stable")
    starts = np.searchsorted(at[0][order], np.arange(N + 1))
    csr = scipy.sparse.csr_array((coo.data[order], at[1][order], starts), shape=(N, INPUTS))
    before = csr.indices.copy()
    wanted = np.zeros((N, INPUTS))
    np.add.at(wanted, tuple(at), numbers)
    if dtype == "bool":
        wanted = wanted > 0
    net = network()
    for x in (coo, csr):
        assert np.array_equal(net.predict(x), net.predict(wanted))
    assert np.array_equal(csr.indices, before)


@pytest.mark.parametrize("density", [0.06, 0.6])
@pytest.mark.parametrize(
    "affine",
    [
        lambda x: fb.preprocess.Standardize().fit(x),
        lambda x: fb.preprocess.Affine(np.zeros(INPUTS), np.linspace(-1, 2, INPUTS)),
        lambda x: fb.preprocess.PCA(5).fit(x),
    ],
    ids=["standardize", "scale", "pca"],
)
def test_maps_and_few_zeros(affine, density):
    x = dense("float64", density=density)

    def make():
        return fb.Network(
            INPUTS,
            [fb.Dense(9, "relu"), fb.Dense(CLASSES, "softmax")],
            seed=1,
            preprocessing=affine(x),
        )

    def both(rows):
        net = make()
        trainer(net).fit(rows, labels(), epochs=2)
        return net.parameters.tobytes() + net.predict(rows).tobytes()

    assert both(scipy.sparse.csr_array(x)) == both(x)


def squares(outputs, targets):
    d = outputs - np.eye(CLASSES, dtype=outputs.dtype)[targets]
    return (d * d).sum(axis=1), 2 * d


@pytest.mark.parametrize(
    "options",
    [
        {"loss": squares},
        {"optimizer": fb.LBFGS(), "batch_size": None},
        {"metrics": ["f1"], "fit": {"validation_split": 0.3}},
        {"fit": {"sample_weight": np.arange(N) % 50 // 40.0}, "shuffle": False, "batch_size": 8},
        {"clip_norm": 0.1, "max_norm": 0.5, "l2": 0.01},
        {"l2": 0.01},
        {"clip_norm": 0.1},
    ],
    ids=["custom", "lbfgs", "held out", "weights", "limits", "l2", "clip_norm"],
)
def test_other_ways_of_training(options):
    def both(x):
        net, given = network(), dict(options)
        fit = given.pop("fit", {})
        history = trainer(net, **given).fit(x, labels(), epochs=3, **fit)
        return net.parameters.tobytes(), history["loss"]

    assert both(scipy.sparse.csr_matrix(dense())) == both(dense())


def test_steps_of_more_and_more_numbers():
    """The workspace of a loop of steps has room for the numbers of each."""

    def both(form):
        net = network()
        owner = trainer(net)
        for density in (0.01, 0.02, 0.12, 0.05, 0.5, 0.03):
            owner.step(form(dense(n=50, density=density)), labels(50))
        return net.parameters.tobytes()

    assert both(scipy.sparse.csr_array) == both(np.asarray)


def test_split_rows_stay_sparse():
    x = scipy.sparse.coo_matrix(dense())
    a, b, *_ = fb.datasets.train_test_split(x, labels(), seed=1)
    c, d, *_ = fb.datasets.train_test_split(dense(), labels(), seed=1)
    assert isinstance(a, scipy.sparse.csr_matrix)
    assert np.array_equal(a.toarray(), c) and np.array_equal(b.toarray(), d)


def broken(form="csr", **parts):
    x = scipy.sparse.csr_matrix(dense()).asformat(form)
    for name, (index, value) in parts.items():
        getattr(x, name)[index] = value
    return x


def with_part(name, change):
    x = scipy.sparse.csr_matrix(dense())
    setattr(x, name, change(getattr(x, name)))
    return x


def coo_of(row):
    x = scipy.sparse.coo_matrix(dense())
    x.row = row(x.row)
    return x


HOSTILE = {
    "column too large": (lambda: broken(indices=(5, INPUTS)), InputError, "index 5 of the indices"),
    "column below 0": (lambda: broken(indices=(0, -1)), InputError, "index 0 of the indices"),
    "first start": (lambda: broken(indptr=(0, 1)), InputError, "begin with 0"),
    "falling starts": (lambda: broken(indptr=(7, 0)), InputError, "falls at index 7"),
    "start beyond": (lambda: broken(indptr=(9, 2**30)), InputError, "index 9"),
    "last start": (lambda: broken(indptr=(N, 2**30)), InputError, f"index {N}"),
    "few indices": (lambda: with_part("indices", lambda a: a[:4]), InputError, "beyond"),
    "few numbers": (lambda: with_part("data", lambda a: a[:4]), InputError, "beyond"),
    "few starts": (lambda: with_part("indptr", lambda a: a[:4]), InputError, "indptr of 4"),
    "axes of starts": (
        lambda: with_part("indptr", lambda a: a[:, None]), InputError, "indptr of shape",
    ),
    "floats for columns": (
        lambda: with_part("indices", lambda a: a / 2), DTypeError, "indices of float64",
    ),
    "complex": (lambda: scipy.sparse.csr_matrix(dense() * 1j), DTypeError, "complex64"),
    "nan": (lambda: broken(data=(3, np.nan)), InputError, "got nan at"),
    "row out of range": (lambda: coo_of(lambda row: row + N), InputError, "row out of range"),
    "few rows": (lambda: coo_of(lambda row: row[:3]), InputError, "a row of 3"),
    "csc": (lambda: broken("csc", indices=(5, N)), InputError, "index 5 of the indices"),
    "format": (lambda: scipy.sparse.dok_matrix(dense()), DTypeError, "tocsr"),
    "columns": (lambda: scipy.sparse.csr_matrix((N, INPUTS - 1)), ShapeError, "40"),
    "no rows": (lambda: scipy.sparse.csr_matrix((0, INPUTS)), InputError, "no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_matrix_is_a_named_error(name):
    make, error, text = HOSTILE[name]
    net = network()
    owner, before = trainer(net), net.parameters
    x = make()
    for call in (net.predict, lambda x: owner.fit(x, labels()), lambda x: owner.step(x, labels())):
        with pytest.raises(error, match=r"x\b.*" + text):
            call(x)
    assert np.array_equal(net.parameters, before) and owner.n_steps == 0


def test_the_place_of_a_number_that_is_not_finite():
    x = dense()
    row, column = np.argwhere(x)[50]
    x[row, column] = np.inf
    with pytest.raises(InputError, match=rf"got inf at \[{row}, {column}\]"):
        network().predict(scipy.sparse.csr_matrix(x))


@pytest.mark.parametrize("density", [0.06, 0.6])
def test_arrays_that_change_in_the_midst_are_never_left(density):
    """A callback writes what the gate would refuse; later steps read within the arrays."""
    x = scipy.sparse.csr_matrix(dense(density=density))
    kept = x.indices.copy(), x.indptr.copy()
    turns = [
        lambda: x.indices.fill(2**31 - 1),
        lambda: x.indices.fill(-(2**31)),
        lambda: x.indices.fill(7),
        lambda: x.indptr.__setitem__(slice(0, None, 2), 2**31 - 1),
        lambda: x.indptr.fill(-5),
        lambda: x.indptr.__setitem__(slice(1, None), len(x.data)),
    ]

    def change(owner, history):
        x.indices[:], x.indptr[:] = kept
        if history.epochs <= len(turns):
            turns[history.epochs - 1]()

    net = network()
    history = trainer(net, fb.SGD(0.01)).fit(x, labels(), epochs=len(turns) + 1, callbacks=[change])
    assert history.epochs == len(turns) + 1
    assert np.isfinite(net.parameters).all()
    rows = SparseRows(x.data, x.indices, x.indptr, INPUTS)
    x.indptr[:5] = -9, 2**31 - 1, 3, -1, 2
    assert len(rows[np.arange(8)].data) <= 8 * len(x.data)


def test_a_diverging_run_is_a_named_error():
    x = scipy.sparse.csr_matrix(dense() * np.float32(1e30))
    net = fb.Network(INPUTS, [fb.Dense(1, "linear")], seed=1)
    with pytest.raises(fb.errors.DivergenceError, match="inputs, which reach 1"):
        trainer(net, loss="mse").fit(x, labels().astype(float))


def test_a_vocabulary_larger_than_a_dense_batch():
    """Dense, a batch would be 400 MB; what a row has none of stays as it was."""
    rows, words = 400, 500_000
    rng = np.random.default_rng(6)
    columns = rng.integers(0, words, rows * 9).astype(np.int32)
    x = scipy.sparse.csr_matrix(
        (np.ones(rows * 9), columns, np.arange(rows + 1) * 9), (rows, words)
    )
    net = fb.Network(words, [fb.Dense(2, "relu"), fb.Dense(1, "sigmoid")], seed=0)
    before = net.layers[0].weight.copy()
    owner = fb.Trainer(net, "binary_cross_entropy", fb.SGD(0.5), 200)
    assert owner.fit(x, rng.integers(0, 2, rows)).epochs == 1
    changed = np.flatnonzero((net.layers[0].weight != before).any(axis=1))
    assert len(changed) and np.isin(changed, columns).all()
