"""The square root whose gradient at zero is zero."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def root(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Square root of x >= 0 with subgradient 0 at x = 0.

    Elementwise. NaN stays NaN and a negative number becomes NaN: errors are not hidden.
    """
    return jnp.sqrt(x)


@root.defjvp
def _root_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    is_zero = x == 0
    return root(x), jnp.where(is_zero, 0, 0.5 * jax.lax.rsqrt(jnp.where(is_zero, 1, x))) * tangent


def settled(apart: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """A squared distance of two points of the unit sphere, and 0 where rounding alone explains it.

    Rounding must not part equal inputs: the gradient of their angle is finite at exactly 0 alone.
    """
    return jnp.where(apart <= (4 * jnp.finfo(apart.dtype).eps) ** 2, 0, apart)
