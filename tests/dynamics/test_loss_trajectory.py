"""Training under any loss in function space, against integrating the parameters of a linear model."""

import diffrax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import wideflow as wf
from dynamics.loss_cases import CASES, F0, NUMBERS, OUT, THETA, D, J, M, outputs
from oracles import losses
from wideflow import LossTrajectory
from wideflow.dynamics import CustomLoss, GradientDescent, GradientFlow, HeavyBallFlow, LogisticLoss, SquareLoss
from wideflow.dynamics.dual import DualProblem
from wideflow.dynamics.loss_flow import LossFlow

TIMES = np.array([0.0, 0.3, 2.0, 10.0, 40.0])
CE = CASES["cross-entropy"]
COLD = [pytest.param("logistic", marks=pytest.mark.slow), pytest.param("huber", marks=pytest.mark.slow)]
COLD += [pytest.param("square", marks=pytest.mark.slow), pytest.param("custom", marks=pytest.mark.slow)]


def check(name, rule, friction):
    case = CASES[name]
    for ridge in (0.0, 0.7):
        changes = losses.flow(J[:D], F0[:D], case.numbers, case.gradient, TIMES, ridge, friction)
        expected = outputs(changes)
        tr = LossTrajectory(case.loss, THETA[:D, :D], case.targets, rule, ridge, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(tr.train(TIMES, F0[:D]), expected[:, :D], rtol=1e-8, atol=1e-8)
        test = tr.test(TIMES, THETA[D:, :D], F0[:D], F0[D:])
        np.testing.assert_allclose(test, expected[:, D:], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(-J[:D].T @ tr.dual_weights(TIMES[-1], F0[:D]), changes[-1], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["cross-entropy", *COLD])
def test_flow_equals_integrating_the_parameters(name):
    check(name, GradientFlow(), None)


@pytest.mark.parametrize("name", ["cross-entropy", *COLD])
def test_flow_with_momentum_equals_integrating_the_parameters(name):
    check(name, HeavyBallFlow(1.0, 0.4), 0.4)


def test_square_loss_is_the_closed_form_and_the_tolerances_are_honoured():
    lr, ridge = 0.3, 0.2
    exact = wf.Trajectory(THETA[:D, :D], NUMBERS, GradientFlow(lr), ridge).test(TIMES, THETA[D:, :D], F0[:D], F0[D:])
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8, 1e-10, 1e-12):
        tr = LossTrajectory(SquareLoss(), THETA[:D, :D], NUMBERS, GradientFlow(lr), ridge, tolerance, tolerance)
        errors.append(np.abs(tr.test(TIMES, THETA[D:, :D], F0[:D], F0[D:]) - exact).max())
    np.testing.assert_array_less(errors, 100 * np.array([1e-4, 1e-6, 1e-8, 1e-10, 1e-12]))
    assert errors[0] > 100 * errors[2] > 1000 * errors[4]


def test_learning_rate_rescales_time():
    slow = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets, GradientFlow(0.25))
    fast = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets)
    np.testing.assert_allclose(slow.train(4 * TIMES, F0[:D]), fast.train(TIMES, F0[:D]), rtol=1e-6, atol=1e-6)


