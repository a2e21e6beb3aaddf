"""Reports on kernel matrices against NumPy, closed forms, and literal cross-validation; plans against arithmetic."""

import numpy as np
import pytest

from dynamics import spectra
from wideflow import GradientDescent, GradientFlow, Trajectory
from wideflow.dynamics import (
    Dense,
    HeavyBall,
    Krylov,
    MatrixOperator,
    Schedule,
    conditioning,
    learning_times,
    plan,
    suggested_ridge,
)

D = spectra.D
RATES = np.array([0.0, 1e-12, 1e-3, 0.3, 1.0])


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_modes_of_the_flow_are_learned_at_the_logarithm_over_their_rate(fraction):
    times = learning_times(GradientFlow(0.5), RATES, fraction)
    assert times[0] == np.inf
    exact = -np.log(1 - fraction) / (0.5 * RATES[1:])
    assert np.all((times[1:] >= exact * (1 - 1e-12)) & (times[1:] <= exact * 1.011))


def test_modes_of_descent_are_learned_at_the_step_that_leaves_less():
    rates = np.array([0.01, 0.1, 0.5, 1.0, 1.9, 1.999])
    times = learning_times(GradientDescent(1.0), rates, 0.9)
    for rate, time in zip(rates, times, strict=True):
        residual, steps = 1.0, 0
        while abs(residual) > 0.1:
            residual, steps = residual * (1 - rate), steps + 1
        assert steps <= time <= max(1.011 * steps, steps + 0.5)
    assert learning_times(GradientDescent(1.0), np.array([2.1]), 0.5)[0] == np.inf


def test_modes_that_oscillate_count_as_learned_when_they_stay_so():
    heavy, lam = HeavyBall(1.0, 0.9), np.array([0.5])
    (time,) = learning_times(heavy, lam, 0.9)
    left = [abs(float(heavy.residual(lam, float(steps))[0])) for steps in range(200)]
    last_above = max(steps for steps, one in enumerate(left) if one > 0.1)
    assert min(steps for steps, one in enumerate(left) if one <= 0.1) < last_above < time <= 1.011 * last_above + 1
    schedule = Schedule([0.5, 0.25, 0.125])
    np.testing.assert_array_equal(learning_times(schedule, np.array([1.0, 1e-3]), 0.6), [0.75, np.inf])


def test_a_fraction_must_lie_between_zero_and_one():
    with pytest.raises(ValueError, match=r"fraction=1\.0: must lie between 0 and 1"):
        learning_times(GradientFlow(), RATES, 1.0)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_numbers_of_a_report_are_those_of_the_spectrum(ridge):
    values = spectra.SPECTRA["offset"]
    A = spectra.matrix(values)
    report = conditioning(A, ridge)
    np.testing.assert_allclose(report.eigenvalues, np.sort(values), rtol=1e-10)
    np.testing.assert_allclose(report.condition, (values.max() + ridge) / (values.min() + ridge), rtol=1e-9)
    limit = report.max_learning_rate(GradientDescent())
    np.testing.assert_allclose(limit, 2 * D / (values.max() + ridge), rtol=1e-12)
    times = report.learning_times(GradientFlow(), 0.5)
    np.testing.assert_allclose(times, np.log(2) * D / (np.sort(values) + ridge), rtol=0.011)
    assert not report.singular
    assert "positive definite" in str(report)
    assert "none was added" in str(report)
    ends = conditioning(MatrixOperator(A), ridge)
    np.testing.assert_allclose(ends.largest, values.max(), rtol=1e-9)
    assert not ends.complete


def test_singular_kernels_are_reported_with_their_duplicates():
    J = np.random.default_rng(0).standard_normal((20, 30))
    J[[3, 11]] = J[8]
    for matrix, certain in ((J @ J.T, True), (MatrixOperator(J @ J.T), False)):
        report = conditioning(matrix)
        assert report.singular
        assert report.condition == np.inf
        assert report.duplicates == [(3, 8, 11)]
        assert "cannot tell apart rows 3 = 8 = 11" in str(report)
        assert report.complete is certain
        assert conditioning(matrix, 0.1).condition < np.inf
    assert "singular: 2 modes are never learned" in str(conditioning(J @ J.T))
    lifted = J @ J.T + conditioning(J @ J.T).jitter * np.eye(20)
    assert not conditioning(lifted).singular


def test_indefinite_matrices_are_reported_with_their_smallest_eigenvalue():
    report = conditioning(np.diag(np.array([1.0, 2.0, -0.1])))
    assert report.indefinite
    assert "indefinite beyond rounding" in str(report)
    assert "-1.000e-01" in str(report)


def test_stable_ridge_keeps_rounding_of_the_kernel_out_of_the_weights():
    J = np.random.default_rng(1).standard_normal((40, 30))
    K, y = J @ J.T, np.ones(40)
    rough = K.astype(np.float32)
    ridge = conditioning(rough).stable_ridge(1e-3)
    assert ridge > 0
    exact, rounded = (np.linalg.solve(k.astype(np.float64) + ridge * np.eye(40), y) for k in (K, rough))
    assert np.linalg.norm(exact - rounded) <= 1e-3 * np.linalg.norm(exact)


def test_suggested_ridge_minimises_generalized_cross_validation():
    rng = np.random.default_rng(2)
    J = rng.standard_normal((50, 80)) / np.arange(1, 81)
    K, y = J @ J.T, (J @ rng.standard_normal(80) + 0.3 * rng.standard_normal(50))[:, None]

    def score(ridge):
        rest = np.eye(50) - K @ np.linalg.inv(K + ridge * np.eye(50))
        return np.sum((rest @ y) ** 2) / np.trace(rest) ** 2

    ridge = suggested_ridge(K, y)
    assert all(score(ridge) <= score(ridge * factor) for factor in (1e-2, 0.5, 0.99, 1.01, 2, 1e2))
    assert suggested_ridge(K, y[:, 0]) == ridge


def test_plans_choose_eigenvectors_up_to_a_size_and_a_memory_and_products_above():
    assert plan(3_000).solver == Dense()
    assert plan(3_000).work_bytes == 5 * 8 * 3_000**2
    assert isinstance(plan(20_000).solver, Krylov)
    assert plan(20_000).kernel_bytes == 8 * 20_000**2
    assert plan(3_000, memory=10**8).solver == Krylov(memory=10**8)
    assert plan(MatrixOperator(np.eye(3))).solver == Krylov()
    assert plan(np.eye(3, dtype=np.float32)).kernel_bytes == 36
    assert plan(100, Krylov()).reason == "as asked for"
    for words in ("3,000", "Dense()", "one eigh", "68.7 MiB as it is held"):
        assert words in str(plan(3_000))
    with pytest.raises(ValueError, match=r"Dense\(\) takes 373 GiB for 100,000 points, more than memory=4 GiB"):
        plan(100_000, Dense())


def test_trajectories_follow_the_plan():
    A, y = spectra.matrix(spectra.SPECTRA["offset"]), np.ones(D)
    assert hasattr(Trajectory(A, y, GradientFlow()).filter, "spectrum")
    assert hasattr(Trajectory(MatrixOperator(A), y, GradientFlow()).filter, "effort")


def test_no_points_are_called_equal_where_a_matrix_is_negative():
    theta = np.diag([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"smallest eigenvalue is -3.000e\+00(?!.*cannot tell apart)"):
        Trajectory(-theta, np.ones(3), GradientFlow())
