"""What a layer's hyperparameters may be, checked at construction."""

import math

import jax
import numpy as np

from .layer import Layer
from .values import values_of


def check_number(owner: Layer, name: str, low: float = -math.inf) -> None:
    """Raise ValueError unless the number `owner.name` is finite and at least `low`, TypeError for a string.

    Values that are traced are let through.
    """
    value = getattr(owner, name)
    if isinstance(value, str):
        raise TypeError(f"{type(owner).__name__}({name}={value!r}): {name} must be a number, got {value!r}")
    is_number = isinstance(value, int | float | np.ndarray | np.generic | jax.Array)
    known = values_of(value) if is_number else None
    if known is not None and not np.all(np.isfinite(known) & (known >= low)):
        wanted = "a finite number" if low == -math.inf else f"a finite number of at least {low:g}"
        raise ValueError(f"{type(owner).__name__}({name}={value}): {name} must be {wanted}, got {value}")


def check_count(owner: Layer, name: str) -> None:
    """Raise TypeError unless `owner.name` is a whole number."""
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{type(owner).__name__}({name}={value!r}): {name} must be a whole number, got {value!r}")


def check_degree(owner: Layer, largest: int) -> None:
    """Raise ValueError unless `owner.degree` is an integer from 0 to `largest`, TypeError where it is no integer."""
    degree = owner.degree  # type: ignore[attr-defined]
    name = type(owner).__name__
    if isinstance(degree, bool) or not isinstance(degree, int):
        raise TypeError(f"{name}(degree={degree!r}): the degree must be an integer, got {degree!r}")
    if not 0 <= degree <= largest:
        raise ValueError(
            f"{name}(degree={degree}): the degree must lie between 0 and {largest}, got {degree}; there is no negative "
            "one, and the moments of higher ones overflow float32 or lose its digits"
        )
