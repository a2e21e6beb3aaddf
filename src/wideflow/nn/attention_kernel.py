"""What attention does to a covariance of every pair of pixels (Hron et al. 2020)."""

from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool

from ..duals import Pair
from ..duals.root import root
from .activation import Activation
from .cov import Cov
from .equal_inputs import equal_inputs, equal_pixels
from .mixing import delta_within, distance, ratio
from .powers import Identity

HIGHEST = jax.lax.Precision.HIGHEST
_SURE = 0.01  # a sum smaller than this part of its terms is not divided by


# Which pixels can be looked at, `[n1, pixels]` and `[n2, pixels]`, or all of them. The values of others are zero.
Keys = tuple[Bool[Array, "n1 p"], Bool[Array, "n2 p"]] | None


def attention(phi: Activation | None, scores: Array, keys: Array | None = None) -> Array:
    """φ of the scores, or their softmax along the last axis, there over the `keys` alone (which broadcast)."""
    return jax.nn.softmax(scores, axis=-1, where=keys) if phi is None else phi.phi(scores)


@jax.jit
def sure_scores(phi: Activation | None, k: Cov, seen: Cov, strength: Array, keys: Keys = None) -> Cov:
    """p K p'ᵀ and p Θ p'ᵀ with p = attention(φ, strength · K_seen(x, x)): scores that have become numbers.

    `seen`: the covariance that queries and keys see.
    """
    pixels = k.pixel_shape
    k, seen = _flat(k), _flat(seen)
    keys1, keys2 = (None, None) if keys is None else (side[:, None] for side in keys)
    p1, p2 = attention(phi, strength * seen.q1, keys1), attention(phi, strength * seen.q2, keys2)  # [n, pixels, pixels]
    mean = lambda x: jnp.einsum("iap,ijpq,jbq->ijab", p1, x, p2, precision=HIGHEST)  # noqa: E731
    own = lambda q, p: jnp.einsum("iap,ipq,ibq->iab", p, q, p, precision=HIGHEST)  # noqa: E731
    new = k.replace(q1=own(k.q1, p1), q2=own(k.q2, p2), nngp=mean(k.nngp), ntk=mean(k.ntk))
    t = ratio(k)
    gap = distance(k, t)
    new = new.replace(delta=delta_within(new, _at_equal(_difference(k, p1, p2, gap, t) ** 2), t))
    bound, factor = _between_any(p1, p2, gap)
    return _with_pixels(new.replace(delta=delta_within(new, bound**2, t * factor)), pixels)


def _difference(k: Cov, p1: Array, p2: Array, gap: Array, t: Array) -> Array:
    """At least √Var(F − t G) at equal pixels: Σ |p| √Var(f − t g) + Σ |p − p'| √Var(t g), `[n1, n2, pixels]`."""
    v2 = root(jnp.diagonal(k.q2, axis1=1, axis2=2))
    apart = jnp.einsum("ijap,jp->ija", jnp.abs(p1[:, None] - p2[None]), v2, precision=HIGHEST)
    return jnp.einsum("iap,ijp->ija", jnp.abs(p1), k.equal(gap), precision=HIGHEST) + t[..., 0] * apart


def _between_any(p1: Array, p2: Array, gap: Array) -> tuple[Array, Array]:
    """A bound on √Var(F − t (s/s') G) at every pair of pixels, and s/s', for attention of sums s and s'.

    F − t (s/s') G = Σ_ij p_ai p'_bj (f_i − t g_j) / s' vanishes for images without contrast.
    """
    (s1, sure1), (s2, sure2) = (_row_sums(p) for p in (p1, p2))
    s1, s2 = s1[:, None, :, None], s2[None, :, None, :]
    alike = sure1[:, None, :, None] & sure2[None, :, None, :] & (s1 * s2 > 0)
    divisor = jnp.where(alike, s2, 1)
    total = jnp.einsum("iap,ijpq,jbq->ijab", jnp.abs(p1), gap, jnp.abs(p2), precision=HIGHEST)
    return jnp.where(alike, total / jnp.abs(divisor), jnp.inf), jnp.where(alike, s1 / divisor, 1)


def _row_sums(p: Array) -> tuple[Array, Array]:
    """The sums of attention over pixels, and whether they are more than what rounding may leave of larger terms."""
    total = jnp.sum(p, axis=-1)
    return total, jnp.abs(total) > _SURE * jnp.sum(jnp.abs(p), axis=-1)


