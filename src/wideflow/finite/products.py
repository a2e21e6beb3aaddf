"""Products of the NTK with vectors, without the matrix and without Jacobians."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .derivatives import along
from .empirical_work import Work


def product(work: Work, x1: Any, x2: Any, vectors: Array) -> Array:
    """Θ(x1, x2) V = J(x1) R J(x2)^† V; shapes as in `EmpiricalKernel.product`."""
    sets, n2 = work.sets, len(jax.tree.leaves(x2)[0])
    if not work.reverse:
        raise ValueError("product: wanted a function with a reverse derivative; a while_loop has none, a scan has")
    rows = n2 * sets.rows
    if vectors.ndim != 2 or len(vectors) != rows:
        raise ValueError(f"vectors: wanted [{rows}, m], got {list(vectors.shape)}")
    dtype = np.result_type(work.dtype, np.complex64) if work.view.complex else work.dtype
    given = np.result_type(vectors.dtype, np.complex64) if work.view.complex else vectors.dtype
    columns = vectors.astype(dtype).T
    if sets.kind == "full":
        result = jax.lax.map(lambda v: _moved(work, x1, x2, v.reshape(n2, -1)).ravel(), columns)
        return result.T.astype(given)
    combinations = sets.combinations(work.dtype).reshape(sets.rows, -1, sets.entries).astype(dtype)

    def of_set(one: tuple[Array, Array]) -> Array:
        v, some = one  # [n2], [q, entries]
        each = jax.lax.map(lambda c: _moved(work, x1, x2, v[:, None] * c[None]) @ c, some)
        return jnp.sum(each, axis=0) / jnp.asarray(sets.divisor, dtype)

    result = jax.lax.map(lambda v: jax.lax.map(of_set, (v.reshape(n2, -1).T, combinations)).T.ravel(), columns)
    return result.T.astype(given)


def _moved(work: Work, x1: Any, x2: Any, v: Array) -> Array:
    """J(x1) R J(x2)^† v `[n1, entries]` of v `[n2, entries]`; J of complex outputs is J_r + i J_i."""
    if not work.view.complex:
        return _along_gradient(work, x1, x2, v)
    apart = lambda u: jnp.concatenate([u.real, u.imag], axis=1)  # noqa: E731
    one, two = (_along_gradient(work, x1, x2, apart(u)) for u in (v, -1j * v))  # by the parts of J(x2)^† v
    (real, imaginary), (of_two, times_i) = (jnp.split(some, 2, axis=1) for some in (one, two))
    return jax.lax.complex(real - times_i, imaginary + of_two)


def _along_gradient(work: Work, x1: Any, x2: Any, cotangents: Array) -> Array:
    """How the outputs of x1 move along the gradient that cotangents of the outputs of x2 give, `[n, entries]`."""
    leaves = work.view.leaves
    every = jax.vmap(work.view.outputs, in_axes=(None, 0))
    (direction,) = jax.vjp(lambda values: every(values, x2), leaves)[1](cotangents)
    rates = map(work.rates_of, range(len(leaves)))
    rated = [d if r is None else d * r.astype(d.dtype) for d, r in zip(direction, rates, strict=True)]
    return along(lambda values: every(values, x1), leaves, rated, work.forward)
