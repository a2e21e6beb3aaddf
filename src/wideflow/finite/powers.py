"""Power series of powers u^v, negative and zero bases included."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from .series import Series, bilinear, convolution, derivative, flow, integral_step, one_where, quotient


def integer_power(u: Series, n: int) -> Series:
    """u^n as repeated products, exact where u(0) = 0; for negative n the reciprocal of u^−n."""
    one = Series([jnp.ones_like(u[0])])
    if n < 0:
        return quotient(jnp.divide, one, integer_power(u, -n))
    return _by_squaring(u, n.bit_length(), one, lambda b, yes, no: yes if n >> b & 1 else no)


def whole_power(u: Series, n: Array, largest: int) -> Series:
    """u^n for an array n of whole numbers 0 … largest."""

    def choice(b: int, yes: Series, no: Series) -> Series:
        bit = (n >> b & 1).astype(bool)
        zero = jnp.zeros_like(u[0])
        return Series((), lambda j: jnp.where(bit, *(zero if c is None else c for c in (yes[j], no[j]))))

    return _by_squaring(u, largest.bit_length(), Series([jnp.ones_like(u[0])]), choice)


def _by_squaring(u: Series, bits: int, one: Series, choice: Callable[[int, Series, Series], Series]) -> Series:
    result = one
    for b in range(bits):
        result = choice(b, u if result is one else bilinear(jnp.multiply, result, u), result)
        u = bilinear(jnp.multiply, u, u)
    return result


def power(value: Array, u: Series, v: Series, whole: Series | None) -> Series:
    """y = u^v from y' = y (v u'/u + log(u) v'); `value` is y(0).

    Where u(0) = 0 and v stays at a number from 0, 1, …, y is `whole`, None for an exponent that is not such a number.
    In every other case at u(0) = 0, coefficients below v(0) are zero, that at v(0) is u_1^v(0), and later ones are NaN
    unless u stays zero.
    """
    zero = u[0] == 0
    away = _away_from_zero(value, Series((), lambda j: one_where(zero, u[j], j)), v)
    if u.constant:
        return away
    still = Series([zero], lambda j: still[j - 1] if u[j] is None else still[j - 1] & (u[j] == 0))
    exponent = jnp.real(v[0])

    def at_zero(j: int) -> Array:
        otherwise = jnp.where((j < exponent) | still[j], 0, jnp.nan).astype(value.dtype)
        if whole is None:
            return otherwise
        exact = (exponent == jnp.round(exponent)) & (exponent >= (0 if v.constant else j))
        return jnp.where(exact, 0 if whole[j] is None else whole[j], otherwise)

    return Series([value], lambda j: jnp.where(zero, at_zero(j), 0 if away[j] is None else away[j]))


def _away_from_zero(value: Array, u: Series, v: Series) -> Series:
    du, dv = derivative(u), derivative(v)
    rate = quotient(jnp.divide, du, u)
    log = Series([jnp.log(u[0])], lambda j: integral_step(rate, j))

    def growth(j: int) -> Array | None:
        one = convolution(jnp.multiply, v, rate, j)
        two = None if v.constant else convolution(jnp.multiply, log, dv, j)
        return one if two is None else two if one is None else one + two

    return flow(value, Series((), growth), lambda y, j: y[j])
