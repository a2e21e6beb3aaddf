"""A diagnosis from its settings to its results, without the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

import wideflow as wf
from wideflow.compare.probes import task_of
from wideflow.compare.settings import SettingsError
from wideflow.diagnostics.run import DiagnosisRun
from wideflow.diagnostics.settings import DiagnosisSettings
from wideflow.diagnostics.targets import targets_of
from wideflow.report import read_json, write_diagnosis, write_json
from wideflow.report.numbers import number_rows, score_rows, summary_of

TINY = {"depth": 1, "width": 32, "activation": "erf", "train": 8, "test": 8, "steps": 6, "widths": (8, 16, 32)}


class Follower:
    """Notes the stages; presses Ctrl-C where one of them begins."""

    def __init__(self, stop_in=None):
        self.stages, self.stop_in = [], stop_in

    def stage(self, title, total):
        self.stages.append(title)
        if title == self.stop_in:
            raise KeyboardInterrupt
        return lambda parts: None

    def verdict(self, verdict):
        raise AssertionError("verdicts are shown at the end")


def diagnosed(follower=None, **settings):
    return DiagnosisRun(DiagnosisSettings(**TINY | settings), follower or Follower(), "wideflow diagnose").run()


@pytest.fixture(scope="module")
def results():
    return diagnosed()


def test_results_are_those_of_the_library_and_can_be_read_back(results, tmp_path):
    task = task_of(DiagnosisSettings(**TINY).comparison)
    net = wf.nn.Serial(wf.nn.Dense(32, w=1.5**0.5), wf.nn.Erf(), wf.nn.Dense(1, w=1.5**0.5))
    import jax

    params = net.init(jax.random.key(0), task.x_train)
    critical = wf.finite.critical_rate(net.apply, params, task, wf.GradientDescent())
    path = wf.finite.measure_deviation(net.apply, params, task, wf.GradientDescent(critical / 2), steps=6)
    assert results["status"] == "complete"
    assert results["settings"]["lr"] == pytest.approx(critical / 2, rel=1e-6)
    assert results["diagnosis"]["deviation"] == pytest.approx(path.deviation, rel=1e-4)
    assert results["widths"]["deviations"][-1] == results["diagnosis"]["deviation"]
    assert [verdict["id"] for verdict in results["verdicts"]] == ["rate", "trained", "ntk", "outputs"]
    read = read_json(write_json(results, tmp_path / "results.json"))
    assert number_rows(read) == number_rows(results)
    assert [row["Number"] for row in number_rows(read)][-1] == "Lazy index κ"
    assert len(score_rows(read)) == 4
    assert summary_of(read) == summary_of(results)


def test_a_page_shows_every_section_and_hostile_text_is_escaped(results, tmp_path):
    hostile = "<script>alert(1)</script>"
    page = write_diagnosis({**results, "title": hostile}, tmp_path).read_text(encoding="utf-8")
    assert "Not available" not in page
    assert hostile not in page
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert figures == {"loss-training", "loss-test", "deviation", "ntk-spectrum", "deviation-by-width"}


def test_a_run_interrupted_at_first_says_so_on_its_page(tmp_path):
    results = diagnosed(Follower(stop_in="the network and its linearization"))
    assert results["status"] == "interrupted"
    assert "before the network was diagnosed" in results["status_note"]
    assert "diagnosis" not in results
    page = write_diagnosis(results, tmp_path).read_text(encoding="utf-8")
    assert "Interrupted run" in page
    assert "The run stopped before" in page


def test_a_network_that_diverges_and_is_interrupted_later_is_written_too(tmp_path):
    results = diagnosed(Follower(stop_in="deviation by width"), lr=1e6, steps=40)
    assert results["status"] == "interrupted"
    assert "before the deviations of all widths" in results["status_note"]
    assert results["diagnosis"]["regime"] == "diverged"
    write_json(results, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["diagnosis"]["losses"][1] is None
    page = write_diagnosis(read_json(tmp_path / "results.json"), tmp_path).read_text(encoding="utf-8")
    assert "Training diverged; take a smaller learning rate" in page


def test_targets_follow_the_loss_and_the_outputs():
    task = task_of(DiagnosisSettings(train=8, test=4).comparison)
    assert targets_of(task, "square", (1,)).loss == wf.dynamics.SquareLoss()
    assert targets_of(task, "cross-entropy", (1,)).loss == wf.dynamics.LogisticLoss()
    two = targets_of(task, "cross-entropy", (2,))
    np.testing.assert_array_equal(two.train, task.y_train > 0)
    with pytest.raises(SettingsError, match=r"--loss square: the network must have one output .* got \[2\]"):
        targets_of(task, "square", (2,))
    with pytest.raises(SettingsError, match=r"must have one output, or two, got \[3\]"):
        targets_of(task, "cross-entropy", (3,))


def test_widths_of_a_model_without_one_are_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = Path(tmp_path / "fixed_model.py")
    file.write_text("def make(key, x):\n    return (lambda p, x: x @ p), __import__('jax.numpy').numpy.ones((64, 1))\n")
    with pytest.raises(SettingsError, match="takes no width"):
        DiagnosisRun(DiagnosisSettings(model=f"{file}:make", **{**TINY, "width": None}), Follower(), "")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("(x - x.mean(axis=0, keepdims=True)) @ p", "has other outputs alone than in the batch"),
        ("x @ p / 0.0", "the outputs of example 0 are not finite"),
    ],
)
def test_a_model_without_kernels_of_single_examples_is_refused_at_once(tmp_path, function, message):
    file = tmp_path / "refused_model.py"
    file.write_text(
        f"import jax.numpy as jnp\ndef make(key, x):\n    return (lambda p, x: {function}), jnp.ones((64, 1))\n"
    )
    with pytest.raises(SettingsError, match=f"make: .*{message}"):
        DiagnosisRun(DiagnosisSettings(model=f"{file}:make", train=8, test=8), Follower(), "")