def test_small_steps_of_heavy_ball_follow_the_flow_on_the_stated_scale_of_time():
    lr, friction, end = 1.0, 0.4, 2.0
    tr = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets, HeavyBallFlow(lr, friction))
    expected = tr.train(np.linspace(0, end, 5), F0[:D])[-1]
    errors = []
    for steps in (400, 800):
        h = end / steps
        eta, beta = lr * h**2, 1 - friction * h
        batches = [np.arange(D)] * steps
        path = losses.sgd(J[:D], F0[:D], CE.numbers, CE.gradient, [eta] * steps, batches, beta)
        errors.append(np.abs(F0[:D] + J[:D] @ path[-1] - expected).max())
    assert errors[0] < 0.03
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_one_point_under_the_logistic_loss_follows_the_lambert_function_for_ages():
    # f' = θ σ(−f) for y = 1: f + exp f = θ t + f₀ + exp f₀.
    theta, f0 = 2.5, -0.7
    t = np.array([0.0, 1.0, 1e2, 1e4, 1e6, 1e9])
    total = [mp.mpf(theta) * mp.mpf(one) + f0 + mp.exp(f0) for one in t]
    expected = [float(one - mp.lambertw(mp.exp(one)).real) for one in total[:4]]
    for one in total[4:]:  # exp overflows even there: ln W = total − W
        late = mp.findroot(lambda w, one=one: mp.log(w) + w - one, one)
        expected.append(float(mp.log(late)))
    tr = LossTrajectory(LogisticLoss(), [[theta]], [1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(tr.train(t, [f0])[:, 0], expected, rtol=1e-8)


def test_duplicates_with_contradicting_labels_train_as_the_parameters_do():
    rows, f0 = J.copy(), F0.copy()
    rows[1], f0[1] = rows[0], f0[0]  # labels 0 and 1
    expected = outputs(losses.flow(rows[:D], f0[:D], CE.numbers, CE.gradient, TIMES), rows, f0)
    tr = LossTrajectory(CE.loss, (rows @ rows.T)[:D, :D], CE.targets, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(tr.train(TIMES, f0[:D]), expected[:, :D], rtol=1e-8, atol=1e-8)
    test = tr.test(TIMES, (rows @ rows.T)[D:, :D], f0[:D], f0[D:])
    np.testing.assert_allclose(test, expected[:, D:], rtol=1e-8, atol=1e-8)


def test_times_in_any_order_and_asked_for_again_need_one_integration(monkeypatch):
    tr = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets)
    ordered = tr.train(TIMES)
    shuffled = [40.0, 0.3, 0.3, 10.0, 0.0]
    np.testing.assert_allclose(tr.train(shuffled), ordered[[4, 1, 1, 3, 0]], atol=1e-7)
    np.testing.assert_array_equal(tr.train(0.0, F0[:D]), F0[:D])
    again = tr.train(shuffled)
    monkeypatch.setattr(LossFlow, "integrate", None)
    np.testing.assert_array_equal(tr.train(shuffled), again)
    assert tr.test(shuffled, THETA[D:, :D]).shape == (5, M, OUT)
    with pytest.raises(TypeError):
        tr.train([1.0])


@pytest.mark.slow
def test_square_loss_with_momentum_is_the_closed_form():
    rule = HeavyBallFlow(0.5, 0.2)
    tr = LossTrajectory(SquareLoss(), THETA[:D, :D], NUMBERS, rule, ridge=0.3)
    closed = wf.Trajectory(THETA[:D, :D], NUMBERS, rule, ridge=0.3)
    np.testing.assert_allclose(tr.train(TIMES, F0[:D]), closed.train(TIMES, F0[:D]), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_an_implicit_solver_may_be_asked_for():
    tr = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets, ridge=0.5)
    implicit = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets, ridge=0.5, solver=diffrax.Kvaerno5())
    np.testing.assert_allclose(implicit.train(TIMES, F0[:D]), tr.train(TIMES, F0[:D]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["cross-entropy", COLD[1], COLD[3]])
def test_infinite_time_with_ridge_is_where_the_gradient_with_respect_to_the_parameters_vanishes(name):
    case, ridge = CASES[name], 0.3
    for rule in (GradientFlow(), HeavyBallFlow(1.0, 0.4)):
        tr = LossTrajectory(case.loss, THETA[:D, :D], case.targets, rule, ridge, atol=1e-11, rtol=1e-11)
        theta = -J[:D].T @ tr.dual_weights(None, F0[:D])
        slope = losses.slope(J[:D], theta, F0[:D], case.numbers, case.gradient, ridge)
        np.testing.assert_allclose(slope, 0, atol=1e-11)
        expected = outputs(theta)
        np.testing.assert_allclose(tr.train(np.inf, F0[:D]), expected[:D], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(tr.test(None, THETA[D:, :D], F0[:D], F0[D:]), expected[D:], rtol=1e-9, atol=1e-10)


def test_infinite_time_is_the_limit_of_late_times_and_of_the_closed_form():
    late = LossTrajectory(CE.loss, THETA[:D, :D], CE.targets, ridge=2.0).train([0.0, np.inf, 200.0], F0[:D])
    np.testing.assert_array_equal(late[0], F0[:D])
    np.testing.assert_allclose(late[1], late[2], rtol=1e-6, atol=1e-6)
    square = LossTrajectory(SquareLoss(), THETA[:D, :D], NUMBERS, ridge=0.5).train(None, F0[:D])
    closed = wf.Trajectory(THETA[:D, :D], NUMBERS, GradientFlow(), ridge=0.5).train(None, F0[:D])
    np.testing.assert_allclose(square, closed, rtol=1e-8, atol=1e-8)


def test_infinite_time_under_a_loss_that_is_not_convex_is_an_error():
    double_well = CustomLoss(lambda f, y: jnp.sum((f**2 - 1) ** 2 - y * f))
    with pytest.raises(RuntimeError, match="the loss must be convex"):
        make(double_well, targets=np.zeros((D, OUT)), ridge=0.01).train(None, F0[:D] / 100)


def make(loss=CE.loss, kernel=THETA[:D, :D], targets=CE.targets, rule=None, ridge=0.0, rtol=1e-8):
    return LossTrajectory(loss, kernel, targets, rule, ridge, rtol)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: make(kernel=THETA[:D, : D - 1]), r"ntk_train: wanted a square matrix"),
        (lambda: make(kernel=np.triu(THETA[:D, :D])), "ntk_train: not symmetric"),
        (lambda: make(kernel=-THETA[:D, :D]), "ntk_train: not positive semidefinite"),
        (lambda: make(targets=CE.targets[:-1]), "y_train: wanted integer labels"),
        (lambda: make(targets=CE.targets.astype(float)), "must be integers"),
        (lambda: make(ridge=-1.0), "ridge=-1.0: must be finite and not negative"),
        (lambda: make(rtol=0.0), "rtol=0.0: must be between 0 and 1"),
        (lambda: make().train(-1.0), "time must not be negative"),
        (lambda: make().train(1.0, F0), r"f0: wanted outputs of shape \(7, 3\), points first, got \(11, 3\)"),
        (lambda: make().train(1.0, F0[:D, :2]), r"f0: wanted outputs of shape \(7, 3\)"),
        (lambda: make().test(1.0, THETA[D:, :D], F0), "f0_train: wanted outputs"),
        (lambda: make().test(0.0, THETA[D:, :D], None, F0), r"f0_test: wanted outputs of shape \(4, 3\)"),
        (lambda: make().test(0.0, THETA[:D, D:]), r"ntk_test_train: wanted \[M, D\] with D = 7"),
        (
            lambda: make().train(None),
            "t=∞: not for SoftmaxCrossEntropy without ridge.*log t.*give ridge > 0",
        ),
        (lambda: make(SquareLoss(), targets=NUMBERS).train(np.inf), "Trajectory has that limit in closed form"),
    ],
)
def test_bad_input_is_an_error_that_names_it(attempt, message):
    with pytest.raises(ValueError, match=message):
        attempt()


def test_a_plain_function_or_a_rule_in_steps_is_a_type_error_that_says_what_to_use():
    with pytest.raises(TypeError, match=r"wrap a function of .* in CustomLoss"):
        DualProblem.of(lambda f, y: f, THETA[:D, :D], NUMBERS, 0.0)
    with pytest.raises(TypeError, match="KernelSGD is for rules that go in steps"):
        make(rule=GradientDescent(0.1))


def test_a_loss_whose_gradient_is_not_finite_at_the_start_is_an_error():
    root = CustomLoss(lambda f, y: jnp.sum(jnp.sqrt(jnp.abs(f - y))))
    with pytest.raises(ValueError, match="gradient is NaN or infinite at the initial outputs, first in row 0"):
        make(root, targets=np.zeros((D, OUT))).train(1.0)
