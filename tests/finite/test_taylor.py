"""Taylor polynomials of networks, against nested derivatives, mpmath and networks that are polynomials."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import wideflow as wf
from oracles import one_hidden
from wideflow import nn
from wideflow.dynamics import SquareLoss, batch_order
from wideflow.finite import NetworkTraining

KEYS = jax.random.split(jax.random.key(5), 8)


def many_operations(p, x):
    """Loops, branches, checkpoints, custom derivatives, attention, sorting, norms and a convolution."""
    h = jnp.tanh(x @ p["a"])
    h = jax.nn.relu(h + 0.3 * x @ p["a"])
    h = jax.nn.softmax(h @ h.T) @ h + jax.lax.stop_gradient(h)
    h = jax.checkpoint(lambda h: h * h @ p["b"])(jax.nn.gelu(h, approximate=False))
    h, sums = jax.lax.scan(lambda c, row: (jnp.sin(c) + row @ p["c"], c.sum()), h, jnp.stack([h, h * h]))
    h = jax.lax.cond(h.sum() > 0, lambda h: h * sums[0], lambda h: h**2 * sums[1], h)
    h = jax.lax.fori_loop(0, (h.sum() * 0).astype(int) + 2, lambda i, h: h * h + h, h)
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 0.1)
    h = h[jnp.argsort(h[:, 0])] + jnp.sort(h, axis=-1)
    h = h + jnp.stack([jnp.convolve(row, p["c"][0], mode="same") for row in h])
    return {"value": jax.nn.logsumexp(h, axis=-1) * jnp.linalg.norm(h) ** 1.5}


def weights(shift=0):
    shapes = {"a": (3, 4), "b": (4, 4), "c": (4, 4)}
    return {n: jax.random.normal(KEYS[shift + i], s, jnp.float64) for i, (n, s) in enumerate(shapes.items())}


def nested(f, p, new, order):
    """The terms 1/j! d^j/ds^j f(p + s (new − p)) by JAX's derivatives of derivatives."""

    def along(s):
        return f(jax.tree.map(lambda a, b: a + s * (b - a), p, new))

    def derivative(g):
        return lambda s: jax.jvp(g, (s,), (1.0,))[1]

    functions = [along]
    for _ in range(order):
        functions.append(derivative(functions[-1]))
    return np.array(jax.jit(lambda s: [g(s) / math.factorial(j) for j, g in enumerate(functions)])(0.0))


