"""Expectations over a Gaussian pair by Mehler's formula: power series in the correlation.

E[phi(u) phi(v)] = sum_k h_k(q11) h_k(q22) rho^k with h_k(q) = E[phi(sqrt(q) z) he_k(z)]: the work on phi
is one-dimensional, once per row, and each pair costs one multiplication and addition per degree.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .dual import Dual
from .nodes import hermite_basis, normal_rule
from .pair import Pair
from .root import root

# Degrees fused into one pass over the result: fewer passes over memory, at the price of compile time.
UNROLL = 8
# Rows whose nodes are held in memory together.
ROWS = 512


class Expansion(NamedTuple):
    """Hermite coefficients [k, *s] of phi and phi' at the variances [*s], with the second moments [*s]."""

    value: Float[Array, "k *s"]
    slope: Float[Array, "k *s"]
    value_moment: Float[Array, "*s"]
    slope_moment: Float[Array, "*s"]

    def is_complete(self, tolerance: float) -> Bool[Array, ""]:
        """Whether every row's neglected coefficients carry less than `tolerance` of its second moment.

        Parseval: E[phi^2] - sum_k h_k^2 is the neglected part, and by Cauchy-Schwarz it bounds the
        error of the series at any correlation, relative to sqrt(E[phi(u)^2] E[phi(v)^2]).
        """
        lost_value = self.value_moment - jnp.sum(self.value**2, axis=0)
        lost_slope = self.slope_moment - jnp.sum(self.slope**2, axis=0)
        value_is_fine = jnp.all(lost_value <= tolerance * self.value_moment)
        return value_is_fine & jnp.all(lost_slope <= tolerance * self.slope_moment)


def value_and_slope(
    phi: Callable[[Array], Array], x: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """phi(x) and phi'(x) of an elementwise function, by forward differentiation."""
    return jax.jvp(phi, (x,), (jnp.ones_like(x),))


def second_moment(
    phi: Callable[[Array], Array], q: Float[Array, "*s"]
) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """(E[phi(u)^2], E[phi'(u)^2]) for u of variance q, by one-dimensional quadrature.

    The diagonal of `quadrature`. A closed form gives it as `f(Pair.of(q, q, q, delta=jnp.zeros_like(q)))`.
    """
    moments = expand(phi, q, 1)
    return moments.value_moment, moments.slope_moment


def expand(phi: Callable[[Array], Array], q: Float[Array, "*s"], degrees: int) -> Expansion:
    """Hermite coefficients of phi(sqrt(q) z) and phi'(sqrt(q) z), degrees 0 to degrees - 1, for each q."""
    rows = jax.lax.map(functools.partial(_project, phi, degrees), q.ravel(), batch_size=ROWS)
    return Expansion(
        jnp.moveaxis(rows.value.reshape(*q.shape, degrees), -1, 0),
        jnp.moveaxis(rows.slope.reshape(*q.shape, degrees), -1, 0),
        rows.value_moment.reshape(q.shape),
        rows.slope_moment.reshape(q.shape),
    )


def _project(phi: Callable[[Array], Array], degrees: int, q: Float[Array, ""]) -> Expansion:
    """Expansion at one variance."""
    nodes, weights = (jnp.asarray(x, q.dtype) for x in normal_rule())
    basis = jnp.asarray(hermite_basis(degrees), q.dtype)
    value, slope = value_and_slope(phi, root(q) * nodes)
    return Expansion(
        jnp.matmul(value, basis, precision="highest"),
        jnp.matmul(slope, basis, precision="highest"),
        jnp.sum(weights * value**2),
        jnp.sum(weights * slope**2),
    )


def mehler(first: Expansion, second: Expansion, pair: Pair) -> Dual:
    """Dual from the expansions at q11 and q22: k = sum_k h_k h'_k rho^k, by Horner's rule in rho = 1 - delta.

    Cost: four operations a degree for each pair. Memory: a few arrays of the result's size.
    """
    rho = 1 - pair.delta

    def add(sums: tuple[Array, Array], h: tuple[Array, Array, Array, Array]):
        k, kdot = sums
        value1, value2, slope1, slope2 = h
        return (k * rho + value1 * value2, kdot * rho + slope1 * slope2), None

    shape = jnp.broadcast_shapes(first.value_moment.shape, second.value_moment.shape, rho.shape)
    zero = jnp.zeros(shape, rho.dtype)
    terms = (first.value, second.value, first.slope, second.slope)
    (k, kdot), _ = jax.lax.scan(add, (zero, zero), terms, reverse=True, unroll=UNROLL)
    return Dual(k, kdot)
