"""Times handed in by a user: a number, several, or None for infinity."""

from typing import Any

import numpy as np

from .rule import Rule


def checked_times(t: Any, rule: Rule) -> tuple[list[float], bool]:
    """The times as a list, and whether a single one was given (results then have no leading time axis)."""
    if t is None:
        return [np.inf], True
    array = np.asarray(t, dtype=np.float64)
    if array.ndim > 1:
        raise ValueError(f"t: wanted a number or one axis of times [T], got shape {array.shape}")
    times = [float(one) for one in np.atleast_1d(array)]
    for one in times:
        rule.check_time(one)
    return times, array.ndim == 0
