"""Training and test loss against time: networks, discrete-time theory, gradient-flow theory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axis import TIME_LABEL, legend_above, log_axis, positive, time_axis, values
from .style import BLACK, BLUE, DASHED, DOTTED, VERMILION, new_figure

# The strip under the loss shows ratios up to this; beyond it curves leave the strip.
LARGEST_RATIO = 2.5
# The band ends at this part of the mean where it would pass zero, which a logarithmic axis does not have.
SMALLEST_BAND = 1e-3
CURVES = {
    "ntk": {"label": "theory, discrete steps", "color": BLUE, "linestyle": DASHED},
    "flow": {"label": "theory, gradient flow", "color": VERMILION, "linestyle": DOTTED},
}


def loss_figure(loss: Mapping[str, Any], part: str, count: int | None = None) -> Figure:
    """Loss of one part, "train" or "test", above its ratio to the discrete-time theory.

    The band is ± 2 standard errors of the mean over `count` networks; where the count is not known, ± 2
    standard deviations between networks.
    """
    figure = new_figure(5.2, 4.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.25))
    t, curves = values(loss["time"]), loss[part]
    _draw(upper, t, curves, count, None)
    upper.set(ylabel=f"{part} loss  ‖f − y‖² / 2D")
    legend_above(figure, upper, 2)
    if curves.get("ntk") is not None:
        theory = positive(curves["ntk"])
        _draw(lower, t, curves, count, theory)
        lower.set(ylabel="ratio to\ndiscrete", ylim=_ratio_limits(curves, theory, _band(curves, count)))
    time_axis(lower, t, TIME_LABEL)
    figure.align_ylabels([upper, lower])
    return figure


def _draw(
    axes: Axes,
    t: Float64[np.ndarray, " T"],
    curves: Mapping[str, Any],
    count: int | None,
    unit: Float64[np.ndarray, " T"] | None,
) -> None:
    """Draw the curves; divided by `unit` on a linear axis if it is given, else on a logarithmic one."""
    scale = 1.0 if unit is None else unit
    drawn = []
    if curves.get("networks") is not None:
        mean = positive(curves["networks"]) / scale
        _draw_band(axes, t, mean, _band(curves, count) / scale)
        label = "networks, mean ± 2 s.e." if count else "networks, mean ± 2 s.d."
        axes.plot(t, mean, color=BLACK, marker="o", markersize=4, linewidth=2.2, label=label)
        drawn.append(mean)
    for name, look in CURVES.items():
        if curves.get(name) is not None:
            drawn.append(positive(curves[name]) / scale)
            axes.plot(t, drawn[-1], linewidth=2, **look)
    if unit is None:
        log_axis(axes, *drawn)


def _draw_band(
    axes: Axes,
    t: Float64[np.ndarray, " T"],
    mean: Float64[np.ndarray, " T"],
    half: Float64[np.ndarray, " T"],
) -> None:
    lower = np.maximum(mean - half, SMALLEST_BAND * mean)
    axes.fill_between(t, lower, mean + half, color="#c4c4c4", linewidth=0)


def _band(curves: Mapping[str, Any], count: int | None) -> Float64[np.ndarray, "*T"]:
    """Half the height of the band around the mean of the networks; zero where their spread is not known."""
    spread = curves.get("networks_std")
    return np.zeros(()) if spread is None else 2 * values(spread) / np.sqrt(count or 1)


def _ratio_limits(
    curves: Mapping[str, Any], theory: Float64[np.ndarray, " T"], band: Float64[np.ndarray, "*T"]
) -> tuple[float, float]:
    ratios = [np.ones(1)]
    if curves.get("networks") is not None:
        ratios += [(values(curves["networks"]) + side * band) / theory for side in (-1, 1)]
    if curves.get("flow") is not None:
        ratios.append(positive(curves["flow"]) / theory)
    finite = np.concatenate([x[np.isfinite(x)] for x in ratios])
    far = max(0.08, 1.1 * float(np.abs(finite - 1).max()))
    return max(0.0, 1 - far), min(LARGEST_RATIO, 1 + far)
