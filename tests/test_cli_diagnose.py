"""`wideflow diagnose` as it is typed: help, bad input, and a model of one's own from end to end."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from wideflow.cli import diagnosis, main
from wideflow.diagnostics.settings import DiagnosisSettings

TINY = ["--train", "8", "--test", "8", "--steps", "5", "--widths", "8,16,32"]
MODEL = '''
"""A network as other libraries write it: parameters by name, standard parameterization, pictures as inputs."""
import jax
import jax.numpy as jnp


def make_model(key, x, width=32):
    inner, outer = jax.random.split(key)
    pixels = x[0].size
    params = {
        "Dense_0": {"kernel": jax.random.normal(inner, (pixels, width)) / pixels**0.5, "bias": jnp.zeros((1, width))},
        "Dense_1": {"kernel": jax.random.normal(outer, (width, 2)) / width**0.5},
    }
    return apply, params


def apply(params, x):
    h = x.reshape(len(x), -1) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    return jnp.tanh(h) @ params["Dense_1"]["kernel"]
'''


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run the command in an empty folder: exit status, standard output, standard error with spaces evened out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wideflow", "diagnose", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, " ".join(shown.err.split())

    return run


def test_help_names_every_setting_with_its_default(command):
    code, out, _ = command("--help")
    text = " ".join(out.split())
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for name, value in asdict(DiagnosisSettings()).items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        assert name == "model" or f"--{name.replace('_', '-')} " in text
        assert value is None or value is False or f"(default: {shown})" in text


def test_options_reach_the_settings(command, monkeypatch):
    made = []
    monkeypatch.setattr(diagnosis, "run", lambda request: made.append(request) or 0)
    command("a.py:make", "--widths", "8, 16,32", "--wanted", "0.1", "--rule", "nesterov", "--images", "--check")
    command("--data", "table.csv", "--out", "here")
    first, second = made
    assert (first.settings.model, first.settings.widths, first.settings.wanted) == ("a.py:make", (8, 16, 32), 0.1)
    assert (first.settings.rule, first.settings.images, first.check) == ("nesterov", True, True)
    assert (str(first.out), str(second.out)) == ("runs/diagnose-digits", "here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py:make"], "nowhere.py: an existing file wanted"),
        (["model.py"], "wanted FILE.py:FUNCTION"),
        (["model.py:make_model"], "--loss square: the network must have one output for each input, got [2]"),
        (["--widths", "8,16"], "--widths 8,16: wanted at least 3"),
        (["--widths", "many"], "--widths many: wanted whole numbers"),
        (["--data", "digts"], "no such data set. Nearest: digits"),
    ],
)
def test_bad_input_is_one_message_before_anything_is_written(command, tmp_path, arguments, message):
    (tmp_path / "model.py").write_text(MODEL)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_model_of_ones_own_is_diagnosed_shown_and_written(command, tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(MODEL)
    options = ["model.py:make_model", "--loss", "cross-entropy", "--images", *TINY, "--out", "demo", "--lr", "1e-4"]
    code, out, err = command(*options, "--check")
    results = json.loads((tmp_path / "demo" / "results.json").read_text(encoding="utf-8"))
    assert code == 0, out
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[-1] == "Open demo/index.html"
    assert results["diagnosis"]["regime"] == "kernel"
    assert results["network"]["parameters"] == 64 * 32 + 32 + 64
    assert "but training has barely begun" in " ".join(out.split())
    assert "deviation by width" in err
    assert (tmp_path / "demo" / "index.html").is_file()
    results["diagnosis"]["regime"] = "between"
    with monkeypatch.context() as patch:
        patch.setattr("wideflow.diagnostics.run.DiagnosisRun", lambda *_: SimpleNamespace(run=lambda: results))
        assert command("--check", "--out", "other")[0] == 1
    code, _, err = command("model.py:make_model", *TINY, "--out", "demo")
    assert code == 2
    assert "holds another run's results" in err


@pytest.mark.slow
def test_a_network_outside_the_kernel_regime_fails_the_check(command):
    code, out, _ = command("--depth", "1", "--width", "16", "--lr", "1000", *TINY, "--widths", "4,8,16", "--check")
    assert code == 1
    assert "✗ FAILS" in out


@pytest.mark.slow
def test_the_flax_example_is_diagnosed_by_the_command_too(command, tmp_path):
    pytest.importorskip("flax.nnx")
    example = Path(__file__).parents[1] / "examples" / "flax_resnet.py"
    options = ["--images", "--train", "8", "--test", "8", "--steps", "3", "--out", "demo"]
    code, out, _ = command(f"{example}:make_model", *options)
    results = json.loads((tmp_path / "demo" / "results.json").read_text(encoding="utf-8"))
    assert code == 0, out
    assert results["network"]["parameters"] == 9 * 16 + 16 + 32 + 9 * 16**2 + 16 + 16 + 1
    assert results["diagnosis"]["losses"][1] < results["diagnosis"]["losses"][0]
    assert "The model takes no width" in (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
