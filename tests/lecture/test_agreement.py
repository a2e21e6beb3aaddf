"""Means and variances agree within chance and the 1/width part, and not beyond."""

import numpy as np
import pytest

from wideflow.lecture.agreement import mean_error, variance_ratio

LIMIT = np.array([1.0, -2.0, 0.5])
SPREAD = np.array([0.5, 1.0, 0.2])


def draws(width, count=400, shift=0.0, scale=1.0, seed=0):
    """Networks whose mean is off by 1/width, and by `shift` at any width."""
    noise = np.random.default_rng([seed, width]).standard_normal((count, 3))
    return LIMIT + 1 / width + shift + scale * SPREAD * noise


@pytest.mark.parametrize("seed", range(5))
def test_a_mean_that_is_off_by_one_over_the_width_agrees(seed):
    assert mean_error(draws(16, seed=seed), draws(4, seed=seed), LIMIT) < 1


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_a_mean_that_stays_off_does_not_agree(shift):
    assert mean_error(draws(16, shift=shift), draws(4, shift=shift), LIMIT) > 1


@pytest.mark.parametrize("seed", range(5))
def test_the_right_variance_agrees(seed):
    ratio, allowed = variance_ratio(draws(16, seed=seed), draws(4, seed=seed), SPREAD**2)
    assert abs(ratio - 1) <= allowed < 0.5


@pytest.mark.parametrize("scale", [0.7, 1.4])
def test_another_variance_does_not_agree(scale):
    ratio, allowed = variance_ratio(draws(16, scale=scale), draws(4, scale=scale), SPREAD**2)
    assert abs(ratio - 1) > allowed
