"""The NTK along training: how far it moves, and what kernels and restarted linearizations predict."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from .style import new_figure, series


def evolution_figure(evolutions: Mapping[str, Any], shown: str, ridge: float = 0.01) -> Figure:
    """Distance of the NTK from its start, its alignment with the targets, and accuracies of one run against time.

    `evolutions`: of a name, a `beyond.KernelEvolution`. `shown`: the one whose accuracies are drawn, of the network, of
    regression with Θ_t (`ridge` as a part of its diagonal), and of the linearization at θ_t trained to the end.
    """
    figure = new_figure(11.4, 4.3)
    distance, alignment, accuracy = figure.subplots(1, 3)
    for index, (name, seen) in enumerate(evolutions.items()):
        colour, marker, style = series(index)
        options: dict[str, Any] = dict(color=colour, marker=marker, linestyle=style, label=name)
        times = seen.lr * seen.steps
        distance.plot(times[1:], seen.distance[1:], **options)
        alignment.plot(times, seen.alignment, **options)
    seen = evolutions[shown]
    curves = {
        "network": seen.network_accuracy,
        "regression with $\\Theta_t$": seen.kernel_accuracy(ridge),
        "linearized at t, trained on": seen.restarted_accuracy(),
    }
    for index, (name, values) in enumerate(curves.items()):
        colour, marker, style = series(index)
        accuracy.plot(seen.lr * seen.steps, values, color=colour, marker=marker, linestyle=style, label=name)
    distance.set(xscale="log", yscale="log", title="kernel distance $S(\\Theta_0, \\Theta_t)$")
    alignment.set(title="alignment with the targets")
    accuracy.set(title="held-out accuracy", ylim=(min(0.5, *(values.min() for values in curves.values())) - 0.3, 1))
    for axes in (alignment, accuracy):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=-0.1)
    for axes in (distance, alignment, accuracy):
        axes.set_xlabel("time t")
    accuracy.legend(loc="lower right", title=shown)
    figure.legend(*distance.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
