"""`wideflow lecture`: what it says, writes and returns."""

import json
import sys

import pytest
from rich.console import Console

import wideflow.report
from wideflow.cli import lecture_progress, main
from wideflow.cli.verdicts import verdict_table
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


def test_other_settings_leave_what_is_kept(lecture, experiment):
    experiment(lambda setting: Outcome(True, f"seed {setting.seed}"))
    for seed, word in (("0", "s)"), ("1", "s)"), ("0", "(kept)"), ("1", "(kept)")):
        _, out, err = lecture(NAME, "--quick", "--out", "page", "--seed", seed)
        assert word in err
        assert f"seed {seed}" in out


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
        (("--processes", "0"), "--processes 0: wanted a positive number"),
        (("--data", "digitz"), "digits"),
        (("kernel-recursoin", "--data", "mnist"), "Nearest: kernel-recursion"),
        (("--out", "/proc/nowhere"), "cannot be written to"),
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
    code, _, err = lecture("function-space", "--quick", "--out", "page", "--processes", "1")
    assert code == 130
    assert "0 of 3 claims were tested; the same command goes on" in err
    assert json.loads((tmp_path / "page/results.json").read_text())["status"] == "interrupted"


def test_folder_of_something_else_is_kept_and_a_name_proposed(lecture, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    code, _, err = lecture(NAME, "--quick", "--out", "site")
    assert code == 2
    assert "holds files that are not a run's (index.html)" in err
    assert "site-2" in err
    assert (tmp_path / "site/index.html").read_text() == "mine"


def test_folder_that_cannot_hold_what_is_found_is_one_message(lecture, experiment, tmp_path):
    experiment(lambda setting: Outcome(True, "1"))
    (tmp_path / "page").mkdir()
    (tmp_path / "page/claims").write_text("not a folder")
    code, _, err = lecture(NAME, "--quick", "--out", "page")
    assert code == 2
    assert "cannot be written to" in err
    assert "Traceback" not in err


def test_ctrl_c_while_the_page_is_written_keeps_the_numbers(lecture, experiment, tmp_path, monkeypatch):
    def press(*arguments):
        raise KeyboardInterrupt

    experiment(lambda setting: Outcome(True, "1"))
    monkeypatch.setattr(wideflow.report, "write_lecture", press)
    code, _, err = lecture(NAME, "--quick", "--out", "page")
    assert code == 130
    assert "the same command goes on" in err
    assert json.loads((tmp_path / "page/results.json").read_text())["status"] == "complete"


def test_what_could_not_run_says_why_in_the_terminal(lecture, experiment):
    experiment(lambda setting: Outcome(None, "–", note="needs a GPU"))
    code, out, err = lecture(NAME, "--quick", "--check")
    assert code == 0
    assert "NOT RUN" in out
    assert "needs a GPU" in out
    assert "needs a GPU" in err


def test_pipe_sees_plain_lines(lecture, experiment, monkeypatch):
    monkeypatch.setattr(lecture_progress, "_QUIET", 0.0)
    experiment(lambda setting: setting.tell(0.4) or Outcome(True, "1"))
    _, out, err = lecture(NAME, "--quick")
    assert "0/1 done; The kernel moves the function: 40%" in err
    assert "HOLDS 1/1 The kernel moves the function (0." in err
    assert "\x1b" not in out + err


def test_terminal_shows_a_bar_for_the_whole_and_one_for_the_claim(capsys):
    claim, *_ = all_claims()
    with lecture_progress.followed(Console(stderr=True, force_terminal=True, width=40, _environ={}), 2) as bars:
        bars.began(claim)(0.5)
        bars.progress.refresh()
        bars.found({"id": claim.id, "title": claim.title, "passed": True, "measured": "1"}, kept=True)
    shown = capsys.readouterr().err
    for words in ("the lecture", "50%", "HOLDS", "1/2 The kernel moves the", "(kept)"):
        assert words in shown


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_verdicts_fit_the_console(width, capsys):
    word = "a-long-word-without-a-break"
    verdict = {"title": "The kernel moves the function", "passed": False, "measured": word, "expected": word}
    Console(width=width).print(verdict_table([verdict], width))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert "FAILS" in "".join(lines)
    assert word in "".join(line.strip() for line in lines) or width == 80  # there in columns
