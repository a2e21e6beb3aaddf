"""Scores of predicted uncertainty, simulated where the truth is known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from wideflow.dynamics import (
    NotPositiveDefiniteError,
    calibration_curve,
    expected_calibration_error,
    interval_coverage,
    joint_negative_log_predictive_density,
    negative_log_predictive_density,
    regression_calibration_error,
    reliability,
    sharpness,
)

RNG = np.random.default_rng(9)
N = 40_000
MEAN = RNG.standard_normal(N)
VARIANCE = RNG.uniform(0.2, 2.0, N)
Y = MEAN + np.sqrt(VARIANCE) * RNG.standard_normal(N)  # what a calibrated prediction says
ERROR = 4.5 * 0.5 / np.sqrt(N)  # of a share, 4.5 standard errors


def test_densities_are_those_of_scipy_with_one_or_several_outputs():
    expected = -norm(MEAN[:5], np.sqrt(VARIANCE[:5])).logpdf(Y[:5])
    np.testing.assert_allclose(negative_log_predictive_density(Y[:5], MEAN[:5], VARIANCE[:5]), expected, rtol=1e-12)
    both = negative_log_predictive_density(*(np.stack([v, v], axis=1) for v in (Y[:5], MEAN[:5])), VARIANCE[:5])
    np.testing.assert_allclose(both, np.stack([expected] * 2, axis=1), rtol=1e-12)


def test_mean_density_is_the_entropy_for_the_truth_and_worse_for_anything_else():
    def nlpd(mean, variance):
        return negative_log_predictive_density(Y, mean, variance).mean()

    entropy = np.mean(np.log(2 * np.pi * np.e * VARIANCE)) / 2
    assert nlpd(MEAN, VARIANCE) == pytest.approx(entropy, abs=4.5 * np.sqrt(0.5 / N))
    for factor in (0.5, 2.0):  # expected: half of log f + 1/f − 1
        excess = (np.log(factor) + 1 / factor - 1) / 2
        assert nlpd(MEAN, factor * VARIANCE) - nlpd(MEAN, VARIANCE) == pytest.approx(excess, abs=0.03)
    assert nlpd(MEAN + 0.3, VARIANCE) > nlpd(MEAN, VARIANCE) + 0.01


def test_joint_density_is_that_of_scipy_and_of_points_where_they_are_independent():
    A = RNG.standard_normal((4, 6))
    expected = -multivariate_normal(MEAN[:4], A @ A.T).logpdf(Y[:4])
    assert joint_negative_log_predictive_density(Y[:4], MEAN[:4], A @ A.T) == pytest.approx(expected, rel=1e-10)
    alone = negative_log_predictive_density(Y[:4], MEAN[:4], VARIANCE[:4]).sum()
    together = joint_negative_log_predictive_density(Y[:4], MEAN[:4], np.diag(VARIANCE[:4]))
    assert together == pytest.approx(alone, rel=1e-12)


def test_calibrated_intervals_and_quantiles_hold_what_they_promise():
    for curve in (calibration_curve(Y, MEAN, VARIANCE), interval_coverage(Y, MEAN, VARIANCE)):
        np.testing.assert_allclose(curve.observed, curve.levels, atol=ERROR)
    assert regression_calibration_error(Y, MEAN, VARIANCE) < ERROR


def test_intervals_of_a_wrong_width_hold_the_share_that_follows_from_it():
    levels = np.array([0.5, 0.9, 0.95])
    for factor in (0.5, 2.0):  # of the standard deviation
        expected = 2 * norm.cdf(factor * norm.ppf((1 + levels) / 2)) - 1
        found = interval_coverage(Y, MEAN, factor**2 * VARIANCE, levels)
        np.testing.assert_allclose(found.observed, expected, atol=ERROR)
    biased = calibration_curve(Y, MEAN + np.sqrt(VARIANCE), VARIANCE, levels).observed
    np.testing.assert_allclose(biased, norm.cdf(norm.ppf(levels) + 1), atol=ERROR)


def test_regression_calibration_error_reaches_one_half_where_everything_is_wrong():
    assert regression_calibration_error(Y, MEAN + 1e6, VARIANCE) == pytest.approx(0.5)
    assert sharpness(VARIANCE) == pytest.approx(VARIANCE.mean())


def classes(temperature=1.0, n=N):
    logits = 2 * RNG.standard_normal((n, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < RNG.uniform(size=(n, 1))).sum(axis=1)
    told = np.exp(logits / temperature)
    return told / told.sum(axis=1, keepdims=True), labels, shares


def test_calibrated_classifications_have_a_small_error_and_overconfident_ones_their_gap():
    told, labels, _ = classes()
    assert expected_calibration_error(told, labels) < 4 * np.sqrt(15 / N)
    told, labels, shares = classes(temperature=0.3)
    gap = told.max(axis=1).mean() - shares[np.arange(N), told.argmax(axis=1)].mean()  # one-signed: the bins add up
    assert gap > 0.05
    assert expected_calibration_error(told, labels) == pytest.approx(gap, abs=0.02)


def test_reliability_counts_every_point_once_in_the_bin_of_its_confidence():
    told = np.array([[0.5, 0.5], [0.6, 0.4], [0.4, 0.6], [1.0, 0.0]])
    found = reliability(told, np.array([0, 1, 1, 0]), bins=5)  # bins end at 0.2, 0.4 … and hold their ends
    np.testing.assert_allclose(found.confidence, [(0.5 + 0.6 + 0.6) / 3, 1.0])
    np.testing.assert_allclose(found.accuracy, [2 / 3, 1.0])
    np.testing.assert_array_equal(found.points, [3, 1])
    error = expected_calibration_error(told, np.array([0, 1, 1, 0]), bins=5)
    assert error == pytest.approx(3 / 4 * abs(2 / 3 - 1.7 / 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: negative_log_predictive_density(Y[:3], MEAN[:2], VARIANCE[:3]), "y and mean: wanted one shape"),
        (lambda: negative_log_predictive_density(Y[:3], MEAN[:3], 0 * Y[:3]), "variance: must be positive"),
        (lambda: negative_log_predictive_density(Y[:3], MEAN[:3], VARIANCE[:2]), r"variance: wanted shape \(3,\)"),
        (lambda: negative_log_predictive_density(np.nan * Y[:3], MEAN[:3], VARIANCE[:3]), "hold NaN"),
        (lambda: calibration_curve(Y, MEAN, VARIANCE, [1.2]), "levels: wanted probabilities"),
        (lambda: sharpness([-1.0]), "variance: wanted at least one number, none of them negative"),
        (lambda: reliability(np.ones((2, 2)), np.array([0, 1])), "every row must be probabilities"),
        (lambda: reliability(np.eye(2), np.array([0, 2])), "labels: wanted integers from 0 to 1"),
        (lambda: reliability(np.eye(2), np.array([0, 1]), bins=0), "bins=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_joint_density_of_a_singular_covariance_is_refused():
    with pytest.raises(NotPositiveDefiniteError, match="smallest eigenvalue"):
        joint_negative_log_predictive_density(Y[:2], MEAN[:2], np.ones((2, 2)))
