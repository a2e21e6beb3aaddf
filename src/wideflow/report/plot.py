"""Figures from data: panels of curves, as `wideflow.lecture.plot` describes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axis import label_decades, positive, values
from .formula import mathtext
from .style import DOTTED, GREY, new_figure, series

_PANEL = (4.6, 3.6)  # inches
_MARKERS = 25  # more points than this are a line without markers


def panels_figure(panels: Sequence[Mapping[str, Any]]) -> Figure:
    """Panels side by side, two in a row, each with its legend above."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(_PANEL[0] * columns + 0.6 * (columns == 1), _PANEL[1] * rows + 0.4 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        draw_panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    return figure


def frame_figures(frames: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """A figure for each frame, all with the axes of the first to the last together, so that only curves move."""
    figures = [panels_figure(frame["panels"]) for frame in frames]
    for axes in zip(*(figure.axes for figure in figures), strict=True):
        limits = np.array([[*one.get_xlim(), *one.get_ylim()] for one in axes])
        for one in axes:
            one.set_xlim(limits[:, 0].min(), limits[:, 1].max())
            one.set_ylim(limits[:, 2].min(), limits[:, 3].max())
    return figures


def draw_panel(axes: Axes, panel: Mapping[str, Any]) -> None:
    """One panel on its axes."""
    log = panel["log"]
    coloured = [curve for curve in panel["curves"] if curve["kind"] != "guide"]
    for curve in panel["curves"]:
        order = next((i for i, one in enumerate(coloured) if one is curve), 0)
        _draw(axes, curve, order, log)
    axes.set(xlabel=mathtext(panel["xlabel"]), ylabel=mathtext(panel["ylabel"]))
    if "x" in log:
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    if "y" in log:
        axes.set_yscale("log")
        label_decades(axes.yaxis)
    labelled = len({curve["label"] for curve in panel["curves"]} - {""})
    if panel["title"]:
        axes.set_title(panel["title"], pad=12 + 14 * ((labelled + 1) // 2) if labelled else None)
    if labelled:
        handles, labels = axes.get_legend_handles_labels()
        shown = dict(zip(labels, handles, strict=True))  # guides of one slope share an entry
        axes.legend(
            shown.values(),
            shown.keys(),
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=2,
            columnspacing=1.2,
            handletextpad=0.5,
            fontsize=9,
        )


def _draw(axes: Axes, curve: Mapping[str, Any], order: int, log: str) -> None:
    x = positive(curve["x"]) if "x" in log else values(curve["x"])
    read = positive if "y" in log else values
    y, label = read(curve["y"]), mathtext(curve["label"]) or None
    if curve["kind"] == "guide":
        axes.plot(x, y, color=GREY, linestyle=DOTTED, linewidth=1.3, label=label)
        return
    colour, marker, line = series(order)
    marker = marker if curve["kind"] == "measured" and x.size <= _MARKERS else None
    axes.plot(
        x, y, color=colour, linestyle="solid" if curve["kind"] == "measured" else line, label=label, marker=marker
    )
    if curve["low"] is not None:
        axes.fill_between(x, read(curve["low"]), read(curve["high"]), color=colour, alpha=0.18, linewidth=0)
