"""A finished figure: the same drawing as SVG and as PNG."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .store import write_bytes
from .style import figure_style

PNG_DPI = 160


@dataclass(frozen=True)
class Picture:
    """A drawing under its file name without ending: SVG for pages, PNG for everything else."""

    name: str
    svg: bytes
    png: bytes

    @property
    def uri(self) -> str:
        """The SVG as a data URI, for an `<img>` that needs no file beside the page."""
        return data_uri(self.svg, "image/svg+xml")

    def write(self, folder: Path) -> None:
        """Write NAME.svg and NAME.png into the folder."""
        write_bytes(self.svg, folder / f"{self.name}.svg")
        write_bytes(self.png, folder / f"{self.name}.png")


def picture(name: str, draw: Callable[[], Figure]) -> Picture:
    """Draw a figure in the house style and keep it as SVG and PNG; the same figure gives the same bytes."""
    with figure_style():
        figure = draw()
        FigureCanvasAgg(figure)
        vector = svg(figure)
        figure.set_layout_engine("none")  # laid out once is enough
        return Picture(name, vector, png(figure))


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """The figure as PNG, without the name of the program that wrote it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def data_uri(content: bytes, kind: str) -> str:
    """The bytes as a data URI of the given media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
