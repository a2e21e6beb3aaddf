"""Laws hold where the interval has the exponent and excludes the competing one."""

import numpy as np
import pytest

from wideflow.lecture.materials import few_numbers
from wideflow.lecture.power_law import Bound, PowerLaw, Sizes, mean

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


@pytest.mark.parametrize(
    ("exponent", "other", "passed"),
    [(-0.5, None, True), (-1.0, None, True), (-0.2, None, False), (0.0, None, False), (-0.5, -0.5, False)],
)
def test_a_bound_needs_the_exponent_or_less_and_excludes_the_other(exponent, other, passed):
    outcome = sizes(exponent).outcome([Bound("q", -0.5, other, statistic=mean)], "")
    assert outcome.passed is passed


@pytest.mark.parametrize("rows", [3, 5, 9])
def test_few_numbers_keep_every_inner_product_over_the_number_of_inputs(rows):
    x = np.random.default_rng(1).standard_normal((rows, 7))
    x[-1] = x[0]  # of which a Cholesky decomposition knows nothing
    found = few_numbers(x)
    assert found.shape == (rows, min(rows, 7))
    np.testing.assert_allclose(found @ found.T / found.shape[1], x @ x.T / 7, rtol=1e-12, atol=1e-13)
