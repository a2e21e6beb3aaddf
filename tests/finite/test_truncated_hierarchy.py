"""Training from truncated hierarchies, against real training, the closed forms of others and one another."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import wideflow as wf
from oracles import one_hidden
from wideflow.beyond import fit_slope
from wideflow.beyond.correction_scaling import geometric_mean
from wideflow.finite import FirstCorrection, TruncatedHierarchy
from wideflow.finite.exponentials import convolved_exponentials

RNG = np.random.default_rng(11)
D, P = 3, 4
X, Y = RNG.standard_normal((P, 3)), RNG.standard_normal(D)
TIMES = np.array([0.0, 1.0, 8.0])


def network(p, x):
    return jnp.tanh(x @ p["w"] / np.sqrt(x.shape[1])) @ p["a"] / np.sqrt(len(p["a"]))


def tensors_of(drawn):
    """The tensors of several networks of one width, each a dict: O_s [P, D, …]."""
    x, stacked = jnp.asarray(X), {n: jnp.asarray(np.stack([p[n] for p in drawn])) for n in ("w", "a")}
    found = jax.vmap(lambda p: wf.hierarchy(network, p, x, 4, x[:D]))(stacked)
    return [{s: np.asarray(found[s][i]) for s in found} for i in range(len(drawn))]


def synthetic(ntk, seed=0, points=D + 1):
    """Tensors with a given NTK on the training points and random O_3, O_4."""
    rng, n = np.random.default_rng(seed), len(ntk)
    cross = rng.standard_normal((points - n, n))
    third, fourth = 0.1 * rng.standard_normal((points, n, n)), 0.02 * rng.standard_normal((points, n, n, n))
    return {2: np.concatenate([ntk, cross]), 3: third, 4: fourth}, rng.standard_normal(points), rng.standard_normal(n)


def first_order_by_integration(tensors, f0, y, times):
    """g of f_NTK + g: the equations of O_2 and O_3 along the constant kernel's residuals, integrated step by step."""
    n, points = len(y), len(f0)
    ntk, third, fourth = (tensors[s] for s in (2, 3, 4))

    def velocity(t, state):
        g, change_2, change_3 = np.split(state, [points, points + points * n])
        residual = expm(-ntk[:n] / n * t) @ (f0[:n] - y) / n
        moved = -(third + change_3.reshape(third.shape)) @ residual
        return np.concatenate(
            [-ntk @ g[:n] / n - change_2.reshape(points, n) @ residual, moved.ravel(), -(fourth @ residual).ravel()]
        )

    start = np.zeros(points * (1 + n + n * n))
    return solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=1e-11, atol=1e-13).y.T[:, :points]


KERNELS = {
    "generic": np.array([[2.0, 0.3, -0.5], [0.3, 1.0, 0.2], [-0.5, 0.2, 3.0]]),
    "equal rates": 3 * np.eye(3),
    "rates that are sums of others": np.diag([1.0, 2.0, 3.0]),
    "nearly equal rates": np.diag([1.0, 1 + 1e-7, 2 + 1e-9]),
    "a zero rate": np.array([[1.0, 1.0, 0.2], [1.0, 1.0, 0.2], [0.2, 0.2, 2.0]]),
}


@pytest.mark.parametrize("ntk", KERNELS.values(), ids=KERNELS.keys())
def test_closed_form_equals_the_integrated_equations(ntk):
    tensors, f0, y = synthetic(ntk)
    closed = FirstCorrection(tensors, f0, y).correction(TIMES)
    integrated = first_order_by_integration(tensors, f0, y, TIMES)
    np.testing.assert_allclose(closed, integrated, rtol=1e-9, atol=1e-9)
    assert np.abs(integrated).max() > 1e-3  # a million tolerances
    np.testing.assert_array_equal(closed[0], 0)


