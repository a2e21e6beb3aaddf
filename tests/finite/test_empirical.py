"""The NTK of finite networks against brute-force Jacobians, and its approach to the infinite one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import wideflow as wf
from wideflow import nn
from wideflow.finite import empirical_ntk, network_ntk


class Gain(nn.Layer):
    """A layer with a parameter that is no dense layer's."""

    def setup(self, key, shape):
        return jax.random.normal(key, ()), shape

    def apply(self, params, x):
        return (1 + params) * x


NETWORKS = {
    "one output": nn.Serial(nn.Dense(9, 1.3, 0.2), nn.Relu(), nn.Dense(1, 0.9, 0.3)),
    "three outputs": nn.Serial(nn.Dense(9, 1.3), nn.Erf(), nn.Dense(7, 1.1, 0.0), nn.Tanh(), nn.Dense(3)),
    "nested": nn.Serial(
        nn.Serial(nn.Dense(5), nn.Residual(nn.Gelu(), nn.Dense(4, b=0.1), nn.Residual(nn.Dense(4)), nn.Dense(5))),
        nn.Serial(nn.Abs(), nn.Dense(2)),
    ),
    "dense alone": nn.Dense(2, 1.5, 0.4),
    "another kind of layer": nn.Serial(nn.Dense(5), Gain(), nn.Relu(), nn.Dense(2)),
}


compiled_ntk = jax.jit(empirical_ntk, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def brute_force(net, params, x1, x2):
    flat, unravel = ravel_pytree(params)
    jacobian = lambda x: jax.jacfwd(lambda p: net.apply(unravel(p), x))(flat)  # noqa: E731  [n, out, P]
    return jnp.einsum("iop,jop->ij", jacobian(x1), jacobian(x2)) / net.apply(params, x1).shape[1]


def batch(n, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((n, 4)), jnp.float32)


FAST = ("one output", "dense alone")  # each network takes seconds to compile


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def test_empirical_ntk_equals_the_product_of_jacobians(name):
    net, x1, x2 = NETWORKS[name], batch(5), batch(3, 1)
    params = net.init(jax.random.key(2), x1)
    expected = brute_force(net, params, x1, x2)
    unit = np.abs(expected).max()
    np.testing.assert_allclose(compiled_ntk(net.apply, params, x1, x2), expected, rtol=1e-5, atol=1e-6 * unit)
    whole = brute_force(net, params, x1, x1)
    np.testing.assert_allclose(compiled_ntk(net.apply, params, x1), whole, rtol=1e-5, atol=1e-6 * unit)
    np.testing.assert_allclose(network_ntk(net, params, x1), whole, rtol=1e-5, atol=1e-6 * unit)


def test_any_function_of_parameters_and_inputs_has_a_kernel():
    f = lambda params, x: (jnp.sin(x @ params["a"]) * params["b"][1])[:, None]  # noqa: E731
    params, x = {"a": jnp.arange(4.0), "b": (jnp.ones(3), jnp.float32(2.0))}, batch(3)
    z = np.asarray(x @ params["a"])
    expected = 4 * np.outer(np.cos(z), np.cos(z)) * np.asarray(x @ x.T) + np.outer(np.sin(z), np.sin(z))
    np.testing.assert_allclose(empirical_ntk(f, params, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_distance_to_the_infinite_kernel_falls_as_the_root_of_the_width():
    x = batch(4)
    widths, distances = (16, 64, 256), []
    for width in widths:
        net = nn.Serial(nn.Dense(width, 1.4, 0.1), nn.Relu(), nn.Dense(width, 1.4), nn.Erf(), nn.Dense(1))
        ntk = np.asarray(wf.Kernel(net).ntk(x))
        samples = jax.vmap(lambda key, net=net: network_ntk(net, net.init(key, x), x))(
            jax.random.split(jax.random.key(0), 60)
        )
        distances.append(np.sqrt(np.mean(np.sum((np.asarray(samples) - ntk) ** 2, axis=(1, 2)))))
    slope = np.polyfit(np.log(widths), np.log(distances), 1)[0]
    assert -0.62 < slope < -0.38
