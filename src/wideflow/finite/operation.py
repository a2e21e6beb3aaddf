"""Single operations of a traced function: evaluated, differentiated, compared."""

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

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
    values = list(values)
    for position, value in zip(positions, new, strict=True):
        values[position] = value
    return values


SMALL = 4096  # bytes of a constant that is worth comparing


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
    return value if type(value).__hash__ else id(value)


def _array_identity(value: Any) -> Hashable:
    if isinstance(value, jax.core.Tracer) or not jnp.issubdtype(jnp.result_type(value), jnp.number):
        return id(value)
    if np.size(value) * jnp.result_type(value).itemsize > SMALL:
        return id(value)
    value = np.asarray(value)
    return value.shape, str(value.dtype), value.tobytes()


def equation_identity(equation: JaxprEqn) -> Hashable:
    """Primitive and parameters, save the rule of a custom_jvp, an object that is never the same twice."""
    params = {name: v for name, v in equation.params.items() if name not in ("jvp_jaxpr_fun", "jvp_jaxpr_thunk")}
    return equation.primitive.name, identity(params)


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
