"""One minus the correlation after a rectifier, against 60-digit arithmetic."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from wideflow import duals
from wideflow.duals import Pair

TINY = np.concatenate([np.logspace(-30, -1, 30), [0.3, 0.9, 1.0]])


def output_delta(delta, a, b):
    """1 - k12 / sqrt(k11 k22) for slopes a and b, from the definition with 60 digits."""
    with mpmath.workdps(60):
        delta, a, b = (mpmath.mpf(float(x)) for x in (delta, a, b))
        theta = mpmath.acos(1 - delta)
        hinge = (mpmath.sin(theta) + (mpmath.pi - theta) * mpmath.cos(theta)) / (2 * mpmath.pi)
        return float(1 - (a * b * (1 - delta) + (b - a) ** 2 * hinge) * 2 / (a**2 + b**2))


def unit_pair(delta):
    one = jnp.ones_like(delta)
    return Pair(one, 1 - delta, one, delta)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 5e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.25, 1.0), (-1.0, 1.0), (0.5, -2.0)])
def test_output_delta_keeps_full_relative_accuracy(a, b, dtype, rtol, x64):
    delta = TINY.astype(dtype)
    expected = [output_delta(d, a, b) for d in delta]
    np.testing.assert_allclose(duals.ab_relu(unit_pair(jnp.asarray(delta)), a, b).delta, expected, rtol=rtol)


def test_absolute_value_maps_opposite_inputs_to_one_output(x64):
    delta = jnp.asarray(2 - np.array([0.0, 2.0**-20, 2.0**-40]))
    expected = [output_delta(d, -1, 1) for d in delta]
    np.testing.assert_allclose(duals.abs_(unit_pair(delta)).delta, expected, rtol=1e-13, atol=1e-30)


def test_deep_relu_kernel_in_float32_agrees_with_float64(x64):
    def deep(dtype, depth=50):
        delta = jnp.asarray([0.0, 1e-12, 1e-7, 1e-3, 0.5, 1.5], dtype)
        q, ntk = jnp.ones_like(delta), 1 - delta
        for _ in range(depth):
            dual = duals.relu(Pair(q, q * (1 - delta), q, delta))
            ntk, delta = 2 * dual.k + 2 * dual.kdot * ntk, dual.delta
        return np.asarray(ntk, np.float64)

    np.testing.assert_allclose(deep(np.float32), deep(np.float64), rtol=2e-6)


def test_rectified_monomials_are_chained_by_differentiation(x64):
    delta = jnp.linspace(0.0, 2.0, 9)
    kernels = [duals.rectified_monomial(unit_pair(delta), n) for n in range(7)]
    for n in range(2, 7):
        np.testing.assert_allclose(kernels[n].kdot, n**2 * kernels[n - 1].k, rtol=1e-12, atol=1e-13)


def test_rectified_monomials_have_half_the_gaussian_moment_on_the_diagonal(x64):
    for n, moment in enumerate([1, 1, 3, 15, 105, 945, 10395]):
        k = duals.rectified_monomial(unit_pair(jnp.zeros(1)), n).k
        np.testing.assert_allclose(k, moment / 2, rtol=1e-13)


@pytest.mark.parametrize("name", ["rectified_monomial", "monomial", "hermite"])
def test_negative_degree_is_an_error(name):
    with pytest.raises(ValueError, match=rf"{name}\(degree=-1\)"):
        getattr(duals, name)(unit_pair(jnp.ones(1)), -1)
