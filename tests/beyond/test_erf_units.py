"""Erf units: Gaussian integrals by sampling and in Saad and Solla's own form, the flow of weights, drifts, SGD."""

import numpy as np
import pytest
from scipy.special import erf

from wideflow.beyond import ErfUnits, OrderParameters, fit_slope
from wideflow.beyond.erf_units import _outputs, _slope_field, _squared_error


def covariance(k, seed):
    root = np.random.default_rng(seed).standard_normal((k, k))
    return 0.4 * root @ root.T


def test_gaussian_integrals_are_those_of_samples():
    c, weights = covariance(4, 0), np.array([0.5, -1.0, 0.3, 0.8])
    rng = np.random.default_rng(1)
    u = rng.standard_normal((200_000, 4)) @ np.linalg.cholesky(c).T
    g, dg = erf(u), 2 / np.pi**0.5 * np.exp(-(u**2))
    for seen, value in [
        (g[:, 0] * g[:, 1], _outputs(c)[0, 1]),
        (g[:, 2] ** 2, _outputs(c)[2, 2]),
        (dg[:, 0] * u[:, 1] * g[:, 2], _slope_field(c, 2)[0, 1, 2]),
        (dg[:, 1] * u[:, 1] * g[:, 1], _slope_field(c, 2)[1, 1, 1]),
        (dg[:, 0] * dg[:, 1] * (g @ weights) ** 2, _squared_error(c, 2, weights)[0, 1]),
        (dg[:, 1] ** 2 * (g @ weights) ** 2, _squared_error(c, 2, weights)[1, 1]),
    ]:
        assert abs(seen.mean() - value) < 4.5 * seen.std() / len(u) ** 0.5


def saad_solla(q, r, t, eta):
    """dQ/dα, dR/dα of a soft committee with g(z) = erf(z/√2), term by term from their equations (5) and (6)."""
    k, m = r.shape
    c = np.block([[q, r], [r.T, t]])
    sign = [-1.0] * k + [1.0] * m

    def i3(a, b, d):
        lam = (1 + c[a, a]) * (1 + c[d, d]) - c[a, d] ** 2
        return 2 / np.pi / np.sqrt(lam) * (c[b, d] * (1 + c[a, a]) - c[a, b] * c[a, d]) / (1 + c[a, a])

    def i4(a, b, d, e):
        l4 = (1 + c[a, a]) * (1 + c[b, b]) - c[a, b] ** 2
        l0 = l4 * c[d, e] - c[b, d] * c[b, e] * (1 + c[a, a]) - c[a, d] * c[a, e] * (1 + c[b, b])
        l0 += c[a, b] * c[a, d] * c[b, e] + c[a, b] * c[a, e] * c[b, d]
        one = lambda d: (  # noqa: E731
            l4 * (1 + c[d, d])
            - c[b, d] ** 2 * (1 + c[a, a])
            - c[a, d] ** 2 * (1 + c[b, b])
            + 2 * c[a, b] * c[a, d] * c[b, d]
        )
        return 4 / np.pi**2 / np.sqrt(l4) * np.arcsin(l0 / np.sqrt(one(d) * one(e)))

    every = range(k + m)
    dr = [[eta * sum(sign[j] * i3(i, k + n, j) for j in every) for n in range(m)] for i in range(k)]
    dq = np.zeros((k, k))
    for i in range(k):
        for l in range(k):  # noqa: E741
            dq[i, l] = eta * sum(sign[j] * (i3(i, l, j) + i3(l, i, j)) for j in every)
            dq[i, l] += eta**2 * sum(sign[j] * sign[n] * i4(i, l, j, n) for j in every for n in every)
    return dq, np.array(dr)


def test_equations_are_those_of_saad_and_solla():
    k, m, eta = 3, 2, 0.7
    c = covariance(k + m, 2)
    order = OrderParameters(c[:k, :k], c[:k, k:], c[k:, k:])
    noise = k * eta / 2
    task = ErfUnits(np.zeros((m, 1)), exponent=0.0, noise=noise)
    dq, dr = task._velocity(order, task._readouts(order))
    expected_q, expected_r = saad_solla(2 * order.q, 2 * order.r, 2 * order.t, eta)  # weights √2 as large
    np.testing.assert_allclose(2 * noise * dq, expected_q, rtol=1e-10)  # α = t/noise
    np.testing.assert_allclose(2 * noise * dr, expected_r, rtol=1e-10)


WEIGHTS = 0.3 * np.random.default_rng(3).standard_normal((3, 3))
TEACHER = 0.4 * np.random.default_rng(4).standard_normal((2, 3))
READOUTS = np.array([1.0, -0.7]), np.array([1.0, 0.8, -1.2])


NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
X = np.stack(np.meshgrid(*[NODES] * 3), axis=-1).reshape(-1, 3)
X_WEIGHT = np.prod(np.stack(np.meshgrid(*[NODE_WEIGHTS / NODE_WEIGHTS.sum()] * 3), axis=-1).reshape(-1, 3), axis=1)


