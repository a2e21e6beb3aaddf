"""Trajectories from products alone against known eigenvectors with 60-digit filters, and against the dense path."""

from dataclasses import dataclass

import numpy as np
import pytest

from dynamics import spectra
from oracles import training
from wideflow import Ensemble, GradientDescent, GradientFlow, Kernel, Trajectory, gram, nn
from wideflow.dynamics import (
    Dense,
    HeavyBall,
    HeavyBallFlow,
    Krylov,
    MatrixOperator,
    Nesterov,
    NesterovFlow,
    ProductOperator,
    Rule,
    Schedule,
)
from wideflow.dynamics.filter import Training
from wideflow.dynamics.krylov_filter import KrylovFilter
from wideflow.kernels import Kernels

D = spectra.D
STEPS = [1, 10, 1_000, 10**5]
every_spectrum = pytest.mark.parametrize("name", spectra.SPECTRA)


@dataclass(frozen=True)
class LiteralHeavyBall(Rule):
    """v ← βv + r, a ← a + ηv, r = 1 − λa, step by step."""

    lr: float = 1.0
    momentum: float = 0.9

    def progress(self, lam, t):
        a, v = np.zeros_like(lam), np.zeros_like(lam)
        for _ in range(round(t / self.lr)):
            v = self.momentum * v + 1 - lam * a
            a = a + self.lr * v
        return a

    def residual(self, lam, t):
        return 1 - lam * self.progress(lam, t)

    def max_learning_rate(self, lam_max):
        return 2 * (1 + self.momentum) / lam_max


def krylov(A, rule, ridge=0.0, **options):
    return KrylovFilter(MatrixOperator(A), Training(rule, ridge), Krylov(**options))


def energy(A, a):
    return np.sqrt(np.maximum(np.sum(a * (A @ a), axis=0), 0))


def errors(A, found, fit, weights, values, block):
    """Relative errors of dual weights and outputs, in the norms that are promised."""
    right, moved = spectra.apply(weights, block), spectra.apply(values * weights, block)
    of_fit = np.linalg.norm(fit - moved, axis=0) / np.linalg.norm(moved, axis=0)
    return (energy(A, found - right) / energy(A, right)).max(), of_fit.max()


@every_spectrum
@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("rule", [GradientFlow, GradientDescent])
def test_every_time_has_the_error_that_was_asked_for_and_reports_no_less(name, ridge, rule):
    values = spectra.SPECTRA[name]
    A, block = spectra.matrix(values), spectra.columns(values)
    rates = (values + ridge) / D
    rule = rule(1.5 / rates.max())
    filtered = krylov(A, rule, ridge)
    oracle = training.flow_progress if isinstance(rule, GradientFlow) else training.progress
    for steps in STEPS:
        t = rule.lr * steps
        arguments = (rule.lr * t,) if isinstance(rule, GradientFlow) else (rule.lr, steps)
        weights = np.array([float(oracle(float(lam), *arguments)) for lam in rates]) / D
        found, of_found = filtered.solve(t, block), filtered.effort.error
        fit, of_fit = filtered.fit(t, block), filtered.effort.error
        true = errors(A, found, fit, weights, values, block)
        assert max(true) <= 1e-6
        assert true[0] <= 2 * of_found + 1e-13
        assert true[1] <= 2 * of_fit + 1e-13


@every_spectrum
def test_estimates_of_few_products_are_neither_too_small_nor_far_too_large(name):
    values = spectra.SPECTRA[name]
    A, block = spectra.matrix(values), spectra.columns(values)
    filtered = krylov(A, GradientFlow())
    for t in (3.0, 300.0):
        weights = np.array([float(training.flow_progress(float(lam), t)) for lam in values / D]) / D
        for tolerance in (1e-1, 1e-3, 1e-5):
            filtered = krylov(A, GradientFlow(), tolerance=tolerance)
            found, estimate = filtered.solve(t, block), filtered.effort.error
            true = errors(A, found, filtered.fit(t, block), weights, values, block)
            assert true[0] / 2 <= estimate <= max(1e3 * true[0], 1e-13)
            assert true[1] / 2 <= filtered.effort.error <= max(1e3 * true[1], 1e-13)


def test_momentum_steps_are_a_filter_like_any_other():
    values = spectra.SPECTRA["power law 3"]
    A, block = spectra.matrix(values), spectra.columns(values)
    rule = LiteralHeavyBall(3.0 / (values.max() / D))
    filtered = krylov(A, rule)
    for steps in (1, 7, 200):
        t = rule.lr * steps
        true = errors(
            A, filtered.solve(t, block), filtered.fit(t, block), rule.progress(values / D, t) / D, values, block
        )
        assert max(true) <= 1e-6


