"""Large learning rates as a figure: losses, final curvature, the two-scalar model, the edge of stability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import BLACK, GREY, new_figure, series

BAND = "#cfcfcf"


def catapult_figure(table: Any, portrait: Any, paths: Sequence[Any]) -> Figure:
    """Four panels: losses over steps, ηλ at the end against c, the phase portrait, sharpness over steps.

    `table`: `beyond.SweptRates`; losses are those of its first width, model and network, curvatures those of all
    widths and models. `portrait`: `beyond.PhasePortrait`. `paths`: `beyond.SharpnessPath`s.
    """
    figure = new_figure(9.6, 7.4)
    axes = figure.subplots(2, 2)
    _losses(axes[0, 0], table)
    _curvatures(axes[0, 1], table, portrait)
    _plane(axes[1, 0], portrait)
    _sharpness(axes[1, 1], paths)
    return figure


def _losses(axes: Axes, table: Any) -> None:
    for order, c in enumerate(table.c):
        colour, _, style = series(order)
        axes.plot(table.losses[0, 0, 0, order], color=colour, linestyle=style, label=f"{c:g}")
    finite = table.losses[0, 0, 0][~table.diverged[0, 0, 0]]
    axes.set(yscale="log", xlabel="step", ylabel="training loss", ylim=(max(finite.min(), 1e-6), 3 * finite.max()))
    axes.set_title(f"{table.models[0]} of width {table.widths[0]}")
    axes.legend(title="$c = \\eta\\lambda_0$", ncols=2)


def _curvatures(axes: Axes, table: Any, portrait: Any) -> None:
    theory = "two scalars, $n \\to \\infty$"
    axes.fill_between(portrait.c, portrait.low, portrait.high, color=BAND, edgecolor=GREY, linewidth=0.8, label=theory)
    lazy = np.linspace(0, 2, 2)
    axes.plot(lazy, lazy, color=GREY)
    for place in (2, 4):
        axes.axvline(place, color=GREY, linewidth=0.9)
    count = 0
    for m, model in enumerate(table.models):
        for w, width in enumerate(table.widths):
            ends = table.eta_curvature[w, m]
            if not np.isfinite(ends).any():
                continue
            colour, marker, _ = series(count)
            ends = np.median(np.where(np.isfinite(ends), ends, np.nan), axis=0)
            axes.plot(table.c, ends, marker, color=colour, label=f"{model}, width {width}")
            count += 1
    axes.set(xlabel="$c = \\eta\\lambda_0$", ylabel="$\\eta\\lambda$ after training", ylim=(0, 3.4), xlim=(0, None))
    axes.legend(loc="upper left", fontsize=9, ncols=2, columnspacing=1.0)


def _plane(axes: Axes, portrait: Any) -> None:
    length = np.hypot(portrait.step_a, portrait.step_b)
    scale = np.where(length > 0, np.sqrt(length), 1)  # arrows as the root of the step: small ones stay visible
    axes.quiver(
        portrait.b, portrait.a, portrait.step_b / scale, portrait.step_a / scale, color=GREY, width=0.0025, scale=36
    )
    edge = np.array([0, portrait.b.max()])
    axes.fill_between(edge, 0, 2 * edge, color="#eeeeee", linewidth=0)
    axes.plot(edge, 2 * edge, color=GREY, linewidth=1)
    axes.plot(2, 4, "o", color=BLACK, clip_on=False)
    axes.plot(2**0.5, 4, "o", color=BLACK, markerfacecolor="white")
    for place in (2, 4):
        axes.axhline(place, color=GREY, linewidth=0.9)
    for order, (c, (a, b)) in enumerate(zip(portrait.starts, portrait.trajectories, strict=True)):
        colour, marker, style = series(order)
        axes.plot(b, a, color=colour, linestyle=style, marker=marker, markersize=3.5, linewidth=1.2, label=f"{c:g}")
    axes.set(xlabel="$b = \\eta\\,|f|/\\sqrt{n}$", ylabel="$a = \\eta\\lambda$", xlim=(0, 2), ylim=(0, 4.5))
    axes.legend(title="start at $c$", loc="lower right", fontsize=9)
    axes.grid(visible=False)


def _sharpness(axes: Axes, paths: Sequence[Any]) -> None:
    axes.axhline(1, color=BLACK, linewidth=1)
    for order, path in enumerate(paths):
        colour, marker, style = series(order)
        label = f"{type(path.rule).__name__}, $\\eta$ = {path.rule.lr:g}"
        axes.plot(path.steps, path.ratio, color=colour, linestyle=style, marker=marker, label=label)
    axes.set(xlabel="step", ylabel="sharpness / largest stable", ylim=(0, None))
    axes.legend(loc="lower right", fontsize=9)
