"""Figures of finite width and of lazy training: what is drawn, from plain stand-ins of the results."""

import numpy as np
import pytest

from wideflow.beyond import CorrectionScaling, HierarchyScaling, LazyScaling

pytest.importorskip("matplotlib")
from wideflow.report import finite_width_figure, lazy_figure
from wideflow.report.style import figure_style

WIDTHS = np.array([8, 16, 32, 64])
FALLING = WIDTHS[:, None] ** -1.0 * np.ones((4, 5))


def test_finite_width_figure_draws_theory_tensors_and_both_errors(tmp_path):
    curve = {"label": "law", "x": WIDTHS, "theory": FALLING[:, 0]}
    measured = curve | {"at": WIDTHS, "measured": FALLING[:, 0], "error": FALLING[:, 0] / 10}
    tensors = HierarchyScaling(WIDTHS, {2: FALLING, 3: FALLING, 4: -FALLING}, FALLING, FALLING)
    errors = {"one": CorrectionScaling(WIDTHS, "centred", FALLING, FALLING**2, np.ones((4, 5)))}
    with figure_style():
        figure = finite_width_figure([measured], [curve], tensors, errors)
        figure.savefig(tmp_path / "figure.png")
    names = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert names[0] == names[1] == ["law"]
    assert names[2] == ["$O_3$", "$O_4$", "$d\\Theta/dt$", "$d\\Theta/dt$ without signs"]
    assert names[3] == ["one, constant kernel", "one, first correction"]
    for axes in figure.axes[2:]:
        np.testing.assert_allclose(axes.lines[0].get_ydata(), FALLING[:, 0])


def test_lazy_figure_names_starts_with_their_exponents(tmp_path):
    alphas = WIDTHS.astype(float)
    with figure_style():
        figure = lazy_figure({"centred": LazyScaling(alphas, "centred", FALLING, FALLING, FALLING**2)})
        figure.savefig(tmp_path / "figure.png")
    names = [axes.get_legend().get_texts()[0].get_text() for axes in figure.axes]
    assert names == ["centred: −1.00", "centred: −2.00", "centred: −1.00"]
