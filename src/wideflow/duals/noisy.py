"""A Gaussian pair with independent unit noise added to each variable.

Expectations of error functions and of Gaussian bumps depend on a pair only through this noisy pair,
and its correlation never reaches one, so nothing here is singular.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from .hyper import scalars
from .pair import Pair


class Noisy(NamedTuple):
    """Pair (sqrt(g) u + n1, sqrt(g) v + n2) with independent standard normals n1, n2.

    `precision1` = 1 / (1 + g q11) and `precision2` likewise; `corr` is the correlation of the noisy
    pair, `complement` = 1 - corr^2, without cancellation and without overflow for large variances.
    """

    precision1: Float[Array, "..."]
    precision2: Float[Array, "..."]
    corr: Float[Array, "..."]
    complement: Float[Array, "..."]

    @property
    def precision(self) -> Float[Array, "..."]:
        """Geometric mean of the two precisions."""
        return jnp.sqrt(self.precision1) * jnp.sqrt(self.precision2)


def noisy(pair: Pair, gain: ScalarLike) -> Noisy:
    """The pair, with its covariance multiplied by gain >= 0, plus independent unit noise."""
    (gain,) = scalars(pair, gain)
    p1, p2 = 1 / (1 + gain * pair.q11), 1 / (1 + gain * pair.q22)
    share1, share2 = gain * pair.q11 * p1, gain * pair.q22 * p2  # p + share = 1
    complement = p1 * p2 + share1 * p2 + share2 * p1 + share1 * share2 * (pair.delta * (2 - pair.delta))
    corr = gain * pair.q12 * (jnp.sqrt(p1) * jnp.sqrt(p2))
    return Noisy(p1, p2, corr, complement)
