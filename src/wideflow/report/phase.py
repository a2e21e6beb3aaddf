"""The phase diagram of a nonlinearity: order and chaos in the plane of variances, and maps of correlations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from .axis import values
from .style import BLACK, GREY, new_figure, series

# χ₁ is drawn between this and its inverse; beyond, the colour stays.
STRONGEST = 4.0
W2, B2 = "$\\sigma_w^2$", "$\\sigma_b^2$"
LEVELS = (0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0)


def phase_figure(diagram: Mapping[str, Any]) -> Figure:
    """χ₁ over the plane of (σ_w², σ_b²) with the edge of chaos, beside maps of the correlation c → c'.

    `diagram`: what `kernels.PhaseDiagram.table` gives.
    """
    figure = new_figure(9.6, 4.4)
    plane, maps = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _plane(figure, plane, diagram)
    _maps(maps, diagram)
    plane.set_title(diagram["title"])
    return figure


def _plane(figure: Figure, axes: Axes, diagram: Mapping[str, Any]) -> None:
    w2, b2, chi = (values(diagram[name]) for name in ("w2", "b2", "chi"))
    strength = np.log2(np.clip(chi, 1 / STRONGEST, STRONGEST))
    most = np.log2(STRONGEST)
    norm = TwoSlopeNorm(0, -1.3 * most, 1.3 * most)  # lighter than the ends of the map, so that lines stay readable
    mesh = axes.pcolormesh(w2, b2, strength, shading="nearest", rasterized=True, cmap="RdBu_r", norm=norm)
    bar = figure.colorbar(mesh, ax=axes, ticks=[-2, -1, 0, 1, 2], pad=0.02)
    bar.ax.set(ylim=(-most, most), yticklabels=["¼", "½", "1", "2", "4"])
    bar.set_label("$\\chi_1$")
    levels = [level for level in LEVELS if chi.min() < level < chi.max()]
    contours = axes.contour(w2, b2, chi, levels=levels, colors=GREY, linewidths=0.9)
    axes.clabel(contours, fmt="%g", fontsize=8)
    if not np.all(diagram["bounded"]):
        unbounded = 1.0 - values(diagram["bounded"])
        hatched = axes.contourf(w2, b2, unbounded, levels=[0.5, 1.5], colors="none", hatches=["///"])
        hatched.set_edgecolor(GREY)
        hatched.set_linewidth(0)
    line_w2, line_b2 = values(diagram["line"]["w2"]), values(diagram["line"]["b2"])
    seen = (line_w2 <= w2.max()) & (line_b2 <= b2.max())
    if seen.any():
        style = "o" if np.ptp(line_w2[seen]) < 1e-6 else "-"  # a single point where every variance is critical
        axes.plot(line_w2[seen], line_b2[seen], style, color=BLACK, linewidth=2.2, clip_on=False, label="$\\chi_1 = 1$")
    axes.set(xlim=(w2.min(), w2.max()), ylim=(b2.min(), b2.max()), xlabel=W2, ylabel=B2)
    axes.grid(visible=False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", frameon=True, framealpha=0.8, edgecolor="none")
    bounded = np.asarray(diagram["bounded"], bool)
    regions = {"ordered": bounded & (chi < 1), "chaotic": bounded & (chi > 1), "variance\nunbounded": ~bounded}
    for name, inside in regions.items():
        _name(axes, name, w2, b2, inside)


def _name(axes: Axes, name: str, w2: np.ndarray, b2: np.ndarray, inside: np.ndarray) -> None:
    """A phase's name in the middle of its part of the plane, where that is large enough."""
    if inside.mean() < 0.08:
        return
    rows, columns = np.nonzero(inside)
    row = int(np.median(rows))
    column = int(np.median(columns[rows == row])) if np.any(rows == row) else int(np.median(columns))
    box = dict(boxstyle="round,pad=0.2", facecolor="white", edgecolor="none", alpha=0.7)
    axes.text(w2[column], b2[row], name, ha="center", va="center", fontsize=11, bbox=box)


def _maps(axes: Axes, diagram: Mapping[str, Any]) -> None:
    c = values(diagram["c"])
    axes.plot(c, c, color=GREY, linewidth=1)
    for order, curve in enumerate(diagram["maps"]):
        colour, _, style = series(order)
        label = f"{curve['w2']:g}, {curve['b2']:g}"
        axes.plot(c, values(curve["c"]), color=colour, linestyle=style, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="correlation c", ylabel="correlation c' a layer later")
    axes.legend(title=f"{W2}, {B2}", loc="lower right")
