"""Equations of a recursion, layer by layer: how they are collected, and the symbols in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from ..nn import Layer
from ..nn.values import values_of


@dataclass
class Recursion:
    """Equations in the order of the layers; `steps`: how many covariances they define, without the input's."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    steps: int = 0

    def line(self, left: str, right: str) -> None:
        """One more equation."""
        self.lines.append((left, right))

    def step(self, K: str, T: str) -> int:
        """The equations of one more covariance; returns its number."""
        self.steps += 1
        self.line(nngp(self.steps), K)
        self.line(ntk(self.steps), T)
        return self.steps

    def linear(self, i: int, form: Callable[[str], str]) -> int:
        """A linear map of both kernels; `form` writes it around either."""
        return self.step(form(nngp(i)), form(ntk(i)))

    def write(self, layer: Layer, i: int) -> int:
        """The equations of a layer whose input is number i; returns the number of what leaves it.

        A layer is written as the class that gives it its rule `cov`: a subclass with a rule of its own is not known.
        """
        owner = next(kind for kind in type(layer).__mro__ if "cov" in vars(kind))
        return equations.registry.get(owner, equations.registry[object])(layer, self, i)


@singledispatch
def equations(layer: Layer, recursion: Recursion, i: int) -> int:
    """Adds the equations of a layer whose input is number i, and returns the number of what leaves it."""
    recursion.steps += 1
    j = recursion.steps
    recursion.line(f"({nngp(j)}, {ntk(j)})", rf"{name_of(layer)}({nngp(i)}, {ntk(i)})")
    return j


def nngp(i: int) -> str:
    """The symbol of the NNGP kernel after step i."""
    return f"K^{{({i})}}"


def ntk(i: int) -> str:
    """The symbol of the NTK after step i."""
    return rf"\Theta^{{({i})}}"


def both(i: int) -> str:
    """Both symbols."""
    return f"{nngp(i)}, {ntk(i)}"


def number(value: Any, symbol: str) -> str:
    """A number in a few digits; its symbol inside a JAX transformation, where it is not known."""
    known = values_of(value)
    if known is None:
        return symbol
    mantissa, _, exponent = f"{float(known):g}".partition("e")
    if not exponent:
        return mantissa
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"


def square(value: Any, symbol: str) -> str:
    """The square of a number."""
    base = number(value, symbol)
    return f"({base})^2" if "^" in base else f"{base}^2"


def is_one(value: Any) -> bool:
    """Whether a number is known to be 1."""
    known = values_of(value)
    return known is not None and float(known) == 1


def name_of(layer: Layer) -> str:
    """The layer as it prints, set upright."""
    shown = repr(layer).removesuffix("()")
    special = {c: "\\" + c for c in "_%&#${} "} | {"\\": r"\backslash ", "^": r"\wedge ", "~": r"\sim "}
    return rf"\mathrm{{{''.join(special.get(c, c) for c in shown)}}}"
