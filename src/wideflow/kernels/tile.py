"""Tiles of a matrix on the host: where they begin, and how they are written."""

import math
import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

TILE = 336  # rows and columns of a tile of vectors: a few arrays of this size fit into a core's cache


def corners(shape: tuple[int, ...], sides: tuple[int, int], triangle: bool) -> list[tuple[int, int]]:
    """Where tiles of `sides` rows and columns begin; where `triangle`, only those that hold some of the upper one."""
    rows, columns = sides
    return [(i, j) for i in range(0, shape[0], rows) for j in range(i if triangle else 0, shape[1], columns)]


def padded_part(x: np.ndarray, start: int, size: int) -> np.ndarray:
    """`size` rows of `x` from `start`; past the end the last one again, so that every tile has one shape."""
    part = x[start : start + size]
    if len(part) == size or len(x) < size:
        return part
    return np.concatenate([part, np.broadcast_to(part[-1:], (size - len(part), *part.shape[1:]))])


def write(out: tuple[np.ndarray, ...], i: int, j: int, values: tuple[Any, ...], mirror: bool) -> None:
    """Write a tile of each kernel at row i and column j, without what lies outside; and its mirror image."""
    for whole, value in zip(out, values, strict=True):
        if mirror and i == j:
            upper = np.triu(np.ones(value.shape[:2], bool)).reshape(*value.shape[:2], *(1,) * (value.ndim - 2))
            value = np.where(upper, value, np.swapaxes(np.asarray(value), 0, 1))
        elif mirror:
            _place(whole, j, i, _swapped(value) if value.size > _SMALL else np.swapaxes(np.asarray(value), 0, 1))
        _place(whole, i, j, value)


def _place(whole: np.ndarray, i: int, j: int, tile: Any) -> None:
    part = np.asarray(tile)[: len(whole) - i, : whole.shape[1] - j]
    whole[i : i + len(part), j : j + part.shape[1]] = part


_SMALL = 2**14  # numbers that NumPy, which copies a mirror image one by one, swaps before JAX has compiled it


@jax.jit
def _swapped(tile: Array) -> Array:
    return jnp.swapaxes(tile, 0, 1)


_ALIGNMENT = 64  # bytes; JAX takes an array that starts at a multiple of this without copying it


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of any values that JAX can take without a copy."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


@cache
def keep_freed_memory() -> None:
    """Let the allocator of the process keep what large arrays leave behind, up to 64 MiB.

    glibc otherwise gives it back to the system, and every page of the next array of that size is mapped and cleared
    anew, which takes longer than computing it. It stops once it has seen an array of 32 MiB, here untouched, freed.
    """
    np.empty(2**25 - 2**16, np.uint8)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precision(dtype: np.dtype) -> AbstractContextManager:
    """64-bit types for this thread where `dtype` is float64."""
    return jax.enable_x64(True) if dtype == np.float64 else nullcontext()
