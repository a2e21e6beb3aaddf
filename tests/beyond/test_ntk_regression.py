"""The limit of NTK regression against dense matrices, plain iteration and experiments, with both its peaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import nn
from wideflow.beyond import (
    FewNeuronRegression,
    HermiteConstants,
    Isotropy,
    NTKRegression,
    NTKRegressionSimulation,
    RandomFeatureRegression,
    marchenko_pastur,
    require_isotropic,
)


def steep(z):
    return jnp.tanh(2 * z)


CONSTANTS = HermiteConstants.of(steep)


def oracle(width, samples, inputs, ridge, noise, weight):
    """Test and training error by plain iteration of δ on a dense grid of Marchenko–Pastur's density."""
    c = samples / inputs
    low, high = (1 - np.sqrt(c)) ** 2, (1 + np.sqrt(c)) ** 2
    edges = low + (high - low) * np.sin(np.linspace(0, np.pi / 2, 20_001)) ** 2
    s = (edges[1:] + edges[:-1]) / 2
    p = np.sqrt((high - s) * (s - low)) / (2 * np.pi * c * s) * np.diff(edges)
    s, p = np.append(s, 0.0), np.append(p, 1 - p.sum())
    spread = CONSTANTS.linear**2 * s + CONSTANTS.nonlinear**2
    first = weight * (CONSTANTS.slope**2 * s + CONSTANTS.slope_square - CONSTANTS.slope**2)

    def traces(gamma):
        delta = 0.0
        for _ in range(4000):
            delta = samples / width * (p @ (spread / (spread / (1 + delta) + first + gamma)))
        inverse = 1 / (spread / (1 + delta) + first + gamma)
        return np.array([p @ inverse, p @ (s * inverse)])

    h = 1e-4 * ridge
    slope = (traces(ridge + h) - traces(ridge - h)) / (2 * h)
    train = -(ridge**2) * (noise * slope[0] + slope[1])
    return train / (ridge * traces(ridge)[0]) ** 2, train


@pytest.mark.parametrize(("weight", "inputs"), [(0.0, 200), (1.0, 200), (0.3, 400)])
def test_errors_are_those_of_plain_iteration(weight, inputs):
    model = NTKRegression(CONSTANTS, 300, inputs, 0.05, 0.1, weight)
    found = model.errors([100, 700])
    expected = np.transpose([oracle(n, 300, inputs, 0.05, 0.1, weight) for n in (100, 700)])
    np.testing.assert_allclose([found.test, found.train], expected, rtol=1e-4)


def test_random_features_are_those_of_mei_and_montanari():
    # K = FFᵀ/N + γ: λ of their loss is γ/ψ2, and their risk excludes the noise of the test targets
    psi1, psi2, gamma, noise = np.array([0.5, 2.9, 8.0]), 3.0, 0.02, 0.2
    theory = RandomFeatureRegression(CONSTANTS, noise=noise)
    found = NTKRegression(CONSTANTS, 300, 100, gamma, noise, first_layer=0.0).errors(100 * psi1)
    np.testing.assert_allclose(found.test, theory.risk(psi1, psi2, gamma / psi2) + noise, rtol=1e-8)


def test_a_very_wide_network_with_counted_parameters_is_the_one_with_many():
    many, counted = (NTKRegression(CONSTANTS, 200, 100, 1e-2, 0.1, parameters=p) for p in ("many", "counted"))
    np.testing.assert_allclose(many.errors(1e7).test, counted.errors(1e7).test, rtol=1e-6)


def test_tiny_ridges_are_solved_on_the_peak():
    errors = [NTKRegression(CONSTANTS, 200, 100, ridge, 0.3, 0.0).errors(200.0).test[0] for ridge in (1e-8, 1e-10)]
    np.testing.assert_allclose(errors[1] / errors[0], 10, rtol=1e-2)  # ∝ γ^−½


def test_both_peaks_stand_where_parameters_and_width_number_as_many_as_the_samples():
    model = NTKRegression(CONSTANTS, 200, 100, 1e-7, 0.3, 1e-4, "counted")
    assert model.peaks == (2.0, 200.0)
    widths = np.array([1, 2, 3, 5, 10, 30, 100, 150, 200, 250, 400, 1000])
    test = model.errors(widths).test
    rises = np.flatnonzero((test[1:-1] > test[:-2]) & (test[1:-1] > test[2:])) + 1
    assert widths[rises].tolist() == [2, 200]
    simulation = NTKRegressionSimulation(steep, 200, 100, 1e-7, 0.3, 1e-4, seeds=6, test_points=400)
    measured = simulation.errors(np.array([2, 10, 30, 200, 1000])).test
    assert measured.median[0] > 3 * measured.median[1]
    assert measured.median[3] > 3 * measured.median[2]
    inside = [2, 4]  # widths 30 and 1000, away from the peaks
    np.testing.assert_allclose(measured.mean[inside], test[[5, 11]], rtol=0.15)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_experiment_agrees_within_its_error_bars(weight):
    fields = dict(samples=150, inputs=100, ridge=0.02, noise=0.1, first_layer=weight)
    simulation = NTKRegressionSimulation(jnp.sin, **fields, seeds=10, test_points=600, seed=3)
    theory = NTKRegression(HermiteConstants.of(jnp.sin), **fields, parameters="counted")
    widths = np.array([50, 300])
    measured, predicted = simulation.errors(widths), theory.errors(widths)
    for found, expected in zip(measured, predicted, strict=True):
        assert (np.abs(found.mean - expected) < 4 * found.error + 0.05 * expected).all()


