"""Gradient descent with momentum, in steps of its own."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .rule import Stepwise, divide, times

Array = np.ndarray


@dataclass(frozen=True)
class Momentum(Stepwise):
    """Gradient descent whose residual along an eigenvector obeys a recursion of two terms.

    r_{k+1} = τ r_k − d r_{k−1} with r_1 = (1 − lr λ) r_0. Every such method started at rest has 1 − τ + d = lr λ,
    because a residual that does not change is one that sees no gradient. With the roots z₊, z₋ of z² − τ z + d,
    q = z₋/z₊ and G_k(q) = 1 + q + … + q^(k−1),

        p_k = z₊^k (1 + (1 − z₊) q G_k(q)),    (1 − p_k)/λ = lr/(1 − z₋) · (G_k(z₊) − z₊^k q G_k(q)).

    Both are evaluated without cancellation for tiny lr λ; where the roots are complex, through their angle. A
    subclass gives τ/2, d and the discriminant as functions of lr λ, and the limit.

    `momentum`: β in [0, 1). Raises ValueError for another one.
    """

    momentum: float = 0.9

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"{self!r}: the momentum must be in [0, 1), got {self.momentum}")

    def recursion(self, h: Float[Array, " D"]) -> tuple[Array, Array, Array]:
        """1 − τ/2, d and (τ/2)² − d, for h = lr λ."""
        raise NotImplementedError

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """p after t/lr steps."""
        steps = self.steps(t)
        if steps == 0:
            return np.ones_like(lam, dtype=np.float64)
        if not np.isfinite(steps):
            return self._at_infinity(lam)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._roots(lam).residual(steps)

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − p)/λ after t/lr steps."""
        steps = self.steps(t)
        if steps == 0:
            return np.zeros_like(lam, dtype=np.float64)
        if not np.isfinite(steps):
            return divide(1 - self._at_infinity(lam), lam, limit=np.inf)
        roots = self._roots(lam)
        with np.errstate(over="ignore", invalid="ignore"):
            direct = divide(1 - roots.residual(steps), lam, limit=0.0)
            return np.where(roots.is_slow, self.lr * roots.slow_progress(steps), direct)

    def _roots(self, lam: Array) -> "_Roots":
        h = self.lr * np.asarray(lam, dtype=np.float64)
        return _Roots(h, *self.recursion(h))

    def _at_infinity(self, lam: Array) -> Array:
        """0 where the mode is learned, 1 where it does not move, infinity beyond the limit."""
        limit = self.max_learning_rate(1.0)
        return np.where(lam == 0, 1.0, np.where(self.lr * lam < limit, 0.0, np.inf))


@dataclass(frozen=True)
class HeavyBall(Momentum):
    """Full-batch gradient descent with Polyak's momentum: v ← β v + ∇L(θ), θ ← θ − lr v, with v = 0 at the start.

    Along an eigenvector r_{k+1} = (1 + β − lr λ) r_k − β r_{k−1}. Stable for lr λ_max < 2(1 + β). Small rates act like
    gradient descent with lr/(1 − β). Time is lr × steps; `HeavyBallFlow` is the limit of small steps.
    Source: Polyak 1964.

    ```python
    tr = wf.Trajectory(kernel.ntk(x), y, wf.HeavyBall(lr=0.5, momentum=0.9))
    ```
    """

    def recursion(self, h: Float[Array, " D"]) -> tuple[Array, Array, Array]:
        """τ = 1 + β − h, d = β; the discriminant as a product of its zeros' distances."""
        beta, root = self.momentum, np.sqrt(self.momentum)
        discriminant = ((1 - root) ** 2 - h) * ((1 + root) ** 2 - h) / 4
        return (1 - beta + h) / 2, np.full_like(h, beta), discriminant

    def max_learning_rate(self, lam_max: float) -> float:
        """2(1 + β)/λ_max."""
        return 2 * (1 + self.momentum) / lam_max if lam_max > 0 else np.inf


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Full-batch gradient descent with Nesterov's momentum of constant β, started at rest.

    θ_{k+1} = φ_k − lr ∇L(φ_k) at the point ahead φ_k = θ_k + β(θ_k − θ_{k−1}). Along an eigenvector
    r_{k+1} = (1 − lr λ)((1 + β) r_k − β r_{k−1}). Stable for lr λ_max < 2(1 + β)/(1 + 2β). Time is lr × steps;
    `HeavyBallFlow` is the limit of small steps. Source: Nesterov 1983; Sutskever et al. 2013.
    """

    def recursion(self, h: Float[Array, " D"]) -> tuple[Array, Array, Array]:
        """τ = (1 + β)(1 − h), d = β(1 − h); the discriminant as a product of its zeros' distances."""
        beta = self.momentum
        # (1 − h)(1 + β)²/4 − β = ((1 − β)² − h(1 + β)²)/4
        discriminant = (1 - h) * (((1 - beta) ** 2 - h * (1 + beta) ** 2) / 4)
        return (1 - beta + h * (1 + beta)) / 2, beta * (1 - h), discriminant

    def max_learning_rate(self, lam_max: float) -> float:
        """2(1 + β)/((1 + 2β) λ_max)."""
        beta = self.momentum
        return 2 * (1 + beta) / ((1 + 2 * beta) * lam_max) if lam_max > 0 else np.inf


