"""The limit of random-feature regression against the published polynomials, closed form and experiments."""

import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import nn
from wideflow.beyond import HermiteConstants, RandomFeatureRegression, RandomFeatureSimulation, centred

RELU = HermiteConstants.of(nn.Relu()).centred()
POINTS = [(0.5, 2.0, 0.01), (6.0, 2.0, 1e-4), (2.0, 2.0, 1e-3), (1.0, 3.0, 0.1), (0.2, 5.0, 10.0)]


def published(psi1, psi2, ridge, constants):
    """ℬ and 𝒱 of Mei & Montanari's Theorem 1: damped iteration for ν₁, ν₂ on the imaginary axis, then E_i(χ)."""
    z, u = constants.linear / constants.nonlinear, np.sqrt(psi1 * psi2 * ridge) / constants.nonlinear
    a = b = 1e-3
    for _ in range(20_000):
        shared = z**2 / (1 + z**2 * a * b)
        a, b = (a + psi1 / (u + b + shared * b)) / 2, (b + psi2 / (u + a + shared * a)) / 2
    x, p = -a * b, psi1 * psi2
    e0 = (
        -(x**5) * z**6
        + 3 * x**4 * z**4
        + (p - psi2 - psi1 + 1) * x**3 * z**6
        - 2 * x**3 * z**4
        - 3 * x**3 * z**2
        + (psi1 + psi2 - 3 * p + 1) * x**2 * z**4
        + 2 * x**2 * z**2
        + x**2
        + 3 * p * x * z**2
        - p
    )
    e1 = psi2 * x**3 * z**4 - psi2 * x**2 * z**2 + p * x * z**2 - p
    e2 = x**5 * z**6 - 3 * x**4 * z**4 + (psi1 - 1) * x**3 * z**6 + 2 * x**3 * z**4 + 3 * x**3 * z**2
    e2 += -(psi1 + 1) * x**2 * z**4 - 2 * x**2 * z**2 - x**2
    return e1 / e0, e2 / e0


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("constants", [RELU, HermiteConstants.of(jnp.tanh)], ids=["relu", "tanh"])
def test_bias_and_variance_are_the_published_polynomials(point, constants):
    theory = RandomFeatureRegression(constants)
    found = theory.bias(*point), theory.variance(*point)
    np.testing.assert_allclose(found, published(*point, constants), rtol=1e-9)


def test_without_ridge_chi_has_the_published_closed_form_and_is_the_limit():
    theory = RandomFeatureRegression(RELU)
    for psi1, psi2 in [(0.5, 2.0), (4.0, 1.5)]:
        np.testing.assert_allclose(theory.bias(psi1, psi2, 0.0), theory.bias(psi1, psi2, 1e-13), rtol=1e-5)
        np.testing.assert_allclose(theory.variance(psi1, psi2, 0.0), theory.variance(psi1, psi2, 1e-13), rtol=1e-5)
    # χ with min(ψ1, ψ2) = 1.5, and E_1/E_0 with the terms of order ψ1 alone
    z2, psi = (RELU.linear / RELU.nonlinear) ** 2, 1.5
    chi = -(np.sqrt((psi * z2 - z2 - 1) ** 2 + 4 * z2 * psi) + (psi * z2 - z2 - 1)) / (2 * z2)
    kernel = theory.bias(1e7, psi, 0.0)
    e0 = psi * chi**3 * z2**3 - chi**3 * z2**3 + (1 - 3 * psi) * chi**2 * z2**2 + 3 * psi * chi * z2 - psi
    np.testing.assert_allclose(kernel, (psi * chi * z2 - psi) / e0, rtol=1e-5)


def test_risk_peaks_where_features_equal_samples_and_is_infinite_without_ridge():
    theory = RandomFeatureRegression(RELU, noise=0.25)
    risk = theory.risk(np.array([0.5, 1.9, 2.0, 2.1, 10.0]), 2.0, 1e-6)
    assert np.argmax(risk) == 2
    assert np.isinf(theory.risk(2.0, 2.0, 0.0))
    assert np.isfinite(theory.risk([0.5, 1.999, 2.001], 2.0, 0.0)).all()


