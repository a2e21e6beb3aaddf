"""Whether predicted uncertainties are true: scores of predictive distributions against what was observed."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int


def negative_log_predictive_density(y: Any, mean: Any, variance: Any) -> np.ndarray:
    """−log N(y; mean, variance) of every observation, the shape of `y`; its mean is the NLPD of a test set.

    ½ log 2πv + (y − m)²/2v, in natural units: rescaling y by s adds log s. `y`, `mean`: `[n]` or `[n, out]`;
    `variance [n]` (shared by outputs) or shaped like `y`, positive, of an observation: for a Gaussian process that of
    the function plus the noise. Lower is better, and in expectation lowest for the true distribution (it is a proper
    score). Raises ValueError for shapes that differ, values that are not finite, variances that are not positive.
    Source: Rasmussen and Williams 2006, equation 2.34.
    """
    y, mean, variance = _checked_gaussian(y, mean, variance)
    return (np.log(2 * np.pi * variance) + (y - mean) ** 2 / variance) / 2


def joint_negative_log_predictive_density(y: Any, mean: Any, cov: Any) -> float:
    """−log N(y; mean, cov) of all observations together, summed over outputs.

    Unlike the mean over points it sees whether errors at neighbouring points are correlated as predicted.
    `y`, `mean`: `[n]` or `[n, out]`; `cov [n, n]` of the observations (noise on its diagonal), the same for every
    output. Raises ValueError as above, and `NotPositiveDefiniteError` for a singular covariance. Cost: n³/3.
    """
    from .gaussian_process import GaussianProcess

    y, mean = _checked_pair(y, mean)
    return -GaussianProcess(cov, y - mean, noise=0.0).log_marginal_likelihood


class CalibrationCurve(NamedTuple):
    """Predicted shares, `levels [L]`, and the shares `observed [L]`; a calibrated prediction has them equal."""

    levels: np.ndarray
    observed: np.ndarray


def calibration_curve(y: Any, mean: Any, variance: Any, levels: Any = None) -> CalibrationCurve:
    """The share of observations below each predicted quantile.

    observed(p) = mean of [F_i(y_i) ≤ p] over points and outputs, F_i the distribution function of N(mean, variance).
    `levels`: probabilities p in [0, 1], by default 0.05, 0.1, … 0.95. Arguments and errors as
    `negative_log_predictive_density`. Source: Kuleshov, Fenner, Ermon 2018, equation 8.
    """
    levels = _checked_levels(levels)
    return CalibrationCurve(levels, _shares(_quantiles(y, mean, variance), levels))


def interval_coverage(y: Any, mean: Any, variance: Any, levels: Any = None) -> CalibrationCurve:
    """The share of observations inside each predicted central interval: of 95 % intervals, how many hold theirs.

    observed(p) = mean of [|2 F_i(y_i) − 1| ≤ p]: the interval mean ± z √variance of probability p. More than p: too
    cautious; fewer: too certain. Arguments and errors as `calibration_curve`.
    """
    levels = _checked_levels(levels)
    return CalibrationCurve(levels, _shares(np.abs(2 * _quantiles(y, mean, variance) - 1), levels))


def regression_calibration_error(y: Any, mean: Any, variance: Any, levels: Any = None) -> float:
    """The mean over `levels` of |observed(p) − p| of the calibration curve; zero is calibrated, ½ is the worst.

    By chance alone about 0.3/√n for n independent observations. Arguments and errors as `calibration_curve`.
    """
    curve = calibration_curve(y, mean, variance, levels)
    return float(np.mean(np.abs(curve.observed - curve.levels)))


def sharpness(variance: Any) -> float:
    """The mean predicted variance. Of two calibrated predictions the sharper one, with less, says more.

    `variance`: any shape, not negative (ValueError). Source: Kuleshov, Fenner, Ermon 2018, section 3.3.
    """
    variance = np.asarray(variance, np.float64)
    if not variance.size or not np.all(variance >= 0):
        raise ValueError("variance: wanted at least one number, none of them negative or NaN")
    return float(variance.mean())


class Reliability(NamedTuple):
    """A reliability diagram: of each bin that holds points its mean confidence, its accuracy and how many they are."""

    confidence: Float[np.ndarray, " B"]
    accuracy: Float[np.ndarray, " B"]
    points: Int[np.ndarray, " B"]


def reliability(probabilities: Any, labels: Any, bins: int = 15) -> Reliability:
    """Confidence and accuracy of classifications, in bins of equal width of the confidence; empty bins are left out.

    The confidence of a point is the largest of its `probabilities [n, k]`; it is right where that is the class of
    `labels [n]`, integers from 0 to k − 1. Raises ValueError for rows that are not probabilities, labels out of range,
    and fewer than one bin. Source: Guo et al. 2017, section 2.
    """
    probabilities, labels = _checked_classes(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins={bins}: wanted at least one")
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # bins ](m − 1)/M, m/M]
    count = np.bincount(bin_of, minlength=bins)
    held = count > 0
    mean = lambda values: np.bincount(bin_of, values, minlength=bins)[held] / count[held]  # noqa: E731
    return Reliability(mean(confidence), mean(right), count[held])


def expected_calibration_error(probabilities: Any, labels: Any, bins: int = 15) -> float:
    """ECE = Σ_bins count/n · |accuracy − confidence| of the reliability diagram.

    Its value for a calibrated prediction is not zero but of the order √(bins/n), because shares fluctuate. Arguments
    and errors as `reliability`. Source: Naeini, Cooper, Hauskrecht 2015; Guo et al. 2017, equation 3.
    """
    bins_held = reliability(probabilities, labels, bins)
    gaps = np.abs(bins_held.accuracy - bins_held.confidence)
    return float(np.sum(bins_held.points * gaps) / np.sum(bins_held.points))


_LEVELS = np.arange(1, 20) / 20
_SUM = 1e-5  # by which a row of probabilities may miss one: rounding of float32 outputs


def _quantiles(y: Any, mean: Any, variance: Any) -> np.ndarray:
    """F_i(y_i), the probability predicted for what lies below each observation."""
    from scipy.special import ndtr

    y, mean, variance = _checked_gaussian(y, mean, variance)
    return ndtr((y - mean) / np.sqrt(variance))


def _shares(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The share of `values` that are at most each level."""
    return np.searchsorted(np.sort(values, axis=None), levels, side="right") / values.size


