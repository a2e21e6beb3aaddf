"""Figures: nothing clipped, nothing odd breaks them."""

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from wideflow.report.axis import short_number
from wideflow.report.line import line_frames, line_panels, snapshot_label
from wideflow.report.loss import loss_figure
from wideflow.report.movement import mean_over_networks, movement_by_width_figure, movement_figure
from wideflow.report.picture import picture
from wideflow.report.spectrum import modes_figure, spectrum_figure
from wideflow.report.style import figure_style

FIGURES = {
    "frame": lambda r: next(line_frames(r["line"])),
    "panels": lambda r: line_panels(r["line"]),
    "train": lambda r: loss_figure(r["loss"], "train", 100),
    "test": lambda r: loss_figure(r["loss"], "test"),
    "spectrum": lambda r: spectrum_figure(r["spectrum"]),
    "modes": lambda r: modes_figure(r["spectrum"]),
    "movement": lambda r: movement_figure(r["kernel_change"]),
    "by width": lambda r: movement_by_width_figure(r["kernel_change"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_holds_all_its_text_without_overlap(results, name):
    with figure_style():
        figure = FIGURES[name](results)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        edge, renderer = figure.bbox, canvas.get_renderer()
        words = [text for text in figure.findobj(Text) if _seen(text)]
        boxes = {text: text.get_window_extent(renderer) for text in words}
    for text, box in boxes.items():
        inside = box.x0 >= edge.x0 and box.y0 >= edge.y0 and box.x1 <= edge.x1 and box.y1 <= edge.y1
        assert inside, text.get_text()
    texts = list(boxes)
    for i, first in enumerate(texts):
        for second in texts[i + 1 :]:
            assert not boxes[first].overlaps(boxes[second]), (first.get_text(), second.get_text())


def _seen(text):
    """Whether a text is drawn: not empty, and not the label of a tick beyond the limits."""
    if not (text.get_text() and text.get_visible()):
        return False
    for axes in text.figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            mine = [tick for tick in ticks if text in (tick.label1, tick.label2)]
            low, high = sorted(axis.get_view_interval())
            if mine:
                return low <= mine[0].get_loc() <= high and axes.get_visible()
    return True


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("fill", [np.nan, 0.0, 1e200, 1.0])
def test_figure_is_drawn_whatever_the_numbers(results, name, fill):
    with figure_style():
        FigureCanvasAgg(FIGURES[name](_filled(results, fill))).draw()


def _filled(value, fill, key=""):
    """The results with every measured or predicted number replaced."""
    if key in {"alpha", "steps", "time", "index", "train_alpha", "width"}:
        return value
    if isinstance(value, dict):
        return {name: _filled(item, fill, name) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return np.full(value.shape, fill)
    return [_filled(item, fill) for item in value] if isinstance(value, list) else value


def test_frames_share_their_vertical_range_and_their_frame(results):
    with figure_style():
        seen = [(f.axes[0].get_ylim(), f.axes[0].get_position().bounds) for f in _drawn(line_frames(results["line"]))]
    assert len(seen) == len(results["line"]["steps"])
    assert len({limits for limits, _ in seen}) == 1
    assert len({bounds for _, bounds in seen}) == 1


def _drawn(figures):
    for figure in figures:
        FigureCanvasAgg(figure).draw()
        yield figure


def test_divergence_does_not_flatten_the_first_frames(results):
    line = {**results["line"], "ntk": {k: v * 1e30 for k, v in results["line"]["ntk"].items()}}
    line["ntk"] = {k: np.concatenate([results["line"]["ntk"][k][:1], v[1:]]) for k, v in line["ntk"].items()}
    with figure_style():
        low, high = next(line_frames(line)).axes[0].get_ylim()
    assert high - low < 50


def test_figures_do_not_depend_on_the_settings_of_the_process(results):
    first = picture("modes", lambda: modes_figure(results["spectrum"]))
    before = rcParams["font.size"]
    try:
        rcParams["font.size"] = 30
        assert picture("modes", lambda: modes_figure(results["spectrum"])) == first
        assert rcParams["font.size"] == 30
    finally:
        rcParams["font.size"] = before


@pytest.mark.parametrize(("t", "words"), [(0, "t = 0"), (0.125, "t = 0.125"), (16, "t = 16.0"), (512.4, "t = 512")])
def test_snapshot_label_names_step_and_time(t, words):
    assert snapshot_label({"steps": [7], "time": [t]}, 0) == f"step 7 · {words}"


def test_short_number_is_plain_or_a_power_of_ten():
    numbers = [0, 0.05, 1, 200, 1e4, 1e5, 2e-7, 1e-10, 5e120]
    expected = ["0", "0.05", "1", "200", "10000", "10⁵", "2·10⁻⁷", "10⁻¹⁰", "5·10¹²⁰"]
    assert [short_number(number) for number in numbers] == expected


def test_mean_over_networks_leaves_out_what_is_missing():
    networks = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    np.testing.assert_array_equal(mean_over_networks(networks), [2.0, 5.0, np.nan])
