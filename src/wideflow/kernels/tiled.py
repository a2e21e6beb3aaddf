"""Kernels in tiles that stay in cache, on all cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from threadpoolctl import ThreadpoolController

from ..duals.root import root
from ..nn import Cov, Layer, Repeat
from ..nn.fold import Run
from .angles import Rows, gaps, rows_of
from .curved import on_curve
from .tile import TILE, aligned, cores, corners, keep_freed_memory, padded_part, precision, write
from .univariate import curve_of

_FEWEST = 4  # rows or columns of a tile of images


def vectors(net: Layer, x1: np.ndarray, x2: np.ndarray | None) -> tuple[Array | np.ndarray, ...]:
    """NNGP kernel and NTK of `net` between `x1 [n1, d]` and `x2 [n2, d]` (None: `x1` with itself).

    Every entry comes from the mean squares of its two inputs and their angle alone, and the angles from BLAS products
    of directions, tile by tile, each on one core. Where the kernels are functions of the angle alone, a tile is their
    expansion; elsewhere it goes through the network by itself. Where `x2` is None one triangle is computed.
    """
    keep_freed_memory()
    rows1, rows2 = rows_of(x1), None if x2 is None else rows_of(x2)
    curve = curve_of(net, rows1.q if rows2 is None else np.concatenate([rows1.q, rows2.q]))
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(cores() + 1) as pool:
        return _through_layers(net, rows1, rows2, pool) if curve is None else on_curve(curve, rows1, rows2, pool)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _through_layers(
    net: Layer, rows1: Rows, rows2: Rows | None, pool: ThreadPoolExecutor
) -> tuple[np.ndarray, np.ndarray]:
    """Both kernels from tiles that go through the layers' rules."""
    compute: Callable[..., tuple[Array, Array]] = _at_once if _is_short(net) else _kernels
    same, columns = rows2 is None, rows1 if rows2 is None else rows2
    shape, dtype = (len(rows1.q), len(columns.q)), rows1.q.dtype
    out = aligned(shape, dtype), aligned(shape, dtype)

    def fill(at: tuple[int, int]) -> None:
        i, j = at
        one, two = rows1.padded_part(i, TILE), columns.padded_part(j, TILE)
        with precision(dtype):
            gap = gaps(one, two, one.working @ two.working.T, same=0 if same and i == j else None)
            write(out, i, j, compute(net, one.q, two.q, gap), mirror=same)

    list(pool.map(fill, corners(shape, (TILE, TILE), same)))
    return out


def tile_sides(shape: tuple[int, int], most: int, triangle: bool) -> tuple[int, int]:
    """Rows and columns of tiles of images, each at most `most`, no larger than they must be for as many tiles.

    Where one triangle is computed they are square. There is a tile for each core, unless its sides were below
    `_FEWEST`: what a tile computes of its rows and columns alone would then cost more than the entries.
    """
    most = max(1, most)
    down, across = (-(-n // most) for n in shape)
    while True:
        rows, columns = -(-shape[0] // down), -(-shape[1] // across)
        tiles = down * (down + 1) // 2 if triangle else down * across
        if tiles >= cores() or max(rows, columns) < 2 * _FEWEST:
            return rows, columns
        down, across = down + (triangle or rows >= columns), across + (triangle or rows < columns)


def images_in_tiles(
    compute: Callable[[Array, Array | None], tuple[Array, Array]],
    x1: np.ndarray,
    x2: np.ndarray | None,
    shape: tuple[int, ...],
    sides: tuple[int, int],
    workers: int,
) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK `[*shape]` of images from `compute(rows, columns)`, tiles of `sides` rows and columns each.

    `workers`: tiles computed at the same time. Where `x2` is None one triangle is computed, and tiles on the diagonal
    by `compute(rows, None)`.
    """
    out = aligned(shape, x1.dtype), aligned(shape, x1.dtype)

    def fill(i: int, j: int) -> None:
        rows = padded_part(x1, i, sides[0])
        columns = None if x2 is None and i == j else padded_part(x1 if x2 is None else x2, j, sides[1])
        with precision(x1.dtype):
            values = compute(jnp.asarray(rows), None if columns is None else jnp.asarray(columns))
        write(out, i, j, values, mirror=x2 is None)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda corner: fill(*corner), corners(shape, sides, x2 is None)))
    return out


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