def test_closed_form_at_infinite_time_fits_the_targets_and_is_the_limit():
    tensors, f0, y = synthetic(KERNELS["generic"])
    theory = FirstCorrection(tensors, f0, y)
    end = theory.outputs(np.inf)
    np.testing.assert_allclose(end[:D], y, rtol=1e-12)
    np.testing.assert_allclose(end, theory.outputs(300.0), rtol=1e-11)
    assert np.abs(theory.correction(np.inf)[D:]).min() > 1e-3
    singular = FirstCorrection(*synthetic(KERNELS["a zero rate"]))
    with pytest.raises(ValueError, match="has a zero eigenvalue; wanted finite times"):
        singular.outputs([1.0, np.inf])


def test_second_order_is_training_with_the_constant_kernel():
    tensors, f0, y = synthetic(KERNELS["generic"])
    hierarchy = TruncatedHierarchy({2: tensors[2]}, f0, y)
    trajectory = wf.Trajectory(tensors[2][:D], y, wf.GradientFlow())
    expected = trajectory.test(TIMES, tensors[2], f0[:D], f0)
    np.testing.assert_allclose(hierarchy.outputs(TIMES), expected, rtol=1e-8, atol=1e-10)
    closed = FirstCorrection(tensors, f0, y)
    np.testing.assert_allclose(closed.outputs(TIMES) - closed.correction(TIMES), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(hierarchy.ntk(TIMES)[2], tensors[2])
    assert hierarchy.order == 2


def test_fourth_order_starts_with_the_taylor_series_of_the_tensors():
    tensors, f0, y = synthetic(KERNELS["generic"])
    hierarchy, t = TruncatedHierarchy(tensors, f0, y), 1e-3
    r = (f0[:D] - y) / D
    slope = -tensors[3] @ r
    curvature = tensors[4] @ r @ r + tensors[3] @ (tensors[2][:D] @ r) / D
    np.testing.assert_allclose(hierarchy.ntk(t), tensors[2] + t * slope + t**2 / 2 * curvature, atol=1e-9)
    np.testing.assert_array_equal(hierarchy.outputs(0.0), f0)
    np.testing.assert_array_equal(hierarchy.outputs([8.0, 0.0, 1.0])[[1, 2, 0]], hierarchy.outputs(TIMES))


def errors(width, seeds):
    """Largest deviation from real training of each network for orders 2, 3, 4 and the closed form, `[S, 4]`."""
    drawn = [one_hidden.draw(width, seed) for seed in seeds]
    found = []
    for p, tensors in zip(drawn, tensors_of(drawn), strict=True):
        f0 = one_hidden.outputs(p, X)
        real = np.stack([one_hidden.outputs(q, X) for q in one_hidden.trained(p, X[:D], Y, TIMES)])
        theory = [TruncatedHierarchy({s: tensors[s] for s in range(2, q + 1)}, f0, Y).outputs(TIMES) for q in (2, 3, 4)]
        theory.append(FirstCorrection(tensors, f0, Y).outputs(TIMES))
        found.append([np.abs(one - real).max() for one in theory])
    return np.array(found)


@pytest.mark.slow
def test_errors_against_real_training_fall_as_the_orders_say(x64):
    """Orders 2 and 3 miss by 1/N, order 4 and the closed form by 1/N²: intervals over networks."""
    widths = [128, 256, 512, 1024, 2048]
    found = np.stack([errors(N, range(100, 132)) for N in widths])  # [n, S, 4]
    slopes = [fit_slope(widths, found[:, :, i], geometric_mean).widened(0.05) for i in range(4)]
    for slope in slopes[:2]:
        assert slope.contains(-1), slopes
        assert not slope.contains(-0.5), slopes
        assert not slope.contains(-1.5), slopes
    for slope in slopes[2:]:
        assert slope.contains(-2), slopes
        assert not slope.contains(-1), slopes
    assert geometric_mean(found[0].T)[2:].max() < 5e-3


def test_several_outputs_are_points_of_their_own(x64):
    rng = np.random.default_rng(5)
    ntk = KERNELS["generic"]
    ntk = np.block([[ntk, 0.1 * ntk], [0.1 * ntk, ntk]])[:4, :4]
    flat, f0, y = synthetic(ntk, points=6)
    flat = {s: (1 + rng.random()) * t for s, t in flat.items()}
    shaped = {s: t.reshape((3, 2) + (s - 1) * (2, 2)) for s, t in flat.items()}
    for kind in (TruncatedHierarchy, FirstCorrection):
        outputs = kind(shaped, f0.reshape(3, 2), y.reshape(2, 2)).outputs([0.5, 2.0])
        assert outputs.shape == (2, 3, 2)
        once = kind(flat, f0, y).outputs([1.0, 4.0])  # mean over 4 numbers there, over 2 points here
        np.testing.assert_allclose(outputs.reshape(2, 6), once, rtol=1e-7, atol=1e-9)


def test_convolutions_of_exponentials_keep_their_digits_where_rates_meet():
    cases = [[0.0, 1.0, 1.0, 2.0], [0.3, 0.3 + 1e-9, 0.6, 0.9], [0.0, 700.0, 700.1, 1400.0], [0.0, 0.0, 1e-12, 5.0]]
    for rates in cases:
        for t in (1e-3, 1.0, 40.0):
            with mpmath.workdps(120):
                apart = [mpmath.mpf(a) + mpmath.mpf(10) ** -25 * i * i for i, a in enumerate(rates)]
                exact = mpmath.fsum(
                    mpmath.exp(-a * t) / mpmath.fprod(b - a for j, b in enumerate(apart) if j != i)
                    for i, a in enumerate(apart)
                )
            np.testing.assert_allclose(convolved_exponentials(np.array([rates]), t), [float(exact)], rtol=1e-12)
    assert convolved_exponentials(np.array([[0.0, 2.0, 5.0]]), np.inf) == 0.1


def test_outputs_that_grow_without_bound_are_an_error():
    tensors = {2: np.array([[1.0]]), 3: np.array([[[3.0]]])}
    with pytest.raises(RuntimeError, match="order 3 grows without bound before t = 50"):
        TruncatedHierarchy(tensors, np.array([2.0]), np.array([0.0])).outputs(50.0)


def test_tensors_that_do_not_fit_are_refused():
    tensors, f0, y = synthetic(KERNELS["generic"])
    with pytest.raises(ValueError, match=r"without gaps, got the orders \[2, 4\]"):
        TruncatedHierarchy({2: tensors[2], 4: tensors[4]}, f0, y)
    with pytest.raises(ValueError, match=r"wanted the tensors O_2, O_3 and O_4, got the orders \[2\]"):
        FirstCorrection({2: tensors[2]}, f0, y)
    with pytest.raises(ValueError, match=r"tensors\[3\]: wanted outputs of shape \(4, 3, 3\)"):
        TruncatedHierarchy({2: tensors[2], 3: tensors[3][:3]}, f0, y)
    with pytest.raises(ValueError, match="f0: wanted outputs on the 3 training points first"):
        TruncatedHierarchy(tensors, f0[:2], y)
    for t in (-1.0, [[1.0]], np.nan):
        with pytest.raises(ValueError, match="none negative"):
            FirstCorrection(tensors, f0, y).outputs(t)
    with pytest.raises(ValueError, match="wanted finite times"):
        TruncatedHierarchy(tensors, f0, y).outputs(np.inf)


def test_tensors_in_float32_may_be_asymmetric_by_their_rounding():
    tensors, f0, y = synthetic(KERNELS["a zero rate"] + np.eye(len(KERNELS["a zero rate"])))
    rounded = {s: tensor.astype(np.float32) for s, tensor in tensors.items()}
    rounded[2][0, 1] *= 1 + 2 * np.finfo(np.float32).eps
    np.testing.assert_allclose(
        FirstCorrection(rounded, f0, y).outputs(1.0), FirstCorrection(tensors, f0, y).outputs(1.0), rtol=1e-5
    )
    rounded[2][0, 1] *= 1.01
    with pytest.raises(ValueError, match="not symmetric"):
        FirstCorrection(rounded, f0, y)
