"""Repeated measurements of a curve, with their error bar."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Replicates:
    """A quantity measured with S seeds at n places: `samples [n, S]`.

    `mean`, `error` (standard error of the mean) and `median`, each `[n]`.
    """

    samples: Float[np.ndarray, "n S"]

    @property
    def mean(self) -> Float[np.ndarray, " n"]:
        """The average over seeds."""
        return self.samples.mean(axis=1)

    @property
    def error(self) -> Float[np.ndarray, " n"]:
        """The standard error of `mean`: standard deviation over seeds / √S."""
        return self.samples.std(axis=1, ddof=1) / np.sqrt(self.samples.shape[1])

    @property
    def median(self) -> Float[np.ndarray, " n"]:
        """The median over seeds, for quantities with heavy tails, as near a peak."""
        return np.median(self.samples, axis=1)
