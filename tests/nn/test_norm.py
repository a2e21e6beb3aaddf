"""Normalisation over the channels; its kernels are rows of the table in `combinator_cases`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_cases import WIDTH, rows

import wideflow as wf
from wideflow import nn

NORMS = (nn.RMSNorm, nn.LayerNorm)
POOLS = (nn.GlobalAvgPool(), nn.SumPool(2))


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_finite_norms_equal_their_formulas(epsilon, x64):
    x = rows()
    shown = lambda norm, x: norm.apply((), jnp.asarray(x))  # noqa: E731
    square = np.mean(x**2, axis=1, keepdims=True) + epsilon
    expected = np.where(square > 0, x / np.sqrt(np.where(square > 0, square, 1)), 0)
    np.testing.assert_allclose(shown(nn.RMSNorm(epsilon), x), expected, rtol=1e-14)
    centred = x - x.mean(1, keepdims=True)
    np.testing.assert_allclose(
        shown(nn.LayerNorm(epsilon), x), shown(nn.RMSNorm(epsilon), centred), rtol=1e-13, atol=1e-15
    )


def test_kernel_of_a_normalised_input_is_that_of_the_finite_layer(x64):
    x = jnp.asarray(rows())
    for epsilon in (0.0, 0.3):
        y = nn.RMSNorm(epsilon).apply((), x)
        k = wf.Kernel(nn.Serial(nn.RMSNorm(epsilon), nn.Dense(WIDTH), nn.Erf(), nn.Dense(1)))(x)
        plain = wf.Kernel(nn.Serial(nn.Dense(WIDTH), nn.Erf(), nn.Dense(1)))(y)
        np.testing.assert_allclose(k.ntk, plain.ntk, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("tail", [nn.Flatten(), *(pytest.param(t, marks=pytest.mark.slow) for t in POOLS)], ids=repr)
def test_kernel_of_images_normalised_over_all_pixels_is_that_of_the_finite_layer(tail, x64):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 3, 4, 2)) * [[[[1.0]]], [[[0.1]]], [[[0.0]]]])
    for epsilon in (0.0, 0.3):
        norm, square = nn.RMSNorm(epsilon, "all"), jnp.mean(x**2, axis=(1, 2, 3))
        y = norm.apply((), x)
        expected = square / jnp.where(square > 0, square + epsilon, 1)
        np.testing.assert_allclose(jnp.mean(y**2, axis=(1, 2, 3)), expected, rtol=1e-12)
        rest = (nn.Conv(4, 3), nn.Relu(), tail)
        found, plain = wf.Kernel(nn.Serial(norm, *rest))(x), wf.Kernel(nn.Serial(*rest))(y)
        for value, kernel in zip(found, plain, strict=True):
            np.testing.assert_allclose(value, kernel, rtol=1e-11, atol=1e-15)


def test_norm_forgets_the_scale_of_the_weights_below(x64):
    nets = [nn.Serial(nn.Dense(8, w), nn.LayerNorm(0.0), nn.Erf(), nn.Dense(1)) for w in (0.5, 3.0)]
    one, two = (wf.Kernel(net)(rows()) for net in nets)
    np.testing.assert_allclose(one.nngp, two.nngp, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one.ntk, two.ntk, rtol=1e-12, atol=1e-15)


def test_ntk_through_a_norm_differs_by_one_over_the_width():
    """The derivative through the denominator is left out: it must vanish like 1/width, not stay."""
    x = jnp.asarray(rows(np.float32)[:2])

    def share(n):
        """Change of the empirical NTK when the denominator is held fixed, relative, mean over networks."""
        net, norm = nn.Dense(n), nn.LayerNorm(0.1)

        def one(W):
            params = {"W": W}
            z0 = net.apply(params, x)
            std = jnp.sqrt(jnp.var(z0, axis=1, keepdims=True) + 0.1)
            outputs = lambda p: (norm.apply((), net.apply(p, x)), net.apply(p, x) / std)  # noqa: E731
            jacobians = (J["W"].reshape(2, n, -1) for J in jax.jacrev(outputs)(params))
            whole, held = (jnp.einsum("iop,jop->ij", J, J) / n for J in jacobians)
            return jnp.abs(whole - held) / jnp.abs(held).max()

        draws = np.random.default_rng(3).standard_normal((64, WIDTH, n), np.float32)
        return jnp.mean(jax.jit(jax.vmap(one))(jnp.asarray(draws)))

    narrow, wide = share(8), share(32)
    assert 3 < narrow / wide < 5.5
    assert wide < 0.1


def test_layer_norm_is_refused_where_the_mean_over_channels_is_not_known():
    message = r"LayerNorm\(epsilon=0.1\): the mean over channels that it subtracts is known only right after"
    for below in ([], [nn.Dense(4), nn.Relu()]):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(wf.Kernel(nn.Serial(*below, nn.LayerNorm(0.1), nn.Dense(1))), jnp.asarray(rows(np.float32)))


@pytest.mark.parametrize("norm", NORMS, ids=lambda n: n.__name__)
def test_negative_epsilon_is_refused(norm):
    with pytest.raises(ValueError, match=rf'{norm.__name__}: over must be "channels" or "all", got'):
        norm(over="pixels")
    with pytest.raises(
        ValueError, match=rf"{norm.__name__}\(epsilon=-1.0\): epsilon must be a finite number of at least 0"
    ):
        norm(-1.0)
