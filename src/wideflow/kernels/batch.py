"""What a user hands in as a batch of inputs, checked before any work starts."""

from typing import Any

import numpy as np
from jax import Array

from ..nn.values import values_of

_ROWS_NAMED = 10


def checked_batch(x: Any, name: str) -> Any:
    """The batch `x [n, *pixels, channels]` as an array of float32 or float64, finite where its values are known.

    Raises TypeError for other dtypes, ValueError for a wrong shape or rows that are not finite, naming them.
    """
    x = x if isinstance(x, Array) else np.asarray(x)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: kernels are computed in float32 or float64, got {x.dtype}; convert {name} first")
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(
            f"{name}: wanted a batch [n, *pixels, channels] with no empty axis, got shape {x.shape}; "
            "a single input is x[None]"
        )
    values = values_of(x)
    if values is not None:
        _check_finite(values, name)
    return x


def checked_pair(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Both batches of a kernel, of one dtype and one shape per input; `x2` None means `x1` with itself."""
    x1 = checked_batch(x1, "x1")
    if x2 is None:
        return x1, None
    x2 = checked_batch(x2, "x2")
    if x1.shape[1:] != x2.shape[1:]:
        raise ValueError(f"x1 and x2: inputs must have one shape, got {x1.shape[1:]} and {x2.shape[1:]}")
    if x1.dtype != x2.dtype:
        raise TypeError(f"x1 and x2: inputs must have one dtype, got {x1.dtype} and {x2.dtype}; convert one of them")
    return x1, x2


def _check_finite(values: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if bad.size:
        rows = ", ".join(map(str, bad[:_ROWS_NAMED])) + (" …" if bad.size > _ROWS_NAMED else "")
        raise ValueError(
            f"{name}: {bad.size} of {len(values)} inputs hold NaN or infinity: rows {rows}; repair or remove them"
        )
