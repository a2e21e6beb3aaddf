"""Axes that several figures share: time from zero over decades, positive quantities."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

TIME_LABEL = "time t = learning rate × steps"
STEP_LABEL = "gradient-descent step"

# Times that span less than this factor are drawn on a linear axis.
LINEAR_SPAN = 30.0
# A logarithmic axis that spans less than this factor has labels between its decades.
FEW_DECADES = 200.0
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def values(x: Any) -> Float64[np.ndarray, "..."]:
    """Numbers from results, None as NaN."""
    return np.asarray(x, dtype=np.float64)


def positive(x: Any) -> Float64[np.ndarray, "..."]:
    """Numbers from results for a logarithmic axis: what is not positive is NaN and leaves a gap."""
    numbers = values(x)
    return np.where(np.isfinite(numbers) & (numbers > 0), numbers, np.nan)


def time_axis(axes: Axes, t: Float64[np.ndarray, " T"], label: str) -> None:
    """Give the horizontal axis times or steps from zero: decades where they span many, else linear."""
    axes.set_xlabel(label)
    axes.margins(x=0.02)
    moments = t[np.isfinite(t) & (t > 0)]
    if moments.size < 2 or moments.max() < LINEAR_SPAN * moments.min():
        return
    first, last = moments.min(), moments.max()
    decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.floor(np.log10(last)) + 1)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    axes.set_xlim(-0.15 * first, last * 1.15)
    axes.xaxis.set_major_locator(FixedLocator([0.0, *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))


def log_axis(axes: Axes, *numbers: Float64[np.ndarray, "..."]) -> None:
    """Make the vertical axis logarithmic around the finite numbers; linear where there are none."""
    flat = np.concatenate([x[np.isfinite(x)].ravel() for x in numbers] or [np.empty(0)])
    if flat.size == 0:
        return
    axes.set_yscale("log")
    margin = max((flat.max() / flat.min()) ** 0.06, 1.15)
    axes.set_ylim(flat.min() / margin, flat.max() * margin)
    label_decades(axes.yaxis)


def label_decades(axis: Axis) -> None:
    """Label a logarithmic axis in plain digits: decades, and 2 and 5 between them where it spans few."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < FEW_DECADES * low else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(short_number))
    axis.set_minor_formatter(NullFormatter())


def short_number(value: float, _: int | None = None) -> str:
    """A round number as a tick label: 0.05, 200, 10⁻⁷."""
    if value <= 0 or 1e-3 <= value <= 1e4:
        return f"{value:g}"
    exponent = int(np.floor(np.log10(value) + 1e-9))
    factor = round(value / 10.0**exponent)
    power = "10" + str(exponent).translate(SUPERSCRIPTS)
    return power if factor == 1 else f"{factor}·{power}"


def legend_above(figure: Figure, axes: Axes, columns: int) -> None:
    """The legend of the axes above the figure, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.4)
