"""Interference of two sine waves whose phases are Gaussian."""

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike


def interference(
    gap: Float[Array, "..."], total: Float[Array, "..."], cross: Float[Array, "..."], phase: ScalarLike
) -> Float[Array, "..."]:
    """E[sin(u + phase) sin(v + phase)] = (exp(-gap / 2) - cos(2 phase) exp(-total / 2)) / 2.

    gap = Var(u - v), total = Var(u + v), cross = Cov(u, v) = (total - gap) / 4. Written so that the two
    exponentials do not cancel for small variances, and nothing overflows.
    """
    is_opposed = cross < 0
    nearest = jnp.where(is_opposed, total, gap)
    contrast = -jnp.expm1(-2 * jnp.where(is_opposed, -cross, cross)) / 2
    odd = jnp.where(is_opposed, -1.0, 1.0) * jnp.exp(-nearest / 2) * contrast
    return odd + jnp.sin(phase) ** 2 * jnp.exp(-total / 2)
