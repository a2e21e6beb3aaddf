"""The page of `wideflow diagnose`: one network beside its linearization."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .deviation import deviation_figure, ntk_spectrum_figure, paths_figure, width_figure
from .numbers import number_rows, score_rows, summary_of
from .page import render
from .picture import Picture, picture
from .store import plain, write_bytes


def write_diagnosis(results: Mapping[str, Any], out: Path) -> Path:
    """Write index.html and figures/*.svg, *.png into the folder; returns the path of the page.

    `results` is what results.json holds, or the same with arrays in place of lists. A section that is missing
    or None (the run stopped early) becomes a note on the page. The same results give the same bytes.
    """
    results = plain(results)
    pictures = diagnosis_pictures(results)
    for drawn in pictures.values():
        drawn.write(out / "figures")
    context = {
        "results": results,
        "summary": summary_of(results),
        "numbers": number_rows(results),
        "scores": score_rows(results),
        "pictures": pictures,
    }
    return write_bytes(render("diagnose.html.j2", context).encode(), out / "index.html")


def diagnosis_pictures(results: Mapping[str, Any]) -> dict[str, Picture]:
    """Every figure the results allow, by file name."""
    found = results.get("diagnosis") or {}
    draw: dict[str, Any] = {}
    for key, part in (("path", "training"), ("test_path", "test")):
        if found.get(key):
            draw[f"loss-{part}"] = partial(paths_figure, found[key], part)
    if found.get("path"):
        draw["deviation"] = partial(deviation_figure, found)
    if found.get("ntk"):
        draw["ntk-spectrum"] = partial(ntk_spectrum_figure, found["ntk"])
    if results.get("widths"):
        draw["deviation-by-width"] = partial(width_figure, results["widths"])
    return {name: picture(name, figure) for name, figure in draw.items()}
