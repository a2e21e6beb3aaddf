"""Closed-form trajectories against literally training a linear model."""

import numpy as np
import pytest

import wideflow as wf
from oracles import training
from wideflow import GradientDescent, GradientFlow, Trajectory

D, M, P, OUT = 7, 4, 11, 3
RNG = np.random.default_rng(11)
J = RNG.standard_normal((D + M, P))
THETA0 = RNG.standard_normal((P, OUT))
F0 = RNG.standard_normal((D + M, OUT))  # J THETA0 plus anything: the start is free
Y = RNG.standard_normal((D, OUT))
THETA = J @ J.T
LAMBDA = np.linalg.eigvalsh(THETA[:D, :D] / D)[-1]


def trained(path):
    """Outputs on train and test points for a path of parameters, `[T, n, out]`."""
    return F0 + J @ (path - THETA0)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
@pytest.mark.parametrize("share", [0.1, 1.0, 1.95])
def test_descent_equals_literal_training_at_every_step(ridge, share):
    lr = share / (LAMBDA + ridge / D)
    steps = 60
    expected = trained(training.descend(J[:D], THETA0, F0[:D], Y, lr, steps, ridge))
    tr = Trajectory(THETA[:D, :D], Y, GradientDescent(lr), ridge=ridge)
    t = lr * np.arange(steps + 1)
    np.testing.assert_allclose(tr.train(t, F0[:D]), expected[:, :D], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tr.test(t, THETA[D:, :D], F0[:D], F0[D:]), expected[:, D:], rtol=1e-9, atol=1e-12)


