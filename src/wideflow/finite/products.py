"""Products of the NTK with vectors, without the matrix and without Jacobians."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .derivatives import along
from .empirical_work import Work


def product(work: Work, x1: Any, x2: Any, vectors: Array) -> Array:
    """Θ(x1, x2) V = J(x1) R J(x2)ᵀ V; shapes as in `EmpiricalKernel.product`."""
    sets, n2 = work.sets, len(jax.tree.leaves(x2)[0])
    if sets.kind in ("channels", "diagonal") or work.view.complex:
        raise ValueError('product: wanted outputs="trace", "pseudo" or "full" of a network with real outputs')
    if not work.reverse:
        raise ValueError("product: wanted a function with a reverse derivative; a while_loop has none, a scan has")
    rows = n2 * (sets.entries if sets.kind == "full" else 1)
    if vectors.ndim != 2 or len(vectors) != rows:
        raise ValueError(f"vectors: wanted [{rows}, m], got {list(vectors.shape)}")
    given, columns = vectors.dtype, vectors.astype(work.dtype).T
    if sets.kind == "full":
        result = jax.lax.map(lambda v: _moved(work, x1, x2, v.reshape(n2, -1)).ravel(), columns)
        return result.T.astype(given)
    combinations = sets.combinations(work.dtype).reshape(-1, sets.entries)

    def of_column(v: Array) -> Array:
        each = jax.lax.map(lambda c: _moved(work, x1, x2, v[:, None] * c[None]) @ c, combinations)
        return jnp.sum(each, axis=0) / jnp.asarray(sets.divisor, work.dtype)

    return jax.lax.map(of_column, columns).T.astype(given)


def _moved(work: Work, x1: Any, x2: Any, cotangents: Array) -> Array:
    """How the outputs of x1 `[n1, entries]` move along the gradient that cotangents `[n2, entries]` give."""
    leaves = work.view.leaves
    every = jax.vmap(work.view.outputs, in_axes=(None, 0))
    (direction,) = jax.vjp(lambda values: every(values, x2), leaves)[1](cotangents)
    rates = map(work.rates_of, range(len(leaves)))
    rated = [d if r is None else d * r for d, r in zip(direction, rates, strict=True)]
    return along(lambda values: every(values, x1), leaves, rated, work.forward)
