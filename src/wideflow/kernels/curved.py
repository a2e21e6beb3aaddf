"""Matrices of kernels that are functions of the angle alone: one product, then one pass over it.

The cosines of a block come from BLAS products, tile by tile, each on one core; the expansion over their range is then
evaluated on the whole block at once. Tiles with pairs so close that a product loses their angle are computed apart.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from .angles import Rows, gaps, limit_of, range_of
from .tile import TILE, aligned, corners, precision, write
from .univariate import Curve

_BLOCK = 4096  # rows and columns that are evaluated at once: what is held beside the result


def on_curve(curve: Curve, rows1: Rows, rows2: Rows | None, pool: ThreadPoolExecutor) -> tuple[Array | np.ndarray, ...]:
    """NNGP kernel and NTK `[n1, n2]` of `curve` between the rows; `rows2` None means `rows1` with itself."""
    shape, dtype = (len(rows1.q), len((rows1 if rows2 is None else rows2).q)), rows1.q.dtype
    if max(shape) <= _BLOCK:
        return _Block(curve, rows1, rows2, pool).kernels()
    out = aligned(shape, dtype), aligned(shape, dtype)
    for i, j in corners(shape, (_BLOCK, _BLOCK), rows2 is None):
        columns = None if rows2 is None and i == j else (rows1 if rows2 is None else rows2).part(j, _BLOCK)
        block = _Block(curve, rows1.part(i, _BLOCK), columns, pool)
        with precision(dtype):
            write(out, i, j, block.kernels(), mirror=rows2 is None and i != j)
    return out


class _Block(NamedTuple):
    """Rows and columns few enough to be evaluated at once; `two` None: the rows with themselves."""

    curve: Curve
    one: Rows
    two: Rows | None
    pool: ThreadPoolExecutor

    @property
    def columns(self) -> Rows:
        return self.one if self.two is None else self.two

    def kernels(self) -> tuple[Array | np.ndarray, ...]:
        """Both kernels between the rows and the columns."""
        shape, dtype = (len(self.one.q), len(self.columns.q)), self.one.q.dtype
        cosines, tiles = aligned(shape, dtype), corners(shape, (TILE, TILE), self.two is None)
        ranges = list(self.pool.map(lambda at: self._multiply(cosines, at), tiles))
        limit = limit_of(dtype)
        close = [at for at, (low, high) in zip(tiles, ranges, strict=True) if max(-low, high) > limit]
        if len(close) == len(tiles):
            out = aligned(shape, dtype), aligned(shape, dtype)
        else:
            others = [(low, high) for low, high in ranges if max(-low, high) <= limit]
            out = self._evaluated(cosines, min(others)[0], max(high for _, high in others))
            if not close:
                return out
            out = tuple(np.array(value) for value in out)
        list(self.pool.map(lambda at: self._refine(cosines, at, out), close))
        return out

    def _evaluated(self, cosines: np.ndarray, low: float, high: float) -> tuple[Array, Array]:
        """Kernels of all pairs by the expansion over a range; what lies outside of it means nothing."""
        expansion = self.curve.within(low, high, cosines.dtype)
        with precision(cosines.dtype):
            held = jax.device_put(cosines, may_alias=True)  # what is given to a compiled function itself is copied
            return expansion.kernels_of_cosines(self.one.q, self.columns.q, held, None if self.two is not None else 0)

    def _multiply(self, cosines: np.ndarray, at: tuple[int, int]) -> tuple[float, float]:
        """Write a tile of cosines and its mirror image; the range of the tile."""
        i, j = at
        one, two, same = self.one.part(i, TILE), self.columns.part(j, TILE), self._same(at)
        product = np.matmul(one.working, two.working.T, out=cosines[i : i + TILE, j : j + TILE])
        if same is not None and not np.array_equal(product, product.T):
            product[...] = np.triu(product) + np.triu(product, 1).T
        extent = range_of(product, same)
        if self._is_mirrored(at):
            cosines[j : j + TILE, i : i + TILE] = product.T
        return extent

    def _refine(self, cosines: np.ndarray, at: tuple[int, int], out: tuple[np.ndarray, ...]) -> None:
        """Write a tile of kernels that has close pairs, and its mirror image."""
        i, j = at
        one, two = self.one.padded_part(i, TILE), self.columns.padded_part(j, TILE)
        part = cosines[i : i + TILE, j : j + TILE]
        product = np.zeros((TILE, TILE), cosines.dtype)
        product[: part.shape[0], : part.shape[1]] = part
        with precision(product.dtype):
            values = self.curve.kernels(one.q, two.q, gaps(one, two, product, self._same(at)))
            write(out, i, j, values, mirror=self._is_mirrored(at))

    def _same(self, at: tuple[int, int]) -> int | None:
        """The column of the tile's first row among its columns, as `gaps` wants it."""
        return 0 if self.two is None and at[0] == at[1] else None

    def _is_mirrored(self, at: tuple[int, int]) -> bool:
        return self.two is None and at[0] != at[1]
