"""Power series of the solutions of linear systems A(s) x(s) = b(s)."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.extend.core import JaxprEqn

from .operation import bind
from .series import Series, apart, convolution, difference
from .slope import Expansion, Slope

Product = Callable[[Array, Array], Array]


def triangular_solve(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    """x of A x = b or x A = b for a triangle A, with the options of the operation."""
    a, b = inputs
    params = equation.params
    masked = Series((), lambda j: None if a[j] is None else _triangle(a[j], params))

    def product(c: Array, x: Array) -> Array:
        return jnp.matmul(*((c, x) if params["left_side"] else (x, c)), precision="highest")

    return [_solution(lambda rest: bind(equation, a[0], rest)[0], [(product, masked)], b)]


def _triangle(a: Array, params: dict[str, Any]) -> Array:
    """What a coefficient of the matrix does; none but the first has a part in a unit diagonal."""
    off = int(params["unit_diagonal"])
    a = jnp.tril(a, -off) if params["lower"] else jnp.triu(a, off)
    a = jnp.swapaxes(a, -1, -2) if params["transpose_a"] else a
    return a.conj() if params["conjugate_a"] else a


def tridiagonal_solve(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    """x of A x = b for a matrix of three diagonals."""
    lower, middle, upper, b = inputs
    first = tuple(u[0] for u in (lower, middle, upper))
    terms = [(_below, lower), (lambda d, x: d[..., None] * x, middle), (_above, upper)]
    return [_solution(lambda rest: bind(equation, *first, rest)[0], terms, b)]


def _below(d: Array, x: Array) -> Array:
    return jnp.zeros_like(x).at[..., 1:, :].set(d[..., 1:, None] * x[..., :-1, :])


def _above(d: Array, x: Array) -> Array:
    return jnp.zeros_like(x).at[..., :-1, :].set(d[..., :-1, None] * x[..., 1:, :])


def _solution(solve: Callable[[Array], Array], terms: Sequence[tuple[Product, Series]], b: Series) -> Series:
    """x_j = A_0⁻¹ (b_j − Σ_{i>0} A_i x_{j−i}), where A x is the sum of the `terms`."""

    def step(j: int) -> Any:
        rest = b[j]
        for product, a in terms:
            rest = difference(rest, convolution(product, a, x, j, first=1))
        return None if rest is None else solve(rest)

    x = Series((), step)
    return x


def custom_linear_solve(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    """x_j = A_0⁻¹ (b_j − [A(s) Σ_{i<j} x_i s^i]_j), with the product and the solver of the operation itself."""
    lengths, matvec = equation.params["const_lengths"], equation.params["jaxprs"].matvec
    split = sum(lengths)
    consts, b = inputs[:split], inputs[split:]
    products = Slope(scope, equation, inputs, [])  # for what they share
    first = [u[0] for u in consts]

    def column(j: int) -> list:
        if j == 0:
            return bind(equation, *first, *(u[0] for u in b))
        before = [Series([x[i] for i in range(j)]) for x in solution]
        product = products.inlined(matvec, [*consts[: lengths.matvec], *before])
        rests = [difference(u[j], c[j]) for u, c in zip(b, product, strict=True)]
        if all(r is None for r in rests):
            return [None] * len(equation.outvars)
        rests = [jnp.zeros_like(u[0]) if r is None else r for r, u in zip(rests, b, strict=True)]
        return bind(equation, *first, *rests)

    solution = apart(Series((), column), len(equation.outvars))[: len(b)]
    rest = bind(equation, *(u[0] for u in inputs))[len(b) :]  # what a solver reports has no derivative
    return [*solution, *(Series([value]) for value in rest)]
