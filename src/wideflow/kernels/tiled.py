"""Kernels of networks on vectors, in tiles that stay in cache, on all cores."""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals.root import root
from ..nn import Cov, Layer
from .angles import Rows, gaps, rows_of
from .univariate import Curve, curve_of

TILE = 256  # rows and columns of a tile: its arrays fit into a core's cache
_PANEL = 2 * TILE  # rows of one matrix product


def in_tiles(net: Layer, x1: np.ndarray, x2: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK of `net` between `x1 [n1, d]` and `x2 [n2, d]` (None: `x1` with itself, one triangle).

    Every entry comes from the mean squares of its two inputs and their angle alone, so tiles are independent. The
    angles come from a BLAS product of a panel of rows; each tile of a panel then goes through the network by
    itself, or, where the kernels are functions of the angle alone, through their expansions.
    """
    rows1 = rows_of(x1, TILE)
    rows2 = rows1 if x2 is None else rows_of(x2, TILE)
    shape = len(x1), len(x1 if x2 is None else x2)
    curve = curve_of(net, np.concatenate([rows1.q[: shape[0]], rows2.q[: shape[1]]]))
    nngp, ntk = _aligned(shape, x1.dtype), _aligned(shape, x1.dtype)

    def fill(i: int, j: int, product: np.ndarray) -> None:
        one, two = rows1.part(i, i + TILE), rows2.part(j, j + TILE)
        with jax.enable_x64(True) if x1.dtype == np.float64 else nullcontext():
            values = _tile(net, curve, one, two, gaps(one, two, product, same=x2 is None and i == j))
        for whole, value in zip((nngp, ntk), values, strict=True):
            part = np.asarray(value)[: shape[0] - i, : shape[1] - j]
            if x2 is None and i == j:
                part = np.triu(part) + np.triu(part, 1).T
            elif x2 is None:
                whole[j : j + TILE, i : i + TILE] = part.T
            whole[i : i + TILE, j : j + TILE] = part

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for tiles in _panels(rows1.working, rows2.working, triangle=x2 is None):
            list(pool.map(lambda tile: fill(*tile), tiles))
    return nngp, ntk


def _panels(one: np.ndarray, two: np.ndarray, triangle: bool) -> Iterator[list[tuple[int, int, np.ndarray]]]:
    """For each panel of rows its tiles `(i, j, product)`; the products lie in one buffer that the next panel reuses."""
    buffer = np.empty((_PANEL, len(two)), one.dtype)
    for top in range(0, len(one), _PANEL):
        panel, left = one[top : top + _PANEL], top if triangle else 0
        product = np.matmul(panel, two[left:].T, out=buffer[: len(panel), left:])
        yield [
            (i, j, product[i - top : i - top + TILE, j - left : j - left + TILE])
            for i in range(top, top + len(panel), TILE)
            for j in range(i if triangle else 0, len(two), TILE)
        ]


def _tile(net: Layer, curve: Curve | None, one: Rows, two: Rows, gap: np.ndarray) -> tuple[Array, Array]:
    if curve is not None:
        return curve.kernels(one.q, two.q, gap)
    k = net.cov(_entering(one.q, two.q, gap))
    return k.nngp, k.ntk


@jax.jit
def _entering(q1: Array, q2: Array, gap: Array) -> Cov:
    """The covariance of inputs with these mean squares and 1 − cos of their angles."""
    first, second = q1[:, None], q2[None]
    nngp = jnp.where((gap == 0) & (first == second), first, root(first) * root(second) * (1 - gap))
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), gap)


_ALIGNMENT = 64  # bytes; JAX takes an array that starts at a multiple of this without copying it


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)
