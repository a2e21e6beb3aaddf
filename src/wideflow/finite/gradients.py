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
        """The gradients themselves, weights in the order [g, k, c]; 2 q g m c k operations an input."""
        n, s, q, g, m, k = self.deltas.shape
        deltas = self.deltas.transpose(0, 3, 1, 2, 5, 4).reshape(n, g, s * q * k, m)
        values = (deltas @ self.inputs.astype(deltas.dtype)).reshape(n, g, s, q, -1)
        return Gradient(jnp.moveaxis(values, 1, 3).reshape(n, s, q, -1))


def products_of_sets(one: Gradient | Outer, two: Gradient | Outer) -> Array:
    """Inner products summed over the outputs of each set, `[n1, n2, s]`: Σ_q ∇f_sq(x1) · conj ∇f_sq(x2)."""
    if isinstance(one, Outer) and isinstance(two, Outer):
        n, s, q, g, m, k = one.deltas.shape
        first, second = (
            some.deltas.transpose(1, 3, 0, 4, 2, 5).reshape(s, g, -1, q * k) for some in (one, two)
        )  # [s, g, n m, q k]
        products = (_gram(first, second) * _products_of_inputs(one, two)[None]).reshape(s, g, n, m, -1, m)
        return jnp.moveaxis(products.sum(axis=(1, 3, 5)), 0, 2)
    assert isinstance(one, Gradient)
    assert isinstance(two, Gradient)
    n, s, q, P = one.values.shape
    first, second = (some.values.swapaxes(0, 1).reshape(s, -1, q * P) for some in (one, two))
    return jnp.moveaxis(_gram(first, second), 0, 2)


def products_of_outputs(one: Gradient | Outer, two: Gradient | Outer) -> Array:
    """Inner products of all pairs of outputs of the only set, `[n1, n2, q, q]`: ∇f_a(x1) · conj ∇f_b(x2)."""
    if isinstance(one, Outer) and isinstance(two, Outer):
        n, _, q, g, m, k = one.deltas.shape
        first, second = (some.deltas.transpose(3, 0, 1, 2, 4, 5).reshape(g, -1, k) for some in (one, two))
        inputs = _products_of_inputs(one, two).reshape(g, n, 1, m, -1, 1, m)
        products = _gram(first, second).reshape(g, n, q, m, -1, q, m) * inputs
        return products.sum(axis=(0, 3, 6)).swapaxes(1, 2)
    assert isinstance(one, Gradient)
    assert isinstance(two, Gradient)
    n, _, q, P = one.values.shape
    products = _gram(one.values.reshape(-1, P), two.values.reshape(-1, P))
    return products.reshape(n, q, -1, q).swapaxes(1, 2)


def _products_of_inputs(one: Outer, two: Outer) -> Array:
    """`[g, n1 m, n2 m]`."""
    g, c = one.inputs.shape[1], one.inputs.shape[3]
    products = _gram(*(some.inputs.swapaxes(0, 1).reshape(g, -1, c) for some in (one, two)))
    return products.astype(one.deltas.dtype)


def _gram(one: Array, two: Array) -> Array:
    """Inner products of the rows of two matrices; of more axes XLA makes copies that cost more than the product."""
    return one @ two.conj().swapaxes(-1, -2)