def test_marchenko_pastur_has_its_moments_and_its_atom():
    for ratio in (0.3, 0.999, 1.0, 1.001, 4.0):
        s, weights = marchenko_pastur(ratio)
        moments = [weights @ s**k for k in range(4)]
        np.testing.assert_allclose(moments, [1, 1, 1 + ratio, 1 + 3 * ratio + ratio**2], rtol=1e-12)
        b = 0.1 + 1 - ratio  # E 1/(s + γ) = m with γ c m² + (γ + 1 − c) m = 1
        inverse = (np.sqrt(b**2 + 4 * 0.1 * ratio) - b) / (2 * 0.1 * ratio)
        np.testing.assert_allclose(weights @ (1 / (s + 0.1)), inverse, rtol=1e-12)
    np.testing.assert_allclose(marchenko_pastur(4.0)[1][-1], 0.75, rtol=1e-12)


def test_isotropy_is_unbiased_and_refuses_correlated_inputs():
    rng = np.random.default_rng(0)
    for rows in (30, 300):
        sizes = [Isotropy.of(rng.normal(size=(rows, 40))).effective_dimension for _ in range(40)]
        assert abs(np.mean(sizes) - 40) < 4 * np.std(sizes) / np.sqrt(40) + 0.5
        require_isotropic(rng.normal(size=(rows, 40)))
    scale = np.linspace(0.2, 2, 40)
    true = np.sum(scale**2) ** 2 / np.sum(scale**4)
    assert abs(Isotropy.of(rng.normal(size=(3000, 40)) * scale).effective_dimension - true) < 0.02 * true
    with pytest.raises(ValueError, match=r"effective dimension of .* Whiten"):
        require_isotropic(rng.normal(size=(300, 40)) * scale)
    with pytest.raises(ValueError, match="centred inputs"):
        require_isotropic(rng.normal(size=(300, 40)) + 0.5)
    with pytest.raises(ValueError, match="at least 20, got 5"):
        require_isotropic(rng.normal(size=(300, 5)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NTKRegression(HermiteConstants.of(nn.Relu()), 100, 50, 0.1), "centred activation"),
        (lambda: NTKRegression(CONSTANTS, 100, 5, 0.1), "at least 20, got 5"),
        (lambda: NTKRegression(CONSTANTS, 100, 50, 0.0), "use a small one"),
        (lambda: NTKRegression(CONSTANTS, 100, 50, 0.1).errors(-1), "positive widths"),
        (lambda: NTKRegressionSimulation(steep, 100, 50, 0.1).errors(1.5), "integer widths"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_few_neurons_have_the_errors_of_experiments_and_averaged_slopes_have_not():
    erf = jax.scipy.special.erf
    setting = dict(samples=240, inputs=80, ridge=1e-5, noise=0.3, first_layer=1e-3)
    widths = np.array([1, 2, 3, 6])
    measured = NTKRegressionSimulation(erf, **setting, seeds=40, test_points=400, seed=3).errors(widths)
    few = FewNeuronRegression(erf, **setting).errors(widths)
    averaged = NTKRegression(HermiteConstants.of(erf), **setting, parameters="counted").errors(widths)
    for found, theory in ((measured.test, few.test), (measured.train, few.train)):
        assert (np.abs(found.mean - theory) < 3.5 * found.error + 0.03 * theory).all()
    assert measured.train.mean[2] - averaged.train[2] > 5 * measured.train.error[2]


def test_a_few_neurons_follow_their_equations_with_full_matrices():
    rng, N, n, d, ridge, noise, v = np.random.default_rng(8), 3, 90, 40, 0.05, 0.2, 0.7
    z = rng.standard_normal((60_000, N))
    s, h = np.sqrt(v / N) / np.cosh(z) ** 2, np.tanh(z) / np.sqrt(N)
    G, H = np.eye(N) / ridge, np.eye(N) / ridge
    for _ in range(120):
        left = 1 / (1 + np.sum(s @ G * s, axis=1) + np.sum(h @ H * h, axis=1))
        G = (G + np.linalg.inv(ridge * np.eye(N) + n / d * (s * left[:, None]).T @ s / len(z))) / 2
        H = (H + np.linalg.inv(ridge * np.eye(N) + n * (h * left[:, None]).T @ h / len(z))) / 2
    m, C, D = n / d * G @ np.mean(s * left[:, None], axis=0), np.zeros((N, N)), np.zeros((N, N))
    for _ in range(120):
        e = noise + 1 - 2 * s @ m + np.sum(s @ C * s, axis=1) + np.sum(h @ D * h, axis=1)
        weight = (e * left**2)[:, None]
        C = np.outer(m, m) + n / d * G @ ((s * weight).T @ s / len(z)) @ G
        D = n * H @ ((h * weight).T @ h / len(z)) @ H
    found = FewNeuronRegression(jnp.tanh, n, d, ridge, noise, v).errors([N])
    np.testing.assert_allclose(found.test, e.mean(), rtol=0.01)
    np.testing.assert_allclose(found.train, weight.mean(), rtol=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FewNeuronRegression(jnp.tanh, 90, 10, 0.1), "dimension of at least 20"),
        (lambda: FewNeuronRegression(jnp.tanh, 90, 40, 0.0), "finite ridge > 0"),
        (lambda: FewNeuronRegression(jnp.tanh, 90, 40, 0.1, noise=-1.0), "must be 0 or more"),
        (lambda: FewNeuronRegression(jnp.tanh, 90, 40, 0.1).errors([11]), "from 1 to 10"),
        (lambda: FewNeuronRegression(jnp.tanh, 90, 40, 0.1).errors(1.5), "whole numbers"),
    ],
)
def test_numbers_of_neurons_outside_the_limit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
