"""Power laws of the deviation: fitted to exact ones, to noisy ones against NumPy's own fit, and to networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow.dynamics import GradientDescent
from wideflow.finite import DeviationPath, WidthExtrapolation, extrapolate_width, measure_deviation
from wideflow.finite.extrapolate_width import checked_widths

WIDTHS = np.array([16, 64, 256, 1024])


def path(deviation):
    """Training that is off the linearization by this much at its one step."""
    return DeviationPath(np.arange(2), np.ones((2, 2)), np.array([0.0, 1.0]), np.array([0.0, deviation]))


def test_an_exact_power_law_is_continued_to_the_wanted_deviation():
    def diagnosed(f, params):
        return path(3.0 * params**-0.75)

    got = extrapolate_width(lambda width: (None, float(width)), WIDTHS.tolist(), diagnosed, wanted=1e-3)
    np.testing.assert_allclose([got.exponent, got.width], [0.75, 3000 ** (1 / 0.75)], rtol=1e-9)
    assert got.usable
    assert got.exponent_error < 1e-7
    assert "0.001 needs a width of about 43,000 (43,000 … 43,000)" in str(got)


def test_uncertainties_are_those_of_least_squares_and_cover_the_true_width():
    """Standard errors as NumPy's polyfit has them; over many draws the range holds the true width about as often."""
    rng, truth = np.random.default_rng(3), 3000 ** (1 / 0.75)
    widths = np.geomspace(16, 4096, 12).astype(int)
    deviations = 3.0 * widths**-0.75 * np.exp(0.1 * rng.standard_normal((200, len(widths))))
    fits = [WidthExtrapolation(widths, one, 1e-3) for one in deviations]
    inside = np.mean([fit.width_range[0] < truth < fit.width_range[1] for fit in fits])
    slope, covariance = np.polyfit(np.log(widths), np.log(deviations[0]), 1, cov=True)
    np.testing.assert_allclose(fits[0].exponent, -slope[0], rtol=1e-9)
    np.testing.assert_allclose(fits[0].exponent_error, covariance[0, 0] ** 0.5, rtol=1e-9)
    assert 0.55 < inside < 0.77  # Student's t with 10 degrees of freedom: 0.66 ± 0.033


def test_a_fit_that_cannot_be_used_says_so_and_gives_no_width():
    flat = WidthExtrapolation(WIDTHS, np.array([0.3, 0.2, 0.4, 0.25]), 0.01)
    broken = WidthExtrapolation(WIDTHS, np.array([0.3, np.inf, 0.4, 0.25]), 0.01)
    assert not flat.usable
    assert np.isnan(flat.width)
    assert "does not fall beyond doubt" in str(flat)
    assert not broken.usable
    assert np.isnan(broken.width_range).all()
    assert "a deviation is zero or infinite" in str(broken)
    far = WidthExtrapolation(WIDTHS, 3.0 * WIDTHS**-0.75, 1e-6)
    assert "check it with wider networks" in str(far)


def test_widths_that_are_measured_are_kept_when_the_others_are_interrupted():
    def diagnosed(f, params):
        if params > last:
            raise KeyboardInterrupt
        return path(3.0 * params**-0.75)

    family = lambda width: (None, float(width))  # noqa: E731
    last = 256
    got = extrapolate_width(family, WIDTHS.tolist(), diagnosed, wanted=1e-3)
    np.testing.assert_allclose(got.width, 3000 ** (1 / 0.75), rtol=1e-9)
    assert got.interrupted
    assert str(got).endswith("; stopped by Ctrl-C before all were measured")
    last = 0
    with pytest.raises(KeyboardInterrupt):
        extrapolate_width(family, WIDTHS.tolist(), diagnosed)


def test_widths_and_families_that_are_none_are_errors():
    with pytest.raises(ValueError, match="widths: wanted whole numbers"):
        checked_widths(lambda width: None, [1.5, 2.5, 3.5], 0.01)
    with pytest.raises(TypeError, match=r"family: wanted a function width -> \(f, params\), got 3"):
        checked_widths(3, WIDTHS, 0.01)


def test_a_trend_that_chance_makes_is_seldom_called_beyond_doubt():
    """Without any trend, a twentieth of fits at most, also with one degree of freedom."""
    rng = np.random.default_rng(5)
    for widths in (WIDTHS[:3], WIDTHS):
        scatter = np.exp(0.3 * rng.standard_normal((1000, len(widths))))
        usable = np.mean([WidthExtrapolation(widths, 0.1 * one, 0.01).usable for one in scatter])
        assert usable < 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_deviations_that_are_all_small_enough_are_said_to_be():
    for deviations in ([0.004, 0.003, 0.005, 0.004], [0.0, 0.0, 0.0, 0.0]):
        met = WidthExtrapolation(WIDTHS, np.array(deviations), 0.01)
        assert met.met
        assert met.verdict == "a width of 16 is enough: deviations are at most 0.01 at every width"


def test_an_exponent_of_the_wrong_sign_is_written_with_one_sign():
    assert "n^(0.2" in WidthExtrapolation(WIDTHS[:3], np.array([0.1, 0.14, 0.18]), 0.01).verdict


def never(width):
    raise AssertionError(f"a network of width {width} was asked for")


def test_too_few_widths_and_no_wanted_deviation_are_errors_before_any_work():
    with pytest.raises(ValueError, match=r"at least 3 different positive ones, got \[8, 8, 16\]"):
        extrapolate_width(never, [8, 8, 16], lambda f, p: path(0.1))
    with pytest.raises(ValueError, match="must be positive and finite, got 0"):
        extrapolate_width(never, [8, 16, 32], lambda f, p: path(0.1), wanted=0)


@pytest.mark.slow
def test_the_deviation_of_tanh_networks_falls_with_the_width():
    x, y = np.random.default_rng(4).standard_normal((2, 5, 1)).astype(np.float32)

    def network(params, x):
        return jnp.tanh(x @ params[0]) @ params[1] / params[1].shape[0] ** 0.5

    def family(width):
        first, second = jax.random.split(jax.random.key(width))
        return network, (jax.random.normal(first, (1, width)), jax.random.normal(second, (width, 1)))

    def diagnosed(f, params):
        return measure_deviation(f, params, (x, y), GradientDescent(0.5), steps=50)

    got = extrapolate_width(family, [64, 256, 1024, 4096], diagnosed, wanted=1e-3)
    assert got.usable, str(got)
    assert 0.4 < got.exponent < 1.2
