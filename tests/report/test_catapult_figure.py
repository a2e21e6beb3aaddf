"""The figure of large learning rates: what is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from wideflow.beyond import phase_portrait
from wideflow.dynamics import GradientDescent

pytest.importorskip("matplotlib")
from wideflow.report.catapult import catapult_figure
from wideflow.report.style import figure_style


def test_every_rate_model_trajectory_and_rule_is_drawn(tmp_path):
    losses = np.exp(-np.arange(20.0)) + np.zeros((2, 1, 1, 3, 20))
    losses[:, :, :, 2, 5:] = np.nan
    table = SimpleNamespace(
        c=np.array([1.0, 2.5, 6.0]),
        widths=(64, 256),
        models=("network",),
        losses=losses,
        diverged=~np.isfinite(losses).all(axis=-1),
        eta_curvature=np.array([1.0, 1.5, np.inf]) + np.zeros((2, 1, 1, 3)),
    )
    path = SimpleNamespace(rule=GradientDescent(0.1), steps=np.arange(4), ratio=np.ones(4))
    portrait = phase_portrait(starts=(2.5, 3.5), steps=20)
    with figure_style():
        figure = catapult_figure(table, portrait, [path])
        figure.savefig(tmp_path / "catapult.png")
    loss, curvature, plane, sharpness = figure.axes
    assert len(loss.lines) == 3
    assert [text.get_text() for text in curvature.get_legend().get_texts()][1:] == [
        "network, width 64",
        "network, width 256",
    ]
    assert [text.get_text() for text in plane.get_legend().get_texts()] == ["2.5", "3.5"]
    assert len(sharpness.lines) == 2
