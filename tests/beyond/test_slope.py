"""Fitted exponents hold the true one at their stated rate, and bad input is refused."""

import numpy as np
import pytest

from wideflow.beyond import Slope, fit_slope

WIDTHS = np.array([32, 64, 128, 256, 512])


def noisy(rng, exponent, seeds=40):
    return rng.standard_normal((len(WIDTHS), seeds)) * WIDTHS[:, None] ** exponent


def test_interval_holds_the_true_exponent_at_its_rate():
    rng = np.random.default_rng(0)
    held = [fit_slope(WIDTHS, noisy(rng, -1.0), resamples=200).contains(-1.0) for _ in range(100)]
    assert 85 <= sum(held) <= 100  # 95 expected; percentile intervals are a little short


def test_interval_excludes_a_wrong_exponent():
    assert not fit_slope(WIDTHS, noisy(np.random.default_rng(1), -1.0)).contains(-0.5)


def test_a_statistic_of_choice_is_fitted():
    samples = 3 / WIDTHS[:, None] + 0.01 * np.random.default_rng(2).standard_normal((5, 400)) / WIDTHS[:, None]
    slope = fit_slope(WIDTHS, samples, statistic=lambda s: s.mean(axis=1))
    assert slope.contains(-1.0)
    assert slope.high - slope.low < 0.01


def test_a_systematic_part_widens_the_interval():
    assert Slope(-1.0, -1.1, -0.95).widened(0.1) == Slope(-1.0, -1.2000000000000002, -0.85)


@pytest.mark.parametrize(
    ("x", "samples", "message"),
    [
        ([1, 2, 3], np.ones((3, 9)), "at least 4 different positive x"),
        ([1, 2, 3, 4], np.ones((4, 3)), "at least 4 seeds"),
        ([1, 2, 3, 4], np.ones((3, 9)), "wanted x"),
        ([1, 2, 3, 4], np.zeros((4, 9)), "must be positive"),
    ],
)
def test_bad_input_is_refused(x, samples, message):
    with pytest.raises(ValueError, match=message):
        fit_slope(x, samples)
