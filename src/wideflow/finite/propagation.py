"""Truncated power series through any traced function, equation by equation."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from .scan_parts import scan_parts
from .series import (
    Series,
    antiderivative,
    bilinear,
    dense,
    derivative,
    exponential,
    hyperbolic_tangent,
    is_inexact,
    linear,
    logistic,
    quotient,
    truncated,
)

Rule = Callable[[JaxprEqn, list[Series], int], list[Series]]


def propagate(closed: ClosedJaxpr, inputs: Sequence[Series], order: int) -> list[Series]:
    """The series of a function's outputs, up to s^order, from those of its inputs.

    Sums and reshapes act on each coefficient; products, quotients, exp, tanh and the logistic function are
    recurrences that cost order²; scan, while, cond, checkpoint and jit carry series inside. Every other operation
    y = g(u) is integrated from y' = Dg(u) u', whose series is propagated to one order less: exact for every operation
    that JAX can differentiate forwards, custom rules included, and without the 2^order of nested derivatives as long as
    the derivative of an operation holds one operation of that kind.
    """
    inputs = [truncated(u, order) for u in inputs]
    jaxpr = closed.jaxpr
    series = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*((c,) for c in closed.consts), *inputs], strict=True))

    def read(variable: Any) -> Series:
        if isinstance(variable, Literal):
            return (jax.numpy.asarray(variable.val, getattr(variable.aval, "dtype", None)),)
        return series[variable]

    for equation in _live(jaxpr):
        outputs = _equation(equation, [read(v) for v in equation.invars], order)
        series.update(zip(equation.outvars, outputs, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _live(jaxpr: Jaxpr) -> list[JaxprEqn]:
    """The equations that the outputs depend on; a derivative alone needs few of those that came with it."""
    needed = {id(v) for v in jaxpr.outvars}
    live = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(v) in needed for v in equation.outvars):
            live.append(equation)
            needed.update(id(v) for v in equation.invars)
    return live[::-1]


def _equation(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    name = equation.primitive.name
    constant = name == "stop_gradient" or not any(is_inexact(v.aval) for v in equation.outvars)
    if constant or all(len(u) == 1 for u in inputs):
        return [(value,) for value in _bind(equation, *(u[0] for u in inputs))]
    outputs = _RULES.get(name, _by_derivative)(equation, inputs, order)
    return [truncated(u, order) for u in outputs]


def _bind(equation: JaxprEqn, *values: Any) -> list:
    """The operation itself, on values."""
    primitive, bound = equation.primitive, equation.primitive.get_bind_params(equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a pair in some versions of JAX
    outputs = primitive.bind(*functions, *values, **params)
    return list(outputs) if primitive.multiple_results else [outputs]


def _by_derivative(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    """y(s) from y(0) and y'(s) = Dg(u(s)) u'(s), for any operation g."""
    values = [u[0] for u in inputs]
    moving = [i for i, u in enumerate(inputs) if len(u) > 1]
    smooth = [i for i, v in enumerate(equation.outvars) if is_inexact(v.aval)]

    def slope(points: list, directions: list) -> list:
        tangents = jax.jvp(lambda *new: _bind(equation, *_replaced(values, moving, new)), points, directions)[1]
        return [tangents[i] for i in smooth]

    slopes = [derivative(inputs[i]) for i in moving]
    traced = jax.make_jaxpr(slope)([values[i] for i in moving], [du[0] for du in slopes])
    changes = propagate(traced, [*(inputs[i] for i in moving), *slopes], order - 1)
    outputs: list[Series] = [(y,) for y in _bind(equation, *values)]
    return _replaced(
        outputs, smooth, [antiderivative(outputs[i][0], dy) for i, dy in zip(smooth, changes, strict=True)]
    )


def _refused(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    raise TypeError(
        "taylor: f holds a function with a custom_vjp, which JAX cannot differentiate forwards; give it a custom_jvp"
    )


def _replaced(values: list, positions: list[int], new: Sequence) -> list:
    values = list(values)
    for position, value in zip(positions, new, strict=True):
        values[position] = value
    return values


def _linear(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    return linear(partial(_bind, equation), inputs, order)


def _product(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    left, right = inputs
    return [bilinear(_one(equation), left, right, order)]


def _quotient(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    top, bottom = inputs
    return [quotient(_one(equation), top, bottom, order)]


def _one(equation: JaxprEqn) -> Callable[..., Array]:
    return lambda *values: _bind(equation, *values)[0]


def _elementwise(function: Callable[[Array, Series, int], Series]) -> Rule:
    return lambda equation, inputs, order: [function(_bind(equation, inputs[0][0])[0], inputs[0], order)]


def _inlined(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    return propagate(equation.params["jaxpr"], inputs, order)


def _checkpoint(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    closed = ClosedJaxpr(equation.params["jaxpr"], ())
    options = {name: equation.params[name] for name in ("policy", "prevent_cse")}
    return jax.checkpoint(lambda *series: propagate(closed, series, order), **options)(*inputs)


def _scan(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    params, closed = equation.params, equation.params["jaxpr"]
    before, after = scan_parts(equation)
    consts, start, rows = inputs[:before], _filled(inputs[before:after], order), inputs[after:]

    def body(carry: list[Series], row: list[Series]) -> tuple[list[Series], list[Series]]:
        outputs = propagate(closed, [*consts, *carry, *row], order)
        return _filled(outputs[: len(start)], order), outputs[len(start) :]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    carry, stacked = jax.lax.scan(body, start, rows, **options)
    return [*carry, *stacked]


def _while(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    test_consts, body_consts, start = inputs[:first], inputs[first:second], _filled(inputs[second:], order)

    def goes_on(carry: list[Series]) -> Array:
        return propagate(params["cond_jaxpr"], [*test_consts, *carry], 0)[0][0]

    def body(carry: list[Series]) -> list[Series]:
        return _filled(propagate(params["body_jaxpr"], [*body_consts, *carry], order), order)

    return jax.lax.while_loop(goes_on, body, start)


def _cond(equation: JaxprEqn, inputs: list[Series], order: int) -> list[Series]:
    (index,), *operands = inputs
    branches = [partial(_branch, closed, order) for closed in equation.params["branches"]]
    return jax.lax.switch(index, branches, operands)


def _branch(closed: ClosedJaxpr, order: int, operands: list[Series]) -> list[Series]:
    return _filled(propagate(closed, operands, order), order)


def _filled(series: Sequence[Series], order: int) -> list[Series]:
    """Series of one structure, as the carry of a loop and the results of branches must have."""
    return [dense(u, order) if is_inexact(u[0]) else u for u in series]


_LINEAR = (
    "add add_any sub neg reduce_sum cumsum reduce_window_sum broadcast_in_dim reshape transpose squeeze slice "
    "dynamic_slice dynamic_update_slice concatenate split pad rev select_n convert_element_type copy"
)
_RULES: dict[str, Rule] = {
    **dict.fromkeys(_LINEAR.split(), _linear),
    **dict.fromkeys(("mul", "dot_general", "conv_general_dilated"), _product),
    "div": _quotient,
    "exp": _elementwise(exponential),
    "tanh": _elementwise(hyperbolic_tangent),
    "logistic": _elementwise(logistic),
    **dict.fromkeys(("jit", "pjit", "closed_call"), _inlined),
    **dict.fromkeys(("remat2", "checkpoint"), _checkpoint),
    "scan": _scan,
    "while": _while,
    "cond": _cond,
    **dict.fromkeys(("custom_vjp_call", "custom_vjp_call_jaxpr"), _refused),
}
