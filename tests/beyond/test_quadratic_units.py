"""Quadratic units: the matrix equation against particles, Monte Carlo, and its fluctuations against draws."""

import numpy as np
import pytest

from wideflow.beyond import QuadraticUnits, fit_slope

RNG = np.random.default_rng(4)
D = 4
TEACHER = np.cov(RNG.standard_normal((D, 7)))
COVARIANCE = np.cov(RNG.standard_normal((D, 9)))


def test_risk_is_that_of_samples():
    units, a = QuadraticUnits(TEACHER, COVARIANCE), np.diag([1.0, 0.2, 0.0, 0.4])
    x = np.random.default_rng(0).multivariate_normal(np.zeros(D), COVARIANCE, 400_000)
    losses = np.einsum("si,ij,sj->s", x, a - TEACHER, x) ** 2 / 2
    assert abs(units.risk(a) - losses.mean()) < 4 * losses.std() / len(x) ** 0.5


def test_field_is_the_gradient_of_the_risk():
    units, w = QuadraticUnits(TEACHER, COVARIANCE), np.random.default_rng(1).standard_normal((3, D))
    for i in range(3):
        for j in range(D):
            step = np.zeros_like(w)
            step[i, j] = 1e-5
            slope = (units.risk(units.matrix(w + step)) - units.risk(units.matrix(w - step))) / 2e-5
            assert 3 * slope == pytest.approx(2 * (units.field(units.matrix(w)) @ w[i])[j], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("covariance", [None, COVARIANCE], ids=["isotropic", "correlated"])
@pytest.mark.parametrize("n", [2, 50])
def test_matrix_equation_is_that_of_particles_at_every_width(covariance, n):
    units, w = QuadraticUnits(TEACHER, covariance), np.random.default_rng(2).standard_normal((n, D))
    c = np.eye(D) if covariance is None else covariance
    times = [0.0, 0.05, 0.2]
    path = units.path(units.matrix(w), times)
    steps, seen = 2000, [w.T @ w / n]
    for step in range(steps):  # midpoint rule, error of second order
        half = w
        for h in (0.1 / steps, 0.2 / steps):
            e = c @ (half.T @ half / n - TEACHER)
            half = w - h * 2 * half @ (2 * e @ c + np.trace(e) * c)
        w = half
        if step + 1 in (steps // 4, steps):
            seen.append(w.T @ w / n)
    np.testing.assert_allclose(path, seen, atol=2e-6)
    assert np.all(np.diff(units.risk(path)) < 0)


def test_fluctuations_are_those_of_many_networks():
    units, x = QuadraticUnits(TEACHER), np.random.default_rng(3).standard_normal((2, D))
    times, n, networks = [0.0, 0.1, 0.5], 400, 400
    weights = 0.8 * np.random.default_rng(5).standard_normal((networks, n, D))
    path = units.path(np.swapaxes(weights, 1, 2) @ weights / n, times)
    seen = np.einsum("ni,tsij,nj->stn", x, path, x)
    ratio = n * np.var(seen, axis=0, ddof=1) / units.fluctuations(x, 0.8, times)
    assert np.abs(ratio - 1).max() < 4 * (2 / networks) ** 0.5
    start = 2 * 0.8**4 * np.sum(x**2, axis=1) ** 2
    np.testing.assert_allclose(units.fluctuations(x, 0.8, times)[0], start, rtol=1e-10)


def test_distance_from_the_mean_field_falls_as_one_over_root_width():
    units, widths, rng = QuadraticUnits(TEACHER), [50, 100, 200, 400], np.random.default_rng(6)
    limit = units.path(0.64 * np.eye(D)[None], [0.3])
    errors = []
    for n in widths:
        weights = 0.8 * rng.standard_normal((40, n, D))
        path = units.path(np.swapaxes(weights, 1, 2) @ weights / n, [0.3])
        errors.append(np.linalg.norm(path - limit, axis=(2, 3))[0])
    slope = fit_slope(widths, errors)
    assert slope.contains(-0.5)
    assert not slope.contains(-1.0)


def test_narrow_students_cannot_become_a_teacher_of_higher_rank():
    units = QuadraticUnits(np.eye(2))
    start = units.matrix([[0.3, 0.1]])
    end = units.path(start, [50.0])[0]
    assert np.linalg.matrix_rank(end, tol=1e-6) == 1
    assert units.risk(end) > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: QuadraticUnits(np.ones((2, 3))), "teacher: wanted a finite square"),
        (lambda: QuadraticUnits(np.array([[1.0, 1.0], [0.0, 1.0]])), "wanted a symmetric"),
        (lambda: QuadraticUnits(np.eye(2), np.eye(3)), "the shape of the teacher"),
        (lambda: QuadraticUnits(np.eye(2), -np.eye(2)), "negative eigenvalue"),
        (lambda: QuadraticUnits(np.eye(2)).path(np.eye(3), [1.0]), "start: wanted the shape"),
        (lambda: QuadraticUnits(np.eye(2)).path(-np.eye(2), [1.0]), "negative eigenvalue"),
        (lambda: QuadraticUnits(np.eye(2)).path(np.eye(2), [1.0, 0.5]), "ascending"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
