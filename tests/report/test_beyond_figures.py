"""Figures of the pages beyond the kernel: what is drawn and said, from plain stand-ins of the results."""

import numpy as np
import pytest
from scipy.stats import norm

from wideflow.beyond import CoordinateCheck, KernelEvolution, LearningRateScaling, RadialPath, RegimeGrid, RegimeMap

pytest.importorskip("matplotlib")
from wideflow.report import (
    coordinate_check_figure,
    coordinate_figure,
    evolution_figure,
    radial_figure,
    regime_map_figure,
)
from wideflow.report.style import figure_style

RNG = np.random.default_rng(0)


def test_coordinate_figure_names_curves_with_their_exponents(tmp_path):
    widths = np.array([8, 16, 32, 64])
    change = widths[:, None, None, None] ** -0.5 * np.ones((4, 5, 1, 2))
    check = CoordinateCheck(widths, np.array([1]), np.ones((4, 5, 2)), change)
    rates = LearningRateScaling(widths, widths[:, None] * np.ones((4, 5)))
    with figure_style():
        figure = coordinate_figure({"NTK": check}, {"mean field": rates})
        figure.savefig(tmp_path / "figure.png")
    names = [axes.get_legend().get_texts()[0].get_text() for axes in figure.axes]
    assert names == ["NTK: −0.50", "NTK: −0.50", "mean field: +1.00"]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), widths**-0.5)


def test_coordinate_check_figure_draws_every_layer_at_every_record(tmp_path):
    widths = np.array([8, 16, 32, 64])
    change = widths[:, None, None, None] ** -0.5 * np.array([1, 2, 3]) * np.ones((4, 5, 2, 1))
    check = CoordinateCheck(widths, np.array([1, 4]), np.ones((4, 5, 3)), change)
    with figure_style():
        figure = coordinate_check_figure(check)
        figure.savefig(tmp_path / "figure.png")
    assert [axes.get_title() for axes in figure.axes] == ["after 1 step", "after 4 steps"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["layer 1", "layer 2", "output"]
    np.testing.assert_allclose(figure.axes[1].containers[2].lines[0].get_ydata(), 3 * widths**-0.5)
    with pytest.raises(ValueError, match="a name for each of 3 layers"):
        coordinate_check_figure(check, ["one"])


def test_radial_figure_draws_densities_that_integrate_to_one(tmp_path):
    radii = np.stack([norm.ppf((np.arange(400) + 0.5) / 400, mean, 0.1) for mean in (1, 2)])
    path = RadialPath(np.array([0.1, 1.0]), radii, np.array([0.5, 0.4]))
    with figure_style():
        figure = radial_figure(path, [0.1, 1.0], [0.5, 0.4], radii)
        figure.savefig(tmp_path / "figure.png")
    for line in figure.axes[1].lines:
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(1, abs=0.06)


def test_evolution_figure_draws_every_run_and_three_accuracies(tmp_path):
    root = RNG.standard_normal((3, 6, 5))
    ntk = (root @ root.swapaxes(1, 2))[:, :, :4] + np.eye(6, 4)
    seen = KernelEvolution(0.1, np.array([0, 10, 100]), ntk, RNG.standard_normal((3, 6, 1)), np.ones((6, 1)))
    with figure_style():
        figure = evolution_figure({"one": seen, "two": seen}, "one")
        figure.savefig(tmp_path / "figure.png")
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]


def test_regime_map_figure_names_regimes_and_leaves_diverged_networks_white(tmp_path):
    distance = np.array([[[0.001], [np.nan]], [[0.002], [0.1]]])[:, None]  # 2 widths, 1 exponent, 2 rates, 1 seed
    ones = np.ones(distance.shape)
    pairs = ones[..., None] * [0.75, 0.5]
    grid = RegimeGrid([8, 16], [0.5], [0.1, 0.4], 2.0)
    found = RegimeMap(grid, np.ones((2, 1, 1)), distance, ones, ones / 20, ones, distance, *[pairs] * 4)
    with figure_style():
        figure = regime_map_figure(found)
        figure.savefig(tmp_path / "figure.png")
    first, second = figure.axes[:2]
    assert [text.get_text() for text in first.texts] == ["kernel\n0.00, 0.75", "kernel\n0.00, 0.75"]
    assert [text.get_text() for text in second.texts] == ["diverged\n–, 0.75", "between\n0.10, 0.75"]
    np.testing.assert_array_equal(second.collections[0].get_array().mask.ravel(), [True, False])
