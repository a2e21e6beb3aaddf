"""Layers of a user's own, with as few rules as they need, work in every combinator and everywhere a layer does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_cases import WIDTH, as_arrays, relative, rows

import wideflow as wf
from wideflow import nn


class OwnRelu(nn.Activation):
    """A function alone."""

    def phi(self, z):
        return jnp.maximum(z, 0)


class OwnScaledErf(nn.Activation):
    """A closed form and a traced hyperparameter."""

    gain: float = 1.0

    def phi(self, z):
        return self.gain * jax.lax.erf(z)

    def dual(self, q11, q12, q22):
        det = (1 + 2 * q11) * (1 + 2 * q22) - 4 * q12**2
        sine = 2 * q12 / jnp.sqrt((1 + 2 * q11) * (1 + 2 * q22))
        return self.gain**2 * 2 / np.pi * jnp.arcsin(sine), self.gain**2 * 4 / np.pi / jnp.sqrt(det)


class OwnScale(nn.Layer):
    """A linear layer without parameters."""

    factor: float

    def setup(self, key, shape):
        return (), shape

    def apply(self, params, x):
        return self.factor * x

    def cov(self, k):
        s = self.factor**2
        return k.replace(q1=s * k.q1, q2=s * k.q2, nngp=s * k.nngp, ntk=s * k.ntk)


class OwnDense(nn.Layer):
    """A layer with weights."""

    out: int

    def setup(self, key, shape):
        return jax.random.normal(key, (shape[-1], self.out)), (*shape[:-1], self.out)

    def apply(self, params, x):
        return x @ params / x.shape[-1] ** 0.5

    def cov(self, k):
        return k.replace(ntk=k.nngp + k.ntk, gaussian=True, fresh=True)


def network(relu, erf, scaled_dense, dense):
    block = nn.Residual(erf, dense, nn.Residual(relu, dense))
    return nn.Serial(nn.Serial(nn.Dense(WIDTH, 1.2, 0.3), erf), *scaled_dense, block, erf, nn.Dense(1))


OWN = network(OwnRelu(), OwnScaledErf(), (OwnScale(0.7), OwnDense(WIDTH)), OwnDense(WIDTH))
BUILT_IN = network(nn.Relu(), nn.Erf(), (nn.Dense(WIDTH, 0.7),), nn.Dense(WIDTH))


@pytest.mark.slow
def test_networks_of_user_layers_have_the_kernels_of_the_library(x64):
    for own, expected in zip(wf.Kernel(OWN)(rows()), wf.Kernel(BUILT_IN)(rows()), strict=True):
        assert np.all(relative(np.asarray(own - expected), np.asarray(expected)) <= 1e-8)


@pytest.mark.slow
def test_a_user_layer_in_closed_form_is_a_layer_everywhere():
    net = nn.Serial(nn.Dense(WIDTH, 1.2, 0.3), OwnScaledErf(1.0), OwnScale(0.7), OwnDense(1))
    kernel, x = wf.Kernel(net), rows(np.float32)
    ntk = wf.Kernel(nn.Serial(nn.Dense(1, 1.2, 0.3), nn.Erf(), nn.Dense(1, 0.7))).ntk(x)
    np.testing.assert_allclose(kernel.ntk(x), ntk, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(wf.gram(kernel, x, tile=4), ntk, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kernel.diag(x).ntk, np.diagonal(ntk), rtol=1e-5)
    gradients = jax.grad(lambda net: jnp.sum(wf.Kernel(net).ntk(x)))(as_arrays(net, jnp.float32))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


def test_networks_of_user_layers_run():
    x = jnp.asarray(rows(np.float32))
    params = OWN.init(jax.random.key(0), x)
    assert OWN.apply(params, x).shape == (6, 1)


def test_a_layer_that_says_nothing_about_pixels_is_given_every_pair():
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    k = wf.Kernel(nn.Serial(nn.Dense(5, b=0.2), nn.Relu(), OwnDense(1)))(x)
    flat = wf.Kernel(nn.Serial(nn.Dense(5, b=0.2), nn.Relu(), nn.Dense(1)))(x.reshape(6, 4))
    pairs = np.asarray(flat.ntk).reshape(2, 3, 2, 3)
    np.testing.assert_allclose(k.ntk, np.einsum("ipjp->ijp", pairs), rtol=1e-5, atol=1e-6)


def test_pixels_are_kept_apart_where_no_layer_mixes_them():
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    kernel = wf.Kernel(nn.Serial(nn.Dense(5, b=0.2), nn.Relu(), nn.Dense(1)))
    k = kernel(x)
    assert k.ntk.shape == (2, 2, 3)
    for pixel in range(3):
        np.testing.assert_allclose(k.ntk[:, :, pixel], kernel.ntk(x[:, pixel]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kernel.diag(x).ntk, np.einsum("iip->ip", k.ntk), rtol=1e-5)
    np.testing.assert_allclose(wf.gram(kernel, x, tile=1), k.ntk, rtol=1e-5, atol=1e-6)


def test_new_hyperparameters_do_not_recompile():
    traced = []

    class Counting(nn.Activation):
        slope: float = 1.0

        def phi(self, z):
            traced.append(1)
            return self.slope * z

        def dual(self, q11, q12, q22):
            traced.append(1)
            return self.slope**2 * q12, self.slope**2 * jnp.ones_like(q12)

    def kernel(w, b, slope):
        return wf.Kernel(nn.Serial(nn.Dense(5, w, b), Counting(slope), nn.Dense(1, w, b)))(rows(np.float32))

    kernel(1.0, 0.1, 1.0)
    once = len(traced)
    assert once > 0
    values = [kernel(w, b, slope).ntk[0, 0] for w, b, slope in ((1.1, 0.1, 1.0), (1.0, 0.7, 1.0), (1.0, 0.1, 3.0))]
    assert len(traced) == once
    assert len({float(v) for v in values}) == 3


@pytest.mark.parametrize("layer", [OwnRelu(), OwnScaledErf(2.0)])
def test_users_nonlinearities_are_refused_where_their_input_is_not_gaussian(layer):
    with pytest.raises(ValueError, match="its input must be Gaussian"):
        wf.Kernel(nn.Serial(nn.Dense(2), nn.Relu(), layer))(rows())