def test_optimal_ridge_is_better_than_others_and_removes_the_peak():
    theory = RandomFeatureRegression(RELU, nonlinear_power=0.1, noise=0.25)
    psi1 = np.array([0.5, 1.0, 2.0, 4.0, 20.0])
    ridge, risk = theory.optimal_ridge(psi1, 2.0)
    others = theory.risk(psi1[:, None], 2.0, np.geomspace(1e-6, 1e3, 300))
    assert (risk <= others.min(axis=1) + 1e-12).all()
    np.testing.assert_allclose(risk, others.min(axis=1), rtol=1e-3)
    assert (np.diff(risk) < 0).all()
    assert (ridge > 0).all()


def test_extreme_ridges_keep_their_digits():
    theory = RandomFeatureRegression(RELU, nonlinear_power=0.3, noise=0.25)
    np.testing.assert_allclose(theory.risk(2.0, 3.0, 1e12), 1.3, rtol=1e-9)  # nothing fitted
    variance = theory.variance(2.0, 3.0, [1e9, 1e10])
    np.testing.assert_allclose(variance[0] / variance[1], 100, rtol=1e-6)
    peak = theory.variance(2.0, 2.0, [1e-10, 1e-12])  # ∝ λ^−½ at the peak
    np.testing.assert_allclose(peak[1] / peak[0], 10, rtol=1e-3)


@pytest.mark.parametrize(("activation", "seed"), [(centred(nn.Relu()), 0), (jnp.tanh, 5)], ids=["relu", "tanh"])
def test_experiment_agrees_within_its_error_bars(activation, seed):
    powers = (1.0, 0.3, 0.25)
    points = [0.5, 3.0, 0.3], [2.0, 2.0, 1.0], [0.01, 0.05, 0.0]
    simulation = RandomFeatureSimulation(activation, *powers, dimension=80, seeds=16, test_points=1000, seed=seed)
    measured = simulation.risk(*points)
    predicted = RandomFeatureRegression(HermiteConstants.of(activation), *powers).risk(*points)
    allowed = 4 * measured.error + 2 * predicted / 80  # corrections of order 1/d
    assert (np.abs(measured.mean - predicted) < allowed).all()
    assert (allowed < 0.4 * predicted).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: RandomFeatureRegression(HermiteConstants.of(nn.Relu())),
            "centred activation.*eigenvalue of order n",
        ),
        (lambda: RandomFeatureRegression(HermiteConstants.of(lambda z: 2 * z)), "linear under a normal law"),
        (lambda: RandomFeatureRegression(RELU, noise=-1.0), "noise is a variance"),
        (lambda: RandomFeatureRegression(RELU).risk(0.0, 1.0, 0.1), "psi1 = N/d must be positive"),
        (lambda: RandomFeatureRegression(RELU).risk(1.0, 1.0, -0.1), "ridge must be 0 or more"),
        (lambda: RandomFeatureSimulation(jnp.tanh, dimension=5), "at least 20, got 5. Corrections"),
        (lambda: RandomFeatureSimulation(nn.Relu()), "centred activation"),
    ],
)
def test_broken_assumptions_are_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_constants_are_those_of_dense_quadrature():
    z, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    found = HermiteConstants.of(lambda x: jnp.sin(x) + x**2)
    value, slope = np.sin(z) + z**2, np.cos(z) + 2 * z
    mean, linear, square = weights @ value, weights @ (z * value), weights @ value**2
    expected = [mean, linear, np.sqrt(square - mean**2 - linear**2), weights @ slope, weights @ slope**2]
    names = ("mean", "linear", "nonlinear", "slope", "slope_square")
    np.testing.assert_allclose([getattr(found, name) for name in names], expected, rtol=1e-11)
    np.testing.assert_allclose(RELU.nonlinear**2, 0.25 - 1 / (2 * np.pi), rtol=1e-12)


def test_constants_of_numpy_functions_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"write jnp\.tanh"):
        HermiteConstants.of(np.tanh)
