"""Functions of a kernel matrix applied to vectors, from products alone, with an estimate of their error."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .krylov import KrylovSpace, Ritz
from .operator import FLOAT64, Operator

_GROWTH = 1.1  # of the dimension between two estimates


class Error(NamedTuple):
    """A relative error: what more products would remove, and what rounding leaves."""

    removable: float
    rounded: float


@dataclass(frozen=True)
class Function:
    """A function f of the eigenvalues of Θ, made of a filter's weights g.

    `weights`: g at eigenvalues. `fit`: whether f(λ) = λ g(λ), measured in the Euclidean norm, or f = g, measured by
    √(aᵀΘa), the norm of the function Θ(·, X)a, which bounds its values: |Θ(x, X)a| ≤ √Θ(x, x) √(aᵀΘa) at every x.
    """

    weights: Callable[[np.ndarray], np.ndarray]
    fit: bool

    def values(self, ritz: Ritz) -> Float[np.ndarray, " K"]:
        """f at the Ritz values."""
        weights = self.weights(ritz.values)
        return np.maximum(ritz.values, 0) * weights if self.fit else weights

    def error(self, ritz: Ritz, rounding: float) -> Error:
        """The estimated relative error of Q f(T) QᵀB, the largest over columns; see `MatrixFunction`."""
        values, weights = np.maximum(ritz.values, 0), self.weights(ritz.values)
        modes = weights[:, None] * ritz.start
        left_out = (weights == 0) & (values <= rounding)  # the pseudo-inverse's zero modes, known within their tails
        unseen = np.linalg.norm(ritz.boundary @ modes, axis=0)
        unseen += np.abs(weights).max() * np.linalg.norm(ritz.tails[left_out, None] * ritz.start[left_out], axis=0)
        noise = FLOAT64 * values[-1] * np.linalg.norm(modes, axis=0)
        if self.fit:
            size, blur = np.linalg.norm(values[:, None] * modes, axis=0), np.abs(1 - values * weights).max()
            parts = unseen, noise * blur + FLOAT64 * len(values) * size
        else:
            size = np.linalg.norm(np.sqrt(values)[:, None] * modes, axis=0)
            parts = unseen * np.abs(np.sqrt(values) * weights).max(), noise * np.sqrt(np.abs(weights).max())
        with np.errstate(divide="ignore", invalid="ignore"):
            return Error(*(float(np.where(part > 0, part / size, 0).max(initial=0.0)) for part in parts))


class MatrixFunction:
    """f(Θ)B ≈ Q f(T) QᵀB, T = QᵀΘQ, in a growing Krylov space of B, for any number of functions f.

    The error follows from the part of Θa that has left the space, ρ = (I − QQᵀ)Θa for a = Q g(T) QᵀB: the equation that
    a satisfies, linear system or differential equation, is wrong by ρ alone. For g = 1/λ, and for every mixture of
    1/(λ + z), Θ times the error is at most ρ and the error of a mode at most g(λ)ρ; the same is used for filters
    g = (1 − p_t)/λ of all rules, where it is an estimate. Rounding of Θ by ε λ_max is added.
    Source: Lanczos for functions, Druskin and Knizhnerman 1989; the residual, Botchev, Grimm and Hochbruck 2013;
    mixtures of 1/(λ + z), Frommer, Güttel and Schweitzer 2014.
    """

    def __init__(self, operator: Operator, start: Float[np.ndarray, "D o"]):
        self.space = KrylovSpace(operator, start)
        self.ritz: Ritz | None = None

    @property
    def next_dimension(self) -> int:
        """The dimension that `grow` leads to, at most."""
        space = self.space
        return space.dimension + space.width * max(1, ceil((_GROWTH - 1) * space.dimension / max(space.width, 1)))

    def grow(self) -> Ritz:
        """Enlarge the space by about a tenth."""
        goal = self.next_dimension
        while self.space.dimension < goal and not self.space.exhausted:
            self.space.step()
        self.ritz = self.space.ritz()
        return self.ritz

    def error(self, function: Function, rounding: float) -> Error:
        """The estimated relative error of f(Θ)B; infinite before the first step."""
        if self.ritz is None:
            return Error(0.0 if self.space.exhausted else np.inf, 0.0)
        return function.error(self.ritz, rounding)

    def coefficients(self, function: Function) -> Float[np.ndarray, "K o"]:
        """Of f(Θ)B in the basis of the space; `space.expand` makes vectors of them."""
        if self.ritz is None:
            return np.zeros((0, self.space.start.shape[1]))
        return self.ritz.apply(function.values(self.ritz))
