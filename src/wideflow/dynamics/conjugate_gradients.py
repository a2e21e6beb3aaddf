"""Preconditioned conjugate gradients for (Θ + rI) a = b with several right-hand sides."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..kernels.progress import Progress
from .accuracy import percent_of_digits
from .nystrom import Nystrom
from .operator import Operator


@dataclass(frozen=True)
class LinearSolution:
    """a with (Θ + rI) a ≈ b, both `[D, o]`.

    `residual`: b − (Θ + rI) a. `error`: the larger of the relative residual ‖residual‖/‖Θa‖ and the estimated relative
    error in the norm √(aᵀ(Θ + rI)a), over all columns; infinite where a direction was met in which Θ + rI is zero
    within rounding: the system then has no solution. `iterations`: products with all columns.
    """

    a: Float[np.ndarray, "D o"]
    residual: Float[np.ndarray, "D o"]
    error: float
    iterations: int


class ConjugateGradients:
    """The iteration, column by column with products in common.

    The energy norm of the error is what the iterations to come will add, α_i r_iᵀz_i each; those of the last fifth of
    the iterations are the estimate, for the iterate before them: it lies above the error of the last one by what a
    fifth of the iterations gain. Source: Hestenes and Stiefel 1952; Strakoš and Tichý 2002.
    """

    def __init__(self, operator: Operator, ridge: float, rounding: float, preconditioner: Nystrom):
        self.operator, self.ridge, self.rounding = operator, ridge, rounding
        self.preconditioner = preconditioner

    def solve(self, b: Float[np.ndarray, "D o"], tolerance: float, progress: bool = False) -> LinearSolution:
        """Iterate to this relative error, at most 2 D + 100 times; `progress`: print how far it is."""
        a, residual = np.zeros_like(b), b.copy()
        step = z = self.preconditioner.precondition(residual, self.ridge)
        slope, gains = np.sum(residual * z, axis=0), []
        error = np.where(slope > 0, np.inf, 0.0)
        with Progress(100, "% of the digits", enabled=progress) as bar:
            while (active := error > tolerance).any() and len(gains) < 2 * len(b) + 100:
                image = self.operator.product(step) + self.ridge * step
                curvature, length = np.sum(step * image, axis=0), np.sum(step * step, axis=0)
                if (active & (curvature <= self.rounding * length)).any():
                    error = np.where(active, np.inf, error)
                    break
                alpha = np.where(active, slope / np.where(active, curvature, 1), 0)
                a += alpha * step
                residual -= alpha * image
                gains.append(alpha * slope)
                z = self.preconditioner.precondition(residual, self.ridge)
                slope, before = np.sum(residual * z, axis=0), slope
                step = z + np.where(active, slope / np.where(active, before, 1), 0) * step
                error = np.where(active, self._error(a, residual, b, gains), error)
                bar.advance(max(0, percent_of_digits(float(error.max()), tolerance) - bar.done))
        return LinearSolution(a, residual, float(error.max(initial=0)), len(gains))

    def _error(self, a: np.ndarray, residual: np.ndarray, b: np.ndarray, gains: list[np.ndarray]) -> np.ndarray:
        delay = max(_DELAY, len(gains) // 5)
        if len(gains) <= delay:
            return np.full(b.shape[1], np.inf)
        fit = np.linalg.norm(b - residual - self.ridge * a, axis=0)
        left = np.linalg.norm(residual, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            energy = np.sqrt(np.sum(gains[-delay:], axis=0) / np.sum(gains, axis=0))
            relative = np.where(left > 0, left / fit, 0)
        return np.maximum(energy, relative)


_DELAY = 4  # iterations, at least, by which the estimate lags behind
