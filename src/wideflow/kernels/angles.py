"""Angles between rows of inputs on the host, where BLAS multiplies twice as fast as XLA."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Inputs `[n, d]` as directions. `q [n]`: mean squares. `units [n, d]`: rows of length one in float64, zero rows
    zero. `working [n, d]`: the same in the dtype of the inputs."""

    q: np.ndarray
    units: np.ndarray
    working: np.ndarray

    def part(self, start: int, size: int) -> "Rows":
        """The rows from `start` on, at most `size`."""
        return Rows(*(v[start : start + size] for v in self))

    def padded_part(self, start: int, size: int) -> "Rows":
        """`size` rows from `start` on, filled up with zero rows past the end, so that every part has one shape."""
        part = self.part(start, size)
        missing = size - len(part.q)
        return Rows(*(np.pad(v, [(0, missing)] + [(0, 0)] * (v.ndim - 1)) for v in part)) if missing else part


def rows_of(x: np.ndarray) -> Rows:
    """The rows of `x [n, d]`."""
    units = x.astype(np.float64)
    square = np.einsum("nd,nd->n", units, units)
    units /= np.sqrt(np.where(square > 0, square, 1))[:, None]
    return Rows((square / x.shape[1]).astype(x.dtype), units, units.astype(x.dtype, copy=False))


# Below these, 1 − |cos| of a product in the dtype has too few digits left, and the difference of the rows is summed.
_CLOSE = {np.dtype(np.float32): 1e-2, np.dtype(np.float64): 1e-7}
_MANY = 0.01  # share of close pairs from which a product in float64 is cheaper than so many differences
_CHUNK = 2**22  # numbers held at once for the differences


def limit_of(dtype: np.dtype) -> float:
    """|cos| above which a product in this dtype has lost too many digits of the angle."""
    return 1 - _CLOSE[np.dtype(dtype)]


def range_of(product: np.ndarray, same: int | None) -> tuple[float, float]:
    """The smallest and the largest entry.

    `same` as in `gaps`: entries of rows with themselves do not count, and are overwritten with others.
    """
    if same is not None and product.shape[1] > 1:
        np.fill_diagonal(product[:, same:], product[0, 0 if same else -1])
    return float(np.min(product)), float(np.max(product))


def gaps(one: Rows, two: Rows, product: np.ndarray, same: int | None) -> np.ndarray:
    """1 − cos of the angle between every two rows, `[n1, n2]`, from `product` = one.working · two.workingᵀ.

    A kernel with a kink sees the root of this number, and in a rounded product little of a small one is left.
    `same`: None, or the column of the first row in `two`: the rows are those of `two` from there on, and 1 − cos of
    each with itself is exactly zero.
    """
    dtype = product.dtype
    limit = limit_of(dtype)
    if np.max(product) <= limit and np.min(product) >= -limit:
        return 1 - product
    close = np.abs(product) > limit
    if same is not None:
        np.fill_diagonal(close[:, same:], False)
    if dtype == np.float32 and np.count_nonzero(close) > _MANY * close.size:
        product = one.units @ two.units.T
        close &= np.abs(product) > limit_of(product.dtype)
    gap = 1 - product
    i, j = np.nonzero(close)
    step = max(1, _CHUNK // one.units.shape[1])
    for at in (slice(start, start + step) for start in range(0, len(i), step)):
        side = np.sign(product[i[at], j[at]])
        half_square = np.sum((one.units[i[at]] - side[:, None] * two.units[j[at]]) ** 2, axis=1) / 2
        gap[i[at], j[at]] = np.where(side > 0, half_square, 2 - half_square)
    if same is not None:
        np.fill_diagonal(gap[:, same:], 0)
    return gap.astype(dtype, copy=False)
