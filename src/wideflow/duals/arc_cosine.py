"""Arc-cosine kernels: E[max(0, u)^n max(0, v)^n] for unit variances and a correlation 1 - delta.

Kernel n is (A_n(c) sin(theta) + B_n(c) (pi - theta)) / (2 pi) with c = cos(theta) and integer polynomials
A_n, B_n (Cho and Saul 2009). Its derivative in c is n^2 times kernel n - 1, which fixes the polynomials.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .angle import bend, supplement
from .coefficients import evaluate
from .root import root


def step_kernel(delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Arc-cosine kernel of order 0: (pi - theta) / (2 pi), to full relative accuracy near theta = pi."""
    return supplement(delta) / (2 * np.pi)


def hinge_kernel(delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Arc-cosine kernel of order 1: (sin t + (pi - t) cos t) / (2 pi), relatively accurate at both ends."""
    is_obtuse = delta > 1
    lag = bend(jnp.where(is_obtuse, 2 - delta, delta)) / np.pi
    return jnp.where(is_obtuse, lag, 1 - delta + lag) / 2


@functools.cache
def _polynomials(order: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Integer coefficients of A_n (n of them) and B_n (n + 1 of them), lowest degree first."""
    if order == 0:
        return (), (1,)
    a_last, b_last = _polynomials(order - 1)
    a_last = (0, 0, *a_last, 0, 0, 0)  # a_last[k + 2] is the coefficient of c^k
    # B_n(c) = E[u^n v^n]: its slope is n^2 B_{n-1}, its constant is (E u^n)^2.
    odd_factorial = int(np.prod(np.arange(order - 1, 0, -2), dtype=object)) if order % 2 == 0 else 0
    b = [odd_factorial**2] + [order**2 * b_last[k - 1] // k for k in range(1, order + 1)]
    a = [0] * (order + 2)
    for k in range(order, 0, -1):
        inherited = order**2 * (a_last[k + 2] - a_last[k])
        a[k - 1] = ((k + 1) * a[k + 1] + b[k] - inherited) // k
    return tuple(a[:order]), tuple(b)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def arc_cosine(order: int, delta: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Arc-cosine kernel of any order n >= 0, E[max(0, u)^n max(0, v)^n] for unit variances.

    Elementwise, finite on the diagonal (delta = 0) together with its derivatives. Full relative accuracy
    for n <= 1; beyond, accuracy relative to the diagonal's value.
    """
    if order == 0:
        return step_kernel(delta)
    if order == 1:
        return hinge_kernel(delta)
    a, b = (tuple(float(c) for c in p) for p in _polynomials(order))
    cosine = 1 - delta
    sine = root(delta * (2 - delta))
    return (evaluate(a, cosine) * sine + evaluate(b, cosine) * supplement(delta)) / (2 * np.pi)


@arc_cosine.defjvp
def _arc_cosine_jvp(order, primals, tangents):
    (delta,), (tangent,) = primals, tangents
    if order == 0:
        return jax.jvp(step_kernel, primals, tangents)
    return arc_cosine(order, delta), -(order**2) * arc_cosine(order - 1, delta) * tangent
