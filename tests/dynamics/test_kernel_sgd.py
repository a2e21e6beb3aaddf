"""SGD from the kernel alone, against training the parameters of a linear model step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from dynamics.loss_cases import CASES, F0, NUMBERS, OUT, THETA, D, J, M, outputs
from oracles import losses
from wideflow.dynamics import (
    CustomLoss,
    GradientDescent,
    GradientFlow,
    HeavyBall,
    KernelSGD,
    Nesterov,
    SquareLoss,
    batch_order,
    kernel_sgd,
)

STEPS = 60
EVERY = np.arange(STEPS + 1)
ORDER = batch_order(D, 3, STEPS, seed=4)  # the third batch of a pass holds one point
FASTEST = np.linalg.eigvalsh(THETA[:D, :D] / D)[-1]
LR = 0.3 / FASTEST
CE = CASES["cross-entropy"]
COLD = [pytest.param(name, marks=pytest.mark.slow) for name in ("square", "logistic", "custom")]


def check(run, expected):
    np.testing.assert_allclose(run.train(EVERY, F0[:D]), expected[:, :D], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(run.test(EVERY, THETA[D:, :D], F0[:D], F0[D:]), expected[:, D:], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["cross-entropy", "huber", *COLD])
def test_minibatches_with_momentum_equal_literal_training_at_every_step(name):
    case, ridge = CASES[name], 0.4
    path = losses.sgd(J[:D], F0[:D], case.numbers, case.gradient, [LR] * STEPS, ORDER, 0.8, ridge)
    check(KernelSGD(case.loss, THETA[:D, :D], case.targets, HeavyBall(LR, 0.8), ORDER, ridge=ridge), outputs(path))


@pytest.mark.parametrize("rule", [GradientDescent(LR), HeavyBall(LR, 0.9), Nesterov(LR, 0.6)], ids=repr)
def test_full_batches_equal_literal_training_at_every_step(rule):
    everything, momentum = [np.arange(D)] * STEPS, getattr(rule, "momentum", 0.0)
    for ridge in (0.0, 0.4):
        settings = [LR] * STEPS, everything, momentum, ridge, isinstance(rule, Nesterov)
        path = losses.sgd(J[:D], F0[:D], CE.numbers, CE.gradient, *settings)
        check(KernelSGD(CE.loss, THETA[:D, :D], CE.targets, rule, ridge=ridge), outputs(path))


def test_square_loss_with_full_batches_is_the_trajectory():
    run = KernelSGD(SquareLoss(), THETA[:D, :D], NUMBERS, GradientDescent(LR), ridge=0.4)
    tr = wf.Trajectory(THETA[:D, :D], NUMBERS, GradientDescent(LR), ridge=0.4)
    check(run, np.concatenate([tr.train(LR * EVERY, F0[:D]), tr.test(LR * EVERY, THETA[D:, :D], F0[:D], F0[D:])], 1))


def test_a_rate_for_every_step_equals_literal_training():
    rates = LR * np.linspace(1, 0, STEPS)
    path = losses.sgd(J[:D], F0[:D], CE.numbers, CE.gradient, rates, ORDER, 0.8)
    run = KernelSGD(CE.loss, THETA[:D, :D], CE.targets, HeavyBall(1e3, 0.8), ORDER, rates)
    check(run, outputs(path))


def test_all_steps_of_a_point_drawn_twice_count_it_twice():
    order = np.array([[0, 0, 3], [5, 5, 5]])
    path = losses.sgd(J[:D], F0[:D], CE.numbers, CE.gradient, [LR] * 2, order)
    run = KernelSGD(CE.loss, THETA[:D, :D], CE.targets, GradientDescent(LR), order)
    np.testing.assert_allclose(run.train([0, 1, 2], F0[:D]), outputs(path)[:, :D], rtol=1e-12)


def test_duplicate_rows_and_one_output_train_as_the_parameters_do():
    rows = J.copy()
    rows[1] = rows[0]
    path = losses.sgd(rows[:D], F0[:D, 0], NUMBERS[:, 0], losses.square, [LR / 2] * STEPS, ORDER, 0.5)
    kernel = rows @ rows.T
    run = KernelSGD(SquareLoss(), kernel[:D, :D], NUMBERS[:, 0], HeavyBall(LR / 2, 0.5), ORDER)
    expected = F0[:, 0] + path @ rows.T
    np.testing.assert_allclose(run.train(EVERY, F0[:D, 0]), expected[:, :D], rtol=1e-9, atol=1e-10)


def test_chosen_steps_are_rows_of_all_steps_and_one_number_drops_the_axis():
    run = KernelSGD(CE.loss, THETA[:D, :D], CE.targets, HeavyBall(LR, 0.8), ORDER)
    whole = run.test(EVERY, THETA[D:, :D])
    np.testing.assert_array_equal(run.test([0, 7, 20], THETA[D:, :D]), whole[[0, 7, 20]])
    np.testing.assert_array_equal(run.test(20, THETA[D:, :D]), whole[20])
    np.testing.assert_array_equal(run.train(0, F0[:D]), F0[:D])
    assert run.dual_weights(20).shape == (D, OUT)
    assert whole.shape == (STEPS + 1, M, OUT)


def test_a_step_reads_the_kernel_of_its_batch_alone(x64):
    batch = np.array([1, 4])
    theta = np.full((D, D), np.nan)
    theta[batch] = THETA[batch, :D]
    arguments = [jnp.asarray(a) for a in (theta, CE.numbers, F0[:D], np.ones((D, OUT)), batch)]
    slope = np.asarray(kernel_sgd._slope(CE.loss, *arguments))
    assert np.isfinite(slope).all()
    assert set(np.flatnonzero(slope.any(axis=1))) == {1, 4}


def test_rates_beyond_the_limit_are_refused_unless_asked_for_and_then_diverge():
    limit = 2 / FASTEST
    with pytest.raises(ValueError, match=rf"beyond the stability limit {limit:.5g}.*SquareLoss.*allow_unstable=True"):
        KernelSGD(SquareLoss(), THETA[:D, :D], NUMBERS, GradientDescent(1.01 * limit))
    beyond = KernelSGD(SquareLoss(), THETA[:D, :D], NUMBERS, GradientDescent(1.1 * limit), allow_unstable=True)
    assert np.abs(beyond.train(200)).max() > 1e6
    below = KernelSGD(SquareLoss(), THETA[:D, :D], NUMBERS, GradientDescent(0.99 * limit))
    assert np.abs(below.train(200)).max() < 100


def test_limit_knows_curvature_momentum_ridge_and_schedules():
    kernel, hessian = THETA[:D, :D], FASTEST / 2 + 0.7 / D  # the curvature of cross-entropy is at most 1/2
    KernelSGD(CE.loss, kernel, CE.targets, HeavyBall(0.99 * 2 * 1.8 / hessian, 0.8), ridge=0.7)
    with pytest.raises(ValueError, match="beyond the stability limit"):
        KernelSGD(CE.loss, kernel, CE.targets, HeavyBall(1.01 * 2 * 1.8 / hessian, 0.8), ridge=0.7)
    with pytest.raises(ValueError, match="beyond the stability limit"):
        KernelSGD(CE.loss, kernel, CE.targets, GradientDescent(1e-3), rates=[0.1, 1e3])
    KernelSGD(CustomLoss(lambda f, y: jnp.sum(f)), kernel, NUMBERS, GradientDescent(1e9))  # no bound is known


def test_batches_visit_every_point_once_in_a_pass_and_depend_on_the_seed_alone():
    order = batch_order(10, 4, 9, seed=3)
    assert order.shape == (9, 4)
    for one in order.reshape(3, 12):
        assert sorted(one[one >= 0]) == list(range(10))
    np.testing.assert_array_equal(batch_order(10, 4, 20, seed=3)[:9], order)
    assert not np.array_equal(batch_order(10, 4, 9, seed=2), order)
    assert not np.array_equal(order[:3], order[3:6])
    assert batch_order(10, 10, 0).shape == (0, 10)


def make(rule=GradientDescent(LR), batches=ORDER, rates=None):  # noqa: B008
    return KernelSGD(CE.loss, THETA[:D, :D], CE.targets, rule, batches, rates)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: make(batches=ORDER + 1), rf"indices must be in 0 … {D - 1}.*step \d+ holds"),
        (lambda: make(batches=ORDER.astype(float)), r"wanted integers \[steps, batch\].*float64"),
        (lambda: make(batches=np.full((2, 3), -1)), "beside at least one point; step 0 holds"),
        (lambda: make(batches=[0, 1]), r"wanted integers \[steps, batch\]"),
        (lambda: make(rates=[0.1, -0.1]), r"rates: wanted finite learning rates \[steps\], not negative"),
        (lambda: make().train(STEPS + 1), f"step {STEPS + 1} was asked for, batches and rates are for {STEPS} steps"),
        (lambda: make(rates=[0.1] * 5).train(6), "are for 5 steps"),
        (lambda: make().train([3, 2]), "steps: must be ascending and not negative"),
        (lambda: make().train(-1), "steps: must be ascending and not negative"),
        (lambda: make().train(0.5), "steps: wanted a whole number"),
        (lambda: make().train(3, F0), r"f0: wanted outputs of shape \(7, 3\)"),
        (lambda: batch_order(5, 6, 1), "batch must be in 1 … 5"),
        (lambda: batch_order(5, 2, -1), "steps must not be negative"),
    ],
)
def test_bad_input_is_an_error_that_names_it(attempt, message):
    with pytest.raises(ValueError, match=message):
        attempt()


def test_a_rule_in_continuous_time_is_a_type_error():
    with pytest.raises(TypeError, match="LossTrajectory is for rules in continuous time"):
        make(rule=GradientFlow())


def test_results_are_float64_where_jax_has_float32():
    assert not jax.config.jax_enable_x64
    assert make().train(3).dtype == np.float64
