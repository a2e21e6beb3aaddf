"""The lecture runs claim by claim, keeps what it found, and says honestly what failed and what could not run."""

import dataclasses

import pytest
from jax.errors import JaxRuntimeError

from wideflow.datasets import DataError
from wideflow.lecture import Claim, Lecture, Outcome, Setting, UnknownClaimError, chosen_claims
from wideflow.lecture.claim import NotHereError
from wideflow.lecture.store import Store


class Watched:
    def __init__(self):
        self.entries, self.kept = [], []

    def began(self, claim):
        return lambda share: None

    def found(self, entry, kept):
        self.entries.append(entry)
        self.kept.append(kept)


def claim(experiment, name="one", **changes):
    return Claim(name, "kernel", "title", "statement", "formula", "expected", "source", experiment, "pass", **changes)


def run_lecture(folder, *claims, data=None, **setting):
    watched = Watched()
    results = Lecture(claims, Setting("quick", **setting), folder, data).run(watched)
    return results, watched


def held(setting):
    return Outcome(True, f"seed {setting.seed}", {"seed": setting.seed})


def interrupted(setting):
    raise KeyboardInterrupt


def test_a_claim_that_holds_is_kept_and_not_tested_again(tmp_path):
    times = []
    counted = claim(lambda setting: times.append(1) or held(setting))
    first, _ = run_lecture(tmp_path, counted)
    again, watched = run_lecture(tmp_path, counted)
    assert (len(times), watched.kept) == (1, [True])
    assert first["claims"] == again["claims"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"data": "mnist"}])
def test_other_settings_are_tested_anew(tmp_path, change):
    run_lecture(tmp_path, claim(held))
    _, watched = run_lecture(tmp_path, claim(held), **change)
    assert watched.kept == [False]


def test_every_setting_is_kept(tmp_path):
    for seed in (0, 1):
        run_lecture(tmp_path, claim(held), seed=seed)
    for data in ("uci_gp/yacht", "uci_gp-yacht"):
        run_lecture(tmp_path, claim(held), data=data)
    assert run_lecture(tmp_path, claim(held))[1].kept == [True]
    results, watched = run_lecture(tmp_path, claim(held), data="uci_gp/yacht")
    assert watched.kept == [True]
    assert results["claims"][0]["setting"]["data"] == "uci_gp/yacht"


def test_a_file_of_data_that_changed_is_tested_anew(tmp_path):
    table = tmp_path / "table.csv"
    for content, kept in (("1", False), ("1", True), ("2", False)):
        table.write_text(content)
        assert run_lecture(tmp_path / "out", claim(held), data=str(table))[1].kept == [kept]


def test_another_library_is_tested_anew(tmp_path, monkeypatch):
    run_lecture(tmp_path, claim(held))
    monkeypatch.setattr("wideflow.lecture.store.library_fingerprint", lambda: "another")
    assert run_lecture(tmp_path, claim(held))[1].kept == [False]


def test_interrupted_lecture_holds_what_is_finished_and_goes_on(tmp_path):
    results, _ = run_lecture(tmp_path, claim(held, "a"), claim(interrupted, "b"))
    assert (results["status"], [entry["id"] for entry in results["claims"]]) == ("interrupted", ["a"])
    assert "1 of 2" in results["status_note"]
    results, watched = run_lecture(tmp_path, claim(held, "a"), claim(held, "b"))
    assert (results["status"], watched.kept) == ("complete", [True, False])


@pytest.mark.parametrize(
    "error",
    [
        NotHereError("needs a GPU"),
        DataError("no such set"),
        MemoryError("17 GB"),
        JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"),
        OSError("no space left"),
    ],
)
def test_what_cannot_run_here_says_why_and_is_tried_again(tmp_path, error):
    def experiment(setting):
        raise error

    entry = run_lecture(tmp_path, claim(experiment))[0]["claims"][0]
    assert entry["passed"] is None
    assert str(error) in entry["note"]
    assert run_lecture(tmp_path, claim(held))[1].kept == [False]


def test_an_experiment_that_raises_fails_with_the_reason(tmp_path):
    entry = run_lecture(tmp_path, claim(lambda setting: 1 / 0))[0]["claims"][0]
    assert entry["passed"] is False
    assert "ZeroDivisionError" in entry["measured"]


def test_other_data_than_the_best_is_noted(tmp_path, monkeypatch):
    monkeypatch.delenv("WIDEFLOW_DATA", raising=False)
    entry = run_lecture(tmp_path, claim(held, data=("cifar10",)))[0]["claims"][0]
    assert entry["setting"]["data"] == "digits"
    assert "cifar10 is not at hand" in entry["note"]


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff"])
def test_a_broken_file_of_results_is_tested_anew(tmp_path, content):
    run_lecture(tmp_path, claim(held))
    (kept,) = Store(tmp_path).folder.iterdir()
    kept.write_bytes(content)
    assert run_lecture(tmp_path, claim(held))[1].kept == [False]


def test_unknown_claims_are_refused_with_the_nearest():
    with pytest.raises(UnknownClaimError, match="kernel-frozen"):
        chosen_claims(["kernel-frosen"])


def test_a_section_chooses_its_claims():
    assert {one.section for one in chosen_claims(["kernel"])} == {"kernel"}
    assert chosen_claims(["kernel-frozen"])[0].id == "kernel-frozen"


def test_settings_differ_by_what_results_depend_on():
    setting = Setting("quick")
    assert setting == dataclasses.replace(setting, tell=print)
    assert setting.number("a") != setting.number("b")
    with pytest.raises(ValueError, match="wanted one of"):
        Setting("slow")


def test_a_claim_without_data_says_none_and_is_kept_whatever_the_data(tmp_path):
    entry = run_lecture(tmp_path, claim(held, data=()), data="mnist")[0]["claims"][0]
    assert (entry["setting"]["data"], entry["note"]) == ("", "")
    assert run_lecture(tmp_path, claim(held, data=()))[1].kept == [True]
