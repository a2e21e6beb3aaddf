"""What every layer over pixels must pass: its kernels against the oracle, degenerate images and finite networks."""

import jax
import jax.numpy as jnp
import numpy as np
from image_cases import C, degenerate, images
from network_cases import as_arrays

import wideflow as wf
from oracles import pixels
from wideflow import nn

IMAGE = (4, 3)  # of every test, as compilations are then shared


def assert_rule_equals_the_loops(layer):
    """The layer after weights of their own: both kernels at equal pixels, without a nonlinearity to compile."""
    assert_kernels_equal_the_loops(nn.Serial(nn.Dense(C, 1.2, 0.3), layer), IMAGE)


def shape_after(layer, shape):
    """The shape that leaves the layer, without drawing its parameters."""
    return jax.eval_shape(lambda key: jnp.zeros(layer.setup(key, shape)[1]), jax.random.key(0)).shape


def drawn(net, x, rng, networks=()):
    """Parameters of networks, all standard normal. NumPy draws: JAX's generator compiles seconds for each shape."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), x)
    return jax.tree.map(lambda s: jnp.asarray(rng.standard_normal((*networks, *s.shape)), x.dtype), shapes)


def assert_kernels_equal_the_loops(net, shape):
    for value, expected in zip(wf.Kernel(net)(images(shape)), pixels.kernels(net, images(shape)), strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-13 * np.abs(expected).max())


def assert_degenerate_images_are_harmless(net, shape):
    """Equal, opposite, scaled, constant, half black and black images: float64, float32, a rectangle, tiles."""
    x, kernel = degenerate(shape), wf.Kernel(net)
    whole, expected = kernel(x), pixels.kernels(net, x)
    part, single = kernel(x[:3], x), kernel(x.astype(np.float32))
    for value, other, rectangle, rounded in zip(whole, expected, part, single, strict=True):
        size = np.sqrt(np.einsum("ii...->i...", other))
        size = np.maximum(size[:, None] * size[None], 1e-30)
        assert np.all(np.isfinite(value))
        assert np.all(np.abs(value - other) <= 1e-9 * size)
        assert np.all(np.abs(rectangle - value[:3]) <= 1e-12 * size[:3])
        assert np.all(np.abs(rounded - value) <= 3e-6 * size)
        np.testing.assert_array_equal(value[0, 1], value[0, 0])
        np.testing.assert_allclose(value, np.swapaxes(value, 0, 1), rtol=1e-12, atol=1e-14)
    tiled = wf.gram(kernel, x, tile=3)  # a remainder of one
    assert np.all(np.abs(tiled - whole.ntk) <= 1e-12 * size)


def assert_gradients_are_finite(net, shape):
    def total(net, x):
        k = wf.Kernel(net)(x)
        return jnp.sum(k.nngp) + jnp.sum(k.ntk)

    with jax.enable_x64(True):
        x = jnp.asarray(degenerate(shape))
        gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(as_arrays(net), x)
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


@jax.jit
def _kernels_of_networks(net, params, x):
    def one(params):
        f, J = net.apply(params, x)[:, 0], jax.jacrev(lambda p: net.apply(p, x)[:, 0])(params)
        flat = jnp.concatenate([j.reshape(len(x), -1) for j in jax.tree.leaves(J)], axis=1)
        return jnp.stack([jnp.outer(f, f), flat @ flat.T])

    return jax.lax.map(one, params, batch_size=100)


def monte_carlo(net, x, networks, rng):
    """Mean over finite networks of f(x_i) f(x_j) and of their NTK, and the standard errors: `[2, n, n]` each."""
    params = drawn(net, x, rng, (networks,))
    found = np.asarray(_kernels_of_networks(net, params, jnp.asarray(x)), np.float64)
    return found.mean(0), found.std(0) / networks**0.5


def assert_standard_parameterization_moves_the_scale(layer):
    """w/√fan_in and b from the finite layer into its parameters (of a hidden layer, between two others)."""
    x = jnp.asarray(images(IMAGE, np.float32))
    params = drawn(layer, x, np.random.default_rng(2))
    net = nn.Serial(nn.Dense(C), layer, nn.Dense(1))
    standard = wf.reparameterize(net, "standard", x).layers[1]
    window = layer.window**2
    scaled = {"W": params["W"] * (layer.w / (window * C) ** 0.5), "B": params["B"] * layer.b}
    np.testing.assert_allclose(standard.apply(scaled, x), layer.apply(params, x), rtol=1e-5, atol=1e-6)


def assert_within_monte_carlo_error(net, shape, networks=2000):
    """Of networks with one nonlinearity, whose mean kernels are those of infinite width, whatever the width."""
    x = images(shape, np.float32)[:2]
    expected = np.stack(wf.Kernel(net)(x))
    mean, error = monte_carlo(net, x, networks, np.random.default_rng(1))
    assert np.all(np.abs(mean - expected) <= 5 * error + 1e-6 * np.abs(expected).max())
    assert np.all(error <= 0.1 * np.abs(expected).max())  # the check can fail
