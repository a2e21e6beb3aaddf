"""Figures as data: what is drawn, so that results hold it and any program can draw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Curve:
    """One curve: `y` against `x`, with a band from `low` to `high` where there is one.

    `kind`: "measured" (markers), "theory" (a line without) or "guide" (thin and grey, for slopes and limits).
    """

    label: str
    x: Any
    y: Any
    low: Any = None
    high: Any = None
    kind: Literal["measured", "theory", "guide"] = "measured"


@dataclass(frozen=True)
class Panel:
    """Curves on the same axes; `log` names the logarithmic ones: "", "x", "y" or "xy"."""

    curves: Sequence[Curve]
    xlabel: str
    ylabel: str
    title: str = ""
    log: Literal["", "x", "y", "xy"] = ""


@dataclass(frozen=True)
class Frame:
    """One position of a slider."""

    label: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Plot:
    """A figure: panels side by side, or `frames` that a slider shows in turn, which `slider` names (time, width).

    `name`: of the file. `caption`: what to look at. `alt`: for those who cannot see it.
    """

    name: str
    caption: str
    alt: str
    panels: Sequence[Panel] = ()
    frames: Sequence[Frame] = ()
    slider: str = ""
