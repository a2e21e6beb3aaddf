"""How many pixels each input of a padded batch has."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Int

from .values import values_of


class Sizes(eqx.Module):
    """The numbers of pixels along every axis of the inputs of two batches, which fill their arrays from the start.

    `first [n1, axes]`, `second [n2, axes]`: of each input. `pixels`: of the arrays that hold them. What an array holds
    outside an input means nothing: layers that mix pixels take it for zero.
    """

    first: Int[Array, "n1 axes"]
    second: Int[Array, "n2 axes"]
    pixels: tuple[int, ...] = eqx.field(static=True)

    def of_each(self, axis: int, table: np.ndarray) -> tuple[Array, Array]:
        """The row of `table` for each input: row n is for n pixels along the axis, from 0 to those of the array."""
        rows = jnp.asarray(table, float if np.issubdtype(table.dtype, np.floating) else np.int32)
        return rows[self.first[:, axis]], rows[self.second[:, axis]]

    def become(self, owner: Any, counts: Sequence[Sequence[int]]) -> "Sizes":
        """The sizes after the layer `owner`, from those of every length of each axis (0 where nothing is left).

        ValueError where that happens to an input. Inside JAX transformations, where sizes are not known, such an input
        has size 0 from here on, see `inside`.
        """
        each = [self.of_each(axis, np.asarray(table)) for axis, table in enumerate(counts)]
        first, second = (jnp.stack(side, axis=1) for side in zip(*each, strict=True))
        for after, before in ((first, self.first), (second, self.second)):
            _check(owner, values_of(after), before)
        return Sizes(first, second, tuple(int(table[-1]) for table in counts))

    def only(self, axes: Sequence[int]) -> "Sizes | None":
        """The sizes along some of the axes; None for no axis."""
        if not axes:
            return None
        some = np.array(axes)
        return Sizes(self.first[:, some], self.second[:, some], tuple(self.pixels[a] for a in axes))

    def inside(self) -> tuple[Array, Array]:
        """1 at the pixels of each input, 0 outside, `[n, *pixels]`; NaN throughout where nothing is left of it."""
        return self._both(lambda sizes: _or_nan(sizes, box(sizes, self.pixels)))

    def present(self) -> tuple[Array, Array]:
        """1 for each input, NaN where nothing is left of it, `[n]`."""
        return self._both(lambda sizes: _or_nan(sizes, jnp.ones(len(sizes))))

    def counts(self) -> tuple[Array, Array]:
        """The number of pixels of each input, `[n]`."""
        return self._both(lambda sizes: jnp.prod(sizes, axis=1).astype(float))

    def boxes(self) -> tuple[Array, Array]:
        """Whether a pixel of the arrays belongs to an input, `[n, *pixels]`."""
        return self._both(lambda sizes: box(sizes, self.pixels))

    def _both(self, rule: Callable[[Array], Array]) -> tuple[Array, Array]:
        return rule(self.first), rule(self.second)


def box(sizes: Int[Array, "n axes"], pixels: tuple[int, ...]) -> Bool[Array, "n *s"]:
    """Whether a pixel belongs to the input, `[n, *pixels]`."""
    inside = jnp.ones((len(sizes), *pixels), bool)
    for axis, length in enumerate(pixels):
        along = jnp.arange(length, dtype=sizes.dtype)[None] < sizes[:, axis, None]
        inside &= along.reshape(len(sizes), *(length if i == axis else 1 for i in range(len(pixels))))
    return inside


def _or_nan(sizes: Array, x: Array) -> Array:
    """`x [n, …]` as numbers, NaN for inputs of which nothing is left. (XLA would drop a product of NaN and False.)"""
    left = jnp.all(sizes >= 1, axis=1).reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.where(left, x.astype(float), jnp.nan)


def _check(owner: Any, after: np.ndarray | None, before: Any) -> None:
    if after is None or np.all(after):
        return
    row = int(np.flatnonzero((after == 0).any(axis=1))[0])
    had = " × ".join(map(str, np.asarray(before)[row].tolist()))
    raise ValueError(
        f"{owner!r}: leaves nothing of the input in row {row}, which has {had} pixels there; remove inputs that are "
        "too small, or change the layer"
    )
