"""Gaussian moments of one nonlinearity as float64 NumPy arrays, whatever JAX's x64 flag says."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals import Pair
from ..duals.nodes import LIMIT, legendre_rule
from ..nn import Activation

SMALLEST = 1e-30  # stands for variance 0, where a kink has no derivative
# The largest variance at which moments of two variables by quadrature are trusted; larger ones count as this.
LARGEST_BY_QUADRATURE = 1e4
# Nodes of one-dimensional quadrature on each side of zero, and how strongly they gather there: a function of scale
# one is resolved up to variance 1e10.
NODES, CLUSTER = 400, 16.0


class OwnMoments(NamedTuple):
    """For z ~ N(0, q): `k` = E φ(z)², `kdot` = E φ'(z)², `slope` = dk/dq, each of the shape of q."""

    k: np.ndarray
    kdot: np.ndarray
    slope: np.ndarray


def own_moments(activation: Activation, q: Any) -> OwnMoments:
    """Moments at the variances `q`; at 0 they are those of variance 1e-30. What overflows is infinite."""
    values = in_float64(_own, activation, np.maximum(q, SMALLEST))
    return OwnMoments(*(np.where(np.isfinite(v), v, np.inf) for v in values))


def cross_moments(activation: Activation, q: Any, delta: Any) -> tuple[np.ndarray, np.ndarray]:
    """E φ(u)φ(v) and E φ'(u)φ'(v) for u, v of variance `q` and correlation 1 − `delta`; shapes broadcast."""
    q = np.clip(q, SMALLEST, np.inf if has_closed_form(activation) else LARGEST_BY_QUADRATURE)
    q, delta = np.broadcast_arrays(q, delta)
    return in_float64(_cross, activation, q, delta)


def has_closed_form(activation: Activation) -> bool:
    """Whether the moments are a formula rather than quadrature."""
    kind = type(activation)
    return kind.moments is not Activation.moments or kind.dual is not Activation.dual


def in_float64(compute: Callable, *arguments: Any) -> Any:
    """`compute(*arguments)` with 64-bit types; NumPy arrays come back."""
    with jax.enable_x64(True):
        numbers = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), arguments)
        return jax.tree.map(np.asarray, compute(*numbers))


@jax.jit
def _own(activation: Activation, q: Array) -> tuple[Array, Array, Array]:
    (k, kdot), (slope, _) = jax.jvp(lambda q: _moments(activation, q), (q,), (jnp.ones_like(q),))
    return k, kdot, slope


def _moments(activation: Activation, q: Array) -> tuple[Array, Array]:
    if has_closed_form(activation):
        return activation.moments(Pair(q, q, q, jnp.zeros_like(q)))[:2]
    z, weights = map(jnp.asarray, _rule())
    x = jnp.sqrt(q)[..., None] * z.reshape((1,) * q.ndim + z.shape)
    value, slope = jax.jvp(activation.phi, (x,), (jnp.ones_like(x),))
    return jnp.matmul(value**2, weights), jnp.matmul(slope**2, weights)


@functools.cache
def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of E f(z), z standard normal, dense near zero on both sides."""
    t, weights = legendre_rule(0.0, 1.0, NODES)
    z = LIMIT * np.sinh(CLUSTER * t) / np.sinh(CLUSTER)
    weights = weights * LIMIT * CLUSTER * np.cosh(CLUSTER * t) / np.sinh(CLUSTER)
    weights = weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.concatenate([-z[::-1], z]), np.concatenate([weights[::-1], weights])


@jax.jit
def _cross(activation: Activation, q: Array, delta: Array) -> tuple[Array, Array]:
    return activation.moments(Pair(q, q * (1 - delta), q, delta))[:2]
