"""The command line: what it says, writes and returns, for good input and bad."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

import wideflow
from wideflow.cli import comparison, failures, main
from wideflow.cli.app import QUICK
from wideflow.cli.progress import Lines

TINY = ["--width", "32", "--networks", "20", "--steps", "4", "--train", "16", "--test", "16"]
TINY += ["--depth", "1", "--activation", "erf"]


@pytest.fixture
def wideflow_command(monkeypatch, tmp_path, capsys):
    """Run the command in an empty folder: exit status, standard output, standard error with spaces evened out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("WIDEFLOW_DATA", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wideflow", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, " ".join(shown.err.split())

    return run


@pytest.fixture
def refused(wideflow_command, tmp_path):
    """Run `compare` on bad input: exit status 2, nothing on standard output, nothing written; its message."""

    def run(*arguments):
        before = sorted(tmp_path.rglob("*"))
        code, out, err = wideflow_command("compare", *arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


@pytest.fixture
def requests(monkeypatch):
    """What the command would run, without running it."""
    made = []
    monkeypatch.setattr(comparison, "run", lambda request: made.append(request) or 0)
    return made


def test_version_is_printed(wideflow_command):
    assert wideflow_command("--version") == (0, f"wideflow {wideflow.__version__}\n", "")


def test_help_names_every_setting_with_its_default(wideflow_command):
    code, out, _ = wideflow_command("compare", "--help")
    text = " ".join(out.split())
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    from wideflow.compare.settings import Settings

    for name, value in asdict(Settings()).items():
        assert f"--{name.replace('_', '-')} " in text
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        assert value is None or value is False or f"(default: {shown})" in text


def test_missing_packages_are_named():
    code = "import sys; sys.modules['typer'] = None\nfrom wideflow.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == 'wideflow: the command line needs typer: pip install "wideflow[cli]"\n'


def test_missing_packages_of_the_page_are_named_before_any_work(refused, monkeypatch):
    monkeypatch.setattr("wideflow.cli.failures.find_spec", lambda name: None)
    assert 'Error: the page needs matplotlib and jinja2: pip install "wideflow[cli]"' in refused()


def test_options_reach_the_settings_and_defaults_stay(wideflow_command, requests):
    wideflow_command("compare", "--classes", "3, 8", "--lr", "0.5", "--drop-constant", "--out", "here")
    wideflow_command("compare", "--data", "some/file.csv")
    first, second = requests
    assert (first.settings.classes, first.settings.lr, first.settings.drop_constant) == (("3", "8"), 0.5, True)
    assert (first.settings.width, first.out.name, first.check) == (512, "here", False)
    assert first.command == "wideflow compare --classes '3, 8' --lr 0.5 --drop-constant --out here"
    assert str(second.out) == "runs/compare-file"


def test_explicit_options_win_over_the_quick_preset(wideflow_command, requests):
    wideflow_command("compare", "--quick", "--check")
    wideflow_command("compare", "--steps", "128", "--quick")
    quick, mixed = (asdict(request.settings) for request in requests)
    assert QUICK.items() <= quick.items()
    assert (QUICK | {"steps": 128}).items() <= mixed.items()
    assert requests[0].check


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digts"], "no such data set. Nearest: digits"),
        (["--data", "nowhere.csv"], "an existing file wanted, there is none"),
        (["--activation", "tahn"], "--activation tahn: unknown; did you mean tanh?"),
        (["--target", "clases"], "--target clases: unknown; did you mean classes?"),
        (["--train", "3"], "--train 3: must be at least 4"),
        (["--train", "400"], "528 rows wanted for train + test, there are 360 of class 0 (178) and class 1 (182)"),
        (["--classes", "3,77"], "class '77' is absent. Present (with counts): 0 (178), 1 (182)"),
        (["--classes", "3"], "wanted two labels with a comma between"),
        (["--classes", "3,8,9"], "wanted two labels with a comma between"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_message(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize("option", ["--width", "--lr"])
def test_value_that_is_no_number_names_its_option(wideflow_command, option):
    code, out, err = wideflow_command("compare", option, "many")
    assert (code, out) == (2, "")
    assert f"Invalid value for '{option}'" in err


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_rows_that_are_not_finite_are_named(refused, tmp_path, bad):
    rows = [f"{i},{i % 7},{i % 2}" for i in range(60)]
    rows[17] = f"{bad},1,0"
    (tmp_path / "bad.csv").write_text("\n".join(["a,b,y", *rows]), encoding="utf-8")
    err = refused("--data", "bad.csv", *TINY)
    assert "1 bad row, counted from 0: 17" in err
    assert "'a'" in err


def test_constant_features_are_named(refused, tmp_path):
    rows = [f"{i},5,{i % 2}" for i in range(60)]
    (tmp_path / "flat.csv").write_text("\n".join(["a,level,y", *rows]), encoding="utf-8")
    err = refused("--data", "flat.csv", *TINY)
    assert "constant: 'level'" in err
    assert "--drop-constant" in err


def test_download_without_network_says_where_to_put_the_file(refused, monkeypatch):
    def fetch(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    err = refused("--data", "mnist")
    assert "(no route to host)" in err
    assert "Put mnist.npz" in err
    assert "WIDEFLOW_DATA" in err


def test_rate_above_the_critical_one_is_refused(refused):
    err = refused("--lr", "50", *TINY)
    assert "--lr 50: at or above the critical rate 2/λ_max = " in err
    assert "--force" in err


def test_folder_that_cannot_be_made_is_an_error_before_any_work(refused, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "--out file/demo: cannot be written to" in refused("--out", "file/demo")


def test_folder_of_another_run_is_kept_and_a_name_proposed(refused, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "results.json").write_text("{}")
    assert "They are kept. Use --out demo-2" in refused("--out", "demo")


def test_unexpected_errors_keep_their_traceback(wideflow_command, monkeypatch):
    def fail(request):
        raise ValueError("a bug")

    monkeypatch.setattr(comparison, "run", fail)
    monkeypatch.setattr(sys, "argv", ["wideflow", "compare"])
    with pytest.raises(ValueError, match="a bug"):
        main()


def test_comparison_is_shown_written_and_can_be_repeated(wideflow_command, tmp_path, monkeypatch):
    code, out, err = wideflow_command("compare", *TINY, "--out", "demo")
    results = json.loads((tmp_path / "demo" / "results.json").read_text(encoding="utf-8"))
    words = "".join(out.split())
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for verdict in results["verdicts"]:
        text = f"{verdict['title']}: {verdict['measured']}; expected {verdict['expected']}"
        assert text in err
        assert verdict["title"].split()[0] in words
    assert "…" not in out
    assert out.splitlines()[-1] == "Open demo/index.html"
    assert (tmp_path / "demo" / "index.html").is_file()
    assert results["requested"]["lr"] is None
    assert "theory: kernels, spectra, ensembles" in err
    assert "20 networks of width 32: " in err

    monkeypatch.setattr("wideflow.report.write_report", lambda results, out: out / "index.html")
    code, _, err = wideflow_command("compare", *TINY, "--out", "demo")
    again = json.loads((tmp_path / "demo" / "results.json").read_text(encoding="utf-8"))
    assert code == 0
    assert "demo holds the results of these settings; they will be replaced." in err
    assert again["line"] == results["line"]


@pytest.fixture
def ctrl_c(monkeypatch):
    """Press Ctrl-C once ten networks of the wide ensemble are trained."""

    def advance(self, parts):
        self.done += parts
        if "width 32" in self.title and self.done > 40:
            raise KeyboardInterrupt

    monkeypatch.setattr(Lines, "_advance", advance)


def test_interrupted_comparison_is_written_and_the_page_says_so(wideflow_command, tmp_path, ctrl_c):
    code, out, err = wideflow_command("compare", *TINY, "--out", "demo")
    results = json.loads((tmp_path / "demo" / "results.json").read_text(encoding="utf-8"))
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    note = "Stopped by Ctrl-C after 10 of 20 networks of width 32"
    assert code == 130
    assert results["status"] == "interrupted"
    assert results["line"]["networks"]["count"] == 10
    assert note in results["status_note"]
    assert note in page
    assert note in err
    assert "(stopped at 62%)" in err
    assert out.splitlines()[-1] == "Open demo/index.html"


def canned(status="complete", passed=True):
    """A comparison that is over at once."""
    verdict = {"id": "mean", "title": "Mean", "passed": passed, "measured": "1", "expected": "2"}

    class Comparison:
        def __init__(self, settings, watcher, command):
            self.results = {
                "status": status,
                "status_note": None,
                "requested": asdict(settings),
                "versions": {"wideflow": wideflow.__version__},
                "verdicts": [verdict | {"compared_with": "x", "detail": "y"}],
            }

        def run(self):
            return self.results

    return Comparison


@pytest.mark.parametrize(
    ("passed", "options", "code"),
    [(False, ["--check"], 1), (False, [], 0), (True, ["--check"], 0), (None, ["--check"], 0)],
)
def test_failed_verdict_is_an_error_only_when_asked_for(wideflow_command, monkeypatch, passed, options, code):
    monkeypatch.setattr("wideflow.compare.run.Comparison", canned(passed=passed))
    assert wideflow_command("compare", *options)[0] == code


def test_ctrl_c_while_the_page_is_written_keeps_the_numbers(wideflow_command, monkeypatch, tmp_path):
    def press(results, out):
        raise KeyboardInterrupt

    monkeypatch.setattr("wideflow.compare.run.Comparison", canned())
    wideflow_command("compare", "--out", "demo")
    monkeypatch.setattr("wideflow.report.write_report", press)
    code, _, err = wideflow_command("compare", "--out", "demo")
    assert code == 130
    assert "Every number is in demo/results.json" in err
    assert [path.name for path in (tmp_path / "demo").glob("*.*")] == ["results.json"]


def test_ctrl_c_before_anything_is_computed_writes_nothing(wideflow_command, monkeypatch, tmp_path):
    def press(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("wideflow.compare.run.Comparison", press)
    code, _, err = wideflow_command("compare", "--out", "demo")
    assert code == 130
    assert "nothing was written" in err
    assert not list(tmp_path.iterdir())


def test_terminal_shows_bars_and_every_verdict(capsys):
    from rich.console import Console

    from wideflow.cli.progress import followed
    from wideflow.compare.verdict import Claim, Verdict

    console = Console(stderr=True, force_terminal=True, width=80, no_color=True)
    title = "critical learning rate of single networks"  # the longest
    with followed(console) as watcher:
        watcher.stage(title, 4)(3)
        watcher.verdict(Verdict(Claim("a", "A claim", "x"), None, "1", "2", "why"))
        watcher.stage("the next", 2)(1)
    err = capsys.readouterr().err
    assert f"{title} ━━━━━━━━━━ 100%" in err
    assert "the next" in err
    assert "– NOT RUN" in err
    assert "A claim: 1; expected 2" in err


def test_long_stage_without_a_terminal_prints_a_line_at_most_every_ten_seconds(monkeypatch, capsys):
    from rich.console import Console

    clock = iter(np.arange(0, 100, 3.0))
    monkeypatch.setattr("wideflow.cli.progress.time.monotonic", lambda: float(next(clock)))
    lines = Lines(Console(stderr=True, width=80))
    advance = lines.stage("training", 10)
    for _ in range(10):
        advance(1)
    lines.finish()
    assert capsys.readouterr().err.splitlines() == [
        "training",
        "training: 40%, 18 s left",
        "training: 80%, 6 s left",
        "training: 33.0 s",
    ]


def test_names_between_colons_are_printed_as_they_are(capsys):
    failures.say("model.py:boom: it raised")
    comparison.tell("model.py:two: wanted")
    assert capsys.readouterr().err.splitlines() == ["model.py:boom: it raised", "model.py:two: wanted"]
