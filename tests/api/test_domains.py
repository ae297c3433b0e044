"""Which target rows lie in the domain of a loss, and what is said of those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._check import domain_fault, extremes

GOOD = {
    "real": [[-1e9, 0.5], [3, -0.0]],
    "unit": [[0, 1], [0.5, 1e-9]],
    "count": [[0, 1], [2.5, 9]],
    "distribution": [[0, 1], [0.3, 0.7005]],
    "one_hot": [[0, 1], [1, 0]],
    "sign": [[-1, 1], [1, 1]],
    "bit": [[0, 1], [1, 1]],
}
BAD = [
    ("unit", [[0, 1], [1.5, 0]], "got values from 0 to 1.5, wanted [0, 1]"),
    ("unit", [[0, 1], [-0.5, 0]], "got values from -0.5 to 1, wanted [0, 1]"),
    ("count", [[0, 1], [-0.5, 9]], "got values from -0.5 to 9, wanted numbers >= 0"),
    ("distribution", [[0, 1], [0.3, 0.6]], "got the sum 0.9 and the least value 0.3 in row 1"),
    ("distribution", [[0, 1], [-0.5, 1.5]], "got the sum 1 and the least value -0.5 in row 1"),
    ("one_hot", [[0, 1], [0.5, 0.5]], "got 0.5 at [1, 0], wanted 0 and 1"),
    ("one_hot", [[0, 1], [0, 0]], "got 0 ones in row 1, wanted one-hot rows"),
    ("one_hot", [[1, 1], [0, 1]], "got 2 ones in row 0, wanted one-hot rows"),
    ("sign", [[-1, 1], [1, 0]], "got 0 at [1, 1], wanted -1 and 1"),
    ("sign", [[-1, 1], [1, 1 + 1e-6]], "got 1 at [1, 1], wanted -1 and 1"),
    ("bit", [[0, 1], [1, -1]], "got -1 at [1, 1], wanted 0 and 1"),
]


@pytest.mark.parametrize("domain", list(GOOD))
@pytest.mark.parametrize("copies", [1, 40])  # few rows and many are looked at in two ways
def test_rows_of_the_domain(domain, copies):
    assert domain_fault(np.array(GOOD[domain] * copies, dtype=float), domain) is None


@pytest.mark.parametrize(("domain", "rows", "text"), BAD)
@pytest.mark.parametrize("copies", [0, 40])
def test_rows_outside_of_the_domain(domain, rows, text, copies):
    y = np.array(rows + GOOD[domain] * copies, dtype=float)
    assert domain_fault(y, domain).startswith(text)


@pytest.mark.parametrize("shape", [(3,), (200,), (3, 2), (100, 2)])
def test_extremes(shape):
    array = np.random.default_rng(0).standard_normal(shape)
    assert extremes(array) == (array.min(), array.max())
