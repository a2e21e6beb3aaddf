"""The derivative of any operation along a series, one coefficient after the other."""

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from .operation import Same, custom_calls, equation_identity, identity, live, rule_identity, slope_jaxpr
from .series import Series, apart, derivative, integral_step, is_inexact

Apply = Callable[[JaxprEqn, list[Series], Any], list[Series]]


class Expansion:
    """Equations expanded in turn, each up to the whole order; `apply` gives the series of one."""

    def __init__(self, apply: Apply, order: int):
        self.apply, self.order = apply, order
        self.shared: dict[Hashable, Any] = {}

    def expand(self, equation: JaxprEqn, inputs: list[Series]) -> list[Series]:
        """The series of the outputs of an equation."""
        self.shared = {}
        outputs = self.apply(equation, inputs, self)
        for u in outputs:
            u.settle(self.order)
        return outputs

    def value(self, value: Any, dtype: Any = None) -> Series:
        """A constant as a series."""
        return Series([value if dtype is None else jnp.asarray(value, dtype)])

    def through(self, jaxpr: Jaxpr, known: dict[Any, Series], wanted: list) -> list[Series]:
        """The series of the variables `wanted`, from those of the `known` ones."""

        def read(v: Any) -> Series:
            return self.value(v.val, getattr(v.aval, "dtype", None)) if isinstance(v, Literal) else known[v]

        for equation in live(jaxpr, known, wanted):
            outputs = self.expand(equation, [read(v) for v in equation.invars])
            known.update((v, u) for v, u in zip(equation.outvars, outputs, strict=True) if v not in known)
        return [read(v) for v in wanted]

    def inlined(self, closed: ClosedJaxpr, inputs: list[Series]) -> list[Series]:
        """The series of the outputs of a function, its equations expanded here."""
        jaxpr = closed.jaxpr
        consts = [self.value(c) for c in closed.consts]
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))
        return self.through(jaxpr, known, jaxpr.outvars)


class Slope(Expansion):
    """y'(s) = Dg(u(s)) u'(s) for an operation g, traced and expanded when its first coefficient is asked for.

    Its equations stand in `shared` with those of the slopes around it and inside it. One that comes again, with the
    same inputs, has the series it had before: so g, or whatever comes back to g, is expanded once.
    """

    def __init__(self, around: Expansion, equation: JaxprEqn, inputs: list[Series], outputs: list[Series]):
        super().__init__(around.apply, around.order)
        self.shared = around.shared
        self.equation, self.inputs, self.outputs = equation, inputs, outputs
        self.body: list[Series] = []

    def coefficient(self, i: int, j: int) -> Any:
        """The coefficient j of the output i of g."""
        changes = self.changes
        for u in self.body:  # in turn, for fewer calls inside calls
            u[j - 1]
        return changes[i][j - 1] if self.linear else integral_step(changes[i], j)

    @cached_property
    def moving(self) -> list[int]:
        """The inputs that depend on s."""
        return [i for i, u in enumerate(self.inputs) if not u.constant]

    @property
    def traced(self) -> ClosedJaxpr:
        """The values and the derivative of g as equations."""
        key = ("slope", Same(self.equation), tuple(self.inputs))
        if key not in self.shared:
            self.shared[key] = slope_jaxpr(self.equation, [u[0] for u in self.inputs], self.moving)
        return self.shared[key]

    @cached_property
    def linear(self) -> bool:
        """Whether Dg does not depend on where it is taken."""
        used = {id(v) for equation in self._needed for v in equation.invars}
        return used.isdisjoint(id(self.traced.jaxpr.invars[i]) for i in self.moving)

    @cached_property
    def changes(self) -> dict[int, Series]:
        """The coefficients of y', or those of y after the first where g is linear, for every inexact output."""
        smooth = [i for i, v in enumerate(self.equation.outvars) if is_inexact(v.aval)]
        if self.linear:
            changes = apart(Series((), self._linear), len(smooth))
        else:
            self._share()
            inputs = [*self.inputs, *(self._derivative(self.inputs[i]) for i in self.moving)]
            changes = self.through(self.traced.jaxpr, self._own() | self._known(inputs), self._tangents)
        return dict(zip(smooth, changes, strict=True))

    @cached_property
    def _needed(self) -> list[JaxprEqn]:
        return live(self.traced.jaxpr, {}, self._tangents)

    @property
    def _tangents(self) -> list:
        return self.traced.jaxpr.outvars[len(self.equation.outvars) :]

    def _linear(self, j: int) -> list | None:
        changes = [self.inputs[i][j + 1] for i in self.moving]
        if all(c is None for c in changes):
            return None
        values = [u[0] for u in self.inputs]
        changes = [jnp.zeros_like(values[i]) if c is None else c for i, c in zip(self.moving, changes, strict=True)]
        known = self._known([Series([value]) for value in [*values, *changes]])
        return [u[0] for u in Expansion(self.apply, 0).through(self.traced.jaxpr, known, self._tangents)]

    def _known(self, inputs: list[Series]) -> dict[Any, Series]:
        jaxpr, consts = self.traced.jaxpr, [self.value(c) for c in self.traced.consts]
        return dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

    def _own(self) -> dict[Any, Series]:
        """What g itself gives inside its derivative; its input there may be written in another way."""
        jaxpr, own = self.traced.jaxpr, equation_identity(self.equation)
        values = [v for e in jaxpr.eqns if not self._custom and equation_identity(e) == own for v in e.outvars]
        return {v: y for v, y in zip(jaxpr.outvars, self.outputs, strict=False) if v in values}

    @property
    def _custom(self) -> bool:
        return self.equation.primitive.name == "custom_jvp_call"

    def key(self) -> Hashable:
        """What makes two operations on series the same."""
        rule = rule_identity(self.equation, self.order) if self._custom else None
        return equation_identity(self.equation), rule, tuple(self.inputs)

    def expand(self, equation: JaxprEqn, inputs: list[Series]) -> list[Series]:
        """The series that the same equation has already, or new ones."""
        key = Slope(self, equation, inputs, []).key()
        if key not in self.shared:
            self.shared[key] = self.apply(equation, inputs, self)
            self.body += self.shared[key]
        for u in self.shared[key]:
            u[0]  # at once, for fewer calls inside calls
        return self.shared[key]

    def _share(self) -> None:
        if not self._custom or custom_calls(self._needed):  # a custom_jvp has no key that is cheap
            self.shared.setdefault(self.key(), self.outputs)

    def value(self, value: Any, dtype: Any = None) -> Series:
        """A constant as a series, the same for equal constants."""
        key = "value", identity(value), dtype
        if key not in self.shared:
            self.shared[key] = super().value(value, dtype)
        return self.shared[key]

    def _derivative(self, u: Series) -> Series:
        if ("derivative", u) not in self.shared:
            self.shared["derivative", u] = derivative(u)
        return self.shared["derivative", u]
