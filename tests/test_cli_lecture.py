"""`wideflow lecture`: what it says, writes and returns."""

import json
import sys

import pytest

from wideflow.cli import main
from wideflow.lecture import Outcome, all_claims, function_space

NAME = "function-equation"


@pytest.fixture
def lecture(monkeypatch, tmp_path, capsys):
    """Run `wideflow lecture` in an empty folder: exit status, output, standard error with spaces evened out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("WIDEFLOW_DATA", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wideflow", "lecture", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, " ".join(shown.err.split())

    return run


@pytest.fixture
def experiment(monkeypatch):
    """Put another experiment in the place of that of one claim."""

    def put(found):
        claims = tuple(one for one in function_space.CLAIMS if one.id != NAME)
        (claim,) = (one for one in function_space.CLAIMS if one.id == NAME)
        changed = type(claim)(**{**vars(claim), "experiment": found})
        monkeypatch.setattr(function_space, "CLAIMS", (changed, *claims))

    return put


def test_a_claim_is_tested_shown_and_written_and_kept(lecture, tmp_path):
    code, out, err = lecture(NAME, "--quick", "--out", "page")
    assert code == 0
    assert "HOLDS" in out
    assert "The kernel moves the function" in err
    results = json.loads((tmp_path / "page/results.json").read_text())
    assert [claim["passed"] for claim in results["claims"]] == [True]
    assert "The kernel moves the function" in (tmp_path / "page/index.html").read_text()
    again, _, err = lecture(NAME, "--quick", "--out", "page")
    assert again == 0
    assert "(kept)" in err


def test_list_names_every_claim_and_tests_none(lecture, tmp_path):
    code, out, _ = lecture("--list")
    assert code == 0
    assert all(claim.id in out for claim in all_claims())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("kernel-recursoin",), "Nearest: kernel-recursion"),
        (("--quick", "--full"), "one of the two"),
        (("--seed", "-1"), "not negative"),
        (("--data", "digitz"), "digits"),
    ],
)
def test_bad_input_is_refused_before_any_work(lecture, tmp_path, arguments, words):
    code, out, err = lecture(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("check", "status"), [((), 0), (("--check",), 1)])
def test_a_claim_that_fails_says_so_and_decides_the_exit_status_where_asked(lecture, experiment, check, status):
    experiment(lambda setting: Outcome(False, "0.3, not 0.1"))
    code, out, _ = lecture(NAME, "--quick", *check)
    assert code == status
    assert "FAILS" in out
    assert "0.3, not 0.1" in out


def test_ctrl_c_keeps_what_is_finished(lecture, experiment, tmp_path):
    def stopped(setting):
        raise KeyboardInterrupt

    experiment(stopped)
    code, _, err = lecture("function-space", "--quick", "--out", "page")
    assert code == 130
    assert "of 2 claims were tested; the same command goes on" in err
    assert json.loads((tmp_path / "page/results.json").read_text())["status"] == "interrupted"
