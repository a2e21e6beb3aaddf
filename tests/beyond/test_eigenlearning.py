"""Spectra, exponents and predicted learning curves against sampling, exact integrals and kernel regression."""

import os

import numpy as np
import pytest
from scipy.special import gammaln

import wideflow as wf
from wideflow import datasets, nn
from wideflow.beyond import EigenLearning, KernelSpectrum, LearningCurve, SpectralExponents, SphereSpectrum
from wideflow.beyond.sphere_spectrum import gegenbauer, multiplicity
from wideflow.kernels import Kernels

NET = nn.Serial(nn.Dense(1), nn.Relu(), nn.Dense(1))
RANK = np.arange(1.0, 401)


@pytest.mark.parametrize(("samples", "ridge", "noise"), [(20, 0.05, 0.0), (60, 0.5, 0.1), (60, 0.0, 0.1)])
def test_law_agrees_with_ridge_regression_on_gaussian_features(samples, ridge, noise):
    eigenvalues, v = RANK**-1.5, 1 / RANK
    law = EigenLearning(eigenvalues, v, samples, ridge, noise)
    rng, test, train, learned = np.random.default_rng(0), [], [], []
    for _ in range(200):
        phi = rng.normal(size=(samples, 400))
        y = phi @ v + np.sqrt(noise) * rng.normal(size=samples)
        kernel = (phi * eigenvalues) @ phi.T
        a = np.linalg.solve(kernel + ridge * np.eye(samples), y)
        fit = eigenvalues * (phi.T @ a)
        learned.append(fit)
        test.append(np.sum((fit - v) ** 2) + noise)
        train.append(np.mean((y - kernel @ a) ** 2))
    learned = np.array(learned)
    np.testing.assert_allclose(law.test_error, np.mean(test), rtol=0.05)
    np.testing.assert_allclose(law.train_error, np.mean(train), rtol=0.05, atol=1e-12)
    error = np.std(learned, axis=0) / np.sqrt(200)
    assert np.mean(np.abs(learned.mean(axis=0) - law.mean) < 3 * error + 0.01 * v) > 0.97
    np.testing.assert_allclose(learned.var(axis=0)[10:].sum(), law.variance[10:].sum(), rtol=0.05)
    np.testing.assert_allclose(law.mode_errors.sum() + noise, law.test_error, rtol=1e-12)


def test_learnabilities_sum_to_the_samples_and_multiplicities_are_equal_modes():
    law = EigenLearning(RANK**-1.5, 1 / RANK, 50)
    np.testing.assert_allclose(law.learnability.sum(), 50, rtol=1e-12)
    once = EigenLearning(np.array([1.0, 1, 1, 0.1, 0.1]), np.array([1.0, 2, 0, 1, 1]), 3, 0.1, 0.2)
    merged = EigenLearning(np.array([1.0, 0.1]), np.sqrt([5.0, 2.0]), 3, 0.1, 0.2, np.array([3.0, 2.0]))
    np.testing.assert_allclose(merged.test_error, once.test_error, rtol=1e-12)
    np.testing.assert_allclose(merged.mode_errors.sum(), once.mode_errors.sum(), rtol=1e-12)


@pytest.mark.parametrize("ridge", [1e-12, 1e-3, 1e6])
def test_kappa_solves_its_equation_at_any_ridge(ridge):
    law = EigenLearning(RANK**-3.0, 1 / RANK, 300, ridge)
    np.testing.assert_allclose(law.learnability.sum() + ridge / law.kappa, 300, rtol=1e-10)


def test_power_laws_give_the_published_learning_exponents():
    i = np.arange(1.0, 100_001)
    for alpha, beta in [(1.5, 2.0), (1.2, 5.0)]:  # source below saturation, and above
        errors = [EigenLearning(i**-alpha, i ** (-beta / 2), n).test_error for n in (100, 400)]
        np.testing.assert_allclose(np.log(errors[0] / errors[1]) / np.log(4), min(beta - 1, 2 * alpha), rtol=0.03)


