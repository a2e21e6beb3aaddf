"""Agreement of an ensemble with a Gaussian process, as statistics with a stated error rate.

Values at different points are strongly correlated, so single points are not independent tests. Every statistic here
is pooled over the points, and its distribution under the theory follows from the theory's own covariance Σ: a sum
of squares of correlated Gaussians, matched in mean and variance by a χ² with ν = (tr Σ)²/tr(Σ²) degrees of freedom
(Satterthwaite 1946).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

THREE_SIGMA = 0.9973  # probability within three standard deviations of a Gaussian


@dataclass(frozen=True)
class Agreement:
    """How far S networks are from a Gaussian process at some points, at one time.

    `mean_error`: root mean square over the points of (mean of networks − mean of theory). `standard_error`: what it
    would be, on average, by chance. `mean_limit`: its quantile by chance. `variance_ratio`: variance of the
    networks over the theory's, both summed over the points; `ratio_low`, `ratio_high`: its central interval by chance.
    """

    mean_error: float
    standard_error: float
    mean_limit: float
    variance_ratio: float
    ratio_low: float
    ratio_high: float

    @property
    def mean_in_errors(self) -> float:
        """The mean's error in units of its standard error."""
        return self.mean_error / self.standard_error

    @classmethod
    def of(
        cls,
        outputs: Float[np.ndarray, "S n"],
        mean: Float[np.ndarray, " n"],
        cov: Float[np.ndarray, "n n"],
        confidence: float = THREE_SIGMA,
    ) -> "Agreement":
        """Compare the outputs of S networks with a Gaussian process at the same n points."""
        from scipy.stats import chi2

        S, n = outputs.shape
        trace = np.trace(cov)
        freedom = trace**2 / np.sum(cov**2)
        standard_error = np.sqrt(trace / (n * S))
        spread = freedom * (S - 1)
        low, high = chi2.ppf([(1 - confidence) / 2, (1 + confidence) / 2], spread) / spread
        return cls(
            mean_error=float(np.sqrt(np.mean((outputs.mean(axis=0) - mean) ** 2))),
            standard_error=float(standard_error),
            mean_limit=float(standard_error * np.sqrt(chi2.ppf(confidence, freedom) / freedom)),
            variance_ratio=float(outputs.var(axis=0, ddof=1).sum() / trace),
            ratio_low=float(low),
            ratio_high=float(high),
        )
