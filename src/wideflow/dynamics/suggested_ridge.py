"""The ridge that generalized cross-validation chooses."""

from typing import Any

import numpy as np

from .spectrum import Spectrum
from .targets import checked_targets

_SPAN = 1e3  # the largest ridge looked at over the largest eigenvalue
_STEPS = 400  # ridges looked at, before the best one is refined


def suggested_ridge(ntk_train: Any, y_train: Any) -> float:
    """The ridge r for which training to t = ∞ generalises best, by generalized cross-validation.

    It minimises GCV(r) = D ‖(I − H) y‖²/(tr(I − H))², H = Θ (Θ + rI)⁻¹, the error of leave-one-out predictions where
    every point has the same leverage; squares are summed over outputs. Looked for between the rounding of Θ's
    eigenvalues, where no smaller ridge means anything, and 10³ λ_max. `ntk_train [D, D]`, `y_train [D]` or `[D, out]`.

    Errors: those of `Trajectory`. Cost: one `eigh`. Source: Golub, Heath and Wahba 1979, equation 1.4.
    """
    from scipy.optimize import minimize_scalar

    y = checked_targets(y_train, len(ntk_train))
    spectrum = Spectrum.of(ntk_train, "ntk_train")
    energy = np.sum((spectrum.vectors.T @ y.reshape(len(y), -1)) ** 2, axis=1)
    if not spectrum.values[-1] > 0:
        raise ValueError("ntk_train: is zero, and nothing is learned at any ridge")

    def score(log: float) -> float:
        left = 1 / (1 + spectrum.values * np.exp(-log))  # r/(λ + r)
        return float(np.sum(left**2 * energy) / np.sum(left) ** 2)

    grid = np.linspace(np.log(spectrum.rounding), np.log(_SPAN * spectrum.values[-1]), _STEPS)
    best = int(np.argmin([score(one) for one in grid]))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, _STEPS - 1)])
    found: Any = minimize_scalar(score, bounds=around, method="bounded")
    return float(np.exp(found.x))
