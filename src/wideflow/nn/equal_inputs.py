"""Which inputs of two batches, and which of their pixels, are the same."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from .cov import Cov
from .demand import Demand

_ROUNDING = 8  # machine epsilons


def equal_inputs(k: Cov) -> Bool[Array, "n1 n2"]:
    """Whether two inputs have the same features at every pixel, but for rounding."""
    same = equal_pixels(k.narrow(Demand.EQUAL))
    return jnp.all(same, axis=tuple(range(2, same.ndim)))


def equal_pixels(k: Cov) -> Bool[Array, "n1 n2 *s"]:
    """Whether two pixels have the same features, but for rounding, for every entry of `nngp`.

    Judged by the variances and `delta`; where that was dropped, pixels closer than its rounding count as equal too.
    """
    pair = k.pair()
    rounding = _ROUNDING * jnp.finfo(pair.q12.dtype).eps
    near = pair.delta <= (rounding if k.delta is None else rounding**2)
    silent = (pair.q11 == 0) & (pair.q22 == 0)
    return (near | silent) & (jnp.abs(pair.q11 - pair.q22) <= rounding * pair.q11)
