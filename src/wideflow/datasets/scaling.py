"""Centring and scaling by training statistics, and its inverse."""

from dataclasses import dataclass

import numpy as np

from .errors import DataError


@dataclass(frozen=True, eq=False)
class Scaling:
    """The map x -> (x - mean) / std and back; mean and std broadcast against the last axis of x.

    >>> import numpy as np
    >>> from wideflow.datasets import Scaling
    >>> Scaling(np.array(2.0), np.array(4.0)).apply(np.array([2.0, 6.0]))
    array([0., 1.])
    """

    mean: np.ndarray
    std: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return (x - mean) / std."""
        return (x - self.mean) / self.std

    def undo(self, x: np.ndarray) -> np.ndarray:
        """Return x std + mean, the inverse of `apply`."""
        return x * self.std + self.mean


def image_scaling(x: np.ndarray) -> Scaling:
    """Return the scaling of x [D, d] by each pixel's mean and one std for all: |x|²/d is 1 on average."""
    with np.errstate(over="ignore", invalid="ignore"):  # check_scaling reports what overflows
        mean = x.mean(axis=0)
        return Scaling(mean, np.asarray(np.sqrt(np.mean((x - mean) ** 2))))


def table_scaling(x: np.ndarray) -> Scaling:
    """Return the scaling of each column of x [D, d], or of a target [D], to mean 0 and variance 1."""
    with np.errstate(over="ignore", invalid="ignore"):  # check_scaling reports what overflows
        return Scaling(np.asarray(x.mean(axis=0)), np.asarray(x.std(axis=0)))


def check_scaling(where: str, scaling: Scaling) -> None:
    """Check that no mean or std overflows or vanishes, for values too large or too close to square."""
    if not (np.isfinite(scaling.mean).all() and np.isfinite(scaling.std).all() and np.all(scaling.std > 0)):
        raise DataError(
            f"{where}: a finite, positive standard deviation wanted, got one that overflows or vanishes. "
            "Change the unit of the values, so that their squares are between 1e-300 and 1e300."
        )


IDENTITY = Scaling(np.array(0.0), np.array(1.0))
