"""From two batches of inputs to the covariance that enters a network."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..nn import Cov, Demand

HIGHEST = jax.lax.Precision.HIGHEST


def input_cov(x1: Float[Array, "n1 *s c"], x2: Float[Array, "n2 *s c"] | None, demand: Demand) -> Cov:
    """The covariance of the inputs themselves: K = x1 · x2 / channels, Θ = 0 (nothing below has parameters).

    `x2` None means `x1` with itself; the diagonal is then exact.
    """
    same, x2 = x2 is None, x1 if x2 is None else x2
    if x1.ndim == 2:
        return _vector_cov(x1, x2, same)
    q1, q2 = _own(x1, demand), _own(x2, demand)
    nngp, delta = _across(x1, x2, demand), _pixel_gap(x1, x2, demand)
    if same:
        diagonal = jnp.eye(x1.shape[0], dtype=bool).reshape(x1.shape[0], x1.shape[0], *(1,) * (nngp.ndim - 2))
        nngp = jnp.where(diagonal, q1[:, None], nngp)
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), delta, demand=demand)


def _vector_cov(x1: Array, x2: Array, same: bool) -> Cov:
    delta = angular_gap(x1, x2)
    q1, q2 = jnp.mean(x1 * x1, axis=1), jnp.mean(x2 * x2, axis=1)
    nngp = jnp.einsum("ic,jc->ij", x1, x2, precision=HIGHEST) / x1.shape[1]
    if same:
        diagonal = jnp.eye(x1.shape[0], dtype=bool)
        nngp = jnp.where(diagonal, q1[:, None], nngp)
        delta = jnp.where(diagonal, 0, delta)
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), delta)


def _own(x: Array, demand: Demand) -> Array:
    """Each input with itself: `[n, *S]`."""
    if demand is Demand.EQUAL:
        return jnp.mean(x * x, axis=-1)
    n, c = x.shape[0], x.shape[-1]
    flat = x.reshape(n, -1, c)
    q = jnp.einsum("npc,nqc->npq", flat, flat, precision=HIGHEST) / c
    return q.reshape(n, *x.shape[1:-1], *x.shape[1:-1])


def _across(x1: Array, x2: Array, demand: Demand) -> Array:
    """Each input of one batch with each of the other: `[n1, n2, *S]`."""
    n1, n2, c = x1.shape[0], x2.shape[0], x1.shape[-1]
    pixels = x1.shape[1:-1]
    flat1, flat2 = x1.reshape(n1, -1, c), x2.reshape(n2, -1, c)
    if demand is Demand.EQUAL:
        q = jnp.einsum("ipc,jpc->ijp", flat1, flat2, precision=HIGHEST) / c
        return q.reshape(n1, n2, *pixels)
    q = jnp.einsum("ipc,jqc->ijpq", flat1, flat2, precision=HIGHEST) / c
    return q.reshape(n1, n2, *pixels, *pixels)


def _pixel_gap(x1: Array, x2: Array, demand: Demand) -> Array:
    """1 − cos of the angle between the channels at two pixels: `[n1, n2, *S]`."""
    n1, n2, c = x1.shape[0], x2.shape[0], x1.shape[-1]
    pixels = x1.shape[1:-1]
    if demand is Demand.EQUAL:
        return angular_gap(x1.reshape(n1, -1, c), x2.reshape(n2, -1, c)).reshape(n1, n2, *pixels)
    size = x1.size // (n1 * c)
    gap = angular_gap(x1.reshape(-1, c), x2.reshape(-1, c)).reshape(n1, size, n2, size)
    return jnp.moveaxis(gap, 2, 1).reshape(n1, n2, *pixels, *pixels)


@jax.custom_jvp
def angular_gap(x1: Float[Array, "n1 *p d"], x2: Float[Array, "n2 *p d"]) -> Float[Array, "n1 n2 *p"]:
    """1 − cos of the angle between every two rows, at each pixel `p` where there is that axis; 1 where a row is zero.

    Rows are nearly parallel where this is small, and a product in float32 would leave only its rounding error,
    about 1e-7, of which a kernel with a kink sees the square root. So the product is taken in float64, whatever
    JAX's x64 flag says, and for pairs so close that even this loses digits the difference of the rows is summed.
    """
    with jax.enable_x64(True):
        u1, u2 = _unit(x1.astype(jnp.float64)), _unit(x2.astype(jnp.float64))
        gap = 1 - _products(u1, u2)
        close = gap < _CLOSE
        gap = jax.lax.cond(close.any(), lambda: jnp.where(close, _half_square(u1, u2), gap), lambda: gap)
        return jnp.clip(gap, 0, 2).astype(x1.dtype)


def _products(a: Array, b: Array) -> Array:
    """Inner products of every two rows, `[n1, n2, *p]`."""
    last, pixel = a.ndim - 1, tuple(range(1, a.ndim - 1))
    # einsum fails under vmap
    product = jax.lax.dot_general(a, b, (((last,), (last,)), (pixel, pixel)), precision=HIGHEST)
    return jnp.moveaxis(product, 0, -1) if pixel else product


# Below this the float64 product has fewer than nine digits of 1 − cos left.
_CLOSE = 1e-7


def _half_square(u1: Array, u2: Array) -> Array:
    """|u1 − u2|²/2 for every two rows, one row of `u1` at a time."""
    return jax.lax.map(lambda row: jnp.sum((u2 - row[None]) ** 2, axis=-1) / 2, u1)


def _unit(x: Array) -> Array:
    """Rows of length one; zero rows stay zero."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    positive = square > 0
    return jnp.where(positive, x / jnp.sqrt(jnp.where(positive, square, 1)), 0)


@angular_gap.defjvp
def _angular_gap_jvp(primals, tangents):
    (x1, x2), (dx1, dx2) = primals, tangents
    (u1, du1), (u2, du2) = jax.jvp(_unit, (x1,), (dx1,)), jax.jvp(_unit, (x2,), (dx2,))
    return angular_gap(x1, x2), -_products(du1, u2) - _products(u1, du2)
