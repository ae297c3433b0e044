"""What the gate asks of arrays: their form, and whether every number is finite."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fastbp.engine import arrays

X = np.arange(12, dtype=np.float32).reshape(3, 4)
F32 = np.dtype(np.float32)


class Subclass(np.ndarray):
    pass


def unaligned(x):
    return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("x", [X, X[:1], X[1:], read_only(X)])
def test_arrays_in_form(x):
    assert arrays.in_form(x, F32, 4) is True
    assert arrays.in_form(x, F32) is True
    assert not arrays.in_form(x, F32, 3)
    assert not arrays.in_form(x, np.dtype(np.float64), 4)


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        None,
        X.astype(np.float64),
        X.astype(">f4"),
        X[:, ::-1],
        X[::2],
        np.asfortranarray(X),
        unaligned(X),
        X.view(Subclass),
        np.ma.masked_array(X),
    ],
)
def test_other_layouts_dtypes_and_classes_are_not_in_form(x):
    assert not arrays.in_form(x, F32, 4)
    assert not arrays.in_form(x, F32)


@pytest.mark.parametrize("x", [X[:0], X[0], X[None]])
def test_only_rows_are_in_form_where_columns_are_given(x):
    assert not arrays.in_form(x, F32, 4)
    assert arrays.in_form(x, F32)


@pytest.mark.parametrize("n", [0, 1, 3, 63, 64, 65, 500])
def test_the_largest_is_found_wherever_it_is(use_isa, isa, dtype, n):
    use_isa(isa)
    x = np.random.default_rng(0).uniform(-1, 1, n).astype(dtype)
    assert arrays.largest(x) == np.abs(x).max(initial=0)
    for i in range(0, n, max(1, n // 7)):
        for value in (-3.0, 3.0, np.nan, np.inf, -np.inf):
            kept, x[i] = x[i], value
            found = arrays.largest(x)
            assert found == 3 if np.isfinite(value) else np.isnan(found)
            x[i] = kept


def test_one_number_that_is_not_finite_is_seen_wherever_it_is(use_isa, isa, dtype):
    use_isa(isa)
    for n in (1, 3, 63, 64, 65, 500, 5000):
        x = np.full(n, np.finfo(dtype).max, dtype)
        x[::2] *= -1
        assert arrays.all_finite(x)
        for i, bad in product({0, n // 2, n - 1}, (np.nan, np.inf, -np.inf)):
            number, x[i] = x[i], bad
            assert not arrays.all_finite(x), (n, i, bad)
            x[i] = number
