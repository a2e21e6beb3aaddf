"""Gradients of outputs with respect to one parameter array, and their inner products."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Gradient(NamedTuple):
    """Gradients that are held: `values [n, s, a, q, P]`, of outputs in the axes of `OutputSets.sizes`."""

    values: Array

    def times(self, factor: Array) -> "Gradient":
        """Each entry times a factor, a number or `[1, 1, 1, 1, P]`."""
        return Gradient(self.values * factor)


class Outer(NamedTuple):
    """Gradients Σ_m h_m δ_mᵀ in factors: `inputs [n, g, m, c]` and `deltas [n, s, a, q, g, m, k]`.

    Integer inputs `[n, g, m, 1]` are rows of a table: h_m is one at this row and zero at all others.
    """

    inputs: Array
    deltas: Array

    def times(self, factor: Array) -> "Outer":
        """All entries times one number."""
        return Outer(self.inputs, self.deltas * factor)

    def formed(self) -> Gradient:
        """The gradients themselves, weights in the order [g, k, c]; 2 q g m c k operations an input."""
        n, s, a, q, g, m, k = self.deltas.shape
        deltas = self.deltas.reshape(n, s * a * q, g, m, k).transpose(0, 2, 1, 4, 3)
        deltas = deltas.reshape(n, g, s * a * q * k, m)
        values = (deltas @ self.inputs.astype(deltas.dtype)).reshape(n, g, s * a * q, -1)
        return Gradient(jnp.moveaxis(values, 1, 2).reshape(n, s, a, q, -1))


def products(one: Gradient | Outer, two: Gradient | Outer) -> Array:
    """Inner products of gradients, `[n1, n2, s, a, a]`: Σ_q ∇f_saq(x1) · conj ∇f_sbq(x2)."""
    if isinstance(one, Outer) and isinstance(two, Outer):
        n, s, a, q, g, m, k = one.deltas.shape
        first, second = (
            some.deltas.transpose(1, 4, 0, 2, 5, 3, 6).reshape(s, g, -1, q * k) for some in (one, two)
        )  # [s, g, n a m, q k]
        inputs = _products_of_inputs(one, two).reshape(g, n, 1, m, -1, 1, m)
        values = (_gram(first, second).reshape(s, g, n, a, m, -1, a, m) * inputs[None]).sum(axis=(1, 4, 7))
    else:
        assert isinstance(one, Gradient)
        assert isinstance(two, Gradient)
        n, s, a, q, P = one.values.shape
        first, second = (some.values.swapaxes(0, 1).reshape(s, -1, q * P) for some in (one, two))
        values = _gram(first, second).reshape(s, n, a, -1, a)
    return values.transpose(1, 3, 0, 2, 4)


def _products_of_inputs(one: Outer, two: Outer) -> Array:
    """`[g, n1 m, n2 m]`."""
    g, c = one.inputs.shape[1], one.inputs.shape[3]
    first, second = (some.inputs.swapaxes(0, 1).reshape(g, -1, c) for some in (one, two))
    if jnp.issubdtype(first.dtype, jnp.integer):
        return (first == second.swapaxes(1, 2)).astype(one.deltas.dtype)
    return _gram(first, second).astype(one.deltas.dtype)


def _gram(one: Array, two: Array) -> Array:
    """Inner products of the rows of two matrices, for each of the axes before them.

    Of more axes than two XLA makes copies that cost more than the product, also where these have length one.
    """
    before = one.shape[:-2]
    if math.prod(before) == 1:
        values = one.reshape(one.shape[-2:]) @ two.reshape(two.shape[-2:]).conj().T
        return values.reshape(*before, *values.shape)
    return one @ two.conj().swapaxes(-1, -2)
