"""Kernel regime and feature learning as a map: width across, scaling of the outputs up, a panel for each rate."""

from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import BLACK, GREY, new_figure

_SHORT = {"kernel regime": "kernel", "feature learning": "features"}
_ROOM = 6.0  # the darkest colours stay unused, so that letters on them stay readable


def regime_map_figure(found: Any) -> Figure:
    """The kernel distance S as a colour, the regime, and accuracies of the network and of regression with Θ_0.

    `found`: a `beyond.RegimeMap`. Medians over seeds; networks that diverged are left white.
    """
    widths, exponents, rates, time = found.grid
    width = max(1.05 * len(widths), 2.0) * len(rates) + 1.7
    figure = new_figure(max(width, 5.5), 0.75 * len(exponents) + 1.7)
    panels = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
    distance = np.median(found.distance, axis=-1)  # [n, G, R]
    norm = LogNorm(*_ends(distance))
    for r, (axes, rate) in enumerate(zip(panels, rates, strict=True)):
        axes.pcolormesh(distance[:, :, r].T, cmap="YlOrBr", norm=norm, edgecolors="white", linewidth=1.5)
        for n, g in np.ndindex(distance.shape[:2]):
            axes.text(n + 0.5, g + 0.5, _said(found, (n, g, r)), ha="center", va="center", fontsize=8.5, color=BLACK)
        axes.set(xlabel="width N", title=f"rate {rate:g}")
        axes.set_xticks(np.arange(len(widths)) + 0.5, [str(n) for n in widths])
        axes.set_yticks(np.arange(len(exponents)) + 0.5, [f"{exponent:g}" for exponent in exponents])
        axes.grid(visible=False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("exponent $\\gamma$")
    bar = figure.colorbar(panels[0].collections[0], ax=list(panels), pad=0.02)
    bar.ax.set_ylim(norm.vmin, (norm.vmax or 1.0) / _ROOM)
    bar.set_label("$S(\\Theta_0, \\Theta_T)$")
    note = f"Below: accuracy of the network, of regression with $\\Theta_0$. Time {time:g}, medians of seeds."
    figure.supxlabel(note, fontsize=9, color=GREY)
    return figure


def _ends(distance: np.ndarray) -> tuple[float, float]:
    """Ends of the colours, the dark one far above the largest S."""
    seen = distance[np.isfinite(distance) & (distance > 0)]
    return (float(seen.min()), float(_ROOM * seen.max())) if seen.size else (0.1, 1.0)


def _said(found: Any, place: tuple[int, int, int]) -> str:
    regime = str(found.regimes[place])
    network, kernel = np.median(found.network_accuracy[place]), np.median(found.kernel_accuracy[place][:, 0])
    accuracies = f"{network:.2f}, {kernel:.2f}" if np.isfinite(network) else f"–, {kernel:.2f}"
    return f"{_SHORT.get(regime, regime)}\n{accuracies}"