def population_risk(w, exponent):
    """½ E (f − f*)² and its gradient, by a product of Gauss-Hermite rules in all three dimensions."""
    v, a = READOUTS
    z = X @ w.T
    error = erf(z) @ a / len(w) ** exponent - erf(X @ TEACHER.T) @ v
    slope = 2 / np.pi**0.5 * np.exp(-(z**2)) * a / len(w) ** exponent
    return X_WEIGHT @ error**2 / 2, (slope * (X_WEIGHT * error)[:, None]).T @ X


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_path_is_the_flow_of_the_weights(exponent):
    v, a = READOUTS
    task, steps, end = ErfUnits(TEACHER, v, a, exponent), 60, 1.2
    path = task.path(OrderParameters.of(WEIGHTS, TEACHER), [0.0, end / 2, end])
    rate, w, seen = 3 ** (2 * exponent - 1) * end / steps, WEIGHTS, [WEIGHTS]
    for step in range(steps):  # midpoint rule, error of second order
        half = w - rate / 2 * population_risk(w, exponent)[1]
        w = w - rate * population_risk(half, exponent)[1]
        if step + 1 in (steps // 2, steps):
            seen.append(w)
    for i, w in enumerate(seen):
        np.testing.assert_allclose(path.q[i], w @ w.T, atol=2e-4)
        np.testing.assert_allclose(path.r[i], w @ TEACHER.T, atol=2e-4)
        assert task.risk(path)[i] == pytest.approx(population_risk(w, exponent)[0], abs=1e-4)
    assert np.abs(path.q[-1] - path.q[0]).max() > 0.1
    drift = np.sqrt(np.mean(np.sum((np.array(seen) - WEIGHTS) ** 2, axis=2), axis=1))
    np.testing.assert_allclose(task.drift(WEIGHTS, [0.0, end / 2, end]), drift, atol=2e-4)


def test_neurons_drift_by_order_one_in_the_mean_field_and_by_one_over_root_width_in_the_kernel_regime():
    widths, teacher = [8, 16, 32, 64], np.eye(2, 6)
    for exponent, expected, other in ((1.0, 0.0, -0.5), (0.5, -0.5, 0.0)):
        drifts = []
        for n in widths:
            row = []
            for seed in range(5):
                rng = np.random.default_rng([seed, n])
                w, a = rng.standard_normal((n // 2, 6)) / 6**0.5, np.ones(n // 2)
                # every unit twice with opposite signs: the output starts at zero at both exponents
                task = ErfUnits(teacher, None, np.concatenate([a, -a]), exponent)
                row.append(task.drift(np.concatenate([w, w]), [0.5])[0])
            drifts.append(row)
        slope = fit_slope(widths, drifts).widened(0.03)  # corrections of order 1/width
        assert slope.contains(expected)
        assert not slope.contains(other)


def test_online_descent_in_high_dimension_follows_the_equations_with_noise():
    d, noise, times = 400, 0.8, [1.0, 3.0]
    rng = np.random.default_rng(7)
    teacher, start = np.eye(2, d), rng.standard_normal((3, d)) * 0.5 / d**0.5
    task = ErfUnits(teacher, noise=noise)
    path = task.path(OrderParameters.of(start, teacher), times)
    flow = ErfUnits(teacher).path(OrderParameters.of(start, teacher), times)
    seen = []
    for _ in range(4):
        w = start.copy()
        for _ in range(int(times[-1] * d / noise)):
            x = rng.standard_normal(d)
            z = w @ x
            error = erf(teacher @ x).sum() - erf(z).mean()
            w += noise / d * np.outer(2 / np.pi**0.5 * np.exp(-(z**2)) * error, x)
        seen.append(np.diag(w @ w.T).mean())
    error = np.std(seen, ddof=1) / 2
    theory, without = np.diag(path.q[-1]).mean(), np.diag(flow.q[-1]).mean()
    assert abs(np.mean(seen) - theory) < 4 * error + 0.02 * theory  # 1/d corrections
    assert abs(np.mean(seen) - without) > 4 * error + 0.02 * theory


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ErfUnits(TEACHER, noise=-1.0), "noise is step"),
        (lambda: ErfUnits(TEACHER, np.ones(3)), "teacher_readout: wanted one number"),
        (lambda: ErfUnits(TEACHER, noise=0.1).drift(WEIGHTS, [1.0]), "give noise=0"),
        (lambda: ErfUnits(TEACHER).path(OrderParameters.of(WEIGHTS, TEACHER), [1.0, 0.5]), "ascending"),
        (lambda: OrderParameters.of(WEIGHTS, TEACHER[:, :2]), "wanted weights"),
        (lambda: ErfUnits(TEACHER, readout=np.ones(2)).risk(OrderParameters.of(WEIGHTS, TEACHER)), "of 3 units"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