def test_descent_beyond_the_limit_diverges_as_literal_training_does():
    lr = 2.2 / LAMBDA
    expected = trained(training.descend(J[:D], THETA0, F0[:D], Y, lr, 40))
    with pytest.raises(ValueError, match=r"beyond the stability limit .* of ntk_train.*allow_unstable=True"):
        Trajectory(THETA[:D, :D], Y, GradientDescent(lr))
    tr = Trajectory(THETA[:D, :D], Y, GradientDescent(lr), allow_unstable=True)
    np.testing.assert_allclose(tr.train(lr * np.arange(41), F0[:D]), expected[:, :D], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_flow_equals_an_ode_solver(ridge):
    times = np.array([0.0, 0.1, 1.0, 10.0])
    expected = trained(training.flow(J[:D], THETA0, F0[:D], Y, times, ridge))
    tr = Trajectory(THETA[:D, :D], Y, GradientFlow(), ridge=ridge)
    np.testing.assert_allclose(tr.train(times, F0[:D]), expected[:, :D], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(tr.test(times, THETA[D:, :D], F0[:D], F0[D:]), expected[:, D:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_infinite_time_solves_the_regression(ridge):
    tr = Trajectory(THETA[:D, :D], Y, GradientFlow(0.3), ridge=ridge)
    dual = np.linalg.solve(THETA[:D, :D] + ridge * np.eye(D), F0[:D] - Y)
    for t in (None, np.inf):
        np.testing.assert_allclose(tr.train(t, F0[:D]), F0[:D] - THETA[:D, :D] @ dual, rtol=1e-9, atol=1e-11)
        test = tr.test(t, THETA[D:, :D], F0[:D], F0[D:])
        np.testing.assert_allclose(test, F0[D:] - THETA[D:, :D] @ dual, rtol=1e-9, atol=1e-11)


def test_start_is_zero_unless_given():
    tr = Trajectory(THETA[:D, :D], Y, GradientFlow())
    np.testing.assert_array_equal(tr.train(0.0), np.zeros((D, OUT)))
    np.testing.assert_array_equal(tr.train(0.0, F0[:D]), F0[:D])
    np.testing.assert_array_equal(tr.test(0.0, THETA[D:, :D], None, F0[D:]), F0[D:])
    np.testing.assert_array_equal(tr.train(1.0), tr.train(1.0, np.zeros((D, OUT))))


def test_a_list_of_times_adds_a_leading_axis_and_columns_do_not_mix():
    many = Trajectory(THETA[:D, :D], Y, GradientFlow())
    one = Trajectory(THETA[:D, :D], Y[:, 1], GradientFlow())
    assert many.train([0.5]).shape == (1, D, OUT)
    assert many.train(0.5).shape == (D, OUT)
    assert one.train([0.5, 2.0]).shape == (2, D)
    assert one.test(0.5, THETA[D:, :D]).shape == (M,)
    np.testing.assert_array_equal(many.train([0.5, 2.0])[1], many.train(2.0))
    np.testing.assert_allclose(one.train(0.5), many.train(0.5)[:, 1], rtol=1e-12)


def test_descent_of_vanishing_rate_approaches_the_flow():
    flow = Trajectory(THETA[:D, :D], Y, GradientFlow()).train(1.0)
    slow = Trajectory(THETA[:D, :D], Y, GradientDescent(1e-4)).train(1.0)
    np.testing.assert_allclose(slow, flow, atol=1e-3 * np.abs(Y).max())


# Two rows of features are equal: Θ has a direction that is never learned.
TWINS = np.concatenate([J[:D], J[:1]])


@pytest.mark.parametrize("rule", [GradientDescent(1.0), GradientFlow()], ids=repr)
@pytest.mark.parametrize("t", [1.0, 100.0, 1e6, 1e12, None])
def test_twin_points_with_one_target_train_as_one_of_double_weight(rule, t):
    y = np.concatenate([Y, Y[:1]])
    rule = type(rule)(0.5 / LAMBDA) if isinstance(rule, GradientDescent) else rule
    t = t if t is None or isinstance(rule, GradientFlow) else rule.lr * round(t)
    f = Trajectory(TWINS @ TWINS.T, y, rule).train(t)
    np.testing.assert_allclose(f[0], f[-1], rtol=1e-9, atol=1e-9)
    if t is None or t >= 1e6:
        np.testing.assert_allclose(f, y, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("t", [1e6, 1e9, 1e12, 1e15, 1e18, 1e100, None])
def test_twin_points_with_different_targets_learn_the_mean_at_any_late_time(t):
    y = np.concatenate([Y, -Y[:1] + 1])
    K = TWINS @ TWINS.T
    tr = Trajectory(K, y, GradientFlow())
    f = tr.train(t)
    np.testing.assert_allclose(f[[0, -1]], np.full((2, OUT), 0.5), atol=1e-8)
    np.testing.assert_allclose(f[1:-1], y[1:-1], atol=1e-8)
    dual = np.linalg.pinv(K, rcond=1e-12) @ y
    # The dual weights of the twins grow as t, and cancel to rounding until they count as a zero mode.
    share = np.linalg.norm(K, 2) / len(K) * np.finfo(float).eps * (t if t is not None and t < 1e14 else 0)
    np.testing.assert_allclose(tr.test(t, J[D:] @ TWINS.T), J[D:] @ TWINS.T @ dual, atol=1e-8 + 2 * share)


@pytest.mark.parametrize("t", [0.0, 3.0, None])
def test_points_without_any_kernel_stay_where_they_start(t):
    features = J[:D].copy()
    features[2] = 0
    f = Trajectory(features @ features.T, Y, GradientFlow()).train(t, F0[:D])
    np.testing.assert_allclose(f[2], F0[2], rtol=1e-12)
    nothing = Trajectory(np.zeros((D, D)), Y, GradientDescent(5.0))
    np.testing.assert_array_equal(nothing.train(None if t is None else 5 * t, F0[:D]), F0[:D])


def test_float32_kernels_are_factorised_in_float64():
    K = THETA[:D, :D].astype(np.float32)
    f = Trajectory(K, Y, GradientFlow()).train(3.0)
    assert f.dtype == np.float64
    np.testing.assert_allclose(f, Trajectory(K.astype(np.float64), Y, GradientFlow()).train(3.0), rtol=1e-12)


def indefinite():
    return np.diag(np.array([1.0, 2.0, -0.1]))


@pytest.mark.parametrize(
    ("ntk", "y", "message"),
    [
        (np.ones((3, 2)), np.ones(3), r"square matrix \[D, D\], got shape \(3, 2\)"),
        (np.eye(3), np.ones(4), r"D = 3 training points, got shape \(4,\)"),
        (np.eye(3), np.ones((3, 1, 1)), r"got shape \(3, 1, 1\)"),
        (np.diag(np.array([1, np.nan, 1])), np.ones(3), "ntk_train: holds NaN or infinity, first in row 1"),
        (np.eye(3), np.array([1.0, 2.0, np.inf]), "y_train: holds NaN or infinity, first in row 2"),
        (np.triu(np.ones((3, 3))), np.ones(3), "not symmetric, entries differ .* by up to 1"),
        (indefinite(), np.ones(3), r"smallest eigenvalue is -1\.000e-01 beside a largest of 2"),
    ],
)
def test_bad_kernels_and_targets_are_refused(ntk, y, message):
    with pytest.raises(ValueError, match=message):
        Trajectory(ntk, y, GradientFlow())


def test_bad_times_starts_and_ridges_are_refused():
    tr = Trajectory(np.eye(3), np.ones(3), GradientDescent(0.5))
    with pytest.raises(ValueError, match=r"time must not be negative, got t=-0.5"):
        tr.train(-0.5)
    with pytest.raises(ValueError, match="not a whole number"):
        tr.train([0.5, 0.7])
    with pytest.raises(ValueError, match=r"one axis of times \[T\], got shape \(1, 1\)"):
        tr.train([[0.5]])
    with pytest.raises(ValueError, match=r"f0: wanted outputs of shape \(3,\).*got \(3, 1\)"):
        tr.train(0.5, np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"wanted \[M, D\] with D = 3 .* got shape \(3, 2\)"):
        tr.test(0.5, np.ones((3, 2)))
    for ridge in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"ridge=.*finite and not negative"):
            Trajectory(np.eye(3), np.ones(3), GradientFlow(), ridge=ridge)


def test_every_entry_point_leaves_its_inputs_alone():
    K, y, f0 = THETA[:D, :D].copy(), Y.copy(), F0[:D].copy()
    wf.Trajectory(K, y, GradientFlow()).train([1.0, 2.0], f0)
    for now, before in ((K, THETA[:D, :D]), (y, Y), (f0, F0[:D])):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_dual_weights_move_the_parameters_as_literal_training_does(ridge):
    lr = 1 / (LAMBDA + ridge / D)
    path = training.descend(J[:D], THETA0, F0[:D], Y, lr, 20, ridge)
    tr = Trajectory(THETA[:D, :D], Y, GradientDescent(lr), ridge=ridge)
    weights = tr.dual_weights(lr * np.arange(21), F0[:D])
    np.testing.assert_allclose(-np.einsum("dp,tdo->tpo", J[:D], weights), path - THETA0, rtol=1e-9, atol=1e-12)


def test_modes_decay_by_the_rules_filter_and_carry_the_loss():
    tr, times = Trajectory(THETA[:D, :D], Y, GradientFlow()), np.array([0.0, 0.3, 2.0])
    values, vectors = np.linalg.eigh(THETA[:D, :D])
    expected = np.exp(-np.outer(times, values / D))[:, :, None] * (vectors.T @ (F0[:D] - Y))
    modes = tr.modes(times, F0[:D])
    np.testing.assert_allclose(np.abs(modes), np.abs(expected), rtol=1e-8, atol=1e-12)  # signs of vectors are free
    np.testing.assert_allclose(tr.loss(times, F0[:D]), (expected**2).sum((1, 2)) / (2 * D), rtol=1e-10)
    assert tr.modes(0.3, F0[:D]).shape == (D, OUT)
    assert tr.loss(0.3, F0[:D]) == tr.loss([0.3], F0[:D])[0]


def test_time_to_loss_is_the_first_time_at_which_the_loss_is_reached():
    lr = 0.5 / LAMBDA
    for rule in (GradientDescent(lr), wf.dynamics.HeavyBall(lr, 0.8), wf.dynamics.Schedule([lr] * 40 + [2 * lr] * 400)):
        tr = Trajectory(THETA[:D, :D], Y, rule)
        times = rule.times if isinstance(rule, wf.dynamics.Schedule) else lr * np.arange(400)
        losses = tr.loss(times, F0[:D])
        target = 0.02 * losses[0]
        assert tr.time_to_loss(target, F0[:D]) == pytest.approx(times[np.argmax(losses <= target)], rel=1e-12)
    tr = Trajectory(THETA[:D, :D], Y, GradientFlow())
    time = tr.time_to_loss(0.1, F0[:D])
    assert tr.loss(time, F0[:D]) == pytest.approx(0.1, rel=1e-9)
    assert Trajectory(THETA[:D, :D], Y, GradientFlow(), ridge=0.5).time_to_loss(1e-9, F0[:D]) == np.inf
    assert tr.time_to_loss(1e9) == 0.0
