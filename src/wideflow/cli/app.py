"""The commands and their options."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from ..compare.folder import default_folder
from ..compare.settings import ACTIVATIONS, TARGETS, Settings, SettingsError
from ..diagnostics.settings import LOSSES, RULES, DiagnosisSettings
from .failures import check_installed, explained

QUICK = {"width": 256, "steps": 32, "networks": 50}

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"wideflow {__version__}")
        raise typer.Exit()


@app.callback()
def wideflow(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Predict how wide neural networks train, and measure how far real networks are from the prediction."""


def _setting(name: str, text: str, default: str | None = None, metavar: str | None = None) -> Any:
    """The option of a field of Settings; its own default is None, so that what was typed can be told apart."""
    return _option(name, getattr(Settings, name), text, default, metavar)


def _diagnosed(name: str, text: str, default: str | None = None, metavar: str | None = None) -> Any:
    """The option of a field of DiagnosisSettings, alike."""
    return _option(name, getattr(DiagnosisSettings, name), text, default, metavar)


def _option(name: str, value: Any, text: str, default: str | None, metavar: str | None) -> Any:
    shown = default or (f"{value:.4g}" if isinstance(value, float) else str(value))
    help_text = text if value is False else f"{text} (default: {shown})"
    option = f"--{name.replace('_', '-')}"
    return typer.Option(option, help=help_text, show_default=False, metavar=metavar)


_DATA = "digits, mnist, fashion_mnist, cifar10, a file.npz or file.csv"
_TARGET = "two classes or a number; auto: whichever the targets are"
_WIDTH = "units of a hidden layer; a quarter of it is trained too"
_OUT = "folder of the page and the numbers (default: runs/compare-<data>)"
_QUICK = f"a small run: {', '.join(f'--{name} {value}' for name, value in QUICK.items())}, unless given"


@app.command()
def compare(
    data: Annotated[str | None, _setting("data", _DATA, metavar="NAME|FILE")] = None,
    target: Annotated[str | None, _setting("target", _TARGET, metavar="|".join(TARGETS))] = None,
    classes: Annotated[
        str | None, _setting("classes", "classes of the targets -1 and +1", "the first two", metavar="A,B")
    ] = None,
    drop_constant: Annotated[
        bool | None, _setting("drop_constant", "drop features that do not vary; else they are an error")
    ] = None,
    train: Annotated[int | None, _setting("train", "training points")] = None,
    test: Annotated[int | None, _setting("test", "test points")] = None,
    depth: Annotated[int | None, _setting("depth", "hidden layers")] = None,
    width: Annotated[int | None, _setting("width", _WIDTH)] = None,
    activation: Annotated[str | None, _setting("activation", ", ".join(ACTIVATIONS), metavar="NAME")] = None,
    w: Annotated[float | None, _setting("w", "standard deviation of weights, times √fan-in")] = None,
    b: Annotated[float | None, _setting("b", "standard deviation of biases")] = None,
    lr: Annotated[float | None, _setting("lr", "learning rate of gradient descent", "half the critical rate")] = None,
    steps: Annotated[int | None, _setting("steps", "full-batch steps")] = None,
    networks: Annotated[int | None, _setting("networks", "networks of each of the two widths")] = None,
    seed: Annotated[int | None, _setting("seed", "of the points drawn and of the networks")] = None,
    force: Annotated[bool | None, _setting("force", "allow a rate beyond the critical one: training diverges")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=_OUT, metavar="DIR")] = None,
    quick: Annotated[bool, typer.Option("--quick", help=_QUICK)] = False,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 if a verdict fails")] = False,
) -> None:
    """Predict an ensemble of wide networks, train it, and compare the two on a page with verdicts.

    Exit status: 0 done, 1 a verdict failed (with --check), 2 bad input, 130 stopped by Ctrl-C (what is finished is
    written).
    """
    options = locals()  # by name, as the fields of Settings are
    with explained():
        settings = _settings(options, quick)
        from .comparison import Request, run

        command = shlex.join(["wideflow", *sys.argv[1:]])
        code = run(Request(settings, out or default_folder(settings.data), check, command))
    raise typer.Exit(code)


_MODEL = "FILE.py:FUNCTION or MODULE:FUNCTION of (key, x) or (key, x, width), which returns (f, params)"
_WIDTHS = "where deviations are measured, with commas"
_DIAGNOSIS_OUT = "folder of the page and the numbers (default: runs/diagnose-<data>)"


