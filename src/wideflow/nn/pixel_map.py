"""Fixed linear maps along pixel axes, on arrays and on covariances."""

from collections.abc import Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .cov import Cov
from .mixing import delta_within, distance, ratio
from .patch import pixel_axes

# One matrix [new, old] for each pixel axis; None leaves that axis alone.
Maps = Sequence[Array | np.ndarray | None]

# Rows whose sum is smaller than this part of the sum of their sizes are not compared with one another: rounding of
# the sum would enter the bound on their difference.
_SURE = 0.01


def along(x: Array, maps: Maps, axes: Sequence[tuple[int, ...]]) -> Array:
    """`x` with each matrix applied along its axes: Σ_j M_ij x_j."""
    for matrix, places in zip(maps, axes, strict=True):
        for axis in () if matrix is None else places:
            m = jnp.asarray(matrix, x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, m, (axis, 1), precision=jax.lax.Precision.HIGHEST), -1, axis)
    return x


@jax.jit
def mapped(k: Cov, maps: Maps) -> Cov:
    """M K Mᵀ of every pair of pixels, M the product of the matrices; the channels keep their law."""
    maps = [None if m is None else jnp.asarray(m, k.nngp.dtype) for m in maps]
    one, two = pixel_axes(k, 1), pixel_axes(k, 2)
    q1, q2 = (along(q, maps, one) for q in (k.q1, k.q2))
    new = k.replace(q1=q1, q2=q2, nngp=along(k.nngp, maps, two), ntk=along(k.ntk, maps, two))
    return new.replace(delta=delta_within(new, *_bound(k, maps)))


def on_diagonal(x: Array, pixels: int, other: float) -> Array:
    """`[…, *pixels]` → `[…, *pixels, *pixels]`: `x` at equal pixels, the number `other` at different ones."""
    shape = x.shape[x.ndim - pixels :]
    size = int(np.prod(shape))
    square = jnp.where(np.eye(size, dtype=bool), x.reshape(*x.shape[: x.ndim - pixels], size, 1), other)
    return square.reshape(*x.shape, *shape)


def _bound(k: Cov, maps: Maps) -> tuple[Array, Array]:
    """t and a bound on Var(F − t G), for F and G the mapped features at every pair of new pixels.

    With rows m, m' of sums s, s': F − t (s/s') G = Σ_ij m_i m'_j (f_i − t g_j) / s', which vanishes for images without
    contrast. At equal new pixels also F − t G = Σ_i m_i (f_i − t g_i), which vanishes for equal images.
    """
    t = ratio(k)
    gap = distance(k, t)
    sizes = [None if m is None else jnp.abs(m) for m in maps]
    first, second = _faced_sums(k, maps)
    sure1, sure2 = (jnp.abs(s) > _SURE * size for s, size in zip((first, second), _faced_sums(k, sizes), strict=True))
    alike = sure1 & sure2 & (first * second > 0)
    divisor = jnp.where(alike, second, 1)
    any_pixels = jnp.where(alike, (along(gap, sizes, pixel_axes(k, 2)) / divisor) ** 2, jnp.inf)
    equal_pixels = along(k.equal(gap), sizes, [(2 + axis,) for axis in range(k.pixels)]) ** 2
    bound = jnp.minimum(any_pixels, on_diagonal(equal_pixels, k.pixels, jnp.inf))
    return bound, t * jnp.where(alike, first / divisor, 1)


def _faced_sums(k: Cov, maps: Maps) -> tuple[Array, Array]:
    """The sums over the rows of M, for the first and for the second new pixel: `[1, 1, *pixels, *pixels]`."""
    rows = [jnp.ones(n, k.nngp.dtype) if m is None else m.sum(1) for n, m in zip(k.pixel_shape, maps, strict=True)]
    sums = reduce(jnp.multiply.outer, rows)
    ones = (1,) * k.pixels
    return sums.reshape(1, 1, *sums.shape, *ones), sums.reshape(1, 1, *ones, *sums.shape)
