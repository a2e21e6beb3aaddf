"""The Gaussian bump."""

import jax.numpy as jnp
from jaxtyping import ScalarLike

from .dual import Dual
from .hyper import scalars
from .noisy import noisy
from .pair import Pair


def gaussian(pair: Pair, amplitude: ScalarLike = 1.0, rate: ScalarLike = 1.0) -> Dual:
    """Dual of A exp(-b x^2), b >= 0: k = A^2 / sqrt(D), kdot = 4 A^2 b^2 q12 / D^(3/2).

    D = (1 + 2 b q11)(1 + 2 b q22) - 4 b^2 q12^2.
    """
    amplitude, rate = scalars(pair, amplitude, rate)
    noise = noisy(pair, 2 * rate)
    k = amplitude**2 * noise.precision / jnp.sqrt(noise.complement)
    slope = 4 * rate**2 * pair.q12 * noise.precision1 * noise.precision2 / noise.complement
    return Dual(k, k * slope)
