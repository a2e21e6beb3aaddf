"""Curves of high-dimensional limits: theory as lines, experiments as markers with error bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axis import label_decades, log_axis, positive, values
from .style import GREY, new_figure, series

Curve = Mapping[str, Any]


def descent_figure(double: Sequence[Curve], triple: Sequence[Curve], peaks: tuple[float, float]) -> Figure:
    """Risk of random features beside the test error of the NTK against width, with the places of its two peaks.

    Each curve: `label`, `x` and `theory` (the line), and where measured `at`, `measured` and `error`. `x` is N/n in
    `double`, the width N in `triple`; `peaks` are widths.
    """
    figure = new_figure(9.6, 4.2)
    left, right = figure.subplots(1, 2)
    curves(left, double)
    left.axvline(1.0, color=GREY, linewidth=1)
    left.set(xlabel="features per sample N/n", ylabel="risk", title="random features: double descent")
    curves(right, triple)
    for peak in peaks:
        right.axvline(peak, color=GREY, linewidth=1)
    right.set(xlabel="width N", ylabel="test error", title="NTK: triple descent")
    left.legend(loc="upper right")
    right.legend(loc=(0.12, 0.83))
    return figure


def learning_figure(
    learning: Sequence[Curve], learnability: Mapping[int, Any], measured: Mapping[int, Curve] | None = None
) -> Figure:
    """Test error against the training points, beside the share learned of every mode.

    `learning`: as in `descent_figure`, with x the number of training points. `learnability`: from the number of
    training points to ℒ_i of the modes in order. `measured`: from it to `at`, the numbers of some modes from 1 on,
    and their `measured` shares with `error`.
    """
    figure = new_figure(9.6, 4.2)
    left, right = figure.subplots(1, 2)
    curves(left, learning)
    left.set(
        xlabel="training points n", ylabel="error on held-out points", title="lines: predicted  ·  markers: measured"
    )
    left.legend(loc="lower left")
    for order, (samples, shares) in enumerate(learnability.items()):
        colour, marker, style = series(order)
        shares = values(shares)
        right.plot(np.arange(1, shares.size + 1), shares, color=colour, linestyle=style, label=f"n = {samples}")
        if measured and samples in measured:
            at, found, error = (values(measured[samples][name]) for name in ("at", "measured", "error"))
            right.errorbar(at, found, error, color=colour, marker=marker, linestyle="none", capsize=2)
    right.set_xscale("log")
    label_decades(right.xaxis)
    right.set(xlabel="mode i, largest eigenvalue first", ylabel="learnability of the mode", ylim=(0, 1.02))
    right.legend(loc="upper right")
    return figure


def curves(axes: Axes, given: Sequence[Curve]) -> None:
    """Draw curves on logarithmic axes; the limits are those of what was measured and predicted."""
    seen = []
    for order, curve in enumerate(given):
        colour, marker, style = series(order)
        theory = positive(curve["theory"])
        axes.plot(values(curve["x"]), theory, color=colour, linestyle=style, label=curve["label"])
        seen.append(theory)
        if "measured" in curve:
            at, found, error = (values(curve[name]) for name in ("at", "measured", "error"))
            axes.errorbar(at, found, error, color=colour, marker=marker, linestyle="none", capsize=2)
            seen.append(positive(found))
    axes.set_xscale("log")
    log_axis(axes, *seen)
    label_decades(axes.xaxis)
