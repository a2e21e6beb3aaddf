"""The two-scalar model: against weights trained one by one, against its own limits, and its claims one by one."""

import numpy as np
import pytest

from wideflow.beyond import TwoScalarModel, fit_slope, limiting_final_curvature, phase_portrait, scaled_step


def trained_weights(n, c, steps, seed):
    """Output and NTK of f = v·u/√n on input 1 and target 0 along gradient descent of every weight."""
    u, v = np.random.default_rng(seed).standard_normal((2, n))
    lr = c / ((u @ u + v @ v) / n)
    seen = []
    for _ in range(steps + 1):
        f = u @ v / n**0.5
        seen.append((f, (u @ u + v @ v) / n))
        u, v = u - lr * f * v / n**0.5, v - lr * f * u / n**0.5
    return np.array(seen).T


@pytest.mark.parametrize("c", [1.5, 2.7, 3.4, 3.9])
def test_model_is_gradient_descent_of_the_weights(c):
    f, lam = trained_weights(300, c, 60, seed=int(10 * c))
    run = TwoScalarModel(300, f[0], lam[0]).run(c, 60)
    np.testing.assert_allclose(run.f, f, rtol=1e-9, atol=1e-12 * np.abs(f).max())
    np.testing.assert_allclose(run.lam, lam, rtol=1e-10)


def test_phases_have_their_boundaries_at_two_and_four_at_any_width():
    rng = np.random.default_rng(0)
    for n in (4, 30, 1e3, 1e6):
        for _ in range(20):
            lam0 = 2 * rng.gamma(n / 2, 2 / n)
            model = TwoScalarModel(n, rng.uniform(0.01, 0.99) * lam0 * n**0.5 / 2, lam0)
            assert np.all(np.diff(model.run(1.99, 300).loss) <= 0)
            below, above = model.run(3.98, 20_000), model.run(4.02, 20_000)
            assert np.all(np.diff(below.lam) <= 0)
            assert below.lam[-1] * below.lr <= 2
            assert abs(below.f[-1]) < 1e-6
            assert above.diverged
    model = TwoScalarModel(1e4)
    phases = [model.phase(c) for c in (0.5, 2.0, 2.01, 3.99, 4.01)]
    assert phases == ["lazy", "lazy", "catapult", "catapult", "divergent"]
    assert np.diff(model.run(2.1, 10).loss).min() > 0


def test_the_loss_rises_first_exactly_where_the_output_is_below_the_stated_size():
    for f0, rises in ((0.99, True), (1.01, False)):
        n, lam0, c = 50.0, 2.0, 2.6
        size = (lam0 - 2 / (c / lam0)) * n / (c / lam0)
        run = TwoScalarModel(n, f0 * size**0.5, lam0).run(c, 1)
        assert (run.loss[1] > run.loss[0]) is np.bool_(rises)


@pytest.mark.parametrize("c", [2.5, 3.0, 3.5])
def test_time_to_the_peak_grows_as_half_the_logarithm_of_the_width(c):
    widths = np.geomspace(1e3, 1e9, 150)
    steps = np.array([TwoScalarModel(n).run(c, 120).peak_step for n in widths])
    slope = np.polyfit(np.log(widths), steps, 1)[0]
    assert abs(slope - 0.5 / np.log(c - 1)) < 0.02
    assert abs(slope - 1 / np.log(c - 1)) > 0.5
    predicted = np.array([TwoScalarModel(n).peak_time(c) for n in widths])
    assert np.abs(steps - predicted).max() < 0.6  # the nearest step


def test_the_peak_of_a_slow_catapult_is_at_the_predicted_step():
    for n in (1e6, 1e9, 1e12):
        model = TwoScalarModel(n)
        assert abs(model.run(2.05, 2000).peak_step - model.peak_time(2.05)) < 1


def test_peak_loss_grows_like_the_width():
    widths = 10.0 ** np.arange(4, 9)
    starts = np.random.default_rng(1).lognormal(size=(5, 40))  # averages over the phase of the oscillation
    models = [[TwoScalarModel(n, f0) for f0 in row] for n, row in zip(widths, starts, strict=True)]
    peaks = [[model.run(3.0, 60).loss.max() for model in row] for row in models]
    slope = fit_slope(widths, np.array(peaks), statistic=lambda s: s.mean(axis=1))
    assert slope.contains(1.0)
    assert not slope.contains(0.5)


