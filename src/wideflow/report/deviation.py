"""A network beside its linearization: losses, deviations along training and by width, spectra of the NTK."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .axis import STEP_LABEL, label_decades, legend_above, log_axis, positive, short_number, time_axis, values
from .style import BLACK, BLUE, DASHED, DOTTED, GREEN, GREY, VERMILION, new_figure

_LAZY = 0.1  # up to which a change counts as that of a network in the kernel regime


def paths_figure(path: Mapping[str, Any], part: str) -> Figure:
    """Loss of the network and of its linearization against the step."""
    figure = new_figure(5.2, 4.0)
    axes = figure.subplots()
    losses = positive(path["losses"])
    steps = values(path["steps"])
    axes.plot(steps, losses[:, 0], color=BLACK, marker="o", markersize=4, label="network")
    axes.plot(steps, losses[:, 1], color=BLUE, linestyle=DASHED, label="linearization")
    log_axis(axes, losses)
    time_axis(axes, steps, STEP_LABEL)
    axes.set(ylabel=f"{part} loss")
    legend_above(figure, axes, 2)
    return figure


def deviation_figure(found: Mapping[str, Any]) -> Figure:
    """Deviation of the outputs and change of the NTK against the step, beside what the kernel regime allows."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    drawn = []
    for key, label, look in (
        ("path", "outputs, training points", {"color": BLACK, "marker": "o", "markersize": 4}),
        ("test_path", "outputs, held-out points", {"color": VERMILION, "linestyle": DASHED}),
    ):
        path = found.get(key)
        if path:
            relative = positive(path["deviations"]) / np.nanmax(positive(path["changes"]))
            axes.plot(values(path["steps"]), relative, label=label, **look)
            drawn.append(relative)
    if found.get("ntk"):
        changes = positive(found["ntk"]["changes"])
        axes.plot(values(found["ntk"]["steps"]), changes, color=BLUE, marker="s", linestyle=DOTTED, label="NTK")
        drawn.append(changes)
    axes.axhline(_LAZY, color=GREY, linewidth=1.2, label=f"kernel regime: at most {_LAZY}")
    log_axis(axes, *drawn, np.array([_LAZY]))
    time_axis(axes, values(found["path"]["steps"]), STEP_LABEL)
    axes.set(ylabel="relative deviation or change")
    legend_above(figure, axes, 2)
    return figure


def width_figure(widths: Mapping[str, Any]) -> Figure:
    """Deviation against the width, its power law, and the width for the wanted deviation."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    n, deviations = values(widths["widths"]), positive(widths["deviations"])
    axes.plot(n, deviations, "o", color=BLACK, markersize=7, label="measured")
    axes.axhline(widths["wanted"], color=GREY, linewidth=1.2, label=f"wanted: {widths['wanted']:g}")
    reach = [*n]
    if widths["usable"]:
        reach += [widths["width"]]
        line = np.geomspace(min(reach), max(reach), 50)
        law = widths["wanted"] * (line / widths["width"]) ** -widths["exponent"]
        axes.plot(line, law, color=BLUE, linestyle=DASHED, label=f"∝ width$^{{-{widths['exponent']:.2f}}}$")
        low, high = widths["width_range"]
        axes.axvspan(low, high, color=GREEN, alpha=0.25, linewidth=0)
        axes.plot([widths["width"]], [widths["wanted"]], "D", color=GREEN, markersize=8, label="needed")
        reach += [low, high]
    log_axis(axes, deviations, np.array([widths["wanted"]]))
    axes.set(xscale="log", xlabel="width", ylabel="deviation from the linearization")
    axes.set_xlim(min(reach) / 1.3, max(reach) * 1.3)
    _label_widths(axes, n)
    legend_above(figure, axes, 2)
    return figure


def ntk_spectrum_figure(ntk: Mapping[str, Any]) -> Figure:
    """Eigenvalues of the NTK before and after training against their rank."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    before, after = positive(ntk["eigenvalues"])
    rank = np.arange(1, before.size + 1)
    axes.plot(rank, before, "o", color=BLUE, markersize=5, markerfacecolor="none", label="before training")
    axes.plot(rank, after, ".", color=BLACK, markersize=5, label="after training")
    log_axis(axes, before, after)
    axes.set_xscale("log")
    label_decades(axes.xaxis)
    axes.set(xlabel="rank i, largest eigenvalue first", ylabel="eigenvalue λᵢ of Θ(X, X)")
    legend_above(figure, axes, 2)
    return figure


def _label_widths(axes: Any, n: np.ndarray) -> None:
    """The measured widths as ticks, and decades where the line goes far beyond them."""
    high = axes.get_xlim()[1]
    decades = [d for d in 10.0 ** np.arange(1, 12) if n.max() * 2.5 < d <= high]
    axes.xaxis.set_major_locator(FixedLocator([*n, *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(short_number)
