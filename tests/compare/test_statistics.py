"""Agreement: how often its limits are passed by chance, and what they catch."""

import numpy as np
import pytest

from wideflow.compare.statistics import THREE_SIGMA, Agreement

NETWORKS, POINTS, REPETITIONS = 50, 24, 4000


def covariance(length):
    """A smooth process on a line: the longer its correlation, the fewer its degrees of freedom."""
    where = np.linspace(0, 1, POINTS)
    return np.exp(-((where[:, None] - where) ** 2) / (2 * length**2)) * np.outer(1 + where, 1 + where)


def agreements(cov, repetitions, shift=0.0, scale=1.0, confidence=THREE_SIGMA):
    """Agreements of simulated ensembles whose mean is moved by `shift` and whose variance is `scale` times as large."""
    rng = np.random.default_rng(0)
    mean = np.sin(np.arange(POINTS))
    root = np.linalg.cholesky(scale * cov + 1e-12 * np.eye(POINTS))
    for _ in range(repetitions):
        yield Agreement.of(mean + shift + rng.normal(size=(NETWORKS, POINTS)) @ root.T, mean, cov, confidence)


def alarms(cov, repetitions, shift=0.0, scale=1.0, confidence=THREE_SIGMA):
    """How many means and how many variances were outside their limits."""
    found = list(agreements(cov, repetitions, shift, scale, confidence))
    means = sum(a.mean_error > a.mean_limit for a in found)
    variances = sum(not a.ratio_low < a.variance_ratio < a.ratio_high for a in found)
    return means, variances


@pytest.mark.parametrize("length", [0.02, 0.2, 5.0])
def test_false_alarms_are_as_rare_as_stated(length):
    expected = REPETITIONS * (1 - THREE_SIGMA)
    for count in alarms(covariance(length), REPETITIONS):
        assert count <= expected + 4 * np.sqrt(expected), f"{count} false alarms, {expected:.1f} expected"


def test_other_confidences_are_kept_too():
    for count in alarms(covariance(0.2), REPETITIONS, confidence=0.9):
        assert abs(count - 0.1 * REPETITIONS) <= 5 * np.sqrt(0.09 * REPETITIONS)


@pytest.mark.parametrize("length", [0.02, 0.2])
def test_standard_error_is_the_root_mean_square_by_chance(length):
    found = list(agreements(covariance(length), 500))
    assert np.sqrt(np.mean([a.mean_in_errors**2 for a in found])) == pytest.approx(1, abs=0.1)
    assert np.mean([a.variance_ratio for a in found]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("scale", [1.5, 1 / 1.5])
def test_wrong_variance_is_caught(scale):
    assert alarms(covariance(0.05), 100, scale=scale)[1] > 95


def test_shifted_mean_is_caught():
    assert alarms(covariance(0.05), 100, shift=0.8)[0] > 95
    assert alarms(covariance(0.05), 100, shift=-0.8)[0] > 95