def test_relu_spectrum_on_the_sphere_is_the_sum_of_known_moments():
    # NTK of one hidden ReLU layer on S²: k(t) = κ1(t)/2 + t κ0(t)/2, odd degrees above 1 vanish.
    spectrum = SphereSpectrum.of(wf.Kernel(NET), 3, 60)
    t, weights = np.polynomial.legendre.leggauss(1000)
    angle = np.arccos(t)
    k = (np.sin(angle) + 2 * (np.pi - angle) * t) / (2 * np.pi)
    for degree in (0, 1, 2, 4, 6):
        p = np.polynomial.legendre.legval(t, np.eye(10)[degree])
        np.testing.assert_allclose(spectrum.eigenvalues[degree], weights @ (k * p) / 2, rtol=1e-6)
    assert (spectrum.eigenvalues[3::2] == 0).all()
    assert spectrum.multiplicity[:4].tolist() == [1, 3, 5, 7]
    assert 0 < spectrum.tail < 0.003 * spectrum.total


@pytest.mark.parametrize("dimension", [2, 3, 8, 60])
def test_polynomials_on_any_sphere_have_exact_spectra_and_traces(dimension):
    spectrum = SphereSpectrum.of_function(lambda t: 0.5 + t**3, dimension, 6)
    d = dimension
    expected = [0.5, 3 / (d * (d + 2)), 0, 6 / (d * (d + 2) * (d + 4)), 0, 0]  # E t P_1, E t³ P_3
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(spectrum.tail, 0, atol=1e-10)
    assert multiplicity(2, 5) == 2
    assert multiplicity(4, 3) == 16
    np.testing.assert_allclose(gegenbauer(d, 6, np.ones(1)), 1)


def test_spectrum_of_data_on_the_sphere_is_that_of_the_sphere():
    x = np.random.default_rng(0).normal(size=(1200, 4))
    x *= 2 / np.linalg.norm(x, axis=1, keepdims=True)
    found = KernelSpectrum.of(wf.Kernel(NET), x)
    sphere = SphereSpectrum.of(wf.Kernel(NET), 4, 4)
    np.testing.assert_allclose(found.eigenvalues[0], sphere.eigenvalues[0], rtol=0.02)
    np.testing.assert_allclose(found.eigenvalues[1:5].mean(), sphere.eigenvalues[1], rtol=0.05)
    np.testing.assert_allclose(found.eigenvalues[5:14].mean(), sphere.eigenvalues[2], rtol=0.05)


