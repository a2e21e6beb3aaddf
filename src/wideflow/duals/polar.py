"""Expectations over a Gaussian pair in polar coordinates, for functions with a kink or a jump at zero.

The plane is cut where u or v changes sign, into two sectors of angle pi - theta (equal signs) and two of
angle theta (opposite signs). Inside a sector u = r sqrt(q11) sin(x w), v = r sqrt(q22) sin((1 - x) w) for
0 < x < 1, with w the sector's angle: phi meets no kink there, and Gauss-Legendre quadrature converges fast.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .angle import angle, supplement
from .dual import Dual
from .mehler import value_and_slope
from .nodes import radial_rule, sector_rule
from .pair import Pair
from .root import root


def polar(phi: Callable[[Array], Array], pair: Pair, count: int) -> Dual:
    """Dual of phi by count x count nodes in each sector, looped over: memory is a few arrays of the result.

    Cost: 8 count^2 evaluations of phi and phi' for each pair.
    """
    std1, std2 = root(pair.q11), root(pair.q22)
    equal, opposite = supplement(pair.delta), angle(pair.delta)

    def ray(sums: Dual, node: tuple[Array, Array]) -> tuple[Dual, None]:
        x, weight = node
        same = _along(phi, std1 * jnp.sin(x * equal), std2 * jnp.sin((1 - x) * equal), count)
        mixed = _along(phi, std1 * jnp.sin(x * opposite), -std2 * jnp.sin((1 - x) * opposite), count)
        k = sums.k + weight * (equal * same.k + opposite * mixed.k)
        return Dual(k, sums.kdot + weight * (equal * same.kdot + opposite * mixed.kdot)), None

    zero = jnp.zeros(jnp.broadcast_shapes(std1.shape, std2.shape, equal.shape), equal.dtype)
    x, weights = sector_rule(count)
    rays = (jnp.asarray(x, equal.dtype), jnp.asarray(weights / (2 * np.pi), equal.dtype))
    sums, _ = jax.lax.scan(ray, Dual(zero, zero), rays)
    return _with_end_slope(sums, pair)


def _along(phi: Callable[[Array], Array], u: Float[Array, "..."], v: Float[Array, "..."], count: int) -> Dual:
    """Radial integrals of phi(r u) phi(r v) + phi(-r u) phi(-r v), and of the same with phi'."""

    def add(sums: Dual, node: tuple[Array, Array]) -> tuple[Dual, None]:
        r, weight = node
        products = _opposed_products(phi, r * u, r * v)
        return Dual(sums.k + weight * products.k, sums.kdot + weight * products.kdot), None

    zero = jnp.zeros(jnp.broadcast_shapes(u.shape, v.shape), u.dtype)
    r, weights = radial_rule(count)
    nodes = (jnp.asarray(r, u.dtype), jnp.asarray(weights, u.dtype))
    return jax.lax.scan(add, Dual(zero, zero), nodes)[0]


def _opposed_products(phi: Callable[[Array], Array], u: Float[Array, "..."], v: Float[Array, "..."]) -> Dual:
    """phi(u) phi(v) + phi(-u) phi(-v), and the same with phi'."""
    (u_ahead, du_ahead), (v_ahead, dv_ahead) = value_and_slope(phi, u), value_and_slope(phi, v)
    (u_behind, du_behind), (v_behind, dv_behind) = value_and_slope(phi, -u), value_and_slope(phi, -v)
    return Dual(u_ahead * v_ahead + u_behind * v_behind, du_ahead * dv_ahead + du_behind * dv_behind)


def _with_end_slope(dual: Dual, pair: Pair) -> Dual:
    """The dual with dk/dq12 = kdot at delta = 0 and 2, where the angle has no derivative."""
    is_end = (pair.delta == 0) | (pair.delta == 2)
    slope = jax.lax.stop_gradient(jnp.where(is_end, -pair.scale * dual.kdot, 0.0))
    return dual._replace(k=dual.k + slope * (pair.delta - jax.lax.stop_gradient(pair.delta)))
