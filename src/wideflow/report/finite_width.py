"""Finite width as a figure: moments of kernels at the start, sizes of the hierarchy, errors of trained networks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axis import label_decades, log_axis
from .high_dimensional import Curve, curves
from .style import GREY, new_figure, series


def finite_width_figure(
    fluctuations: Sequence[Curve], corrections: Sequence[Curve], tensors: Any, errors: Mapping[str, Any]
) -> Figure:
    """Four panels: E[Θ̂²]/E[Θ̂]² − 1 over β, corrections of the NNGP kernel, sizes of O_s, errors after training.

    `fluctuations` over β and `corrections` over the width: curves as in `descent_figure`. `tensors`: a
    `beyond.HierarchyScaling`. `errors`: of a name, a `beyond.CorrectionScaling`.
    """
    figure = new_figure(9.6, 7.6)
    axes = figure.subplots(2, 2)
    curves(axes[0, 0], fluctuations)
    axes[0, 0].set(xlabel="depth over width, $\\beta$", ylabel="variance of the NTK / mean²", title="ReLU, one input")
    curves(axes[0, 1], corrections)
    axes[0, 1].set(xlabel="width", ylabel="relative to Gaussian outputs", title="three hidden layers of tanh")
    _sizes(axes[1, 0], tensors)
    _errors(axes[1, 1], errors)
    for each in axes.flat:
        each.legend(fontsize=9)
    return figure


def _sizes(axes: Axes, tensors: Any) -> None:
    drawn = {f"$O_{s}$": _size(values, s) for s, values in tensors.tensors.items() if s > 2}
    drawn["$d\\Theta/dt$"] = _size(tensors.velocity, 3)
    if tensors.naive is not None:
        drawn["$d\\Theta/dt$ without signs"] = _size(tensors.naive, 3)
    for order, (name, sizes) in enumerate(drawn.items()):
        colour, marker, style = series(order)
        axes.plot(tensors.widths, sizes, color=colour, marker=marker, linestyle=style, label=name)
    _width_axes(axes, *drawn.values())
    axes.set(ylabel="size over draws", title="tensors at initialisation")


def _errors(axes: Axes, errors: Mapping[str, Any]) -> None:
    seen = []
    for order, (name, found) in enumerate(errors.items()):
        colour, marker, _ = series(order)
        for what, style, filled in (("kernel", "solid", True), ("corrected", (0, (5, 2)), False)):
            size = np.exp(np.log(getattr(found, what)).mean(axis=-1))
            label = f"{name}, {'constant kernel' if filled else 'first correction'}"
            face = colour if filled else "white"
            axes.plot(
                found.widths, size, color=colour, marker=marker, markerfacecolor=face, linestyle=style, label=label
            )
            seen.append(size)
            ends = size[-1] * (found.widths / found.widths[-1]) ** (-1.0 if filled else -2.0)
            axes.plot(found.widths, ends, color=GREY, linewidth=0.9, zorder=1)
    _width_axes(axes, *seen)
    axes.set(ylabel="largest error of outputs", title="digits 0 and 1, trained (grey: slopes −1, −2)")


def _size(samples: Any, order: int) -> np.ndarray:
    """Root mean square for odd orders, the size of the mean for even ones."""
    return np.sqrt(np.mean(samples**2, axis=-1)) if order % 2 else np.abs(np.mean(samples, axis=-1))


def _width_axes(axes: Axes, *sizes: np.ndarray) -> None:
    axes.set_xscale("log")
    log_axis(axes, *sizes)
    label_decades(axes.xaxis)
    axes.set_xlabel("width")
