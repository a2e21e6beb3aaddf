"""The phase diagram as a figure: what is drawn and said."""

import numpy as np
import pytest

from wideflow import nn
from wideflow.kernels import PhaseDiagram

pytest.importorskip("matplotlib")
from wideflow.report import phase_figure
from wideflow.report.style import figure_style


@pytest.mark.parametrize(
    ("diagram", "names", "lines"),
    [
        pytest.param(PhaseDiagram(nn.Erf()), {"ordered", "chaotic"}, 1, marks=pytest.mark.slow),
        (PhaseDiagram(nn.Relu()), {"ordered", "variance\nunbounded"}, 1),
        (PhaseDiagram(nn.Relu(), residual=True), {"variance\nunbounded"}, 0),
    ],
    ids=["erf", "relu", "residual"],
)
def test_phases_and_the_critical_line_are_drawn(diagram, names, lines, tmp_path):
    table = diagram.table(np.linspace(0.1, 4, 12), np.linspace(0, 0.5, 9), maps=((1.0, 0.1), (3.0, 0.0)))
    with figure_style():
        figure = phase_figure(table)
        figure.savefig(tmp_path / "phase.png")
    plane, maps, _ = figure.axes
    assert {text.get_text() for text in plane.texts} - {"0.25", "0.5", "0.75", "1.25", "1.5", "2", "3"} == names
    assert len(plane.lines) == lines
    assert len(maps.lines) == 3
    assert plane.get_xlim() == (0.1, 4.0)