def test_final_curvature_is_that_of_a_long_run_and_falls_below_the_edge():
    model = TwoScalarModel(1e5, 0.7, 1.8)
    for c in (1.0, 2.2, 2.9, 3.7):
        run = model.run(c, 3000)
        np.testing.assert_allclose(model.final_curvature(c), run.lam[-1], rtol=1e-9)
        assert run.lam[-1] * run.lr <= 2
    assert model.final_curvature(4.5) == np.inf


def test_final_curvature_at_infinite_width_depends_on_the_phase_alone():
    c, n = 3.1, 1e13
    model, wider = TwoScalarModel(n), TwoScalarModel(n * (c - 1) ** 2)  # one step later
    ends = [m.final_curvature(c) * c / 2 for m in (model, wider)]
    np.testing.assert_allclose(*ends, rtol=1e-6)
    periods = np.log(n**0.5 / (c / 2)) / np.log(c - 1)
    np.testing.assert_allclose(limiting_final_curvature(c, np.array([periods])), ends[:1], rtol=1e-6)
    low, high = (f(limiting_final_curvature(2.001, np.linspace(0, 1, 5))) for f in (np.min, np.max))
    np.testing.assert_allclose([low, high], 4 - 2.001, atol=1e-5)  # the flow at c → 2


def test_fixed_points_return_to_themselves_with_the_stated_multipliers():
    model = TwoScalarModel(400, 1.0, 2.0)
    for c in (1.5, 2.5, 3.5):
        lr = model.learning_rate(c)
        line, fixed, cycle = model.fixed_points(c)
        assert line.is_stable is (c < 2)
        assert not fixed.is_stable
        assert not cycle.is_stable
        for point in (line, fixed, cycle):
            f, lam = point.f, point.lam
            for _ in range(point.period):
                f, lam = model.step(f, lam, lr)
            np.testing.assert_allclose([f, lam], [point.f, point.lam], rtol=1e-12)
            np.testing.assert_allclose(sorted(multipliers(point, c, lr), reverse=True), point.multipliers, rtol=1e-5)
    np.testing.assert_allclose(model.step(cycle.f, cycle.lam, lr)[0], -cycle.f, rtol=1e-12)


def multipliers(point, c, lr):
    """|eigenvalues| of the Jacobian of the period's steps by central differences."""
    model, scales, columns = TwoScalarModel(400), (20 / lr, 1 / lr), []
    for axis, h in enumerate(1e-5 * np.array(scales)):
        ends = []
        for sign in (1, -1):
            at = np.array([point.f, point.lam])
            at[axis] += sign * h
            for _ in range(point.period):
                at = np.array(model.step(*at, lr))
            ends.append(at)
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.abs(np.linalg.eigvals(np.stack(columns, axis=1)))


def test_the_constraint_on_output_and_curvature_is_kept():
    rng = np.random.default_rng(2)
    a = rng.uniform(0, 4.5, 1000)
    b = a / 2 * rng.uniform(-1, 1, 1000)
    for _ in range(5):
        a, b = scaled_step(a, b)
        assert np.all(a >= 2 * np.abs(b) * (1 - 1e-12) - 1e-12)


def test_the_portrait_is_made_of_single_steps_and_leaves_out_what_no_weights_have():
    portrait = phase_portrait(starts=(2.5,), steps=40)
    assert np.isnan(portrait.step_a[4, 10])  # a = 1, b = 1
    a, b = portrait.a[12], portrait.b[5]
    after = scaled_step(a, b)
    np.testing.assert_allclose([portrait.step_a[12, 5], portrait.step_b[12, 5]], [after[0] - a, abs(after[1]) - b])
    assert portrait.trajectories[0][0][-1] < 2
    assert np.all(portrait.low <= portrait.high)
    assert portrait.high.max() <= 2


def test_impossible_starts_and_rates_are_refused():
    with pytest.raises(ValueError, match=r"no weights have .* = 2"):
        TwoScalarModel(1.0, 1.0, 1.9)
    with pytest.raises(ValueError, match="positive width"):
        TwoScalarModel(-3)
    with pytest.raises(ValueError, match="must be positive and finite, got 0"):
        TwoScalarModel(10.0).run(0, 3)
    with pytest.raises(ValueError, match=r"peaks for 2 < c < 4, got c = 1\.5"):
        TwoScalarModel(10.0).peak_time(1.5)
    with pytest.raises(ValueError, match="wanted 2 < c < 4"):
        limiting_final_curvature(4.0, np.zeros(1))
