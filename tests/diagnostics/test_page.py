"""The page of a diagnosis that was made in Python."""

import jax
import numpy as np

import wideflow as wf
from wideflow.compare.probes import task_of
from wideflow.diagnostics.page import write_page
from wideflow.diagnostics.settings import DiagnosisSettings
from wideflow.report import read_json


def test_a_diagnosis_made_in_python_has_the_page_of_the_command(tmp_path):
    task = task_of(DiagnosisSettings(train=6, test=4).comparison)
    net = wf.nn.Serial(wf.nn.Dense(8), wf.nn.Erf(), wf.nn.Dense(1))
    found = wf.diagnose(net.apply, net.init(jax.random.key(0), task.x_train), task, wf.GradientDescent(0.1), steps=3)
    page = write_page(found, tmp_path / "page", "<mine>", task)
    text, results = page.read_text(encoding="utf-8"), read_json(tmp_path / "page" / "results.json")
    assert "&lt;mine&gt;" in text
    assert found.verdict[1:] in text
    assert task.name in text
    assert results["diagnosis"]["ntk"]["changes"][-1] == found.ntk_change
    np.testing.assert_array_equal(results["diagnosis"]["path"]["losses"], found.path.losses)
    figures = {path.name for path in (tmp_path / "page" / "figures").iterdir()}
    assert {"deviation.svg", "ntk-spectrum.png"} <= figures
    assert "Not available" in write_page(found, tmp_path / "bare").read_text(encoding="utf-8")  # of data, widths
