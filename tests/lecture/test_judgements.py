"""What verdicts rest on: rises of a loss, means without the start, exponents of networks that are paired."""

import numpy as np

from wideflow.lecture.large_rates import _largest_rise
from wideflow.lecture.posterior import _of_the_mean
from wideflow.lecture.power_law import PowerLaw, Sizes, geometric_mean

RNG = np.random.default_rng(0)


def test_a_loss_rises_over_what_it_had_reached():
    losses = np.array([[4.0, 1.0, 3.0, 0.5], [4.0, 3.0, 2.0, 1.0], [4.0, 6.0, 1.0, 2.0]])
    np.testing.assert_allclose(_largest_rise(losses), [0.5, 0.0, 0.5])


def test_what_follows_from_the_start_leaves_the_mean_and_takes_its_scatter():
    start = RNG.standard_normal((400, 5))
    noise = 0.1 * RNG.standard_normal(400)
    values = 0.7 + start @ np.array([1.0, -2.0, 0.5, 3.0, 1.0]) + noise
    found = _of_the_mean(values, start)
    assert abs(found.mean() - 0.7) < 4 * 0.1 / 400**0.5
    assert 0.09 < found.std() < 0.11


def test_networks_that_are_paired_leave_the_exponent_its_digits():
    widths = (8, 16, 32, 64)
    sizes = np.exp(RNG.standard_normal(12)) / np.asarray(widths)[:, None]  # a network's own size everywhere
    law = PowerLaw("q", -1.0, not_exponent=-0.5, statistic=geometric_mean)
    paired, apart = (Sizes(widths, {"q": sizes}, paired=p).outcome([law], "").numbers["q"] for p in (True, False))
    np.testing.assert_allclose([paired["low"], paired["high"]], -1, rtol=1e-12)
    assert apart["high"] - apart["low"] > 0.1
