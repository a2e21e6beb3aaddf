"""Rules with momentum and schedules against 60-digit recursions, ODE solvers and literally training a model."""

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from oracles import training
from wideflow import Trajectory
from wideflow.dynamics import (
    GradientDescent,
    HeavyBall,
    HeavyBallFlow,
    Nesterov,
    NesterovFlow,
    Schedule,
    learning_times,
)

BETAS = [0.0, 0.5, 0.9, 0.999]
# Tiny, around the double roots at β = 0.9 of both rules, oscillating, with negative roots, and beyond the limits.
H = [0.0, 1e-30, 1e-16, 1e-9, 1e-5, 1e-3, (1 - 0.9**0.5) ** 2, (0.1 / 1.9) ** 2, 0.0026, 0.0027, 0.01, 0.2, 0.9, 1.0]
H_FAST = [1.3, 1.35, 1.9, 2.5, 3.5, 3.79, 3.9, 5.0]
RULES = [HeavyBall, Nesterov]


def recursion(rule, h, beta, steps):
    """r_steps by powers of the recursion's matrix, r_1 = (1 − h) r_0."""
    with mp.workdps(training.DIGITS):
        h, beta = mp.mpf(h), mp.mpf(beta)
        factor = 1 if rule is HeavyBall else 1 - h
        first = (1 + beta - h) if rule is HeavyBall else factor * (1 + beta)
        matrix = mp.matrix([[first, -factor * beta], [1, 0]])
        return mp.mpf(1) if steps == 0 else (matrix ** (steps - 1) * mp.matrix([1 - h, 1]))[0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("beta", BETAS)
def test_momentum_filters_keep_their_digits(rule, beta):
    for steps in (0, 1, 2, 3, 10, 101, 1000, 10**6, 10**10):
        h = np.array(H if steps > 1000 else H + H_FAST)
        residual, progress = (getattr(rule(1.0, beta), name)(h, float(steps)) for name in ("residual", "progress"))
        exact = [recursion(rule, v, beta, steps) for v in h]
        np.testing.assert_allclose(residual, [float(e) for e in exact], rtol=1e-11, atol=1e-15)
        with mp.workdps(training.DIGITS):
            exact = [float((1 - e) / mp.mpf(v)) if v else steps for e, v in zip(exact[1:], h[1:], strict=True)]
        np.testing.assert_allclose(progress[1:], exact, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("rule", RULES)
def test_momentum_still_learns_at_a_vanishing_eigenvalue(rule):
    weight, velocity, lr, beta = 0.0, 0.0, 0.3, 0.8
    for steps in range(1, 40):
        velocity = beta * velocity + 1
        # Nesterov's step is taken from the point ahead: with a constant gradient the velocity is the same.
        weight += lr * velocity
        value = rule(lr, beta).progress(np.array([0.0]), lr * steps)[0]
        np.testing.assert_allclose(value, weight, rtol=1e-13)


def test_momentum_zero_is_gradient_descent():
    lam = np.array([0.0, 1e-12, 0.3, 1.0, 1.7, 2.5])
    for rule in RULES:
        for name in ("residual", "progress"):
            ours = getattr(rule(0.7, 0.0), name)(lam, 0.7 * 11)
            np.testing.assert_allclose(ours, getattr(GradientDescent(0.7), name)(lam, 0.7 * 11), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("beta", [0.0, 0.4, 0.95])
def test_the_limit_of_stability_is_where_residuals_start_to_grow(rule, beta):
    limit = rule(1.0, beta).max_learning_rate(1.0)
    below, above = (abs(recursion(rule, limit * share, beta, 4000)) for share in (0.99, 1.01))
    assert below < 1e-3
    assert above > 1e3


D, M, P, OUT = 6, 3, 9, 2
RNG = np.random.default_rng(5)
J = RNG.standard_normal((D + M, P))
THETA = J @ J.T
F0, Y = RNG.standard_normal((D + M, OUT)), RNG.standard_normal((D, OUT))
ZERO = np.zeros((P, OUT))


def slope(theta, ridge):
    return training.slope(J[:D], theta, ZERO, F0[:D], Y, ridge)


def heavy_ball(lr, beta, steps, ridge):
    path, velocity = [ZERO], ZERO
    for _ in range(steps):
        velocity = beta * velocity + slope(path[-1], ridge)
        path.append(path[-1] - lr * velocity)
    return np.stack(path)


def nesterov(lr, beta, steps, ridge):
    path = [ZERO, ZERO]
    for _ in range(steps):
        ahead = path[-1] + beta * (path[-1] - path[-2])
        path.append(ahead - lr * slope(ahead, ridge))
    return np.stack(path[1:])


@pytest.mark.parametrize("ridge", [0.0, 0.4])
@pytest.mark.parametrize(("rule", "literal"), [(HeavyBall, heavy_ball), (Nesterov, nesterov)])
def test_trajectories_with_momentum_equal_literal_training_at_every_step(rule, literal, ridge):
    lam_max = np.linalg.eigvalsh(THETA[:D, :D])[-1] / D + ridge / D
    lr, steps = 0.97 * rule(1.0, 0.9).max_learning_rate(lam_max), 80
    expected = F0 + J @ literal(lr, 0.9, steps, ridge)
    tr, t = Trajectory(THETA[:D, :D], Y, rule(lr, 0.9), ridge=ridge), lr * np.arange(steps + 1)
    np.testing.assert_allclose(tr.train(t, F0[:D]), expected[:, :D], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(tr.test(t, THETA[D:, :D], F0[:D], F0[D:]), expected[:, D:], rtol=1e-9, atol=1e-10)


def test_a_schedule_equals_literal_training_at_every_step():
    rates = [0.1] * 7 + [0.35] + [0.02, 0.03] * 3
    theta, path = ZERO, [ZERO]
    for rate in rates:
        theta = theta - rate * slope(theta, 0.0)
        path.append(theta)
    rule = Schedule(rates)
    tr = Trajectory(THETA[:D, :D], Y, rule, allow_unstable=True)
    expected = F0 + J @ np.stack(path)
    np.testing.assert_allclose(tr.train(rule.times, F0[:D]), expected[:, :D], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(tr.train(None, F0[:D]), expected[-1, :D], rtol=1e-10, atol=1e-12)


def test_a_schedule_of_one_rate_is_gradient_descent_for_tiny_eigenvalues_too():
    lam = np.array([0.0, 1e-16, 1e-8, 0.3, 1.5])
    rule = Schedule([0.5] * 30)
    for name in ("residual", "progress"):
        expected = getattr(GradientDescent(0.5), name)(lam, 15.0)
        np.testing.assert_allclose(getattr(rule, name)(lam, 15.0), expected, rtol=1e-14)


def test_a_schedule_refuses_times_between_steps_and_rates_that_are_none():
    with pytest.raises(ValueError, match=r"t=0\.3 is not the time after a step.*nearest is 0\.25"):
        Schedule([0.25, 0.25]).check_time(0.3)
    for rates in ([], [0.1, 0.0], [np.inf]):
        with pytest.raises(ValueError, match="positive and finite"):
            Schedule(rates)


def oscillator(rule, lam, t):
    """r'' + a(t) r' + lr λ r = 0 from rest, with a'(t) = friction or 3/t, by a Runge-Kutta solver of order eight."""
    start = 1e-8  # where 3/t is singular the solution is 1 − lr λ t²/8
    friction = (lambda t: rule.friction) if isinstance(rule, HeavyBallFlow) else (lambda t: 3 / t)
    rate = lambda t, s: [s[1], -friction(t) * s[1] - rule.lr * lam * s[0]]  # noqa: E731
    first = [1 - rule.lr * lam * start**2 / 8, -rule.lr * lam * start / 4] if friction(1) == 3 else [1.0, 0.0]
    return solve_ivp(rate, (start, t + start), first, "DOP853", rtol=1e-12, atol=1e-14).y[0, -1]


@pytest.mark.parametrize("rule", [HeavyBallFlow(0.7, 1.2), HeavyBallFlow(1.0, 0.05), NesterovFlow(0.7)], ids=repr)
def test_flows_with_momentum_solve_their_equations(rule):
    lam = np.array([0.0, 1e-3, 0.36 / 0.7, 0.4, 2.0, 30.0])
    for t in (0.3, 2.0, 9.0):
        expected = [oscillator(rule, v, t) for v in lam]
        np.testing.assert_allclose(rule.residual(lam, t), expected, atol=2e-7)
        expected = (1 - rule.residual(lam[1:], t)) / lam[1:]
        np.testing.assert_allclose(rule.progress(lam, t)[1:], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rule", [HeavyBallFlow(0.7, 1.2), HeavyBallFlow(1.0, 0.05), NesterovFlow(0.7)], ids=repr)
def test_flows_with_momentum_keep_the_digits_of_slow_modes(rule):
    lam, t = np.array([0.0, 1e-20, 1e-13]), 5.0
    if isinstance(rule, HeavyBallFlow):
        g = rule.friction
        expected = rule.lr / g * (t + np.expm1(-g * t) / g)
    else:
        expected = rule.lr * t**2 / 8
    np.testing.assert_allclose(rule.progress(lam, t), expected, rtol=1e-11)


def test_heavy_ball_of_small_steps_is_its_flow():
    lam, friction, t = np.array([0.0, 0.05, 0.25, 3.0]), 1.0, 4.0
    flow, errors = HeavyBallFlow(1.0, friction).progress(lam, t), []
    for count in (2000, 4000):
        h = t / count  # √η
        rule = HeavyBall(h**2, 1 - friction * h)
        errors.append(np.abs(rule.progress(lam, h**2 * count) - flow).max())
    assert errors[0] < 1e-2
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_nesterov_of_growing_momentum_is_its_flow():
    lam, eta, count = 0.7, 1e-6, 3000
    last = now = 1.0
    for k in range(1, count + 1):
        ahead = now + (k - 1) / (k + 2) * (now - last)
        last, now = now, (1 - eta * lam) * ahead
    np.testing.assert_allclose(NesterovFlow().residual(np.array([lam]), count * eta**0.5), now, atol=2e-3)


@pytest.mark.parametrize("rule", [HeavyBall(0.5, 0.9), Nesterov(0.5, 0.9), HeavyBallFlow(0.5), NesterovFlow(0.5)])
def test_rules_with_momentum_have_their_limits_at_time_zero_and_infinity(rule):
    lam = np.array([0.0, 1e-16, 0.5, 1.0, 1.3])
    np.testing.assert_array_equal(rule.residual(lam, 0.0), np.ones(5))
    np.testing.assert_array_equal(rule.progress(lam, 0.0), np.zeros(5))
    np.testing.assert_array_equal(rule.residual(lam, np.inf), [1, 0, 0, 0, 0])
    np.testing.assert_allclose(rule.progress(lam, np.inf), [np.inf, *(1 / lam[1:])], rtol=1e-15)


def test_rules_with_momentum_refuse_what_makes_no_sense():
    for rule in RULES:
        for beta in (-0.1, 1.0, np.nan):
            with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\)"):
                rule(0.1, beta)
    with pytest.raises(ValueError, match="friction must be positive"):
        HeavyBallFlow(1.0, 0.0)
    with pytest.raises(ValueError, match="not a whole number"):
        HeavyBall(0.5).check_time(0.7)


def test_modes_under_a_schedule_are_learned_at_one_of_its_steps():
    rule = Schedule([0.5] * 4 + [0.25] * 4)
    times = learning_times(rule, np.array([1.0, 0.1, 1e-6]), 0.5)
    np.testing.assert_allclose(times, [0.5, np.inf, np.inf])
    assert learning_times(Schedule([0.5] * 100), np.array([0.1]), 0.5) == 0.5 * np.ceil(np.log(0.5) / np.log(0.95))