class _Roots:
    """The roots of z² − τ z + d: `large` is z₊, the one of larger modulus, where they are real.

    `is_complex`: where they are not. `is_slow`: where both are real and z₊ is positive. `rest_plus`: 1 − z₊.
    """

    def __init__(self, h: Array, rest: Array, d: Array, discriminant: Array):
        self.d, self.is_complex = d, discriminant < 0
        self.half, self.spread = 1 - rest, np.sqrt(np.abs(discriminant))
        self.is_slow = ~self.is_complex & (self.half > 0)
        self.rest_minus = rest + self.spread  # 1 − z₋ of slow modes
        fast = np.where(self.half > 0, 1, self.half - self.spread)
        # (1 − z₊)(1 − z₋) = 1 − τ + d = h keeps the digits of 1 − z₊ where it is small.
        self.rest_plus = np.where(self.is_slow, h / np.where(self.is_slow, self.rest_minus, 1), 1 - fast)
        self.large = np.where(self.is_slow, 1 - self.rest_plus, fast)

    def residual(self, steps: float) -> Array:
        """p after `steps` steps."""
        real = self._power(steps) * (1 + self.rest_plus * self._ratio * self._sum(steps))
        return np.where(self.is_complex, self._oscillation(steps), real)

    def slow_progress(self, steps: float) -> Array:
        """(1 − p)/h of slow modes."""
        geometric = _geometric(self.rest_plus, np.log1p(-np.where(self.is_slow, self.rest_plus, 0)), steps)
        return (geometric - self._power(steps) * self._ratio * self._sum(steps)) / self.rest_minus

    @property
    def _ratio(self) -> Array:
        """q = z₋/z₊, z₋ = d/z₊; 0 where z₊ is 0."""
        square = self.large**2
        return np.where(square > 0, self.d / np.where(square > 0, square, 1), 0)

    def _power(self, steps: float) -> Array:
        """z₊^steps."""
        size = np.where(self.is_slow, np.log1p(-np.where(self.is_slow, self.rest_plus, 0)), _log(np.abs(self.large)))
        sign = np.where((self.large < 0) & (steps % 2 == 1), -1.0, 1.0)
        return sign * np.exp(times(size, steps))

    def _sum(self, steps: float) -> Array:
        """G(q) = 1 + q + … + q^(steps − 1) = (1 − q^steps)/(1 − q)."""
        q = self._ratio
        rest = np.where(q > 0, 2 * self.spread / np.abs(np.where(self.large == 0, 1, self.large)), 1 - q)  # 1 − q
        rest = np.clip(rest, 0, 2)
        log = np.where(q > 0, np.log1p(-np.where((q > 0) & (rest < 1), rest, 0)), _log(np.abs(q)))
        sign = np.where((q < 0) & (steps % 2 == 1), -1.0, 1.0)
        direct = (1 - sign * np.exp(times(log, steps))) / np.where(rest > 0, rest, 1)
        return np.where(q > 0, _geometric(rest, log, steps), direct)

    def _oscillation(self, steps: float) -> Array:
        """d^(steps/2) (cos(k ω) + sin(k ω) (cos ω − √d)/sin ω) with k steps, z = √d exp(±iω)."""
        modulus = np.sqrt(np.where(self.is_complex, self.d, 1))
        angle = np.arctan2(self.spread, self.half)
        sine = np.where(self.is_complex, self.spread / modulus, 1)
        turned = np.sin(steps * angle) / sine * (self.half / modulus - modulus)
        return np.exp(steps * np.log(modulus)) * (np.cos(steps * angle) + turned)


def _geometric(rest: Array, log: Array, steps: float) -> Array:
    """(1 − z^steps)/(1 − z) from 1 − z and log z; `steps` at z = 1."""
    return divide(-np.expm1(times(log, steps)), rest, limit=steps)


def _log(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(x)
