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
from .failures import explained

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
    value = getattr(Settings, name)
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
