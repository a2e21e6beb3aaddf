"""Figures of high-dimensional limits and learning curves show what they are given."""

import numpy as np

from wideflow.report.high_dimensional import descent_figure, learning_figure

X = np.array([1.0, 10.0, 100.0])
MEASURED = dict(label="both", x=X, theory=[1.0, 5.0, 0.5], at=[10.0], measured=[4.0], error=[0.5])
THEORY = dict(label="theory", x=X, theory=[1.0, 2.0, 0.5])


def test_descent_figure_draws_curves_measurements_and_peaks():
    left, right = descent_figure([MEASURED, THEORY], [MEASURED], (2.0, 50.0)).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["both", "theory"]
    assert len(left.containers) == 1
    assert [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 2] == [2.0, 50.0]


def test_learning_figure_draws_every_mode():
    left, right = learning_figure([MEASURED], {20: [0.9, 0.5], 80: [1.0, 0.8]}).axes
    assert left.get_xscale() == left.get_yscale() == "log"
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.9, 0.5], [1.0, 0.8]]
