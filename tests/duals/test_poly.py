"""Polynomials, and the functions that solve a known equation."""

import jax
import jax.numpy as jnp
import numpy as np

from wideflow import duals
from wideflow.duals import Pair


def pair_of_unit_variances(rho):
    return Pair.of(jnp.ones_like(rho), rho, jnp.ones_like(rho))


def test_hermite_polynomials_give_powers_of_the_correlation(x64):
    rho = jnp.array([-1.0, -0.6, 0.0, 0.3, 1.0])
    for n in range(9):
        dual = duals.hermite(pair_of_unit_variances(rho), n)
        np.testing.assert_allclose(dual.k, rho**n, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(dual.kdot, n * rho ** max(n - 1, 0), rtol=1e-11, atol=1e-11)


def test_polynomial_accepts_an_array_and_differentiates_in_it(x64):
    pair = pair_of_unit_variances(jnp.array([0.5]))
    coefficients = jnp.array([0.5, -1.0, 2.0])
    as_array = duals.polynomial(pair, coefficients)
    as_tuple = duals.polynomial(pair, (0.5, -1.0, 2.0))
    np.testing.assert_array_equal(as_array.k, as_tuple.k)
    slope = jax.grad(lambda c: duals.polynomial(pair, c).k[0])(coefficients)
    # k = (c0 + c2)^2 + c1^2 rho + 2 c2^2 rho^2
    np.testing.assert_allclose(slope, [5.0, -1.0, 7.0], rtol=1e-14)


def test_linear_functions_agree_with_one_another(x64):
    pair = Pair.of(jnp.array([2.0]), jnp.array([0.5]), jnp.array([1.0]))
    for dual in (duals.monomial(pair, 1), duals.ab_relu(pair, 1.0, 1.0), duals.polynomial(pair, (0.0, 1.0))):
        np.testing.assert_allclose(dual.k, duals.identity(pair).k, rtol=1e-15)
        np.testing.assert_allclose(dual.kdot, 1.0, rtol=1e-15)


def test_gabor_without_envelope_is_a_sine_and_without_wave_a_gaussian(x64):
    pair = Pair.of(jnp.array([2.0]), jnp.array([0.5]), jnp.array([1.0]))
    for special, general in (
        (duals.sin(pair, 1.2, 0.8, 0.3), duals.gabor(pair, 1.2, 0.0, 0.8, 0.3)),
        (duals.gaussian(pair, 1.2, 0.8), duals.gabor(pair, 1.2, 0.8, 0.0, np.pi / 2)),
    ):
        np.testing.assert_allclose(general.k, special.k, rtol=1e-14)
        np.testing.assert_allclose(general.kdot, special.kdot, rtol=1e-14)


def test_small_variances_keep_relative_accuracy(x64):
    q = jnp.array([1e-12])
    pair = Pair.of(q, q / 2, q)
    for dual in (duals.sin(pair), duals.identity(pair)):
        np.testing.assert_allclose(dual.k, q / 2, rtol=1e-11)
