"""What is known about the kernels of any network, as functions that a layer's tests call."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from network_cases import as_arrays

import wideflow as wf
from oracles import structures


def size(K):
    """√(K_ii K_jj), the size an entry can have."""
    diagonal = np.sqrt(np.einsum("ii...->i...", K))
    return np.maximum(diagonal[:, None] * diagonal[None], 1e-30)


def assert_equal_kernels(kernels, expected, tolerance):
    """Both kernels agree, in units of the size an entry can have."""
    for value, K in zip(kernels, expected, strict=True):
        assert value.shape == K.shape
        assert np.all(np.abs(np.asarray(value, np.float64) - K) <= tolerance * size(K))


def assert_oracle(net, x, tolerance=1e-10):
    """The kernels are those of the loops; they are symmetric and positive semidefinite."""
    kernels = wf.Kernel(net)(x)
    assert_equal_kernels(kernels, structures.kernels(net, x), tolerance)
    for K in map(np.asarray, kernels):
        np.testing.assert_allclose(K, np.swapaxes(K, 0, 1), rtol=1e-12, atol=1e-13)
        for plane in np.moveaxis(K.reshape(*K.shape[:2], -1), -1, 0):
            assert np.linalg.eigvalsh(plane)[0] >= -1e-12 * np.abs(plane).max()


def assert_consistent(net, x, single=5e-6):
    """Degenerate inputs `x`, the first two of them equal: the loops, rectangle, diagonal, tiles and float32 agree."""
    kernel = wf.Kernel(net)
    whole = jax.tree.map(np.asarray, kernel(x))
    # A kink sees the root of the rounding of 1 − correlation, in the oracle too.
    assert_equal_kernels(whole, structures.kernels(net, x), 3e-7)
    for K in whole:
        assert np.all(np.isfinite(K))
        np.testing.assert_allclose(K[0, 1], K[0, 0], rtol=1e-13)
    for value, K in zip(kernel(x[1:4], x), whole, strict=True):
        assert np.all(np.abs(value - K[1:4]) <= 1e-12 * size(K)[1:4])
    for value, K in zip(kernel.diag(x), whole, strict=True):
        np.testing.assert_allclose(value, np.einsum("ii...->i...", K), rtol=1e-12, atol=1e-15)
    tiled = wf.gram(kernel, x, tile=4)
    assert np.all(np.abs(tiled - whole.ntk) <= 1e-12 * size(whole.ntk))
    assert_equal_kernels(kernel(x.astype(np.float32)), whole, single)


def assert_finite_gradients(net, x):
    """Finite gradients in the inputs and the hyperparameters; what counts (indices of edges) has none."""
    counts, numbers = eqx.partition(net, lambda v: isinstance(v, np.ndarray) and v.dtype == np.int32)

    def total(numbers, x):
        k = wf.Kernel(eqx.combine(counts, numbers))(x)
        return jnp.sum(k.nngp) + jnp.sum(k.ntk)

    with jax.enable_x64(True):
        gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(as_arrays(numbers), jnp.asarray(x))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))
