"""The trained ensemble against dense matrix functions, Gaussian-process regression and literally trained draws."""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

from oracles import training
from wideflow import Ensemble, GradientDescent, GradientFlow
from wideflow.kernels import Kernels

D, M, P, OUT = 8, 5, 15, 2
RNG = np.random.default_rng(23)
X = RNG.standard_normal((D + M, 4))
X_TRAIN, X_TEST = X[:D], X[D:]
Y = RNG.standard_normal((D, OUT))
MIX = RNG.standard_normal((2, 4, P))


def features(x, which):
    return np.tanh(x @ MIX[which]) + 0.2


@dataclass(frozen=True)
class FeatureKernel:
    """Kernels of finitely many features: everything about them is known."""

    def __call__(self, x1, x2=None):
        x2 = x1 if x2 is None else x2
        return Kernels(*(features(x1, which) @ features(x2, which).T for which in (0, 1)))


K, THETA = FeatureKernel()(X)
LAMBDA = np.linalg.eigvalsh(THETA[:D, :D])[-1] / D
LAMBDA_K = np.linalg.eigvalsh(K[:D, :D])[-1] / D


def ensemble(rule, ridge, y=Y):
    return Ensemble(FeatureKernel(), X_TRAIN, y, rule, ridge=ridge)


def dense(kind, ridge, lr, steps=None, time=None):
    if kind == "ntk":
        return training.ensemble(THETA, K, D, Y, ridge, lr, steps, time)
    return training.readout_ensemble(K, D, Y, ridge, lr, steps, time)


every_kind = pytest.mark.parametrize("kind", ["ntk", "nngp"])
every_ridge = pytest.mark.parametrize("ridge", [0.0, 0.3])


