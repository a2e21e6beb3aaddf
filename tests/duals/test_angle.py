"""Angles from one minus the correlation, against 50-digit arithmetic."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from wideflow.duals.angle import angle, arcsin, bend, supplement

DENSE = np.linspace(0.0, 1.0, 101)[1:]
TINY = np.logspace(-30, -0.31, 40)
TOLERANCE = {np.float32: 3e-7, np.float64: 8e-16}


def exact(f, xs):
    """f in 50 digits, rounded to float64, at points that are float32 or float64 numbers."""
    with mpmath.workdps(50):
        return np.array([float(f(mpmath.mpf(float(x)))) for x in xs])


def exact_angle(delta):
    return 2 * mpmath.asin(mpmath.sqrt(delta / 2))


def exact_bend(w):
    theta = exact_angle(w)
    return mpmath.sin(theta) - theta * mpmath.cos(theta)


both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@both_types
def test_angle_keeps_full_relative_accuracy(dtype, x64):
    delta = np.concatenate([TINY, DENSE, 2 - DENSE, [2.0]]).astype(dtype)
    np.testing.assert_allclose(angle(jnp.asarray(delta)), exact(exact_angle, delta), rtol=TOLERANCE[dtype])


@both_types
def test_supplement_keeps_full_relative_accuracy(dtype, x64):
    delta = np.concatenate([TINY, DENSE, 2 - DENSE]).astype(dtype)
    expected = exact(lambda d: mpmath.pi - exact_angle(d), delta)
    np.testing.assert_allclose(supplement(jnp.asarray(delta)), expected, rtol=TOLERANCE[dtype])


@both_types
def test_bend_keeps_full_relative_accuracy(dtype, x64):
    w = np.concatenate([np.logspace(-12, 0, 30), DENSE]).astype(dtype)
    np.testing.assert_allclose(bend(jnp.asarray(w)), exact(exact_bend, w), rtol=2 * TOLERANCE[dtype])


@both_types
def test_arcsin_keeps_full_relative_accuracy(dtype, x64):
    u = np.concatenate([TINY, DENSE, -TINY, -DENSE]).astype(dtype)
    np.testing.assert_allclose(arcsin(jnp.asarray(u)), exact(mpmath.asin, u), rtol=TOLERANCE[dtype])


def test_arcsin_resolves_its_end_through_the_complement(x64):
    distance = np.logspace(-30, -3, 10)
    u, complement = 1 - distance, distance * (2 - distance)
    with mpmath.workdps(50):
        lag = [float(mpmath.acos(1 - mpmath.mpf(float(d)))) for d in distance]
    np.testing.assert_allclose(np.pi / 2 - arcsin(jnp.asarray(u), jnp.asarray(complement)), lag, atol=3e-16)


@pytest.mark.slow
def test_angle_and_arcsin_have_the_known_derivatives(x64):
    delta = jnp.linspace(0.05, 1.95, 39)
    slope = jax.vmap(jax.grad(angle))(delta)
    np.testing.assert_allclose(slope, 1 / np.sqrt(delta * (2 - delta)), rtol=1e-14)
    u = jnp.linspace(-0.95, 0.95, 39)
    np.testing.assert_allclose(jax.vmap(jax.grad(arcsin))(u), 1 / np.sqrt(1 - u**2), rtol=1e-13)
    np.testing.assert_array_equal(jax.vmap(jax.grad(supplement))(delta), -slope)
    w = jnp.linspace(0.0, 1.0, 21)
    np.testing.assert_allclose(jax.vmap(jax.grad(bend))(w), angle(w), rtol=1e-14)


def test_derivatives_at_the_ends_are_zero():
    assert [float(jax.grad(angle)(jnp.array(x))) for x in (0.0, 2.0)] == [0.0, 0.0]
    assert np.isfinite(jax.grad(jax.grad(angle))(jnp.array(0.0)))


def test_angle_does_not_hide_a_nan():
    assert np.isnan(angle(jnp.array(jnp.nan)))
    assert np.isnan(arcsin(jnp.array(jnp.nan)))
