"""Truncated power series through any traced function, equation by equation."""

from collections.abc import Callable, Sequence
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal

from .operation import bind
from .powers import integer_power, power, whole_power
from .scan_parts import scan_parts
from .series import (
    Coefficients,
    Series,
    apart,
    bilinear,
    convolution,
    dense,
    exponential,
    hyperbolic_tangent,
    is_inexact,
    linear,
    logistic,
    quotient,
    scaled_bessel,
)
from .slope import Expansion, Slope
from .solves import custom_linear_solve, triangular_solve, tridiagonal_solve

Rule = Callable[[JaxprEqn, list[Series], Expansion], list[Series]]


def propagate(closed: ClosedJaxpr, inputs: Sequence[Coefficients], order: int) -> list[Coefficients]:
    """The series of a function's outputs, up to s^order, from those of its inputs.

    Linear operations act on each coefficient; products, quotients, powers, linear solves and some functions have
    recurrences; scan, while, cond, checkpoint and jit carry series inside. Every other operation y = g(u) is found from
    y' = Dg(u) u', coefficient by coefficient, so that g in its own derivative is the series found so far: exact for
    every operation that JAX can differentiate forwards, custom rules included.

    Each operation costs order² products of its own size, with these exceptions. A runtime exponent costs
    order² log(order). Functions whose derivatives are new functions without end (lgamma, digamma, polygamma, sinc, a
    custom_jvp that calls itself at another point) cost order³, or more if each derivative needs several new ones. A
    scan, while, cond or checkpoint inside a custom_jvp is done once for each coefficient if it needs the value of that
    function, so order³. A custom_linear_solve traces order³ equations if its matvec multiplies by parameters twice.
    """
    starts = []
    for coefficients in inputs:
        starts.append(Series(coefficients[: order + 1]))
        starts[-1].settle(order)
    return [u.up_to(order) for u in Expansion(_equation, order).inlined(closed, starts)]


