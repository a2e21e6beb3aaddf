"""Hyperparameters of nonlinearities as scalars of the pair's dtype."""

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from .pair import Pair


def scalars(pair: Pair, *values: ScalarLike) -> tuple[Float[Array, ""], ...]:
    """The values, Python numbers or traced scalars, as arrays of the pair's dtype."""
    return tuple(jnp.asarray(value, pair.delta.dtype) for value in values)
