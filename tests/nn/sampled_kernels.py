"""Both kernels of finite networks drawn at random, as means with their standard errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from wideflow import nn


def sampled_kernels(net, x, networks, seed=0, apply=None):
    """Mean and standard error of f(x_i) f(x_j) and of the empirical NTK, for networks with one output: `[2, n, n]`.

    The NTK has the layers' factors of the learning rate.

    `apply(net, params, x, key)`: what is computed, `net.apply` by default.
    """
    params = drawn(net, x, seed, (networks,))
    words = np.random.default_rng(seed + 1).integers(2**32, size=(networks, 2), dtype=np.uint32)
    keys = jax.random.wrap_key_data(jnp.asarray(words))
    found = np.asarray(_kernels(apply, net, params, jnp.asarray(x, jnp.float32), keys), np.float64)
    return found.mean(0), found.std(0) / networks**0.5


def drawn(net, x, seed=0, batch=()):
    """Parameters of a network, all standard normal. JAX's generator would take seconds to compile for each array."""
    rng, shapes = np.random.default_rng(seed), jax.eval_shape(net.init, jax.random.key(0), x)
    return jax.tree.map(lambda s: jnp.asarray(rng.standard_normal((*batch, *s.shape)).astype(s.dtype)), shapes)


@partial(jax.jit, static_argnums=0)
def _kernels(apply, net, params, x, keys):
    def one(params, key):
        f = lambda p: (net.apply(p, x) if apply is None else apply(net, p, x, key))[:, 0]  # noqa: E731
        weighted = jax.tree.map(lambda rate, j: rate**0.5 * j, nn.learning_rates(net, params), jax.jacrev(f)(params))
        J = jnp.concatenate([j.reshape(len(x), -1) for j in jax.tree.leaves(weighted)], axis=1)
        return jnp.stack([jnp.outer(f(params), f(params)), J @ J.T])

    return jax.lax.map(lambda pair: one(*pair), (params, keys), batch_size=512)


def extrapolated(make, width, x, networks, seed=0, apply=None):
    """The same at infinite width: twice the means at width 2n less those at n, which leaves O(1/n²)."""
    (one, error), (two, wide_error) = (
        sampled_kernels(make(n), x, networks, seed + i, apply) for i, n in enumerate((width, 2 * width))
    )
    return 2 * two - one, np.hypot(error, 2 * wide_error)
