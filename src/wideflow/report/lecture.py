"""The page of `wideflow lecture`: every statement with its verdict, figure, formula and code."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .page import render
from .picture import Picture, data_uri, picture, svg
from .plot import frame_figures, panels_figure
from .store import plain, write_bytes
from .style import figure_style
from .summary import lecture_sentence


def write_lecture(results: Mapping[str, Any], out: Path) -> Path:
    """Write index.html and figures/*.svg, *.png into the folder; returns the path of the page.

    `results` is what results.json holds. The same results give the same bytes.
    """
    results = plain(results)
    drawn = [_claim_pictures(claim) for claim in results["claims"]]
    pictures = {one.name: one for shown in drawn for one in shown["pictures"].values()}
    for one in pictures.values():
        one.write(out / "figures")
    entries = [claim | shown for claim, shown in zip(results["claims"], drawn, strict=True)]
    sections = [
        (key, title, [entry for entry in entries if entry["section"] == key])
        for key, title in results["sections"].items()
    ]
    context = {
        "results": results,
        "summary": lecture_sentence(results),
        "sections": [section for section in sections if section[2]],
        "pictures": pictures,
    }
    return write_bytes(render("lecture.html.j2", context).encode(), out / "index.html")


def _claim_pictures(claim: Mapping[str, Any]) -> dict[str, Any]:
    """The pictures of a claim by the name of the plot, and the frames of those that have a slider."""
    pictures: dict[str, Picture] = {}
    frames: dict[str, list[dict[str, str]]] = {}
    for plot in claim["plots"]:
        name = f"{claim['id']}-{plot['name']}"
        panels = plot["panels"] or plot["frames"][-1]["panels"]
        pictures[plot["name"]] = picture(name, partial(panels_figure, panels))
        frames[plot["name"]] = _frames(plot)
    return {"pictures": pictures, "frames": frames}


def _frames(plot: Mapping[str, Any]) -> list[dict[str, str]]:
    with figure_style():
        figures = frame_figures(plot["frames"]) if plot["frames"] else []
        uris = [data_uri(svg(figure), "image/svg+xml") for figure in figures]
    return [{"label": frame["label"], "uri": uri} for frame, uri in zip(plot["frames"], uris, strict=True)]
