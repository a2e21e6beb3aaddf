"""Ensembles jointly over times, and every variant of them, against linear models that are trained step by step."""

import jax
import numpy as np
import pytest

from oracles import training
from wideflow import Ensemble, GradientDescent, GradientFlow
from wideflow.dynamics import Variant
from wideflow.kernels import Kernels

D, M, P, OUT = 6, 4, 13, 2
RNG = np.random.default_rng(5)
JK = RNG.standard_normal((D + M, P))  # features whose kernel is K; those below are all parameters, K among them
J = np.concatenate([JK, RNG.standard_normal((D + M, 3))], axis=1)
K, THETA = JK @ JK.T, J @ J.T
Y = RNG.standard_normal((D, OUT))
RIDGE, NOISE = 0.4, 0.7
LR = 1.2 / (np.linalg.eigvalsh(THETA[:D, :D])[-1] / D + RIDGE / D)
STEPS = (0, 1, 5, 60)
TIMES = LR * np.array(STEPS)
X = np.arange(D + M, dtype=float)[:, None]  # a point is its row in the tables of features
X_TRAIN, X_TEST = X[:D], X[D:]


class Table:
    """Kernels looked up by row."""

    def __call__(self, x1, x2=None):
        i, j = (np.asarray(x)[:, 0].astype(int) for x in (x1, x1 if x2 is None else x2))
        return Kernels(K[np.ix_(i, j)], THETA[np.ix_(i, j)])


VARIANTS = {  # name: (features of what is trained, covariance A of the initial functions, noise unless it is given)
    "ntk": (J, K, 0.0),
    "nngp": (JK, K, RIDGE),
    "centred": (J, 0 * K, 0.0),
    "ntkgp": (J, THETA, RIDGE),
    Variant("ntk", nngp=1.25): (J, 1.25 * K, 0.0),
    Variant("nngp", nngp=0.5, ntk=2.0, noisy=True): (JK, 0.5 * K + 2 * THETA, RIDGE),
}
every_variant = pytest.mark.parametrize("kind", VARIANTS, ids=str)


def ensemble(ridge=RIDGE, noise=None, y=Y, rule=None):
    return Ensemble(Table(), X_TRAIN, y, rule or GradientDescent(LR), ridge=ridge, noise=noise)


def trained_outputs(features, f0, targets, steps, ridge=RIDGE):
    """Outputs on all points at each of `steps` for the initial functions f0 `[D + M, s]` and targets `[D, s]`."""
    start = np.zeros((features.shape[1], f0.shape[1]))
    path = training.descend(features[:D], start, f0[:D], targets, LR, max(steps), ridge)
    return np.stack([f0 + features @ path[step] for step in steps])


def literal(kind, noise=None):
    """Mean and joint covariance at all points: training is affine in (f₀, ε), so it is run on every unit vector."""
    features, A, default = VARIANTS[kind]
    n, noise = D + M, default if noise is None else noise
    of_start = trained_outputs(features, np.eye(n), np.zeros((D, n)), STEPS).reshape(-1, n)
    of_noise = trained_outputs(features, np.zeros((n, D)), np.eye(D), STEPS).reshape(-1, D)
    cov = of_start @ A @ of_start.T + noise * of_noise @ of_noise.T
    mean = trained_outputs(features, np.zeros((n, OUT)), Y, STEPS)
    return mean, cov.reshape(len(STEPS), n, len(STEPS), n)


