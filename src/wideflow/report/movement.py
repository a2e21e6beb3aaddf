"""How far the empirical NTK of single networks moved while they trained, and how far it began from theory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .axis import STEP_LABEL, legend_above, log_axis, positive, time_axis, values
from .style import BLUE, DASHED, DOTTED, GREY, VERMILION, new_figure, series


def movement_figure(change: Mapping[str, Any]) -> Figure:
    """‖Θₜ − Θ₀‖ / ‖Θ₀‖ against the step: one colour for each width, thin lines for single networks."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    steps = values(change["steps"])
    drawn = []
    for order, entry in enumerate(change["widths"]):
        colour, marker, style = series(order)
        networks = positive(entry["relative"])
        mean = mean_over_networks(networks)
        axes.plot(steps, networks.T, color=colour, linewidth=0.7, alpha=0.45)
        axes.plot(steps, mean, color=colour, marker=marker, linestyle=style, label=f"width {entry['width']}")
        drawn.append(networks)
    log_axis(axes, *drawn)
    time_axis(axes, steps, STEP_LABEL)
    axes.set(ylabel="relative change  ‖Θₜ − Θ₀‖ / ‖Θ₀‖")
    legend_above(figure, axes, 3)
    return figure


def movement_by_width_figure(change: Mapping[str, Any]) -> Figure:
    """Change by the last step, and distance from the infinite-width kernel at initialisation, by width."""
    figure = new_figure(5.2, 4.2)
    axes = figure.subplots()
    final = [{"width": e["width"], "relative": [r[-1] for r in e["relative"]]} for e in change["widths"]]
    looks = (
        (
            change.get("initial_distance") or [],
            VERMILION,
            "s",
            "Θ₀ from theory, at step 0",
            -0.5,
            "∝ 1/√width",
        ),
        (final, BLUE, "o", "Θ moved, by the last step", -1.0, "∝ 1/width"),
    )
    drawn = [_draw_by_width(axes, *look) for look in looks if look[0]]
    log_axis(axes, *drawn)
    widths = sorted({e["width"] for look in looks for e in look[0]})
    axes.set(xscale="log", xlabel="width N", ylabel="relative distance (Frobenius norm)")
    axes.set_xlim(widths[0] / 1.25, widths[-1] * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(widths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda width, _: f"{width:g}")
    legend_above(figure, axes, 2)
    return figure


def has_several_widths(change: Mapping[str, Any]) -> bool:
    """Whether there is more than one width to compare."""
    entries = [*change["widths"], *(change.get("initial_distance") or [])]
    return len({entry["width"] for entry in entries}) > 1


def mean_over_networks(networks: Float64[np.ndarray, "R T"]) -> Float64[np.ndarray, " T"]:
    """The mean over networks of the finite entries; NaN where there are none."""
    finite = np.isfinite(networks)
    count = finite.sum(axis=0)
    total = np.where(finite, networks, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _draw_by_width(
    axes: Axes,
    entries: Sequence[Mapping[str, Any]],
    colour: str,
    marker: str,
    label: str,
    power: float,
    guide: str,
) -> Float64[np.ndarray, " n"]:
    """Draw single networks as dots, their mean as a line, the expected power law through the first mean."""
    widths = values([entry["width"] for entry in entries])
    networks = [positive(entry["relative"]) for entry in entries]
    for width, distances in zip(widths, networks, strict=True):
        axes.plot(np.full(distances.size, width), distances, ".", color=colour, alpha=0.5, markersize=4)
    means = np.concatenate([mean_over_networks(distances[:, None]) for distances in networks])
    style = DASHED if marker == "o" else "solid"
    axes.plot(widths, means, color=colour, marker=marker, markersize=6, linestyle=style, label=label)
    if widths.size > 1:
        law = means[0] * (widths / widths[0]) ** power
        axes.plot(widths, law, color=GREY, linestyle=DOTTED if marker == "o" else (0, (4, 3)), label=guide)
    return np.concatenate(networks)
