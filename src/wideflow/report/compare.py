"""The page of `wideflow compare`: theory and trained networks on one data set."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .images import image_uris
from .line import line_frames, line_panels, snapshot_label
from .loss import loss_figure
from .movement import has_several_widths, movement_by_width_figure, movement_figure
from .page import render
from .picture import Picture, data_uri, picture, svg
from .spectrum import modes_figure, spectrum_figure
from .store import plain, write_bytes
from .style import figure_style
from .summary import network_count, summary_sentence


def write_report(results: Mapping[str, Any], out: Path) -> Path:
    """Write index.html and figures/*.svg, *.png into the folder; returns the path of the page.

    `results` is what results.json holds, or the same with arrays in place of lists. A section that is missing
    or None (the run stopped early) becomes a note on the page. The same results give the same bytes.
    """
    results = plain(results)
    pictures = compare_pictures(results)
    for drawn in pictures.values():
        drawn.write(out / "figures")
    context = {
        "results": results,
        "summary": summary_sentence(results),
        "networks": network_count(results),
        "frames": slider_frames(results.get("line") or {}),
        "ends": line_ends(results),
        "pictures": pictures,
    }
    return write_bytes(render("compare.html.j2", context).encode(), out / "index.html")


def compare_pictures(results: Mapping[str, Any]) -> dict[str, Picture]:
    """Every figure the results allow, by file name."""
    line, loss = results.get("line") or {}, results.get("loss") or {}
    spectrum, change = results.get("spectrum") or {}, results.get("kernel_change") or {}
    draw: dict[str, Any] = {}
    if line.get("steps"):
        draw["line"] = partial(line_panels, line)
    for part in ("train", "test"):
        if loss.get("time") and loss.get(part):
            draw[f"loss-{part}"] = partial(loss_figure, loss, part, network_count(results))
    if spectrum.get("eigenvalues"):
        draw["spectrum"] = partial(spectrum_figure, spectrum)
    if (spectrum.get("modes") or {}).get("index"):
        draw["modes"] = partial(modes_figure, spectrum)
    if change.get("widths"):
        draw["kernel-change"] = partial(movement_figure, change)
        if has_several_widths(change):
            draw["kernel-change-by-width"] = partial(movement_by_width_figure, change)
    return {name: picture(name, figure) for name, figure in draw.items()}


def slider_frames(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One frame a snapshot for the slider: its label and its SVG as a data URI."""
    if not line.get("steps"):
        return []
    with figure_style():
        uris = [data_uri(svg(figure), "image/svg+xml") for figure in line_frames(line)]
    return [{"label": snapshot_label(line, index), "uris": [uri]} for index, uri in enumerate(uris)]


def line_ends(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The training images at the left (α = 0, x₂) and right (α = 1, x₁) end, with their targets."""
    images = (results.get("data") or {}).get("images")
    if not images:
        return []
    first, second = image_uris(images)
    targets = (results.get("line") or {}).get("train_target") or [None, None]
    ends = (("x₂", "α = 0", second, targets[0]), ("x₁", "α = 1", first, targets[1]))
    return [dict(zip(("name", "alpha", "uri", "target"), end, strict=True)) for end in ends]
