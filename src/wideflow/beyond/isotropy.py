"""Whether inputs are what high-dimensional limits assume: uncorrelated coordinates of one variance, many of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

SMALLEST_DIMENSION = 20
# Effective dimension as a share of d, below which predictions for isotropic inputs are refused.
_SHARE = 0.9


@dataclass(frozen=True)
class Isotropy:
    """How far inputs of covariance C in d dimensions are from isotropic.

    `effective_dimension`: (tr C)²/tr C², d for isotropic inputs and less for any others, estimated without bias from
    sampling. `mean_share`: |E x|²/E|x|², 0 for centred inputs. `rows`, `dimension`: n, d.
    """

    rows: int
    dimension: int
    effective_dimension: float
    mean_share: float

    @staticmethod
    def of(x: Any) -> "Isotropy":
        """Measure inputs `x [n, d]`. Errors: ValueError for other shapes, under 4 rows, not finite or all equal."""
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or len(x) < 4 or not np.isfinite(x).all():
            raise ValueError(f"Isotropy: wanted finite inputs [n, d] with at least 4 rows, got shape {x.shape}")
        n, d = x.shape
        mean = x.mean(axis=0)
        centred = x - mean
        squares, trace = np.sum(centred**2, axis=1), np.sum(centred**2) / (n - 1)
        if trace == 0:
            raise ValueError("Isotropy: all inputs are equal")
        total = np.sum((centred.T @ centred if d < n else centred @ centred.T) ** 2)
        # Himeno & Yamada (2014): unbiased for tr C² whatever the law, where Σ |x_i|⁴ alone would add n tr² C.
        q = np.sum(squares**2) / (n - 1)
        square = (n - 1) / (n * (n - 2) * (n - 3)) * ((n - 1) * (n - 2) * total / (n - 1) ** 2 + trace**2 - n * q)
        # E|mean|² has a part tr C / n from sampling alone.
        offset = max(float(mean @ mean) - trace / n, 0.0)
        return Isotropy(n, d, float(trace**2 / max(square, trace**2 / d / 100)), float(offset / (offset + trace)))

    def require(self, who: str) -> None:
        """Raise ValueError where limits for isotropic inputs do not apply, with what it means for the prediction."""
        require_dimension(who, self.dimension)
        if self.mean_share > 1 - _SHARE:
            raise ValueError(
                f"{who}: wanted centred inputs, {self.mean_share:.0%} of their mean square is their mean. The kernel "
                "then has one eigenvalue of order n that the theory does not know. Subtract the mean"
            )
        n, d = self.rows, self.dimension
        sampling = 3 * np.sqrt(4 / n**2 + 8 / (n * d))  # three standard errors of the estimate, relative
        if self.effective_dimension * (1 + sampling) < _SHARE * d:
            raise ValueError(
                f"{who}: wanted uncorrelated inputs of one variance, got an effective dimension of "
                f"{self.effective_dimension:.1f} in {d} (tr² C / tr C²). The kernel's linear part then has "
                "another spectrum than Marchenko and Pastur's: a few directions are learned sooner and the rest later "
                "than predicted, and the curve is off by more than its error bars. Whiten the inputs, or predict from "
                "the kernel's own spectrum with EigenLearning"
            )


def require_isotropic(x: Any, who: str = "high-dimensional limit") -> Isotropy:
    """Measure inputs `x [n, d]` and raise ValueError where limits for isotropic inputs do not apply to them."""
    isotropy = Isotropy.of(x)
    isotropy.require(who)
    return isotropy


def require_dimension(who: str, dimension: int) -> None:
    """Raise ValueError where the dimension is too small for a limit."""
    if dimension < SMALLEST_DIMENSION:
        raise ValueError(
            f"{who}: wanted a dimension of at least {SMALLEST_DIMENSION}, got {dimension}. Corrections to the limit "
            "are of relative size 1/√d in one draw and 1/d on average, and inputs no longer see an activation through "
            "five constants: the cubic part of the kernel is not small. Use more dimensions, or EigenLearning with "
            "the eigenvalues of SphereSpectrum"
        )
