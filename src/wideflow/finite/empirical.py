"""The neural tangent kernel of one finite network."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_JACOBIAN_BYTES = 256 * 2**20  # of one parameter array, for one block of inputs

Network = Callable[[Any, Array], Array]


def empirical_ntk(f: Network, params: Any, x1: Array, x2: Array | None = None, rates: Any = None) -> Array:
    """The NTK of a finite network, averaged over its outputs: Θ(x1, x2) = 1/out Σ_o Σ_μ ∂f_o(x1)/∂θ_μ ∂f_o(x2)/∂θ_μ.

    `f(params, x [n, …]) -> [n, out]`. Shape `[n1, n2]`; no 1/D. Converges to `Kernel(net).ntk` as the width grows.
    `rates`: the factor of every parameter's learning rate, a tree like `params` of numbers or arrays that broadcast to
    the parameters, as `nn.learning_rates(net, params)` gives it; each term of the sum is multiplied by it. None: 1.
    Jacobians are formed for one parameter array and one block of inputs at a time, so that memory stays bounded;
    cost out · n1 · n2 · P operations for P parameters.
    """
    x2 = x1 if x2 is None else x2
    total = jnp.zeros((len(x1), len(x2)), x1.dtype)
    leaves, treedef = jax.tree.flatten(params)
    factors = [None] * len(leaves) if rates is None else treedef.flatten_up_to(rates)
    for position, (leaf, factor) in enumerate(zip(leaves, factors, strict=True)):
        total = total + _contract(f, treedef, leaves, position, x1, x2, _block(leaf), factor)
    outputs = jax.eval_shape(f, params, x1).shape[-1]
    return total / outputs


def _block(leaf: Array) -> int:
    return max(1, _JACOBIAN_BYTES // (leaf.size * leaf.dtype.itemsize))


def _contract(
    f: Network, treedef: Any, leaves: list, position: int, x1: Array, x2: Array, block: int, factor: Any
) -> Array:
    """One parameter array's share of the NTK."""
    jacobian = partial(_jacobian, f, treedef, leaves, position)
    rows = []
    for i in range(0, len(x1), block):
        first = _times(jacobian(x1[i : i + block]), factor, leaves[position])  # [n, out, P]
        columns = [jnp.einsum("iop,jop->ij", first, jacobian(x2[j : j + block])) for j in range(0, len(x2), block)]
        rows.append(jnp.concatenate(columns, axis=1))
    return jnp.concatenate(rows, axis=0)


def _times(jacobian: Array, factor: Any, leaf: Array) -> Array:
    """The Jacobian `[n, out, P]` of a parameter array times the factors of its entries."""
    if factor is None:
        return jacobian
    return jacobian * jnp.broadcast_to(jnp.asarray(factor, leaf.dtype), leaf.shape).reshape(1, 1, -1)


def _jacobian(f: Network, treedef: Any, leaves: list, position: int, x: Array) -> Array:
    """∂f_o(x)/∂θ of one parameter array, flattened: `[n, out, P]`."""

    def output(leaf: Array, row: Array) -> Array:
        changed = [*leaves[:position], leaf, *leaves[position + 1 :]]
        return f(jax.tree.unflatten(treedef, changed), row[None])[0]

    per_input = jax.vmap(jax.jacrev(output), in_axes=(None, 0))(leaves[position], x)
    return per_input.reshape(*per_input.shape[:2], -1)
