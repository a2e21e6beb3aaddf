"""The mean field of two Gaussians: risk and radii of trained weights beside the radial equation."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import BLACK, new_figure, series


def radial_figure(path: Any, times: Any, risks: Any, radii: Any) -> Figure:
    """Risk against time, and the distribution of |w| at some times: theory as lines, a trained network as marks.

    `path`: a `beyond.RadialPath`, finely in time. `times [T]`, `risks [T]`, `radii [T, N]`: of the network, T ≤ 7.
    """
    figure = new_figure(9.6, 3.9)
    left, right = figure.subplots(1, 2)
    left.plot(path.times, path.risk, color=BLACK, label="radial equation")
    edges = np.linspace(0, 1.05 * float(np.max(radii)), 90)
    for index, (time, risk, seen) in enumerate(zip(times, risks, radii, strict=True)):
        colour, marker, style = series(index)
        label = "SGD" if index == 0 else None
        left.plot(time, risk, color=colour, marker=marker, linestyle="none", markersize=7, label=label)
        right.hist(seen, edges, density=True, color=colour, alpha=0.35)
        middle, density = _density(path.radii[np.argmin(np.abs(path.times - time))])
        right.plot(middle, density, color=colour, linestyle=style, label=f"t = {time:g}")
    left.set(xscale="log", xlabel="time t", ylabel="risk ½ E (f − y)²")
    left.legend()
    right.set(xlabel="r = |w|", ylabel="density", xlim=(0, edges[-1]))
    right.legend()
    return figure


def _density(radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of equally weighted radii in ascending order, over groups of eight neighbours."""
    some = np.sort(radii)[::8]
    return (some[1:] + some[:-1]) / 2, 8 / len(radii) / np.diff(some)
