"""Kernels in tiles that stay in cache, on all cores."""

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals.root import root
from ..nn import Cov, Layer, Repeat
from ..nn.fold import Run
from .angles import Rows, close_pairs, gaps, rows_of
from .univariate import Curve, curve_of

TILE = 256  # rows and columns of a tile: its arrays fit into a core's cache
_PANEL = 2 * TILE  # rows of one matrix product
_CURVE_BYTES = 64 * 2**20  # of the product of one panel that expansions are evaluated on


def vectors(net: Layer, x1: np.ndarray, x2: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK of `net` between `x1 [n1, d]` and `x2 [n2, d]` (None: `x1` with itself).

    Every entry comes from the mean squares of its two inputs and their angle alone, and the angles from a BLAS product
    of a panel of rows. Where the kernels are functions of the angle alone, their expansions are evaluated on the panel;
    elsewhere each tile of it goes through the network by itself.
    """
    rows1 = rows_of(x1, TILE)
    rows2 = rows1 if x2 is None else rows_of(x2, TILE)
    shape = len(x1), len(x1 if x2 is None else x2)
    curve = curve_of(net, np.concatenate([rows1.q[: shape[0]], rows2.q[: shape[1]]]))
    if curve is None:
        return _in_tiles(net, rows1, rows2, shape, triangle=x2 is None)
    return _on_curve(curve, rows1.part(0, shape[0]), rows2.part(0, shape[1]), same=x2 is None)


def _on_curve(curve: Curve, rows1: Rows, rows2: Rows, same: bool) -> tuple[np.ndarray, np.ndarray]:
    """Panels of rows by the expansions of both kernels."""
    shape, dtype = (len(rows1.q), len(rows2.q)), rows1.q.dtype
    height = max(TILE, _CURVE_BYTES // (shape[1] * dtype.itemsize) // TILE * TILE)
    out = _aligned(shape, dtype), _aligned(shape, dtype)
    product = _aligned((min(height, shape[0]), shape[1]), dtype)
    with ThreadPoolExecutor(_cores()) as pool:
        for top in range(0, shape[0], height):
            rows, part = rows1.part(top, top + height), tuple(whole[top : top + height] for whole in out)
            _fill_panel(curve, rows, rows2, top if same else None, product[: len(rows.q)], part, pool)
            if same and top:  # products differ from their mirror images by rounding
                for whole in out:
                    whole[top : top + height, :top] = whole[:top, top : top + height].T
            if same and shape[0] > height:
                for square in (v[:, top : top + height] for v in part):
                    square[...] = np.triu(square) + np.triu(square, 1).T
    return out


def _fill_panel(
    curve: Curve,
    one: Rows,
    two: Rows,
    same: int | None,
    product: np.ndarray,
    out: tuple[np.ndarray, ...],
    pool: ThreadPoolExecutor,
) -> None:
    """Writes both kernels of a panel of rows into `out`; `product` is room for their cosines."""
    cosine = np.matmul(one.working, two.working.T, out=product)
    wide = cosine.dtype
    if close_pairs(cosine) > (0 if same is None else np.count_nonzero(one.q)):  # more than inputs with themselves
        with _precision(wide):
            for whole, value in zip(out, curve.kernels(one.q, two.q, gaps(one, two, cosine, same)), strict=True):
                whole[...] = value
        return

    def fill(start: int) -> None:
        rows = slice(start, start + TILE)
        with _precision(wide):
            values = curve.kernels_of_cosines(one.q[rows], two.q, cosine[rows], None if same is None else same + start)
            for whole, value in zip(out, values, strict=True):
                whole[rows] = value

    list(pool.map(fill, range(0, len(cosine), TILE)))


def _in_tiles(
    net: Layer, rows1: Rows, rows2: Rows, shape: tuple[int, int], triangle: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Tiles through the layers' rules, on all cores."""
    out = _aligned(shape, rows1.q.dtype), _aligned(shape, rows1.q.dtype)
    compute: Callable[..., tuple[Array, Array]] = _at_once if _is_short(net) else _kernels

    def fill(i: int, j: int, product: np.ndarray) -> None:
        one, two = rows1.part(i, i + TILE), rows2.part(j, j + TILE)
        with _precision(product.dtype):
            gap = gaps(one, two, product, same=0 if triangle and i == j else None)
            _write(out, i, j, compute(net, one.q, two.q, gap), mirror=triangle)

    with ThreadPoolExecutor(_cores()) as pool:
        for tiles in _panels(rows1.working, rows2.working, triangle):
            list(pool.map(lambda tile: fill(*tile), tiles))
    return out


def images_in_tiles(
    compute: Callable[[Array, Array | None], tuple[Array, Array]],
    x1: np.ndarray,
    x2: np.ndarray | None,
    shape: tuple[int, ...],
    tile: int,
) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK `[*shape]` of images from `compute(rows, columns)`, `tile` rows and columns at a time.

    Where `x2` is None one triangle is computed, and tiles on the diagonal by `compute(rows, None)`.
    """
    out = _aligned(shape, x1.dtype), _aligned(shape, x1.dtype)

    def fill(i: int, j: int) -> None:
        rows = padded_part(x1, i, tile)
        columns = None if x2 is None and i == j else padded_part(x1 if x2 is None else x2, j, tile)
        with _precision(x1.dtype):
            values = compute(jnp.asarray(rows), None if columns is None else jnp.asarray(columns))
        _write(out, i, j, values, mirror=x2 is None)

    corners = [(i, j) for i in range(0, shape[0], tile) for j in range(i if x2 is None else 0, shape[1], tile)]
    with ThreadPoolExecutor(_cores()) as pool:
        list(pool.map(lambda corner: fill(*corner), corners))
    return out


def padded_part(x: np.ndarray, start: int, size: int) -> np.ndarray:
    """`size` rows of `x` from `start`; past the end the last one again, so that every tile has one shape."""
    part = x[start : start + size]
    if len(part) == size or len(x) < size:
        return part
    return np.concatenate([part, np.broadcast_to(part[-1:], (size - len(part), *part.shape[1:]))])


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _precision(dtype: np.dtype) -> AbstractContextManager:
    return jax.enable_x64(True) if dtype == np.float64 else nullcontext()


def _write(out: tuple[np.ndarray, ...], i: int, j: int, values: tuple[Array, ...], mirror: bool) -> None:
    """Write a tile of each kernel at row i and column j, without what lies outside; and its mirror image."""
    for whole, value in zip(out, values, strict=True):
        part = np.asarray(value)[: len(whole) - i, : whole.shape[1] - j]
        rows, columns = slice(i, i + len(part)), slice(j, j + part.shape[1])
        if mirror and i == j:
            upper = np.triu(np.ones(part.shape[:2], bool)).reshape(*part.shape[:2], *(1,) * (part.ndim - 2))
            part = np.where(upper, part, np.swapaxes(part, 0, 1))
        elif mirror:
            whole[columns, rows] = np.swapaxes(part, 0, 1)
        whole[rows, columns] = part


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


def _kernels(net: Layer, q1: Array, q2: Array, gap: Array) -> tuple[Array, Array]:
    k = net.cov(_entering(q1, q2, gap))
    return k.nngp, k.ntk


_at_once = jax.jit(_kernels)
_SHORT = 12  # layers that are compiled as one: fewer calls, but many would take XLA minutes, and run slower


def _is_short(net: Layer) -> bool:
    """Whether few layers stand outside of scans."""
    return _unrolled(net) <= _SHORT


def _unrolled(net: Layer) -> int:
    parts = jax.tree.leaves(net, is_leaf=lambda part: part is not net and isinstance(part, Layer))
    inner = [part for part in parts if isinstance(part, Layer)]
    return 1 if isinstance(net, Repeat | Run) or not inner else sum(map(_unrolled, inner))


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