def test_eigenfunctions_on_the_sphere_are_orthonormal_and_reproduce_under_the_kernel():
    d, rng = 5, np.random.default_rng(4)
    x = rng.normal(size=(200_000, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    axis, probe = np.eye(d)[0], np.array([0.6, 0.8, 0, 0, 0])
    sphere = SphereSpectrum.of_function(lambda t: np.exp(t), d, 8)
    phi = sphere.eigenfunctions(x @ axis)
    products = phi[:4] @ phi[:4].T / len(x)
    np.testing.assert_allclose(products, np.eye(4), atol=0.03)  # Monte Carlo: √(E φ⁴/2e5) up to 0.01
    applied = (np.exp(x @ probe) * phi[:4]).mean(axis=1)  # E k(probe, x) φ(x) = λ φ(probe)
    error = (np.exp(x @ probe) * phi[:4]).std(axis=1) / np.sqrt(len(x))
    assert (np.abs(applied - sphere.eigenvalues[:4] * sphere.eigenfunctions(probe[:1])[:4, 0]) < 4 * error).all()
    t = np.array([-0.9, 0.1, 1.0])
    series = (sphere.eigenvalues * np.sqrt(sphere.multiplicity)) @ sphere.eigenfunctions(t)
    np.testing.assert_allclose(series, np.exp(t), rtol=1e-6)


@pytest.mark.parametrize("dimension", [3, 10, 50])
def test_coefficients_of_a_sign_on_the_sphere_are_exact(dimension):
    v = SphereSpectrum.of_function(np.exp, dimension, 4).coefficients(np.sign)
    first = np.exp(gammaln(dimension / 2) - gammaln((dimension + 1) / 2)) / np.sqrt(np.pi)  # E |t|
    np.testing.assert_allclose(v[[0, 2]], 0, atol=1e-12)
    np.testing.assert_allclose(v[1], np.sqrt(dimension) * first, rtol=1e-10)
    if dimension == 3:
        np.testing.assert_allclose(v[3], -np.sqrt(7) / 8, rtol=1e-10)  # ∫ P_3 over (0, 1)


def test_learning_curve_of_one_direction_on_the_sphere_follows_from_its_coefficients():
    d, n, rng = 6, 60, np.random.default_rng(5)
    kernel, target = lambda t: np.exp(1.5 * t), lambda t: np.sign(t) + 2 * t**2
    sphere = SphereSpectrum.of_function(kernel, d, 16)
    v = sphere.coefficients(target)
    power = 1 + 4 * 3 / (d * (d + 2))  # E g²; sign and square are orthogonal
    np.testing.assert_allclose(v[0], 2 / d, rtol=1e-9)
    assert 0 < power - np.sum(v**2) < 0.1  # sign has a tail of high degrees
    law = EigenLearning(sphere.eigenvalues, v, n, 0.3 + sphere.tail, power - np.sum(v**2), sphere.multiplicity)

    def measured():
        x = rng.normal(size=(n + 2000, d))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        k, y = kernel(x @ x[:n].T), target(x[:, 0])
        return np.mean((y - k @ np.linalg.solve(k[:n] + 0.3 * np.eye(n), y[:n]))[n:] ** 2)

    errors = np.array([measured() for _ in range(40)])
    assert abs(errors.mean() - law.test_error) < 0.05 * law.test_error + 3 * errors.std() / np.sqrt(40)


def test_eigenfunctions_are_orthonormal_and_extend_to_their_own_points():
    x = np.random.default_rng(1).normal(size=(40, 3))
    matrix = wf.gram(wf.Kernel(NET), x)
    spectrum = KernelSpectrum.of_gram(matrix)
    phi = spectrum.eigenfunctions
    np.testing.assert_allclose(phi.T @ phi / 40, np.eye(40), atol=1e-12)
    np.testing.assert_allclose((phi * spectrum.eigenvalues) @ phi.T, matrix, atol=1e-12)
    np.testing.assert_allclose(spectrum.extend(matrix[:5], 6), phi[:5, :6], atol=1e-9)
    y = np.random.default_rng(2).normal(size=40)
    np.testing.assert_allclose(np.sum(spectrum.coefficients(y) ** 2), np.mean(y**2), rtol=1e-12)


def cosines(x1, x2=None):
    """Σ_k (2k)^−1.5 (cos cos + sin sin) on the circle, whose eigenfunctions are exact."""
    k = np.arange(1, 200.0)
    a, b = (np.concatenate([f(2 * np.pi * x * k) for f in (np.cos, np.sin)], 1) for x in (x1, x1 if x2 is None else x2))
    values = 2 * (a * np.tile((2 * k) ** -1.5, 2)) @ b.T
    return Kernels(values, values)


def test_exponents_of_a_known_power_law_lie_in_their_intervals():
    rng, k = np.random.default_rng(0), np.arange(1, 200.0)
    x = rng.random((2400, 1))
    y = np.cos(2 * np.pi * x * k) @ (rng.choice([-1.0, 1.0], k.size) / k)
    found = SpectralExponents.fit(cosines, x, y, ranks=(4, 40))
    assert found.eigenvalues.contains(-1.5)
    assert not found.eigenvalues.contains(-1.2)
    assert abs(found.coefficients.value + 1.1) < 0.15  # Σ_{j ≥ i} j^−2 of 200 modes, over these ranks
    assert not found.coefficients.contains(-2.0)
    np.testing.assert_allclose(found.learning, -found.coefficients.value)


def digits(count):
    data = datasets.load("digits")
    rows = np.random.default_rng(0).permutation(len(data.x))[:count]
    x = data.x.reshape(len(data.x), -1)[rows].astype(float)
    x -= x.mean(axis=0)
    return x / np.sqrt(np.mean(x**2)), np.where(data.y[rows] % 2 == 0, 1.0, -1.0)


def test_learning_curve_of_digits_is_predicted_from_the_spectrum():
    x, y = digits(800)
    for ridge in (0.0, 1.0):
        curve = LearningCurve.of(wf.Kernel(NET), x, y, ridge)
        samples = np.array([40, 100, 200])
        predicted, measured = curve.predict(samples), curve.measure(samples, seeds=8)
        assert (np.abs(measured.test.mean / predicted.test - 1) < 0.12 + 3 * measured.test.error / predicted.test).all()
        assert (np.abs(measured.train.mean - predicted.train) < 0.1 * predicted.train + 1e-6).all()


def test_modes_of_digits_are_learned_to_the_shares_and_with_the_variances_of_the_law():
    x, y = digits(800)
    curve = LearningCurve.of(wf.Kernel(NET), x, y - y.mean(), 0.5)
    law, found = curve.law(120), curve.measure_modes(120, modes=30, seeds=40)
    mean, error = found.learnability.mean, found.learnability.error
    known = error < 0.1  # a mode that the targets hardly have says nothing
    assert known.sum() > 12
    assert (np.abs(mean - law.learnability[:30])[known] < 4 * error[known] + 0.04).all()
    assert law.learnability[1] - law.learnability[29] > 0.3  # what a single share would not explain
    np.testing.assert_allclose(found.variance.sum(), law.variance[:30].sum(), rtol=0.2)


def test_modes_of_a_fit_are_those_of_regression_written_out():
    x, y = digits(60)
    curve = LearningCurve.of(wf.Kernel(NET), x, np.stack([y, 2 * y], axis=1), 0.1)
    found = curve.measure_modes(10, modes=4, seeds=2, seed=7)
    k, phi, rng = curve.kernel_matrix, curve.spectrum.eigenfunctions[:, :4], np.random.default_rng(7)
    for s in range(2):
        train = rng.permutation(60)[:10]
        fit = k[:, train] @ np.linalg.solve(k[np.ix_(train, train)] + 0.1 * np.eye(10), y[train])
        shares = (phi.T @ fit) / (phi.T @ y)
        np.testing.assert_allclose(found.learnability.samples[:, s], shares, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="at least 2 seeds and 1 to 60 modes"):
        curve.measure_modes(10, modes=61)


@pytest.mark.slow
@pytest.mark.skipif("WIDEFLOW_DATA" not in os.environ, reason="wants MNIST in the folder that WIDEFLOW_DATA names")
def test_learning_curve_of_mnist_is_predicted_from_the_spectrum():
    data = datasets.load("mnist")
    rows = np.random.default_rng(0).permutation(len(data.x))[:2000]
    x = data.x.reshape(len(data.x), -1)[rows].astype(float)
    x -= x.mean(axis=0)
    curve = LearningCurve.of(wf.Kernel(NET), x / np.sqrt(np.mean(x**2)), np.where(data.y[rows] % 2 == 0, 1.0, -1.0))
    samples = np.array([50, 200, 500])
    predicted, measured = curve.predict(samples).test, curve.measure(samples, seeds=8).test
    assert (np.abs(measured.mean / predicted - 1) < 0.12 + 3 * measured.error / predicted).all()


def test_learning_curve_sums_over_outputs():
    x, y = digits(200)
    curve, both = (LearningCurve.of(wf.Kernel(NET), x, t, 1.0) for t in (y, np.stack([y, y], axis=1)))
    np.testing.assert_allclose(both.predict(20).test, 2 * curve.predict(20).test, rtol=1e-10)
    np.testing.assert_allclose(both.measure(20).test.mean, 2 * curve.measure(20).test.mean, rtol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EigenLearning(np.ones(3), np.ones(3), 3), "kernel matrix is singular"),
        (lambda: EigenLearning(np.array([1.0, -1.0]), np.ones(2), 1), "0 or more"),
        (lambda: EigenLearning(np.zeros(3), np.ones(3), 1), "not all 0"),
        (lambda: KernelSpectrum.of_gram(-np.eye(3)), "below zero"),
        (lambda: KernelSpectrum.of_gram(np.triu(np.ones((3, 3)))), "not symmetric"),
        (lambda: KernelSpectrum.of_gram(np.ones((3, 3))).extend(np.ones((1, 3)), 2), "1 to 1 modes"),
        (lambda: LearningCurve(np.eye(8), np.ones(8)).predict(4), "a quarter of the pool"),
        (lambda: SphereSpectrum.of_function(np.cos, 1), "dimension"),
        (lambda: SpectralExponents.fit(cosines, np.zeros((90, 1)), np.zeros(90)), "16 · high"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_kernel_that_sees_the_axes_has_no_spectrum_on_the_sphere():
    def axes(x1, x2=None):
        values = x1[:, :1] * (x1 if x2 is None else x2)[:, 0]
        return Kernels(values, values)

    with pytest.raises(ValueError, match="changes under rotations"):
        SphereSpectrum.of(axes, 4)
