"""The order in which training points are visited."""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

EMPTY = -1  # in place of an index: this slot of a batch holds no point


def batch_order(points: int, batch: int, steps: int, seed: int = 0) -> Int[np.ndarray, "steps batch"]:
    """Indices of the points of every minibatch: all points in random order, again and again, in batches.

    In every pass over the data each point comes once. Where `batch` does not divide `points`, the last batch of a
    pass is smaller and its empty slots hold −1. The order depends on `seed` alone, not on the number of steps. The
    array goes into `KernelSGD` and into the training of networks alike, so that both see the same batches.

    Errors: ValueError for a batch size outside 1 … `points` or a negative number of steps.
    """
    if not 1 <= batch <= points:
        raise ValueError(f"batch_order: batch must be in 1 … {points}, the number of points, got {batch}")
    if steps < 0:
        raise ValueError(f"batch_order: steps must not be negative, got {steps}")
    random, in_pass = np.random.default_rng(seed), -(-points // batch)
    order = np.full((-(-steps // in_pass), in_pass * batch), EMPTY)
    for one in order:
        one[:points] = random.permutation(points)
    return order.reshape(-1, batch)[:steps]


def checked_batches(batches: Any, points: int) -> Int[np.ndarray, "steps batch"]:
    """Batches as an integer array; ValueError for indices that name no point, with the first step that holds one."""
    array = np.asarray(batches)
    if array.ndim != 2 or array.dtype.kind not in "iu" or 0 in array.shape[1:]:
        raise ValueError(
            f"batches: wanted integers [steps, batch], indices of training points, got shape {array.shape} of "
            f"{array.dtype}; batch_order(points, batch, steps, seed) makes them"
        )
    wrong = np.flatnonzero(((array < EMPTY) | (array >= points)).any(axis=1) | (array == EMPTY).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"batches: indices must be in 0 … {points - 1}, or {EMPTY} for an empty slot beside at least one point; "
            f"step {wrong[0]} holds {array[wrong[0]]}"
        )
    return array.astype(np.int32)


def checked_steps(steps: Any, last: int | None) -> tuple[Int[np.ndarray, " T"], bool]:
    """Ascending step numbers at which outputs are wanted, and whether a single one was given."""
    array = np.asarray(steps)
    if array.ndim > 1 or array.dtype.kind not in "iu" or not array.size:
        raise ValueError(f"steps: wanted a whole number or several [T], got shape {array.shape} of {array.dtype}")
    several = np.atleast_1d(array).astype(np.int64)
    if several[0] < 0 or any(b <= a for a, b in pairwise(several.tolist())):
        raise ValueError(f"steps: must be ascending and not negative, got {several}")
    if last is not None and several[-1] > last:
        raise ValueError(f"steps: step {several[-1]} was asked for, batches and rates are for {last} steps")
    return several, array.ndim == 0
