"""How every figure looks: colours, line styles, text sizes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with any common colour vision. Figures never rely on colour alone:
# each curve also has its own line style or marker, so they survive a grayscale print.
BLACK = "#1a1a1a"
GREY = "#767676"
BLUE = "#0072B2"
VERMILION = "#D55E00"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
SKY = "#56B4E9"

DASHED = (0, (5, 2))
DASHDOTTED = (0, (6, 1.5, 1, 1.5))
DOTTED = (0, (1.2, 1.4))

# (colour, marker, line style) of the first, second, ... curve of one kind: widths, modes.
SERIES = (
    (BLUE, "o", "solid"),
    (VERMILION, "s", DASHED),
    (GREEN, "^", DASHDOTTED),
    (PURPLE, "D", DOTTED),
    (ORANGE, "v", (0, (8, 2))),
    (BLACK, "P", (0, (3, 1, 1, 1, 1, 1))),
    (SKY, "X", (0, (2, 2))),
)

PARAMETERS: dict[str, Any] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.handlelength": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # letters as outlines: sharp at any size, the same on every machine
    "svg.hashsalt": "wideflow",  # names inside the SVG repeat from run to run
}

# rcParams belong to the whole process; figures of two threads must not change them under each other.
_RCPARAMS_LOCK = threading.RLock()


@contextmanager
def figure_style() -> Iterator[None]:
    """Matplotlib's defaults with our settings, whatever matplotlibrc says, while the block runs."""
    with _RCPARAMS_LOCK, matplotlib.style.context(PARAMETERS, after_reset=True):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that belongs to no window and no global state."""
    return Figure(figsize=(width, height), layout="constrained")


def series(index: int) -> tuple[str, str, Any]:
    """Colour, marker and line style of curve number `index`; they repeat after seven."""
    return SERIES[index % len(SERIES)]
