"""Evidence and leave-one-out predictions against SciPy's Gaussian, refits without each point, and differences."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from wideflow.dynamics import GaussianProcess, NotPositiveDefiniteError

D, OUT, NOISE = 7, 2, 0.3
RNG = np.random.default_rng(3)
FEATURES = RNG.standard_normal((D, 4))
K = FEATURES @ FEATURES.T  # rank 4: positive definite by its noise alone
Y = RNG.standard_normal((D, OUT))
S = K + NOISE * np.eye(D)


def loo(process):
    return float(process.leave_one_out.log_density.sum())


def evidence(process):
    return process.log_marginal_likelihood


def test_evidence_is_the_gaussian_density_of_the_targets():
    expected = sum(multivariate_normal(np.zeros(D), S).logpdf(Y[:, o]) for o in range(OUT))
    assert GaussianProcess(K, Y, NOISE).log_marginal_likelihood == pytest.approx(expected, rel=1e-12)
    one = multivariate_normal(np.zeros(D), S).logpdf(Y[:, 0])
    assert GaussianProcess(K, Y[:, 0], NOISE).log_marginal_likelihood == pytest.approx(one, rel=1e-12)


def test_leave_one_out_equals_refits_without_each_point():
    found = GaussianProcess(K, Y, NOISE).leave_one_out
    for i in range(D):
        rest = np.delete(np.arange(D), i)
        weights = np.linalg.solve(S[np.ix_(rest, rest)], K[rest, i])
        variance = K[i, i] - weights @ K[rest, i] + NOISE
        np.testing.assert_allclose(found.mean[i], weights @ Y[rest], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found.variance[i], variance, rtol=1e-9)
        expected = norm(weights @ Y[rest], np.sqrt(variance)).logpdf(Y[i])
        np.testing.assert_allclose(found.log_density[i], expected, rtol=1e-9)


def test_one_output_has_one_axis():
    one, many = (GaussianProcess(K, y, NOISE).leave_one_out for y in (Y[:, 0], Y))
    np.testing.assert_allclose(one.mean, many.mean[:, 0], rtol=1e-12)
    np.testing.assert_allclose(one.log_density, many.log_density[:, 0], rtol=1e-12)
    assert one.variance.shape == (D,)


@pytest.mark.parametrize("criterion", [evidence, loo])
def test_slopes_in_the_matrix_equal_central_differences(criterion):
    process = GaussianProcess(K, Y, NOISE)
    slope = process.log_marginal_likelihood_slope if criterion is evidence else process.leave_one_out_slope
    np.testing.assert_allclose(slope, slope.T, rtol=1e-9, atol=1e-12)
    direction, step = RNG.standard_normal((D, D)), 1e-5
    direction = (direction + direction.T) / np.linalg.norm(direction)  # far smaller than the noise, times the step
    values = [criterion(GaussianProcess(K + sign * step * direction, Y, NOISE)) for sign in (1, -1)]
    assert np.sum(slope * direction) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-7)
    noisy = [criterion(GaussianProcess(K, Y, NOISE + sign * step)) for sign in (1, -1)]
    assert np.trace(slope) == pytest.approx((noisy[0] - noisy[1]) / (2 * step), rel=1e-7)


def test_a_singular_matrix_is_refused_with_its_smallest_eigenvalue_and_nothing_is_added():
    for matrix in (K, np.ones((3, 3)), np.diag(np.array([1.0, 2.0, 0.0]))):
        with pytest.raises(NotPositiveDefiniteError, match=r"not positive definite: its smallest eigenvalue is .*e-"):
            GaussianProcess(matrix, np.ones(len(matrix)), 0.0)
    with pytest.raises(NotPositiveDefiniteError, match=r"smallest eigenvalue is -1\.000e-01"):
        GaussianProcess(np.diag(np.array([1.0, 2.0, -0.3])), np.ones(3), 0.2)
    np.testing.assert_allclose(GaussianProcess(np.eye(3), np.ones(3), 0.0).leave_one_out.mean, 0, atol=1e-15)


def test_duplicates_need_noise_and_then_predict_each_other():
    features = RNG.standard_normal((D, 9))
    twins = np.concatenate([features, features[:1]])
    y = np.concatenate([Y, Y[:1]])
    found = GaussianProcess(twins @ twins.T, y, 1e-6).leave_one_out
    np.testing.assert_allclose(found.mean[[0, -1]], Y[[0, 0]], atol=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"noise=-1.* finite and not negative"):
        GaussianProcess(K, Y, -1.0)
    with pytest.raises(ValueError, match=r"y_train: wanted .* D = 7 training points"):
        GaussianProcess(K, Y[:3], NOISE)
    with pytest.raises(ValueError, match=r"k_train: wanted a square matrix"):
        GaussianProcess(K[:3], Y, NOISE)
