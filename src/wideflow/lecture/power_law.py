"""Quantities that should follow a power of the width, with intervals over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..beyond.correction_scaling import geometric_mean as geometric_mean
from ..beyond.slope import Slope, Statistic, fit_paired_slope, fit_slope, root_mean_square
from .claim import Outcome
from .plot import Curve, Panel, Plot

CONFIDENCE = 0.99  # of each interval: a lecture has some eighty exponents, of which 95 % would leave four out by chance


def mean(samples: np.ndarray) -> np.ndarray:
    """The mean over seeds, for quantities of one sign."""
    return samples.mean(axis=-1)


def absolute_mean(samples: np.ndarray) -> np.ndarray:
    """The size of the mean over seeds."""
    return np.abs(samples.mean(axis=-1))


def deviation(samples: np.ndarray) -> np.ndarray:
    """The standard deviation over seeds."""
    return samples.std(axis=-1, ddof=1)


@dataclass(frozen=True)
class PowerLaw:
    """What is expected of one quantity: N^exponent, up to `tolerance` for widths that are not yet large.

    `not_exponent`: the competing exponent, which must be excluded. `statistic`: of the seeds at each width; the
    geometric mean, which large draws do not rule, for quantities of one sign.
    """

    label: str
    exponent: float
    not_exponent: float | None = None
    tolerance: float = 0.1
    statistic: Statistic = root_mean_square

    def holds(self, slope: Slope) -> bool:
        """Whether the interval, widened by the tolerance, holds the exponent and not the competing one."""
        wide = slope.widened(self.tolerance)
        return wide.contains(self.exponent) and not (self.not_exponent is not None and wide.contains(self.not_exponent))


@dataclass(frozen=True)
class Bound(PowerLaw):
    """What is expected of a quantity that falls at least as fast as N^exponent, up to `tolerance`.

    `not_exponent`: the competing one, None: 0, a quantity that does not fall.
    """

    def holds(self, slope: Slope) -> bool:
        """Whether the interval, widened by the tolerance, reaches down to the exponent and lies below the other."""
        wide = slope.widened(self.tolerance)
        return wide.low <= self.exponent and wide.high < (self.not_exponent or 0.0)


@dataclass(frozen=True)
class Sizes:
    """Quantities measured at several widths. `samples`: by the law's label, `[n, S]` over widths and seeds.

    `what`: the quantity, for the axis. `along`, `letter`: what was varied, where that is not the width N. `paired`: a
    column is one network everywhere, its intervals those of the geometric mean over networks.
    """

    widths: Sequence[float]
    samples: Mapping[str, np.ndarray]
    what: str = "size"
    along: str = "width N"
    letter: str = "N"
    paired: bool = False

    def outcome(self, laws: Sequence[PowerLaw], caption: str, note: str = "") -> Outcome:
        """The exponents with their intervals, and the figure with one guide a law."""
        slopes = {law.label: self._slope(law) for law in laws}
        passed = all(law.holds(slopes[law.label]) for law in laws)
        measured = "; ".join(f"{label}: {self.letter}^{slope}" for label, slope in slopes.items())
        curves = [curve for law in laws for curve in self._curves(law)]
        panel = Panel(curves, self.along, self.what, log="xy")
        alt = f"Against {self.along} on logarithmic axes: {measured}."
        numbers = {"widths": list(self.widths)} | {
            label: {"slope": slope.value, "low": slope.low, "high": slope.high} for label, slope in slopes.items()
        }
        return Outcome(passed, measured, numbers, (Plot("width", caption, alt, (panel,)),), note)

    def _slope(self, law: PowerLaw) -> Slope:
        samples = self.samples[law.label]
        if self.paired:
            return fit_paired_slope(self.widths, samples, CONFIDENCE)
        return fit_slope(self.widths, samples, law.statistic, CONFIDENCE)

    def _curves(self, law: PowerLaw) -> tuple[Curve, Curve]:
        widths, samples = np.asarray(self.widths, float), self.samples[law.label]
        value = law.statistic(samples)
        draws = np.random.default_rng(0).integers(samples.shape[1], size=(200, *samples.shape))
        spread = np.std([law.statistic(np.take_along_axis(samples, draw, axis=1)) for draw in draws], axis=0)
        guide = value[0] * (widths / widths[0]) ** law.exponent
        low = np.maximum(value - 2 * spread, value / 10)
        return (
            Curve(law.label, widths, value, low, value + 2 * spread),
            Curve(f"∝ {self.letter}^{law.exponent:g}", widths, guide, kind="guide"),
        )
