"""The numbers behind an array, where they are known."""

from typing import Any

import jax
import numpy as np


def values_of(x: Any) -> np.ndarray | None:
    """The numbers in `x`, or None inside a JAX transformation, where they are not known yet."""
    try:
        return np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        return None
