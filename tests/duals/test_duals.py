"""Every closed form against everything that is known about it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dual_cases import CASES, IDS
from dual_oracle import expectation, second_moment

from wideflow.duals import Pair

every_case = pytest.mark.parametrize("case", CASES, ids=IDS)

VARIANCES = np.array([0.01, 0.7, 4.0])
DELTAS = np.array([0.0, 1e-12, 1e-6, 1e-3, 0.2, 1.0, 1.6, 1.999, 2.0])


def grid(dtype=np.float64):
    """Every pair of variances [3, 1, 1] and [1, 3, 1] with every delta [1, 1, 9]."""
    q11, q22 = VARIANCES[:, None, None], VARIANCES[None, :, None]
    delta = np.broadcast_to(DELTAS, (3, 3, 9))
    return Pair(*(jnp.asarray(x, dtype) for x in (q11, np.sqrt(q11 * q22) * (1 - delta), q22, delta)))


def flat(pair):
    """The grid's variances and deltas as one-dimensional NumPy arrays."""
    return [np.broadcast_to(np.asarray(x), (3, 3, 9)).ravel() for x in (pair.q11, pair.q22, pair.delta)]


def bound(case, which, q11, q22):
    """Cauchy-Schwarz bound on |E[f(u) f(v)]|: the natural unit of an error."""
    f = getattr(case, which)
    return np.sqrt(second_moment(f, q11) * second_moment(f, q22))


@every_case
def test_closed_form_equals_polar_quadrature(case, x64):
    pair = grid()
    dual, points = case(pair), flat(pair)
    for value, which in ((dual.k, "phi"), (dual.kdot, "slope")):
        error = np.broadcast_to(value, (3, 3, 9)).ravel() - expectation(getattr(case, which), *points)
        assert np.all(np.abs(error) <= 1e-12 * bound(case, which, *points[:2]))


@every_case
def test_closed_form_lies_within_monte_carlo_error(case, x64):
    q11, q12, q22 = 1.3, -0.4, 0.8
    normals = np.random.default_rng(0).standard_normal((2, 400_000))
    u, v = np.linalg.cholesky(np.array([[q11, q12], [q12, q22]])) @ normals
    dual = case(Pair.of(*(jnp.array([q]) for q in (q11, q12, q22))))
    for value, f in ((dual.k, case.phi), (dual.kdot, case.slope)):
        products = f(u) * f(v)
        assert abs(products.mean() - value[0]) <= 5 * products.std() / np.sqrt(products.size) + 1e-12


@pytest.mark.parametrize("case", [c for c in CASES if c.is_continuous], ids=lambda c: c.name)
def test_kdot_is_the_derivative_of_k_by_price(case, x64):
    q11, q22 = VARIANCES[:, None, None], VARIANCES[None, :, None]
    rho = np.array([-1.0, -0.9, -0.2, 0.0, 0.5, 0.999, 1.0])
    q11, q12, q22 = (jnp.asarray(q) for q in (q11, np.sqrt(q11 * q22) * rho, q22))

    def k_and_kdot(q12):
        dual = case(Pair.of(q11, q12, q22))
        return dual.k, dual.kdot

    (_, kdot), (slope, _) = jax.jvp(k_and_kdot, (q12,), (jnp.ones_like(q12),))
    np.testing.assert_allclose(slope, jnp.broadcast_to(kdot, slope.shape), rtol=1e-6, atol=1e-9)


@every_case
def test_gram_matrices_are_positive_semidefinite(case, x64):
    x = np.random.default_rng(1).standard_normal((12, 3))
    x[6:9] = -x[:3]
    x[9:] = x[:3] * (1 + 1e-9)
    q = jnp.asarray((x**2).sum(1))
    dual = case(Pair.of(q[:, None], jnp.asarray(x @ x.T), q[None, :]))
    for gram in (dual.k, dual.kdot):
        eigenvalues = np.linalg.eigvalsh(np.broadcast_to(gram, (12, 12)))
        assert eigenvalues[0] >= -1e-7 * max(eigenvalues[-1], 1e-3)