RULES = {
    "heavy ball": lambda top: HeavyBall(3.0 / top, 0.9),
    "Nesterov": lambda top: Nesterov(1.2 / top, 0.9),
    "heavy ball flow": lambda top: HeavyBallFlow(1 / top, 0.3),
    "Nesterov flow": lambda top: NesterovFlow(1 / top),
    "schedule": lambda top: Schedule([1.5 / top, 0.3 / top] * 50),
}


@pytest.mark.parametrize("name", ["power law 3", "clusters", "offset"])
@pytest.mark.parametrize("which", RULES)
def test_rules_that_oscillate_keep_the_error_and_its_estimate_too(name, which):
    values = spectra.SPECTRA[name]
    A, block = spectra.matrix(values), spectra.columns(values)
    rule = RULES[which](values.max() / D)
    filtered = krylov(A, rule)
    for steps in (2, 30, 31, 100):
        t = float(rule.times[steps - 1]) if isinstance(rule, Schedule) else rule.lr * steps
        weights = rule.progress(values / D, t) / D
        found, of_found = filtered.solve(t, block), filtered.effort.error
        fit, of_fit = filtered.fit(t, block), filtered.effort.error
        true = errors(A, found, fit, weights, values, block)
        assert max(true) <= 1e-6
        assert true[0] <= 2 * of_found + 1e-12
        assert true[1] <= 2 * of_fit + 1e-12


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("name", ["power law 1", "power law 3", "clusters", "offset"])
def test_infinite_time_solves_the_system_by_conjugate_gradients(name, ridge):
    values = spectra.SPECTRA[name]
    A, block = spectra.matrix(values), spectra.columns(values)
    filtered = krylov(A, GradientFlow(), ridge)
    found, fit = filtered.solve(np.inf, block), filtered.fit(np.inf, block)
    assert max(errors(A, found, fit, 1 / (values + ridge), values, block)) <= 1e-6
    assert filtered.effort.dimension == 0
    assert 0 < filtered.effort.error <= 1e-6


@pytest.mark.parametrize("t", [1e18, np.inf])
def test_singular_kernels_end_in_the_pseudo_inverse(t):
    values = spectra.SPECTRA["zeros"]
    A, block = spectra.matrix(values), spectra.columns(values)
    filtered = krylov(A, GradientFlow())
    inverse = np.where(values > 0, 1 / np.where(values > 0, values, 1), 0)
    assert max(errors(A, filtered.solve(t, block), filtered.fit(t, block), inverse, values, block)) <= 1e-6


