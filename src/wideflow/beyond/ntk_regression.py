"""Regression with the NTK of a network with one hidden layer, as width, samples and inputs grow in proportion."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from .hermite_constants import HermiteConstants
from .isotropy import require_dimension
from .marchenko_pastur import marchenko_pastur

_SOLVED = 1e-11  # largest residual of an equation, relative to its unknown
_NEWTON_STEPS = 60
_LONGEST_STEP = 1.0  # of a logarithm
_STARTING_RIDGE, _RIDGE_FACTOR = 100.0, 0.3  # the ridge falls by this factor from solution to solution
_COMPLEX_STEP = 1e-40  # (f(x + ih) − f(x))/ih without subtraction: any tiny h

Unknowns = Float[np.ndarray, "n 3"] | Complex[np.ndarray, "n 3"]


class RegressionErrors(NamedTuple):
    """Mean square errors at each width, `[n]`: on the training targets, noise included, and on new noisy targets."""

    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class NTKRegression:
    """Kernel ridge regression with the finite-width NTK: the limit of its errors at any width.

    f(x) = aᵀσ(W x/√d)/√N at initialisation has the kernel K = F Fᵀ/N + v K₁, features F = σ(XWᵀ/√d) of the last layer
    and K₁ the kernel of the first. Targets are y = β·x/√d + noise, β and x standard normal; the fit is
    K(x, X) (K + γ I)⁻¹ y. n = `samples` and d = `inputs` enter by n/d and, with the widths N, by n/N.

    `ridge` γ > 0. `first_layer` v: weight of the first layer's kernel (its learning rate × variance of the readout);
    1 is the NTK, 0 random features. `parameters`: "many" is the limit N ∝ d, in which the Nd parameters of the first
    layer are infinitely more than the samples; its peak is at N = n. "counted" keeps Nd/n, and so
    has a second peak where all parameters number as many as the samples, N ≈ n/d; its place is right, but its height
    and errors below N ≈ 10 are too low, because the theory averages over the slopes that an input meets:
    `FewNeuronRegression` does not, and is the theory there.

    Methods take widths, a number or 1-D array. Cost: milliseconds a width.
    Errors: ValueError for activations with a mean or no nonlinear part, for d below 20, and numbers out of range;
    ArithmeticError where the equations were not solved (their residual is checked).
    Source: Adlam & Pennington, The NTK in high dimensions (ICML 2020), here as fixed-point equations derived in
    docs/beyond/high_dimensional_limits.md.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import HermiteConstants, NTKRegression
    >>> constants = HermiteConstants.of(lambda z: jnp.tanh(2 * z))
    >>> features = NTKRegression(constants, samples=300, inputs=200, ridge=0.01, noise=0.1, first_layer=0.0)
    >>> features.errors([100, 300, 1500]).test.round(3)
    array([1.067, 1.032, 0.323])
    """

    constants: HermiteConstants
    samples: int
    inputs: int
    ridge: float
    noise: float = 0.0
    first_layer: float = 1.0
    parameters: Literal["many", "counted"] = "many"

    def __post_init__(self) -> None:
        self.constants.require("NTKRegression")
        require_dimension("NTKRegression", self.inputs)
        if self.samples < 1 or not (np.isfinite(self.ridge) and self.ridge > 0):
            raise ValueError(
                f"NTKRegression: wanted samples ≥ 1 and a finite ridge > 0, got {self.samples} and {self.ridge}. "
                "For the limit without ridge use a small one such as 1e-9"
            )
        if not (np.isfinite([self.noise, self.first_layer]).all() and min(self.noise, self.first_layer) >= 0):
            raise ValueError(
                f"NTKRegression: noise and first_layer must be 0 or more, got {self.noise} and {self.first_layer}"
            )
        if self.parameters not in ("many", "counted"):
            raise ValueError(f'NTKRegression: parameters must be "many" or "counted", got {self.parameters!r}')

    @property
    def peaks(self) -> tuple[float, float]:
        """Widths at which test errors may peak without ridge: n/d (parameters = samples) and n (width = samples)."""
        return self.samples / self.inputs, float(self.samples)

    def errors(self, width: Any) -> RegressionErrors:
        """Training and test error, each `[n]`.

        E_test = E_train/(γτ1)² and E_train = −γ² d/dγ (noise · τ1 + τ2), with τ1, τ2 = tr Q/n, tr Q XXᵀ/(nd) of the
        resolvent Q = (K + γ)⁻¹: generalized cross-validation, exact in the limit.
        """
        equations = _Equations.of(self, _checked_widths(width))
        solution = _solve(equations, self.ridge)
        slope = _slope_in_log_ridge(equations, solution, self.ridge)
        step = 1j * _COMPLEX_STEP
        tau1, tau2 = equations.traces(solution + step * slope)
        train = -self.ridge * np.imag(self.noise * tau1 + tau2) / _COMPLEX_STEP
        return RegressionErrors(train, train / (self.ridge * np.real(tau1)) ** 2)


@dataclass(frozen=True)
class _Equations:
    """The fixed-point equations at all widths, in log(1 + δ_F), log(1 + δ_1) and log(γ + b)."""

    s: Float[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    ratio: float  # n/d
    spread: Float[np.ndarray, " k"]  # S(s), the kernel of infinitely many features
    linear: float  # v (E σ')²
    rest: float  # v Var σ'
    load: Float[np.ndarray, "n 1"]  # n/N
    share: Float[np.ndarray, " n"]  # 1/N, or 0 where parameters count as many

    @staticmethod
    def of(model: NTKRegression, width: Float[np.ndarray, " n"]) -> "_Equations":
        constants, ratio = model.constants, model.samples / model.inputs
        s, weights = marchenko_pastur(ratio)
        linear = constants.slope**2
        return _Equations(
            s,
            weights,
            ratio,
            constants.linear**2 * s + constants.nonlinear**2,
            model.first_layer * linear,
            model.first_layer * max(constants.slope_square - linear, 0.0),
            (model.samples / width)[:, None],
            1 / width if model.parameters == "counted" else np.zeros_like(width),
        )

    def residual(self, unknowns: Unknowns, ridge: Any) -> Unknowns:
        """Logarithms of both sides of each equation, subtracted."""
        features, first, rest = (np.exp(unknowns[:, i : i + 1]) for i in range(3))
        noise = self.spread / features + rest  # what the linear part of the first layer is fitted against
        inverse = 1 / (noise + self.linear * self.s / first)
        sides = [
            1 + self.load[:, 0] * (inverse @ (self.weights * self.spread)),
            1 + self.share * self.ratio * self.rest * (inverse @ self.weights),
            ridge + self.rest / first[:, 0] * (1 - self.share * self.ratio * (1 - (noise * inverse) @ self.weights)),
        ]
        return unknowns - np.log(np.stack(sides, axis=1))

    def traces(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """τ1 and τ2."""
        features, first, rest = (np.exp(unknowns[:, i : i + 1]) for i in range(3))
        inverse = 1 / (self.spread / features + self.linear * self.s / first + rest)
        return inverse @ self.weights, inverse @ (self.weights * self.s)


def _solve(equations: _Equations, ridge: float) -> Float[np.ndarray, "n 3"]:
    """Newton's method, from a large ridge (no fit: δ = 0) down to the one that is asked for."""
    start = max(ridge, _STARTING_RIDGE)
    steps = max(int(np.ceil(np.log(ridge / start) / np.log(_RIDGE_FACTOR))), 1)
    x = np.zeros((len(equations.load), 3))
    x[:, 2] = np.log(start + equations.rest)
    for value in np.geomspace(start, ridge, steps + 1):
        x = _newton(equations, x, value)
    residual = np.max(np.abs(equations.residual(x, ridge)), initial=0.0)
    if not residual <= _SOLVED:
        raise ArithmeticError(
            f"NTKRegression: the fixed-point equations were not solved (residual {residual:.1e}); use a larger ridge"
        )
    return x


