"""The exponential."""

import jax.numpy as jnp
from jaxtyping import ScalarLike

from .dual import Dual
from .hyper import scalars
from .pair import Pair


def exp(pair: Pair, amplitude: ScalarLike = 1.0, rate: ScalarLike = 1.0) -> Dual:
    """Dual of A exp(b x): k = A^2 exp(b^2 Var(u + v) / 2), kdot = b^2 k.

    delta = 1 - exp(-b^2 Var(u - v) / 2).
    """
    amplitude, rate = scalars(pair, amplitude, rate)
    square = rate**2
    k = amplitude**2 * jnp.exp(square * pair.total / 2)
    return Dual(k, square * k, -jnp.expm1(-square * pair.gap / 2))
