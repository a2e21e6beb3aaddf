"""Gradients of outputs with respect to one parameter array, and their inner products."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Gradient(NamedTuple):
    """Gradients that are held: `values [n, s, q, P]`, of q outputs in each of s sets of outputs."""

    values: Array

    def times(self, factor: Array) -> "Gradient":
        """Each entry times a factor, a number or `[1, 1, 1, P]`."""
        return Gradient(self.values * factor)


class Outer(NamedTuple):
    """Gradients Σ_m h_m δ_mᵀ in factors: `inputs [n, g, m, c]` and `deltas [n, s, q, g, m, k]`."""

    inputs: Array
    deltas: Array

    def times(self, factor: Array) -> "Outer":
        """All entries times one number."""
        return Outer(self.inputs * factor, self.deltas)

    def formed(self) -> Gradient:
        """The gradients themselves; 2 q g m c k operations an input."""
        values = jnp.einsum("igmc,isqgmk->isqgck", self.inputs, self.deltas)
        return Gradient(values.reshape(*values.shape[:3], -1))


def products_of_sets(one: Gradient | Outer, two: Gradient | Outer) -> Array:
    """Inner products summed over the outputs of each set, `[n1, n2, s]`: Σ_q ∇f_sq(x1) · conj ∇f_sq(x2)."""
    if isinstance(one, Outer) and isinstance(two, Outer):
        deltas = jnp.einsum("isqgmk,jsqgnk->ijsgmn", one.deltas, two.deltas.conj())
        inputs = jnp.einsum("igmc,jgnc->ijgmn", one.inputs, two.inputs)
        return jnp.einsum("ijgmn,ijsgmn->ijs", inputs.astype(deltas.dtype), deltas)
    assert isinstance(one, Gradient)
    assert isinstance(two, Gradient)
    return jnp.einsum("isqp,jsqp->ijs", one.values, two.values.conj())


def products_of_outputs(one: Gradient | Outer, two: Gradient | Outer) -> Array:
    """Inner products of all pairs of outputs of the only set, `[n1, n2, q, q]`: ∇f_a(x1) · conj ∇f_b(x2)."""
    if isinstance(one, Outer) and isinstance(two, Outer):
        deltas = jnp.einsum("isagmk,jsbgnk->ijabgmn", one.deltas, two.deltas.conj())
        inputs = jnp.einsum("igmc,jgnc->ijgmn", one.inputs, two.inputs)
        return jnp.einsum("ijgmn,ijabgmn->ijab", inputs.astype(deltas.dtype), deltas)
    assert isinstance(one, Gradient)
    assert isinstance(two, Gradient)
    return jnp.einsum("isap,jsbp->ijab", one.values, two.values.conj())