@pytest.mark.parametrize("t", [0.5, 30.0, 1e5, None])
def test_twin_points_with_different_targets_train_as_the_dense_path_does(t):
    J = np.random.default_rng(0).standard_normal((30, 40))
    J[[4, 20]] = J[7]
    K, y = J @ J.T, np.random.default_rng(1).standard_normal((30, 2))
    cross = np.random.default_rng(2).standard_normal((5, 40)) @ J.T
    dense, ours = (Trajectory(K, y, GradientFlow(), solver=solver) for solver in (Dense(), Krylov()))
    np.testing.assert_allclose(ours.train(t), dense.train(t), rtol=0, atol=3e-6)
    np.testing.assert_allclose(ours.test(t, cross), dense.test(t, cross), rtol=0, atol=3e-5)
    if t is None:
        np.testing.assert_allclose(ours.train(t)[[4, 7, 20]], np.tile(y[[4, 7, 20]].mean(0), (3, 1)), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trajectories_from_products_equal_those_from_eigenvectors(dtype, tmp_path):
    x = np.random.default_rng(4).standard_normal((90, 5)).astype(dtype)
    kernel = Kernel(nn.Serial(nn.Dense(1, 1.4, 0.1), nn.Relu(), nn.Dense(1)))
    K = gram(kernel, x, out=tmp_path / "k.npy")
    y, f0 = np.sin(x[:, :2]), np.cos(x[:, 1:3])
    times = [0.0, 0.3, 20.0, 3e3, np.inf]
    dense = Trajectory(np.asarray(K), y, GradientFlow(), solver=Dense()).train(times, f0)
    for matrix in (K, ProductOperator(lambda v: K.astype(np.float64) @ v, 90, float(np.finfo(dtype).eps))):
        ours = Trajectory(matrix, y, GradientFlow(), solver=Krylov(tolerance=1e-9)).train(times, f0)
        np.testing.assert_allclose(ours, dense, rtol=0, atol=1e-8)


def test_times_after_the_first_need_no_more_products():
    values = spectra.SPECTRA["power law 3"]
    calls = []
    A = spectra.matrix(values)
    operator = ProductOperator(lambda v: calls.append(v.shape[1]) or A @ v, D)
    tr = Trajectory(operator, spectra.columns(values), GradientFlow())
    tr.train(1e4)
    before = len(calls)
    tr.train(np.geomspace(1e-3, 1e4, 50))
    tr.test([5.0, 50.0], np.ones((1, D)))
    assert len(calls) == before
    assert tr.filter.effort.products == 0


def test_columns_that_do_not_fit_together_are_solved_in_groups():
    values = spectra.SPECTRA["offset"]
    A, block = spectra.matrix(values), np.random.default_rng(5).standard_normal((D, 6))
    large, small = krylov(A, GradientFlow()), krylov(A, GradientFlow(), memory=8 * (D * 80 + 6 * 80**2))
    assert small.capacity == 80
    np.testing.assert_allclose(
        small.solve(30.0, block), large.solve(30.0, block), rtol=0, atol=1e-6 * np.abs(block).max()
    )
    assert small.effort.dimension <= 80
    assert small.effort.products > large.effort.products
    with pytest.raises(RuntimeError, match=r"dimension 20 leaves a relative error of .* give more memory"):
        krylov(A, GradientFlow(), memory=8 * (D * 20 + 6 * 20**2)).solve(1e4, block)


@dataclass(frozen=True)
class FeatureKernel:
    """Two feature maps."""

    def __call__(self, x1, x2=None):
        mixes = np.random.default_rng(0).standard_normal((2, x1.shape[1], 60))
        x2 = x1 if x2 is None else x2
        return Kernels(*(np.tanh(x1 @ mix) @ np.tanh(x2 @ mix).T for mix in mixes))


@pytest.mark.parametrize("kind", ["ntk", "nngp", "ntkgp"])
def test_ensembles_from_products_equal_those_from_eigenvectors(kind):
    rng = np.random.default_rng(8)
    x, points, y = rng.standard_normal((25, 4)), rng.standard_normal((6, 4)), rng.standard_normal((25, 2))
    dense, ours = (
        Ensemble(FeatureKernel(), x, y, GradientFlow(), ridge=0.1, solver=solver)
        for solver in (Dense(), Krylov(tolerance=1e-9))
    )
    for t in (0.0, [0.5, 50.0], None):
        g, h = dense.predict(points, t, kind), ours.predict(points, t, kind)
        np.testing.assert_allclose(h.mean, g.mean, rtol=0, atol=1e-7)
        np.testing.assert_allclose(h.cov, g.cov, rtol=0, atol=1e-6)


def test_kernels_that_products_show_to_be_wrong_are_refused():
    A = spectra.matrix(spectra.SPECTRA["offset"])
    with pytest.raises(ValueError, match=r"beyond the stability limit .* of ntk_train"):
        krylov(A, GradientDescent(2.01 * D / np.linalg.eigvalsh(A)[-1]))
    with pytest.raises(ValueError, match=r"not positive semidefinite, its smallest eigenvalue is -"):
        krylov(A - 3 * np.eye(D), GradientFlow())
    twins = A.copy()
    twins[5], twins[:, 5] = twins[9], twins[:, 9]
    twins[5, 5] = twins[9, 9]
    with pytest.raises(ValueError, match=r"cannot tell apart: rows 5 = 9"):
        Trajectory(twins - np.ones((D, D)) * 5, np.ones(D), GradientFlow(), solver=Dense())
    with pytest.raises(ValueError, match=r"not symmetric, uᵀAv and vᵀAu"):
        krylov(A + np.triu(np.ones((D, D))), GradientFlow())
    with pytest.raises(ValueError, match="holds NaN or infinity, first in row 3"):
        krylov(np.where(np.arange(D)[:, None] == 3, np.nan, A), GradientFlow())
    with pytest.raises(ValueError, match=r"Krylov\(tolerance=2.0\): must lie between 0 and 1"):
        Krylov(tolerance=2.0)
    with pytest.raises(TypeError, match=r"Dense\(\) wants the matrix \[D, D\]"):
        Trajectory(MatrixOperator(A), np.ones(D), GradientFlow(), solver=Dense())


@pytest.mark.parametrize("t", [0.0, 2.0, None])
def test_nothing_to_learn_stays_where_it_is(t):
    y = np.zeros((D, 2))
    A = spectra.matrix(spectra.SPECTRA["offset"])
    np.testing.assert_array_equal(Trajectory(MatrixOperator(A), y, GradientFlow()).train(t), y)
    none = Trajectory(MatrixOperator(np.zeros((D, D))), y + 1, GradientFlow())
    np.testing.assert_allclose(none.train(t), y, atol=1e-300)