def _at_equal(bound: Array) -> Array:
    """A bound `[n1, n2, pixels]` at equal pixels, infinity at different ones."""
    return jnp.where(np.eye(bound.shape[-1], dtype=bool)[None, None], bound[..., None], jnp.inf)


class _Sums(NamedTuple):
    """Σ_ij E[φ_ai φ'_bj] x_ij for each x of `values`, and Σ_ij E[φ̇_ai φ̇'_bj] x_ij for each of `slopes`."""

    values: list[Array]
    slopes: list[Array]


@jax.jit
def gaussian_scores(phi: Activation, k: Cov, seen: Cov, strength: Array, w_value: Any, own: tuple[Array, Array]) -> Cov:
    """Kernels of Σ_i φ(G_ai) v_i for Gaussian scores G and values v = w_value/√fan_in x V, in the mean over heads.

    E[G_ai G'_bj] = s² S_ab S_ij with S = K_seen and s = `strength`. The NTK of the scores, of queries, keys, and what
    is below both, is r S_ab S_ij + s² (Θ_ab S_ij + S_ab Θ_ij). `own`: what the weights of
    the values put into the NTK, times their K, and r, that of queries and keys together.
    """
    pixels, weight = k.pixel_shape, jnp.asarray(w_value, k.nngp.dtype) ** 2
    of_values, of_scores = own
    k, seen = _flat(k), _flat(seen)
    variances = [
        _sums(phi, seen.own_pair(s), strength, [q], []).values[0] for s, q in ((seen.q1, k.q1), (seen.q2, k.q2))
    ]
    S, T = seen.nngp, seen.ntk
    (K, through_values), (by_queries, by_keys) = _sums(
        phi, seen.pair(), strength, [k.nngp, k.ntk], [k.nngp * S, k.nngp * T]
    )
    through_scores = (of_scores * S + strength**2 * T) * by_queries + strength**2 * S * by_keys
    new = k.replace(
        q1=weight * variances[0],
        q2=weight * variances[1],
        nngp=weight * K,
        ntk=of_values * K + weight * (through_values + through_scores),
    )
    alike = equal_inputs(k)[..., None, None] & equal_pixels(seen)  # the same query, looking at the same pixels
    bound = jnp.where(alike, jnp.zeros_like(S), jnp.inf)  # all that is known
    delta = delta_within(new, bound, jnp.ones((*S.shape[:2], 1, 1), S.dtype))
    return _with_pixels(new.replace(delta=delta), pixels)


def _sums(phi: Activation, pair: Pair, strength: Array, values: list[Array], slopes: list[Array]) -> _Sums:
    """The sums over i, j for every a, b; `pair`: what queries and keys see, `[*n, pixels, pixels]`."""
    square, shape = strength**2, values[0].shape
    total = lambda x: jnp.sum(x, axis=(-2, -1))  # noqa: E731
    if isinstance(phi, Identity):
        spread = lambda x: jnp.broadcast_to(total(x)[..., None, None], shape)  # noqa: E731
        return _Sums([square * pair.q12 * spread(pair.q12 * x) for x in values], [spread(x) for x in slopes])
    pair = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), pair)

    def at(ab: Pair) -> _Sums:
        """The sums for one pair of pixels a, b; arrays `[*n, 1, 1]`."""
        product = lambda x, y: square * x * y  # noqa: E731
        score = Pair(
            product(ab.q11, pair.q11),
            product(ab.q12, pair.q12),
            product(ab.q22, pair.q22),
            ab.delta + pair.delta - ab.delta * pair.delta,
        )
        dual = phi.moments(score)
        return _Sums([total(dual.k * x) for x in values], [total(dual.kdot * x) for x in slopes])

    each = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(*shape[:-2], -1, 1, 1), -3, 0), pair)  # [pixels², *n, 1, 1]
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1).reshape(shape), jax.lax.map(at, each))


def _flat(k: Cov) -> Cov:
    """The same over one axis of pixels."""
    size = prod(k.pixel_shape)
    return jax.tree.map(lambda x: x.reshape(*x.shape[: x.ndim - 2 * k.pixels], size, size), k)


def _with_pixels(k: Cov, pixels: tuple[int, ...]) -> Cov:
    return jax.tree.map(lambda x: x.reshape(*x.shape[:-2], *pixels, *pixels), k)
