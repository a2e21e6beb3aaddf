"""The eigenvalues of the NTK on the training set, and how the residual along each eigenvector decays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .axis import STEP_LABEL, label_decades, legend_above, log_axis, positive, time_axis, values
from .style import BLACK, new_figure, series

# Theory far below what the networks reach is cut off, by this factor under their smallest value.
BELOW_NETWORKS = 10.0


def spectrum_figure(spectrum: Mapping[str, Any]) -> Figure:
    """Eigenvalues against their rank, both logarithmic; the modes of `modes_figure` are marked."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    eigenvalues = positive(spectrum["eigenvalues"])
    axes.plot(np.arange(1, eigenvalues.size + 1), eigenvalues, ".", color=BLACK, markersize=5)
    modes = spectrum.get("modes") or {"index": [], "eigenvalue": []}
    for order, (index, eigenvalue) in enumerate(zip(modes["index"], positive(modes["eigenvalue"]), strict=True)):
        colour, marker, _ = series(order)
        axes.plot(index + 1, eigenvalue, marker, color=colour, markersize=8, label=f"mode {index + 1}")
    log_axis(axes, eigenvalues)
    axes.set_xscale("log")
    label_decades(axes.xaxis)
    axes.set(xlabel="rank i, largest eigenvalue first", ylabel="eigenvalue λᵢ of Θ(X, X)")
    if modes["index"]:
        legend_above(figure, axes, 3)
    return figure


def modes_figure(spectrum: Mapping[str, Any]) -> Figure:
    """Mean square residual along some eigenvectors against the step: networks as markers, theory as lines."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    modes = spectrum["modes"]
    steps = values(modes["steps"])
    for order, (index, eigenvalue) in enumerate(zip(modes["index"], modes["eigenvalue"], strict=True)):
        colour, marker, style = series(order)
        label = f"mode {index + 1}, λ = {_short(eigenvalue)}"
        axes.plot(steps, positive(modes["theory"][order]), color=colour, linestyle=style, linewidth=1.5)
        axes.plot(steps, positive(modes["networks"][order]), marker, color=colour, label=label)
    _limit(axes, positive(modes["networks"]), positive(modes["theory"]))
    time_axis(axes, steps, STEP_LABEL)
    axes.set(ylabel="mean square residual", title="markers: networks  ·  lines: theory")
    legend_above(figure, axes, 2)
    return figure


def _limit(axes: Any, networks: Any, theory: Any) -> None:
    finite = networks[np.isfinite(networks)]
    floor = finite.min() / BELOW_NETWORKS if finite.size else 0.0
    log_axis(axes, networks, theory[np.isfinite(theory) & (theory > floor)])


def _short(number: float | int | None) -> str:
    return "?" if number is None else f"{number:.3g}"
