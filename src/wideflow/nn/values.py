"""The numbers behind an array, where they are known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def values_of(x: Any) -> np.ndarray | None:
    """The numbers in `x`, those of a random key too, or None inside a JAX transformation: not known there yet."""
    try:
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x = jax.random.key_data(x)
        return np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        return None
