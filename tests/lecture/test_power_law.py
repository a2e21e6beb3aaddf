"""Laws hold where the interval has the exponent and excludes the competing one."""

import numpy as np
import pytest

from wideflow.lecture.power_law import PowerLaw, Sizes, mean

WIDTHS = (32, 64, 128, 256)


def sizes(exponent, spread=0.1):
    noise = np.exp(spread * np.random.default_rng(0).standard_normal((4, 20)))
    return Sizes(WIDTHS, {"q": noise * np.asarray(WIDTHS, float)[:, None] ** exponent})


@pytest.mark.parametrize(("exponent", "passed"), [(-1.0, True), (-0.5, False), (-0.75, False), (0.0, False)])
def test_only_the_expected_exponent_passes(exponent, passed):
    outcome = sizes(exponent).outcome([PowerLaw("q", -1.0, not_exponent=-0.5, statistic=mean)], "caption")
    assert outcome.passed is passed
    assert outcome.measured.startswith("q: N^")


def test_an_interval_too_wide_to_exclude_the_other_exponent_fails():
    outcome = sizes(-1.0, spread=4.0).outcome([PowerLaw("q", -1.0, not_exponent=-0.5, statistic=mean)], "caption")
    assert outcome.passed is False