def _checked_pair(y: Any, mean: Any) -> tuple[np.ndarray, np.ndarray]:
    y, mean = np.asarray(y, np.float64), np.asarray(mean, np.float64)
    if y.shape != mean.shape or y.ndim not in (1, 2) or not y.size:
        raise ValueError(f"y and mean: wanted one shape, [n] or [n, out], got {y.shape} and {mean.shape}")
    if not (np.isfinite(y).all() and np.isfinite(mean).all()):
        raise ValueError("y and mean: hold NaN or infinity")
    return y, mean


def _checked_gaussian(y: Any, mean: Any, variance: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All three with the shape of `y`."""
    y, mean = _checked_pair(y, mean)
    variance = np.asarray(variance, np.float64)
    if variance.shape == y.shape[:1]:
        variance = variance.reshape(-1, *(1,) * (y.ndim - 1))
    elif variance.shape != y.shape:
        raise ValueError(f"variance: wanted shape {y.shape[:1]} or {y.shape}, got {variance.shape}")
    if not (np.isfinite(variance).all() and np.all(variance > 0)):
        raise ValueError("variance: must be positive and finite; a function that is certain needs the noise added")
    return y, mean, np.broadcast_to(variance, y.shape)


def _checked_levels(levels: Any) -> np.ndarray:
    levels = _LEVELS if levels is None else np.asarray(levels, np.float64)
    if levels.ndim != 1 or not levels.size or not np.all((levels >= 0) & (levels <= 1)):
        raise ValueError(f"levels: wanted probabilities [L] between 0 and 1, got {levels}")
    return levels


def _checked_classes(probabilities: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not labels.size:
        raise ValueError(
            f"probabilities and labels: wanted [n, k] and [n], got shapes {probabilities.shape} and {labels.shape}"
        )
    if not np.all(probabilities >= 0) or not np.allclose(probabilities.sum(axis=1), 1, rtol=0, atol=_SUM):
        raise ValueError("probabilities: every row must be probabilities, not negative and of sum 1; apply a softmax")
    k = probabilities.shape[1]
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"labels: wanted integers from 0 to {k - 1}, got {labels.dtype} from {labels.min()}")
    return probabilities, labels
