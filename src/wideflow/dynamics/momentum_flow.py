"""Training with momentum in continuous time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .rule import Rule, divide, times

Array = np.ndarray


@dataclass(frozen=True)
class HeavyBallFlow(Rule):
    """A damped oscillator on the loss: θ'' + friction θ' = −lr ∇L(θ), at rest at the start.

    Along an eigenvector r'' + friction r' + lr λ r = 0: with Δ² = friction²/4 − lr λ and μ± = friction/2 ∓ Δ,
    p_t = e^(−μ₊ t) (1 + μ₊ (1 − e^(−2Δt))/(2Δ)); below critical damping the same with Δ = iΩ.
    The limit of `HeavyBall(η, β)` and `Nesterov(η, β)` for small η after k steps at t = k √η, with lr = 1 and
    friction = (1 − β)/√η. Source: Polyak 1964; Wibisono et al. 2016.

    `friction`: positive. Raises ValueError for another one.
    """

    friction: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.friction < np.inf:
            raise ValueError(f"{self!r}: the friction must be positive and finite, got {self.friction}")

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """p_t(λ)."""
        if not np.isfinite(t):
            return np.where(lam == 0, 1.0, 0.0)
        slow, spread, is_slow = self._rates(lam)
        damped = np.exp(-times(slow, t)) * (1 + slow * _decay(2 * spread, t))
        turned = np.cos(spread * t) + self.friction / 2 * divide(np.sin(spread * t), spread, limit=t)
        return np.where(is_slow, damped, np.exp(-self.friction / 2 * t) * turned)

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − p_t(λ))/λ; lr (t − (1 − e^(−friction t))/friction)/friction at λ = 0."""
        if not np.isfinite(t):
            return divide(np.ones_like(lam), lam, limit=np.inf)
        slow, spread, is_slow = self._rates(lam)
        fast = np.where(is_slow, self.friction / 2 + spread, 1)
        damped = self.lr / fast * (_decay(slow, t) - np.exp(-times(slow, t)) * _decay(2 * spread, t))
        return np.where(is_slow, damped, divide(1 - self.residual(lam, t), lam, limit=0.0))

    def max_learning_rate(self, lam_max: float) -> float:
        """Infinity: the flow never diverges."""
        return np.inf

    def _rates(self, lam: Array) -> tuple[Array, Array, Array]:
        """The slower rate μ₊ of damped modes, |Δ|, and which modes are damped without turning."""
        square = self.friction**2 / 4 - self.lr * lam
        spread, is_slow = np.sqrt(np.abs(square)), square >= 0
        slow = np.where(is_slow, self.lr * lam / (self.friction / 2 + spread), 0)  # μ₊ μ₋ = lr λ
        return slow, spread, is_slow


@dataclass(frozen=True)
class NesterovFlow(Rule):
    """The limit of Nesterov's accelerated gradient with momentum (k − 1)/(k + 2): θ'' + (3/t) θ' = −lr ∇L(θ).

    p_t(λ) = 2 J₁(x)/x with x = t √(lr λ), J₁ the Bessel function; k steps of rate η are the time t = k √η with lr = 1.
    (With constant momentum the limit is `HeavyBallFlow`.) Source: Su, Boyd & Candès 2016, section 3.1.
    """

    def residual(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """2 J₁(x)/x."""
        from scipy.special import j1

        if not np.isfinite(t):
            return np.where(lam == 0, 1.0, 0.0)
        x = np.sqrt(self.lr * lam) * t
        return divide(2 * j1(x), x, limit=1.0)

    def progress(self, lam: Float[Array, " D"], t: float) -> Float[Array, " D"]:
        """(1 − 2 J₁(x)/x)/λ, by its series for small x; lr t²/8 at λ = 0."""
        if not np.isfinite(t):
            return divide(np.ones_like(lam), lam, limit=np.inf)
        square = self.lr * lam * t**2 / 4
        term, series = np.full_like(square, 0.5), np.full_like(square, 0.5)
        for m in range(2, _SERIES_TERMS):  # Σ_m (−1)^(m+1) (x/2)^(2m − 2)/(m! (m + 1)!)
            term = -term * np.minimum(square, 1) / (m * (m + 1))
            series = series + term
        small = self.lr * t**2 / 4 * series
        return np.where(square < 1, small, divide(1 - self.residual(lam, t), lam, limit=0.0))

    def max_learning_rate(self, lam_max: float) -> float:
        """Infinity: the flow never diverges."""
        return np.inf


_SERIES_TERMS = 14  # 1/(13! 14!) of the first one


def _decay(rate: Array, t: float) -> Array:
    """(1 − e^(−rate t))/rate; t at rate 0."""
    return divide(-np.expm1(-times(rate, t)), rate, limit=t)
