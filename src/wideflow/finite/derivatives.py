"""Derivatives of functions that JAX differentiates in one direction alone: loops without an end that is known, and
functions with a backward rule of their own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.extend.core import primitives

_AT_A_TIME = 64  # parameters whose derivatives are computed together in forward mode

Function = Callable[[list[Array]], Array]


def has_forward_mode(jaxpr: core.Jaxpr) -> bool:
    """Whether no part of a function has a backward rule alone (`jax.custom_vjp`)."""
    return not _contains(jaxpr, primitives.custom_vjp_call_p)


def has_reverse_mode(f: Function, jaxpr: core.Jaxpr, leaves: list[Array]) -> bool:
    """Whether f, of this jaxpr, can be differentiated backwards: no `while_loop` carries what depends on its leaves."""
    if not _contains(jaxpr, primitives.while_p):
        return True
    try:
        jax.eval_shape(lambda some: jax.vjp(f, some)[1](jnp.zeros_like(f(some))), leaves)
    except ValueError:
        return False
    return True


def _contains(jaxpr: core.Jaxpr, primitive: Any) -> bool:
    inside = (inner for eqn in jaxpr.eqns for inner in core.jaxprs_in_params(eqn.params))
    return any(eqn.primitive is primitive for eqn in jaxpr.eqns) or any(_contains(some, primitive) for some in inside)


def along(f: Function, leaves: list[Array], direction: list[Array], forward: bool) -> Array:
    """The derivative of f along a direction; without `forward`, that of its backward pass."""
    if forward:
        return jax.jvp(f, (leaves,), (direction,))[1]
    value, backward = jax.vjp(f, leaves)
    return jax.vjp(backward, jnp.zeros_like(value))[1]((direction,))[0]


def forward_gradients(f: Function, leaves: list[Array], which: int, combinations: Array) -> Array:
    """Gradients `[combinations, *shape]` of combinations `[…, entries]` of outputs, an entry of one leaf at a time."""
    leaf = leaves[which]

    def of_entry(i: Array) -> Array:
        direction = jnp.zeros(leaf.size, leaf.dtype).at[i].set(1).reshape(leaf.shape)
        moved = lambda value: f([*leaves[:which], value, *leaves[which + 1 :]])  # noqa: E731
        return combinations @ jax.jvp(moved, (leaf,), (direction,))[1]

    return jax.lax.map(of_entry, jnp.arange(leaf.size), batch_size=_AT_A_TIME).T.reshape(-1, *leaf.shape)
