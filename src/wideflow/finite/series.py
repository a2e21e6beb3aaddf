"""Truncated power series in one variable whose coefficients are arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

Series = tuple[Any, ...]  # (u_0, u_1, …) of u(s) = Σ_j u_j s^j; None is zero, and so is what is missing at the end


def is_inexact(value: Any) -> bool:
    """Whether a value, traced or abstract, has a derivative: floating point or complex."""
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact)


def truncated(u: Series, order: int) -> Series:
    """The coefficients up to `order`, without trailing zeros."""
    u = u[: order + 1]
    while len(u) > 1 and u[-1] is None:
        u = u[:-1]
    return u


def dense(u: Series, order: int) -> Series:
    """The series with an array for each of the `order` + 1 coefficients."""
    zero = jnp.zeros_like(u[0])
    return tuple(zero if c is None else c for c in u) + (zero,) * (order + 1 - len(u))


def derivative(u: Series) -> Series:
    """u'(s), whose first coefficient is always an array; `u` has a coefficient beyond the first."""
    first, *rest = (None if c is None else j * c for j, c in enumerate(u[1:], start=1))
    return (jnp.zeros_like(u[0]) if first is None else first, *rest)


def antiderivative(value: Array, slope: Series) -> Series:
    """u(s) from u(0) and u'(s)."""
    return (value, *(None if c is None else c / j for j, c in enumerate(slope, start=1)))


def linear(op: Callable[..., list], inputs: Sequence[Series], order: int) -> list[Series]:
    """An operation that is linear in all its inexact inputs together, such as a sum or a concatenation."""
    degree = min(order, max(len(u) for u in inputs) - 1)
    columns = [op(*(u[0] for u in inputs))]
    for j in range(1, degree + 1):
        column = [_coefficient(u, j) for u in inputs]
        if all(c is None for c in column):
            columns.append([None] * len(columns[0]))
        else:
            columns.append(op(*(_or_zero(c, u[0]) for c, u in zip(column, inputs, strict=True))))
    return [tuple(output) for output in zip(*columns, strict=True)]


def bilinear(op: Callable[[Array, Array], Array], u: Series, v: Series, order: int) -> Series:
    """A product (u v)_j = Σ_i u_i v_{j−i}."""
    return tuple(convolution(op, u, v, j) for j in range(min(order, len(u) + len(v) - 2) + 1))


def quotient(op: Callable[[Array, Array], Array], u: Series, v: Series, order: int) -> Series:
    """y = u/v from y v = u: y_j = (u_j − Σ_{i<j} y_i v_{j−i})/v_0."""
    y: list = [op(u[0], v[0])]
    for j in range(1, order + 1):
        rest = _difference(_coefficient(u, j), convolution(jnp.multiply, (*y, None), v, j))
        y.append(None if rest is None else op(rest, v[0]))
    return tuple(y)


def exponential(value: Array, u: Series, order: int) -> Series:
    """y = exp(u) from y' = y u'; `value` is y(0)."""
    return _flow(value, u, order, lambda y, j: y[j])


def hyperbolic_tangent(value: Array, u: Series, order: int) -> Series:
    """y = tanh(u) from y' = (1 − y²) u'; `value` is y(0)."""

    def slope(y: Series, j: int) -> Any:
        square = convolution(jnp.multiply, y, y, j)
        return 1 - square if j == 0 else _difference(None, square)

    return _flow(value, u, order, slope)


def logistic(value: Array, u: Series, order: int) -> Series:
    """y = 1/(1 + exp(−u)) from y' = (y − y²) u'; `value` is y(0)."""
    return _flow(value, u, order, lambda y, j: _difference(y[j], convolution(jnp.multiply, y, y, j)))


def _flow(value: Array, u: Series, order: int, slope: Callable[[Series, int], Any]) -> Series:
    """y of y' = p(y) u', where `slope(y, j)` is the coefficient p_j from y_0 … y_j."""
    du = derivative(u)
    y: list = [value]
    p = []
    for j in range(order):
        p.append(slope(tuple(y), j))
        change = convolution(jnp.multiply, du, tuple(p), j)
        y.append(None if change is None else change / (j + 1))
    return tuple(y)


def convolution(op: Callable[[Array, Array], Array], u: Series, v: Series, j: int) -> Any:
    """Σ_i op(u_i, v_{j−i}), None where every term is zero."""
    total = None
    for i in range(j + 1):
        a, b = _coefficient(u, i), _coefficient(v, j - i)
        if a is not None and b is not None:
            total = op(a, b) if total is None else total + op(a, b)
    return total


def _coefficient(u: Series, j: int) -> Any:
    return u[j] if j < len(u) else None


def _or_zero(coefficient: Any, first: Any) -> Any:
    """The coefficient as an array; an input that is not inexact, such as an index, is the same at every order."""
    if not is_inexact(first):
        return first
    return jnp.zeros_like(first) if coefficient is None else coefficient


def _difference(a: Any, b: Any) -> Any:
    if b is None:
        return a
    return -b if a is None else a - b
