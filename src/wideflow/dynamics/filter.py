"""A training rule applied to a kernel matrix: the one place where the square-loss formulas are evaluated."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .rule import Rule
from .spectrum import Spectrum


@dataclass(frozen=True)
class Filter:
    """Dual weights of training with the kernel Θ, ridge r and a rule, at any time.

    Training moves the parameters to θ₀ − Jᵀ a_t, with dual weights a_t = G_t (f₀ − y) and
    G_t = (1 − p_t((Θ + rI)/D)) (Θ + rI)⁻¹ on the training points. All outputs follow: f_t = f₀ − Θ(·, X) a_t.

    At t = ∞, and when a mode of the size of rounding would be half learned, eigenvalues that are zero within rounding
    are left out (the pseudo-inverse): such modes are not seen by any test point and are never learned.
    """

    spectrum: Spectrum
    rule: Rule
    ridge: float

    @classmethod
    def of(cls, matrix: Any, rule: Rule, ridge: float, name: str, allow_unstable: bool) -> "Filter":
        """Decompose Θ `[D, D]`; ValueError for a negative ridge or a learning rate beyond the stability limit."""
        if not 0 <= ridge < np.inf:
            raise ValueError(f"ridge={ridge}: must be finite and not negative")
        new = cls(Spectrum.of(matrix, name), rule, float(ridge))
        limit = rule.max_learning_rate(float(new.rates[-1]))
        if rule.lr >= limit and not allow_unstable:
            raise ValueError(
                f"{rule!r}: the learning rate is beyond the stability limit {limit:.6g} of {name}; "
                "use a smaller one, or pass allow_unstable=True to see the divergence"
            )
        return new

    @property
    def rates(self) -> Float[np.ndarray, " D"]:
        """Eigenvalues of (Θ + rI)/D."""
        return (self.spectrum.values + self.ridge) / len(self.spectrum.values)

    def weights(self, t: float) -> Float[np.ndarray, " D"]:
        """Eigenvalues of G_t."""
        rates = self.rates
        if not self._is_late(t):
            return self.rule.progress(rates, t) / len(rates)
        learned = ~(self.spectrum.null & (self.ridge == 0))
        return np.where(learned, self.rule.progress(np.where(learned, rates, 1), t), 0) / len(rates)

    def _is_late(self, t: float) -> bool:
        """Whether a mode of the size of rounding would be half learned: from then on it is all rounding."""
        if not np.isfinite(t):
            return True
        blurred = np.array([self.spectrum.rounding / len(self.spectrum.values)])
        return bool(self.rule.residual(blurred, t)[0] < 0.5)

    def solve(self, t: float, residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "D o"]:
        """G_t · residual."""
        vectors = self.spectrum.vectors
        return vectors @ (self.weights(t)[:, None] * (vectors.T @ residual))

    def fit(self, t: float, residual: Float[np.ndarray, "D o"]) -> Float[np.ndarray, "D o"]:
        """Θ G_t · residual, by how much the outputs on the training points have moved; exact for zero modes."""
        vectors = self.spectrum.vectors
        return vectors @ ((self.spectrum.values * self.weights(t))[:, None] * (vectors.T @ residual))
