"""Random-feature regression in high dimensions: risk, bias and variance at any aspect ratios and ridge."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .hermite_constants import HermiteConstants

Numbers = Float[np.ndarray, "*s"]
# The error of log T at least halves a step (see docs/beyond/high_dimensional_limits.md): enough from any start.
_STEPS = 80
_GRID = np.linspace(-14, 6, 121)  # log10 of ridges among which the best is refined


class Optimum(NamedTuple):
    """The best ridge and the risk there; the ridge is 0 or inf where no penalty or no fit wins."""

    ridge: np.ndarray
    risk: np.ndarray


@dataclass(frozen=True)
class RandomFeatureRegression:
    """Ridge regression on N random features of n inputs in d dimensions, as all grow in proportion.

    f(x) = Σ_a a_a σ(θ_a·x/√d) with inputs and θ_a uniform on the sphere of radius √d, and a minimising
    (1/n) Σ_i (y_i − f(x_i))² + (N/d) λ |a|². Targets are y = √P1 β·x + √P* g(x) + noise with |β| = 1 and g of
    mean square one and degree two or more, typical of a rotation-invariant law. In terms of ψ1 = N/d, ψ2 = n/d:

        risk = E (f − E[y|x])² = P1 · bias + (P* + noise) · variance + P*,   without the noise of the test targets.

    `constants`: of a centred activation. `linear_power` P1, `nonlinear_power` P*, `noise`: variances. Methods take
    arrays that broadcast; `ridge` is λ, 0 means its limit from above (the minimum-norm fit), which is infinite at
    N = n. Cost: microseconds a point; relative accuracy near rounding at any ridge.

    Errors: ValueError for activations with a mean or without a nonlinear part, and for numbers out of range.
    Source: Mei & Montanari, The generalization error of random features regression (CPAM 2022), Theorems 1 and 2.

    >>> import jax.numpy as jnp
    >>> from wideflow.beyond import HermiteConstants, RandomFeatureRegression
    >>> theory = RandomFeatureRegression(HermiteConstants.of(jnp.tanh), noise=0.25)
    >>> theory.risk([0.5, 2.0, 10.0], 2.0, 1e-3).round(3)
    array([0.827, 0.86 , 0.267])
    """

    constants: HermiteConstants
    linear_power: float = 1.0
    nonlinear_power: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        self.constants.require("RandomFeatureRegression")
        for name in ("linear_power", "nonlinear_power", "noise"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"RandomFeatureRegression: {name} is a variance, 0 or more, got {value}")

    def bias(self, psi1: Any, psi2: Any, ridge: Any) -> Numbers:
        """ℬ: the risk for a linear target of power one without noise."""
        return self._factors(psi1, psi2, ridge)[0]

    def variance(self, psi1: Any, psi2: Any, ridge: Any) -> Numbers:
        """𝒱: the risk added by noise of variance one, or by a nonlinear part of the target of power one."""
        return self._factors(psi1, psi2, ridge)[1]

    def risk(self, psi1: Any, psi2: Any, ridge: Any) -> Numbers:
        """P1 ℬ + (P* + noise) 𝒱 + P*."""
        bias, variance = self._factors(psi1, psi2, ridge)
        unlearnable = self.nonlinear_power + self.noise
        terms = [p * f for p, f in ((self.linear_power, bias), (unlearnable, variance)) if p > 0]
        return np.asarray(sum(terms, np.zeros_like(bias)) + self.nonlinear_power)

    def optimal_ridge(self, psi1: Any, psi2: Any) -> Optimum:
        """The ridge of least risk, by a grid over 20 decades of λ/μ*² refined by golden sections.

        Where the least risk is that of λ → 0 or of no fit at all (λ → ∞, risk P1 + P*), the ridge is 0 or inf.
        """
        psi1, psi2 = np.broadcast_arrays(np.asarray(psi1, np.float64), np.asarray(psi2, np.float64))
        scale = self.constants.nonlinear**2
        i = np.argmin(self.risk(psi1[..., None], psi2[..., None], scale * 10.0**_GRID), axis=-1)
        low, high = _GRID[np.maximum(i - 1, 0)], _GRID[np.minimum(i + 1, len(_GRID) - 1)]
        inside = scale * 10.0 ** _golden_section(lambda t: self.risk(psi1, psi2, scale * 10.0**t), low, high)
        ridges = np.stack([np.zeros(psi1.shape), np.full(psi1.shape, np.inf), inside])
        no_fit = np.full(psi1.shape, self.linear_power + self.nonlinear_power)
        risks = np.stack([self.risk(psi1, psi2, 0.0), no_fit, self.risk(psi1, psi2, inside)])
        best = np.argmin(risks, axis=0)[None]
        return Optimum(*(np.take_along_axis(values, best, axis=0)[0] for values in (ridges, risks)))

    def _factors(self, psi1: Any, psi2: Any, ridge: Any) -> tuple[Numbers, Numbers]:
        given = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (psi1, psi2, ridge)))
        shape, (psi1, psi2, ridge) = given[0].shape, (v.reshape(-1) for v in given)
        _check(psi1, psi2, ridge)
        zeta2 = (self.constants.linear / self.constants.nonlinear) ** 2
        least, gap = np.minimum(psi1, psi2), np.abs(psi1 - psi2)
        u2 = psi1 * psi2 * ridge / self.constants.nonlinear**2
        ratio = _ratio(u2, least, gap, zeta2)
        p = _product(ratio, least, zeta2)
        e1, e2 = ratio * p + np.maximum(psi1 - psi2, 0), ratio * p + np.maximum(psi2 - psi1, 0)
        r = 1 + zeta2 * p
        denominator = r**2 * e1 * e2 + p * (r**2 + zeta2) * (e1 + e2)
        with np.errstate(divide="ignore"):  # N = n without ridge: infinite
            bias = psi2 * (psi1 + zeta2 * p**2) / denominator
            terms = r**3 + zeta2**2 * r * e1 + zeta2 * r**2 + zeta2 * r + zeta2**2
            variance = p**2 * terms / (r * denominator)
        return bias.reshape(shape), variance.reshape(shape)


def _product(ratio: np.ndarray, least: np.ndarray, zeta2: float) -> np.ndarray:
    """p > 0 with min(ψ1, ψ2) − g(p) = T p, g(p) = p + ζ²p/(1 + ζ²p): the root of a quadratic, without cancellation."""
    a = zeta2 * (1 + ratio)
    b = 1 + ratio + zeta2 * (1 - least)
    root = np.sqrt(b**2 + 4 * a * least)
    return np.where(b > 0, 2 * least / (np.abs(b) + root), (np.abs(b) + root) / (2 * np.where(a > 0, a, 1.0)))


def _ratio(u2: np.ndarray, least: np.ndarray, gap: np.ndarray, zeta2: float) -> np.ndarray:
    """T with T (T p(T) + |ψ1 − ψ2|) = u²: half-Newton steps in log T, where the left side has slopes from 1 to 2."""
    solved = np.where(u2 > 0, u2, 1.0)
    log = np.log(solved / (least + gap))
    for _ in range(_STEPS):
        ratio = np.exp(log)
        log = log - (log + np.log(ratio * _product(ratio, least, zeta2) + gap) - np.log(solved)) / 2
    return np.where(u2 > 0, np.exp(log), 0.0)


def _golden_section(function: Any, low: np.ndarray, high: np.ndarray, steps: int = 60) -> np.ndarray:
    """The minima of functions with one valley each between `low` and `high`."""
    share = (np.sqrt(5) - 1) / 2
    for _ in range(steps):
        left, right = high - share * (high - low), low + share * (high - low)
        lower = function(left) < function(right)
        low, high = np.where(lower, low, left), np.where(lower, right, high)
    return (low + high) / 2


def _check(psi1: np.ndarray, psi2: np.ndarray, ridge: np.ndarray) -> None:
    for name, value in (("psi1 = N/d", psi1), ("psi2 = n/d", psi2)):
        if not (np.isfinite(value).all() and (value > 0).all()):
            raise ValueError(f"RandomFeatureRegression: {name} must be positive and finite, got {value}")
    if not (np.isfinite(ridge).all() and (ridge >= 0).all()):
        raise ValueError(f"RandomFeatureRegression: the ridge must be 0 or more and finite, got {ridge}")
