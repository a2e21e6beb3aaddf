"""Quadrature of any function, against an independent rule and against the closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dual_cases import relu, step
from dual_oracle import expectation, second_moment
from scipy import special

from wideflow import duals
from wideflow.duals import Pair, quadrature
from wideflow.duals.mehler import expand
from wideflow.duals.quadrature import quadrature_with_variances

VARIANCES = np.array([1e-3, 1.0, 30.0])
DELTAS = np.array([0.0, 1e-10, 1e-3, 0.3, 1.0, 1.7, 1.999999, 2.0])

ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def elu_slope(x):
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))


def selu(x):
    return SCALE * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0)))


def selu_slope(x):
    return SCALE * np.where(x > 0, 1.0, ALPHA * np.exp(np.minimum(x, 0)))


def jump(x):
    return np.where(x > 0, 1 + np.tanh(x), 0.5 * x)


FUNCTIONS = {
    "relu": (jax.nn.relu, relu, step),
    "selu": (jax.nn.selu, selu, selu_slope),
    "elu": (jax.nn.elu, elu, elu_slope),
    "tanh": (jnp.tanh, np.tanh, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2),
    "softplus": (jax.nn.softplus, lambda x: np.logaddexp(x, 0), special.expit),
    "sin": (jnp.sin, np.sin, np.cos),
    "jump": (
        lambda x: jnp.where(x > 0, 1 + jnp.tanh(x), 0.5 * x),
        jump,
        lambda x: np.where(x > 0, 1 / np.cosh(np.clip(x, -300, 300)) ** 2, 0.5),
    ),
}
every_function = pytest.mark.parametrize("name", FUNCTIONS)


def grid(dtype, variances=VARIANCES):
    q11, q22 = variances[:, None, None], variances[None, :, None]
    delta = np.broadcast_to(DELTAS, (len(variances), len(variances), len(DELTAS)))
    return Pair(*(jnp.asarray(x, dtype) for x in (q11, np.sqrt(q11 * q22) * (1 - delta), q22, delta)))


@jax.jit
def numbered_quadrature(number, pair):
    """Quadrature of one of the functions: compiled once for all of them."""
    return quadrature(lambda x: jax.lax.switch(number, [f[0] for f in FUNCTIONS.values()], x), pair)


def errors(name, pair):
    """Largest errors of k and kdot against the oracle, in units of their Cauchy-Schwarz bounds."""
    dual = numbered_quadrature(list(FUNCTIONS).index(name), pair)
    points = [np.broadcast_to(np.asarray(x, float), dual.k.shape).ravel() for x in (pair.q11, pair.q22, pair.delta)]
    for value, f in zip(dual[:2], FUNCTIONS[name][1:], strict=True):
        unit = np.sqrt(second_moment(f, points[0]) * second_moment(f, points[1]))
        yield np.max(np.abs(np.asarray(value, float).ravel() - expectation(f, *points, radial=120, angular=90)) / unit)


@every_function
def test_quadrature_equals_an_independent_rule(name, x64):
    k_error, kdot_error = errors(name, grid(np.float64))
    assert k_error <= 1e-10
    assert kdot_error <= 1e-9


@every_function
def test_quadrature_in_float32_keeps_six_digits(name):
    k_error, kdot_error = errors(name, grid(np.float32))
    assert k_error <= 3e-6
    assert kdot_error <= 1e-5


@pytest.mark.slow
def test_quadrature_of_moderate_variances_needs_no_polar_coordinates(x64):
    moderate = expand(jnp.tanh, jnp.array([0.1, 1.5]), 256)
    assert moderate.is_complete(1e-11)
    assert not expand(jax.nn.relu, jnp.array([1.0]), 256).is_complete(1e-11)


def test_what_a_series_neglects_is_more_than_rounding():
    q = np.random.default_rng(0).uniform(0.1, 1.0, 5000)
    single = expand(jnp.tanh, jnp.asarray(q, jnp.float32), 64)
    assert single.is_complete(1e-7)  # rounding of the moments themselves is 2e-6 in some of so many rows
    with jax.enable_x64(True):
        double = expand(jnp.tanh, jnp.asarray(q), 64)
        kept = np.asarray(double.value_kept)
        lost = np.asarray(double.slope_lost)
        np.testing.assert_allclose(kept + np.asarray(double.value_lost), double.value_moment, rtol=1e-14)
    np.testing.assert_allclose(single.slope_lost[q > 0.8], lost[q > 0.8], rtol=0.02)
    np.testing.assert_allclose(single.value_kept, kept, rtol=1e-5)


@pytest.mark.parametrize(("phi", "q"), [(jnp.tanh, [0.3, 1.0]), (jnp.tanh, [1.0, 2.5]), (jax.nn.selu, [0.5, 2.0])])
def test_variances_beside_a_quadrature_are_those_of_equal_variables(phi, q, x64):
    """By 64 terms, by 256 and in polar coordinates."""
    q1, q2 = jnp.asarray(q)[:, None], jnp.asarray([*q, 0.7])[None]
    _, first, second = quadrature_with_variances(phi, Pair.of(q1, 0.2 * q1 * q2, q2))
    assert (first.shape, second.shape) == ((2, 1), (1, 3))
    for variance, value in ((q1, first), (q2, second)):
        np.testing.assert_allclose(value, quadrature(phi, Pair.of(variance, variance, variance)).k, rtol=1e-10)
        exact = second_moment(lambda x: np.asarray(phi(x)), np.ravel(variance))
        np.testing.assert_allclose(np.ravel(value), exact, rtol=1e-10)


@pytest.mark.slow
def test_quadrature_omits_the_derivative_of_a_jump(x64):
    pair = grid(np.float64, np.array([0.5, 2.0]))
    numerical = jax.jit(lambda p: quadrature(lambda x: jnp.where(x > 0, 1.0, 0.0 * x), p))(pair)
    exact = duals.step(pair)
    np.testing.assert_allclose(numerical.k, exact.k, atol=1e-13)
    np.testing.assert_array_equal(numerical.kdot, exact.kdot)


def series_or_polar(x, is_kinked):
    """A function that takes either branch of the quadrature, by a traced choice."""
    return jnp.where(is_kinked, jax.nn.selu(x), jnp.tanh(x))


@pytest.mark.slow
def test_quadrature_differentiates_to_kdot_on_the_diagonal_too(x64):
    q, q12 = jnp.full(4, 0.5), jnp.array([0.5, 0.2, -0.3, -0.5])

    @jax.jit
    def k_slope_and_kdot(is_kinked):
        def k_and_kdot(q12):
            return quadrature(lambda x: series_or_polar(x, is_kinked), Pair.of(q, q12, q))[:2]

        (_, kdot), (slope, _) = jax.jvp(k_and_kdot, (q12,), (jnp.ones(4),))
        return slope, kdot

    for is_kinked in (False, True):
        np.testing.assert_allclose(*k_slope_and_kdot(is_kinked), rtol=1e-9)


@pytest.mark.slow
def test_quadrature_gradients_are_finite_at_degenerate_points():
    qs = (jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 0.0, 1.0, -1.0]), jnp.array([0.0, 1.0, 1.0, 1.0]))

    @jax.jit
    @jax.grad
    def gradient(qs_and_gain, is_kinked):
        qs, gain = qs_and_gain
        dual = quadrature(lambda x: series_or_polar(gain * x, is_kinked), Pair.of(*qs))
        return jnp.sum(dual.k) + jnp.sum(dual.kdot)

    for is_kinked in (False, True):
        for part in jax.tree.leaves(gradient((qs, jnp.array(1.1)), is_kinked)):
            assert np.all(np.isfinite(part))


@pytest.mark.slow
def test_quadrature_maps_over_a_batch():
    q = jnp.array([0.3, 1.5])
    one = lambda a, c, b: quadrature(jnp.tanh, Pair.of(a, c, b)).k  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.vmap(one))(q, q / 2, q), jax.jit(one)(q, q / 2, q), rtol=1e-5)


def test_quadrature_does_not_hide_a_nan():
    q = jnp.array([1.0])
    broken = jax.jit(lambda pair: quadrature(lambda x: jnp.where(x > 1, jnp.nan, x), pair))
    assert np.isnan(broken(Pair.of(q, q / 2, q)).k[0])


def test_second_moment_is_the_diagonal_of_quadrature(x64):
    q = jnp.array([0.0, 0.01, 1.0, 30.0])
    k, kdot = duals.second_moment(jax.nn.selu, q)
    np.testing.assert_allclose(k[1:], second_moment(selu, np.asarray(q[1:])), rtol=1e-12)
    np.testing.assert_allclose(kdot[1:], second_moment(selu_slope, np.asarray(q[1:])), rtol=1e-12)
    assert k[0] == 0