@pytest.mark.parametrize("order", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_polynomial_through_many_operations_equals_nested_derivatives(order, x64):
    p, x = weights(), jax.random.normal(KEYS[6], (2, 3), jnp.float64)
    new = jax.tree.map(lambda a, b: a + 0.03 * b, p, weights(3))
    value = jax.jit(wf.taylor(many_operations, p, order))(new, x)["value"]
    terms = nested(lambda q: many_operations(q, x)["value"], p, new, order)
    np.testing.assert_allclose(value, terms.sum(axis=0), rtol=1e-12)
    assert np.abs(terms[-1]).min() > 1e-6


FUNCTIONS = {
    "exp": (jnp.exp, mpmath.exp),
    "tanh": (jnp.tanh, mpmath.tanh),
    "logistic": (jax.nn.sigmoid, lambda s: 1 / (1 + mpmath.exp(-s))),
    "quotient": (lambda s: (1 + s * s) / (2 - s), lambda s: (1 + s * s) / (2 - s)),
    "sine": (jnp.sin, mpmath.sin),
    "logarithm": (lambda s: jnp.log(1 + s), lambda s: mpmath.log(1 + s)),
    "power": (lambda s: (1 + s) ** 2.5 * s**3, lambda s: (1 + s) ** mpmath.mpf(2.5) * s**3),
    "root": (lambda s: jax.lax.rsqrt(1 + s), lambda s: 1 / mpmath.sqrt(1 + s)),
    "error function": (jax.lax.erf, mpmath.erf),
    "several": (
        lambda s: jnp.exp(-s * s) / (1 + jnp.tanh(s) ** 2),
        lambda s: mpmath.exp(-s * s) / (1 + mpmath.tanh(s) ** 2),
    ),
}


def test_functions_of_one_variable_have_the_taylor_series_of_mpmath(x64):
    start, change = 0.3, 0.2
    for name, (f, exact) in FUNCTIONS.items():
        polynomial = wf.taylor(lambda p, x: f(p), jnp.asarray(start), 6)  # noqa: B023
        with mpmath.workdps(40):
            coefficients = mpmath.taylor(exact, mpmath.mpf(start), 6)
            expected = float(sum(c * mpmath.mpf(change) ** j for j, c in enumerate(coefficients)))
        np.testing.assert_allclose(polynomial(jnp.asarray(start + change), None), expected, rtol=1e-14, err_msg=name)


def network(p, x):
    return jnp.tanh(x @ p["w"]) @ p["v"]


def small():
    return {"w": jax.random.normal(KEYS[0], (2, 3), jnp.float64), "v": jax.random.normal(KEYS[1], (3,), jnp.float64)}


def test_all_derivatives_up_to_the_order_are_exact_at_the_start_and_higher_ones_vanish(x64):
    x, flat, unravel = jnp.asarray([[0.7, -0.4]]), *ravel_pytree(small())

    def f(theta):
        return network(unravel(theta), x)[0]

    def f_2(theta):
        return wf.taylor(network, unravel(flat), 2)(unravel(theta), x)[0]

    def derivatives(g):
        return jax.jit(lambda theta: (g(theta), jax.grad(g)(theta), jax.hessian(g)(theta)))

    def third(g):
        return jax.jit(jax.jacfwd(jax.hessian(g)))(flat)

    exact = derivatives(f)(flat)
    for one, two in zip(exact, derivatives(f_2)(flat), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-13, atol=1e-15)
    assert np.abs(third(f)).max() > 0.1
    np.testing.assert_allclose(third(f_2), 0, atol=1e-14)
    _, slope, curvature = exact
    np.testing.assert_allclose(derivatives(f_2)(flat + 0.3)[1], slope + curvature.sum(axis=1) * 0.3, rtol=1e-12)


def test_first_order_is_the_linearization_and_order_zero_a_constant():
    net = nn.Serial(nn.Dense(4), nn.Relu(), nn.Dense(2))
    x = jax.random.normal(KEYS[2], (3, 5))
    params = net.init(KEYS[3], x)
    new = jax.tree.map(lambda p: p + 0.1 * jnp.cos(9 * p), params)
    both = [
        jax.jit(jax.value_and_grad(lambda p, g=g: jnp.sum(g(p, x) ** 2)))
        for g in (wf.taylor(net.apply, params, 1), wf.linearize(net.apply, params))
    ]
    (one, slope_1), (two, slope_2) = (g(new) for g in both)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(slope_1), jax.tree.leaves(slope_2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(wf.taylor(net.apply, params, 0)(new, x), net.apply(params, x))


def test_error_falls_with_the_power_after_the_order(x64):
    p, x = small(), jnp.asarray([[0.7, -0.4]])
    for order in (3, 5):
        f_k = wf.taylor(network, p, order)
        errors = [
            abs(float((f_k(q, x) - network(q, x))[0]))
            for q in (jax.tree.map(lambda a, s=s: a + s, p) for s in (0.02, 0.01))
        ]
        assert 0.9 < np.log2(errors[0] / errors[1]) / (order + 1) < 1.1


def test_leaves_that_are_not_floating_point_stay_at_the_start(x64):
    def f(p, x):
        noise = jax.random.normal(p["key"], (), jnp.float64)
        return {"power": p["w"] ** p["n"].astype(p["w"].dtype), "noise": noise * p["w"], "count": p["n"] + 1}

    start = {"w": jnp.asarray(2.0), "n": jnp.asarray(3), "key": jax.random.key(1), "nothing": None}
    moved = {"w": jnp.asarray(2.5), "n": jnp.asarray(7), "key": jax.random.key(2), "nothing": None}
    out = wf.taylor(f, start, 2)(moved, None)
    np.testing.assert_allclose(out["power"], 8 + 12 * 0.5 + 6 * 0.25)
    np.testing.assert_allclose(out["noise"], 2.5 * jax.random.normal(jax.random.key(1), (), jnp.float64))
    assert out["count"] == 4


def test_cost_grows_like_the_square_of_the_order():
    def products(p, x):
        h = jnp.tanh(x @ p["a"])
        return jnp.tanh(h @ h.T) @ jnp.exp(h)

    def layers(p, x):
        return jnp.tanh(jnp.tanh(x @ p["a"]) @ p["a"]) @ p["a"]

    p, x = {"a": jax.random.normal(KEYS[0], (48, 48)) / 7}, jax.random.normal(KEYS[1], (48, 48))

    def operations(f, order):
        return jax.jit(wf.taylor(f, p, order)).lower(p, x).compile().cost_analysis()["flops"]

    dense = [operations(layers, k) for k in (1, 6)]
    assert dense[1] / dense[0] < 13 / 3 + 0.5  # 2 k + 1 matrix products
    coupled = [operations(products, k) for k in (1, 3, 6)]
    assert coupled[1] / coupled[0] < 10 / 3 + 0.5  # (k + 1)(k + 2)/2 products of activations
    assert 6 < coupled[2] / coupled[0] < 28 / 3 + 0.5


def test_second_order_is_exact_for_a_bilinear_network_along_a_whole_training(x64):
    def bilinear(p, x):
        return (x @ p["u"]) @ p["v"] / 3

    rng = np.random.default_rng(0)
    start = {n: jnp.asarray(rng.standard_normal(s)) for n, s in (("u", (2, 9)), ("v", (9, 1)))}
    x, y, order = jnp.asarray(rng.standard_normal((6, 2))), rng.standard_normal((6, 1)), batch_order(6, 3, 30, seed=0)
    training = NetworkTraining(SquareLoss(), optax.adam(0.1), order)
    one, two, linear = (
        training.run(f, start, x, y, x, [30]).outputs
        for f in (bilinear, wf.taylor(bilinear, start, 2), wf.linearize(bilinear, start))
    )
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-11)
    assert np.abs(linear - one).max() > 0.05


def errors_after_training(width, seed):
    """|f(θ_T) − f^(k)(θ_T)| of a trained tanh network, k = 1 … 4."""
    rng = np.random.default_rng(100)
    x, y = rng.standard_normal((4, 3)), rng.standard_normal(4)
    start = one_hidden.draw(width, seed)
    end = one_hidden.trained(start, x, y, [20.0], rtol=1e-9)[0]

    def f(p, x):
        return jnp.tanh(x @ p["w"] / np.sqrt(3)) @ p["a"] / np.sqrt(width)

    p, q = ({n: jnp.asarray(v) for n, v in w.items()} for w in (start, end))
    exact = one_hidden.outputs(end, x)
    return [np.abs(wf.taylor(f, p, k)(q, jnp.asarray(x)) - exact).max() for k in (1, 2, 3, 4)]


def test_third_order_is_closer_than_first_and_errors_fall_with_the_width(x64):
    errors = {N: np.log([errors_after_training(N, seed) for seed in range(6)]).mean(axis=0) for N in (256, 2048)}
    slopes = (errors[2048] - errors[256]) / np.log(8)
    assert (errors[256][2] < errors[256][0] - 1).all()
    assert (np.abs(slopes[:2] + 1) < 0.35).all(), slopes
    assert (slopes[2:] < -1.3).all(), slopes


def test_impossible_expansions_are_refused():
    p, x = {"w": jnp.ones((2, 3)), "v": jnp.ones(3)}, jnp.ones((1, 2))
    for order in (-1, True):
        with pytest.raises(ValueError, match="order must be an integer 0, 1, 2, …"):
            wf.taylor(network, p, order)
    with pytest.raises(ValueError, match=r"keep the shape and dtype of params0, float32\[3\]; got float32\[1\]"):
        wf.taylor(network, p, 2)({"w": p["w"], "v": jnp.ones(1)}, x)


def test_functions_without_forward_derivatives_are_refused():
    @jax.custom_vjp
    def square(p):
        return p * p

    square.defvjp(lambda p: (p * p, p), lambda p, g: (2 * p * g,))
    with pytest.raises(TypeError, match="custom_vjp"):
        wf.taylor(lambda p, x: square(p), jnp.asarray(2.0), 2)(jnp.asarray(3.0), None)
