"""The page of a comparison: complete, interrupted, hostile, remade."""

import copy
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.image import imread

from wideflow.report import write_report

SECTIONS = ["line", "loss", "spectrum", "kernel-change", "verdicts", "data", "settings", "reproduce", "files"]
FIGURES = ["line", "loss-train", "loss-test", "spectrum", "modes", "kernel-change", "kernel-change-by-width"]
LARGEST_PAGE = 5_000_000
HOSTILE = """</title><script>alert(1)</script><img src=x onerror='alert("2")'>{{ 7 * 7 }} $\\frac"""


class Page(HTMLParser):
    """Tags with their attributes, and the text without scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.inside = [], [], None
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in {"script", "style"} else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside is None:
            self.words.append(data)

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def folder(report):
    return report.parent


def test_every_figure_is_an_svg_and_a_png(folder):
    assert sorted(p.name for p in (folder / "figures").iterdir()) == sorted(
        f"{n}.{e}" for n in FIGURES for e in ("svg", "png")
    )
    for name in FIGURES:
        root = ElementTree.parse(folder / "figures" / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert imread(folder / "figures" / f"{name}.png").shape[0] > 300


def test_page_has_every_section_and_no_note(folder):
    page = Page(folder / "index.html")
    assert [attrs["id"] for attrs in page.attributes("section")] == SECTIONS
    assert "Not available" not in page.text
    assert "Interrupted" not in page.text
    assert (folder / "index.html").stat().st_size < LARGEST_PAGE


def test_page_shows_verdicts_in_words(folder):
    text = Page(folder / "index.html").text
    assert "100 networks of width 512 trained on digits disagree" in text
    for words in (
        "✓ HOLDS",
        "✗ FAILS",
        "– NOT RUN",
        "largest error 2.4 standard errors",
        "between 0.71 and 1.41",
    ):
        assert words in text


def test_page_has_a_frame_for_every_snapshot(folder, results):
    page = Page(folder / "index.html")
    images, frames = (page.attributes(tag) for tag in ("img", "div"))
    frames = [attrs for attrs in frames if attrs.get("class") == "frame"]
    assert [f["data-label"].split(" · ")[0] for f in frames] == [f"step {n}" for n in results["line"]["steps"]]
    assert ["hidden" in f for f in frames] == [True] * (len(frames) - 1) + [False]
    assert all(attrs["alt"] for attrs in images)


def test_page_needs_nothing_outside_its_folder(folder):
    page = Page(folder / "index.html")
    sources = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    local = [source for source in sources if not source.startswith(("data:", "#"))]
    assert {source for source in local if source != "results.json"} == {
        f"figures/{n}.{e}" for n in FIGURES for e in ("svg", "png")
    }
    outside = re.sub(r"data:image/[^\"]*", "", (folder / "index.html").read_text(encoding="utf-8"))
    assert not re.search(r"https?:|url\(|@import", outside)


def test_same_results_give_the_same_bytes(folder, results, tmp_path):
    again = write_report({**results, "line": None}, tmp_path).parent
    for path in (again / "figures").iterdir():
        assert path.read_bytes() == (folder / "figures" / path.name).read_bytes(), path.name
    line = _two_snapshots(results["line"])
    first, second = (write_report({"line": line}, tmp_path / name).parent for name in "ab")
    assert (first / "index.html").read_bytes() == (second / "index.html").read_bytes()
    assert (first / "figures/line.svg").read_bytes() == (second / "figures/line.svg").read_bytes()


def _two_snapshots(line):
    return {**line, "steps": line["steps"][:2], "time": line["time"][:2]}


@pytest.mark.parametrize(
    ("keys", "section", "note"),
    [
        (("line",), "line", "the outputs between two training points"),
        (("line", "networks"), "line", "the trained networks on this line"),
        (("loss",), "loss", "the loss"),
        (("loss", "test"), "loss", "the test loss"),
        (("spectrum",), "spectrum", "the spectrum of the NTK"),
        (("spectrum", "modes"), "spectrum", "the decay of single modes"),
        (("kernel_change",), "kernel-change", "the movement of the empirical NTK"),
        (("verdicts",), "verdicts", "any verdict"),
        (("data",), "data", "a description of the data"),
        (("settings",), "settings", "the settings"),
    ],
)
def test_missing_part_gives_a_note(results, tmp_path, keys, section, note):
    page = Page(write_report({**_without_others(results, keys), "status": "interrupted"}, tmp_path))
    assert f"The run stopped before {note} could be computed." in page.text
    assert section in [attrs["id"] for attrs in page.attributes("section")]


def _without_others(results, keys):
    """The results without the named entry, and for speed with no other figures than its section's."""
    drawn = {"line", "loss", "spectrum", "kernel_change"} - {keys[0]}
    kept = copy.deepcopy({name: value for name, value in results.items() if name not in drawn})
    if "line" in kept:
        kept["line"] = _two_snapshots(kept["line"])
    inner = kept
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = None
    return kept


def test_results_with_nothing_in_them_give_a_page(tmp_path):
    page = Page(write_report({}, tmp_path))
    assert page.text.count("Not available. The results do not contain") == 8
    assert not (tmp_path / "figures").exists()


def test_interrupted_run_has_a_banner(tmp_path):
    note = "Stopped by Ctrl-C after 40 of 100 networks."
    text = Page(write_report({"status": "interrupted", "status_note": note}, tmp_path)).text
    assert f"⚠ Interrupted run. {note}" in text
    assert "It stopped early." in Page(write_report({"status": "interrupted"}, tmp_path)).text


def test_hostile_text_is_escaped_everywhere(results, tmp_path):
    kept = {key: value for key, value in results.items() if key not in {"line", "loss", "spectrum", "kernel_change"}}
    kept |= {"status": "interrupted", "status_note": "x", "settings": {"name": "x"}}
    plain = Page(write_report(kept, tmp_path / "plain"))
    hostile = Page(write_report(_hostile(kept) | {"settings": {HOSTILE: HOSTILE}}, tmp_path / "hostile"))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert hostile.text.count("{{ 7 * 7 }} $\\frac") >= 25
    assert "49" not in hostile.text


def _hostile(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_hostile(item) for item in value]
    return HOSTILE if isinstance(value, str) and value and key != "status" else value
