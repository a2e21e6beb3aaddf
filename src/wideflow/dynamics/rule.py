"""Training rules as spectral filters."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Array = np.ndarray


@dataclass(frozen=True)
class Rule:
    """A first-order training rule, seen along one eigenvector of the kernel.

    `lam [D]` are eigenvalues of Θ/D (the Hessian of the square loss L = 1/(2D) Σ ‖f − y‖² of the linearized
    network). Along an eigenvector the residual f − y is multiplied by p_t(λ), `residual`, and the dual weights grow
    as (1 − p_t(λ))/λ, `progress`. A rule of your own is a subclass with `residual`, `progress` and
    `max_learning_rate`.

    `lr`: the learning rate η, positive. Time `t` is η × steps for the discrete rules. Raises ValueError for `lr`
    that is not positive and finite.
    """

    lr: float = 1.0

    def __post_init__(self):
        if not 0 < self.lr < np.inf:
            raise ValueError(f"{type(self).__name__}(lr={self.lr}): the learning rate must be positive and finite")

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """p_t(λ): what is left of the residual at time `t` (may be infinite)."""
        raise NotImplementedError

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − p_t(λ))/λ, with its limit at λ = 0, where it grows without bound."""
        raise NotImplementedError

    def max_learning_rate(self, lam_max: float) -> float:
        """The rate above which the rule diverges on a largest eigenvalue `lam_max` of Θ/D."""
        raise NotImplementedError

    def check_time(self, t: float) -> None:
        """Raise ValueError for a time the rule does not have."""
        if not t >= 0:
            raise ValueError(f"{self!r}: time must not be negative, got t={t}")


@dataclass(frozen=True)
class GradientFlow(Rule):
    """Gradient flow dθ/dt = −lr ∇L(θ): p_t(λ) = exp(−lr λ t).

    With `lr` = 1 time is that of the lecture; it is the limit of `GradientDescent` for a vanishing rate at equal time.
    """

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """exp(−lr λ t)."""
        return np.exp(-times(self.lr * lam, t))

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − exp(−lr λ t))/λ; lr t at λ = 0."""
        return divide(-np.expm1(-times(self.lr * lam, t)), lam, limit=self.lr * t)

    def max_learning_rate(self, lam_max: float) -> float:
        """Infinity: the flow never diverges."""
        return np.inf


@dataclass(frozen=True)
class Stepwise(Rule):
    """A rule that goes in steps of one learning rate: times are whole numbers of steps, t = lr × steps."""

    def check_time(self, t: float) -> None:
        """Raise ValueError unless `t` is a whole number of steps."""
        super().check_time(t)
        if np.isfinite(t):
            self.steps(t)

    def steps(self, t: float) -> float:
        """How many steps make the time `t`, a whole number or infinity; ValueError where it is neither."""
        if not np.isfinite(t):
            return np.inf
        steps = round(t / self.lr)
        if abs(t / self.lr - steps) > STEP_TOLERANCE * max(steps, 1):
            raise ValueError(
                f"{self!r}: t={t} is {t / self.lr:.6g} steps, which is not a whole number; "
                f"use t = lr × steps, for instance {self.lr * steps:.6g}"
            )
        return float(steps)


@dataclass(frozen=True)
class GradientDescent(Stepwise):
    """Full-batch gradient descent θ ← θ − lr ∇L(θ): p_t(λ) = (1 − lr λ)^(t/lr) after t/lr steps.

    Times must be whole numbers of steps. Stable for lr λ_max < 2.
    """

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − lr λ)^steps, evaluated through log1p so that tiny λ keep their digits."""
        growth, sign = _power(self.lr * lam, self.steps(t))
        return sign * np.exp(growth)

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − (1 − lr λ)^steps)/λ; lr steps at λ = 0."""
        growth, sign = _power(self.lr * lam, self.steps(t))
        fraction = np.where(sign > 0, -np.expm1(growth), 1 + np.exp(growth))
        return divide(fraction, lam, limit=t)

    def max_learning_rate(self, lam_max: float) -> float:
        """2/λ_max."""
        return 2 / lam_max if lam_max > 0 else np.inf


STEP_TOLERANCE = 1e-6  # relative; protects t = lr * steps against rounding


def _power(rate: Array, steps: float) -> tuple[Array, Array]:
    """log |1 − rate|^steps and the sign of (1 − rate)^steps."""
    with np.errstate(divide="ignore"):
        log = np.where(rate < 1, np.log1p(-np.minimum(rate, 1)), np.log(np.maximum(rate - 1, 0)))
    even = not np.isfinite(steps) or steps % 2 == 0
    sign = np.where((rate > 1) & (not even), -1.0, 1.0)
    return times(log, steps), sign


def times(rate: Array, t: float) -> Array:
    """rate · t where 0 · ∞ is 0: a mode that does not move, or a time that has not begun."""
    still = (rate == 0) | (t == 0)
    return np.where(still, 0.0, np.where(still, 1.0, rate) * float(t))


def divide(fraction: Array, lam: Array, limit: float) -> Array:
    """fraction/λ, and the limit where λ is 0."""
    zero = lam == 0
    return np.where(zero, limit, fraction / np.where(zero, 1, lam))
