"""Single operations of a traced function: evaluated, differentiated, compared."""

from collections.abc import Container, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params

from .series import is_inexact


def bind(equation: JaxprEqn, *values: Any) -> list:
    """The operation itself, on values."""
    primitive, bound = equation.primitive, equation.primitive.get_bind_params(equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a pair in some versions of JAX
    outputs = primitive.bind(*functions, *values, **params)
    return list(outputs) if primitive.multiple_results else [outputs]


def slope_jaxpr(equation: JaxprEqn, values: Sequence, moving: Sequence[int]) -> ClosedJaxpr:
    """(u, u' of the moving inputs) ↦ (g(u), those of Dg(u) u' that are inexact), as equations."""

    def slope(points: list, directions: list) -> tuple[list, list]:
        def along(*new: Any) -> list:
            return bind(equation, *replaced(points, moving, new))

        outputs, tangents = jax.jvp(along, [points[i] for i in moving], directions)
        return outputs, [dy for y, dy in zip(outputs, tangents, strict=True) if is_inexact(y)]

    return jax.make_jaxpr(slope)(list(values), [jnp.zeros_like(values[i]) for i in moving])


def replaced(values: Sequence, positions: Sequence[int], new: Sequence) -> list:
    """The values with new ones at some positions."""
    values = list(values)
    for position, value in zip(positions, new, strict=True):
        values[position] = value
    return values


SMALL = 4096  # bytes of a constant that is worth comparing
RULES = 16  # of custom_jvp, traced to compare one of them with another


class Same:
    """An object as a key, equal to itself alone; unlike its id, it keeps the object alive."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def identity(value: Any) -> Hashable:
    """A key that is equal for equal constants and parameters: equations by their form, small arrays by value."""
    if isinstance(value, ClosedJaxpr):
        return _form(value.jaxpr), identity(value.consts)
    if isinstance(value, Jaxpr):
        return _form(value)
    if isinstance(value, tuple | list):
        return tuple(map(identity, value))
    if isinstance(value, dict):
        return tuple((name, identity(v)) for name, v in sorted(value.items()))
    if isinstance(value, int | float | complex | np.generic | np.ndarray | jax.Array):
        return _array_identity(value)
    return value if type(value).__hash__ else Same(value)


def _array_identity(value: Any) -> Hashable:
    dtype = jnp.result_type(value)
    if jnp.issubdtype(dtype, jax.dtypes.extended) or np.size(value) * dtype.itemsize > SMALL:
        return Same(value)
    try:
        value = np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return Same(value)
    return value.shape, str(value.dtype), value.tobytes()


def equation_identity(equation: JaxprEqn) -> Hashable:
    """Primitive and parameters, save the rule of a custom_jvp, an object that is never the same twice."""
    params = {name: v for name, v in equation.params.items() if name not in ("jvp_jaxpr_fun", "jvp_jaxpr_thunk")}
    return equation.primitive.name, identity(params)


def rule_identity(equation: JaxprEqn, order: int) -> Hashable:
    """The traced rule of a custom_jvp, those of the custom_jvp that its derivative calls, and so on up to the order.

    JAX shows no other sign of which function was called. Where each rule calls several others, only the first of them
    are traced.
    """
    forms, calls = [], custom_calls([equation])
    for _ in range(order):
        rules = [_rule(e) for e in calls[: RULES - len(forms)]]
        forms += [identity(closed) for closed, _ in rules]
        calls = custom_calls([e for _, equations in rules for e in equations])
    return tuple(forms)


def custom_calls(equations: Sequence[JaxprEqn]) -> list[JaxprEqn]:
    """The calls of functions with a custom_jvp, those inside loops and the like included."""
    calls = []
    for equation in equations:
        if equation.primitive.name == "custom_jvp_call":
            calls.append(equation)
        else:
            calls += custom_calls([e for jaxpr in jaxprs_in_params(equation.params) for e in jaxpr.eqns])
    return calls


def _rule(equation: JaxprEqn) -> tuple[ClosedJaxpr, list[JaxprEqn]]:
    """The rule, and its equations that the derivative needs."""
    avals: list[Any] = [v.aval for v in equation.invars]
    values = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
    closed = slope_jaxpr(equation, values, [i for i, v in enumerate(values) if is_inexact(v)])
    return closed, live(closed.jaxpr, {}, closed.jaxpr.outvars[len(equation.outvars) :])


def live(jaxpr: Jaxpr, known: Container, wanted: Sequence) -> list[JaxprEqn]:
    """The equations that `wanted` depends on; a derivative alone needs few of those that came with it."""
    needed = {id(v) for v in wanted if isinstance(v, Literal) or v not in known}
    equations = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(v) in needed for v in equation.outvars):
            equations.append(equation)
            needed.update(id(v) for v in equation.invars if isinstance(v, Literal) or v not in known)
    return equations[::-1]


def _form(jaxpr: Jaxpr) -> Hashable:
    """The equations with variables numbered."""
    numbers = {id(v): i for i, v in enumerate([*jaxpr.constvars, *jaxpr.invars])}

    def name(v: Any) -> Hashable:
        return ("literal", identity(v.val)) if isinstance(v, Literal) else numbers[id(v)]

    equations = []
    for equation in jaxpr.eqns:
        equations.append((equation_identity(equation), tuple(map(name, equation.invars))))
        numbers.update((id(v), len(numbers) + i) for i, v in enumerate(equation.outvars))
    shapes = tuple(str(v.aval) for v in [*jaxpr.constvars, *jaxpr.invars])
    return shapes, tuple(equations), tuple(map(name, jaxpr.outvars))
