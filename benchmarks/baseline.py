"""The plain way to compute the kernels: layer by layer over the whole matrix, jitted as one function, with `arccos`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def relu(a, c, b):
    scale = jnp.sqrt(a * b)
    cosine = jnp.clip(c / scale, -1, 1)
    angle = jnp.arccos(cosine)
    return scale / (2 * np.pi) * (jnp.sqrt(1 - cosine**2) + (np.pi - angle) * cosine), (np.pi - angle) / (2 * np.pi)


def erf(a, c, b):
    scale = jnp.sqrt((1 + 2 * a) * (1 + 2 * b))
    return 2 / np.pi * jnp.arcsin(2 * c / scale), 4 / np.pi / jnp.sqrt(scale**2 - 4 * c**2)


def gelu(a, c, b):
    det = (1 + a) * (1 + b) - c**2
    share = 0.25 + jnp.arcsin(c / jnp.sqrt((1 + a) * (1 + b))) / (2 * np.pi)
    g = 1 / (2 * np.pi * jnp.sqrt(det))
    slope = share + c * g * (1 / (1 + a) + 1 / (1 + b) + 1 / det)
    return c * share + g * (a * b + c**2 * (1 / (1 + a) + 1 / (1 + b) - 1)), slope


@partial(jax.jit, static_argnums=(0, 1))
def fully_connected(dual, depth, w, b, x):
    """Both kernels `[n, n]` of a network with `depth` hidden layers."""
    q, k = jnp.mean(x * x, axis=1), x @ x.T / x.shape[1]
    theta = jnp.zeros_like(k)
    for _ in range(depth):
        q, k = w**2 * q + b**2, w**2 * k + b**2
        theta = k + w**2 * theta
        k, slope = dual(q[:, None], k, q[None])
        theta, q = theta * slope, dual(q, q, q)[0]
    return w**2 * k + b**2, w**2 * k + b**2 + w**2 * theta


@partial(jax.jit, static_argnums=(0, 2))
def convolutional(depth, w, pooled, x1, x2):
    """Both kernels `[n1, n2]` of `depth` 3 × 3 convolutions with ReLU, then the mean over pixels or `Flatten`."""
    pairs = "ijpqrs" if pooled else "ijpq"
    k = jnp.einsum(f"ipqc,j{'rs' if pooled else 'pq'}c->{pairs}", x1, x2) / x1.shape[-1]
    q1, q2 = (jnp.mean(x * x, axis=-1) for x in (x1, x2))
    theta = jnp.zeros_like(k)
    for _ in range(depth):
        q1, q2, k, theta = (w**2 * _box(v, first) for v, first in ((q1, 1), (q2, 1), (k, 2), (theta, 2)))
        theta = theta + k
        a = q1[:, None, :, :, None, None] if pooled else q1[:, None]
        b = q2[None, :, None, None] if pooled else q2[None]
        k, slope = relu(a, k, b)
        theta, q1, q2 = theta * slope, q1 / 2, q2 / 2
    mean = lambda v: jnp.mean(v, axis=tuple(range(2, v.ndim)))  # noqa: E731
    return mean(k), mean(k) + mean(theta)


def _box(v, first):
    """The mean over 3 × 3 windows; where pixels are paired both move together."""
    for axis in (first, first + 1):
        axes = [axis] if v.ndim - first == 2 else [axis, axis + 2]
        padded = jnp.pad(v, [(1, 1) if i in axes else (0, 0) for i in range(v.ndim)])
        v = sum(_from(padded, start, axes) for start in range(3)) / 3
    return v


def _from(padded, start, axes):
    for axis in axes:
        padded = jax.lax.slice_in_dim(padded, start, start + padded.shape[axis] - 2, axis=axis)
    return padded
