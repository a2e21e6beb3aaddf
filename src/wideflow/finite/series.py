"""Truncated power series in one variable whose coefficients are arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

Coefficients = tuple[Any, ...]  # (u_0, u_1, …); None is zero, and so is what is missing at the end


class Series:
    """u(s) = Σ_j u_j s^j, where `u[j]` is an array or None for zero.

    Coefficients that are not `known` come from `step(j)` when they are first asked for, which may ask for the
    coefficients of other series up to j and for those of its own below j. Without a `step` they are zero. A `free`
    series depends on no series that is still unfinished, and so can be asked for all its coefficients at once.
    """

    def __init__(self, known: Sequence = (), step: Callable[[int], Any] | None = None):
        self.known = dict(enumerate(known))
        self.step = step
        self.free = True

    def __getitem__(self, j: int) -> Any:
        if j not in self.known:
            self.known[j] = None if self.step is None else self.step(j)
        return self.known[j]

    @property
    def constant(self) -> bool:
        """Whether it is known that u does not depend on s."""
        return self.step is None and all(c is None for j, c in self.known.items() if j > 0)

    def up_to(self, order: int) -> Coefficients:
        """The coefficients up to `order`, without trailing zeros."""
        u = [self[j] for j in range(order + 1)]
        while len(u) > 1 and u[-1] is None:
            u.pop()
        return tuple(u)

    def settle(self, order: int) -> None:
        """Every coefficient up to `order` now, and no others later."""
        self.known, self.step, self.free = dict(enumerate(self.up_to(order))), None, True


def is_inexact(value: Any) -> bool:
    """Whether a value, traced or abstract, has a derivative: floating point or complex."""
    return hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.inexact)


def dense(u: Coefficients, order: int) -> Coefficients:
    """The series with an array for each of the `order` + 1 coefficients."""
    zero = jnp.zeros_like(u[0])
    return tuple(zero if c is None else c for c in u) + (zero,) * (order + 1 - len(u))


def derivative(u: Series) -> Series:
    """u'(s), whose first coefficient is always an array."""

    def step(j: int) -> Any:
        c = u[j + 1]
        if c is None:
            return jnp.zeros_like(u[0]) if j == 0 else None
        return c if j == 0 else (j + 1) * c

    if u.step is not None:
        slope = Series((), step)
        slope.free = u.free
        return slope
    return Series([step(j) for j in range(max(1, max(u.known)))])


def integral_step(slope: Series, j: int) -> Any:
    """The coefficient j of u(s) from u'(s)."""
    c = slope[j - 1]
    return c if c is None or j == 1 else c / j


def linear(op: Callable[..., list], inputs: Sequence[Series], outputs: int) -> list[Series]:
    """An operation that is linear in all its inexact inputs together, such as a sum or a concatenation."""

    def column(j: int) -> list | None:
        coefficients = [u[j] for u in inputs]
        if all(c is None for c in coefficients):
            return None
        return op(*(_or_zero(c, u) for c, u in zip(coefficients, inputs, strict=True)))

    return apart(Series((), column), outputs)


def apart(columns: Series, outputs: int) -> list[Series]:
    """The series of several outputs from one whose coefficients are lists of them."""

    def part(i: int, j: int) -> Any:
        return None if columns[j] is None else columns[j][i]

    return [Series((), lambda j, i=i: part(i, j)) for i in range(outputs)]


def bilinear(op: Callable[[Array, Array], Array], u: Series, v: Series) -> Series:
    """A product (u v)_j = Σ_i u_i v_{j−i}."""
    return Series((), lambda j: convolution(op, u, v, j))


def quotient(op: Callable[[Array, Array], Array], u: Series, v: Series) -> Series:
    """y = u/v from y v = u: y_j = (u_j − Σ_{i>0} v_i y_{j−i})/v_0."""

    def step(j: int) -> Any:
        rest = difference(u[j], convolution(jnp.multiply, v, y, j, first=1))
        return None if rest is None else op(rest, v[0])

    y = Series((), step)
    return y


def exponential(value: Array, u: Series) -> Series:
    """y = exp(u) from y' = y u'; `value` is y(0)."""
    return flow(value, derivative(u), lambda y, j: y[j])


def hyperbolic_tangent(value: Array, u: Series) -> Series:
    """y = tanh(u) from y' = (1 − y²) u'; `value` is y(0)."""

    def slope(y: Series, j: int) -> Any:
        square = convolution(jnp.multiply, y, y, j)
        return 1 - square if j == 0 else difference(None, square)

    return flow(value, derivative(u), slope)


def logistic(value: Array, u: Series) -> Series:
    """y = 1/(1 + exp(−u)) from y' = (y − y²) u'; `value` is y(0)."""
    return flow(value, derivative(u), lambda y, j: difference(y[j], convolution(jnp.multiply, y, y, j)))


def scaled_bessel(values: tuple[Array, Array], u: Series) -> tuple[Series, Series]:
    """y_n = exp(−|u|) I_n(u) for n = 0, 1, from y_0' = (y_1 ∓ y_0) u' and y_1' = (y_0 ∓ y_1 − y_1/u) u' for ±u > 0.

    Where u(0) is zero up to rounding, y_1' = u'/2.
    """
    sign, far = jnp.sign(u[0]), jnp.abs(u[0]) > jnp.finfo(u[0].dtype).eps

    def slope(y: Series, j: int) -> Any:
        rest = difference(difference(zero[j], ratio[j]), None if y[j] is None else sign * y[j])
        return None if rest is None else jnp.where(far, rest, jnp.asarray(0.5 * (j == 0), rest.dtype))

    du = derivative(u)
    one = flow(values[1], du, slope)
    zero = flow(values[0], du, lambda y, j: difference(one[j], None if y[j] is None else sign * y[j]))
    ratio = quotient(jnp.divide, one, Series((), lambda j: one_where(~far, u[j], j)))
    return zero, one


def one_where(where: Array, c: Array | None, j: int) -> Array | None:
    """The coefficient j of a series that is 1 at some places and has the coefficient c elsewhere."""
    return None if c is None else jnp.where(where, jnp.asarray(j == 0, c.dtype), c)


def flow(value: Array, du: Series, slope: Callable[[Series, int], Any]) -> Series:
    """y of y' = p(y) u', where `slope(y, j)` is the coefficient p_j from y_0 … y_j."""

    def step(j: int) -> Any:
        change = convolution(jnp.multiply, du, p, j - 1)
        return change if change is None or j == 1 else change / j

    y = Series([value], step)
    p = Series((), lambda j: slope(y, j))
    return y


def convolution(op: Callable[[Array, Array], Array], u: Series, v: Series, j: int, first: int = 0) -> Any:
    """Σ_{i ≥ first} op(u_i, v_{j−i}), None where every term is zero."""
    total = None
    for i in range(first, j + 1):
        a, b = u[i], v[j - i]
        if a is not None and b is not None:
            total = op(a, b) if total is None else total + op(a, b)
    return total


def difference(a: Any, b: Any) -> Any:
    """a − b of coefficients that may be None."""
    if b is None:
        return a
    return -b if a is None else a - b


def _or_zero(coefficient: Any, u: Series) -> Any:
    """The coefficient as an array; an input that is not inexact, such as an index, is the same at every order."""
    if not is_inexact(u[0]):
        return u[0]
    return jnp.zeros_like(u[0]) if coefficient is None else coefficient