@every_variant
@pytest.mark.parametrize("noise", [None, 0.0, NOISE])
def test_joint_covariance_equals_literal_training_at_all_pairs_of_times_and_points(kind, noise):
    mean, cov = literal(kind, noise)
    g = ensemble(noise=noise).joint(X, TIMES, kind=kind)
    assert g.mean.shape == (4, D + M, OUT)
    assert g.cov.shape == (4, D + M, 4, D + M)
    np.testing.assert_allclose(g.mean, mean, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(g.cov, cov, rtol=1e-9, atol=1e-10)


@every_variant
def test_joint_covariance_at_equal_times_is_that_of_predict(kind):
    times = np.array([0.0, TIMES[2], np.inf])
    g, h = ensemble().joint(X, times, kind=kind), ensemble().predict(X, times, kind=kind)
    np.testing.assert_array_equal(g.mean, h.mean)
    for i in range(3):
        np.testing.assert_allclose(g.cov[i, :, i], h.cov[i], rtol=1e-12, atol=1e-12)
    one, other = ensemble().joint(X_TEST, kind=kind), ensemble().predict(X_TEST, kind=kind)
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_allclose(one.cov, other.cov, rtol=1e-12, atol=1e-12)


@every_variant
def test_time_zero_is_the_initial_process_and_its_covariance_with_later_times_fades_on_training_points(kind):
    A = VARIANTS[kind][1]
    g = ensemble(ridge=0.0, noise=0.0, rule=GradientFlow()).joint(X, [0.0, 1e6], kind=kind)
    np.testing.assert_allclose(g.cov[0, :, 0], A, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(g.mean[0], 0)
    np.testing.assert_allclose(g.cov[1, :D], 0, atol=1e-9 * np.abs(THETA).max())  # fitted: nothing of the start is left


def test_flow_covariance_across_times_equals_matrix_exponentials():
    times = [0.05, 0.8]
    inverse = np.linalg.inv(THETA[:D, :D] + RIDGE * np.eye(D))
    C = [THETA[D:, :D] @ inverse @ training.learned(THETA[:D, :D], RIDGE, None, time=t) for t in times]
    expected = K[D:, D:] + C[0] @ K[:D, :D] @ C[1].T - C[0] @ K[:D, D:] - K[D:, :D] @ C[1].T
    g = ensemble(rule=GradientFlow()).joint(X_TEST, times)
    np.testing.assert_allclose(g.cov[0, :, 1], expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(g.cov[1, :, 0], expected.T, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("kind", "kernel"), [("nngp", K), ("ntkgp", THETA)])
def test_ensembles_that_start_at_the_kernel_they_train_end_in_the_posterior(kind, kernel):
    process = pytest.importorskip("sklearn.gaussian_process")
    features = np.linalg.cholesky(kernel + 1e-13 * np.eye(D + M))  # scikit-learn wants inputs, not a matrix
    dot = process.kernels.DotProduct(0.0, "fixed")
    regressor = process.GaussianProcessRegressor(dot, alpha=RIDGE, optimizer=None).fit(features[:D], Y[:, 0])
    mean, cov = regressor.predict(features[D:], return_cov=True)
    g = ensemble(y=Y[:, 0]).predict(X_TEST, kind=kind)
    np.testing.assert_allclose(g.mean, mean, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(g.cov, cov, rtol=1e-7, atol=1e-8)


def test_ntk_ensemble_is_not_the_posterior_and_is_less_certain_than_its_centred_one():
    ntk, posterior, centred = (ensemble().predict(X_TEST, kind=kind).cov for kind in ("ntk", "ntkgp", "centred"))
    assert np.abs(ntk - posterior).max() > 0.1
    np.testing.assert_array_equal(centred, 0)


def test_centred_networks_differ_by_their_noise_alone():
    C = np.linalg.solve(THETA[:D, :D] + RIDGE * np.eye(D), THETA[:D, D:]).T
    g = ensemble(noise=NOISE).predict(X_TEST, kind="centred")
    np.testing.assert_allclose(g.cov, NOISE * C @ C.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(g.mean, C @ Y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["ntk", "nngp", "ntkgp"])
def test_trained_draws_vary_jointly_over_times_as_predicted_within_error_bars(kind):
    """Random members: initial functions and noise drawn, each trained by plain gradient steps."""
    S, (features, A, noise) = 20_000, VARIANTS[kind]
    rng = np.random.default_rng(8)
    f0 = np.linalg.cholesky(A + 1e-13 * np.eye(D + M)) @ rng.standard_normal((D + M, S))
    targets = Y[:, :1] + np.sqrt(noise) * rng.standard_normal((D, S))
    outputs = trained_outputs(features, f0, targets, STEPS)[:, [0, D, D + 1]].reshape(-1, S)
    g = ensemble(y=Y[:, 0]).joint(X[[0, D, D + 1]], TIMES, kind=kind)
    within_error_bars(outputs, g.mean.ravel(), g.cov.reshape(len(outputs), len(outputs)))


def within_error_bars(samples, mean, cov, sigmas=4.5):
    """Means and covariances of `samples [m, S]`, each against its own standard error."""
    S, rounding = samples.shape[1], np.finfo(float).eps * np.diagonal(cov).max()
    variance = np.diagonal(cov) + rounding  # what is certain has a variance of 0 only within rounding
    assert np.all(np.abs(samples.mean(1) - mean) <= sigmas * np.sqrt(variance / S) + 1e-12)
    error = np.sqrt((np.outer(variance, variance) + cov**2) / S)
    assert np.all(np.abs(np.cov(samples) - cov) <= sigmas * error + 1e-12)


def test_samples_have_the_joint_mean_and_covariance_and_independent_outputs():
    S, ens = 20_000, ensemble(ridge=0.0, noise=0.0)
    x, times = X[[0, D, D + 1]], [0.0, TIMES[2], np.inf]
    g, f = ens.joint(x, times), ens.sample(3, x, times, count=S)
    assert f.shape == (S, 3, 3, OUT)
    m = 9
    cov = np.zeros((2 * m, 2 * m))
    cov[:m, :m] = cov[m:, m:] = g.cov.reshape(m, m)
    columns = f.reshape(S, m, OUT).transpose(2, 1, 0).reshape(2 * m, S)
    within_error_bars(columns, g.mean.reshape(m, OUT).T.ravel(), cov)
    np.testing.assert_allclose(f[:, 2, 0], np.broadcast_to(Y[0], (S, OUT)), atol=1e-5)  # fitted: certain


def test_a_sample_is_one_trajectory():
    """Without noise a member is determined by its start: later draws are the same affine map of the first."""
    ens = ensemble(noise=0.0)
    f = ens.sample(0, X, TIMES, count=5, kind="ntkgp")[..., 0]
    again = trained_outputs(J, f[:, 0].T, np.repeat(Y[:, :1], 5, axis=1), STEPS)
    np.testing.assert_allclose(f.transpose(1, 2, 0), again, atol=1e-5)


def test_samples_follow_their_seed_and_shapes_follow_the_times():
    one = ensemble(y=Y[:, 0])
    np.testing.assert_array_equal(one.sample(1, X_TEST, [0.0]), one.sample(1, X_TEST, [0.0]))
    assert np.abs(one.sample(1, X_TEST, 0.0) - one.sample(2, X_TEST, 0.0)).max() > 0.1
    key = jax.random.key(1)
    np.testing.assert_array_equal(one.sample(key, X_TEST, 0.0), one.sample(key, X_TEST, 0.0))
    shapes = [one.sample(np.random.default_rng(0), X_TEST, t, 3).shape for t in (None, 0.0, [0.0], TIMES)]
    assert shapes == [(3, M), (3, M), (3, 1, M), (3, 4, M)]


def test_bad_ensembles_and_samples_are_refused():
    with pytest.raises(ValueError, match=r"noise=-1.*finite and not negative"):
        ensemble(noise=-1.0)
    with pytest.raises(ValueError, match=r"nngp=-1\.0.*finite factors, not negative"):
        Variant("ntk", nngp=-1.0)
    with pytest.raises(ValueError, match="count=0: wanted at least one draw"):
        ensemble().sample(0, X_TEST, 0.0, 0)

    class Indefinite(Table):
        def __call__(self, x1, x2=None):
            values = super().__call__(x1, x2)
            return Kernels(values.nngp - 3 * np.eye(*values.nngp.shape), values.ntk)

    with pytest.raises(ValueError, match=r"not positive semidefinite: its smallest eigenvalue is -"):
        Ensemble(Indefinite(), X_TRAIN, Y, GradientFlow()).sample(0, X, 0.0)