def _newton(equations: _Equations, x: Float[np.ndarray, "n 3"], ridge: float) -> Float[np.ndarray, "n 3"]:
    for _ in range(_NEWTON_STEPS):
        residual = equations.residual(x, ridge)
        step = np.linalg.solve(_jacobian(equations, x, ridge), residual[..., None])[..., 0]
        x = x - np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.max(np.abs(step)) < _SOLVED / 100:
            break
    return x


def _jacobian(equations: _Equations, x: Float[np.ndarray, "n 3"], ridge: float) -> Float[np.ndarray, "n 3 3"]:
    steps = 1j * _COMPLEX_STEP * np.eye(3)
    return np.stack([np.imag(equations.residual(x + step, ridge)) / _COMPLEX_STEP for step in steps], axis=-1)


def _slope_in_log_ridge(equations: _Equations, x: Float[np.ndarray, "n 3"], ridge: float) -> Float[np.ndarray, "n 3"]:
    """dx/d log γ along the solution, by the implicit function theorem."""
    change = np.imag(equations.residual(x + 0j, ridge * (1 + 1j * _COMPLEX_STEP))) / _COMPLEX_STEP
    return -np.linalg.solve(_jacobian(equations, x, ridge), change[..., None])[..., 0]


def _checked_widths(width: Any) -> Float[np.ndarray, " n"]:
    width = np.atleast_1d(np.asarray(width, np.float64))
    if width.ndim != 1 or not (np.isfinite(width).all() and (width > 0).all()):
        raise ValueError(f"NTKRegression: wanted positive widths, a number or 1-D array, got {width}")
    return width
