"""Expectations over a Gaussian pair by Mehler's formula: power series in the correlation.

E[phi(u) phi(v)] = sum_k h_k(q11) h_k(q22) rho^k with h_k(q) = E[phi(sqrt(q) z) he_k(z)]: the work on phi
is one-dimensional, once per row, and each pair costs one multiplication and addition per degree.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .dual import Dual
from .nodes import hermite_basis, hermite_beyond, normal_rule
from .pair import Pair
from .root import root

# Degrees fused into one pass over the result: fewer passes over memory, at the price of compile time.
UNROLL = 8
# Rows whose nodes are held in memory together.
ROWS = 512


class Expansion(NamedTuple):
    """Hermite coefficients [k, *s] of phi and phi' at the variances [*s], with the second moments [*s].

    `value_lost`, `slope_lost` [*s]: the part of the moments that the series neglects.
    """

    value: Float[Array, "k *s"]
    slope: Float[Array, "k *s"]
    value_moment: Float[Array, "*s"]
    slope_moment: Float[Array, "*s"]
    value_lost: Float[Array, "*s"]
    slope_lost: Float[Array, "*s"]

    @property
    def value_kept(self) -> Float[Array, "*s"]:
        """E[phi^2] without the part that the series neglects."""
        return jnp.sum(self.value**2, axis=0)

    def is_complete(self, tolerance: float) -> Bool[Array, ""]:
        """Whether every row's neglected part is less than `tolerance` of its second moment.

        By Cauchy-Schwarz it bounds the error of the series at any correlation, relative to
        sqrt(E[phi(u)^2] E[phi(v)^2]).
        """
        value_is_fine = jnp.all(self.value_lost <= tolerance * self.value_moment)
        return value_is_fine & jnp.all(self.slope_lost <= tolerance * self.slope_moment)


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
    coefficients = [jnp.moveaxis(h.reshape(*q.shape, degrees), -1, 0) for h in rows[:2]]
    return Expansion(*coefficients, *(moment.reshape(q.shape) for moment in rows[2:]))


def _project(phi: Callable[[Array], Array], degrees: int, q: Float[Array, ""]) -> Expansion:
    """Expansion at one variance.

    What is neglected is the square of a rest, not the difference of two squares, which would be their rounding.
    """
    nodes, weights = normal_rule()
    constants = (np.sqrt(weights), hermite_basis(degrees), hermite_beyond(degrees))
    root_weights, basis, beyond = (jnp.asarray(x, q.dtype) for x in constants)
    functions = [f * root_weights for f in value_and_slope(phi, root(q) * jnp.asarray(nodes, q.dtype))]
    product = functools.partial(jnp.matmul, precision="highest")
    coefficients = [product(f, basis) for f in functions]
    rests = [f - product(basis, h) for f, h in zip(functions, coefficients, strict=True)]
    moments = [jnp.sum(f**2) for f in functions]
    lost = [jnp.sum(r**2) + jnp.sum(product(beyond, h) ** 2) for r, h in zip(rests, coefficients, strict=True)]
    return Expansion(*coefficients, *moments, *lost)


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
