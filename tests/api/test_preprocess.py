"""The preprocessing maps as they are fitted, beside scikit-learn's where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp import errors
from fastbp.datasets import load_digits
from fastbp.preprocess import PCA, Affine, Center, MinMax, Standardize, Whiten

ALL = [Center(), Standardize(), MinMax(), PCA(2), Whiten(), Whiten(zca=True)]


@pytest.fixture
def x(rng) -> np.ndarray:
    mixed = rng.standard_normal((200, 3)) @ [[1, 0.5, 0], [0, 1, 0.2], [0, 0, 1]]
    return mixed * [0.01, 1, 1000] + [5, 0, -300]


@pytest.mark.parametrize(
    ("p", "times"),
    [*((p, 1) for p in ALL), (Standardize(), 900), (Whiten(zca=True), 900)],
    ids=repr,
)
def test_the_map_is_affine_whatever_the_blocks(x, p, times):
    """180,000 rows are two blocks."""
    x = np.tile(x, (times, 1))
    z = p.fit(x).transform(x)
    matrix = np.diag(p.matrix) if p.matrix.ndim == 1 else p.matrix
    np.testing.assert_allclose(z, (x - p.mean) @ matrix, rtol=1e-12, atol=1e-11)
    assert p.transform(x[7:8]).tobytes() == z[7].tobytes()
    assert (p.n_inputs, p.n_outputs) == (3, z.shape[1])
    assert p.transform(x.astype(np.float32)).dtype == np.float32
    assert p.transform(x[:200].tolist()).tobytes() == z[:200].tobytes()


@pytest.mark.parametrize("p", ALL, ids=repr)
def test_only_what_is_fitted_counts(x, p):
    p.fit(x)
    before = p.transform(x).tobytes()
    p.transform(x * 100)
    assert p.transform(x).tobytes() == before
    with pytest.raises(ValueError, match="read-only"):
        p.mean[0] = 1


def test_center(x):
    z = Center().fit(x).transform(x)
    assert z == pytest.approx(x - x.mean(axis=0), abs=1e-11)


def test_standardize(x):
    z = Standardize().fit(x).transform(x)
    assert z.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-11)
    assert z.std(axis=0) == pytest.approx([1, 1, 1], rel=1e-13)


def test_float32_far_from_zero_is_centred_before_it_is_rounded(rng):
    x = (rng.integers(-8, 9, (500, 1)) + 2.0**23).astype(np.float32)
    z = Standardize().fit(x).transform(x)
    exact = x.astype(np.float64)
    assert z == pytest.approx((exact - exact.mean()) / exact.std(), abs=1e-6)


def test_shared_scale_keeps_the_columns_in_proportion(x):
    p = Standardize(shared=True).fit(x)
    z = p.transform(x)
    assert (np.ptp(p.mean), np.ptp(p.matrix)) == (0, 0)
    assert (z.mean(), z.std()) == pytest.approx((0, 1), abs=1e-12)
    assert np.ptp(z[:, 2]) / np.ptp(z[:, 1]) == pytest.approx(np.ptp(x[:, 2]) / np.ptp(x[:, 1]))


@pytest.mark.parametrize("value", [0, 7, 0.1, -1e6, 1e-30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_column_keeps_its_unit(value, dtype, rng):
    x = np.column_stack([np.full(1000, value), rng.standard_normal(1000)]).astype(dtype)
    assert Standardize().fit(x).matrix[0] == 1
    assert Standardize().fit(x).transform(x)[:, 0] == pytest.approx(0, abs=1e-9)
    assert (MinMax(2, 3).fit(x).transform(x)[:, 0] == 2).all()
    for p in (Whiten(), Whiten(zca=True)):
        z = p.fit(x).transform(x)
        assert sorted(z.std(axis=0, ddof=1)) == pytest.approx([0, 1], abs=1e-5)


def stripes(n, *deviations):
    """Uncorrelated columns [n, ...] with exactly these deviations, and a rotation of them."""
    signs = 1 - 2.0 * (np.arange(n)[:, None] >> np.arange(len(deviations)) & 1)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((len(deviations),) * 2))[0]
    return (signs * deviations, (signs * deviations) @ turn)


@pytest.mark.parametrize("mean", [0, 1e6])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [64, 20_000])
def test_a_direction_counts_as_constant_only_within_rounding(n, turned, mean):
    x = stripes(n, 1e6, 0.5)[turned] + mean
    ratio = np.sqrt(n / (n - 1))
    assert PCA().fit(x).variances == pytest.approx([1e12 * ratio**2, 0.25 * ratio**2], rel=1e-6)
    for p in (Whiten(), Whiten(zca=True)):
        z = p.fit(x).transform(x)
        np.testing.assert_allclose(np.cov(z.T), np.eye(2), rtol=0, atol=1e-6)


def test_a_variance_below_the_rounding_of_the_largest_is_found():
    x = stripes(64, 1e9, 1.0)[1]
    assert np.sqrt(PCA().fit(x).variances * 63 / 64) == pytest.approx([1e9, 1], rel=1e-6)


@pytest.mark.parametrize("size", [1e-200, 1e200, 1e307])
def test_squares_beyond_float64(size):
    x = stripes(64, 1.0, 0.1)[0] * size
    for p in (Standardize(), Standardize(shared=True), MinMax(), Whiten(), Whiten(zca=True)):
        deviations = p.fit(x).transform(x).std(axis=0)
        wanted = np.array([1.0, 0.1]) * np.sqrt(2 / 1.01) if getattr(p, "shared", 0) else 1
        assert deviations == pytest.approx(np.broadcast_to(wanted, 2), rel=1e-2)
    assert abs(PCA().fit(x).matrix) == pytest.approx(np.eye(2), abs=1e-12)
    assert Center().fit(x + size).mean / size == pytest.approx([1, 1], rel=1e-12)


def test_many_rows_far_from_zero_are_not_constant():
    x = 1.7e9 + stripes(40_000, 1e-2)[0]
    assert Standardize().fit(x).transform(x).std() == pytest.approx(1, rel=1e-4)
    ulps = np.where(np.arange(1000) % 2, np.nextafter(0.3, 1), 0.3)[:, None]
    assert Standardize().fit(ulps).matrix == 1  # of which rounding is the only difference


def test_a_range_wider_than_float64_is_an_error():
    with pytest.raises(errors.InputError, match=r"x: got the range -1\.7e\+308 to 1\.7e\+308"):
        Standardize().fit([[-1.7e308], [1.7e308]])


def test_a_rare_value_is_not_far_away():
    x = np.zeros((10_000, 2), np.float32)
    x[0] = 1, 50
    assert Standardize(farthest=20).fit(x).transform(x).max(axis=0) == pytest.approx([20, 20])
    assert Standardize(farthest=20, shared=True).fit(x).transform(x).max() == pytest.approx(20)
    assert Standardize().fit(x).transform(x).max() > 90


@pytest.mark.parametrize("bounds", [(), (0, 1), (-3, 500)])
def test_min_max(x, bounds):
    z = MinMax(*bounds).fit(x).transform(x)
    low, high = bounds or (-1, 1)
    assert z.min(axis=0) == pytest.approx([low] * 3, abs=1e-11)
    assert z.max(axis=0) == pytest.approx([high] * 3, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, None])
def test_pca_directions_are_orthonormal_and_uncorrelated(x, n):
    p = PCA(n).fit(x)
    assert p.matrix.T @ p.matrix == pytest.approx(np.eye(n or 3), abs=1e-14)
    covariance = np.atleast_2d(np.cov(p.transform(x).T))
    assert covariance == pytest.approx(np.diag(p.variances), abs=1e-8 * p.variances[0])
    assert (np.diff(p.variances) <= 0).all()


def test_whitened_columns_have_the_unit_covariance(x):
    for p in (Whiten(), Whiten(2), Whiten(zca=True)):
        z = p.fit(x).transform(x)
        assert np.cov(z.T) == pytest.approx(np.eye(z.shape[1]), abs=1e-7)
    # Turned back: nearest to the standardised data of all white ones, and symmetric.
    assert p.matrix == pytest.approx(p.matrix.T, rel=1e-9)
    z = Whiten(epsilon=1e9).fit(x).transform(x)
    assert z.std() < 0.1


class TestBesideScikitLearn:
    @pytest.fixture
    def digits(self):
        return load_digits()[0].astype(np.float64)  # with constant columns

    @pytest.mark.parametrize(
        ("ours", "name", "options"),
        [
            (Standardize(), "StandardScaler", {}),
            (Center(), "StandardScaler", {"with_std": False}),
            (MinMax(), "MinMaxScaler", {"feature_range": (-1, 1)}),
            (MinMax(0, 1), "MinMaxScaler", {}),
        ],
    )
    def test_scalers(self, digits, ours, name, options):
        sklearn = pytest.importorskip("sklearn.preprocessing")
        wanted = getattr(sklearn, name)(**options).fit(digits[:1000]).transform(digits)
        assert ours.fit(digits[:1000]).transform(digits) == pytest.approx(wanted, abs=1e-12)

    @pytest.mark.parametrize("n", [1, 10, 40])
    @pytest.mark.parametrize("whiten", [False, True])
    def test_pca(self, digits, n, whiten):
        sklearn = pytest.importorskip("sklearn.decomposition")
        theirs = sklearn.PCA(n, whiten=whiten, svd_solver="full").fit(digits[:1000])
        ours = (Whiten if whiten else PCA)(n).fit(digits[:1000])
        assert ours.transform(digits) == pytest.approx(theirs.transform(digits), abs=1e-8)
        if not whiten:
            assert ours.variances == pytest.approx(theirs.explained_variance_, rel=1e-10)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Standardize(shared=1), "shared: got 1"),
        (lambda: Standardize(farthest=0), "farthest: got 0"),
        (lambda: MinMax(1, 1), "range: got low 1 and high 1"),
        (lambda: MinMax(0, np.inf), "high: got inf"),
        (lambda: MinMax("a", 1), "low: got 'a'"),
        (lambda: PCA(0), "n_components: got 0"),
        (lambda: PCA(4).fit(np.eye(5, 3)), "n_components: got 4 for 5 rows and 3"),
        (lambda: Whiten(zca="no"), "zca: got 'no'"),
        (lambda: Whiten(epsilon=-1), "epsilon: got -1"),
        (lambda: PCA().transform(np.eye(3)), r"got PCA\(n_components=None\) without a fit"),
    ],
)
def test_bad_options(make, match):
    with pytest.raises(errors.ConfigError, match=match):
        make()


def test_one_row_has_no_directions():
    for kind in (PCA, Whiten):
        with pytest.raises(errors.InputError, match="x: got 1 row, wanted two or more"):
            kind().fit(np.ones((1, 3)))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: Center().fit([1, 2]), errors.ShapeError, r"x: got shape \(2,\)"),
        (lambda: Center().fit([[np.nan]]), errors.InputError, "x: got nan"),
        (lambda: Center().fit(np.ones((0, 3))), errors.InputError, "x: got no rows"),
        (lambda: Center().fit([["a"]]), errors.DTypeError, "x: got dtype"),
        (lambda: Center().fit(np.eye(3)).transform(np.eye(2)), errors.ShapeError, "wanted .n, 3"),
        (lambda: Affine([0], [1e300]).transform([[1e300]]), errors.InputError, "preprocessed x: "),
        (lambda: Affine([0, 0], [1]), errors.ShapeError, r"matrix: got shape \(1,\)"),
        (lambda: Affine([0], [[[1]]]), errors.ShapeError, "matrix: got shape"),
        (lambda: Affine([np.nan], [1]), errors.InputError, "mean: got nan"),
    ],
)
def test_bad_arrays(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e153, 1e200, 1e305])
def test_maps_of_numbers_whose_squares_leave_float64(scale):
    """The map of 2^k x is that of x but for the factor; NumPy's decomposition of x is the truth."""
    x = np.random.default_rng(0).standard_normal((40, 3)) * [1, 3, 0.5] + [0, 2, -1]
    large = x * scale
    deviation = x.std(axis=0)
    np.testing.assert_allclose(Standardize().fit(large).matrix * scale, 1 / deviation, rtol=1e-9)
    np.testing.assert_allclose(
        Standardize(shared=True).fit(large).matrix * scale, 1 / x.std(), rtol=1e-9
    )
    directions = np.linalg.svd(x - x.mean(axis=0))[2].T
    found = PCA().fit(large)
    np.testing.assert_allclose(np.abs(found.matrix), np.abs(directions), atol=1e-9)
    whitened = Whiten().fit(large).transform(large)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(3), atol=1e-9)


def test_a_map_that_is_not_finite_names_x():
    x = np.array([[0.0], [3e-310]])
    for kind in (Standardize, MinMax, Whiten):
        with pytest.raises(errors.InputError, match="x: got columns whose map is not finite"):
            kind().fit(x)
    with pytest.raises(errors.ConfigError, match="range: got low"):
        MinMax(-1e308, 1e308)
