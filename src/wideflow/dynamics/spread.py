"""How far the members of an ensemble lie apart, jointly over points and times."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .operator import MatrixOperator


@dataclass(frozen=True)
class Spread:
    """The covariance of f_t = f₀ − C_t (f₀(X) − y − ε) at points T, for f₀ ~ GP(0, A) and ε ~ N(0, noise I).

    `start`: A_TT; `start_cross`: A_TX; `start_train`: A_XX. The maps C_t = Θ(T, X) G_t hold the training.
    """

    start: Float[np.ndarray, "n n"]
    start_cross: Float[np.ndarray, "n D"]
    start_train: Float[np.ndarray, "D D"]
    noise: float

    def covariance(self, maps: Float[np.ndarray, "Tn D"]) -> Float[np.ndarray, "Tn Tn"]:
        """A_TT + C_t (A_XX + noise I) C_t'ᵀ − C_t A_XT − A_TX C_t'ᵀ; `maps`: C_t of all times, one below the other.

        Exactly symmetric, with a diagonal that is not negative: it is a difference, and zero at fitted points up to
        rounding.
        """
        times = len(maps) // len(self.start)
        half = np.tile(maps @ self.start_cross.T, (1, times))  # C_t A_XT, whatever t'
        learned = maps @ (MatrixOperator(self.start_train).product(maps.T) + self.noise * maps.T)
        cov = np.tile(self.start, (times, times)) + learned - half - half.T
        cov = (cov + cov.T) / 2
        np.fill_diagonal(cov, np.maximum(np.diagonal(cov), 0))
        return cov

    @property
    def scale(self) -> float:
        """The largest of the variances that the covariance is a difference of."""
        return float(max(np.diagonal(self.start).max(), np.diagonal(self.start_train).max(), self.noise))