@app.command()
def diagnose(
    model: Annotated[
        str | None, typer.Argument(help=f"{_MODEL} (default: a fully connected network)", metavar="MODEL")
    ] = None,
    data: Annotated[str | None, _diagnosed("data", _DATA, metavar="NAME|FILE")] = None,
    target: Annotated[str | None, _diagnosed("target", _TARGET, metavar="|".join(TARGETS))] = None,
    classes: Annotated[
        str | None, _diagnosed("classes", "classes of the targets -1 and +1", "the first two", metavar="A,B")
    ] = None,
    drop_constant: Annotated[
        bool | None, _diagnosed("drop_constant", "drop features that do not vary; else they are an error")
    ] = None,
    train: Annotated[int | None, _diagnosed("train", "training points")] = None,
    test: Annotated[int | None, _diagnosed("test", "test points")] = None,
    images: Annotated[
        bool | None, _diagnosed("images", "inputs as pictures [n, height, width, channels], not as rows")
    ] = None,
    depth: Annotated[int | None, _diagnosed("depth", "hidden layers, without MODEL")] = None,
    width: Annotated[int | None, _diagnosed("width", "width of the model", "512, or that of MODEL")] = None,
    activation: Annotated[str | None, _diagnosed("activation", "without MODEL: as in compare", metavar="NAME")] = None,
    w: Annotated[float | None, _diagnosed("w", "standard deviation of weights, times √fan-in, without MODEL")] = None,
    b: Annotated[float | None, _diagnosed("b", "standard deviation of biases, without MODEL")] = None,
    loss: Annotated[str | None, _diagnosed("loss", "loss", metavar="|".join(LOSSES))] = None,
    rule: Annotated[str | None, _diagnosed("rule", "rule, in full batches", metavar="|".join(RULES))] = None,
    lr: Annotated[float | None, _diagnosed("lr", "learning rate", "half the critical rate")] = None,
    momentum: Annotated[float | None, _diagnosed("momentum", "of heavy-ball and nesterov")] = None,
    steps: Annotated[int | None, _diagnosed("steps", "steps")] = None,
    wanted: Annotated[float | None, _diagnosed("wanted", "deviation for which a width is looked for")] = None,
    widths: Annotated[
        str | None, _diagnosed("widths", _WIDTHS, "width/8, width/4, width/2, width", metavar="N,N,N")
    ] = None,
    seed: Annotated[int | None, _diagnosed("seed", "of the points drawn and of the networks")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=_DIAGNOSIS_OUT, metavar="DIR")] = None,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 if not in the kernel regime")] = False,
) -> None:
    """Tell whether a model trains in the kernel regime, like its linearization, and how wide it would have to be.

    A learning rate that is given holds for the width of the model; other widths train at the same part of their own
    critical rate. Exit status: 0 done, 1 not in the kernel regime (with --check), 2 bad input, 130 stopped by Ctrl-C
    (what is finished is written).
    """
    options = locals()  # by name, as the fields of DiagnosisSettings are
    with explained():
        settings = _diagnosis_settings(options)
        from .diagnosis import Request, run

        command = shlex.join(["wideflow", *sys.argv[1:]])
        code = run(Request(settings, out or default_folder(settings.data, "diagnose"), check, command))
    raise typer.Exit(code)


_LECTURE_DATA = "digits, mnist, fashion_mnist, cifar10 for every claim (default: what suits each and is at hand)"

_PROCESSES = "claims tested at once (default: one a core, at most 4; one on an accelerator)"


@app.command()
def lecture(
    claims: Annotated[
        list[str] | None, typer.Argument(help="claims or sections (default: all)", metavar="CLAIM")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="small sizes: all claims in minutes")] = False,
    full: Annotated[bool, typer.Option("--full", help="sizes of the lecture: for a GPU or a night")] = False,
    data: Annotated[str | None, typer.Option("--data", help=_LECTURE_DATA, metavar="NAME", show_default=False)] = None,
    seed: Annotated[int, typer.Option("--seed", help="of everything random")] = 0,
    out: Annotated[Path, typer.Option("--out", help="folder of the page and the numbers", metavar="DIR")] = Path(
        "runs/lecture"
    ),
    processes: Annotated[
        int | None, typer.Option("--processes", help=_PROCESSES, metavar="N", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="name the claims and stop")] = False,
    check: Annotated[bool, typer.Option("--check", help="exit with 1 if a claim fails")] = False,
) -> None:
    """Test the statements of the lecture "Gradient Descent in Wide, Deep Neural Networks" and write a page of verdicts.

    What was found before with the same settings is kept, so the same command goes on where it was stopped. Exit
    status: 0 done, 1 a claim failed (with --check), 2 bad input, 130 stopped by Ctrl-C (what is finished is written).
    """
    with explained():
        if quick and full:
            raise SettingsError("--quick and --full: one of the two")
        check_installed()
        from .lecture import Request, list_claims, run

        if listed:
            list_claims()
            return
        scale = "quick" if quick else "full" if full else "default"
        command = shlex.join(["wideflow", *sys.argv[1:]])
        code = run(Request(tuple(claims or ()), scale, data, seed, out, command, processes), check)
    raise typer.Exit(code)


def _settings(options: dict[str, Any], quick: bool) -> Settings:
    """The settings that were typed, over the preset where it was asked for, over the defaults."""
    names = Settings.__dataclass_fields__
    typed: dict[str, Any] = {name: options[name] for name in names if options[name] is not None}
    if "classes" in typed:
        typed["classes"] = _pair(typed["classes"])
    return replace(Settings(), **(QUICK if quick else {}) | typed)


def _pair(text: str) -> tuple[str, str]:
    labels = [label.strip() for label in text.split(",")]
    if len(labels) != 2 or not all(labels):
        raise SettingsError(f"--classes {text}: wanted two labels with a comma between, such as --classes 3,8")
    return labels[0], labels[1]


def _diagnosis_settings(options: dict[str, Any]) -> DiagnosisSettings:
    names = DiagnosisSettings.__dataclass_fields__
    typed: dict[str, Any] = {name: options[name] for name in names if options[name] is not None}
    if "classes" in typed:
        typed["classes"] = _pair(typed["classes"])
    if "widths" in typed:
        typed["widths"] = _numbers(typed["widths"])
    return DiagnosisSettings(**typed)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise SettingsError(f"--widths {text}: wanted whole numbers with commas between, such as --widths 64,128,256")
    return tuple(map(int, parts))
