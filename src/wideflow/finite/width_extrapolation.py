"""How wide a network would have to be for its linearization to hold."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_CERTAIN = 0.95  # confidence at which the exponent must be above zero
_ONE_ERROR = 0.6827  # of a Gaussian, within one standard error
_FAR = 100.0  # times the largest width measured, beyond which the fit is said to be stretched
_LONG = 1e7  # widths from which powers of ten are easier to read
_FEWEST = 3  # widths of which a power law and its uncertainty can be fitted


@dataclass(frozen=True)
class WidthExtrapolation:
    """The deviation from the linearization as a power of the width, C n^(−p), fitted to a few widths. Printable.

    `widths [n]`, `deviations [n]`: what was measured, `Diagnosis.deviation`. `wanted`: the deviation looked for. The
    fit is least squares in log-log, so all widths count the same; uncertainties are standard errors from its residuals.
    `usable`: whether deviations are finite and positive and p is above zero at 95 % confidence, by Student's t with
    n − 2 degrees of freedom; otherwise the numbers of the fit are not to be trusted, and `width` is NaN. `met`: whether
    every width has the wanted deviation already. `interrupted`: Ctrl-C ended the run, and `widths` are those that were
    measured, which may be fewer than a fit takes. The exponent is expected between ½ and 1.
    """

    widths: Int[np.ndarray, " n"]
    deviations: Float[np.ndarray, " n"]
    wanted: float
    interrupted: bool = False

    def __post_init__(self):
        if not 0 < self.wanted < np.inf:
            raise ValueError(f"wanted: the deviation looked for must be positive and finite, got {self.wanted}")
        fewest = 1 if self.interrupted else _FEWEST
        if len(set(self.widths.tolist())) < fewest or self.widths.min() < 1:
            raise ValueError(f"widths: wanted at least {_FEWEST} different positive ones, got {self.widths.tolist()}")

    @property
    def exponent(self) -> float:
        """p."""
        return -float(self._fit()[0][0])

    @property
    def exponent_error(self) -> float:
        """The standard error of p."""
        return float(np.sqrt(self._fit()[1][0, 0]))

    @property
    def usable(self) -> bool:
        """Whether the deviations fall with the width, beyond doubt."""
        return self._fittable() and self.exponent > self._quantile(_CERTAIN) * self.exponent_error

    @property
    def met(self) -> bool:
        """Whether all deviations measured are at most the wanted one."""
        return bool((self.deviations <= self.wanted).all())

    @property
    def width(self) -> float:
        """The width at which the fit has the wanted deviation; NaN where it is not usable."""
        return float(np.exp(self._log_width())) if self.usable else np.nan

    @property
    def width_range(self) -> tuple[float, float]:
        """The range around `width` that holds the true one in 68 % of cases, of its logarithm to first order."""
        if not self.usable:
            return np.nan, np.nan
        (slope, _), covariance = self._fit()
        gradient = np.array([self._log_width(), 1.0]) / slope
        error = self._quantile((1 + _ONE_ERROR) / 2) * float(np.sqrt(gradient @ covariance @ gradient))
        return self.width / math.exp(error), self.width * math.exp(error)

    def __str__(self) -> str:
        measured = ", ".join(f"{n}: {d:.3g}" for n, d in zip(self.widths, self.deviations, strict=True))
        return f"deviation by width: {measured}\n{self.verdict}"

    __repr__ = __str__

    @property
    def verdict(self) -> str:
        """What was found, in words."""
        return f"{self._found}; stopped by Ctrl-C before all were measured" if self.interrupted else self._found

    @property
    def _found(self) -> str:
        if len(self.widths) < _FEWEST:
            measured = ", ".join(map(str, self.widths))
            return f"no fit: deviations are known at the widths {measured} alone, and it takes {_FEWEST}"
        if self.met and not self.usable:
            return f"a width of {self.widths.min()} is enough: deviations are at most {self.wanted:g} at every width"
        if not self._fittable():
            return (
                "the fit is not usable: a deviation is zero or infinite; take a smaller learning rate or other widths"
            )
        power = f"n^({-self.exponent:.2f} ± {self.exponent_error:.2f})"
        if not self.usable:
            return f"the fit is not usable: {power} does not fall beyond doubt; take wider networks, or more widths"
        low, width, high = (_shown(one) for one in (self.width_range[0], self.width, self.width_range[1]))
        found = f"the deviation falls as {power}; {self.wanted:g} needs a width of about {width} ({low} … {high})"
        far = self.width > _FAR * self.widths.max()
        return found + (f", more than {_FAR:g} times what was measured: check it with wider networks" if far else "")

    def _quantile(self, confidence: float) -> float:
        """Of Student's t with as many degrees of freedom as the fit leaves."""
        from scipy.special import stdtrit

        return float(stdtrit(len(self.widths) - 2, confidence))

    def _fittable(self) -> bool:
        enough = len(self.widths) >= _FEWEST
        return enough and bool((np.isfinite(self.deviations) & (self.deviations > 0)).all())

    def _log_width(self) -> float:
        slope, offset = self._fit()[0]
        return float((np.log(self.wanted) - offset) / slope)

    def _fit(self) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2 2"]]:
        """Slope and offset of log deviation against log width, and their covariance; NaN without a logarithm."""
        if not self._fittable():
            return np.full(2, np.nan), np.full((2, 2), np.nan)
        A = np.stack([np.log(self.widths), np.ones(len(self.widths))], axis=1)
        inverse = np.linalg.inv(A.T @ A)
        found = inverse @ A.T @ np.log(self.deviations)
        residual = np.log(self.deviations) - A @ found
        return found, inverse * (residual @ residual) / (len(A) - 2)


def _shown(width: float) -> str:
    """Two digits: 1,400."""
    return f"{float(f'{width:.2g}'):,.0f}" if width < _LONG else f"{width:.2g}"