@every_case
def test_diagonal_equals_one_dimensional_quadrature(case, x64):
    q = jnp.array([1e-3, 0.5, 3.0, 12.0])
    dual = case(Pair.of(q, q, q, delta=jnp.zeros_like(q)))
    for value, f in ((dual.k, case.phi), (dual.kdot, case.slope)):
        expected = second_moment(f, np.asarray(q))
        np.testing.assert_allclose(jnp.broadcast_to(value, q.shape), expected, rtol=1e-11, atol=1e-15)


@every_case
def test_float32_agrees_with_float64(case, x64):
    single = grid(np.float32)
    exact, rounded = case(jax.tree.map(lambda q: q.astype(np.float64), single)), case(single)
    points = flat(grid())[:2]
    for which, a, b in (("phi", exact.k, rounded.k), ("slope", exact.kdot, rounded.kdot)):
        assert b.dtype == np.float32
        error = np.abs(np.broadcast_to(b - a.astype(np.float32), (3, 3, 9)).ravel())
        assert np.all(error <= 1e-6 * bound(case, which, *points))


@every_case
def test_gradients_are_finite_at_degenerate_points(case, x64):
    q11 = jnp.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    q12 = jnp.array([0.0, 0.0, 0.0, 1.0, -1.0, 0.0])
    q22 = jnp.array([0.0, 1.0, 0.0, 1.0, 1.0, 2.0])

    def total(qs, hyper):
        dual = case.dual(Pair.of(*qs), *hyper)
        return sum(jnp.sum(x) for x in dual if x is not None)

    hyper = tuple(jnp.asarray(h) for h in case.hyper)
    value, gradients = jax.value_and_grad(total, argnums=(0, 1))((q11, q12, q22), hyper)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((value, gradients)))


@pytest.mark.slow
@every_case
def test_compiled_function_equals_the_eager_one(case, x64):
    for eager, compiled in zip(case(grid()), jax.jit(case)(grid()), strict=True):
        if eager is not None:
            unit = np.max(np.abs(eager), axis=2, keepdims=True)
            assert np.all(np.abs(compiled - eager) <= 1e-13 * unit)


@every_case
def test_batched_function_equals_the_broadcast_one(case, x64):
    q = jnp.array([0.3, 1.5, 2.0])
    q12 = jnp.array([[0.3, 0.5, -0.6], [0.5, 1.5, 0.1], [-0.6, 0.1, 2.0]])
    whole = case(Pair.of(q[:, None], q12, q[None, :]))
    one = lambda a, c, b: case(Pair.of(a, c, b))  # noqa: E731
    rows = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, 0, None))(q, q12, q)
    np.testing.assert_allclose(rows.k, whole.k, rtol=1e-13)
    np.testing.assert_allclose(rows.kdot, jnp.broadcast_to(whole.kdot, (3, 3)), rtol=1e-13)


@every_case
def test_large_variances_give_finite_values(case):
    q = jnp.array([1e4, 1e-30], jnp.float32)
    dual = case(Pair.of(q, q, q))
    if case.name not in {"exp", "rectified_quintic"}:
        assert np.all(np.isfinite(dual.k))
        assert np.all(np.isfinite(dual.kdot))


OUTPUT_DELTA = ["relu", "ab_relu", "leaky_relu", "abs", "step", "sign", "rbf", "exp", "identity"]


@pytest.mark.parametrize("case", [c for c in CASES if c.name in OUTPUT_DELTA], ids=lambda c: c.name)
def test_output_delta_agrees_with_subtraction(case, x64):
    pair = grid()
    dual = case(pair)
    diagonals = [case(Pair.of(q, q, q, jnp.zeros_like(q))).k for q in (pair.q11, pair.q22)]
    expected = 1 - dual.k / jnp.sqrt(diagonals[0] * diagonals[1])
    np.testing.assert_allclose(dual.delta, jnp.broadcast_to(expected, dual.delta.shape), atol=1e-13)


@every_case
def test_output_delta_is_given_only_where_it_is_exact(case):
    one = jnp.ones(1)
    assert (case(Pair.of(one, one, one)).delta is not None) == (case.name in OUTPUT_DELTA)
