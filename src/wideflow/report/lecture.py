"""The page of `wideflow lecture`: every statement with its verdict, figure, formula and code."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .formula import label
from .page import render
from .picture import Picture, data_uri, picture, svg
from .plot import frame_figures, panels_figure, printed_figure
from .processes import helpers
from .store import plain, write_bytes
from .style import figure_style
from .summary import lecture_data, lecture_sentence

_MANY = 10  # claims whose figures take longer than processes take to start
_CORRECTED = re.compile(r"(The slide|The lecture|The literature) (.+?[.:;]) (?=[A-Z])(.+)", re.DOTALL)


def write_lecture(results: Mapping[str, Any], out: Path, processes: int = 1) -> Path:
    """Write index.html and figures/*.svg, *.png into the folder; returns the path of the page.

    `results` is what results.json holds; `processes` draw it. The same results give the same bytes.
    """
    results = plain(results)
    entries = _entries(results["claims"], processes)
    pictures = {figure["picture"].name: figure["picture"] for entry in entries for figure in entry["figures"]}
    for one in pictures.values():
        one.write(out / "figures")
    sections = [
        (key, title, [entry for entry in entries if entry["section"] == key])
        for key, title in results["sections"].items()
    ]
    context = {
        "results": results,
        "summary": lecture_sentence(results),
        "data": lecture_data(results),
        "sections": [section for section in sections if section[2]],
        "pictures": pictures,
    }
    return write_bytes(render("lecture.html.j2", context).encode(), out / "index.html")


def _entries(claims: Sequence[Mapping[str, Any]], processes: int) -> list[dict[str, Any]]:
    if processes == 1 or len(claims) < _MANY:
        return list(map(_entry, claims))
    with helpers(processes) as pool:
        return list(pool.map(_entry, claims))


def _entry(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim with its figures, and its correction in parts."""
    figures = [_figure(claim["id"], plot) for plot in claim["plots"]]
    return {**claim, "figures": figures, "corrected": corrected(claim["correction"])}


def corrected(text: str) -> list[tuple[str, str]]:
    """A correction as rows: what the slide says, from a first sentence that begins with it, and what is true."""
    found = _CORRECTED.fullmatch(text)
    if found:
        return [(found[1], found[2]), ("What is true", found[3])]
    return [("Correction", text)] if text else []


def _figure(claim: str, plot: Mapping[str, Any]) -> dict[str, Any]:
    """A plot as files, and as images for the page: one for each panel, or frames of them for a slider."""
    name, frames = f"{claim}-{plot['name']}", plot["frames"]
    if frames:
        file = picture(name, partial(printed_figure, frames))
        return {**plot, "picture": file, "panels_shown": len(frames[0]["panels"]), "frames": _frames(frames)}
    file = picture(name, partial(panels_figure, plot["panels"]))
    uris = _panel_uris(file, plot["panels"])
    return {**plot, "picture": file, "panels_shown": len(uris), "uris": uris}


def _panel_uris(file: Picture, panels: Sequence[Mapping[str, Any]]) -> list[str]:
    """Panels each by itself, so that they stand one above the other where the page is narrow."""
    if len(panels) == 1:
        return [file.uri]
    with figure_style():
        return [data_uri(svg(panels_figure([panel])), "image/svg+xml") for panel in panels]


def _frames(frames: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    with figure_style():
        uris = [[data_uri(svg(one), "image/svg+xml") for one in figures] for figures in frame_figures(frames)]
    return [{"label": label(frame["label"]), "uris": some} for frame, some in zip(frames, uris, strict=True)]
