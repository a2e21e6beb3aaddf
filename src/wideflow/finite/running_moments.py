"""Mean and variance of arrays that come in portions."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """The mean of `count` draws, and the sum of their squared deviations from it, `squares`, entry by entry."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, draws: np.ndarray) -> "RunningMoments":
        """Those of draws `[S, …]`, in float64."""
        mean = draws.mean(axis=0, dtype=np.float64)
        return cls(len(draws), mean, np.sum((draws - mean) ** 2, axis=0))

    def with_more(self, other: "RunningMoments") -> "RunningMoments":
        """Those of the draws of both: an exact update without cancellation (Chan et al. 1979)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        squares = self.squares + other.squares + apart**2 * (self.count * other.count / count)
        return RunningMoments(count, mean, squares)

    @property
    def error(self) -> np.ndarray:
        """The standard error of the mean, √(squares/(S (S − 1))); infinite for one draw."""
        if self.count < 2:
            return np.full_like(self.mean, np.inf)
        return np.sqrt(self.squares / (self.count * (self.count - 1)))

    @property
    def relative_error(self) -> float:
        """The standard error of the whole array relative to its size: √Σ error² / √Σ mean²; infinite for zero."""
        size = np.linalg.norm(self.mean)
        return float(np.linalg.norm(self.error) / size) if size > 0 else np.inf
