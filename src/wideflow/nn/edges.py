"""Adjacency matrices, dense and sparse, and sums over neighbours."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Edges(eqx.Module):
    """A sparse matrix `[nodes, nodes]`: `values[e]` at row `rows[e]` and column `columns[e]`; repeated ones add up."""

    rows: Array | np.ndarray
    columns: Array | np.ndarray
    values: Array | np.ndarray
    nodes: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int]:
        """That of the matrix."""
        return self.nodes, self.nodes


# [nodes, nodes] for all inputs, or [n, nodes, nodes] with one for each input of a batch.
Adjacency = Array | np.ndarray | Edges


def neighbours(adjacency: Adjacency, x: Array, batch: int, axis: int) -> Array:
    """Σ_v A_uv x_v along `axis` of `x`, whose inputs lie along the axis `batch`."""
    x = jnp.moveaxis(x, (batch, axis), (0, 1))
    flat = x.reshape(*x.shape[:2], -1)  # [n, nodes, rest]
    if isinstance(adjacency, Edges):
        sums = (
            jnp.zeros_like(flat).at[:, adjacency.rows].add(adjacency.values[None, :, None] * flat[:, adjacency.columns])
        )
    else:
        A = adjacency if adjacency.ndim == 3 else adjacency[None]
        sums = jnp.matmul(A, flat, precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(sums.reshape(x.shape), (0, 1), (batch, axis))


def rows_to_means(adjacency: Adjacency) -> Adjacency:
    """The same with each row divided by its sum; rows of sum zero stay as they are."""
    if isinstance(adjacency, Edges):
        totals = jnp.zeros(adjacency.nodes, adjacency.values.dtype).at[adjacency.rows].add(adjacency.values)
        return Edges(
            adjacency.rows, adjacency.columns, adjacency.values / _or_one(totals)[adjacency.rows], adjacency.nodes
        )
    return adjacency / _or_one(jnp.sum(adjacency, axis=-1, keepdims=True))


def _or_one(totals: Array) -> Array:
    return jnp.where(totals == 0, 1, totals)
