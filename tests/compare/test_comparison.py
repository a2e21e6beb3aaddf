"""A comparison from end to end, small: every section is there, finite, and follows from the seed."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from wideflow.compare import theory as theory_module
from wideflow.compare.probes import Probes, task_of
from wideflow.compare.run import Comparison
from wideflow.compare.settings import Settings, SettingsError
from wideflow.compare.theory import Theory
from wideflow.compare.trained import train
from wideflow.compare.verdict import Ensembles
from wideflow.compare.verdicts import ensemble_verdicts
from wideflow.kernels import Kernel, Kernels
from wideflow.report.store import plain

TINY = {"width": 32, "depth": 1, "activation": "erf", "networks": 20, "steps": 4, "train": 16, "test": 16}
SECTIONS = ["title", "requested", "settings", "versions", "timings", "data", "line", "loss", "spectrum"]
CLAIMS = [
    "critical-rate",
    "mean",
    "variance",
    "train-loss",
    "test-loss",
    "discrete",
    "initial-kernel",
    "movement",
]


class Recorder:
    """Notes the stages and verdicts; presses Ctrl-C once so many network-steps of a stage are done."""

    def __init__(self, stop_in="", after=0):
        self.stages, self.verdicts = [], []
        self.stop_in, self.after = stop_in, after

    def stage(self, title, total):
        self.stages.append(SimpleNamespace(title=title, total=total, done=0))
        return self.advance

    def advance(self, parts):
        stage = self.stages[-1]
        stage.done += parts
        if stage.title == self.stop_in and stage.done >= self.after:
            raise KeyboardInterrupt

    def verdict(self, verdict):
        self.verdicts.append(verdict)


def compared(recorder=None, **settings):
    return Comparison(Settings(**TINY | settings), recorder or Recorder(), "wideflow compare").run()


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture(scope="module")
def results(recorder):
    return compared(recorder)


def numbers_in(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_in(item, f"{path}/{key}")
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item, path)
    elif isinstance(value, float) or value is None:
        yield path, value


def test_results_hold_every_section_and_verdict(results):
    assert results["status"] == "complete"
    assert results["status_note"] is None
    assert not {*SECTIONS, "kernel_change"} - set(results)
    assert [verdict["id"] for verdict in results["verdicts"]] == CLAIMS


def test_numbers_of_a_comparison_are_finite(results):
    sections = {key: plain(results[key]) for key in ("line", "loss", "spectrum", "kernel_change", "verdicts")}
    bad = {path for path, n in numbers_in(sections) if n is None or not math.isfinite(n)}
    assert not bad - {"/verdicts/passed"}


def test_stages_are_finished_and_verdicts_announced_in_order(results, recorder):
    assert [stage.total - stage.done for stage in recorder.stages] == [0] * len(recorder.stages)
    assert [stage.title for stage in recorder.stages] == list(results["timings"])
    assert plain([verdict.as_dict() for verdict in recorder.verdicts]) == plain(results["verdicts"])


def test_requested_settings_stay_as_they_were_asked_for(results):
    assert results["requested"]["lr"] is None
    assert results["settings"]["lr"] == pytest.approx(results["settings"]["critical_lr"] / 2)


def test_same_seed_gives_the_same_numbers_and_another_seed_others(results):
    again, other = compared(), compared(seed=1)
    for key in ("line", "loss", "spectrum", "kernel_change", "verdicts", "settings", "data"):
        assert plain(again[key]) == plain(results[key])
    assert not np.allclose(other["line"]["networks"]["mean"], results["line"]["networks"]["mean"])


def test_rate_above_the_critical_one_is_refused_with_its_value_before_training(results):
    recorder, critical = Recorder(), results["settings"]["critical_lr"]
    with pytest.raises(SettingsError, match=rf"critical rate 2/λ_max = {critical:.6g} .*--force"):
        compared(recorder, lr=critical * 1.01)
    assert len(recorder.stages) == 1


def test_rate_above_the_critical_one_is_taken_by_force(results):
    lr = results["settings"]["critical_lr"] * 1.5
    forced = compared(lr=lr, steps=16, force=True)
    assert forced["status"] == "complete"
    assert forced["settings"]["lr"] == lr
    assert forced["loss"]["train"]["networks"][-1] > forced["loss"]["train"]["networks"][0]


@pytest.mark.parametrize(
    ("stage", "after", "count", "verdicts", "note"),
    [
        ("theory: kernels, spectra, ensembles", 1, None, 0, "before any network was trained"),
        ("20 networks of width 8", 1, 0, 1, "after 0 of 20 networks of width 8"),
        ("20 networks of width 32", 50, 10, len(CLAIMS), "after 10 of 20 networks of width 32"),
    ],
)
def test_interrupted_comparison_keeps_what_is_finished(stage, after, count, verdicts, note):
    results = compared(Recorder(stage, after))
    assert results["status"] == "interrupted"
    assert note in results["status_note"]
    assert len(results["verdicts"]) == verdicts
    assert ("line" in results) == (count is not None)
    assert results.get("line", {}).get("networks", {}).get("count", 0) == (count or 0)


@pytest.fixture(scope="module")
def honest():
    """Both ensembles of a comparison in which the theory has something to predict, at a rate that is given."""
    settings = Settings(width=128, depth=2, activation="erf", networks=100, steps=16, train=32, test=32, lr=1.0)
    theory = Theory(settings, Probes.of(task_of(settings)))
    wide, narrow = (train(settings, theory, width, lambda _: None) for width in (128, 32))
    return Ensembles(theory, wide, narrow)


class WrongKernel:
    """A kernel of the theory multiplied by a factor."""

    nngp = ntk = 1.0

    def __init__(self, net):
        self.kernel = Kernel(net)

    def __call__(self, x1, x2=None):
        right = self.kernel(x1, x2)
        return Kernels(self.nngp * right.nngp, self.ntk * right.ntk)


def failures(ensembles):
    return {verdict.claim.id for verdict in ensemble_verdicts(ensembles) if verdict.passed is False}


def test_right_theory_passes(honest):
    assert not failures(honest)


@pytest.mark.parametrize(
    ("kernel", "factor", "caught"),
    [
        ("ntk", 1.3, {"train-loss"}),
        ("ntk", 1 / 1.3, {"train-loss"}),
        ("nngp", 1.5, {"train-loss"}),
        ("nngp", 1 / 1.5, {"variance", "train-loss"}),
    ],
)
def test_wrong_theory_fails(honest, monkeypatch, kernel, factor, caught):
    monkeypatch.setattr(theory_module, "Kernel", WrongKernel)
    monkeypatch.setattr(WrongKernel, kernel, factor)
    wrong = Theory(honest.theory.settings, honest.theory.probes)
    assert caught <= failures(Ensembles(wrong, honest.wide, honest.narrow))


def test_theory_of_another_depth_fails(honest):
    wrong = Theory(replace(honest.theory.settings, depth=1), honest.theory.probes)
    assert failures(Ensembles(wrong, honest.wide, honest.narrow)) >= {"test-loss", "train-loss"}
