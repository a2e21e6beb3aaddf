"""How far activations move in training, and the rates that are feasible, against the width."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import new_figure, series


def coordinate_figure(checks: Mapping[str, Any], rates: Mapping[str, Any]) -> Figure:
    """The change of the last hidden layer and of outputs, and critical learning rates, one curve a parameterization.

    `checks`: of a name, a `beyond.CoordinateCheck`; its last record is drawn. `rates`: of a name, a
    `beyond.LearningRateScaling`. Exponents in the legends are the fitted slopes.
    """
    figure = new_figure(11.4, 3.9)
    hidden, output, feasible = figure.subplots(1, 3)
    for index, (name, check) in enumerate(checks.items()):
        for axes, layer in ((hidden, -2), (output, -1)):
            size = np.sqrt(np.mean(check.change[:, :, -1, layer] ** 2, axis=1))
            _curve(axes, check.widths, size, f"{name}: {_exponent(check.slope(layer).value)}", index)
    for index, (name, scaling) in enumerate(rates.items()):
        rate = np.exp(np.mean(np.log(scaling.critical), axis=1))
        _curve(feasible, scaling.widths, rate, f"{name}: {_exponent(scaling.critical_slope.value)}", index)
    titles = ("change of hidden preactivations", "change of outputs", "critical learning rate")
    for axes, title in zip((hidden, output, feasible), titles, strict=True):
        axes.set(yscale="log", xlabel="width", title=title)
        axes.set_xscale("log", base=2)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, high / 10) / (high / low) ** 0.4, high)  # room for the legend
        axes.legend(fontsize=8.5, loc="lower left")
    return figure


def coordinate_check_figure(check: Any, names: Sequence[str] = ()) -> Figure:
    """A coordinate check of one network: the change of every layer against the width, a panel for each record.

    `check`: a `beyond.CoordinateCheck`. `names`: of its layers, the output last; by default their numbers. Points are
    root mean squares over networks, bars their quartiles. The panels share one vertical axis. Flat curves are what a
    learning rate that carries over from narrow to wide networks looks like.
    """
    layers = check.change.shape[-1]
    if names and len(names) != layers:
        raise ValueError(f"coordinate_check_figure: wanted a name for each of {layers} layers, got {len(names)}")
    names = names or [*(f"layer {number}" for number in range(1, layers)), "output"]
    figure = new_figure(min(2.2 + 3.4 * len(check.steps), 12.0), 4.0)
    panels = np.atleast_1d(figure.subplots(1, len(check.steps), sharey=True))
    for step, axes in enumerate(panels):
        for layer, name in enumerate(names):
            colour, marker, style = series(layer)
            change = check.change[:, :, step, layer]
            size = np.sqrt(np.mean(change**2, axis=1))
            low, high = np.quantile(change, [0.25, 0.75], axis=1)
            spread = np.maximum([size - low, high - size], 0)
            axes.errorbar(
                check.widths, size, spread, color=colour, marker=marker, linestyle=style, label=name, capsize=2
            )
        count = int(check.steps[step])
        axes.set(yscale="log", xlabel="width", title=f"after {count} step{'s' if count > 1 else ''}")
        axes.set_xscale("log", base=2)
    panels[0].set_ylabel("change of preactivations")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _curve(axes: Any, x: Any, y: Any, label: str, index: int) -> None:
    colour, marker, style = series(index)
    axes.plot(x, y, color=colour, marker=marker, linestyle=style, label=label)


def _exponent(value: float) -> str:
    return f"{value + 0.0:+.2f}".replace("-", "−")
