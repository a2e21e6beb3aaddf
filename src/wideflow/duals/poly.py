"""Powers and polynomials."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from .dual import Dual
from .hyper import scalars
from .pair import Pair


def identity(pair: Pair) -> Dual:
    """Dual of x: k = q12, kdot = 1."""
    return Dual(pair.q12, jnp.ones_like(pair.q12), pair.delta)


def monomial(pair: Pair, degree: int) -> Dual:
    """Dual of x^n for an integer n >= 0: `polynomial` with a single coefficient."""
    if degree < 0:
        raise ValueError(f"monomial(degree={degree}): the degree must be 0 or more. Use 1 for the identity.")
    return polynomial(pair, (0.0,) * degree + (1.0,))


def polynomial(pair: Pair, coefficients: Sequence[ScalarLike] | Float[Array, " n"]) -> Dual:
    """Dual of sum_m c_m x^m, lowest degree first: k = sum_j j! g_j(q11) g_j(q22) q12^j.

    g_j(q) = sum_i c_{j + 2 i} (j + 2 i)! / (i! j! 2^i) q^i is E[phi^(j)(u)] / j!, a polynomial in the
    variance alone. Cost: four operations a degree for each pair. Factorials overflow float32 at degree 34.
    """
    c = scalars(pair, *coefficients)
    k = kdot = jnp.zeros_like(pair.q12)
    for j in reversed(range(len(c))):
        first, second = (_mean_derivative(c, j, q) for q in (pair.q11, pair.q22))
        term = float(math.factorial(j)) * (first * second)
        kdot = kdot * pair.q12 + j * term if j else kdot
        k = k * pair.q12 + term
    return Dual(k, kdot)


def _mean_derivative(c: tuple[Float[Array, ""], ...], order: int, q: Float[Array, "..."]) -> Float[Array, "..."]:
    """E[phi^(j)(u)] / j! for u of variance q, by Horner's rule."""
    value = jnp.zeros_like(q)
    for i in reversed(range((len(c) - order + 1) // 2)):
        degree = order + 2 * i
        ways = math.comb(degree, order) * math.prod(range(2 * i - 1, 0, -2))
        value = value * q + float(ways) * c[degree]
    return value
