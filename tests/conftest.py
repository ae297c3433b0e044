"""Fixtures of the whole suite: the kernel sets of this machine, dtypes, seeded random numbers."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from fastbp.engine import runtime


def pytest_collection_finish():
    """What is imported and collected by now stays: looking it through for garbage takes 0.3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=runtime.isas())
def isa(request) -> str:
    """Name of each kernel set this machine runs; the test hands it to the kernels by name."""
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240917)


@pytest.fixture
def use_isa():
    """Switch the whole engine to another kernel set for one test."""
    before = runtime.isa()
    yield runtime.use_isa
    runtime.use_isa(before)
