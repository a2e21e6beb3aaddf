"""Kernels in tiles that stay in cache, on all cores."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from threadpoolctl import ThreadpoolController

from ..duals.root import root
from ..nn import Cov, Layer, Repeat
from ..nn.fold import Run
from .angles import Rows, gaps, limit_of, range_of, rows_of
from .univariate import Curve, curve_of

TILE = 256  # rows and columns of a tile: its arrays fit into a core's cache
_CURVE_TILE = 2 * TILE  # of a tile on which expansions are evaluated: little is held, and calls cost time
_LINE = 16  # numbers of a mirror image that are written at once: whole cache lines
_CURVE_BYTES = 64 * 2**20  # of the products that are held while their range is not known


def vectors(net: Layer, x1: np.ndarray, x2: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK of `net` between `x1 [n1, d]` and `x2 [n2, d]` (None: `x1` with itself).

    Every entry comes from the mean squares of its two inputs and their angle alone, and the angles from BLAS products
    of directions, tile by tile, each on one core. Where the kernels are functions of the angle alone, a tile is their
    expansion; elsewhere it goes through the network by itself. Where `x2` is None one triangle is computed.
    """
    same, shape = x2 is None, (len(x1), len(x1 if x2 is None else x2))
    rows1 = rows_of(x1, _CURVE_TILE)
    rows2 = rows1 if x2 is None else rows_of(x2, _CURVE_TILE)
    curve = curve_of(net, np.concatenate([rows1.q[: shape[0]], rows2.q[: shape[1]]]))
    out = _aligned(shape, x1.dtype), _aligned(shape, x1.dtype)
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(_cores()) as pool:
        if curve is None:
            _through_layers(net, rows1, rows2, same, out, pool)
        else:
            _on_curve(curve, rows1, rows2, same, out, pool)
    return out


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _through_layers(
    net: Layer, rows1: Rows, rows2: Rows, same: bool, out: tuple[np.ndarray, ...], pool: ThreadPoolExecutor
) -> None:
    """Writes tiles that go through the layers' rules."""
    compute: Callable[..., tuple[Array, Array]] = _at_once if _is_short(net) else _kernels

    def fill(at: tuple[int, int]) -> None:
        i, j = at
        one, two = rows1.part(i, i + TILE), rows2.part(j, j + TILE)
        with _precision(one.q.dtype):
            gap = gaps(one, two, one.working @ two.working.T, same=0 if same and i == j else None)
            _write(out, i, j, compute(net, one.q, two.q, gap), mirror=same)

    list(pool.map(fill, _corners(out[0].shape, TILE, same)))


def _on_curve(
    curve: Curve, rows1: Rows, rows2: Rows, same: bool, out: tuple[np.ndarray, ...], pool: ThreadPoolExecutor
) -> None:
    """Writes tiles on which the kernels' expansions are evaluated; the shortest that hold for all cosines there are."""
    size, dtype, (n1, n2) = _CURVE_TILE, out[0].dtype, out[0].shape
    corners, limit = _corners((n1, n2), size, same), limit_of(dtype)
    held = min(len(corners), max(1, _CURVE_BYTES // (size * size * dtype.itemsize)))
    products = _aligned((held, size, size), dtype)

    def part(at: tuple[int, int]) -> tuple[Rows, Rows, int | None]:
        i, j = at
        return rows1.part(i, i + size), rows2.part(j, j + size), 0 if same and i == j else None

    def multiply(k: int, at: tuple[int, int]) -> tuple[float, float]:
        one, two, diagonal = part(at)
        product = np.matmul(one.working, two.working.T, out=products[k])
        if diagonal is not None and not np.array_equal(product, product.T):
            product[...] = np.triu(product) + np.triu(product, 1).T
        return range_of(product[: n1 - at[0], : n2 - at[1]], diagonal)

    def fill(k: int, at: tuple[int, int], expansion: Curve | None) -> None:
        one, two, diagonal = part(at)
        with _precision(dtype):
            if expansion is None:
                values = curve.kernels(one.q, two.q, gaps(one, two, products[k], diagonal))
            else:
                values = expansion.kernels_of_cosines(one.q, two.q, products[k], diagonal)
            _write(out, *at, values, mirror=same and diagonal is None)

    for start in range(0, len(corners), held):
        batch = corners[start : start + held]
        ranges = list(pool.map(multiply, range(len(batch)), batch))
        is_short = [max(-low, high) <= limit for low, high in ranges]
        inside = [each for each, short in zip(ranges, is_short, strict=True) if short]
        expansion = curve.within(min(inside)[0], max(high for _, high in inside), dtype) if inside else None
        list(pool.map(fill, range(len(batch)), batch, [expansion if short else None for short in is_short]))


def _corners(shape: tuple[int, ...], tile: int, triangle: bool) -> list[tuple[int, int]]:
    return [(i, j) for i in range(0, shape[0], tile) for j in range(i if triangle else 0, shape[1], tile)]


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

    with ThreadPoolExecutor(_cores()) as pool:
        list(pool.map(lambda corner: fill(*corner), _corners(shape, tile, x2 is None)))
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
            for k in range(0, len(part), _LINE):
                few = part[k : k + _LINE]
                whole[columns, i + k : i + k + len(few)] = np.swapaxes(few, 0, 1)
        whole[rows, columns] = part


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
