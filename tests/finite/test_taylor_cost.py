"""Every operation in a Taylor polynomial: its value against nested derivatives, its cost against the order squared."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

import wideflow as wf
from wideflow.finite.propagation import propagate

RNG = np.random.default_rng(11)


def draw(*shape):
    return np.asarray(RNG.standard_normal(shape))


def complex_draw(*shape):
    return draw(*shape) + 1j * draw(*shape)


def regular(a):
    """A well-conditioned matrix near a multiple of one."""
    return a + jnp.broadcast_to(3 * jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)


def hermitian(a):
    return (a + a.mT.conj()) / 2


def positive(a):
    return 4 * regular(hermitian(a))


@jax.custom_jvp
def bell(x):
    return jnp.exp(-x * x)


@bell.defjvp
def _bell_rule(primals, tangents):
    (x,), (dx,) = primals, tangents
    return bell(x), -x * (bell(x) + bell(x)) * dx


@jax.custom_jvp
def looped(x):
    return jnp.exp(x)


@looped.defjvp
def _looped_rule(primals, tangents):
    y = looped(primals[0])
    half = jax.lax.scan(lambda c, _: (c * 0.5 + y * 0.5, None), y, None, length=3)[0]
    return y, half * tangents[0]


def conjugate_gradients(p):
    return jax.scipy.sparse.linalg.cg(lambda v: p[0].T @ (p[0] @ v) + 9 * v, p[1], tol=1e-16, maxiter=40)[0]


def triangles(left, lower, transpose, conjugate, unit):
    options = {
        "left_side": left,
        "lower": lower,
        "transpose_a": transpose,
        "conjugate_a": conjugate,
        "unit_diagonal": unit,
    }
    some = complex_draw if conjugate else draw
    return lambda p: jax.lax.linalg.triangular_solve(regular(p[0]), p[1], **options), (
        some(2, 3, 3),
        some(2, 3, 2) if left else some(2, 2, 3),
    )


CASES = {
    "sin": (jnp.sin, draw(3)),
    "cos of complex": (jnp.cos, complex_draw(3)),
    "tan": (jnp.tan, draw(3)),
    "log": (jnp.log, abs(draw(3)) + 0.5),
    "log of complex": (jnp.log, complex_draw(3)),
    "log1p": (jnp.log1p, abs(draw(3))),
    "expm1": (jnp.expm1, draw(3)),
    "sqrt": (jnp.sqrt, abs(draw(3)) + 0.5),
    "rsqrt of complex": (jax.lax.rsqrt, complex_draw(3)),
    "cbrt": (jnp.cbrt, draw(3) - 2),
    "arcsin": (jnp.arcsin, np.asarray([0.2, -0.3])),
    "error function": (jax.lax.erf, draw(3)),
    "inverse error function": (jax.scipy.special.erfinv, np.asarray([0.2, -0.3])),
    "bessel i0e": (jax.scipy.special.i0e, draw(3)),
    "bessel i1e": (jax.scipy.special.i1e, draw(3)),
    "bessel i0e and i1e at zero": (lambda x: jax.scipy.special.i0e(x) + jax.scipy.special.i1e(x), np.zeros(1)),
    "softplus": (jax.nn.softplus, draw(3)),
    "softmax": (jax.nn.softmax, draw(3)),
    "power": (lambda x: x**2.5, abs(draw(3)) + 0.5),
    "power of a negative base": (lambda x: x**3.0 + x**-3.0 + x**5 + x**-2, -abs(draw(3)) - 0.5),
    "power of a complex base": (lambda x: x**2.5 + x**3, complex_draw(3)),
    "runtime exponent": (lambda x: x ** jnp.asarray([2.0, -3.0, 1.0]), -abs(draw(3)) - 0.5),
    "moving exponent": (lambda p: p[0] ** p[1], (abs(draw(3)) + 0.5, draw(3))),
    "moving complex exponent": (lambda p: p[0] ** p[1], (complex_draw(3), complex_draw(3))),
    "constant base": (lambda x: 2.0**x, draw(3)),
    "cholesky": (lambda a: jnp.linalg.cholesky(positive(a)), draw(2, 3, 3)),
    "cholesky of complex": (lambda a: jnp.linalg.cholesky(positive(a)), complex_draw(3, 3)),
    "solve": (lambda p: jnp.linalg.solve(regular(p[0]), p[1]), (draw(2, 3, 3), draw(2, 3, 2))),
    "solve of complex": (lambda p: jnp.linalg.solve(regular(p[0]), p[1]), (complex_draw(3, 3), complex_draw(3))),
    "tridiagonal solve": (
        lambda p: jax.lax.linalg.tridiagonal_solve(*p),
        (draw(4), draw(4) + 5, draw(4), draw(4, 2)),
    ),
    "conjugate gradients": (conjugate_gradients, (draw(3, 3), draw(3))),
    "lu": (lambda a: jax.lax.linalg.lu(regular(a))[0], draw(3, 3)),
    "determinant": (lambda a: jnp.linalg.det(regular(a)), draw(3, 3)),
    "log determinant": (lambda a: jnp.linalg.slogdet(regular(a))[1], draw(3, 3)),
    "eigh": (lambda a: jnp.linalg.eigh(hermitian(a))[1] ** 2, draw(3, 3)),
    "qr": (lambda a: jnp.linalg.qr(regular(a))[1], draw(3, 3)),
    "svd": (lambda a: jnp.linalg.svd(a, compute_uv=False), draw(3, 3)),
    "pseudo-inverse": (jnp.linalg.pinv, draw(3, 2)),
    "cumulative product": (jnp.cumprod, draw(4)),
    "sort": (jnp.sort, draw(4)),
    "gather": (lambda x: x[jnp.asarray([1, 2, 0])], draw(3)),
    "scattered factor": (lambda x: x.at[0].mul(x[1]), draw(3)),
    "max pooling": (lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2,), (1,), "VALID"), draw(5)),
    "fourier transform": (lambda x: jnp.fft.irfft(jnp.fft.rfft(x) ** 2), draw(4)),
    "custom rule calling twice": (bell, draw(3)),
    "custom rule with a loop": (looped, draw(3)),
    **{
        f"triangular solve {options:05b}": triangles(*(bool(options >> i & 1) for i in range(5)))
        for options in range(32)
    },
}


def terms(f, order):
    """The coefficients 1/j! d^j f/ds^j at s = 0, from the library and from derivatives of derivatives."""
    series = propagate(jax.make_jaxpr(f)(0.0), [(jnp.asarray(0.0), jnp.asarray(1.0))], order)[0]
    functions = [f]
    for _ in range(order):
        functions.append(lambda s, g=functions[-1]: jax.jvp(g, (s,), (1.0,))[1])
    exact = jax.jit(lambda s: [g(s) / math.factorial(j) for j, g in enumerate(functions)])(0.0)
    dense = [*series, *[None] * (order + 1 - len(series))]
    return [np.zeros_like(e) if c is None else np.asarray(c) for c, e in zip(dense, exact, strict=True)], exact


def curve(p, s):
    """Arrays that depend on s through all powers."""
    return jax.tree.map(
        lambda a: a + (jnp.sin(0.3 * s) * np.cos(np.arange(a.size)).reshape(a.shape)).astype(a.dtype), p
    )


@pytest.mark.parametrize(
    "name", [n if i % 3 == 0 else pytest.param(n, marks=pytest.mark.slow) for i, n in enumerate(CASES)]
)
def test_operation_has_the_coefficients_of_nested_derivatives(name, x64):
    f, p = CASES[name]
    found, exact = terms(lambda s: f(curve(p, s)), 4)
    for one, two in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-12 * max(1, np.abs(two).max()))


def equations(jaxpr):
    return sum(1 + sum(map(equations, jaxprs_in_params(e.params))) for e in jaxpr.eqns)


def growth(f, p, orders=(8, 16)):
    """The power of the order with which the traced equations grow."""

    def along(q, x):
        return f(jax.tree.map(lambda a: a * jnp.exp(jnp.asarray(0.01, a.dtype) * a), q))

    p = jax.tree.map(jnp.asarray, p)
    small, large = (equations(jax.make_jaxpr(wf.taylor(along, p, k))(p, None).jaxpr) for k in orders)
    return math.log2(large / small)


@pytest.mark.parametrize("name", [n for n in CASES if "triangular" not in n or n.endswith("00111")])
def test_operation_costs_the_order_squared(name, x64):
    assert growth(*CASES[name]) < 2.02


@pytest.mark.parametrize("name", ["solve", "solve of complex", "triangular solve 00111"])
def test_linear_system_is_solved_once_for_each_coefficient(name, x64):
    assert growth(*CASES[name]) < 1.5  # solutions of the slope's own systems would come to 1.8


def test_gamma_functions_cost_the_order_cubed(x64):
    assert 2.2 < growth(jax.scipy.special.gammaln, abs(draw(3)) + 0.5) < 3.02


POWERS = {
    "integer": lambda u: u**3,
    "float": lambda u: u**3.0,
    "runtime": lambda u: u ** jnp.asarray([0.0, 1.0, 2.0, 3.0, 4.0]),
    "complex": lambda u: u.astype(complex) ** 3.0,
}


@pytest.mark.parametrize("name", POWERS)
def test_whole_powers_are_exact_at_base_zero(name, x64):
    a, b = np.asarray([1.3, 0.0, -0.7, 0.0, 2.0]), np.asarray([0.5, 0.3, 0.2, 0.0, 0.1])
    found, _ = terms(lambda s: POWERS[name](a * s + b * s * s), 5)
    for place in range(5):
        exponent = place if name == "runtime" else 3
        exact = np.polynomial.polynomial.polypow([0, a[place], b[place]], exponent)
        exact = np.pad(exact, (0, 12))[:6]
        np.testing.assert_allclose([c[place] for c in found], exact, atol=1e-15)


def test_other_powers_at_base_zero_are_finite_up_to_the_exponent(x64):
    a = np.asarray([1.3, -0.7, 0.0])
    found, exact = terms(lambda s: (a * s) ** 2.5, 4)
    np.testing.assert_array_equal(found[:3], exact[:3])
    assert np.isnan(found[3][:2]).all()
    np.testing.assert_array_equal([c[2] for c in found], 0)
    moving, exact = terms(lambda s: (a * s) ** (2 + s), 3)
    np.testing.assert_allclose(moving[:3], exact[:3])
    assert np.isnan(moving[3][:2]).all()


def test_custom_functions_that_differ_only_in_a_later_derivative_stay_apart(x64):
    @partial(jax.custom_jvp, nondiff_argnums=(0,))
    def cube(k, x):  # the derivative k of x³ at 0, as a function
        return x * 0 + (6.0 if k == 3 else 0.0)

    @cube.defjvp
    def rule(k, primals, tangents):
        return cube(k, *primals), cube(k + 1, *primals) * tangents[0]

    found, _ = terms(lambda s: cube(0, s), 4)
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 0])


def test_long_functions_inside_a_rule_are_expanded_in_turn():
    @jax.custom_jvp
    def long(x):
        return jnp.sin(x)

    @long.defjvp
    def rule(primals, tangents):
        y = primals[0]
        for _ in range(600):
            y = y * 1.001
        return long(*primals), jnp.cos(y) * tangents[0]

    assert np.isfinite(wf.taylor(lambda p, x: long(p), jnp.asarray(0.1), 3)(jnp.asarray(0.2), None))
