"""Gaussian pairs."""

import jax
import jax.numpy as jnp
import numpy as np

from wideflow.duals import Pair


def test_pair_derives_delta_from_the_covariance(x64):
    pair = Pair.of(jnp.array([4.0, 1.0]), jnp.array([1.0, -1.0]), jnp.array([1.0, 1.0]))
    np.testing.assert_allclose(pair.delta, [0.5, 2.0], rtol=1e-15)


def test_pair_has_exactly_zero_delta_for_identical_inputs():
    q = jnp.asarray(np.random.default_rng(0).uniform(1e-3, 1e3, 1000), jnp.float32)
    assert np.all(Pair.of(q, q, q).delta == 0)


def test_pair_keeps_a_given_delta():
    one = jnp.ones(1)
    assert Pair.of(one, one, one, delta=jnp.full(1, 1e-12)).delta[0] == np.float32(1e-12)


def test_pair_is_uncorrelated_where_a_variance_is_zero():
    q = jnp.array([0.0, 1.0])
    assert np.all(Pair.of(q, jnp.zeros(2), jnp.zeros(2)).delta == 1)


def test_pair_clips_rounding_beyond_perfect_correlation():
    one = jnp.ones(2)
    delta = Pair.of(one, jnp.array([1.0000001, -1.0000001]), one).delta
    np.testing.assert_array_equal(delta, [0.0, 2.0])


def test_pair_survives_products_that_underflow():
    q = jnp.full(1, 1e-30, jnp.float32)
    pair = Pair.of(q, q / 2, q)
    np.testing.assert_allclose(pair.delta, 0.5, rtol=1e-6)
    np.testing.assert_allclose(pair.scale, q, rtol=1e-6)


def test_pair_properties_agree_with_their_definitions(x64):
    q11, q12, q22 = jnp.array([2.0]), jnp.array([0.7]), jnp.array([0.5])
    pair = Pair.of(q11, q12, q22)
    np.testing.assert_allclose(pair.scale, 1.0, rtol=1e-14)
    np.testing.assert_allclose(pair.det, 1.0 - 0.49, rtol=1e-14)
    np.testing.assert_allclose(pair.angle, np.arccos(0.7), rtol=1e-14)
    np.testing.assert_allclose(pair.sine, np.sqrt(0.51), rtol=1e-14)
    np.testing.assert_allclose(pair.gap, 2.5 - 1.4, rtol=1e-14)
    np.testing.assert_allclose(pair.total, 2.5 + 1.4, rtol=1e-14)


def test_pair_gap_and_determinant_keep_their_digits_near_correlation_one():
    one = jnp.ones(1)
    pair = Pair.of(one, one, one, delta=jnp.full(1, 1e-20))
    np.testing.assert_allclose(pair.gap, 2e-20, rtol=1e-6)
    np.testing.assert_allclose(pair.det, 2e-20, rtol=1e-6)


def test_pair_gradient_in_q12_is_whole_on_the_diagonal(x64):
    slope = jax.grad(lambda q12: jnp.sum(Pair.of(jnp.ones(1), q12, jnp.ones(1)).delta))(jnp.ones(1))
    np.testing.assert_allclose(slope, -1.0)


def test_pair_properties_have_finite_gradients_at_degenerate_points():
    def total(q11, q12, q22):
        pair = Pair.of(q11, q12, q22)
        names = ("scale", "det", "angle", "sine", "gap", "total")
        return sum(jnp.sum(getattr(pair, name)) for name in names)

    qs = (jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 0.0, 1.0, -1.0]), jnp.array([0.0, 1.0, 1.0, 1.0]))
    for gradient in jax.grad(total, argnums=(0, 1, 2))(*qs):
        assert np.all(np.isfinite(gradient))


def test_pair_does_not_hide_a_nan():
    pair = Pair.of(jnp.ones(1), jnp.full(1, jnp.nan), jnp.ones(1))
    assert np.isnan(pair.delta[0])
    assert np.isnan(pair.angle[0])
