"""Figures from data: panels of curves, as `wideflow.lecture.plot` describes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .axis import label_decades, positive, values
from .formula import mathtext
from .style import DOTTED, GREY, new_figure, series

_PANEL = (4.4, 3.5)  # inches: letters can still be read where a panel fills the width of a phone
_MARKERS = 25  # more points than this are a line without markers
_DEEPEST = 1e-18  # of the largest value: what is smaller is rounding, and a logarithmic axis ends there
_PRINTED = 6  # frames beside each other on paper


def panels_figure(panels: Sequence[Mapping[str, Any]]) -> Figure:
    """Panels side by side, two in a row, each with its legend above."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(_PANEL[0] * columns, _PANEL[1] * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        draw_panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    return figure


def frame_figures(frames: Sequence[Mapping[str, Any]]) -> list[list[Figure]]:
    """A figure for each panel of each frame, with the axes of all frames together, so that only curves move."""
    figures = [[panels_figure([panel]) for panel in frame["panels"]] for frame in frames]
    for same in zip(*figures, strict=True):
        _share_limits([figure.axes[0] for figure in same])
    return figures


def printed_figure(frames: Sequence[Mapping[str, Any]]) -> Figure:
    """Some frames from first to last beside each other, each named: the figure for print."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _PRINTED)).round().astype(int))
    panels = [panel | {"title": frames[k]["label"]} for k in chosen for panel in frames[k]["panels"]]
    figure = panels_figure(panels)
    each = len(frames[0]["panels"])
    for place in range(each):
        _share_limits(figure.axes[place : len(panels) : each])
    return figure


def _share_limits(axes: Sequence[Axes]) -> None:
    limits = np.array([[*one.get_xlim(), *one.get_ylim()] for one in axes])
    for one in axes:
        one.set_xlim(limits[:, 0].min(), limits[:, 1].max())
        one.set_ylim(limits[:, 2].min(), limits[:, 3].max())
        for axis in (one.xaxis, one.yaxis):
            if axis.get_scale() == "log":
                label_decades(axis)


def draw_panel(axes: Axes, panel: Mapping[str, Any]) -> None:
    """One panel on its axes.

    A curve without a label looks like the last labelled one of its kind. Where every curve has its guide, guides have
    the colours of the curves before them.
    """
    log, count, last = panel["log"], 0, 0
    looks: dict[str, int] = {}
    guides = sum(curve["kind"] == "guide" for curve in panel["curves"])
    paired = 2 * guides == len(panel["curves"])
    for curve in panel["curves"]:
        if curve["kind"] == "guide":
            _draw_guide(axes, curve, log, series(last)[0] if paired else GREY)
            continue
        known = not curve["label"] and curve["kind"] in looks
        last = looks[curve["kind"]] if known else count
        count += not known
        looks[curve["kind"]] = last
        _draw(axes, curve, last, log)
    axes.set(xlabel=mathtext(panel["xlabel"]), ylabel=mathtext(panel["ylabel"]))
    if "x" in log:
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    if "y" in log:
        axes.set_yscale("log")
        _cut(axes, panel["curves"])
        label_decades(axes.yaxis)
    rows = _legend(axes, panel)
    if panel["title"]:
        axes.set_title(mathtext(panel["title"]), pad=12 + 14 * rows if rows else None)


def _cut(axes: Axes, curves: Sequence[Mapping[str, Any]]) -> None:
    """End a logarithmic axis where numbers are rounding alone, or guides have left what is measured far above."""
    every = np.concatenate([positive(curve["y"]) for curve in curves])
    shown = np.concatenate([positive(curve["y"]) for curve in curves if curve["kind"] != "guide"] or [every])
    if not np.isfinite(shown).any():
        return
    floor = max(np.nanmin(shown) / 100, _DEEPEST * np.nanmax(shown))
    if np.nanmin(every) < floor:
        axes.set_ylim(floor, 3 * np.nanmax(every))


def _legend(axes: Axes, panel: Mapping[str, Any]) -> int:
    """The legend above the panel, in two columns; the number of its rows."""
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    guides = [mathtext(curve["label"]) for curve in panel["curves"] if curve["kind"] == "guide"]
    if len(set(guides)) < len(guides):  # one label for several guides is in nobody's colour
        shown |= {label: Line2D([], [], color=GREY, linestyle=DOTTED, linewidth=1.3) for label in guides if label}
    if not shown:
        return 0
    position = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": 2}
    spacing = {"columnspacing": 1.2, "handletextpad": 0.5, "fontsize": 9}
    entries = _in_rows(list(shown.items()))
    axes.legend([handle for _, handle in entries], [label for label, _ in entries], **position, **spacing)
    return -(-len(shown) // 2)


def _in_rows(entries: list[Any]) -> list[Any]:
    """Legends fill their columns one after the other; entries in an order in which they then read row by row."""
    return entries[::2] + entries[1::2]


def _draw(axes: Axes, curve: Mapping[str, Any], order: int, log: str) -> None:
    x, y, read = _points(curve, log)
    measured = curve["kind"] == "measured"
    colour, marker, line = series(order)
    looks = {"color": colour, "linestyle": "solid" if measured else line}
    marker = marker if measured and x.size <= _MARKERS else None
    axes.plot(x, y, **looks, label=mathtext(curve["label"]) or None, marker=marker)
    if curve["low"] is None:
        return
    low, high = read(curve["low"]), read(curve["high"])
    if measured:
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        return
    for edge in (low, high):  # lines, so that the band of what was measured stays in sight
        axes.plot(x, edge, color=colour, linestyle=line, linewidth=1.0)


def _draw_guide(axes: Axes, curve: Mapping[str, Any], log: str, colour: str) -> None:
    x, y, _ = _points(curve, log)
    axes.plot(x, y, color=colour, linestyle=DOTTED, linewidth=1.3, label=mathtext(curve["label"]) or None)


def _points(curve: Mapping[str, Any], log: str) -> tuple[Any, Any, Any]:
    """x, y, and how numbers of the vertical axis are read."""
    read = positive if "y" in log else values
    return (positive if "x" in log else values)(curve["x"]), read(curve["y"]), read
