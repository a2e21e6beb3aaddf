"""Displacements of parameters against training the linearized network step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.finite import displacement, empirical_ntk


def test_displacement_is_that_of_training_the_linearized_network(x64):
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.standard_normal((5, 3))), jnp.asarray(rng.standard_normal(5))
    net = nn.Serial(nn.Dense(7, 1.3, 0.2), nn.Tanh(), nn.Dense(1))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), net.init(jax.random.key(1), x))
    f = lambda p, x: net.apply(p, x)[:, 0]  # noqa: E731
    f_lin, lr, path = wf.linearize(f, params), 0.4, [params]
    slope = jax.jit(jax.grad(lambda p: 0.5 * jnp.mean((f_lin(p, x) - y) ** 2)))
    for _ in range(12):
        path.append(jax.tree.map(lambda p, g: p - lr * g, path[-1], slope(path[-1])))
    ntk = empirical_ntk(net.apply, params, x)
    weights = wf.Trajectory(ntk, y, wf.GradientDescent(lr)).dual_weights(lr * np.arange(13), f(params, x))
    moved = displacement(f, params, x, weights)
    expected = jax.tree.map(lambda *leaves: jnp.stack([leaf - leaves[0] for leaf in leaves]), *path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), moved, expected)
    last = displacement(f, params, x, weights[-1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[-1], rtol=1e-9, atol=1e-12), last, expected)


def test_displacement_leaves_what_is_not_trained_where_it_is():
    params = {"w": jnp.ones(2), "count": 3}
    moved = displacement(lambda p, x: x @ p["w"] * p["count"], params, jnp.eye(2), np.array([1.0, 2.0]))
    np.testing.assert_allclose(moved["w"], [-3.0, -6.0])
    assert moved["count"] == 0


def test_displacement_refuses_weights_of_another_shape():
    with pytest.raises(ValueError, match=r"dual_weights: wanted the shape .* \(2,\).*got \(3,\)"):
        displacement(lambda p, x: x @ p, jnp.ones(2), jnp.eye(2), np.ones(3))
