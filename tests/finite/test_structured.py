"""The NTK from inputs and cotangents of dense layers equals the one from whole Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow import nn
from wideflow.finite import network_ntk


def brute_force_ntk(net, params, x):
    """Every Jacobian of every output, contracted: none of the library's code but `apply`."""
    jacobians = jax.tree.leaves(jax.jacrev(lambda p: net.apply(p, x))(params))  # each [n, out, *parameter]
    flat = [np.asarray(j).reshape(*j.shape[:2], -1) for j in jacobians]
    return sum(np.einsum("iop,jop->ij", j, j) for j in flat) / flat[0].shape[1]


class Bias(nn.Layer):
    """A user's layer with parameters of its own."""

    def setup(self, key, shape):
        return jax.random.normal(key, shape), shape

    def apply(self, params, x):
        return x + params[None]


NETWORKS = {
    "one layer": nn.Serial(nn.Dense(1, w=1.3)),
    "biases": nn.Serial(nn.Dense(7, w=1.3, b=0.4), nn.Tanh(), nn.Dense(1, b=0.2)),
    "several outputs": nn.Serial(nn.Dense(7, w=1.3), nn.Erf(), nn.Dense(3, w=0.8, b=0.1)),
    "residual and nested": nn.Serial(
        nn.Dense(6), nn.Residual(nn.Serial(nn.Gelu(), nn.Dense(5, b=0.3)), nn.Relu(), nn.Dense(6)), nn.Dense(2)
    ),
    "bare layer": nn.Dense(2, b=0.5),
    "a user's parameters": nn.Serial(nn.Dense(6), Bias(), nn.Tanh(), nn.Dense(2)),
}


SLOW = "residual and nested"  # takes long to compile


@pytest.mark.parametrize(
    "net", [pytest.param(n, id=name, marks=pytest.mark.slow if name == SLOW else []) for name, n in NETWORKS.items()]
)
def test_structured_ntk_equals_the_contraction_of_jacobians(net, x64):
    x = jax.random.normal(jax.random.key(0), (5, 4))
    params = net.init(jax.random.key(1), x)
    np.testing.assert_allclose(network_ntk(net, params, x), brute_force_ntk(net, params, x), rtol=1e-12, atol=1e-13)


def test_structured_ntk_sees_hyperparameters_as_traced_values():
    x = jax.random.normal(jax.random.key(0), (3, 4))
    net = nn.Serial(nn.Dense(5), nn.Tanh(), nn.Dense(1))
    params = net.init(jax.random.key(1), x)
    ntk = jax.jit(lambda w: network_ntk(nn.Serial(nn.Dense(5, w=w), nn.Tanh(), nn.Dense(1)), params, x))
    np.testing.assert_allclose(ntk(jnp.float32(1.0)), network_ntk(net, params, x), rtol=1e-6)
    assert not np.allclose(ntk(jnp.float32(2.0)), ntk(jnp.float32(1.0)))
