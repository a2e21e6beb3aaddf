"""Kernels computed a block of inputs at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Shares = dict[int, Array]  # of the kernel, by the number of the parameter array in the tree; whole: under 0
_STRIPS = 4  # of a symmetric matrix: 5/8 of the products; more strips gain little and compile longer
_LEAST_ROWS = 16  # of a strip: thinner ones make matrix products slow


def strip_ends(n: int) -> list[int]:
    """The rows at which the strips end that the lower triangle of n × n is cut into."""
    count = max(1, min(_STRIPS, n // _LEAST_ROWS))
    return [n * i // count for i in range(1, count + 1)]


def mirrored(lower: Sequence[Array], mirror: Callable[[Array], Array]) -> Array:
    """The symmetric matrix of whose lower triangle strips are given, each up to the end of its diagonal block."""
    n = lower[-1].shape[1]
    fill = lambda strip: [(0, 0), (0, n - strip.shape[1]), *[(0, 0)] * (strip.ndim - 2)]  # noqa: E731
    whole = jnp.concatenate([jnp.pad(strip, fill(strip)) for strip in lower])
    row = np.repeat(np.arange(len(lower)), [len(strip) for strip in lower])
    known = (row[:, None] >= row[None]).reshape(n, n, *[1] * (whole.ndim - 2))
    return jnp.where(known, whole, mirror(whole))


def in_blocks(
    compute: Callable[[Any, Any], Shares], x1: Any, x2: Any, block: int, mirrored: Callable[[Array], Array]
) -> Shares:
    """`compute` on all pairs of blocks of inputs, one after the other; of a batch with itself (`x2` None) one triangle.

    The last block is filled up with the last input, so that all have one shape.
    """
    n1 = len(jax.tree.leaves(x1)[0])
    n2 = n1 if x2 is None else len(jax.tree.leaves(x2)[0])
    if block >= max(n1, n2):
        return compute(x1, x2)
    rows, columns = _stacked(x1, min(block, n1)), _stacked(x1 if x2 is None else x2, min(block, n2))
    count1, count2 = (len(jax.tree.leaves(some)[0]) for some in (rows, columns))
    pairs = [(i, j) for i in range(count1) for j in range(i if x2 is None else 0, count2)]
    at1, at2 = (jnp.asarray(index) for index in zip(*pairs, strict=True))
    part = lambda some, i: jax.tree.map(lambda a: a[i], some)  # noqa: E731
    values = jax.lax.map(lambda at: compute(part(rows, at[0]), part(columns, at[1])), (at1, at2))

    def assembled(blocks: Array) -> Array:
        grid = jnp.zeros((count1, count2, *blocks.shape[1:]), blocks.dtype)
        if x2 is None:
            grid = grid.at[at2, at1].set(jax.vmap(mirrored)(blocks))
        grid = grid.at[at1, at2].set(blocks).swapaxes(1, 2)
        return grid.reshape(count1 * blocks.shape[1], count2 * blocks.shape[2], *blocks.shape[3:])[:n1, :n2]

    return jax.tree.map(assembled, values)


def _stacked(x: Any, block: int) -> Any:
    """Blocks of inputs, `[blocks, block, …]`."""

    def one(a: Array) -> Array:
        blocks = -(-len(a) // block)
        filled = jnp.concatenate([a, jnp.broadcast_to(a[-1:], (blocks * block - len(a), *a.shape[1:]))])
        return filled.reshape(blocks, block, *a.shape[1:])

    return jax.tree.map(one, x)
