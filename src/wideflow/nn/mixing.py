"""What a layer needs that mixes pixels of one channel: every pair of them, and 1 − correlation of the mixtures."""

import jax
import jax.numpy as jnp
from jax import Array

from ..duals import Pair
from ..duals.root import root, settled
from .cov import Cov
from .demand import Demand
from .layer import Layer


def paired(layer: Layer, k: Cov) -> Cov:
    """`k`, if it carries every pair of pixels; ValueError otherwise."""
    if k.pixels and k.demand is not Demand.EVERY:
        raise ValueError(
            f"{layer!r}: wanted the covariance of every pair of pixels, got equal pixels only; "
            "a layer before it must ask for Demand.EVERY in its rule `demand`"
        )
    return k


def ratio(k: Cov) -> Array:
    """How much larger the first input's features are than the second's: one number a pair, broadcasts to `nngp`."""
    v1, v2 = (jnp.mean(v, axis=k.pixel_axes, keepdims=True) for v in k.variances())
    alive = (v1 > 0) & (v2 > 0)
    return root(jnp.where(alive, v1, 1) / jnp.where(alive, v2, 1))


def gap(k: Cov, t: Array) -> Array:
    """Var(f − t g) at every pair of pixels."""
    pair = k.pair()
    return Pair(pair.q11, t * pair.q12, t**2 * pair.q22, pair.delta).gap


def distance(k: Cov, t: Array) -> Array:
    """√Var(f − t g) at every pair of pixels."""
    return root(gap(k, t))


def delta_within(k: Cov, bound: Array, t: Array) -> Array:
    """1 − correlation by subtraction, but no more than `bound`, one on the variance of F − t G, allows.

    Mixtures F = Σ f_o, G = Σ g_o have Var(F − t G) ≤ (Σ √Var(f_o − t g_o))². Where inputs are equal up to a factor, or
    nearly so, this is what is left of the digits. Values only: the derivative is that of the subtraction.
    """
    pair = k.pair()
    room = bound - (root(pair.q11) - t * root(pair.q22)) ** 2
    alive = pair.scale > 0
    limit = jnp.where(alive, jnp.maximum(room, 0) / (2 * t * jnp.where(alive, pair.scale, 1)), jnp.inf)
    return pair.delta + jax.lax.stop_gradient(jnp.minimum(pair.delta, settled(limit)) - pair.delta)
