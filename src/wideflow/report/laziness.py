"""Lazy training as a figure: what falls with the scale of the outputs, from three starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axis import label_decades, log_axis
from .style import new_figure, series

_PANELS = (
    ("outputs", "output_slope", "distance to the linearization"),
    ("ntk", "ntk_slope", "relative change of the NTK"),
    ("parameters", "parameter_slope", "relative change of the parameters"),
)


def lazy_figure(starts: Mapping[str, Any]) -> Figure:
    """Three panels over the scale α: outputs, NTK and parameters; exponents in the legends are the fitted slopes.

    `starts`: of a name, a `beyond.LazyScaling`.
    """
    figure = new_figure(11.4, 4.0)
    for axes, (what, slope, title) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        _panel(axes, starts, what, slope)
        axes.set(xlabel="scale $\\alpha$", title=title)
    return figure


def _panel(axes: Axes, starts: Mapping[str, Any], what: str, slope: str) -> None:
    seen = []
    for order, (name, found) in enumerate(starts.items()):
        colour, marker, style = series(order)
        size = np.exp(np.log(getattr(found, what)).mean(axis=-1))
        exponent = f"{getattr(found, slope).value + 0.0:+.2f}".replace("-", "−")
        axes.plot(found.alphas, size, color=colour, marker=marker, linestyle=style, label=f"{name}: {exponent}")
        seen.append(size)
    axes.set_xscale("log")
    log_axis(axes, *seen)
    label_decades(axes.xaxis)
    axes.legend(fontsize=9)
