"""Spectral filters of the training rules against 60-digit arithmetic and against taking the steps."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import training
from wideflow.dynamics import GradientDescent, GradientFlow

LAMBDAS = np.array([0.0, 1e-30, 1e-16, 3e-13, 1e-9, 1e-5, 0.02, 0.5, 0.75, 1.0, 1.2, 1.5, 1.9, 1.999, 2.0 - 1e-12])
STEPS = [0, 1, 2, 3, 10, 101, 10**4, 10**9]


def relative_errors(values, expected):
    """Of floats against multiple-precision numbers; zero against zero is no error."""
    with mp.workdps(training.DIGITS):
        pairs = zip(values, expected, strict=True)
        return np.array([float(abs(mp.mpf(float(v)) - e) / (abs(e) if e else 1)) for v, e in pairs])


def conditioning(lr_lambda, steps):
    """Rounding of the product lr λ as it reaches 1 − (1 − lr λ)^steps: no algorithm in float64 can do better."""
    power = np.array([float(training.residual(float(v), 1.0, steps)) for v in lr_lambda])
    with np.errstate(divide="ignore", invalid="ignore"):
        amplified = steps * lr_lambda / np.abs(1 - lr_lambda) * np.abs(power / (1 - power))
    return np.where(np.isfinite(amplified), amplified, 1)


@pytest.mark.parametrize("lr", [1.0, 0.3, 1 / 3])
@pytest.mark.parametrize("steps", STEPS)
def test_descent_progress_keeps_every_digit(lr, steps):
    values = GradientDescent(lr).progress(LAMBDAS / lr, lr * steps)
    errors = relative_errors(values, [training.progress(float(v), lr, steps) for v in LAMBDAS / lr])
    assert np.all(errors <= 1e-15 * (1 + conditioning(LAMBDAS, steps)))


@pytest.mark.parametrize("steps", STEPS[:-1])
def test_descent_residual_equals_exact_powers(steps):
    values = GradientDescent(1.0).residual(LAMBDAS, float(steps))
    expected = [float(training.residual(float(v), 1.0, steps)) for v in LAMBDAS]
    # A power below 1e-300 is zero; exp amplifies the rounding of its argument, of up to 700.
    np.testing.assert_allclose(values, expected, rtol=3e-13, atol=1e-300)


@given(
    st.floats(0, 1.999),
    st.floats(1e-3, 1e3),
    st.integers(0, 300),
)
def test_descent_filters_equal_literal_steps(eta_lambda, lr, steps):
    lam = eta_lambda / lr
    residual, weight = 1.0, 0.0
    for _ in range(steps):
        weight += lr * residual
        residual -= lr * lam * residual
    rule = GradientDescent(lr)
    np.testing.assert_allclose(rule.residual(np.array([lam]), lr * steps), residual, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(rule.progress(np.array([lam]), lr * steps), weight, rtol=1e-11, atol=1e-14 * lr)


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_descent_beyond_the_limit_diverges_as_literal_steps_do(steps):
    lam = np.array([2.0, 2.5, 3.0, 17.0])
    expected = [float(training.residual(float(v), 1.0, steps)) for v in lam]
    np.testing.assert_allclose(GradientDescent(1.0).residual(lam, float(steps)), expected, rtol=1e-13)
    expected = [float(training.progress(float(v), 1.0, steps)) for v in lam]
    np.testing.assert_allclose(GradientDescent(1.0).progress(lam, float(steps)), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("time", [0.0, 1e-12, 0.3, 40.0, 1e6, 1e15])
@pytest.mark.parametrize("lr", [1.0, 0.2])
def test_flow_filters_keep_every_digit(time, lr):
    rule = GradientFlow(lr)
    expected = [float(training.flow_residual(float(v), lr * time)) for v in LAMBDAS]
    # exp amplifies the rounding of its argument, and where it is below 1e-300 it is zero.
    np.testing.assert_allclose(rule.residual(LAMBDAS, time), expected, rtol=1e-12, atol=1e-300)
    expected = [training.flow_progress(float(v), lr * time) for v in LAMBDAS]
    assert np.all(relative_errors(rule.progress(LAMBDAS, time), expected) <= 1e-15)


@pytest.mark.parametrize("rule", [GradientFlow(0.5), GradientDescent(0.5)], ids=repr)
def test_filters_have_their_limits_at_time_zero_and_infinity(rule):
    lam = np.array([0.0, 1e-16, 0.5, 2.0, 3.9])
    np.testing.assert_array_equal(rule.residual(lam, 0.0), np.ones(5))
    np.testing.assert_array_equal(rule.progress(lam, 0.0), np.zeros(5))
    np.testing.assert_array_equal(rule.residual(lam, np.inf), [1, 0, 0, 0, 0])
    np.testing.assert_allclose(rule.progress(lam, np.inf), [np.inf, 1e16, 2, 0.5, 1 / 3.9], rtol=1e-15)


@pytest.mark.parametrize("steps", [10**15, 10**18, 10**25, 10**300])
def test_descent_takes_any_number_of_steps(steps):
    values = GradientDescent(1.0).progress(np.array([1e-20, 0.3, 1.0, 1.7]), float(steps))
    expected = [float(training.progress(1e-20, 1.0, 10**40 if steps > 10**40 else steps)), 1 / 0.3, 1.0, 1 / 1.7]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_descent_of_vanishing_rate_is_the_flow():
    lam = np.array([0.0, 0.1, 1.0, 3.0])
    flow = GradientFlow(1.0).progress(lam, 2.0)
    errors = [np.abs(GradientDescent(lr).progress(lam, 2.0) - flow).max() for lr in (1e-3, 5e-4)]
    assert 1.9 < errors[0] / errors[1] < 2.1


@pytest.mark.parametrize("rule", [GradientFlow, GradientDescent])
@pytest.mark.parametrize("lr", [0.0, -1.0, np.inf, np.nan])
def test_rules_refuse_a_rate_that_is_not_positive_and_finite(rule, lr):
    with pytest.raises(ValueError, match=r"learning rate must be positive and finite"):
        rule(lr)


def test_descent_refuses_a_fraction_of_a_step_and_names_a_time_that_works():
    with pytest.raises(ValueError, match=r"2\.5 steps, which is not a whole number.*for instance 1"):
        GradientDescent(0.5).check_time(1.25)


def test_descent_accepts_times_that_are_whole_numbers_of_steps_up_to_rounding():
    for lr in (0.1, 1 / 3, 0.7, 1e-4):
        for steps in (0, 1, 3, 7, 12345):
            assert GradientDescent(lr).steps(lr * steps) == steps


@pytest.mark.parametrize("rule", [GradientFlow(), GradientDescent()], ids=repr)
@pytest.mark.parametrize("t", [-1.0, np.nan])
def test_rules_refuse_times_before_the_beginning(rule, t):
    with pytest.raises(ValueError, match="time must not be negative"):
        rule.check_time(t)


def test_limits_of_stability():
    assert GradientFlow().max_learning_rate(3.0) == np.inf
    assert GradientDescent().max_learning_rate(4.0) == 0.5
    assert GradientDescent().max_learning_rate(0.0) == np.inf
