"""Outputs along the line between two training inputs: networks, NTK-GP and NNGP at one time or at several."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from .axis import values
from .style import BLACK, BLUE, DASHDOTTED, DASHED, VERMILION, new_figure

X_LABEL = "position α on the line  α x₁ + (1 − α) x₂"
Y_LABEL = "output f(x)"
BAND = "#cfcfcf"
# The vertical axis reaches beyond targets and first snapshot by at most this many times their range.
LARGEST_GROWTH = 2.0
THEORIES = {"nngp": ("NNGP", VERMILION, DASHDOTTED), "ntk": ("NTK-GP", BLUE, DASHED)}


def line_frames(line: Mapping[str, Any]) -> Iterator[Figure]:
    """Snapshot after snapshot: mean ± 2 standard deviations of networks, NTK-GP and NNGP against α.

    It is one figure drawn over and over, so that only the curves move: save each before taking the next.
    """
    figure = new_figure(5.2, 4.0)
    axes = figure.subplots()
    _legend(figure, line)
    for index in range(len(line["steps"])):
        axes.clear()
        _draw(axes, line, index)
        axes.set(xlabel=X_LABEL, ylabel=Y_LABEL)
        yield figure
        figure.set_layout_engine("none")


def line_panels(line: Mapping[str, Any]) -> Figure:
    """Up to four snapshots from first to last side by side: the figure for print."""
    indices = np.unique(np.linspace(0, len(line["steps"]) - 1, 4).round().astype(int)).tolist()
    rows = (len(indices) + 1) // 2
    figure = new_figure(7.6, 1.0 + 2.4 * rows)
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, index in zip(grid.flat, indices, strict=False):
        _draw(axes, line, index)
    for axes in grid.flat[len(indices) :]:
        axes.set_visible(False)
    figure.supxlabel(X_LABEL, fontsize=11)
    figure.supylabel(Y_LABEL, fontsize=11)
    _legend(figure, line)
    return figure


def snapshot_label(line: Mapping[str, Any], index: int) -> str:
    """The snapshot in words: `step 32 · t = 16.0`."""
    t = values(line["time"])[index]
    short = f"{t:.0f}" if abs(t) >= 100 or t == 0 else f"{t:.1f}" if abs(t) >= 10 or t == round(t, 1) else f"{t:.3g}"
    return f"step {line['steps'][index]} · t = {short}"


def _draw(axes: Axes, line: Mapping[str, Any], index: int) -> None:
    alpha = values(line["alpha"])
    if line.get("networks"):
        mean, std = _moments(line["networks"], index)
        axes.fill_between(alpha, mean - 2 * std, mean + 2 * std, color=BAND, linewidth=0)
        axes.plot(alpha, mean, color=BLACK, linewidth=2.6)
    for name, (_, colour, style) in THEORIES.items():
        if line.get(name):
            mean, std = _moments(line[name], index)
            axes.plot(alpha, mean, color=colour, linestyle=style)
            for edge in (mean - 2 * std, mean + 2 * std):
                axes.plot(alpha, edge, color=colour, linestyle=style, linewidth=1.0)
    if line.get("train_target") is not None:
        marks = {
            "marker": "o",
            "markersize": 8,
            "markeredgewidth": 1.6,
            "linestyle": "none",
            "clip_on": False,
        }
        targets = values(line["train_target"])
        axes.plot(line["train_alpha"], targets, color=BLACK, markerfacecolor="white", zorder=5, **marks)
    axes.set(title=snapshot_label(line, index), ylim=_limits(line), xlim=_extent(alpha))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda alpha, _: f"{alpha:g}"))


def _moments(curve: Mapping[str, Any], index: int) -> tuple[Float64[np.ndarray, " A"], Float64[np.ndarray, " A"]]:
    return values(curve["mean"][index]), values(curve["std"][index])


def _extent(x: Float64[np.ndarray, " A"]) -> tuple[float, float]:
    margin = 0.02 * float(np.ptp(x)) or 0.5
    return float(x.min()) - margin, float(x.max()) + margin


def _limits(line: Mapping[str, Any]) -> tuple[float, float]:
    """One vertical range for every snapshot, so that frames can be compared; what diverges leaves it."""
    first, every = _range(line, slice(0, 1)), _range(line, slice(None))
    room = LARGEST_GROWTH * (first[1] - first[0])
    low, high = max(every[0], first[0] - room), min(every[1], first[1] + room)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _range(line: Mapping[str, Any], snapshots: slice) -> tuple[float, float]:
    """Smallest and largest of targets and mean ± 2 standard deviations in some of the snapshots."""
    numbers = [values(line["train_target"]).ravel()] if line.get("train_target") is not None else []
    for name in ("networks", "ntk", "nngp"):
        if line.get(name):
            mean, std = values(line[name]["mean"][snapshots]), values(line[name]["std"][snapshots])
            numbers += [(mean - 2 * std).ravel(), (mean + 2 * std).ravel()]
    finite = np.concatenate([x[np.isfinite(x)] for x in numbers] or [np.empty(0)])
    return (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)


def _legend(figure: Figure, line: Mapping[str, Any]) -> None:
    handles: list[Any] = []
    labels = []
    if line.get("networks"):
        handles.append((Patch(color=BAND, linewidth=0), Line2D([], [], color=BLACK, linewidth=2.6)))
        labels.append(f"{line['networks'].get('count', '')} networks".strip())
    for name in ("ntk", "nngp"):
        if line.get(name):
            label, colour, style = THEORIES[name]
            handles.append(Line2D([], [], color=colour, linestyle=style))
            labels.append(label)
    if line.get("train_target") is not None:
        mark = {"marker": "o", "markersize": 7, "markeredgewidth": 1.6, "linestyle": "none"}
        handles.append(Line2D([], [], color=BLACK, markerfacecolor="white", **mark))
        labels.append("targets")
    if handles:
        options = {"loc": "outside upper center", "ncols": 4, "columnspacing": 1.2, "handletextpad": 0.5}
        figure.legend(handles, labels, **options)
