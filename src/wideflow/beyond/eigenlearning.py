"""What kernel regression learns from n samples, predicted from the kernel's spectrum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

Numbers = Float[np.ndarray, " m"]
_ITERATIONS = 200  # safeguarded Newton steps for κ; 10 are usual


@dataclass(frozen=True)
class EigenLearning:
    """Kernel ridge regression on n samples of a population: errors, and what is learned of every eigenmode.

    `eigenvalues [m]` λ_i ≥ 0 of the kernel over the population, k(x, x') = Σ_i λ_i φ_i(x) φ_i(x') with E φ_i² = 1;
    `coefficients [m]` v_i of the target, y = Σ_i v_i φ_i(x) + noise. `samples` n; `ridge` δ: the fit is
    k(x, X)(K + δI)⁻¹ y; `noise`: its variance. `multiplicity [m]`: number of equal eigenvalues each entry stands for
    (with v_i² summed over them), by default 1. Eigenvalues 0 are modes that cannot be learned, and act as noise.

    κ > 0 solves Σ λ_i/(λ_i + κ) + δ/κ = n. Mode i is learned to the share ℒ_i = λ_i/(λ_i + κ), ℰ_0 = n/(n − Σ ℒ_i²) is
    the factor by which errors are overfitted.

    The law assumes that eigenfunctions behave like independent Gaussian features. It is exact where n and the number
    of modes grow together and otherwise an approximation, good to a few percent on real data (see `learning_curve`).
    Cost: O(m) a step of Newton's method. Errors: ValueError for shapes, negative numbers, and for ridge 0 with as many
    samples as nonzero modes or more, where the kernel matrix is singular.
    Source: Simon et al., The eigenlearning framework (TMLR 2023); Canatar, Bordelon & Pehlevan 2021.

    >>> import numpy as np
    >>> from wideflow.beyond import EigenLearning
    >>> i = np.arange(1.0, 2001)
    >>> law = EigenLearning(i**-1.5, coefficients=1 / i, samples=80, ridge=1e-3)
    >>> print(f"{law.test_error:.4f} {law.learnability[:3].round(3)} {law.learnability.sum():.1f}")
    0.0334 [0.996 0.988 0.978] 79.8
    """

    eigenvalues: Numbers
    coefficients: Numbers
    samples: int
    ridge: float = 0.0
    noise: float = 0.0
    multiplicity: Numbers | Int[np.ndarray, " m"] | None = None

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def kappa(self) -> float:
        """κ: modes of eigenvalues above it are learned, those below are not."""
        return _kappa(self.eigenvalues, self._counts, float(self.samples), self.ridge)

    @property
    def learnability(self) -> Numbers:
        """ℒ_i in [0, 1], of each single mode. With multiplicities, Σ multiplicity · ℒ ≤ n, equal without ridge."""
        return self.eigenvalues / (self.eigenvalues + self.kappa)

    @property
    def overfitting(self) -> float:
        """ℰ_0 = n/(n − Σ ℒ_i²) ≥ 1."""
        return self.samples / (self.samples - float(self._counts @ self.learnability**2))

    @property
    def test_error(self) -> float:
        """Mean square error on new noisy targets: ℰ_0 (Σ (1 − ℒ_i)² v_i² + noise)."""
        return self.overfitting * (float(np.sum((1 - self.learnability) ** 2 * self.coefficients**2)) + self.noise)

    @property
    def train_error(self) -> float:
        """Mean square error on the noisy training targets: (δ/(nκ))² · test error."""
        return (self.ridge / (self.samples * self.kappa)) ** 2 * self.test_error

    @property
    def mean(self) -> Numbers:
        """E v̂_i over training sets, of the coefficients of the fit: ℒ_i v_i."""
        return self.learnability * self.coefficients

    @property
    def variance(self) -> Numbers:
        """Var v̂_i over training sets, of each single mode: ℒ_i² · test error / n."""
        return self.learnability**2 * self.test_error / self.samples

    @property
    def mode_errors(self) -> Numbers:
        """E (v_i − v̂_i)² of the modes, summed over multiplicities; with the noise they add up to the test error."""
        return (1 - self.learnability) ** 2 * self.coefficients**2 + self._counts * self.variance

    @property
    def _counts(self) -> Numbers:
        return np.ones(len(self.eigenvalues)) if self.multiplicity is None else self.multiplicity.astype(np.float64)


def _kappa(eigenvalues: Numbers, counts: Numbers, samples: float, ridge: float) -> float:
    """Newton's method in log κ, between bounds: the sum falls from the number of modes (or ∞) to 0."""
    low, high = _bounds(eigenvalues, counts, samples, ridge)
    log = (low + high) / 2
    for _ in range(_ITERATIONS):
        kappa = np.exp(log)
        shares = eigenvalues / (eigenvalues + kappa)
        excess = float(counts @ shares) + ridge / kappa - samples
        low, high = (log, high) if excess > 0 else (low, log)
        step = excess / (float(counts @ (shares * (1 - shares))) + ridge / kappa)
        log, before = (log + step if low < log + step < high else (low + high) / 2), log
        if abs(log - before) <= 1e-15 * max(abs(log), 1.0):
            break
    return float(np.exp(log))


def _bounds(eigenvalues: Numbers, counts: Numbers, samples: float, ridge: float) -> tuple[float, float]:
    """Logarithms between which κ lies: above, Σ λ + δ = nκ would be too much; below, a search downward."""
    high = float(np.log((counts @ eigenvalues + ridge) / samples))
    low = high - 1.0
    while float(counts @ (eigenvalues / (eigenvalues + np.exp(low)))) + ridge / np.exp(low) < samples:
        low -= 2 * (high - low)
    return low, high


def _check(law: EigenLearning) -> None:
    shape = np.shape(law.eigenvalues)
    if len(shape) != 1 or shape[0] == 0 or np.shape(law.coefficients) != shape:
        raise ValueError(
            f"EigenLearning: wanted eigenvalues and coefficients [m], got {shape} and {np.shape(law.coefficients)}"
        )
    if law.multiplicity is not None and (np.shape(law.multiplicity) != shape or np.min(law.multiplicity) <= 0):
        raise ValueError("EigenLearning: multiplicity wants one positive number for each eigenvalue")
    if not (np.isfinite(law.eigenvalues).all() and np.min(law.eigenvalues) >= 0 and np.max(law.eigenvalues) > 0):
        raise ValueError("EigenLearning: eigenvalues must be finite, 0 or more, and not all 0")
    if not np.isfinite(law.coefficients).all():
        raise ValueError("EigenLearning: coefficients must be finite")
    if law.samples < 1 or not (np.isfinite([law.ridge, law.noise]).all() and min(law.ridge, law.noise) >= 0):
        raise ValueError(
            f"EigenLearning: wanted samples ≥ 1, ridge ≥ 0 and noise ≥ 0, got {law.samples}, {law.ridge}, {law.noise}"
        )
    modes = float(law._counts @ (law.eigenvalues > 0))
    if law.ridge == 0 and law.samples >= modes:
        raise ValueError(
            f"EigenLearning: without ridge the samples must be fewer than the modes, got {law.samples} samples and "
            f"{modes:g} nonzero eigenvalues: the kernel matrix is singular. Give a ridge, or more of the spectrum"
        )
