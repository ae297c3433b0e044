"""Arrays with more numbers than 32 bits count: right, or an error before anything is copied."""

from __future__ import annotations

import numpy as np
import pytest
from training import classes, classifier, trainer

import fastbp as fb
from fastbp import errors

HUGE = 2**40


def zeros(*shape):
    """An array of one number, seen again and again."""
    return np.broadcast_to(np.float32(0), shape)


X, Y = classes()
N = len(X)
CALLS = {
    "x": lambda: classifier().predict(zeros(HUGE, 4)),
    "x of activations": lambda: classifier().activations(zeros(HUGE, 4)),
    "x of a map": lambda: fb.preprocess.Standardize().fit(X).transform(zeros(HUGE, 4)),
    "y": lambda: trainer().evaluate(X, zeros(HUGE, 3)),
    "y of a fit": lambda: trainer().fit(X, zeros(HUGE)),
    "sample_weight": lambda: trainer().step(X, Y, zeros(HUGE)),
    "parameters": lambda: setattr(classifier(), "parameters", zeros(HUGE)),
    "weight": lambda: setattr(classifier().layers[0], "weight", zeros(HUGE, 7)),
    "outputs": lambda: fb.metrics.mse(Y, zeros(2, HUGE, 3)),
    "y of a metric": lambda: fb.metrics.f1(zeros(HUGE), np.eye(3)),
    "labels": lambda: fb.one_hot(zeros(2, HUGE)),
    "matrix": lambda: fb.preprocess.Affine(np.zeros(3), zeros(HUGE, 3)),
}
TOO_LARGE = {
    "x": lambda: classifier().predict(zeros(2**46, 5)),
    "y": lambda: fb.Trainer(fb.Network(1, [fb.Dense(1)]), "mse").fit(zeros(2**46, 1), zeros(2**46)),
    "x of a fit": lambda: fb.preprocess.Standardize().fit(zeros(2**46, 5)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_shape_is_refused_before_a_copy(name):
    with pytest.raises(errors.ShapeError, match=rf"\b{name.split()[0]}\b"):
        CALLS[name]()


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_copy_that_does_not_fit_is_named(name):
    wanted = r"x: got float32 of shape \(7036.*fewer rows"
    with pytest.raises(MemoryError, match=wanted):
        TOO_LARGE[name]()


@pytest.fixture(params=[(2**31, 2**16), (2**32, 2**16), (2**32, 256)])
def sparse(request):
    """Rows of uint8, zero but for the first and the last one: the others share a page of memory."""
    size, columns = request.param
    x = np.zeros((size // columns + 1, columns), np.uint8)
    x[0], x[-1] = 1, np.arange(columns) % 7
    return x


@pytest.mark.slow
def test_more_numbers_than_32_bits_count(sparse):
    x, (rows, columns) = sparse, sparse.shape
    net = fb.Network(columns, [fb.Dense(2, "softmax")], seed=0)
    outputs = net.predict(x)
    ends = np.array(x[[0, 1, -1]])
    assert outputs[[0, 1, -1]].tobytes() == net.predict(ends).tobytes()
    assert (outputs[1:-1] == outputs[1]).all()
    y = np.zeros(rows, np.int64)
    y[-1] = 1
    owner = fb.Trainer(net, "cross_entropy", batch_size=rows // 1000 + 1, shuffle=False, seed=0)
    found = owner.evaluate(x, y)
    right = float(-np.log(outputs[1, 0].astype(float)))
    assert found["loss"] == pytest.approx(right, rel=1e-5)
    if columns == 256:  # an epoch ends with the last row, which alone is of class 1
        owner.fit(x, y)
        twin = fb.Trainer(
            fb.Network(256, [fb.Dense(2, "softmax")], seed=0),
            "cross_entropy",
            shuffle=False,
            seed=0,
        )
        assert owner.n_steps == -(-rows // (rows // 1000 + 1))
        assert np.isfinite(owner.network.parameters).all()
        assert owner.network.predict(ends)[1, 0] > twin.network.predict(ends)[1, 0]
        return
    centred = fb.preprocess.Center().fit(x)
    np.testing.assert_allclose(centred.mean, (1.0 + x[-1]) / rows, rtol=1e-9)
