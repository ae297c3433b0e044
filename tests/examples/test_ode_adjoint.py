"""examples/ode_adjoint.py: gradients through the solver beside central differences."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

import ode_adjoint


def test_gradients_are_those_of_central_differences():
    net = ode_adjoint.surrogate(epochs=2)
    start = np.array([5.0, 3.0])
    errors = ode_adjoint.errors(net, start, ode_adjoint.TRUE_START)
    assert len(errors) == 5
    for name, (gradient, error) in errors.items():
        assert abs(gradient) > 1e-3, name
        assert error < 1e-6, name


def test_quadrature_is_exact_for_polynomials():
    t, weights = ode_adjoint.quadrature(np.array([0, 0.3, 2.0]))
    assert weights @ t**11 == pytest.approx(2.0**12 / 12, rel=1e-13)


def test_the_field_at_rest():
    """There is as much prey born as eaten at 2.75 predators, and prey 4 keeps these."""
    np.testing.assert_allclose(ode_adjoint.lotka_volterra(np.array([[4, 2.75]])), 0, atol=1e-12)
