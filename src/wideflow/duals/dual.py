"""What a nonlinearity does to a Gaussian pair."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Dual(NamedTuple):
    """Two expectations of a nonlinearity phi over a Gaussian pair (u, v).

    `k` = E[phi(u) phi(v)] and `kdot` = E[phi'(u) phi'(v)], with phi' the derivative almost everywhere
    (what automatic differentiation of a finite network sees; a jump contributes nothing). `delta` is
    1 - k12 / sqrt(k11 k22), one minus the (uncentred) correlation of the outputs, from the functions
    that can compute it to full relative accuracy, else None. Shapes are the pair's broadcast shape.

    Example:
        >>> import jax.numpy as jnp
        >>> from wideflow.duals import Pair, relu
        >>> one = jnp.ones(1)
        >>> relu(Pair.of(one, one, one)).k
        Array([0.5], dtype=float32)
    """

    k: Float[Array, "..."]
    kdot: Float[Array, "..."]
    delta: Float[Array, "..."] | None = None
