"""A randomized low-rank preconditioner for kernel systems."""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from jaxtyping import Float

from .operator import FLOAT64, Operator


@dataclass(frozen=True)
class Nystrom:
    """Θ ≈ U diag(values) Uᵀ with its largest eigenvalues, values descending, from one product with random vectors.

    Source: Frangella, Tropp and Udell 2021, "Randomized Nyström preconditioning", algorithm 2.1 and equation 1.3.
    """

    values: Float[np.ndarray, " k"]
    vectors: Float[np.ndarray, "D k"]

    @classmethod
    def of(cls, operator: Operator, rank: int | None = None, seed: int = 0) -> "Nystrom":
        """An approximation of this `rank`, by default 4 √D; cost one product with as many vectors, and 8 D rank²."""
        from scipy.linalg import cholesky, solve_triangular, svd

        points = len(operator)
        rank = min(points, max(16, 4 * isqrt(points)) if rank is None else rank)
        probe, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((points, rank)))
        image = operator.product(probe)
        if not image.any():
            return cls(np.zeros(0), probe[:, :0])
        shift = FLOAT64 * points**0.5 * float(np.linalg.norm(image))  # makes the core positive definite
        image += shift * probe
        core = probe.T @ image
        root = cholesky((core + core.T) / 2, lower=False, check_finite=False)
        half = solve_triangular(root, image.T, trans=1, check_finite=False).T
        vectors, singular, _ = svd(half, full_matrices=False, check_finite=False)
        values = np.maximum(singular**2 - shift, 0)
        kept = values > operator.epsilon * values[0]
        return cls(values[kept], vectors[:, kept])

    def precondition(self, residual: Float[np.ndarray, "D o"], ridge: float) -> Float[np.ndarray, "D o"]:
        """P⁻¹ · residual, with P = (U diag(values + ridge) Uᵀ)/(values[-1] + ridge) + I − UUᵀ."""
        if not len(self.values):
            return residual.copy()
        modes = self.vectors.T @ residual
        gain = (self.values[-1] + ridge) / (self.values + ridge) - 1
        return residual + self.vectors @ (gain[:, None] * modes)
