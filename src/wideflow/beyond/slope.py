"""The exponent of a power law in the width, with an interval over seeds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

_FEWEST_WIDTHS = 4
_FEWEST_SEEDS = 4

Statistic = Callable[[np.ndarray], np.ndarray]  # of samples [n, S] to [n]


@dataclass(frozen=True)
class Slope:
    """The exponent p of a power law C x^p. Printable.

    `value`: the least-squares slope in log-log. `low`, `high`: its bootstrap interval over seeds, of `confidence`.
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95

    def contains(self, exponent: float) -> bool:
        """Whether the interval holds an exponent."""
        return self.low <= exponent <= self.high

    def widened(self, systematic: float) -> "Slope":
        """The same with `systematic` added at both ends: corrections to the power law that seeds do not show."""
        return Slope(self.value, self.low - systematic, self.high + systematic, self.confidence)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} … {self.high:.3f})"


def root_mean_square(samples: Float[np.ndarray, "n S"]) -> Float[np.ndarray, " n"]:
    """The typical size over seeds, the usual `statistic`."""
    return np.sqrt(np.mean(samples**2, axis=-1))


def fit_slope(
    x: Any,
    samples: Any,
    statistic: Statistic = root_mean_square,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Slope:
    """Fit the exponent of `statistic(samples) ∝ x^p`, with a percentile bootstrap over seeds.

    `x [n]`: widths, or another positive scale, at least four of them. `samples [n, S]`: one value a seed, at least
    four seeds; those of different x are resampled independently. `statistic(samples [n, S]) → [n]`: reduces the seeds,
    by default to the root mean square; it must be positive.

    Errors: ValueError for fewer widths or seeds, other shapes, and statistics without a logarithm.
    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    >>> import numpy as np
    >>> widths = np.array([64, 128, 256, 512])
    >>> print(fit_slope(widths, np.ones((4, 8)) / widths[:, None]))
    -1.000 (-1.000 … -1.000)
    """
    x, samples = np.asarray(x, np.float64), np.asarray(samples, np.float64)
    _check(x, samples)
    value = _slope(x, statistic(samples)[None])[0]
    draws = np.random.default_rng(seed).integers(samples.shape[1], size=(resamples, *samples.shape))
    resampled = np.stack([statistic(np.take_along_axis(samples, draw, axis=1)) for draw in draws])
    low, high = np.quantile(_slope(x, resampled), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Slope(float(value), float(low), float(high), confidence)


def fit_paired_slope(x: Any, samples: Any, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Slope:
    """`fit_slope` of the geometric mean where a column of `samples [n, S]` is one network at every x.

    Seeds are resampled with all their x together: what is large for one seed is so at every x and leaves its slope.
    The value is the mean of the slopes of single seeds. For a scale, a time or a learning rate that is changed in one
    network; networks of different widths are different draws. Errors: as `fit_slope`.
    """
    x, samples = np.asarray(x, np.float64), np.asarray(samples, np.float64)
    _check(x, samples)
    slopes = _slope(x, samples.T)  # [S]
    draws = np.random.default_rng(seed).integers(len(slopes), size=(resamples, len(slopes)))
    low, high = np.quantile(slopes[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Slope(float(slopes.mean()), float(low), float(high), confidence)


def _slope(x: Float[np.ndarray, " n"], values: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("fit_slope: the statistic must be positive and finite at every x, to have a logarithm")
    centred = np.log(x) - np.log(x).mean()
    return np.log(values) @ centred / (centred @ centred)


def _check(x: np.ndarray, samples: np.ndarray) -> None:
    if samples.ndim != 2 or samples.shape[0] != x.size or x.ndim != 1:
        raise ValueError(f"fit_slope: wanted x [n] and samples [n, S], got shapes {x.shape} and {samples.shape}")
    if len(np.unique(x)) < _FEWEST_WIDTHS or x.min() <= 0:
        raise ValueError(f"fit_slope: wanted at least {_FEWEST_WIDTHS} different positive x, got {x.tolist()}")
    if samples.shape[1] < _FEWEST_SEEDS:
        raise ValueError(f"fit_slope: wanted at least {_FEWEST_SEEDS} seeds, got {samples.shape[1]}")