def close(g, mean, cov):
    np.testing.assert_allclose(g.mean, mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(g.cov, cov, rtol=1e-8, atol=1e-10)


@every_kind
@every_ridge
@pytest.mark.parametrize("steps", [0, 1, 2, 31, 1000])
def test_descent_equals_dense_matrix_powers(kind, ridge, steps):
    lr = 1.8 / (max(LAMBDA, LAMBDA_K) + ridge / D)
    g = ensemble(GradientDescent(lr), ridge).predict(X_TEST, lr * steps, kind=kind)
    close(g, *dense(kind, ridge, lr, steps=steps))


@every_kind
@every_ridge
@pytest.mark.parametrize("time", [0.0, 1e-3, 0.4, 20.0, 1e4])
def test_flow_equals_dense_matrix_exponentials(kind, ridge, time):
    close(ensemble(GradientFlow(), ridge).predict(X_TEST, time, kind=kind), *dense(kind, ridge, None, time=time))


@every_kind
@every_ridge
def test_infinite_time_equals_dense_inverses(kind, ridge):
    for t in (None, np.inf):
        close(ensemble(GradientFlow(), ridge).predict(X_TEST, t, kind=kind), *dense(kind, ridge, None))
    lr = 0.5 / max(LAMBDA, LAMBDA_K)
    close(ensemble(GradientDescent(lr), ridge).predict(X_TEST, kind=kind), *dense(kind, ridge, None))


@pytest.mark.parametrize("noise", [1e-3, 0.5])
def test_trained_readout_is_the_posterior_of_gaussian_process_regression(noise):
    process = pytest.importorskip("sklearn.gaussian_process")
    phi = features(X, 0)
    regressor = process.GaussianProcessRegressor(process.kernels.DotProduct(0.0, "fixed"), alpha=noise, optimizer=None)
    mean, cov = regressor.fit(phi[:D], Y[:, 0]).predict(phi[D:], return_cov=True)
    g = ensemble(GradientFlow(), noise, Y[:, 0]).predict(X_TEST, kind="nngp")
    np.testing.assert_allclose(g.mean, mean, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(g.cov, cov, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("time", [0.0, 0.3, 5.0, 200.0])
def test_readout_covariance_obeys_its_identity_without_noise(time):
    shrunk = training.learned(K[:D, :D], 0.0, None, time=2 * time)  # 1 − p²
    expected = K[D:, D:] - K[D:, :D] @ shrunk @ np.linalg.inv(K[:D, :D]) @ K[:D, D:]
    cov = ensemble(GradientFlow(), 0.0).predict(X_TEST, time, kind="nngp").cov
    np.testing.assert_allclose(cov, expected, rtol=1e-8, atol=1e-10)


@every_kind
@every_ridge
def test_time_zero_is_the_prior(kind, ridge):
    g = ensemble(GradientDescent(0.1), ridge).predict(X_TEST, 0, kind=kind)
    np.testing.assert_array_equal(g.mean, np.zeros((M, OUT)))
    np.testing.assert_allclose(g.cov, K[D:, D:], rtol=1e-13)


@every_kind
@pytest.mark.parametrize("ridge", [0.0, 1e-9, 0.3])
@pytest.mark.parametrize("t", [0.0, 0.1, 7.0, 1e5, 1e13, None])
def test_covariance_is_symmetric_and_positive_semidefinite_everywhere(kind, ridge, t):
    points = np.concatenate([X_TEST, X_TRAIN[:4], X_TEST[:1]])
    cov = ensemble(GradientFlow(), ridge).predict(points, t, kind=kind).cov
    np.testing.assert_array_equal(cov, cov.T)
    assert np.diagonal(cov).min() >= 0
    assert np.linalg.eigvalsh(cov)[0] >= -1e-9 * np.abs(K).max()


@every_kind
def test_nothing_is_uncertain_at_fitted_points(kind):
    g = ensemble(GradientFlow(), 0.0).predict(X_TRAIN, kind=kind)
    np.testing.assert_allclose(g.mean, Y, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(g.cov, np.zeros((D, D)), atol=1e-10 * np.abs(K).max())


@every_kind
def test_shapes_follow_times_and_outputs(kind):
    many, one = ensemble(GradientFlow(), 0.0), ensemble(GradientFlow(), 0.0, Y[:, 0])
    for t, lead in ((0.3, ()), ([0.3], (1,)), ([0.0, 0.3, np.inf], (3,)), (None, ())):
        g, h = many.predict(X_TEST, t, kind=kind), one.predict(X_TEST, t, kind=kind)
        assert (g.mean.shape, g.cov.shape) == ((*lead, M, OUT), (*lead, M, M))
        assert (h.mean.shape, h.cov.shape) == ((*lead, M), (*lead, M, M))
        np.testing.assert_allclose(h.mean, g.mean[..., 0], rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(h.cov, g.cov)
    assert many.predict(X_TEST, 0.3, kind=kind, cov=False).cov is None


def within_error_bars(samples, g, sigmas=4.5):
    """Means and covariances of `samples [n, S]` against the prediction's, each with its own standard error."""
    n, S = samples.shape
    mean, cov = samples.mean(1), np.cov(samples)
    variance = np.diagonal(g.cov)
    assert np.all(np.abs(mean - g.mean) <= sigmas * np.sqrt(variance / S) + 1e-12)
    error = np.sqrt((np.outer(variance, variance) + g.cov**2) / S)
    assert np.all(np.abs(cov - g.cov) <= sigmas * error + 1e-12)
    assert n == len(g.mean)


SAMPLES = 10_000


@every_ridge
@pytest.mark.parametrize("steps", [3, 40])
def test_draws_trained_by_literal_descent_lie_within_error_bars(ridge, steps):
    rng = np.random.default_rng(steps)
    f0 = features(X, 0) @ rng.standard_normal((P, SAMPLES))  # N(0, K), each column a network
    J, lr = features(X, 1), 1.5 / (LAMBDA + ridge / D)
    start = np.zeros((P, SAMPLES))
    theta = training.descend(J[:D], start, f0[:D], Y[:, :1], lr, steps, ridge)[-1]
    g = ensemble(GradientDescent(lr), ridge, Y[:, 0]).predict(X_TEST, lr * steps)
    within_error_bars((f0 + J @ theta)[D:], g)


@every_ridge
@pytest.mark.parametrize("steps", [3, 40])
def test_readouts_trained_on_noisy_targets_lie_within_error_bars(ridge, steps):
    rng = np.random.default_rng(100 + steps)
    J, lr = features(X, 0), 1.5 / (LAMBDA_K + ridge / D)
    start = rng.standard_normal((P, SAMPLES))
    noisy = Y[:, :1] + np.sqrt(ridge) * rng.standard_normal((D, SAMPLES))
    theta = training.descend(J[:D], start, J[:D] @ start, noisy, lr, steps, ridge)[-1]
    g = ensemble(GradientDescent(lr), ridge, Y[:, 0]).predict(X_TEST, lr * steps, kind="nngp")
    within_error_bars((J @ theta)[D:], g)


def test_twin_points_with_different_targets_leave_a_finite_ensemble():
    x, y = np.concatenate([X_TRAIN, X_TRAIN[:1]]), np.concatenate([Y, Y[:1] + 1])
    ens = Ensemble(FeatureKernel(), x, y, GradientFlow())
    for kind in ("ntk", "nngp"):
        g = ens.predict(x, None, kind=kind)
        np.testing.assert_allclose(g.mean[[0, -1]], np.stack([Y[0] + 0.5] * 2), atol=1e-7)
        assert np.abs(g.cov).max() <= 1e-7


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r'kind must be one of "ntk", "nngp", .* got \'gp\''):
        inspect.unwrap(Ensemble.predict)(ensemble(GradientFlow(), 0.0), X_TEST, kind="gp")  # without type checks
    with pytest.raises(ValueError, match=r"y_train: wanted .* D = 8 training points"):
        ensemble(GradientFlow(), 0.0, Y[:3])
    with pytest.raises(ValueError, match="x_train: 1 of 8 inputs hold NaN or infinity: rows 2"):
        Ensemble(FeatureKernel(), np.where(np.arange(D)[:, None] == 2, np.nan, X_TRAIN), Y, GradientFlow())
    with pytest.raises(ValueError, match=r"x_test: .* got shape \(4,\)"):
        ensemble(GradientFlow(), 0.0).predict(X_TEST[0])
    with pytest.raises(ValueError, match=r"beyond the stability limit .* of the NTK on x_train"):
        ensemble(GradientDescent(2.1 / LAMBDA), 0.0).predict(X_TEST)
    with pytest.raises(ValueError, match="of the NNGP kernel on x_train"):
        ensemble(GradientDescent(2.1 / LAMBDA_K), 0.0).predict(X_TEST, kind="nngp")