def _equation(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    name = equation.primitive.name
    constant = name == "stop_gradient" or not any(is_inexact(v.aval) for v in equation.outvars)
    if constant or all(u.constant for u in inputs):
        return [Series([value]) for value in bind(equation, *(u[0] for u in inputs))]
    rule = _RULES.get(name, _by_derivative)
    outputs = rule(equation, inputs, scope)
    outputs = [u if is_inexact(v.aval) else Series([u[0]]) for u, v in zip(outputs, equation.outvars, strict=True)]
    for u in outputs:
        u.free = rule is not _by_derivative and all(v.free for v in inputs)
    return outputs


def _by_derivative(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    """y(s) from y(0) and y'(s) = Dg(u(s)) u'(s), for any operation g."""
    outputs = [Series([value]) for value in bind(equation, *(u[0] for u in inputs))]
    slope = Slope(scope, equation, inputs, outputs)
    for i, (u, v) in enumerate(zip(outputs, equation.outvars, strict=True)):
        if is_inexact(v.aval):
            u.step = partial(slope.coefficient, i)
    return outputs


def _refused(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    raise TypeError(
        "taylor: f holds a function with a custom_vjp, which JAX cannot differentiate forwards; give it a custom_jvp"
    )


def _linear(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return linear(partial(bind, equation), inputs, len(equation.outvars))


def _product(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return [bilinear(_one(equation), *inputs)]


def _scattered_product(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    """Factors v at some places of u; elsewhere u stays, which the terms v_i with i > 0 must not repeat."""
    u, places, v = inputs

    def product(a: Array, b: Array) -> Array:
        return bind(equation, a, places[0], b)[0]

    def change(b: Array, a: Array) -> Array:
        return product(a, b) - product(a, jnp.zeros_like(b))

    def step(j: int) -> Array | None:
        first, rest = None if u[j] is None else product(u[j], v[0]), convolution(change, v, u, j, first=1)
        return first if rest is None else rest if first is None else first + rest

    return [Series((), step)]


def _quotient(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return [quotient(_one(equation), *inputs)]


def _one(equation: JaxprEqn) -> Callable[..., Array]:
    return lambda *values: bind(equation, *values)[0]


def _elementwise(function: Callable[[Array, Series], Series]) -> Rule:
    return lambda equation, inputs, scope: [function(_one(equation)(inputs[0][0]), inputs[0])]


def _scaled_bessel(degree: int) -> Rule:
    def rule(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
        u = inputs[0]
        return [scaled_bessel((jax.lax.bessel_i0e(u[0]), jax.lax.bessel_i1e(u[0])), u)[degree]]

    return rule


def _square(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return [integer_power(inputs[0], 2)]


def _integer_power(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return [integer_power(inputs[0], equation.params["y"])]


def _power(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    (u, v), exponent = inputs, equation.invars[1]
    whole = None
    if isinstance(exponent, Literal):
        c = complex(exponent.val)
        if c.imag == 0 and c.real >= 0 and c.real.is_integer():
            return [integer_power(u, int(c.real))]
    else:
        largest = scope.order + 1
        whole = whole_power(u, jnp.clip(jnp.real(v[0]), 0, largest).astype(int), largest)
    value = _one(equation)(u[0], v[0])
    v = v if is_inexact(v[0]) else Series([v[0].astype(value.dtype)])
    return [power(value, u, v, whole)]


def _inlined(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
    return scope.inlined(equation.params["jaxpr"], inputs)


def _at_once(rule: Callable[[JaxprEqn, list[Coefficients], int], Sequence[Coefficients]]) -> Rule:
    """A rule for all coefficients together: done again for each one while the inputs are themselves unfinished."""

    def run(equation: JaxprEqn, inputs: list[Series], scope: Expansion) -> list[Series]:
        @cache
        def outputs(order: int) -> Sequence[Coefficients]:
            return rule(equation, [u.up_to(order) for u in inputs], order)

        def column(j: int) -> list:
            order = max(j, scope.order) if all(u.free for u in inputs) else j
            return [u[j] if j < len(u) else None for u in outputs(order)]

        return apart(Series((), column), len(equation.outvars))

    return run


def _checkpoint(equation: JaxprEqn, inputs: list[Coefficients], order: int) -> Sequence[Coefficients]:
    closed = ClosedJaxpr(equation.params["jaxpr"], ())
    options = {name: equation.params[name] for name in ("policy", "prevent_cse")}
    return jax.checkpoint(lambda *series: propagate(closed, series, order), **options)(*inputs)


def _scan(equation: JaxprEqn, inputs: list[Coefficients], order: int) -> Sequence[Coefficients]:
    params, closed = equation.params, equation.params["jaxpr"]
    before, after = scan_parts(equation)
    consts, start, rows = inputs[:before], _filled(inputs[before:after], order), inputs[after:]

    def body(carry: list[Coefficients], row: list[Coefficients]) -> tuple[list[Coefficients], list[Coefficients]]:
        outputs = propagate(closed, [*consts, *carry, *row], order)
        return _filled(outputs[: len(start)], order), outputs[len(start) :]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    carry, stacked = jax.lax.scan(body, start, rows, **options)
    return [*carry, *stacked]


def _while(equation: JaxprEqn, inputs: list[Coefficients], order: int) -> Sequence[Coefficients]:
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    test_consts, body_consts, start = inputs[:first], inputs[first:second], _filled(inputs[second:], order)

    def goes_on(carry: list[Coefficients]) -> Array:
        return propagate(params["cond_jaxpr"], [*test_consts, *carry], 0)[0][0]

    def body(carry: list[Coefficients]) -> list[Coefficients]:
        return _filled(propagate(params["body_jaxpr"], [*body_consts, *carry], order), order)

    return jax.lax.while_loop(goes_on, body, start)


def _cond(equation: JaxprEqn, inputs: list[Coefficients], order: int) -> Sequence[Coefficients]:
    (index,), *operands = inputs
    branches = [partial(_branch, closed, order) for closed in equation.params["branches"]]
    return jax.lax.switch(index, branches, operands)


def _branch(closed: ClosedJaxpr, order: int, operands: list[Coefficients]) -> list[Coefficients]:
    return _filled(propagate(closed, operands, order), order)


def _filled(series: Sequence[Coefficients], order: int) -> list[Coefficients]:
    """Series of one structure, as the carry of a loop and the results of branches must have."""
    return [dense(u, order) if is_inexact(u[0]) else u for u in series]


_LINEAR = (
    "add add_any sub neg reduce_sum cumsum reduce_window_sum broadcast_in_dim reshape transpose squeeze slice "
    "dynamic_slice dynamic_update_slice concatenate split pad rev select_n convert_element_type copy"
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_LINEAR.split(), _linear),
    **dict.fromkeys(("mul", "dot_general", "conv_general_dilated"), _product),
    **dict.fromkeys(("scatter-mul", "scatter_mul"), _scattered_product),
    "div": _quotient,
    "pow": _power,
    "integer_pow": _integer_power,
    "square": _square,
    "exp": _elementwise(exponential),
    "tanh": _elementwise(hyperbolic_tangent),
    "logistic": _elementwise(logistic),
    "bessel_i0e": _scaled_bessel(0),
    "bessel_i1e": _scaled_bessel(1),
    "triangular_solve": triangular_solve,
    "tridiagonal_solve": tridiagonal_solve,
    "custom_linear_solve": custom_linear_solve,
    **dict.fromkeys(("jit", "pjit", "closed_call"), _inlined),
    **dict.fromkeys(("remat2", "checkpoint"), _at_once(_checkpoint)),
    "scan": _at_once(_scan),
    "while": _at_once(_while),
    "cond": _at_once(_cond),
    **dict.fromkeys(("custom_vjp_call", "custom_vjp_call_jaxpr"), _refused),
}
